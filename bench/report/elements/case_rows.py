"""Results as flat rows: one per case and candidate, or one per problem and kind of tensor.

Numbers stay numbers, with units in the names; text for people is made in
`bench.report.elements.sentences`. Pure: no files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

from bench.model.arithmetic import flops
from bench.model.cases import case_id, network_text
from bench.model.records import (
    Case,
    DType,
    Estimate,
    Phase,
    Result,
    Run,
    TensorCheck,
    TimeEstimate,
)

NO_ESTIMATE = Estimate(math.nan, math.nan, math.nan, 0)
NO_TIME = TimeEstimate("", NO_ESTIMATE, math.nan)


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case and candidate, as `results.csv` has it; NaN, or an empty text, where there is none."""

    case: str
    phase: Phase
    network: str
    dtype: DType
    threads: int
    implementation: str  # the candidate
    flops: int
    loops: int
    rounds: int
    invocations: int
    baseline_ns: float
    baseline_low_ns: float
    baseline_high_ns: float
    baseline_minimum_ns: float
    candidate_ns: float
    candidate_low_ns: float
    candidate_high_ns: float
    candidate_minimum_ns: float
    ratio: float
    ratio_low: float
    ratio_high: float
    again: float  # the baseline against itself
    again_low: float
    again_high: float
    verdict: str
    reason: str
    drifting: int
    incomplete: int

    def times(self, role: str) -> tuple[float, float, float]:
        """Return the time of a side with its interval, in nanoseconds."""
        if role == "baseline":
            return self.baseline_ns, self.baseline_low_ns, self.baseline_high_ns
        return self.candidate_ns, self.candidate_low_ns, self.candidate_high_ns


COLUMNS = tuple(one.name for one in fields(CaseRow))


def case_rows(run: Run, results: Iterable[Result]) -> list[CaseRow]:
    """Put results into rows, small networks first, in the order of their arithmetic."""
    kinds = {spec.label: spec.implementation for spec in run.plan.workers}
    return [_row(run, kinds, result) for result in sorted(results, key=by_size)]


def by_size(result: Result) -> tuple[int, bool, int]:
    """Return what results are ordered by: arithmetic of a forward, dtype, threads."""
    return size_of(result.case)


def size_of(case: Case) -> tuple[int, bool, int]:
    """Return what cases are ordered by: arithmetic of a forward, dtype, threads."""
    problem = case.problem
    return flops(Case("forward", problem)), problem.dtype != "float64", problem.threads


def _row(run: Run, kinds: dict[str, str], result: Result) -> CaseRow:
    case, name = result.case, case_id(result.case)
    ours = result.times.get(run.baseline.label, NO_TIME)
    theirs = result.times.get(result.candidate, NO_TIME)
    return CaseRow(
        name,
        case.phase,
        network_text(case.problem),
        case.problem.dtype,
        case.problem.threads,
        kinds.get(result.candidate, ""),
        flops(case),
        run.plan.loops.get(name, 0),
        run.plan.rounds.get(name, 0),
        max([time.median_ns.count for time in result.times.values()], default=0),
        *_ends(ours.median_ns),
        ours.minimum_ns,
        *_ends(theirs.median_ns),
        theirs.minimum_ns,
        *_ends(result.ratio.estimate if result.ratio else NO_ESTIMATE),
        *_ends(result.again.estimate if result.again else NO_ESTIMATE),
        result.verdict.kind if result.verdict else "",
        result.verdict.reason if result.verdict else "",
        result.drifting,
        result.incomplete,
    )


def _ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.point, estimate.low, estimate.high


def tensor_kind(name: str) -> str:
    """Drop the layer from a tensor's name: `grads_w[3]` is of the kind `grads_w`.

    All that the timed code left is one kind, and so is all of another seed.
    """
    return name.partition("[")[0].partition(":")[0]


def error_share(check: TensorCheck) -> float:
    """Return error over tolerance: above 1 is a failure, 0 is equal bit for bit."""
    if check.error == 0:
        return 0.0
    return check.error / check.tolerance if check.tolerance > 0 else math.inf


@dataclass(frozen=True, slots=True)
class KindOfTensor:
    """The tensors of one kind in one comparison: how many, and the worst of them."""

    tensors: int
    share: float  # the largest error over tolerance; infinite where an error is NaN
    ok: bool


def worst_of_kinds(tensors: Iterable[TensorCheck]) -> dict[str, KindOfTensor]:
    """Take the worst tensor of each kind, in the order of checking."""
    kinds: dict[str, list[TensorCheck]] = {}
    for check in tensors:
        kinds.setdefault(tensor_kind(check.name), []).append(check)
    return {
        kind: KindOfTensor(len(checks), max(map(_worst, checks)), all(one.ok for one in checks))
        for kind, checks in kinds.items()
    }


def _worst(check: TensorCheck) -> float:
    return math.inf if math.isnan(check.error) else error_share(check)


@dataclass(frozen=True, slots=True)
class Shown:
    """A value and its interval, written; `ends` is empty where there is no interval."""

    value: str
    ends: str
