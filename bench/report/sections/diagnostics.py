"""How a run went: fairness checks, what the system did meanwhile, and what missed the target.

A stored run -> plain text. No files, no markup, no escaping.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.intervals import CONFIDENCE, quantile
from bench.analysis.readings import PREEMPTED_SHARE
from bench.analysis.run_analysis import RunAnalysis
from bench.measuring.schedule import Cost, invocation_s
from bench.model.cases import case_id, case_text
from bench.model.numbers import DASH, count_text, duration_text
from bench.model.records import FairnessCheck, Run
from bench.model.tables import Table
from bench.workers.fairness import CLAUSES

NOT_KNOWN = "This run was made by an older version, which did not record it."


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """How a run went."""

    fairness_text: str
    fairness: Table
    system_text: str
    system: Table
    spent_text: str  # empty where it is not known
    shortfalls: Sequence[str]  # a line for each case that did not reach the target


def diagnostics_of(analysis: RunAnalysis) -> Diagnostics:
    """Tell how a run went."""
    text, table = _fairness(analysis)
    system_text, system = _system(analysis)
    spent = spent_text(analysis.run)
    return Diagnostics(text, table, system_text, system, spent, shortfalls(analysis))


def spent_text(run: Run) -> str:
    """Say how much of the time of a run went into its samples."""
    spent = run.spent
    if spent is None or not spent.wall_ns:
        return ""
    return (
        f"The run took {duration_text(spent.wall_ns / 1e9)} until all was measured. Of that time "
        f"{spent.sampling_ns / spent.wall_ns:.0%} lie between a request for a sample and its "
        "answer, pilot and warm-up included: that is repetitions, timed or before the clock "
        "starts. The rest is parity, starting and preparing processes, training and costs."
    )


def disturbed(analysis: RunAnalysis) -> list[str]:
    """Say in a line what the system disturbed, if anything."""
    cases = analysis.disturbance.disturbed
    if not cases:
        return []
    worst = case_text(analysis.cases[cases[0]])
    return [
        f"disturbed: in {count_text(len(cases), 'case')} more than {PREEMPTED_SHARE:.0%} of the "
        f"readings lost their core to another process, in {worst} the most"
    ]


def shortfalls(analysis: RunAnalysis) -> list[str]:
    """Say which cases did not reach the target of the run, and what it would take."""
    run = analysis.run
    target = run.plan.request.target
    if target is None:
        return []
    lines = []
    several = len(run.candidates) > 1
    for result in analysis.results:
        if result.ratio is None or result.ratio.estimate.count < 2:
            continue
        estimate = result.ratio.estimate
        half = math.log(estimate.high / estimate.low) / 2
        if half <= math.log1p(target):
            continue
        count = estimate.count
        spread = half * math.sqrt(count) / float(quantile(count, CONFIDENCE))
        cost = Cost(spread, count, invocation_s(run.plan, case_id(result.case)))
        more = cost.wanted(target) - count
        whose = f"{result.candidate}, " if several else ""
        lines.append(
            f"{whose}{case_text(result.case)}: ±{math.expm1(half):.1%}, not ±{target:.1%}; about "
            f"{count_text(more, 'more invocation')}, {duration_text(more * cost.seconds)}, would do"
        )
    return lines


def _fairness(analysis: RunAnalysis) -> tuple[str, Table]:
    """Sum up the fairness checks."""
    by_name: dict[str, list[FairnessCheck]] = defaultdict(list)
    # A run that was resumed may have checked one twice: the last look counts.
    for fairness_check in {
        (one.subject, one.name, _who(one)): one for one in analysis.fairness
    }.values():
        by_name[fairness_check.name].append(fairness_check)
    heads = ("check", "what it asks", "passed", "found")
    if analysis.run.schema < 3 or analysis.run.source != "bench":
        return NOT_KNOWN, Table(heads, ())
    rows = []
    for name, meaning in CLAUSES.items():
        fairness_checks = by_name.get(name, [])
        if not fairness_checks:
            continue
        broken = [one for one in fairness_checks if not one.ok]
        found = list(dict.fromkeys(one.found for one in fairness_checks))
        text = found[0] if len(found) == 1 else f"{found[0]} … {found[-1]}"
        if broken:
            text = broken[0].broken
        rows.append(
            (name, meaning, f"{len(fairness_checks) - len(broken)} of {len(fairness_checks)}", text)
        )
    total = sum(map(len, by_name.values()))
    wrong = sum(not one.ok for fairness_checks in by_name.values() for one in fairness_checks)
    if not total:
        return "Nothing was checked: the run ended before.", Table(heads, ())
    kept = "all passed" if not wrong else f"{wrong} failed, and their cases are INVALID"
    text = f"Before the first sample {count_text(total, 'check')} were made inside the workers: "
    return f"{text}{kept}.", Table(heads, rows)


def _who(fairness_check: FairnessCheck) -> str:
    """Return whom a check is about, where there is one for each worker."""
    return fairness_check.found.partition(":")[0] if ":" in fairness_check.found else ""


def _system(analysis: RunAnalysis) -> tuple[str, Table]:
    """Tell what the system did while samples were taken."""
    labels = [spec.label for spec in analysis.run.plan.workers if spec.role != "again"]
    heads = ("case", "readings that lost their core", *(f"page faults, {one}" for one in labels))
    lost, page_faults = analysis.disturbance.preempted, analysis.disturbance.page_faults
    if not lost:
        return NOT_KNOWN, Table(heads, ())
    rows = []
    for name, case in analysis.cases.items():
        if name not in lost:
            continue
        mine = [page_faults.get((name, label)) for label in labels]
        cells = [DASH if one is None else f"{one:.3g}" for one in mine]
        hits, of = lost[name]
        rows.append((case_text(case), f"{hits / of:.1%}", *cells))
    text = (
        "What the system says of the workers' processes during the readings that count: how many "
        "lost their core to another process, and the pages that came for the first time, in the "
        f"median for a repetition. {'; '.join(disturbed(analysis)) or 'No case is disturbed'}."
    )
    return text, Table(heads, rows)
