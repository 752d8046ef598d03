"""Sorts what was recorded of a run: readings by case, invocation and worker; disturbances. Pure.

An invocation counts where it is complete. A case of which nothing may be said has a reason. Where
there are several candidates, what one leaves out or does wrong is its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TypeVar

import numpy as np

from bench.analysis.intervals import Floats
from bench.model.cases import case_id, problem_id
from bench.model.records import (
    BREAKDOWN,
    PHASES,
    PROBES,
    Case,
    Fault,
    ParityResult,
    Run,
    Sample,
    WorkerSpec,
)
from bench.model.slots import narrowed, slots_of

Times = Mapping[str, Floats]
"""One invocation of one case: ns per repetition by worker label, in the order of the rounds."""
ReadTimes = Mapping[str, Mapping[int, Times]]
"""All that was read, without warm-ups: `Times` by case id and invocation."""

Record = TypeVar("Record", Sample, Fault, ParityResult)

UNCHECKED = "parity was not checked"
PREEMPTED_SHARE, PREEMPTED_LEAST = 0.05, 3
"""A case counts as disturbed if a larger share of its readings lost their core to another process,
and so many at least: of few readings a single one is a large share."""
KEPT = 0.98
"""A reading lost its core if it was preempted and worked for less than this share of its time."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read of one case."""

    invocations: dict[int, Times]  # the complete ones
    incomplete: int
    invalid: str  # why nothing may be said of the case; empty if something may


def sort_samples(samples: Iterable[Sample]) -> ReadTimes:
    """Sort samples by case, invocation and worker, in the order of their rounds."""
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


def readings_of(
    run: Run, times: ReadTimes, parity: Iterable[ParityResult], faults: Iterable[Fault]
) -> dict[str, Readings]:
    """Find the complete invocations by case id, of all workers together."""
    return _complete(run, times, _invalid(run, parity, faults))


def readings_by_candidate(
    run: Run, times: ReadTimes, parity: Sequence[ParityResult], faults: Sequence[Fault]
) -> dict[str, dict[str, Readings]]:
    """Find the complete invocations by candidate, then by case id: each beside the baseline alone.

    A case in which a candidate takes no part is left out of its own. What stopped the case before
    a candidate had a reading of it stands for that candidate too, whoever did it.
    """
    whole, of_any = _complete(run, times, {}), _invalid(run, parity, faults)
    found: dict[str, dict[str, Readings]] = {}
    for candidate in run.candidates:
        others = Others(run, candidate)
        invalid = _invalid(run, others.left_out(parity), others.left_out(faults))
        mine = _complete(narrowed(run, candidate), times, invalid)
        for case in run.plan.cases:
            name = case_id(case)
            mine_of = times.get(name, {}).values()
            if case.phase in PROBES or any(candidate.label in one for one in mine_of):
                continue  # probes are taken by whoever can, and stand for all
            own = invalid.get(name, UNCHECKED)
            has_turn = candidate in slots_of(case, run.candidates)
            if not has_turn or (whole[name].invocations and own == UNCHECKED):
                mine.pop(name)  # others have complete readings, and nothing went wrong with it
            elif name in of_any:
                mine[name] = replace(mine[name], invalid=invalid.get(name) or of_any[name])
        found[candidate.label] = mine
    return found


class Others:
    """The candidates of a run besides one."""

    def __init__(self, run: Run, candidate: WorkerSpec) -> None:
        specs = [spec for spec in run.candidates if spec != candidate]
        self.labels = {spec.label for spec in specs}
        self._names = {spec.implementation for spec in specs} - {candidate.implementation}

    def left_out(self, records: Iterable[Record]) -> tuple[Record, ...]:
        """Return the records that are not of them."""
        return tuple(one for one in records if not self._have(one))

    def _have(self, record: Sample | Fault | ParityResult) -> bool:
        if isinstance(record, ParityResult):
            return record.candidate in self._names
        return record.worker in self.labels


def _complete(run: Run, times: ReadTimes, invalid: Mapping[str, str]) -> dict[str, Readings]:
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


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What the system says of the readings that count; cases of the breakdown are left out."""

    preempted: Mapping[str, tuple[int, int]]  # by case id: lost their core, of all; worst first
    page_faults: Mapping[tuple[str, str], float]  # of one repetition; by case id and label

    @property
    def disturbed(self) -> list[str]:
        """Ids of the cases that lost too many readings, the worst first."""
        return [
            name
            for name, (lost, of) in self.preempted.items()
            if lost > PREEMPTED_SHARE * of and lost >= PREEMPTED_LEAST
        ]


def disturbance_of(samples: Iterable[Sample]) -> Disturbance:
    """Count what the system did; nothing where an older version did not record it."""
    lost: defaultdict[str, list[bool]] = defaultdict(list)
    page_faults: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for sample in samples:
        if sample.warmup or sample.case.partition("/")[0] in BREAKDOWN:
            continue
        if sample.preempted is not None:
            # A long reading always sees some switch; what counts is that it cost time.
            worked = sample.elapsed_ns if sample.cpu_ns is None else sample.cpu_ns
            lost[sample.case].append(bool(sample.preempted) and worked < KEPT * sample.elapsed_ns)
        if sample.page_faults is not None:
            page_faults[sample.case, sample.worker].append(sample.page_faults / sample.loops)
    found = {name: (sum(hits), len(hits)) for name, hits in lost.items()}
    return Disturbance(
        dict(sorted(found.items(), key=lambda pair: -pair[1][0] / pair[1][1])),
        {key: median(values) for key, values in page_faults.items()},
    )
