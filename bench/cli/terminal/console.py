"""Tables on the terminal: the words come from `bench.report.elements.sentences`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.analysis.run_analysis import RunAnalysis
from bench.analysis.verdicts import noise_floor
from bench.cli.terminal.text import show_lines, show_table
from bench.model.cases import case_text
from bench.model.numbers import DASH, ratio_text, significant, time_text
from bench.model.records import (
    BREAKDOWN,
    OVERHEADS,
    PROBES,
    Case,
    Fault,
    ParityResult,
    Result,
    WorkerSpec,
)
from bench.model.tables import Table
from bench.model.workload import problem_label
from bench.report.elements.case_names import CaseNames
from bench.report.elements.case_rows import error_share
from bench.report.elements.sentences import MARKS, implementation_name, slot_names
from bench.report.sections.provenance import Roofline

UNFINISHED = {
    "running": ("this run did not come to its end: what is complete was judged",),
    "interrupted": ("this run was interrupted: what is complete was judged",),
}


def show_results(analysis: RunAnalysis) -> None:
    """Print a run's table, and below it why cases have no verdict.

    Where there are several candidates, each has a line of its own below the network, after the
    baseline's; overheads are left to the page.
    """
    run = analysis.run
    slots = {spec.label: spec for spec in run.plan.workers}
    baseline, several = run.baseline, len(run.candidates) > 1
    names = slot_names(run)
    hidden = (*PROBES, *BREAKDOWN, *(OVERHEADS if several else ()))
    results = [one for one in analysis.results if one.case.phase not in hidden]
    # What all cases have in common is said once, in the sentence below the table.
    case_names = CaseNames.of(result.case for result in results)
    groups: dict[str, list[tuple[str, ...]]] = {}
    reasons: dict[str, list[str]] = {}
    last = None
    for result in results:
        candidate = slots[result.candidate]
        verdict = result.verdict
        lines = groups.setdefault(_group_name(result.case, case_names), [])
        floor = _floor_text(noise_floor(result.again))
        told = (
            _time(result, candidate),
            ratio_text(result.ratio.estimate) if result.ratio else DASH,
            f"{MARKS[verdict.kind]} {verdict.kind}" if verdict else DASH,
        )
        if several and result.case != last:
            lines.append((_row_name(result.case), "", "", ""))
            lines.append((f" {names[0]}", _time(result, baseline), f"A/A {floor}", ""))
        last = result.case
        if several:
            lines.append((f" {implementation_name(candidate.implementation)}", *told))
        else:
            time, ratio, judged = told
            lines.append(
                (_row_name(result.case), _time(result, baseline), time, ratio, floor, judged)
            )
        if verdict and verdict.kind in ("UNRESOLVED", "INVALID"):
            whose = f"{implementation_name(candidate.implementation)}, " if several else ""
            names_of = reasons.setdefault(f"{verdict.kind}: {verdict.reason}", [])
            names_of.append(f"{whose}{case_names.case(result.case)}")
    heads: tuple[str, ...] = ("network", *names, "ratio (95 %)", "A/A", "verdict")
    heads = ("network", "time", "ratio (95 %)", "verdict") if several else heads
    nothing = ("",) * (len(heads) - 1)
    # A phase stands above its rows, so that what is told of a case fits into eighty columns.
    lines = [
        line
        for phase, rows in groups.items()
        for line in ((phase, *nothing), *((f" {name}", *cells) for name, *cells in rows))
    ]
    show_table(Table(heads, lines), tight=True)
    for reason, cases in reasons.items():
        show_lines([f"{cases[0] if len(cases) == 1 else f'{len(cases)} cases'}: {reason}"])
    whose = "that of the implementation" if several else f"{names[1]}'s"
    faster = "it" if several else names[1]
    show_lines(
        [
            f"ratio: {names[0]}'s time over {whose}, above 1 {faster} is faster; "
            f"A/A: {names[0]} against itself, the noise floor",
            *analysis.notes,
            *UNFINISHED.get(run.status, ()),
        ]
    )


def _group_name(case: Case, names: CaseNames) -> str:
    """Say below which line a case stands: its phase, and its setting if there are several."""
    name = "overheads" if case.phase in OVERHEADS else case.phase
    if not (names.dtypes or names.threads):
        return name
    dtype = "" if case.phase in OVERHEADS else f" f{case.problem.dtype[-2:]}"
    return f"{name}{dtype} t{case.problem.threads}"


def _row_name(case: Case) -> str:
    """Name a case below its phase, short: `1,50x9,1 b20`."""
    problem = case.problem
    if case.phase in OVERHEADS:
        return case.phase
    return problem_label(problem)


def show_roofline(found: Roofline) -> None:
    """Print the part of the peak that each case reaches, in 80 columns."""
    lines = [row for group in found.groups for row in (group.heads, *group.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for group in found.groups:
        show_lines(["", group.name])
        for first, *others in (group.heads, *group.rows):
            cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
            show_lines([" ".join([first.ljust(widths[0]), *cells])])
    show_lines(["", *found.limits, "", found.text, *found.errors])


def show_below_one(analysis: RunAnalysis) -> None:
    """Print the cells in which the main candidate is slower, the slowest first, or that none is."""
    run, results = analysis.run, analysis.of_main.results
    ratios = [(result.ratio.estimate, result.case) for result in results if result.ratio]
    what = f"{slot_names(run)[1]}'s ratio" if len(run.candidates) > 1 else "ratio"
    below = [pair for pair in ratios if pair[0].point < 1]
    sure = sum(estimate.high < 1 for estimate, _ in below)
    if not below:
        show_lines([f"{what} below 1: none of {len(ratios)} cells"] if ratios else [])
        return
    below.sort(key=lambda pair: pair[0].point)
    head = f"{what} below 1: {len(below)} of {len(ratios)} cells, {sure} by the whole interval"
    show_lines([head, *(f"  {ratio_text(ratio)} {case_text(case)}" for ratio, case in below)])


def show_parity(results: Sequence[ParityResult], faults: Sequence[Fault]) -> None:
    """Print the worst tensor of each problem, every tensor that differs, and every fault."""
    rows, lines = [], []
    several = len({result.candidate for result in results}) > 1
    for result in results:
        worst = max(result.tensors, key=error_share)
        rows.append(
            (
                f"{result.problem} {result.candidate}" if several else result.problem,
                str(len(result.tensors)),
                worst.name,
                significant(error_share(worst), 2),
                "ok" if result.ok else "FAILED",
            )
        )
        lines += [
            f"{result.problem}: {check.name} of {result.candidate} differs from "
            f"{result.reference}: error {check.error:.2g}, tolerance {check.tolerance:.2g}"
            for check in result.tensors
            if not check.ok
        ]
    lines += [f"{fault.case}: {fault.worker}: {fault.reason}" for fault in faults]
    heads = ("problem", "tensors", "worst tensor", "error/tolerance", "parity")
    show_table(Table(heads, rows))
    show_lines(lines)


def _floor_text(floor: float) -> str:
    if math.isnan(floor):
        return DASH
    return f"±{floor:.1%}" if floor < 1 else ">100%"


def _time(result: Result, spec: WorkerSpec) -> str:
    time = result.times.get(spec.label)
    return time_text(time.median_ns.point) if time else DASH
