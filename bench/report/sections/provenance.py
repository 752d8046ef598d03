"""Why the numbers may be believed: parity, faults, environment -> tables of plain text.

No files, no markup, no escaping.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.run_analysis import RunAnalysis
from bench.model.arithmetic import flops
from bench.model.cases import case_id, case_text, problem_id
from bench.model.numbers import (
    DASH,
    TIMES,
    count_text,
    interval,
    listing,
    ratio_text,
    significant,
    time_text,
)
from bench.model.records import PHASES, Estimate, Fault, ParityResult, Rate, Run, Share, TensorCheck
from bench.model.tables import Table
from bench.report.elements.case_rows import CaseRow, KindOfTensor, error_share, worst_of_kinds
from bench.report.elements.sentences import implementation_name, problem_text, slot_names

IMPOSSIBLE = "✕"
FAILED = f"\N{NO-BREAK SPACE}{IMPOSSIBLE}"
MUST_AGREE = ("threads", "denormals")


@dataclass(frozen=True, slots=True)
class Failure:
    """A problem that failed parity, with every tensor that did."""

    problem: str
    reason: str
    tensors: Table


@dataclass(frozen=True, slots=True)
class Parity:
    """What was compared before timing."""

    text: str
    table: Table
    failures: Sequence[Failure]


@dataclass(frozen=True, slots=True)
class Faults:
    """What went wrong while measuring."""

    text: str
    table: Table
    disturbed: Table


def parity_facts(run: Run, parity: Sequence[ParityResult]) -> Parity:
    """Tell what was compared before timing: the worst of each kind, and every failure."""
    tensors: dict[tuple[str, str], list[TensorCheck]] = {}
    for result in parity:
        tensors.setdefault((result.problem, result.candidate), []).extend(result.tensors)
    worst = {key: worst_of_kinds(checks) for key, checks in tensors.items() if checks}
    kinds = list(dict.fromkeys(kind for of in worst.values() for kind in of))
    names = {problem_id(case.problem): problem_text(case.problem) for case in run.plan.cases}
    several = len(run.candidates) > 1

    def name(problem: str, candidate: str) -> str:
        found = names.get(problem, problem)
        return f"{found} · {implementation_name(candidate)}" if several else found

    rows = [
        [
            name(*key),
            *(
                _share_text(of[kind].share, ok=of[kind].ok) if kind in of else DASH
                for kind in kinds
            ),
        ]
        for key, of in worst.items()
    ]
    failures = [
        Failure(
            name(result.problem, result.candidate),
            result.reason,
            Table(
                ("tensor", "shape", "error", "tolerance", "error/tolerance"),
                [
                    (
                        check.name,
                        TIMES.join(map(str, check.shape)) or "one number",
                        f"{check.error:.2g}",
                        f"{check.tolerance:.2g}",
                        _share_text(error_share(check), ok=check.ok),
                    )
                    for check in result.tensors
                    if not check.ok
                ],
            ),
        )
        for result in parity
        if not result.ok
    ]
    text = _parity_text(parity, [one for of in worst.values() for one in of.values()])
    return Parity(text, Table(("problem", *kinds), rows), failures)


def _parity_text(parity: Sequence[ParityResult], kinds: Sequence[KindOfTensor]) -> str:
    if not parity:
        return "Nothing was compared in this run, so nothing here says that both compute the same."
    tensors = count_text(sum(kind.tensors for kind in kinds), "tensor")
    several = len({result.candidate for result in parity}) > 1
    problems = count_text(len({result.problem for result in parity}), "problem")
    if several:
        problems += f" and {count_text(len({one.candidate for one in parity}), 'implementation')}"
    of = count_text(len(parity), "comparison") if several else problems
    failed = sum(not result.ok for result in parity)
    worst = max((kind.share for kind in kinds), default=0.0)
    if failed:
        verdict = f"{failed} of {of} failed"
    elif not worst:
        verdict = "all are the same"
    else:
        verdict = f"all agree, the worst at {_share_text(worst, ok=True)} of its tolerance"
    return (
        f"Before timing, {tensors} of {problems} were compared by name: {verdict}. The table shows "
        "the worst error/tolerance of each kind of tensor: 0 is no difference, above 1 a failure."
    )


def _share_text(share: float, *, ok: bool) -> str:
    if 0 < share < 0.001:
        text = "<0.001"
    else:
        text = significant(share, 2) if math.isfinite(share) else "beyond any"
    return text if ok else f"{text}{FAILED}"


def fault_facts(run: Run, faults: Sequence[Fault], cases: Sequence[CaseRow]) -> Faults:
    """Tell which workers failed and which invocations were disturbed."""
    names = {case_id(case): case_text(case) for case in run.plan.cases}
    rows = [
        (names.get(fault.case, fault.case), fault.worker, str(fault.invocation), fault.reason)
        for fault in faults
    ]
    several = len(run.candidates) > 1
    disturbed = [
        (_whose(names[row.case], row, several=several), str(row.drifting), str(row.incomplete))
        for row in cases
        if row.drifting or row.incomplete
    ]
    found = []
    if rows:
        found.append(f"{count_text(len(rows), 'fault')}; cases with one have no verdict")
    if disturbed:
        what = "comparison" if several else "case"
        found.append(
            f"{count_text(len(disturbed), what)} with disturbed invocations (drifting: readings "
            "still moved at the end, kept; incomplete: a reading is missing, left out)"
        )
    text = "None: every worker answered, every invocation is complete, and no readings drifted."
    return Faults(
        f"{listing(found)}." if found else text,
        Table(("case", "worker", "invocation", "reason"), rows),
        Table(("case", "drifting invocations", "incomplete invocations"), disturbed),
    )


def _whose(case: str, row: CaseRow, *, several: bool) -> str:
    return f"{case} · {implementation_name(row.implementation)}" if several else case


@dataclass(frozen=True, slots=True)
class Roofline:
    """How near the cases come to the machine's peak; without groups, no peak was read."""

    text: str
    groups: Sequence[Table]  # a problem each
    limits: Sequence[str]  # what the probes found, a line each
    errors: Sequence[str]  # a line, if rates lie above the peak

    @property
    def table(self) -> Table:
        """The groups as one table."""
        heads = self.groups[0].heads if self.groups else ("",)
        rows = [(f"{g.name} · {row[0]}", *row[1:]) for g in self.groups for row in g.rows]
        return Table(("case", *heads[1:]), rows)


