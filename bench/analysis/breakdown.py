"""Where the time of a phase goes: its parts, timed for the breakdown. Pure.

Parts are differences between times of one invocation, each the median of its readings; over
invocations they get Student's interval, on a plain scale, for a difference may lie below 0: work
that is fused into a product may cost nothing that can be measured, or save something.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.analysis.intervals import Floats, t_interval
from bench.analysis.readings import Readings
from bench.model.cases import case_id
from bench.model.records import PHASES, WIDTH_ONE, Case, Estimate, Phase, Run
from bench.model.workload import batches_of

PRODUCTS = "matrix products"
ELEMENTWISE = "bias and activation"
LOSS = "loss"
UPDATE = "parameter update"
SHUFFLE = "shuffle and gather"
REST = "dispatch and allocation"
NAMES = (PRODUCTS, ELEMENTWISE, LOSS, UPDATE, SHUFFLE, REST)
"""Of parts, in the order in which they are stacked. In backprop `ELEMENTWISE` is the last delta,
the masks of ReLU and the gradients of the biases. `REST` is what a phase takes beyond its parts:
these work in memory that is there, check nothing, and are repeated by a loop that does only this.
It holds the statements between the calls, the checks of arguments, results made anew, and caches
that are colder than a part's; not what a library takes inside a part to get from call to call."""

ONE_WIDE: Mapping[Phase, Phase] = dict(zip(PHASES, WIDTH_ONE, strict=True))
"""The phase of a network as deep and one wide, by phase."""

Sum = Mapping[Phase, int]
"""How often each time counts in a part."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a part takes of one repetition, in nanoseconds; below 0 where it saves time."""

    name: str  # one of `NAMES`
    time_ns: Estimate

    @property
    def above_0(self) -> bool:
        """Whether the whole interval lies above 0, or the time itself where there is none."""
        low = self.time_ns.low
        return (low if math.isfinite(low) else self.time_ns.point) > 0


@dataclass(frozen=True, slots=True)
class Split:
    """One phase of one network by one worker, in parts."""

    case: Case
    worker: str
    total_ns: Estimate
    parts: tuple[Part, ...]  # together they are the total
    one_wide_ns: Estimate | None  # the same phase of a network as deep and one wide

    @property
    def largest(self) -> Part:
        """The part that takes the most."""
        return max(self.parts, key=lambda part: part.time_ns.point)

    def part_ns(self, name: str) -> float:
        """Return what a part takes; 0 for one that this phase has not."""
        return next((part.time_ns.point for part in self.parts if part.name == name), 0.0)


def sums_of(phase: Phase, batches: int) -> dict[str, Sum]:
    """Say of which times the parts of a phase are made.

    Args:
        phase: One of `PHASES`.
        batches: How many an epoch has.

    Returns:
        By name of the part; together they are the phase, once.
    """
    if phase != "epoch":
        products: Phase = "forward-products" if phase == "forward" else "backprop-products"
        work: Phase = "forward-work" if phase == "forward" else "backprop-work"
        return {
            PRODUCTS: {products: 1},
            ELEMENTWISE: {work: 1, products: -1},
            REST: {phase: 1, work: -1},
        }
    return {
        PRODUCTS: {"forward-products": batches, "backprop-products": batches},
        ELEMENTWISE: {
            "forward-work": batches,
            "forward-products": -batches,
            "backprop-work": batches,
            "backprop-products": -batches,
        },
        LOSS: {"loss": batches},
        UPDATE: {"step-work": batches, "backprop-work": -batches},
        SHUFFLE: {"shuffle": 1},
        REST: {
            "epoch": 1,
            "forward-work": -batches,
            "step-work": -batches,
            "loss": -batches,
            "shuffle": -1,
        },
    }


def splits_of(run: Run, readings: Mapping[str, Readings]) -> tuple[Split, ...]:
    """Take apart every phase whose parts were timed, in the order of the plan, baseline first.

    Only invocations count in which the phase and all it is made of are complete. A phase that is
    INVALID is left out, and so is one of which no invocation is left.
    """
    planned = {(case.phase, case.problem) for case in run.plan.cases}
    slots = sorted(
        (spec for spec in run.plan.workers if spec.role != "again"),
        key=lambda spec: spec.role != "baseline",
    )
    found = []
    for case in run.plan.cases:
        phase, problem = case.phase, case.problem
        if phase not in ONE_WIDE:
            continue
        sums = sums_of(phase, batches_of(problem))
        needed = {name for one in sums.values() for name in one}
        if any((name, problem) not in planned for name in needed):
            continue
        for spec in slots:
            times = {
                name: _medians(readings[case_id(Case(name, problem))], spec.label)
                for name in needed
            }
            shared = sorted(set.intersection(*(set(one) for one in times.values())))
            if not shared:
                continue
            at = {name: np.array([one[i] for i in shared]) for name, one in times.items()}
            parts = [
                Part(name, _estimate(sum((at[one] * n for one, n in terms.items()), np.zeros(1))))
                for name, terms in sums.items()
            ]
            one_wide = Case(ONE_WIDE[phase], problem)
            marks = (
                _medians(readings[case_id(one_wide)], spec.label)
                if (one_wide.phase, problem) in planned
                else {}
            )
            found.append(
                Split(
                    case,
                    spec.label,
                    _estimate(at[phase]),
                    tuple(parts),
                    _estimate(np.array(list(marks.values()))) if marks else None,
                )
            )
    return tuple(found)


def _medians(readings: Readings, label: str) -> dict[int, float]:
    """Take the median of each invocation's readings; none where the case is invalid."""
    if readings.invalid:
        return {}
    return {
        number: float(np.median(times[label]))
        for number, times in readings.invocations.items()
        if label in times
    }


def _estimate(values: Floats) -> Estimate:
    point, low, high = (float(value) for value in t_interval(values))
    return Estimate(point, low, high, len(values))
