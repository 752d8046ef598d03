"""The table of all results, as a page shows it: written for people, with keys to sort it by.

Times of all phases stand in one unit, so that a column can be compared and sorted. No files, no
markup, no escaping.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.model.cases import file_stem
from bench.model.numbers import DASH, TIMES, count_text, interval, ratio_text, significant, unit_for
from bench.model.records import OVERHEADS, PHASES, Ratio
from bench.report.elements.result_table import Shown, rows_of
from bench.report.elements.section import Facts
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
    details: Facts
    mean: str


@dataclass(frozen=True, slots=True)
class ResultTable:
    """All cases, phase by phase, small networks first."""

    unit: str  # of every time
    phases: Sequence[PhaseTable]
    dtypes: bool  # whether the cases have more than one
    threads: bool
    several: bool  # whether there is more than one candidate
    floors: Facts

    @property
    def names(self) -> list[str]:
        """The phases."""
        return [phase.name for phase in self.phases]

    @property
    def rows(self) -> list[Row]:
        """The cases of all phases."""
        return [row for phase in self.phases for row in phase.rows]


def result_rows(
    table: pd.DataFrame, means: Sequence[Ratio], baseline: str, candidate: str
) -> ResultTable:
    """Write the results of all cases.

    Args:
        table: What `bench.report.elements.result_table.result_table` returns.
        means: Geometric mean ratio of each phase and candidate.
        baseline: Display name.
        candidate: Display name, where there is one only.
    """
    kinds = list(dict.fromkeys(table["implementation"]))
    several = len(kinds) > 1
    timed = table[table["phase"].isin(PHASES)]
    unit, length = unit_for([*timed["baseline_ns"], *timed["candidate_ns"]])
    # The table comes with small networks first; so shall who sorts by network find them.
    names = [*dict.fromkeys(timed["network"]), *kinds]
    places = {name: place for place, name in enumerate(names)}
    anchors = _anchors(timed, several=several)
    return ResultTable(
        unit=unit,
        phases=[
            PhaseTable(
                name=phase,
                text=PHASE_TEXTS[phase],
                rows=[
                    _row(row, rows, length, places, anchors[row.case, row.implementation])
                    for row in rows_of(rows)
                ],
                details=_details(rows, unit, length, baseline),
                mean="" if several else _mean_text(means, phase),
            )
            for phase in PHASES
            if len(rows := timed[timed["phase"] == phase])
        ],
        dtypes=timed["dtype"].nunique() > 1,
        threads=timed["threads"].nunique() > 1,
        several=several,
        floors=_floors(table[table["phase"].isin(OVERHEADS)], baseline, candidate),
    )


def _anchors(table: pd.DataFrame, *, several: bool) -> dict[tuple[str, str], str]:
    """Give every row a name for links: that of its case, and of its candidate if there are more."""
    found: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for row in rows_of(table):
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
    row: Any, rows: pd.DataFrame, length: float, places: Mapping[str, int], anchor: str
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
        baseline=_shown(row, "baseline", length, "_ns"),
        candidate=_shown(row, "candidate", length, "_ns"),
        ratio=_shown(row, "ratio"),
        mark=MARKS.get(row.verdict, ""),
        verdict=row.verdict or DASH,
        reason=row.reason,
        again=_shown(row, "again"),
        keys={name: repr(float(n)) if math.isfinite(n) else "" for name, n in numbers.items()},
        differs=_what_differs(rows, row),
    )


def _details(rows: pd.DataFrame, unit: str, length: float, baseline: str) -> Facts:
    lines = []
    seen: set[str] = set()
    for row in rows_of(rows):
        sides = [("candidate", implementation_name(row.implementation))]
        if row.case not in seen:  # once, however many candidates there are
            seen.add(row.case)
            sides.insert(0, ("baseline", baseline))
        lines += [
            (
                " · ".join([row.network, *_setting(rows, row)]),
                name,
                significant(getattr(row, f"{role}_minimum_ns") / length),
                _rate(row, role),
                TIMES.join(str(n or DASH) for n in (row.invocations, row.rounds, row.loops)),
            )
            for role, name in sides
        ]
    heads = (
        "network",
        "implementation",
        f"can run in, {unit}",
        "GFLOP/s",
        TIMES.join(("invocations", "rounds", "repetitions")),
    )
    return Facts(heads, lines)


def _mean_text(means: Sequence[Ratio], phase: str) -> str:
    """Write the mean of the one candidate; of several the ladder has a table."""
    found = [ratio.estimate for ratio in means if ratio.case == phase]
    known = bool(found) and math.isfinite(found[0].low)
    return f"Geometric mean of its ratios: {ratio_text(found[0])}." if known else ""


def _what_differs(rows: pd.DataFrame, row: Any) -> list[str]:
    """Name a row's dtype, threads and candidate where the rows of its table do not share them."""
    several = rows["implementation"].nunique() > 1
    return _setting(rows, row) + ([implementation_name(row.implementation)] if several else [])


def _setting(rows: pd.DataFrame, row: Any) -> list[str]:
    parts = [row.dtype] if rows["dtype"].nunique() > 1 else []
    return parts + ([count_text(row.threads, "thread")] if rows["threads"].nunique() > 1 else [])


def _shown(row: Any, name: str, length: float = 1.0, unit: str = "") -> Shown:
    point, low, high = (getattr(row, f"{name}{end}{unit}") for end in ("", "_low", "_high"))
    return Shown(*interval(point, low, high, length, apart=math.nan if unit else 1))


def _rate(row: Any, role: str) -> str:
    """Write GFLOP/s of the matrix products: flops per nanosecond."""
    point, low, high = (getattr(row, f"{role}{end}_ns") for end in ("", "_low", "_high"))
    if not (math.isfinite(point) and point > 0):
        return DASH
    if not (math.isfinite(low) and low > 0):
        return significant(row.flops / point)
    return interval(row.flops / point, row.flops / high, row.flops / low)[0]


def _floors(rows: pd.DataFrame, baseline: str, candidate: str) -> Facts:
    """Table what timing itself costs: a row per floor; of several candidates a row for each."""
    unit, length = unit_for([*rows["baseline_ns"], *rows["candidate_ns"]])
    kinds = list(dict.fromkeys(rows["implementation"]))
    if len(kinds) < 2:
        lines = [
            (
                _floor_name(rows, row),
                _cell(row, "baseline", length),
                _cell(row, "candidate", length),
            )
            for row in rows_of(rows)
        ]
        return Facts(("floor", f"{baseline}, {unit}", f"{candidate}, {unit}"), lines)
    names = list(dict.fromkeys(_floor_name(rows, row) for row in rows_of(rows)))
    cells: dict[str, dict[str, str]] = {baseline: {}}
    for row in rows_of(rows):
        name = _floor_name(rows, row)
        cells[baseline].setdefault(name, _cell(row, "baseline", length))
        cells.setdefault(implementation_name(row.implementation), {})[name] = _cell(
            row, "candidate", length
        )
    heads = ("implementation", *(f"{name}, {unit}" for name in names))
    return Facts(
        heads, [(who, *(of.get(name, DASH) for name in names)) for who, of in cells.items()]
    )


def _floor_name(rows: pd.DataFrame, row: Any) -> str:
    return " · ".join([PHASE_TEXTS[row.phase], *_setting(rows, row)])


def _cell(row: Any, role: str, length: float) -> str:
    shown = _shown(row, role, length, "_ns")
    return f"{shown.value} ({shown.ends})" if shown.ends else shown.value
