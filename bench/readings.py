"""Sorts the readings of a run by case and invocation, and says what may not be judged. Pure.

What is complete is decided here once, for readings that come as records and as columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bench.cases import case_id, problem_id, seats_of
from bench.intervals import Floats
from bench.records import PHASES, Fault, ParityResult, Run, Sample

Times = Mapping[str, Floats]
"""One invocation of one case: ns per repetition by worker label, in the order of the rounds."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read of one case."""

    invocations: dict[int, Times]  # the complete ones
    incomplete: int
    invalid: str  # why nothing may be said of the case; empty if something may


def read(
    run: Run,
    samples: Iterable[Sample],
    parity: Iterable[ParityResult],
    faults: Iterable[Fault],
) -> dict[str, Readings]:
    """Sort what was recorded by case id, for what is derived here and in `bench.roofline`."""
    times: defaultdict[str, defaultdict[int, defaultdict[str, dict[int, float]]]]
    times = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for sample in samples:
        if not sample.warmup:
            per_repetition = sample.elapsed_ns / sample.loops
            times[sample.case][sample.invocation][sample.worker][sample.round] = per_repetition
    arrays = {
        name: {
            number: {
                label: np.array([rounds[turn] for turn in sorted(rounds)])
                for label, rounds in by_label.items()
            }
            for number, by_label in by_number.items()
        }
        for name, by_number in times.items()
    }
    return sorted_readings(run, arrays, parity, faults)


def sorted_readings(
    run: Run,
    times: Mapping[str, Mapping[int, Times]],
    parity: Iterable[ParityResult],
    faults: Iterable[Fault],
) -> dict[str, Readings]:
    """Tell complete invocations from others: `times` by case id and invocation, no warm-ups."""
    invalid = _invalid(run, parity, faults)
    found: dict[str, Readings] = {}
    nothing: Floats = np.empty(0)
    for case in run.plan.cases:
        name = case_id(case)
        labels = [spec.label for spec in seats_of(case, run.plan.workers)]
        # Files of pytest-benchmark have no rounds that belong together, and as many as it liked.
        rounds = max(1, run.plan.rounds.get(name, 0) if run.source == "bench" else 1)
        mine = times.get(name, {})
        complete: dict[int, Times] = {
            number: {label: by_label[label] for label in labels}
            for number, by_label in sorted(mine.items())
            if all(len(by_label.get(label, nothing)) >= rounds for label in labels)
        }
        found[name] = Readings(complete, len(mine) - len(complete), invalid.get(name, ""))
    return found


def _invalid(run: Run, parity: Iterable[ParityResult], faults: Iterable[Fault]) -> dict[str, str]:
    """Say by case id why nothing may be said of it."""
    reasons: dict[str, str] = {}
    for fault in faults:
        reasons.setdefault(fault.case, f"{fault.worker}: {fault.reason}")
    if run.source != "bench":
        return reasons
    checked: dict[str, str] = {}
    for result in parity:
        checked[result.problem] = checked.get(result.problem) or result.reason
    for case in run.plan.cases:
        failed = checked.get(problem_id(case.problem), "parity was not checked")
        if failed and case.phase in PHASES:
            reasons.setdefault(case_id(case), failed)
    return reasons
