"""Compares two stored runs case by case: how did each ratio move? Pure.

Two runs did not take turns: the machine may have been faster during one of them, so their times
are shown and claim nothing. Within each run the ratio to the baseline was formed round by round,
and what moved both sides alike has cancelled in it. So it is the ratio's change from A, the earlier
run, to B that is judged: above 1 the candidate gained on the baseline. The rules in words are in
docs/method.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.analysis.intervals import CONFIDENCE, Floats, estimate, holm, quantile_at, upper_tail
from bench.analysis.judge import verdict_of
from bench.analysis.readings import Readings
from bench.analysis.run_analysis import RunAnalysis
from bench.analysis.verdicts import BAND, LEAST_FOR_VERDICT, log_ratios
from bench.model.cases import case_id
from bench.model.records import (
    PHASES,
    Case,
    Estimate,
    Verdict,
    WorkerSpec,
)


@dataclass(frozen=True, slots=True)
class Shift:
    """By how much the mean of logarithms differs between two independent groups.

    Welch, Biometrika 34, 1947: the two need not vary alike. NaN where a group has fewer than two.
    """

    mean: float
    error: float  # standard error of the mean
    freedom: float  # degrees of freedom after Satterthwaite

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        if self.error == 0:
            return 0.0
        return float(quantile_at(self.freedom, CONFIDENCE)) * self.error

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.mean + self.half

    def p_value(self, edge: float = 0.0) -> float:
        """Return the two-sided p of Welch's test that the difference is `edge`."""
        if self.error == 0:
            return 0.0 if self.mean != edge else 1.0
        return 2 * upper_tail(abs(self.mean - edge) / self.error, self.freedom)


@dataclass(frozen=True, slots=True)
class Change:
    """How a candidate stands to the baseline in one case, in A and in B."""

    case: Case
    candidate: str  # worker label
    a: Estimate | None  # ratio in A; None: none may be formed
    b: Estimate | None
    shift: Shift | None  # logarithm of B's ratio over A's: above 0 the candidate gained
    again: Shift | None  # the same of the baseline against itself: the noise floor
    invalid: str = ""  # why nothing may be said
    has_floor: bool = True  # whether both runs have an A/A pair
    verdict: Verdict | None = None  # None: of a kind of run that supports none

    @property
    def estimate(self) -> Estimate | None:
        """B's ratio over A's: above 1 the candidate became faster beside the baseline."""
        if self.shift is None or self.a is None or self.b is None:
            return None
        point, low, high = map(math.exp, (self.shift.mean, self.shift.low, self.shift.high))
        return Estimate(point, low, high, min(self.a.count, self.b.count))

    @property
    def floor(self) -> float:
        """The largest change that the baseline shows against itself, as a logarithm."""
        return max(abs(self.again.low), abs(self.again.high)) if self.again else math.nan

    @property
    def lacking(self) -> str:
        """Why nothing may be judged although the case is valid; empty if it may."""
        if not self.has_floor:
            return "not both runs have an A/A pair, so the noise floor is not known"
        for name, ratio in (("A", self.a), ("B", self.b)):
            count = ratio.count if ratio else 0
            if count < LEAST_FOR_VERDICT:
                found = f"only {count}" if count else "no complete"
                return (
                    f"{found} invocation{'s' if count > 1 else ''} in {name}; "
                    f"a verdict needs {LEAST_FOR_VERDICT} in each run"
                )
        return ""


def changes(a: RunAnalysis, b: RunAnalysis, band: float = BAND) -> tuple[Change, ...]:
    """Derive one change per case that both runs have and per candidate, in the order of B.

    Floors and probes have none. Verdicts follow the rules of `bench.analysis.verdicts`, with
    Welch's interval and the change of the A/A pair as noise floor; Holm's correction is over all
    that are judged.
    """
    shared = a.cases.keys() & b.cases.keys()
    labels = {spec.label for spec in a.run.plan.workers}
    candidates = [spec for spec in b.run.candidates if spec.label in labels]
    found = [
        _change(a, b, case, candidate)
        for name, case in b.cases.items()
        if name in shared and case.phase in PHASES
        for candidate in candidates
        if all(name in side.each[candidate.label] for side in (a, b))
    ]
    if a.run.source != "bench" or b.run.source != "bench":
        return tuple(found)
    p_values = corrected(found, 0.0)
    return tuple(
        _with_verdict(change, p_holm, len(p_values) - p_values.count(None), math.log1p(band))
        for change, p_holm in zip(found, p_values, strict=True)
    )


def welch(a: Floats, b: Floats) -> Shift:
    """Return by how much the mean of `b` lies above that of `a`."""
    mean = float(b.mean() - a.mean())
    if min(len(a), len(b)) < 2:
        return Shift(mean, math.nan, math.nan)
    parts = [float(group.var(ddof=1)) / len(group) for group in (a, b)]
    error = math.sqrt(sum(parts))
    if error == 0:
        return Shift(mean, 0.0, math.inf)
    # Shares of the variance, not the variances: their squares could vanish.
    shares = [part / sum(parts) for part in parts]
    weights = [share**2 / (len(group) - 1) for share, group in zip(shares, (a, b), strict=True)]
    return Shift(mean, error, 1 / sum(weights))


def corrected(found: Sequence[Change], edge: float) -> list[float | None]:
    """Return per change the p, after Holm, that it lies at the edge; None where none is judged."""
    p_values = [
        None if change.lacking or change.shift is None else change.shift.p_value(edge)
        for change in found
    ]
    adjusted = iter(holm([p for p in p_values if p is not None]))
    return [None if p is None else next(adjusted) for p in p_values]


def _change(a: RunAnalysis, b: RunAnalysis, case: Case, candidate: WorkerSpec) -> Change:
    name = case_id(case)
    sides = a.each[candidate.label][name], b.each[candidate.label][name]
    invalid = [
        f"{letter}: {mine.invalid}"
        for letter, mine in zip("AB", sides, strict=True)
        if mine.invalid
    ]
    if invalid:
        return Change(case, candidate.label, None, None, None, None, "; ".join(invalid))
    logs = [_logs(run, mine, candidate) for run, mine in zip((a, b), sides, strict=True)]
    floors = [
        _logs(run, mine, run.run.again)
        for run, mine in zip((a, b), sides, strict=True)
        if run.run.again
    ]
    return Change(
        case,
        candidate.label,
        a=estimate(logs[0]) if len(logs[0]) else None,
        b=estimate(logs[1]) if len(logs[1]) else None,
        shift=welch(*logs) if all(map(len, logs)) else None,
        again=welch(*floors) if len(floors) == 2 and all(map(len, floors)) else None,
        has_floor=len(floors) == 2,
    )


def _logs(run: RunAnalysis, mine: Readings, other: WorkerSpec) -> Floats:
    return log_ratios(run.run, mine.invocations.values(), run.run.baseline, other)


def _with_verdict(change: Change, p_holm: float | None, cells: int, edge: float) -> Change:
    if change.invalid:
        return replace(change, verdict=Verdict("INVALID", change.invalid))
    if p_holm is None or change.shift is None:
        return replace(change, verdict=Verdict("UNRESOLVED", change.lacking))
    verdict = verdict_of(change.shift, change.floor, p_holm, cells=cells, band=edge, what="change")
    return replace(change, verdict=verdict)
