"""Where the time goes, for people: a chart of stacked bars and a table per phase, and sentences.

Everything is made from `bench.analysis.breakdown`. No files, no markup, no escaping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.analysis.breakdown import (
    PRODUCTS,
    REST,
    Split,
)
from bench.analysis.run_analysis import RunAnalysis
from bench.model.numbers import (
    DASH,
    interval,
    listing,
    time_text,
    unit_for,
)
from bench.model.records import PHASES, Estimate, Phase
from bench.model.tables import Table
from bench.report.charts.breakdown import ANCHOR, Pair, chart_name, pairs_of, percent_text
from bench.report.elements.case_names import CaseNames
from bench.report.elements.chart import Chart
from bench.report.elements.section import Section
from bench.report.elements.sentences import slot_names

WORTH_NAMING = 0.01
"""Of a difference, a smaller part is not."""


def breakdown_section(analysis: RunAnalysis, charts: Mapping[str, Chart]) -> Section | None:
    """Say where the time goes; None where no phase was taken apart.

    Args:
        analysis: The run.
        charts: All charts of the page, by name.
    """
    pairs = pairs_of(analysis)
    if not pairs:
        return None
    names = slot_names(analysis.run)
    phases = [phase for phase in PHASES if any(pair.case.phase == phase for pair in pairs)]
    return Section(
        ANCHOR,
        "Where the time goes",
        "Where the time goes",
        text=[_how(), _rest(*names), *_found(pairs, *names)],
        charts=[charts[name] for name in map(chart_name, phases) if name in charts],
        tables=[_table(phase, pairs, *names) for phase in phases],
    )


def _how() -> str:
    return (
        "Every part was timed in rounds of its own, in the same processes as the phases, "
        "on one thread: the matrix products alone; the same with biases and ReLU (in backprop: the "
        "last delta, the masks of ReLU and the gradients of the biases); that with the update; the "
        "loss of a batch; the shuffle of an epoch and the gathering of its batches. Each works in "
        "memory that is there already: in NumPy by a call for each operation, in Mojo inside the "
        "products, as its phases do it. What a part takes is the difference between two such times "
        "of one invocation; an epoch is its number of batches times the parts of one, and the "
        "shuffle."
    )


def _rest(baseline: str, candidate: str) -> str:
    return (
        f"{REST[0].upper()}{REST[1:]} is what the phase takes beyond its parts: in {baseline} the "
        "statements between the calls, the checks of arguments and memory for every result, in "
        f"{candidate} the way from operation to operation; in both also caches that are colder "
        "than when a part is repeated alone. What a library takes to get into each of its calls "
        "stands in the parts that make them. All of it together is what the mark shows: the same "
        "phase of a network as deep and one wide, on one row, where there is next to nothing to "
        "compute."
    )


def _found(pairs: Sequence[Pair], baseline: str, candidate: str) -> list[str]:
    """Say what weighs most, what makes the difference, and what cannot be measured."""
    phase = max((pair.case.phase for pair in pairs), key=PHASES.index)
    mine = [pair for pair in pairs if pair.case.phase == phase]
    networks = CaseNames.of(pair.case for pair in pairs)
    what = "an epoch" if phase == "epoch" else phase
    lines = [
        " ".join(
            f"In {what} of {networks.network(pair.case.problem)}, the largest part of {baseline}'s "
            f"time is {_largest(pair.baseline)}, and of {candidate}'s time "
            f"{_largest(pair.candidate)}. {_difference(pair, baseline, candidate)}"
            for pair in dict.fromkeys((mine[0], mine[-1]))
        )
    ]
    nothing = [
        f"for {name}, {listing([f'{part} in {hits} of {of}' for part, (hits, of) in counts])}"
        for name, splits in (
            (baseline, [pair.baseline for pair in pairs]),
            (candidate, [pair.candidate for pair in pairs]),
        )
        if (counts := not_above_0(splits))
    ]
    if nothing:
        lines.append(
            f"The interval of these parts reaches down to 0: {'; '.join(nothing)} cases. Work that "
            "is done inside a product may cost nothing beside it, or even save time; where an "
            "interval is wide, this run cannot tell. The tables show the differences as they are; "
            "the charts draw a part that is not above 0 as nothing."
        )
    return lines


def _largest(split: Split) -> str:
    part = split.largest
    return f"{part.name} ({percent_text(part.time_ns.point / split.total_ns.point)})"


def _difference(pair: Pair, baseline: str, candidate: str) -> str:
    """Say which parts make the difference between the two."""
    if not pair.saved_ns:
        return "Both take as long."
    less, more = (candidate, baseline) if pair.saved_ns > 0 else (baseline, candidate)
    (first, share), (second, other) = pair.makes_the_difference[:2]
    make = "make" if first == PRODUCTS else "makes"
    also = f" and {second} {percent_text(other)}" if other >= WORTH_NAMING else ""
    return (
        f"Of the {time_text(abs(pair.saved_ns))} by which {less} is ahead of {more}, {first} "
        f"{make} {percent_text(share)}{also}."
    )


def not_above_0(splits: Sequence[Split]) -> list[tuple[str, tuple[int, int]]]:
    """Count by part in how many cases its interval reaches down to 0, and of how many."""
    counts: dict[str, list[bool]] = {}
    for split in splits:
        for part in split.parts:
            counts.setdefault(part.name, []).append(not part.above_0)
    return [(name, (sum(hits), len(hits))) for name, hits in counts.items() if any(hits)]


def _table(phase: Phase, pairs: Sequence[Pair], baseline: str, candidate: str) -> Table:
    mine = [pair for pair in pairs if pair.case.phase == phase]
    names = [part.name for part in mine[0].baseline.parts]
    cases = CaseNames.of(pair.case for pair in pairs)
    rows = []
    for pair in mine:
        for name, split in zip((baseline, candidate), pair.sides, strict=True):
            unit, length = unit_for([split.total_ns.point])
            times = [split.total_ns, *(part.time_ns for part in split.parts)]
            cells = [_cell(time, length) for time in times]
            cells.append(_cell(split.one_wide_ns, length) if split.one_wide_ns else DASH)
            rows.append((f"{cases.network(pair.case.problem)} · {name}, {unit}", *cells))
    return Table(("network", phase, *names, "one wide"), rows, f"Parts of {phase}")


def _cell(time: Estimate, length: float) -> str:
    value, ends = interval(time.point, time.low, time.high, length)
    if time.low < 0:
        ends = ends.replace(DASH, " to ")
    return f"{value} ({ends})" if ends else value
