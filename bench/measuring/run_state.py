"""What the stages of a run share: groups that are replaced when a worker fails, data, faults.

A worker's failure becomes a `Fault` of what was being worked on; the work goes on with a fresh
group. What is worked on, and in which order, is decided in `bench.measuring.runner`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from bench.measuring.environment import read_environment
from bench.measuring.worker_group import TIMEOUT_S, WorkerGroup
from bench.model.arithmetic import flops
from bench.model.cases import case_id
from bench.model.errors import WorkerError
from bench.model.instruction_sets import environment_of
from bench.model.paths import PROJECT, without_paths
from bench.model.records import (
    BREAKDOWN,
    PHASES,
    Case,
    Cost,
    Environment,
    FairnessCheck,
    Fault,
    ParityResult,
    Problem,
    Request,
    Sample,
    WorkerSpec,
)
from bench.model.slots import slots_compared, slots_of
from bench.model.workload import batches_of
from bench.workers.datasets import data_folder
from bench.workers.implementations.footprint import Footprint, read_footprint
from bench.workers.process import StartSlot, WorkerProcess
from bench.workers.tensor_files import read, tensor_shapes, training_shapes

SLOWEST_FLOPS_PER_S = 1e8
SLOWEST_BATCH_S = 1e-3
"""A worker that is slower than both together is taken for hanging."""

DATA = PROJECT / "build" / "data"
"""Where data is made once for all runs."""
SETTLE_S = 0.08
"""Pause before a sample when there are several threads: those of OpenBLAS spin on for up to 60 ms
after a call, and would take a core from the next worker."""

Record = Sample | ParityResult | FairnessCheck | Fault | Cost
Item = TypeVar("Item")


class Progress(Protocol):
    """Tells a person how far the run is."""

    def stage(self, name: str, total: float) -> None:
        """Begin a stage of so much work, in a unit of its own."""
        ...

    def now(self, text: str) -> None:
        """Say what is being done now."""
        ...

    def advance(self, amount: float) -> None:
        """Say that so much more of the stage is done."""
        ...

    def note(self, text: str) -> None:
        """Say something once."""
        ...


def _data_folder(problem: Problem) -> tuple[Path, str]:
    return data_folder(problem, DATA)


@dataclass(frozen=True, slots=True)
class Edges:
    """Where a run touches the world."""

    start: StartSlot = WorkerProcess
    clock_ns: Callable[[], int] = time.perf_counter_ns
    sleep: Callable[[float], None] = time.sleep
    environment: Callable[[], Environment] = read_environment
    data_folder: Callable[[Problem], tuple[Path, str]] = _data_folder
    footprint: Callable[[str, str], Footprint] = read_footprint


class Session:
    """The state of a run while it runs.

    Args:
        request: What is asked for.
        progress: Tells a person.
        edges: The world.
        save: Puts a record where it is safe.
    """

    def __init__(
        self, request: Request, progress: Progress, edges: Edges, save: Callable[[Record], object]
    ) -> None:
        self.request = request
        self.progress = progress
        self.edges = edges
        self.save = save
        self.random = Random(request.seed)
        self.began_ns = edges.clock_ns()
        self.sampling_ns = 0  # what groups that have ended spent on samples, of all workers
        # The second slot of the baseline computes what the first does: no need to ask it.
        self.pair = tuple(spec for spec in request.workers if spec.role != "again")
        self.thread_counts = list(dict.fromkeys(case.problem.threads for case in request.cases))
        self.start_ns: dict[tuple[int, int], int] = {}  # of a group, last; by threads and slots
        self._out: set[str] = set()
        self._left: dict[str, set[str]] = {}  # by case id: labels of candidates that failed in it
        self._data: dict[Problem, tuple[Path, str]] = {}
        self._descriptions: dict[tuple[str, int], dict[str, Any]] = {}

    def remaining(self, threads: int) -> list[Case]:
        """List the cases that have neither failed parity nor had a fault.

        What is taken for the breakdown goes with the phases of its problem.
        """
        mine = [
            case
            for case in self.request.cases
            if case.problem.threads == threads and case_id(case) not in self._out
        ]
        timed = {case.problem for case in mine if case.phase in PHASES}
        return [case for case in mine if case.phase not in BREAKDOWN or case.problem in timed]

    def exclude(self, names: Iterable[str]) -> None:
        """Let these cases not be measured any more."""
        self._out.update(names)

    def names_of(self, problem: Problem) -> list[str]:
        """List the ids of the cases that stand or fall with the parity of a problem."""
        cases = (case for case in self.request.cases if case.problem == problem)
        return [case_id(case) for case in cases if case.phase in PHASES]

    def leave_out(self, label: str, names: Iterable[str]) -> bool:
        """Give up what these cases cannot have any more because of a worker.

        Of several candidates that one alone, else the cases.

        Args:
            label: Who failed.
            names: Ids of the cases.

        Returns:
            Whether any of the cases goes on without it.
        """
        names = set(names)
        candidates = [spec.label for spec in self.request.workers if spec.role == "candidate"]
        if label not in candidates or len(candidates) == 1:
            self.exclude(names)
            return False
        for name in names:
            self._left.setdefault(name, set()).add(label)
        mine = [case for case in self.request.cases if case_id(case) in names]
        alone = [case for case in mine if not set(candidates) & {*map(_label, self.turns(case))}]
        self.exclude(map(case_id, alone))
        return len(alone) < len(mine)

    def turns(
        self, case: Case, specs: Iterable[WorkerSpec] | None = None
    ) -> tuple[WorkerSpec, ...]:
        """Choose the workers that take turns in a case: all of a run, or of these.

        Those that offer it and have not failed in it.
        """
        slots = slots_of(case, self.request.workers if specs is None else specs)
        return tuple(spec for spec in slots if not self._failed(case, spec))

    def group_of(self, cases: Iterable[Case]) -> tuple[WorkerSpec, ...]:
        """Choose the workers that have a turn in any of these cases."""
        needed = {spec for case in cases for spec in self.turns(case)}
        return tuple(spec for spec in self.request.workers if spec in needed)

    def with_group(
        self,
        specs: Sequence[WorkerSpec],
        threads: int,
        items: Sequence[Item],
        names_of: Callable[[Item], Iterable[str]],
        work: Callable[[WorkerGroup, Item], None],
        invocation: int = 0,
        *,
        again: bool = False,
    ) -> None:
        """Work item by item with one group, and with a fresh one after a fault.

        A fault counts for the names of its item: for one of several candidates, or for all. A group
        that does not even start will not start for the next item either: its fault counts for all
        items left, and where others can go on they do without that worker.

        Args:
            specs: The slots.
            threads: Of every worker.
            items: What to work on.
            names_of: Ids of the cases that a fault in an item counts for.
            work: What to do with an item; asks `turns` or `slots_of` who takes part.
            invocation: Number of the invocation.
            again: Whether an item is worked on once more without the candidate that failed.
        """
        group: WorkerGroup | None = None
        waiting = list(items)
        try:
            while waiting:
                failed = waiting
                try:
                    group = group or self._start(specs, threads)
                    failed = waiting[:1]
                    work(group, waiting[0])
                    waiting = waiting[1:]
                except WorkerError as error:
                    names = [name for one in failed for name in names_of(one)]
                    others = self._record(error, names, invocation)
                    if group is None:
                        specs = [spec for spec in specs if spec.label != error.worker]
                        if not others or all(spec.role == "candidate" for spec in specs):
                            return
                        continue
                    self._end(group)
                    group = None
                    if not (again and others):
                        waiting = waiting[1:]
        finally:
            if group is not None:
                self._end(group)

    def slots_of(self, problem: Problem) -> tuple[WorkerSpec, ...]:
        """Choose the workers that are compared on a problem; each implementation once."""
        mine = [case for case in self.request.cases if case.problem == problem]
        return tuple(
            spec
            for spec in slots_compared(problem, mine, self.pair)
            if any(not self._failed(case, spec) for case in mine if case.phase in PHASES)
            or all(case.phase not in PHASES for case in mine)
        )

    def prepare(
        self,
        group: WorkerGroup,
        problem: Problem,
        seed: int | None = None,
        specs: Iterable[WorkerSpec] | None = None,
        *,
        anew: bool = True,
    ) -> None:
        """Have every worker of a group, or these, hold a problem with fresh weights."""
        seed = self.request.seed if seed is None else seed
        for spec in group.specs if specs is None else specs:
            group.prepare(spec.label, problem, self.data_of(problem), seed, anew=anew)

    def prepare_case(self, group: WorkerGroup, case: Case) -> None:
        """Have every worker of a group that has not failed in a case hold its problem.

        Before a phase its weights are drawn anew, before a part of one only if they have moved.
        """
        specs = [spec for spec in group.specs if not self._failed(case, spec)]
        self.prepare(group, case.problem, specs=specs, anew=case.phase not in BREAKDOWN)

    def data_of(self, problem: Problem) -> Path:
        """Return the data folder of a problem; its checksum is kept for the run."""
        if problem not in self._data:
            self._data[problem] = self.edges.data_folder(problem)
        return self._data[problem][0]

    def describe(self, environment: Environment) -> Environment:
        """Add what the workers said of themselves and the checksums of the data."""
        workers = {
            name: found
            for name, key in self._slots().items()
            if (found := self._descriptions.get(key))
        }
        data = {path.name: digest for path, digest in self._data.values()}
        return replace(environment, workers=workers, data={**environment.data, **data})

    def take_up(self, environment: Environment, at_ns: int) -> None:
        """Go on where a run was cut short.

        Args:
            environment: What it had recorded: the workers must still be those.
            at_ns: When its last reading was taken, from its start.
        """
        self.began_ns -= at_ns
        for name, key in self._slots().items():
            if name in environment.workers:
                self._descriptions[key] = environment.workers[name]

    def _slots(self) -> dict[str, tuple[str, int]]:
        """Name every slot with every number of threads, as `Environment.workers` does."""
        first = self.thread_counts[0]
        return {
            spec.label + ("" if threads == first else f", {threads} threads"): (spec.label, threads)
            for threads in self.thread_counts
            for spec in self.request.workers
        }

    def _start(self, specs: Sequence[WorkerSpec], threads: int) -> WorkerGroup:
        began_ns = self.edges.clock_ns()
        more, clock_ns = environment_of(self.request.isa), self.edges.clock_ns
        group = WorkerGroup(specs, threads, self.edges.start, self.random, more, clock_ns)
        self.start_ns[threads, len(specs)] = self.edges.clock_ns() - began_ns
        for label, said in group.descriptions.items():
            description = without_paths(said)
            first = self._descriptions.setdefault((label, threads), description)
            if description != first:
                group.end()
                changed = ", ".join(key for key in first if first[key] != description.get(key))
                raise WorkerError(
                    label, f"is not what it was when the run began: {changed} changed"
                )
        return group

    def _end(self, group: WorkerGroup) -> None:
        self.sampling_ns += group.sampling_ns
        group.end()

    def _failed(self, case: Case, spec: WorkerSpec) -> bool:
        return spec.label in self._left.get(case_id(case), ())

    def _record(self, error: WorkerError, names: Sequence[str], invocation: int) -> bool:
        """Save a fault; tell whether others go on with what it was in."""
        first, *others = dict.fromkeys(names)
        goes_on = self.leave_out(error.worker, names)
        for name in (first, *others):
            self.save(Fault(name, error.worker, invocation, error.reason))
        more = f" and {len(others)} more" if others else ""
        self.progress.note(f"fault in {first}{more}: {error}")
        return goes_on


def _label(spec: WorkerSpec) -> str:
    return spec.label


def timeout_s(case: Case, times: float) -> float:
    """Return how long to wait for so many repetitions of a case that nobody has timed yet."""
    batches = batches_of(case.problem) if case.phase == "epoch" else 1
    return TIMEOUT_S + times * (flops(case) / SLOWEST_FLOPS_PER_S + batches * SLOWEST_BATCH_S)


def ask_arrays(
    group: WorkerGroup,
    label: str,
    op: Literal["tensors", "train"],
    problem: Problem,
    epochs: int,
) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """Have a worker write its arrays; read them, and what it answered."""
    wait_s = timeout_s(Case("epoch", problem), 2 * (epochs + 2))  # validation takes time as well
    shapes = (tensor_shapes if op == "tensors" else training_shapes)(problem, epochs)
    with TemporaryDirectory() as folder:
        answer = group.ask(label, op, wait_s, folder=folder, epochs=epochs)
        try:
            return read(Path(folder), shapes), answer
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) else str(error)
            reason = f"answered {op} without files that can be read: {words}"
            raise WorkerError(label, reason) from error
