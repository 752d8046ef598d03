"""The table of every case of several runs: a row for each run, case and candidate. No markup.

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
    keys: Mapping[str, str]  # by column: a number to sort by; empty where there is none


@dataclass(frozen=True, slots=True)
class CaseTable:
    """The table: what all rows have in common is said once, above it."""

    rows: Sequence[RunRow]

    @property
    def shared(self) -> dict[str, str]:
        """What all rows have in common, by column."""
        first = self.rows[0].names
        return {
            name: first[name]
            for name in COLUMNS
            if name not in ("run", "ratio", "verdict")
            and all(row.names[name] == first[name] for row in self.rows)
        }

    @property
    def columns(self) -> list[str]:
        """The other columns."""
        shared = self.shared
        return [name for name in COLUMNS if name not in shared]

    @property
    def facts(self) -> Table:
        """Write the same as a plain table."""
        cells = [
            (
                *(row.names[column] for column in COLUMNS[:-2]),
                f"{row.ratio.value} ({row.ratio.ends})" if row.ratio.ends else row.ratio.value,
                f"{row.mark} {row.names['verdict']}".strip(),
            )
            for row in self.rows
        ]
        return Table(COLUMNS, cells, "Every case of every run")


def case_table(groups: Sequence[Group]) -> CaseTable | None:
    """List every case of every run, group by group, in the order of time; None of no cases."""
    found = [
        (number, group.name, one, result)
        for number, group in enumerate(groups)
        for one in group.runs
        for result in one.all
    ]
    problems = {result.case.problem for *_, result in found}
    networks = sorted(problems, key=lambda problem: flops(Case("forward", problem)))
    orders = {
        "run": list(dict.fromkeys(_run_name(one) for *_, one, _ in found)),
        "network": list(dict.fromkeys(map(network_text, networks))),
        "implementation": in_order(_kind(one, result) for *_, one, result in found),
        "preset": list(dict.fromkeys(one.run.plan.request.preset for *_, one, _ in found)),
    }
    rows = [_row(f"case-{place}", *of, orders) for place, of in enumerate(found, start=1)]
    return CaseTable(rows) if rows else None


def _run_name(one: Judged) -> str:
    return f"{date_text(one.run)} {one.run.name}"


def _kind(one: Judged, result: Result) -> str:
    """Name the implementation that a result is of."""
    specs = {spec.label: spec.implementation for spec in one.run.plan.workers}
    return specs.get(result.candidate, result.candidate)


def _row(
    anchor: str,
    number: int,
    machine: str,
    one: Judged,
    result: Result,
    orders: Mapping[str, Sequence[str]],
) -> RunRow:
    problem, verdict = result.case.problem, result.verdict
    ratio = result.ratio.estimate if result.ratio else None
    names = {
        "run": _run_name(one),
        "machine": machine,
        "preset": one.run.plan.request.preset,
        "phase": result.case.phase,
        "network": network_text(problem),
        "dtype": problem.dtype,
        "threads": str(problem.threads),
        "implementation": _kind(one, result),
        "verdict": verdict.kind if verdict else DASH,
    }
    numbers = {
        **{name: order.index(names[name]) for name, order in orders.items()},
        "machine": number,
        "phase": PHASES.index(result.case.phase),
        "dtype": int(problem.dtype.removeprefix("float")),
        "threads": problem.threads,
        "ratio": ratio.point if ratio else math.nan,
        "verdict": VERDICTS.index(verdict.kind) if verdict else math.nan,
    }
    return RunRow(
        anchor,
        names | {"implementation": implementation_name(names["implementation"])},
        Shown(*interval(ratio.point, ratio.low, ratio.high, apart=1)) if ratio else Shown(DASH, ""),
        MARKS[verdict.kind] if verdict else "",
        {name: repr(float(n)) if math.isfinite(n) else "" for name, n in numbers.items()},
    )
