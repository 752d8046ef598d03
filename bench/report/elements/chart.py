"""How every chart looks: one style, log axes with plain numbers, SVG text fit for a page.

Charts are drawn without pyplot and its global state, at a phone's width. Text stays text. Ink is
`currentColor`: a file shows a white card; a page that holds the SVG may set both colours. The same
input gives the same bytes. What the charts show is in `bench.report.charts.overview`. No files.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.model.numbers import NARROW_SPACE

# Okabe and Ito's colours, told apart by colour-blind readers, on light and dark ground.
BASELINE_COLOUR = "#0072b2"
CANDIDATE_COLOUR = "#d55e00"
TRUTH_COLOUR = "#009e73"
CURRENT = "currentColor"
INK = "#010203"  # stands for `CURRENT` until the SVG is finished

WIDTH_INCHES = 4.4
ROW_INCHES = 0.33
PANEL_INCHES = 0.75  # title, axis and label of a panel, besides its rows
SIZE, SMALL = 8.5, 7.5  # of letters, in points
FONT = "'DejaVu Sans', 'Verdana', sans-serif"
DPI_OF_SVG = 72  # its unit is the point
GAP = 4 * "\N{NO-BREAK SPACE}"  # SVG folds plain spaces into one

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names come from files; a $ in one is a $
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": SIZE,
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


@contextmanager
def style(name: str) -> Iterator[None]:
    """Set our style, whatever the user's own is; the chart's name seeds the ids in its SVG.

    That the font at hand lacks a letter of some name is nobody's trouble: text stays text.
    """
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE | {"svg.hashsalt": name})
        yield


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


def legend(figure: Figure, handles: Iterable[Any], columns: int = 3) -> None:
    """Put the legend above all panels; long names need fewer columns."""
    figure.legend(handles=list(handles), loc="outside upper left", ncols=columns)


def log_scale(ax: Axes, which: Literal["x", "y"], low: float, high: float) -> None:
    """Make an axis logarithmic around these ends, with few round numbers in plain writing."""
    low, high = log_ends(low, high)
    axis = ax.xaxis if which == "x" else ax.yaxis
    ax.set(**{f"{which}lim": (low, high), f"{which}scale": "log"})
    axis.set_major_locator(FixedLocator(round_numbers(low, high)))
    axis.set_major_formatter(FuncFormatter(lambda tick, _: number_on_axis(tick)))
    axis.set_minor_locator(NullLocator())


def log_ends(low: float, high: float) -> tuple[float, float]:
    """Return the ends of a logarithmic axis that leave some room around these."""
    margin = math.exp(0.06 * (math.log(high) - math.log(low)) + 0.02)
    return max(low / margin, 1e-300), min(high * margin, 1e300)  # a loss may run away


def ends_of(values: Iterable[float]) -> tuple[float, float]:
    """Return the least and the largest value that a logarithmic axis can show."""
    known = [float(value) for value in values if math.isfinite(value) and value > 0]
    return min(known), max(known)


def round_numbers(low: float, high: float) -> list[float]:
    """Choose up to about six round numbers from low to high, 1 among them if it lies there."""
    if high / low < 4:
        ticks = list(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
    else:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        steps = (1, 1.5, 2, 3, 5, 7) if high / low < 10 else (1, 2, 5) if high / low < 100 else (1,)
        every = max(1, (last - first) // 5)
        decades = [decade for decade in range(first, last + 1) if decade % every == 0]
        ticks = [step * 10.0**decade for decade in decades for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def number_on_axis(value: float) -> str:
    """Write a round number: `0.975`, `1.5`, `20 000`, `1e-13`."""
    return f"{value:,.6g}".replace(",", NARROW_SPACE)


def finish(name: str, title: str, figure: Figure, caption: str, alt: str) -> Chart:
    """Write a figure as SVG with ids of its own and words for who cannot see it.

    `savefig` would draw it twice: to nothing, for the layout, and then again.
    """
    buffer = io.StringIO()
    canvas = FigureCanvasSVG(figure)
    figure.dpi = DPI_OF_SVG
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    canvas.print_svg(buffer, metadata=nothing)  # type: ignore[no-untyped-call]
    svg = buffer.getvalue()
    svg = compact(svg[svg.index("<svg") :].replace(INK, CURRENT))
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    return described(name, title, svg, caption, alt)


def described(name: str, title: str, svg: str, caption: str, alt: str) -> Chart:
    """Give an SVG its words, for who cannot see it, and a ground."""
    attributes = f'role="img" aria-label="{escape(alt)}" style="color: #1b1b1b; background: #fff"'
    return Chart(name, title, svg.replace("<svg", f"<svg {attributes}", 1), caption, alt)


def compact(svg: str) -> str:
    """Leave out what nobody sees: comments, indents, digits beyond hundredths of a point."""
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r">\s+<", ">\n<", svg)
    return re.sub(r' (?:d|x|y|transform)="[^"]*"', _rounded, svg)


def _rounded(attribute: re.Match[str]) -> str:
    """Round the numbers of an attribute to two decimals and fold its white space."""
    text = re.sub(r"-?\d+\.\d{3,}", lambda found: f"{round(float(found[0]), 2):g}", attribute[0])
    return " ".join(["", *text.split()])
