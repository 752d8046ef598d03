"""Which facts go with the ratio: every machine a dot with its interval, over one fact of it. Pure.

No line is drawn through the dots: machines of these facts differ in all else too, and nothing here
is a cause. Dots of many machines are one path each, so that a thousand of them stay a small file.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.model.numbers import count_text, listing, significant
from bench.model.records import PHASES
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
from bench.report.fleet.summary import Cell, Column, Fleet, Machine, Network, widest

PANEL_INCHES = 1.75
MOST_DOTS = 1500
"""Machines in a panel; more are drawn as dots that stand for several."""
MOST_LABELS = 12
BINS = 48
COLOURS = {
    "UNRESOLVED": INK,
    "": INK,
    "EQUIVALENT": TRUTH_COLOUR,
    "SLOWER": BASELINE_COLOUR,
    "FASTER": CANDIDATE_COLOUR,
}
"""In the order of drawing. What is INVALID has no ratio and is counted in words."""
FAINT = ("UNRESOLVED", "")


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact that dots may be drawn over."""

    column: str  # of the runs
    name: str
    text: Callable[[int], str]


def size_text(value: int) -> str:
    """Write a size in bytes: `512 KiB`, `2 MiB`."""
    for unit, length in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= length:
            return f"{value / length:g} {unit}"
    return f"{value} B"


FACTS = (
    Fact("l2_bytes", "second-level cache of a core", size_text),
    Fact("vector_bits", "width of vectors, bits", str),
    Fact("physical_cores", "physical cores", str),
)


def fact_charts(fleet: Fleet, name_of: Callable[[Network], str]) -> list[Chart]:
    """Draw the ratios of one network, the one that most machines measured, over each fact.

    Args:
        fleet: The machines.
        name_of: How a network is called.

    Returns:
        A chart for each fact of which machines have two values or more.
    """
    network = widest(fleet)
    if network is None:
        return []
    charts = [_chart(fleet, fact, network, name_of(network)) for fact in FACTS]
    return [chart for chart in charts if chart is not None]


def _chart(fleet: Fleet, fact: Fact, network: Network, name: str) -> Chart | None:
    known = [one for one in fleet.machines if one.facts[fact.column] is not None]
    phases = [
        phase
        for phase in PHASES
        if any(_drawable(one.cells.get(Column(phase, network))) for one in known)
    ]
    values = sorted({one.facts[fact.column] for one in known})
    if len(values) < 2 or not phases:
        return None
    stem = f"fleet-{fact.column.replace('_', '-')}"
    with style(stem):
        figure = Figure(
            figsize=(WIDTH_INCHES, PANEL_INCHES * len(phases) + 0.5), layout="constrained"
        )
        axes = list(figure.subplots(len(phases), 1, squeeze=False)[:, 0])
        kinds: set[str] = set()
        for ax, phase in zip(axes, phases, strict=True):
            kinds |= _panel(ax, known, Column(phase, network), fact, values)
            ax.set_title(phase)
        axes[-1].set_xlabel(fact.name)
        figure.supylabel(f"{fleet.baseline} time / {fleet.candidate} time", fontsize=SMALL)
        handles = [
            Line2D([], [], color=COLOURS[kind], marker="o", markersize=3.5, label=_said(kind))
            for kind in reversed(COLOURS)
            if kind in kinds
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=4, fontsize=SMALL)
        title = f"Ratio by {fact.name}"
        words = [
            f"{phase}: {'; '.join(_words(known, Column(phase, network), fact, values))}"
            for phase in phases
        ]
        return finish(
            stem, title, figure, _caption(fleet, known, network, name), _alt(title, words)
        )


def _panel(
    ax: Axes, machines: Sequence[Machine], column: Column, fact: Fact, values: Sequence[int]
) -> set[str]:
    """Draw one phase; tell which verdicts are in it."""
    groups: dict[int, list[Cell]] = defaultdict(list)
    for machine in machines:
        cell = machine.cells.get(column)
        if cell is not None and _drawable(cell):
            groups[values.index(machine.facts[fact.column])].append(cell)
    cells = [cell for group in groups.values() for cell in group]
    _scale(ax, cells)
    ax.axhline(1, color=INK, linewidth=0.6, alpha=0.6)
    if len(cells) > MOST_DOTS:
        _draw_many(ax, groups)
    else:
        _draw_each(ax, groups)
    every = math.ceil(len(values) / MOST_LABELS)
    places = range(0, len(values), every)
    ax.set_xticks(places, [fact.text(values[place]) for place in places], fontsize=SMALL)
    ax.set_xlim(-0.6, len(values) - 0.4)
    ax.tick_params(axis="x", length=0)
    ax.grid(axis="y")
    return {cell.verdict for cell in cells}


