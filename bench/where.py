"""Where the time goes, for people: a chart of stacked bars and a table per phase, and sentences.

Everything is made from `bench.parts`. No files, no markup, no escaping.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.cases import flops, network_text
from bench.drawing import (
    INK,
    ROW_INCHES,
    SMALL,
    WIDTH_INCHES,
    Chart,
    finish,
    legend,
    number_on_axis,
    style,
)
from bench.evidence import Facts
from bench.parts import ELEMENTWISE, LOSS, NAMES, PRODUCTS, REST, SHUFFLE, UPDATE, Split, splits
from bench.records import PHASES, Case, Estimate, Phase, Problem
from bench.sections import Section
from bench.store import Stored
from bench.wording import (
    DASH,
    NARROW_SPACE,
    count_text,
    interval,
    listing,
    seat_names,
    significant,
    time_text,
    unit_for,
)

ANCHOR = "where"
# Okabe and Ito's colours; a pattern each as well, so that colour does not carry it alone.
LOOKS: Mapping[str, tuple[str, str]] = {
    PRODUCTS: ("#0072b2", ""),
    ELEMENTWISE: ("#e69f00", "////"),
    LOSS: ("#cc79a7", "xxxx"),
    UPDATE: ("#009e73", "...."),
    SHUFFLE: ("#56b4e9", "||||"),
    REST: ("#b8bcc0", r"\\\\"),
}
LONGEST_SEAT = 14
WORTH_NAMING = 0.01
"""Of a difference, a smaller part is not."""
LEAST_SHARE = 1e-4
"""A smaller one is told as smaller."""
PAIR = 3.2
"""Height of the two bars of a network and of its name above them, in bars."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One phase of one network, taken apart on both sides."""

    case: Case
    baseline: Split
    candidate: Split

    @property
    def sides(self) -> tuple[Split, Split]:
        """Return both."""
        return self.baseline, self.candidate


def pairs_of(stored: Stored) -> tuple[Pair, ...]:
    """Take apart what was timed on both sides, small networks first."""
    run = stored.run
    labels = {spec.role: spec.label for spec in reversed(run.plan.workers)}
    found: dict[Case, dict[str, Split]] = {}
    for split in splits(run, stored.samples, stored.parity, stored.faults):
        found.setdefault(split.case, {})[split.worker] = split
    pairs = [
        Pair(case, of[labels["baseline"]], of[labels["candidate"]])
        for case, of in found.items()
        if labels["baseline"] in of and labels["candidate"] in of
    ]
    return tuple(
        sorted(pairs, key=lambda pair: (PHASES.index(pair.case.phase), *_size(pair.case.problem)))
    )


def where_charts(stored: Stored) -> list[Chart]:
    """Draw a chart for each phase that was taken apart."""
    pairs = pairs_of(stored)
    names = seat_names(stored.run)
    return [
        _chart(phase, mine, *names)
        for phase in PHASES
        if (mine := [pair for pair in pairs if pair.case.phase == phase])
    ]


def where_section(stored: Stored, charts: Mapping[str, Chart]) -> Section | None:
    """Say where the time goes; None where no phase was taken apart.

    Args:
        stored: The run.
        charts: All charts of the page, by name.
    """
    pairs = pairs_of(stored)
    if not pairs:
        return None
    names = seat_names(stored.run)
    phases = [phase for phase in PHASES if any(pair.case.phase == phase for pair in pairs)]
    return Section(
        ANCHOR,
        "Where the time goes",
        "Where the time goes",
        text=[_how(), _rest(*names), *_facts(pairs, *names)],
        charts=[charts[_name(phase)] for phase in phases if _name(phase) in charts],
        tables=[_table(phase, pairs, *names) for phase in phases],
    )


def _size(problem: Problem) -> tuple[int, bool, int]:
    return flops(Case("forward", problem)), problem.dtype != "float64", problem.threads


def _name(phase: Phase) -> str:
    return f"{ANCHOR}-{phase}"


