"""How a run went: the contract, what the system did meanwhile, and what missed the target.

A stored run -> plain text. No files, no markup, no escaping.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.analysis.intervals import CONFIDENCE, quantile
from bench.measuring.schedule import Cost, invocation_s
from bench.model.cases import case_id, case_text
from bench.model.numbers import DASH, count_text, duration_text
from bench.model.records import BREAKDOWN, FairnessCheck, Result, Run, Sample
from bench.model.slots import candidates_of
from bench.report.elements.section import Facts
from bench.storage.runs import Stored
from bench.workers.fairness import CLAUSES

NOT_KNOWN = "This run was made by an older version, which did not record it."
PREEMPTED_SHARE, PREEMPTED_LEAST = 0.05, 3
"""A case counts as disturbed if a larger share of its readings lost their core to another process,
and so many at least: of few readings a single one is a large share."""
KEPT = 0.98
"""A reading lost its core if it was preempted and worked for less than this share of its time."""


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """How a run went."""

    contract_text: str
    contract: Facts
    system_text: str
    system: Facts
    spent_text: str  # empty where it is not known
    shortfalls: Sequence[str]  # a line for each case that did not reach the target


def diagnostics_of(stored: Stored, results: Sequence[Result]) -> Diagnostics:
    """Tell how a run went."""
    text, table = _contract(stored)
    system_text, system = _system(stored)
    missed = shortfalls(stored.run, results)
    return Diagnostics(text, table, system_text, system, spent_text(stored.run), missed)


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


def disturbed(stored: Stored) -> list[str]:
    """Say in a line what the system disturbed, if anything."""
    cases = [
        name
        for name, (lost, of) in _preempted(stored.samples).items()
        if lost > PREEMPTED_SHARE * of and lost >= PREEMPTED_LEAST
    ]
    if not cases:
        return []
    names = {case_id(case): case_text(case) for case in stored.run.plan.cases}
    return [
        f"disturbed: in {count_text(len(cases), 'case')} more than {PREEMPTED_SHARE:.0%} of the "
        f"readings lost their core to another process, in {names[cases[0]]} the most"
    ]


def shortfalls(run: Run, results: Sequence[Result]) -> list[str]:
    """Say which cases did not reach the target of the run, and what it would take."""
    target = run.plan.request.target
    if target is None:
        return []
    lines = []
    several = len(candidates_of(run)) > 1
    for result in results:
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


def _contract(stored: Stored) -> tuple[str, Facts]:
    """Sum up the lines of the contract."""
    by_name: dict[str, list[FairnessCheck]] = defaultdict(list)
    # A run that was resumed may have checked one twice: the last look counts.
    for fairness_check in {
        (one.subject, one.name, _who(one)): one for one in stored.contract
    }.values():
        by_name[fairness_check.name].append(fairness_check)
    heads = ("line", "what it asks", "kept", "found")
    if stored.run.schema < 3 or stored.run.source != "bench":
        return NOT_KNOWN, Facts(heads, ())
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
        return "Nothing was checked: the run ended before.", Facts(heads, ())
    kept = "all were kept" if not wrong else f"{wrong} were broken, and their cases are INVALID"
    text = f"Before the first sample {count_text(total, 'check')} were made inside the workers: "
    return f"{text}{kept}.", Facts(heads, rows)


def _who(fairness_check: FairnessCheck) -> str:
    """Return whom a line is about, where there is one for each worker."""
    return fairness_check.found.partition(":")[0] if ":" in fairness_check.found else ""


def _preempted(samples: Sequence[Sample]) -> dict[str, tuple[int, int]]:
    """Return by case id how many readings lost their core, and of how many; worst case first.

    What was timed for the breakdown of the phases has no verdict, and is left out.
    """
    known = [
        sample
        for sample in samples
        if not sample.warmup
        and sample.preempted is not None
        and sample.case.partition("/")[0] not in BREAKDOWN
    ]
    counts: dict[str, list[bool]] = defaultdict(list)
    for sample in known:
        # A long reading always sees some switch; what counts is that it cost time.
        worked = sample.elapsed_ns if sample.cpu_ns is None else sample.cpu_ns
        counts[sample.case].append(bool(sample.preempted) and worked < KEPT * sample.elapsed_ns)
    found = {name: (sum(hits), len(hits)) for name, hits in counts.items()}
    return dict(sorted(found.items(), key=lambda pair: -pair[1][0] / pair[1][1]))


def _system(stored: Stored) -> tuple[str, Facts]:
    """Tell what the system did while samples were taken."""
    labels = [spec.label for spec in stored.run.plan.workers if spec.role != "again"]
    heads = ("case", "readings that lost their core", *(f"page faults, {one}" for one in labels))
    lost = _preempted(stored.samples)
    if not lost:
        return NOT_KNOWN, Facts(heads, ())
    faults: dict[tuple[str, str], list[float]] = defaultdict(list)
    for sample in stored.samples:
        if not sample.warmup and sample.page_faults is not None:
            faults[sample.case, sample.worker].append(sample.page_faults / sample.loops)
    rows = []
    for case in stored.run.plan.cases:
        name = case_id(case)
        if name not in lost:
            continue
        mine = [faults.get((name, label), []) for label in labels]
        cells = [f"{median(one):.3g}" if one else DASH for one in mine]
        hits, of = lost[name]
        rows.append((case_text(case), f"{hits / of:.1%}", *cells))
    text = (
        "What the system says of the workers' processes during the readings that count: how many "
        "lost their core to another process, and the pages that came for the first time, in the "
        f"median for a repetition. {'; '.join(disturbed(stored)) or 'No case is disturbed'}."
    )
    return text, Facts(heads, rows)
