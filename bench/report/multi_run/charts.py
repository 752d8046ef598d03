"""Ratios with their intervals, a dot for each run: over time, or over a fact of the machine.

All dots of one verdict are one path, so that a thousand of them stay a small file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.model.numbers import interval
from bench.report.elements.chart import (
    BASELINE_COLOUR,
    CANDIDATE_COLOUR,
    GAP,
    INK,
    SMALL,
    TRUTH_COLOUR,
    WIDTH_INCHES,
    Chart,
    finish,
    log_scale,
    style,
)
from bench.report.multi_run.cells import Cell, Column, namer
from bench.report.multi_run.runs import Group, columns_of, shared_slots
from bench.storage.dates import date_text

PANEL_INCHES, LABEL_INCHES = 1.4, 0.9
MANY = 100
"""Dots in a panel; where there are more, they and their lines are thinner."""
UPRIGHT = 4
"""More labels of runs than these stand upright."""
MOST_LABELS = 16
LONGEST_LABEL = 16
FAR = 1.3
"""How far beyond the ratios an axis may go to show their intervals."""
COLOURS = {
    "UNRESOLVED": INK,
    "": INK,
    "EQUIVALENT": TRUTH_COLOUR,
    "SLOWER": BASELINE_COLOUR,
    "FASTER": CANDIDATE_COLOUR,
}
"""In the order of drawing. What is INVALID has no ratio and is said in words."""
FAINT = ("UNRESOLVED", "")

Points = Sequence[tuple[float, Cell]]
"""Places on the horizontal axis, and what is drawn there."""


def drawable(cell: Cell | None) -> bool:
    """Tell whether a cell has a ratio that an axis can show."""
    return cell is not None and cell.verdict in COLOURS and 1e-12 < cell.ratio < 1e12


def ratio_chart(
    name: str,
    title: str,
    panels: Sequence[tuple[str, Points]],
    ticks: Sequence[tuple[float, str]],
    words: tuple[str, str, str],
    *,
    xlabel: str = "",
    upright: bool = False,
    joined: bool = False,
) -> Chart:
    """Draw ratios with their intervals, coloured by verdict.

    Args:
        name: Of the chart.
        title: Of the chart.
        panels: One above the other, with a title each.
        ticks: Places and labels of the horizontal axis.
        words: What the vertical axis shows, the caption, and the facts for who cannot see them.
        xlabel: What the horizontal axis shows.
        upright: Whether the labels stand upright.
        joined: Whether the dots have an order, which a thin line shows; else 1 is always shown.
    """
    what, caption, facts = words
    with style(name):
        height = PANEL_INCHES * len(panels) + LABEL_INCHES
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
        for ax, (text, points) in zip(axes, panels, strict=True):
            ax.set_title(text)
            _draw(ax, points, joined=joined)
        places, labels = zip(*ticks, strict=True)
        axes[-1].set_xticks(places, labels, fontsize=SMALL, rotation=90 if upright else 0)
        axes[-1].set_xlabel(xlabel)
        figure.supylabel(what, fontsize=SMALL)
        kinds = {cell.verdict for _, points in panels for _, cell in points}
        handles = [
            Line2D([], [], color=COLOURS[kind], marker="o", markersize=3.5,
                   label=f"{kind.lower() or 'no verdict'}{GAP}")
            for kind in reversed(COLOURS)
            if kind in kinds
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside upper left", ncols=4, fontsize=SMALL)
        return finish(name, title, figure, caption, f"{title}. {facts}.")


def _draw(ax: Axes, points: Points, *, joined: bool) -> None:
    many = len(points) > MANY
    if joined:
        ax.plot(*zip(*((x, cell.ratio) for x, cell in points), strict=True), color=INK, alpha=0.25,
                linewidth=1)  # fmt: skip
    for kind, colour in COLOURS.items():
        mine = [(x, cell) for x, cell in points if cell.verdict == kind]
        faint = 0.5 if kind in FAINT else 1.0
        lines = [(x, end) for x, cell in mine for end in (cell.low, cell.high, math.nan)]
        ax.plot(*_path(lines), color=colour, linewidth=0.4 if many else 0.9, alpha=0.45 * faint)
        dots = [(x, end) for x, cell in mine for end in (cell.ratio, cell.ratio, math.nan)]
        ax.plot(*_path(dots), color=colour, linewidth=1.6 if many else 4, alpha=0.9 * faint,
                solid_capstyle="round")  # fmt: skip
    ratios = [cell.ratio for _, cell in points] + ([] if joined else [1.0])
    ends = [end for _, cell in points for end in (cell.low, cell.high) if math.isfinite(end)]
    low, high = min(ratios), max(ratios)
    log_scale(ax, "y", max(min([low, *ends]), low / FAR), min(max([high, *ends]), high * FAR))
    low, high = ax.get_ylim()
    if low < 1 < high:
        ax.axhline(1, color=INK, linewidth=0.6, alpha=0.6)
    ax.tick_params(axis="x", length=0)
    ax.grid(axis="y")


def _path(points: Sequence[tuple[float, float]]) -> tuple[Any, Any]:
    return [x for x, _ in points], [y for _, y in points]


def history_chart(group: Group, number: int, phase: str) -> Chart | None:
    """Draw the ratio of every network over the runs of a machine, a panel for each network.

    Args:
        group: The runs.
        number: Of the group, for the name of the chart.
        phase: Which phase.

    Returns:
        The chart, or None where fewer than two runs have a ratio with an interval in one case.
    """
    columns = [column for column in columns_of(group.runs) if column.phase == phase]
    found = [(column, _history(group, column)) for column in columns]
    panels = [
        (column, points)
        for column, points in found
        if sum(math.isfinite(cell.low) for _, cell in points) > 1
    ]
    if not panels:
        return None
    text = namer([column for column, _ in panels])
    baseline, candidate = shared_slots(group.runs)
    labels = [run_label(one.run.name) for one in group.runs]
    every = math.ceil(len(labels) / MOST_LABELS)
    ticks = [
        (place, f"{date_text(group.runs[place].run)}\n{labels[place]}")
        for place in range(0, len(labels), every)
    ]
    caption = (
        f"Above 1 {candidate} is faster. Each dot is a run's own ratio, the line its 95 % "
        "interval, cut where it goes far and hidden where it is narrower than the dot. The oldest "
        "run comes first; runs are evenly spaced, whatever time lay between them. Every network "
        "has its own axis."
    )
    words = [
        f"{text(column)}: "
        + ", ".join(
            f"{labels[int(x)]} {' '.join(interval(cell.ratio, cell.low, cell.high, apart=1))}"
            for x, cell in points
        )
        for column, points in panels
    ]
    return ratio_chart(
        f"history-{number}-{phase}",
        f"{phase}: the ratio over {len(group.runs)} runs of one machine",
        [(text(column), points) for column, points in panels],
        ticks,
        (f"{baseline} time / {candidate} time", caption, "; ".join(words)),
        upright=len(ticks) > UPRIGHT,
        joined=True,
    )


def run_label(name: str) -> str:
    """Shorten the name of a run for an axis, on one line."""
    text = " ".join(name.split())
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _history(group: Group, column: Column) -> Points:
    cells = [(float(place), one.cells.get(column)) for place, one in enumerate(group.runs)]
    return [(place, cell) for place, cell in cells if cell is not None and drawable(cell)]