def roofline_of(analysis: RunAnalysis) -> Roofline:
    """Tell the part of the machine's peak that each case reaches, and what the peak is.

    Of several candidates the table is of the main one; errors are of all.
    """
    run = analysis.run
    baseline, candidate = slot_names(run)
    found = {(share.case, share.worker): share for share in analysis.shares}
    groups: dict[str, list[tuple[str, ...]]] = {}
    for result in analysis.of_main.results:
        case = result.case
        time = result.times.get(run.main.label)
        mine = found.get((case, run.main.label))
        if case.phase not in PHASES or time is None or mine is None:
            continue
        groups.setdefault(problem_text(case.problem), []).append(
            (
                case.phase,
                time_text(time.median_ns.point),
                significant(flops(case) / time.median_ns.point),
                _percent_text(mine),
                _percent_text(found.get((case, run.baseline.label))),
                ratio_text(result.ratio.estimate) if result.ratio else DASH,
            )
        )
    heads = (
        *("phase", candidate, "GFLOP/s", f"{candidate}, %", f"{baseline}, %"),
        f"{baseline}/{candidate}",
    )
    return Roofline(
        "Percent of the machine's peak, as its multiply-add units show it in registers beside "
        "each network, with the 95 % interval. Arithmetic is that of the matrix products, 2MNK "
        f"each; {candidate}'s epoch moves the weights inside the product that forms their "
        f"gradient. The last column is {baseline}'s time over {candidate}'s.",
        [Table(heads, rows, name) for name, rows in groups.items()],
        [_limit_text(rate) for rate in analysis.rates],
        _errors([share for share in found.values() if share.impossible], len(found)),
    )