def _how() -> str:
    return (
        "Every part was timed aside, in rounds of its own and in the same processes as the phases, "
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


def _facts(pairs: Sequence[Pair], baseline: str, candidate: str) -> list[str]:
    """Say what weighs most, what makes the difference, and what cannot be measured."""
    phase = max((pair.case.phase for pair in pairs), key=PHASES.index)
    mine = [pair for pair in pairs if pair.case.phase == phase]
    ends = list(dict.fromkeys([mine[0].case, mine[-1].case]))
    shown = [pair for pair in mine if pair.case in ends]
    lines = [
        " ".join(
            f"{_of_what(pair, pairs)}, the largest part of {baseline}'s time is "
            f"{_largest(pair.baseline)}, and of {candidate}'s time "
            f"{_largest(pair.candidate)}. "
            f"{_difference(pair, baseline, candidate)}"
            for pair in shown
        )
    ]
    sides = {
        baseline: [pair.baseline for pair in pairs],
        candidate: [pair.candidate for pair in pairs],
    }
    nothing = [
        f"for {name}, {listing([f'{part} in {text}' for part, text in counts.items()])}"
        for name, found in sides.items()
        if (counts := _not_above_0(found))
    ]
    if nothing:
        lines.append(
            f"Not told from 0, for the interval reaches down to it, are: {'; '.join(nothing)}. "
            "What is done inside a product may cost nothing beside it, or even save something; "
            "where an interval is wide, this run cannot tell. The tables have the differences as "
            "they are; in the charts one that is not above 0 is drawn as nothing."
        )
    return lines


def _of_what(pair: Pair, pairs: Sequence[Pair]) -> str:
    phase = "an epoch" if pair.case.phase == "epoch" else pair.case.phase
    return f"In {phase} of {_network(pair, pairs)}"


def _network(pair: Pair, pairs: Sequence[Pair]) -> str:
    """Name a network, and its dtype where not all share one."""
    problem = pair.case.problem
    several = len({one.case.problem.dtype for one in pairs}) > 1
    return f"{network_text(problem)} · {problem.dtype}" if several else network_text(problem)


def _largest(split: Split) -> str:
    part = max(split.parts, key=lambda part: part.time_ns.point)
    return f"{part.name} ({_percent(part.time_ns.point / split.total_ns.point)})"


def _difference(pair: Pair, baseline: str, candidate: str) -> str:
    """Say which parts make the difference between the two."""
    saved_ns = pair.baseline.total_ns.point - pair.candidate.total_ns.point
    if not saved_ns:
        return "Both take as long."
    less, more = (candidate, baseline) if saved_ns > 0 else (baseline, candidate)
    shares = {
        name: (pair.baseline.part_ns(name) - pair.candidate.part_ns(name)) / saved_ns
        for name in NAMES
    }
    first, second = sorted(shares, key=lambda name: -shares[name])[:2]
    words = f"Of the {time_text(abs(saved_ns))} by which {less} is ahead of {more}, {first} "
    words += f"{_verb(first)} {_percent(shares[first])}"
    return words + (
        f" and {second} {_percent(shares[second])}." if shares[second] >= WORTH_NAMING else "."
    )


def _verb(name: str) -> str:
    return "make" if name == PRODUCTS else "makes"


def _not_above_0(found: Sequence[Split]) -> dict[str, str]:
    """Tell by part in how many cases its interval reaches down to 0: `3 of 5 cases`."""
    counts: dict[str, list[bool]] = {}
    for split in found:
        for part in split.parts:
            time = part.time_ns
            low = time.low if math.isfinite(time.low) else time.point
            counts.setdefault(part.name, []).append(low <= 0)
    return {
        name: f"{sum(hits)} of {count_text(len(hits), 'case')}"
        for name, hits in counts.items()
        if any(hits)
    }


def _percent(share: float) -> str:
    if not math.isfinite(share):
        return f"{DASH} %"
    if 0 < share < LEAST_SHARE:
        return f"<{100 * LEAST_SHARE:g}{NARROW_SPACE}%"
    return f"{significant(100 * share, 2 if abs(share) < 0.995 else 3)}{NARROW_SPACE}%"


def _table(phase: Phase, pairs: Sequence[Pair], baseline: str, candidate: str) -> Facts:
    mine = [pair for pair in pairs if pair.case.phase == phase]
    names = [part.name for part in mine[0].baseline.parts]
    rows = []
    for pair in mine:
        for name, split in zip((baseline, candidate), pair.sides, strict=True):
            unit, length = unit_for([split.total_ns.point])
            times = [split.total_ns, *(part.time_ns for part in split.parts)]
            cells = [_cell(time, length) for time in times]
            cells.append(_cell(split.floor_ns, length) if split.floor_ns else DASH)
            rows.append((f"{_network(pair, pairs)} · {name}, {unit}", *cells))
    return Facts(("network", phase, *names, "one wide"), rows, f"Parts of {phase}")


def _cell(time: Estimate, length: float) -> str:
    value, ends = interval(time.point, time.low, time.high, length)
    if time.low < 0:
        ends = ends.replace(DASH, " to ")
    return f"{value} ({ends})" if ends else value


def _chart(phase: Phase, pairs: Sequence[Pair], baseline: str, candidate: str) -> Chart:
    """Draw the bars of both for every network, as parts of the baseline's time."""
    with style(_name(phase)):
        height = ROW_INCHES * 0.62 * PAIR * len(pairs) + 1.25
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        ax = figure.subplots()
        ax.set_title(phase)
        farthest = 1.0
        for place, pair in enumerate(pairs):
            top = place * PAIR
            ax.text(0, top - 0.8, _network(pair, pairs), fontsize=SMALL, va="center")
            for row, split in enumerate(pair.sides):
                whole = pair.baseline.total_ns.point
                farthest = max(farthest, _draw(ax, top + row, split, whole))
        names = [part.name for part in pairs[0].baseline.parts]
        handles: list[Any] = [_patch(name) for name in names]
        handles += ax.plot([], [], "D", color=INK, markersize=3.5, label="one wide")
        legend(figure, handles, columns=2)
        places = [place * PAIR + row for place in range(len(pairs)) for row in (0, 1)]
        ax.set_yticks(places, [*map(_short, (baseline, candidate))] * len(pairs), fontsize=SMALL)
        ax.set_ylim(len(pairs) * PAIR - 1.6, -1.4)
        ax.set_xlim(0, 102 * farthest)
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: number_on_axis(tick)))
        ax.set_xlabel(f"percent of {baseline}'s time for the same network")
        ax.grid(axis="x")
        title = f"Where the time of {phase} goes, {baseline} and {candidate}"
        caption = (
            f"Both bars of a network are parts of {baseline}'s time, which is 100 %; the outline "
            "is the time of the phase itself. A part that is not above 0 is drawn as nothing, and "
            f"the parts then reach beyond the outline. {_floors(pairs, baseline, candidate)}"
        )
        words = [
            f"{_network(pair, pairs)}: "
            + "; ".join(
                _words(name, split, pair.baseline.total_ns.point)
                for name, split in zip((baseline, candidate), pair.sides, strict=True)
            )
            for pair in pairs
        ]
        return finish(_name(phase), title, figure, caption, f"{title}. {'. '.join(words)}.")


