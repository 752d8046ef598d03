"""Sorts what was recorded of a run by case, invocation and worker. Pure: no clock, no files.

An invocation counts where it is complete. A case of which nothing may be said has a reason. Where
there are several candidates, what one leaves out or does wrong is its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis.intervals import Floats
from bench.model.cases import case_id, problem_id
from bench.model.records import PHASES, PROBES, Case, Fault, ParityResult, Run, Sample, WorkerSpec
from bench.model.slots import narrowed, slots_of

Times = Mapping[str, Floats]
"""One invocation of one case: ns per repetition by worker label, in the order of the rounds."""
ReadTimes = Mapping[str, Mapping[int, Times]]
"""All that was read, without warm-ups: `Times` by case id and invocation."""

UNCHECKED = "parity was not checked"


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read of one case."""

    invocations: dict[int, Times]  # the complete ones
    incomplete: int
    invalid: str  # why nothing may be said of the case; empty if something may


def slots(run: Run) -> tuple[WorkerSpec, WorkerSpec | None, list[WorkerSpec]]:
    """Return baseline, its second slot if it has one, and the candidates."""
    slots = {spec.role: spec for spec in run.plan.workers}
    candidates = [spec for spec in run.plan.workers if spec.role == "candidate"]
    return slots["baseline"], slots.get("again"), candidates


def read(
    run: Run,
    samples: Iterable[Sample],
    parity: Iterable[ParityResult],
    faults: Iterable[Fault],
) -> dict[str, Readings]:
    """Sort what was recorded by case id, of all workers together."""
    return _sorted(run, _times_of(samples), _invalid(run, parity, faults))


def read_each(
    run: Run,
    samples: Iterable[Sample],
    parity: Iterable[ParityResult],
    faults: Iterable[Fault],
) -> dict[str, dict[str, Readings]]:
    """Sort what was recorded by candidate, then by case id: each beside the baseline alone.

    A case in which a candidate takes no part is left out of its own. What stopped the case before
    a candidate had a reading of it stands for that candidate too, whoever did it.
    """
    return sorted_by_candidate(run, _times_of(samples), parity, faults)


def sorted_by_candidate(
    run: Run,
    times: ReadTimes,
    parity: Iterable[ParityResult],
    faults: Iterable[Fault],
) -> dict[str, dict[str, Readings]]:
    """Do what `read_each` does with readings that are sorted into arrays already."""
    candidates, parity, faults = slots(run)[2], tuple(parity), tuple(faults)
    whole, of_any = _sorted(run, times, {}), _invalid(run, parity, faults)
    found: dict[str, dict[str, Readings]] = {}
    for candidate in candidates:
        others = [spec for spec in candidates if spec != candidate]
        labels = {spec.label for spec in others}
        names = {spec.implementation for spec in others} - {candidate.implementation}
        invalid = _invalid(
            run,
            [result for result in parity if result.candidate not in names],
            [fault for fault in faults if fault.worker not in labels],
        )
        mine = _sorted(narrowed(run, candidate), times, invalid)
        for case in run.plan.cases:
            name = case_id(case)
            mine_of = times.get(name, {}).values()
            if case.phase in PROBES or any(candidate.label in one for one in mine_of):
                continue  # probes are taken by whoever can, and stand for all
            own = invalid.get(name, UNCHECKED)
            has_turn = candidate in slots_of(case, candidates)
            if not has_turn or (whole[name].invocations and own == UNCHECKED):
                mine.pop(name)  # others have complete readings, and nothing went wrong with it
            elif name in of_any:
                mine[name] = replace(mine[name], invalid=invalid.get(name) or of_any[name])
        found[candidate.label] = mine
    return found


def _times_of(samples: Iterable[Sample]) -> ReadTimes:
    times: defaultdict[str, defaultdict[int, defaultdict[str, dict[int, float]]]]
    times = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for sample in samples:
        if not sample.warmup:
            per_repetition = sample.elapsed_ns / sample.loops
            times[sample.case][sample.invocation][sample.worker][sample.round] = per_repetition
    return {
        name: {
            number: {
                label: np.array([rounds[turn] for turn in sorted(rounds)])
                for label, rounds in by_label.items()
            }
            for number, by_label in by_number.items()
        }
        for name, by_number in times.items()
    }


def _sorted(run: Run, times: ReadTimes, invalid: Mapping[str, str]) -> dict[str, Readings]:
    """Find the complete invocations of every case."""
    found: dict[str, Readings] = {}
    for case in run.plan.cases:
        name = case_id(case)
        mine = times.get(name, {})
        labels = [spec.label for spec in _with_a_turn(run, case, mine)]
        # Files of pytest-benchmark have no rounds that belong together, and as many as it liked.
        rounds = max(1, run.plan.rounds.get(name, 0) if run.source == "bench" else 1)
        complete: dict[int, Times] = {
            number: {label: by_label[label] for label in labels}
            for number, by_label in sorted(mine.items())
            if all(len(by_label.get(label, ())) >= rounds for label in labels)
        }
        begun = sum(any(label in by_label for label in labels) for by_label in mine.values())
        found[name] = Readings(complete, begun - len(complete), invalid.get(name, ""))
    return found


def _with_a_turn(run: Run, case: Case, times: Mapping[int, Times]) -> list[WorkerSpec]:
    """Choose the workers that must be complete: of several candidates, those with any reading."""
    slots = slots_of(case, run.plan.workers)
    seen = {label for by_label in times.values() for label in by_label}
    present = [spec for spec in slots if spec.role != "candidate" or spec.label in seen]
    return present if any(spec.role == "candidate" for spec in present) else list(slots)


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
        failed = checked.get(problem_id(case.problem), UNCHECKED)
        if failed and case.phase in PHASES:
            reasons.setdefault(case_id(case), failed)
    return reasons