def _errors(impossible: Sequence[Share], total: int) -> list[str]:
    """Say in one line that some rates cannot be, if so, and name the worst."""
    if not impossible:
        return []
    worst = max(impossible, key=lambda share: share.estimate.point)
    return [
        f"ERROR: {len(impossible)} of {count_text(total, 'rate')} above the measured peak, marked "
        f"{IMPOSSIBLE}; the furthest is {worst.worker}'s {case_text(worst.case)}, at "
        f"{_percent_text(worst)} %. The time, the arithmetic or the probe is wrong there"
    ]


def _percent_text(share: Share | None) -> str:
    """Write a part of the peak in percent, marked where it is impossible: `82.1 (81.9–82.4)`."""
    if share is None:
        return DASH
    point, low, high = (
        f"{100 * value:.1f}" if math.isfinite(value) else ""
        for value in (share.estimate.point, share.estimate.low, share.estimate.high)
    )
    return f"{f'{IMPOSSIBLE} ' if share.impossible else ''}{point} ({low}{DASH}{high})"


def _limit_text(rate: Rate) -> str:
    """Say what a probe found: `peak, float64, 1 thread: 115.2 (114.8–115.6) GFLOP/s`."""
    names = {
        "peak": f"peak, {rate.dtype}",
        "memory": "triad in memory",
        "cache": "triad in the second-level cache",
    }
    estimate: Estimate = rate.estimate
    value, ends = interval(estimate.point, estimate.low, estimate.high)
    unit = "GFLOP/s" if rate.phase == "peak" else "GB/s"
    return f"{names[rate.phase]}, {count_text(rate.threads, 'thread')}: {value} ({ends}) {unit}"


def environment_facts(run: Run) -> list[Table]:
    """Tell where the run took place: machine, software, workers, data."""
    before, after = run.environment, run.environment_after
    machine = flatten(before.machine)
    later = flatten(after.machine) if after else {}
    changed = [
        (key, machine.get(key, DASH), value)
        for key, value in later.items()
        if machine.get(key) != value
    ]
    tables = [
        Table(("fact", "value"), list(machine.items()), "Machine"),
        Table(("fact", "before", "after"), changed, "What changed on the machine during the run"),
        Table(("name", "version"), list(flatten(before.software).items()), "Software"),
    ]
    workers = {
        label: {
            key.removeprefix("facts ").removeprefix("versions "): value
            for key, value in flatten(described).items()
        }
        for label, described in before.workers.items()
    }
    keys = list(dict.fromkeys(key for facts in workers.values() for key in facts))
    tables += [
        Table(
            ("fact", *workers),
            [
                _agreement(key, {who: facts.get(key, DASH) for who, facts in workers.items()})
                for key in keys
            ],
            "Workers, as each described itself (threads confirmed inside the process)",
        ),
        Table(("data", "sha256"), list(flatten(before.data).items()), "Data"),
    ]
    return [table for table in tables if table.rows]


def _agreement(key: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """Make a row of the workers' facts; mark what must be the same and is not.

    A worker that was started with other threads too has another column, `mojo, 2 threads`: those
    with as many must agree.
    """
    groups: dict[str, set[str]] = {}
    for who, value in values.items():
        threads = re.search(r", \d+ threads$", who)
        groups.setdefault(threads[0] if threads else "", set()).add(value)
    differs = key in MUST_AGREE and any(len(found) > 1 for found in groups.values())
    return (f"{key}{FAILED} differs" if differs else key, *values.values())


def flatten(facts: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Write nested facts as one level of text: `{"load": {"1m": 0.5}}` is `load 1m: 0.5`."""
    flat: dict[str, str] = {}
    for key, value in facts.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name} ")
        elif isinstance(value, list | tuple):
            flat[name] = ", ".join(map(str, value))
        else:
            flat[name] = str(value)
    return flat