def _floors(pairs: Sequence[Pair], baseline: str, candidate: str) -> str:
    """Say what the grey bar is, and where the marks lie."""
    told = []
    for name, splits_ in (
        (baseline, [pair.baseline for pair in pairs]),
        (candidate, [pair.candidate for pair in pairs]),
    ):
        known = [(one.floor_ns.point, one.total_ns.point) for one in splits_ if one.floor_ns]
        if known:
            shares = [floor / total for floor, total in known]
            ends = list(dict.fromkeys(map(_percent, (min(shares), max(shares)))))
            times = list(dict.fromkeys(time_text(end) for end in (min(known)[0], max(known)[0])))
            told.append(f"{name} {' to '.join(times)}, {' to '.join(ends)} of its own time")
    made = (
        f"{REST[0].upper()}{REST[1:]} is what is left of the phase: statements between the calls, "
        "checks, results made anew, colder caches."
    )
    if not told:
        return made
    return (
        f"{made} The mark is the same phase of a network as deep and one wide: {'; '.join(told)}."
    )


def _draw(ax: Axes, y: float, split: Split, whole_ns: float) -> float:
    """Draw one bar and return how far it reaches, as a part of the whole."""
    left = 0.0
    for part in split.parts:
        width = 100 * max(0.0, part.time_ns.point) / whole_ns
        colour, hatch = LOOKS[part.name]
        ax.barh(y, width, 0.8, left, color=colour, hatch=hatch, edgecolor=INK, linewidth=0.3)
        left += width
    total = split.total_ns.point / whole_ns
    ax.barh(y, 100 * total, 0.8, fill=False, edgecolor=INK, linewidth=0.9)
    reach = [total, left / 100]
    if split.floor_ns is not None:
        ax.plot(100 * split.floor_ns.point / whole_ns, y, "D", color=INK, markersize=3.5)
        reach.append(split.floor_ns.point / whole_ns)
    ax.text(
        1.02,
        y,
        f"{_percent(total)} · {time_text(split.total_ns.point)}",
        fontsize=SMALL,
        va="center",
        transform=ax.get_yaxis_transform(),
    )
    return max(reach)


def _short(name: str) -> str:
    """Cut a name so that it leaves room for bars: it may be anybody's."""
    name = " ".join(name.split())
    return (
        name if len(name) <= LONGEST_SEAT else f"{name[: LONGEST_SEAT - 1]}\N{HORIZONTAL ELLIPSIS}"
    )


def _patch(name: str) -> Patch:
    colour, hatch = LOOKS[name]
    return Patch(facecolor=colour, hatch=hatch, edgecolor=INK, linewidth=0.3, label=name)


def _words(name: str, split: Split, whole_ns: float) -> str:
    parts = [f"{part.name} {_percent(part.time_ns.point / whole_ns)}" for part in split.parts]
    return f"{name} {_percent(split.total_ns.point / whole_ns)}, of it {listing(parts)}"
