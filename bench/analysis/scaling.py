"""How time grows with work, and where the faster side changes. Pure: no files, no text, no drawing.

Every figure is formed once per invocation, from the cases of that invocation, and then averaged
over invocations with Student's t, as ratios are (docs/method.md): cases of one invocation share
the minute and the processes, invocations do not. Work is the arithmetic of the matrix products of
one repetition, `bench.model.arithmetic.flops`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from bench.analysis.intervals import Floats, estimate, t_interval
from bench.analysis.readings import Readings
from bench.analysis.verdicts import log_ratios
from bench.model.arithmetic import flops
from bench.model.cases import case_id
from bench.model.records import (
    PHASES,
    Case,
    DType,
    Estimate,
    Phase,
    Problem,
    Result,
    Run,
)
from bench.model.slots import has_phase
from bench.model.workload import AXES, Axis, along

LEAST_VALUES = 3
"""Of an axis, or of sizes: through two points every line goes."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One case that was compared, with what each of its invocations came to, in logarithms."""

    case: Case
    result: Result
    ratio: Mapping[int, float]  # of baseline over candidate, by invocation
    baseline: Mapping[int, float]  # median nanoseconds of one repetition, by invocation
    candidate: Mapping[int, float]

    @property
    def side(self) -> int:
        """Who is faster by the verdict: 1 the candidate, -1 the baseline, 0 nobody it names."""
        kind = self.result.verdict.kind if self.result.verdict else ""
        return {"FASTER": 1, "SLOWER": -1}.get(kind, 0)


@dataclass(frozen=True, slots=True)
class Setting:
    """Cases that differ in nothing but the network and its data, small ones first."""

    phase: Phase
    dtype: DType
    threads: int
    cases: Sequence[Measured]


@dataclass(frozen=True, slots=True)
class Crossing:
    """A size at which the faster side changes, between two sizes that have a verdict."""

    at: Estimate  # in FLOP, never outside below and above; NaN where none can be formed
    below: float  # the largest size with a verdict for the one side, in FLOP
    above: float  # the smallest size with a verdict for the other
    side: int  # who is faster below: 1 the candidate, -1 the baseline
    outside: int  # invocations that by themselves do not change sides in between


@dataclass(frozen=True, slots=True)
class Crossover:
    """What one phase says of the size at which the faster side changes."""

    setting: Setting
    crossings: Sequence[Crossing]
    sizes: int  # how many sizes have a ratio
    resolved: Sequence[tuple[float, int]]  # FLOP and faster side of each that has a verdict


@dataclass(frozen=True, slots=True)
class Exponent:
    """Time grows as a power of something, as far as a straight line on log axes describes it."""

    slope: Estimate
    start: float  # logarithm of the nanoseconds where that something is 1, on the mean line
    low: float  # the range it was fitted over
    high: float
    values: int  # different ones
    worst: float  # the farthest point from the line, as a ratio of at least 1


@dataclass(frozen=True, slots=True)
class Fitted:
    """Exponents of both sides; None where there are fewer than three values, or none is shared."""

    baseline: Exponent | None
    candidate: Exponent | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """Cases that differ in one axis and in nothing else, in its order."""

    axis: Axis
    rest: Problem  # what all share; 0 where the axis stands
    setting: Setting
    values: Sequence[int]  # of the axis, one per case
    fitted: Fitted


def settings_of(
    run: Run, readings: Mapping[str, Readings], results: Iterable[Result]
) -> tuple[Setting, ...]:
    """Sort what was compared by phase, dtype and threads, in the order of the plan.

    A case that is INVALID, or has no complete invocation, takes no part. Where a run has several
    candidates, the first counts.
    """
    baseline, candidate = run.baseline, run.candidates[0]
    groups: dict[tuple[Phase, DType, int], list[Measured]] = {}
    seen = set()
    for result in results:
        case = result.case
        mine = readings[case_id(case)]
        if case.phase not in PHASES or case in seen or mine.invalid or not mine.invocations:
            continue
        if not has_phase(candidate, case.phase):
            continue
        seen.add(case)
        logs = log_ratios(run, mine.invocations.values(), baseline, candidate)
        times = {
            spec.role: {
                number: float(np.log(np.median(found[spec.label])))
                for number, found in mine.invocations.items()
            }
            for spec in (baseline, candidate)
        }
        ratio = dict(zip(mine.invocations, map(float, logs), strict=True))
        one = Measured(case, result, ratio, times["baseline"], times["candidate"])
        key = (case.phase, case.problem.dtype, case.problem.threads)
        groups.setdefault(key, []).append(one)
    ordered = sorted(groups.items(), key=lambda group: PHASES.index(group[0][0]))
    return tuple(
        Setting(*key, sorted(cases, key=lambda one: flops(one.case))) for key, cases in ordered
    )


