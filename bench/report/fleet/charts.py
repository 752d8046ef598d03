"""Which facts go with the ratio: every machine a dot with its interval, over one fact of it. Pure.

No line is drawn through the dots: machines that differ in these facts differ in all else too, and
nothing here is a cause.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from bench.model.numbers import count_text, listing, significant
from bench.model.records import PHASES
from bench.report.elements.chart import Chart
from bench.report.fleet.machines import Fleet
from bench.report.multi_run.cells import Cell, Column, namer
from bench.report.multi_run.charts import drawable, ratio_chart

MOST_LABELS = 12


def size_text(value: int) -> str:
    """Write a size in bytes: `512 KiB`, `2 MiB`."""
    for unit, length in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= length:
            return f"{value / length:g} {unit}"
    return f"{value} B"


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact that dots may be drawn over."""

    column: str  # of the runs
    name: str
    text: Callable[[int], str]


FACTS = (
    Fact("l2_bytes", "second-level cache of a core", size_text),
    Fact("vector_bits", "width of vectors, bits", str),
    Fact("physical_cores", "physical cores", str),
)


def fact_charts(fleet: Fleet) -> list[Chart]:
    """Draw the ratios of the network that most machines measured, over each fact.

    Returns:
        A chart for each fact of which machines have two values or more.
    """
    charts = [_chart(fleet, fact) for fact in FACTS]
    return [chart for chart in charts if chart is not None]


def _chart(fleet: Fleet, fact: Fact) -> Chart | None:
    # Of several networks that most machines measured, the quickest.
    network = max(
        dict.fromkeys(column.network for column in fleet.columns),
        key=lambda one: sum(len(fleet.of(c)) for c in fleet.columns if c.network == one),
        default=None,
    )
    known = [one for one in fleet.machines if one.facts[fact.column] is not None]
    values = sorted({one.facts[fact.column] for one in known})
    if network is None or len(values) < 2:
        return None
    panels, words, invalid = [], [], set()
    for column in (Column(phase, network) for phase in PHASES):
        groups: dict[int, list[Cell]] = defaultdict(list)
        for machine in known:
            cell = machine.cells.get(column)
            if cell is not None and drawable(cell):
                groups[machine.facts[fact.column]].append(cell)
            elif cell is not None and cell.verdict == "INVALID":
                invalid.add(machine.name)
        if groups:
            panels.append((column.phase, _side_by_side(groups, values)))
            told = [_words(fact.text(value), groups[value]) for value in values if groups[value]]
            words.append(f"{column.phase}: {'; '.join(told)}")
    if not panels:
        return None
    unknown = len(fleet.machines) - len(known)
    caption = (
        f"Network {namer(fleet.columns)(Column('', network))}, which most machines measured. A dot "
        "is a machine and its own ratio, the line its 95 % interval, cut where it goes far; "
        "machines with the same value stand side by side, by their ratios. Above 1 "
        f"{fleet.candidate} is faster. Machines that differ here differ in other things too: this "
        "shows what goes together, not why."
    )
    if invalid:
        caption += f" Left out: {count_text(len(invalid), 'machine')} with an INVALID case."
    if unknown:
        caption += f" Not known of {count_text(unknown, 'machine')}."
    every = math.ceil(len(values) / MOST_LABELS)
    return ratio_chart(
        f"fleet-{fact.column.replace('_', '-')}",
        f"Ratio by {fact.name}",
        panels,
        [(place, fact.text(values[place])) for place in range(0, len(values), every)],
        (f"{fleet.baseline} time / {fleet.candidate} time", caption, ". ".join(words)),
        xlabel=fact.name,
    )


def _side_by_side(groups: dict[int, list[Cell]], values: list[int]) -> list[tuple[float, Cell]]:
    """Place the machines with one value beside each other, in the order of their ratios."""
    return [
        (place + 0.8 * ((rank + 0.5) / len(groups[value]) - 0.5), cell)
        for place, value in enumerate(values)
        for rank, cell in enumerate(sorted(groups[value], key=lambda cell: cell.ratio))
    ]


def _words(value: str, cells: list[Cell]) -> str:
    """Say how many machines have a value, and between which ratios they lie."""
    ratios = [cell.ratio for cell in cells]
    ends = listing([significant(min(ratios)), significant(max(ratios))])
    return f"{value}, {count_text(len(cells), 'machine')} between {ends}"