def _draw_each(ax: Axes, groups: dict[int, list[Cell]]) -> None:
    """Draw each machine: side by side above its value, in the order of their ratios."""
    points: dict[str, list[tuple[float, Cell]]] = defaultdict(list)
    for place, group in groups.items():
        ordered = sorted(group, key=lambda cell: (cell.ratio, cell.run))
        for rank, cell in enumerate(ordered):
            x = place + 0.8 * ((rank + 0.5) / len(ordered) - 0.5)
            points[cell.verdict].append((x, cell))
    many = sum(map(len, points.values())) > 100
    for kind, colour in COLOURS.items():
        mine = points.get(kind, [])
        ends = [(x, cell) for x, cell in mine if math.isfinite(cell.low + cell.high)]
        faint = 0.5 if kind in FAINT else 1.0
        ax.plot(
            [value for x, _ in ends for value in (x, x, math.nan)],
            [value for _, cell in ends for value in (cell.low, cell.high, math.nan)],
            color=colour, linewidth=0.4 if many else 0.9, alpha=0.45 * faint,
        )  # fmt: skip
        ax.plot(
            [value for x, _ in mine for value in (x, x, math.nan)],
            [value for _, cell in mine for value in (cell.ratio, cell.ratio, math.nan)],
            color=colour, linewidth=1.6 if many else 4, solid_capstyle="round",
            alpha=0.9 * faint,
        )  # fmt: skip


def _draw_many(ax: Axes, groups: dict[int, list[Cell]]) -> None:
    """Draw dots that stand for all machines of about one ratio, larger the more they are."""
    low, high = (math.log(end) for end in ax.get_ylim())
    counts: dict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
    for place, group in groups.items():
        for cell in group:
            part = (math.log(cell.ratio) - low) / (high - low)
            counts[cell.verdict][place, min(BINS - 1, max(0, int(part * BINS)))] += 1
    most = max(count for found in counts.values() for count in found.values())
    offsets = dict(zip(COLOURS, (-0.24, -0.24, -0.08, 0.08, 0.24), strict=True))
    for kind, found in counts.items():
        ax.scatter(
            [place + offsets[kind] for place, _ in found],
            [math.exp(low + (high - low) * (step + 0.5) / BINS) for _, step in found],
            s=[1.5 + 60 * count / most for count in found.values()],
            color=COLOURS[kind], alpha=0.6, linewidths=0,
        )  # fmt: skip


def _scale(ax: Axes, cells: Sequence[Cell]) -> None:
    """Show all ratios, and of intervals what is not far beyond them."""
    ratios = [cell.ratio for cell in cells]
    low, high = min(*ratios, 1.0), max(*ratios, 1.0)
    ends = [end for cell in cells for end in (cell.low, cell.high) if math.isfinite(end)]
    low = max(min([low, *ends]), low / 1.3)
    high = min(max([high, *ends]), high * 1.3)
    log_scale(ax, "y", low, high)


def _drawable(cell: Cell | None) -> bool:
    return (
        cell is not None
        and cell.verdict in COLOURS
        and math.isfinite(cell.ratio)
        and 1e-12 < cell.ratio < 1e12
    )


def _said(kind: str) -> str:
    return f"{kind.lower() or 'no verdict'}{GAP}"


def _caption(fleet: Fleet, machines: Sequence[Machine], network: Network, name: str) -> str:
    columns = [Column(phase, network) for phase in PHASES]
    invalid = sum(
        any(column in one.cells and one.cells[column].verdict == "INVALID" for column in columns)
        for one in machines
    )
    unknown = len(fleet.machines) - len(machines)
    several = len(machines) > MOST_DOTS
    return (
        f"Network {name}, which most machines measured. "
        + (
            "A dot stands for all machines of about that ratio, larger the more they are. "
            if several
            else "A dot is a machine and its own ratio, the line its 95 % interval, cut where it "
            "goes far; machines with the same value stand side by side, by their ratios. "
        )
        + f"Above 1 {fleet.candidate} is faster. Machines that differ here differ in other things "
        "too: this shows what goes together, not why."
        + (f" Left out: {count_text(invalid, 'machine')} with an INVALID case." if invalid else "")
        + (f" Not known of {count_text(unknown, 'machine')}." if unknown else "")
    )


def _words(
    machines: Sequence[Machine], column: Column, fact: Fact, values: Sequence[int]
) -> list[str]:
    """Say per value how many machines there are, and between which ratios they lie."""
    found = []
    for value in values:
        cells = [one.cells.get(column) for one in machines if one.facts[fact.column] == value]
        ratios = [cell.ratio for cell in cells if cell is not None and _drawable(cell)]
        if ratios:
            ends = listing([significant(min(ratios)), significant(max(ratios))])
            count = count_text(len(ratios), "machine")
            found.append(f"{fact.text(value)}, {count} between {ends}")
    return found


def _alt(title: str, words: Sequence[str]) -> str:
    return f"{title}. {'. '.join(words)}."