def crossover(setting: Setting) -> Crossover:
    """Find the sizes at which the faster side changes.

    Only verdicts say on which side a size lies: FASTER or SLOWER. Between two neighbours among
    those that lie on different sides, each invocation gives one size: its log-ratios at these two
    and at all sizes in between, made monotone in the direction of the change (isotonic least
    squares; with nothing in between they are what they are), are interpolated over the logarithm
    of FLOP to where they are 0. One that stays on one side counts with the nearer of the two.
    Over invocations Student's t of the logarithms, the interval cut off at the two sizes. Several
    cases of equal arithmetic are one size: the mean of their log-ratios, their side if all agree.
    """
    sizes: dict[int, list[Measured]] = {}
    for one in setting.cases:
        sizes.setdefault(flops(one.case), []).append(one)
    sides = {
        size: found.pop() if len(found := {one.side for one in cases}) == 1 else 0
        for size, cases in sizes.items()
    }
    resolved = [(size, side) for size, side in sides.items() if side]
    crossings = []
    for (below, side), (above, other) in pairwise(resolved):
        if side != other:
            between = {s: cases for s, cases in sizes.items() if below <= s <= above}
            crossings.append(_crossing(between, side))
    return Crossover(
        setting,
        crossings,
        len(sizes),
        [(float(size), side) for size, side in resolved],
    )


def _crossing(sizes: Mapping[int, Sequence[Measured]], side: int) -> Crossing:
    """Interpolate one change of sides per invocation; NaN where no invocation has all sizes."""
    from scipy.optimize import isotonic_regression  # heavy, and most runs have no crossing

    at = np.log(np.array(list(sizes), np.float64))
    shared = _shared([one.ratio for cases in sizes.values() for one in cases])
    found, outside = [], 0
    for number in shared:
        logs = [np.mean([one.ratio[number] for one in cases]) for cases in sizes.values()]
        rising = isotonic_regression(-side * np.array(logs)).x
        outside += not rising[0] < 0 < rising[-1]
        found.append(float(np.interp(0, rising, at)))
    below, above = float(min(sizes)), float(max(sizes))
    if not found:
        return Crossing(Estimate(math.nan, math.nan, math.nan, 0), below, above, side, 0)
    mean = estimate(np.array(found))
    ends = (mean.point, mean.low, mean.high)
    point, low, high = (float(np.clip(end, below, above)) for end in ends)  # NaN stays NaN
    return Crossing(Estimate(point, low, high, mean.count), below, above, side, outside)


def fitted(setting: Setting) -> Fitted:
    """Fit how the time of both sides grows with FLOP."""
    return _fit(setting.cases, [flops(one.case) for one in setting.cases])


def _fit(cases: Sequence[Measured], values: Sequence[int]) -> Fitted:
    return Fitted(
        _exponent([one.baseline for one in cases], values),
        _exponent([one.candidate for one in cases], values),
    )


def _exponent(times: Sequence[Mapping[int, float]], values: Sequence[int]) -> Exponent | None:
    """Fit log time over log value by least squares, in each invocation that has all cases."""
    shared = _shared(times)
    if len(set(values)) < LEAST_VALUES or not shared:
        return None
    x = np.log(np.array(values, np.float64))
    away = x - x.mean()
    y = np.array([[one[number] for one in times] for number in shared])  # invocation, case
    slopes: Floats = y @ away / (away @ away)
    point, low, high = (float(value) for value in t_interval(slopes))
    left = y.mean(axis=0) - (y.mean() + point * away)
    return Exponent(
        Estimate(point, low, high, len(shared)),
        float(y.mean() - point * x.mean()),
        float(min(values)),
        float(max(values)),
        len(set(values)),
        float(np.exp(np.abs(left).max())),
    )


def _shared(by_invocation: Iterable[Mapping[int, float]]) -> list[int]:
    """List the invocations that all have."""
    found = [set(one) for one in by_invocation]
    return sorted(set.intersection(*found)) if found else []


def sweeps(settings: Iterable[Setting]) -> tuple[Sweep, ...]:
    """Find the cases that differ in one axis alone, at three values of it or more.

    Width is that of all hidden layers, where they are alike; depth counts them. Input, output and
    all else stay as they are.
    """
    found = []
    for setting in settings:
        for axis in AXES:
            groups: dict[Problem, dict[int, Measured]] = {}
            for one in setting.cases:
                value, rest = along(axis, one.case.problem)
                if value:
                    groups.setdefault(rest, {})[value] = one
            for rest, group in groups.items():
                if len(group) >= LEAST_VALUES:
                    values = sorted(group)
                    cases = [group[value] for value in values]
                    part = replace(setting, cases=cases)
                    found.append(Sweep(axis, rest, part, values, _fit(cases, values)))
    return tuple(sorted(found, key=lambda sweep: AXES.index(sweep.axis)))
