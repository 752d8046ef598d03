"""The table of every case of several runs: a row per run, case and candidate. No markup.

Each ratio is its run's own; rows are there to be sorted and filtered, by preset among others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.ladder_steps import in_order
from bench.model.arithmetic import flops
from bench.model.cases import network_text
from bench.model.numbers import DASH, interval
from bench.model.records import PHASES, Case, Result
from bench.model.tables import Table
from bench.report.elements.case_rows import Shown
from bench.report.elements.sentences import MARKS, VERDICTS, implementation_name
from bench.report.multi_run.runs import Group, Judged
from bench.storage.dates import date_text

COLUMNS = (
    *("run", "machine", "preset", "phase", "network", "dtype", "threads", "implementation"),
    *("ratio", "verdict"),
)


@dataclass(frozen=True, slots=True)
class RunRow:
    """One case of one run, of one candidate."""

    anchor: str
    names: Mapping[str, str]  # by column, all that can be filtered by
    ratio: Shown
    mark: str
    reason: str
    keys: Mapping[str, str]  # by column: a number to sort by; empty where there is none


def run_rows(groups: Sequence[Group]) -> list[RunRow]:
    """List every case of every run, group by group, in the order of time."""
    found = [
        (number, group, one, result)
        for number, group in enumerate(groups)
        for one in group.runs
        for result in one.all
    ]
    networks = sorted(
        {result.case.problem for *_, result in found},
        key=lambda problem: flops(Case("forward", problem)),
    )
    places = {
        "network": list(dict.fromkeys(map(network_text, networks))),
        "implementation": in_order(_kind(one, result) for _, _, one, result in found),
        "preset": list(dict.fromkeys(one.run.plan.preset for _, _, one, _ in found)),
    }
    runs: dict[int, int] = {}
    for _, _, one, _ in found:
        runs.setdefault(id(one), len(runs))
    return [
        _row(f"case-{place}", (number, group, one, result), places, runs[id(one)])
        for place, (number, group, one, result) in enumerate(found, start=1)
    ]


def rows_as_facts(rows: Sequence[RunRow]) -> Table:
    """Write the same as a plain table."""
    cells = [
        (
            *(row.names[column] for column in COLUMNS[:-2]),
            f"{row.ratio.value} ({row.ratio.ends})" if row.ratio.ends else row.ratio.value,
            f"{row.mark} {row.names['verdict']}".strip(),
        )
        for row in rows
    ]
    return Table(COLUMNS, cells, "Every case of every run")


def _kind(one: Judged, result: Result) -> str:
    """Name the implementation that a result is of."""
    specs = {spec.label: spec.implementation for spec in one.run.plan.workers}
    return specs.get(result.candidate, result.candidate)


def _row(
    anchor: str,
    of: tuple[int, Group, Judged, Result],
    places: Mapping[str, Sequence[str]],
    run: int,
) -> RunRow:
    number, group, one, result = of
    problem, verdict = result.case.problem, result.verdict
    kind, network = _kind(one, result), network_text(problem)
    ratio = result.ratio.estimate if result.ratio else None
    point = ratio.point if ratio else math.nan
    numbers = {
        "run": run,
        "machine": number,
        "preset": places["preset"].index(one.run.plan.preset),
        "phase": PHASES.index(result.case.phase),
        "network": places["network"].index(network),
        "dtype": int(problem.dtype.removeprefix("float")),
        "threads": problem.threads,
        "implementation": places["implementation"].index(kind),
        "ratio": point,
        "verdict": VERDICTS.index(verdict.kind) if verdict else math.nan,
    }
    return RunRow(
        anchor,
        names={
            "run": f"{date_text(one.run)} {one.run.name}",
            "machine": group.name,
            "preset": one.run.plan.preset,
            "phase": result.case.phase,
            "network": network,
            "dtype": problem.dtype,
            "threads": str(problem.threads),
            "implementation": implementation_name(kind),
            "verdict": verdict.kind if verdict else DASH,
        },
        ratio=Shown(*interval(ratio.point, ratio.low, ratio.high, apart=1))
        if ratio
        else Shown(DASH, ""),
        mark=MARKS[verdict.kind] if verdict else "",
        reason=verdict.reason if verdict else "",
        keys={name: repr(float(n)) if math.isfinite(n) else "" for name, n in numbers.items()},
    )
