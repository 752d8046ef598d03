"""The table of all results, as a page shows it: written for people, with keys to sort it by.

Times of all phases stand in one unit, so that a column can be compared and sorted. No files, no
markup, no escaping.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.model.cases import file_stem
from bench.model.numbers import DASH, TIMES, interval, ratio_text, significant, unit_for
from bench.model.records import OVERHEADS, PHASES, Ratio
from bench.model.tables import Table
from bench.report.elements.case_names import CaseNames
from bench.report.elements.case_rows import CaseRow, Shown
from bench.report.elements.sentences import MARKS, PHASE_TEXTS, VERDICTS, implementation_name


@dataclass(frozen=True, slots=True)
class Row:
    """One case, of one candidate, in the table of results."""

    anchor: str
    phase: str
    network: str
    dtype: str
    threads: str
    implementation: str  # the candidate, for people
    baseline: Shown
    candidate: Shown
    ratio: Shown
    mark: str
    verdict: str
    reason: str
    again: Shown
    keys: Mapping[str, str]  # by column: a number in full to sort by; empty where there is none
    differs: Sequence[str]  # dtype, threads and candidate, where the rows do not share them


@dataclass(frozen=True, slots=True)
class PhaseTable:
    """One phase: its rows, and what is told of them all."""

    name: str
    text: str
    rows: Sequence[Row]
    details: Table
    mean: str


@dataclass(frozen=True, slots=True)
class ResultTable:
    """All cases, phase by phase, small networks first."""

    unit: str  # of every time
    phases: Sequence[PhaseTable]
    dtypes: bool  # whether the cases have more than one
    threads: bool
    several: bool  # whether there is more than one candidate
    overheads: Table

    @property
    def names(self) -> list[str]:
        """The phases."""
        return [phase.name for phase in self.phases]

    @property
    def rows(self) -> list[Row]:
        """The cases of all phases."""
        return [row for phase in self.phases for row in phase.rows]


def result_rows(
    cases: Sequence[CaseRow], means: Sequence[Ratio], baseline: str, candidate: str
) -> ResultTable:
    """Write the results of all cases.

    Args:
        cases: Small networks first.
        means: Geometric mean ratio of each phase and candidate.
        baseline: Display name.
        candidate: Display name, where there is one only.
    """
    kinds = list(dict.fromkeys(row.implementation for row in cases))
    several = len(kinds) > 1
    timed = [row for row in cases if row.phase in PHASES]
    unit, length = unit_for(time for row in timed for time in (row.baseline_ns, row.candidate_ns))
    # Small networks come first; so shall who sorts by network find them.
    places = {
        name: place
        for place, name in enumerate([*dict.fromkeys(row.network for row in timed), *kinds])
    }
    anchors = _anchors(timed, several=several)
    by_phase = {phase: [row for row in timed if row.phase == phase] for phase in PHASES}
    names = _names(timed)
    return ResultTable(
        unit=unit,
        phases=[
            PhaseTable(
                name=phase,
                text=PHASE_TEXTS[phase],
                rows=[
                    _row(row, what, length, places, anchors[row.case, row.implementation])
                    for row, what in zip(rows, map(_differing(rows), rows), strict=True)
                ],
                details=_details(rows, unit, length, baseline),
                mean="" if several else _mean_text(means, phase),
            )
            for phase, rows in by_phase.items()
            if rows
        ],
        dtypes=names.dtypes,
        threads=names.threads,
        several=several,
        overheads=_overheads([r for r in cases if r.phase in OVERHEADS], baseline, candidate),
    )


def _names(rows: Iterable[CaseRow]) -> CaseNames:
    return CaseNames.of_settings((row.dtype, row.threads) for row in rows)


def _anchors(rows: Iterable[CaseRow], *, several: bool) -> dict[tuple[str, str], str]:
    """Give every row a name for links: that of its case, and of its candidate if there are more."""
    found: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for row in rows:
        stem = file_stem(row.case)
        if several:
            stem = f"{stem}_{re.sub(r'[^A-Za-z0-9]+', '-', row.implementation)[:40]}"
        place = 1
        while (name := stem if place == 1 else f"{stem}_{place}") in taken:
            place += 1
        taken.add(name)
        found[row.case, row.implementation] = name
    return found


def _row(
    row: CaseRow, differs: Sequence[str], length: float, places: Mapping[str, int], anchor: str
) -> Row:
    numbers = {
        "phase": PHASES.index(row.phase),
        "network": places[row.network],
        "dtype": int(row.dtype.removeprefix("float")),
        "threads": row.threads,
        "implementation": places[row.implementation],
        "baseline": row.baseline_ns,
        "candidate": row.candidate_ns,
        "ratio": row.ratio,
        "verdict": VERDICTS.index(row.verdict) if row.verdict else math.nan,
        "again": row.again,
    }
    return Row(
        anchor=anchor,
        phase=row.phase,
        network=row.network.replace("batch ", "batch\N{NO-BREAK SPACE}"),
        dtype=row.dtype,
        threads=str(row.threads),
        implementation=implementation_name(row.implementation),
        baseline=_shown_time(row.times("baseline"), length),
        candidate=_shown_time(row.times("candidate"), length),
        ratio=_shown(row.ratio, row.ratio_low, row.ratio_high),
        mark=MARKS.get(row.verdict, ""),
        verdict=row.verdict or DASH,
        reason=row.reason,
        again=_shown(row.again, row.again_low, row.again_high),
        keys={name: repr(float(n)) if math.isfinite(n) else "" for name, n in numbers.items()},
        differs=differs,
    )


def _details(rows: Sequence[CaseRow], unit: str, length: float, baseline: str) -> Table:
    lines = []
    names = _names(rows)
    seen: set[str] = set()
    for row in rows:
        sides = [("candidate", implementation_name(row.implementation), row.candidate_minimum_ns)]
        if row.case not in seen:  # once, however many candidates there are
            seen.add(row.case)
            sides.insert(0, ("baseline", baseline, row.baseline_minimum_ns))
        lines += [
            (
                " · ".join([row.network, *names.setting(row.dtype, row.threads)]),
                name,
                significant(minimum_ns / length),
                _rate(row.flops, *row.times(role)),
                TIMES.join(str(n or DASH) for n in (row.invocations, row.rounds, row.loops)),
            )
            for role, name, minimum_ns in sides
        ]
    heads = (
        "network",
        "implementation",
        f"minimum, {unit}",
        "GFLOP/s",
        TIMES.join(("invocations", "rounds", "repetitions")),
    )
    return Table(heads, lines)


def _mean_text(means: Sequence[Ratio], phase: str) -> str:
    """Write the mean of the one candidate; of several the ladder has a table."""
    found = [ratio.estimate for ratio in means if ratio.case == phase]
    known = bool(found) and math.isfinite(found[0].low)
    return f"Geometric mean of its ratios: {ratio_text(found[0])}." if known else ""


def _differing(rows: Sequence[CaseRow]) -> Callable[[CaseRow], list[str]]:
    """Choose how to tell rows apart: dtype, threads and candidate where they do not share them."""
    names, several = _names(rows), len({row.implementation for row in rows}) > 1
    return lambda row: (
        names.setting(row.dtype, row.threads)
        + ([implementation_name(row.implementation)] if several else [])
    )


def _shown(point: float, low: float, high: float) -> Shown:
    return Shown(*interval(point, low, high, apart=1))


def _shown_time(ends: tuple[float, float, float], length: float) -> Shown:
    return Shown(*interval(*ends, length))


def _rate(flops: int, point: float, low: float, high: float) -> str:
    """Write GFLOP/s of the matrix products: flops per nanosecond."""
    if not (math.isfinite(point) and point > 0):
        return DASH
    if not (math.isfinite(low) and low > 0):
        return significant(flops / point)
    return interval(flops / point, flops / high, flops / low)[0]


def _overheads(rows: Sequence[CaseRow], baseline: str, candidate: str) -> Table:
    """Table what timing itself costs: a row per case; of several candidates a row for each."""
    unit, length = unit_for(time for row in rows for time in (row.baseline_ns, row.candidate_ns))
    names = _names(rows)
    of: dict[str, dict[str, str]] = {}  # by implementation and case
    cases: list[str] = []
    for row in rows:
        name = " · ".join([PHASE_TEXTS[row.phase], *names.setting(row.dtype, row.threads)])
        cases += [] if name in cases else [name]
        for who, role in ((baseline, "baseline"), (row.implementation, "candidate")):
            of.setdefault(who, {}).setdefault(name, _cell(_shown_time(row.times(role), length)))
    if len(of) <= 2:
        sides = list(of.values())
        heads = ("overhead", f"{baseline}, {unit}", f"{candidate}, {unit}")
        return Table(heads, [(name, *(side[name] for side in sides)) for name in cases])
    return Table(
        ("implementation", *(f"{name}, {unit}" for name in cases)),
        [
            (implementation_name(who), *(mine.get(name, DASH) for name in cases))
            for who, mine in of.items()
        ],
    )


def _cell(shown: Shown) -> str:
    return f"{shown.value} ({shown.ends})" if shown.ends else shown.value
