"""How every chart looks: one style, log axes with plain numbers, SVG text fit for a page.

Charts are drawn without pyplot and its global state, at a phone's width. Text stays text. Ink is
`currentColor`: a file shows a white card; a page that holds the SVG may set both colours. The
same input gives the same bytes. What the charts show is in `bench.charts`. No files.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.wording import significant

# Okabe and Ito's colours, told apart by colour-blind readers, on light and dark ground.
BASELINE_COLOUR = "#0072b2"
CANDIDATE_COLOUR = "#d55e00"
TRUTH_COLOUR = "#009e73"
INK = "#010203"  # stands for currentColor until the SVG is finished

WIDTH_INCHES = 4.4
ROW_INCHES = 0.33
PANEL_INCHES = 0.75  # title, axis and label of a panel, besides its rows
SMALL = 7.5  # points
GAP = 4 * "\N{NO-BREAK SPACE}"  # SVG folds plain spaces into one

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names come from files; a $ in one is a $
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK
    ),
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A finished chart: the stem of its file, its SVG, how to read it, its facts in words."""

    name: str
    title: str
    svg: str
    caption: str
    alt: str


def style(name: str) -> Any:
    """Return the context in which to draw the chart of this name; it seeds the ids in the SVG."""
    return mpl.rc_context(STYLE | {"svg.hashsalt": name})


def stack(rows: Sequence[int]) -> tuple[Figure, list[Axes]]:
    """Make one panel above the other, each as high as its number of rows needs."""
    heights = [ROW_INCHES * count + PANEL_INCHES for count in rows]
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights) + 0.4), layout="constrained")
    axes = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights)
    return figure, list(axes[:, 0])


def label_rows(ax: Axes, title: str, labels: Sequence[str]) -> None:
    """Name a panel and its rows, the first on top at 0."""
    ax.set_title(title)
    ax.set_yticks(range(len(labels)), labels, fontsize=SMALL)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")


def legend(figure: Figure, handles: Iterable[Any]) -> None:
    """Put the legend above all panels."""
    figure.legend(handles=list(handles), loc="outside upper left", ncols=3)


def log_scale(ax: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with few ticks and plain numbers on them."""
    ax.set(**{f"{which}scale": "log"})
    axis = ax.xaxis if which == "x" else ax.yaxis
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 50 else (1,), numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda tick, _: significant(tick, 1)))
    axis.set_minor_locator(NullLocator())


def ratio_scale(ax: Axes, low: float, high: float) -> None:
    """Make the x axis a logarithmic one of ratios, with round numbers; 1 is one of them."""
    margin = (high / low) ** 0.06
    low, high = low / margin, high * margin
    if high / low < 2:
        ticks = list(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
    else:
        steps = (1, 1.5, 2, 3, 5, 7) if high / low < 8 else (1, 2, 5) if high / low < 200 else (1,)
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [step * 10.0**decade for decade in decades for step in steps]
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def finish(name: str, title: str, figure: Figure, caption: str, alt: str) -> Chart:
    """Write a figure as SVG with ids of its own and words for who cannot see it."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    attributes = f'role="img" aria-label="{escape(alt)}" style="color: #1b1b1b; background: #fff"'
    return Chart(name, title, svg.replace("<svg", f"<svg {attributes}", 1), caption, alt)
