"""Cuts long runs of known truth into many short ones, and counts what these conclude. Pure.

A long run of an implementation against itself, or against itself slowed, is as many trials as it
has tens of invocations: each is judged as a run of its own would be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bench.analysis.run_analysis import analyse
from bench.analysis.verdicts import LEAST_FOR_VERDICT
from bench.measuring.validation.simulation import Share
from bench.measuring.validation.slowed import HANDICAPS, true_ratio
from bench.model.cases import NETWORKS, case_id
from bench.model.records import Case, Problem, Result, Run, Sample, WorkerSpec
from bench.storage.runs import Stored

CASES = {
    "least": Case("forward", Problem((1, 50, 1), 20, 500, "float64", 1)),
    "tiny": Case("forward", Problem(*NETWORKS[0], "float64", 1)),
    "middle": Case("epoch", Problem(*NETWORKS[2], "float64", 1)),
}
"""What is timed against itself, by size. The least repeats its work often enough in a sample for
one percent more to be whole repetitions."""
BASELINE = WorkerSpec("numpy", "numpy", "baseline")
AGAIN = WorkerSpec("numpy-again", "numpy", "again")
ITSELF = (BASELINE, AGAIN, WorkerSpec("numpy-too", "numpy", "candidate"))
SLOWED = (
    BASELINE,
    AGAIN,
    *(
        WorkerSpec(kind.__name__, f"bench.measuring.validation.slowed:{kind.__name__}", "candidate")
        for kind in HANDICAPS
    ),
)


@dataclass(frozen=True, slots=True)
class FalseClaims:
    """What was claimed of one implementation against itself."""

    excluding: Share  # 95 % intervals that do not hold 1
    different: Share  # verdicts FASTER or SLOWER


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found of an implementation slowed by a known share."""

    slower_by: float  # by the counts of repetitions: 0.02 is two percent
    excluding: Share  # 95 % intervals that lie below 1
    slower: Share  # verdicts SLOWER
    found: float  # mean of the estimates, as a share: what `slower_by` should be
    half_width: float  # mean half width of the intervals, as a share


def trials(stored: Stored, candidate: str, size: int = LEAST_FOR_VERDICT) -> list[Result]:
    """Judge each `size` invocations of a run of one case as a run of their own.

    Args:
        stored: The long run.
        candidate: Label of the candidate that counts; others are left out.
        size: Invocations of a trial.
    """
    specs = tuple(
        spec
        for spec in stored.run.plan.workers
        if spec.role != "candidate" or spec.label == candidate
    )
    run = replace(stored.run, plan=stored.run.plan.of(workers=specs, invocations=size))

    def trial(sample: Sample) -> int:
        return sample.invocation // size

    samples = sorted(stored.samples, key=trial)
    groups = [list(group) for _, group in groupby(samples, key=trial)]
    return [
        result
        for group in groups
        for result in analyse(run, group, stored.parity, stored.faults).results
        if result.ratio is not None and result.ratio.estimate.count == size
    ]


def false_claims(found: Sequence[Result]) -> FalseClaims:
    """Count what trials of an implementation against itself claimed."""
    excluding = [r for r in found if r.ratio and not _holds(r, 1.0)]
    different = [r for r in found if r.verdict and r.verdict.kind in ("FASTER", "SLOWER")]
    return FalseClaims(Share(len(excluding), len(found)), Share(len(different), len(found)))


def detected(run: Run, found: Sequence[Result], share: float) -> Detected:
    """Count how often trials found that an implementation is slower, and by how much.

    Args:
        run: The long run, for its loops.
        found: Its trials.
        share: By how much the implementation was to be slowed.
    """
    ratios = [result.ratio.estimate for result in found if result.ratio]
    loops = run.plan.loops[case_id(run.plan.cases[0])]
    logs = [math.log(ratio.point) for ratio in ratios]
    widths = [math.log(ratio.high / ratio.low) / 2 for ratio in ratios]
    below = sum(ratio.high < 1 for ratio in ratios)
    slower = sum(result.verdict is not None and result.verdict.kind == "SLOWER" for result in found)
    count = max(1, len(ratios))
    return Detected(
        1 / true_ratio(loops, share) - 1,
        Share(below, len(ratios)),
        Share(slower, len(ratios)),
        math.expm1(-sum(logs) / count),
        math.expm1(sum(widths) / count),
    )


def _holds(result: Result, truth: float) -> bool:
    assert result.ratio is not None
    return result.ratio.estimate.low <= truth <= result.ratio.estimate.high
