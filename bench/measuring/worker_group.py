"""The group: the workers that take turns on a problem, each sample with the same past.

Asks for samples and keeps the contract between workers; the processes are
`bench.workers.process`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

import msgspec

from bench.model.errors import WorkerError
from bench.model.records import Case, Phase, Problem, WorkerSpec
from bench.model.registry import flushes
from bench.model.slots import has_phase
from bench.model.threads import thread_environment
from bench.model.workload import batches_of
from bench.storage.limits import is_reading
from bench.workers.messages import PROTOCOL, Sampled, read_answer
from bench.workers.process import Slot, StartSlot

TIMEOUT_S = 60.0
"""Least time to wait for any answer: long for a busy machine, short for a person."""
ROUSE_NS, ROUSE_ALONE_NS = 30_000_000, 1_000_000
"""How long a worker works before a sample, with several threads and with one. Threads that have
slept may wake on one core and share it until the system moves one away, milliseconds later; one
thread finds its caches and the core's clock as another process left them, which made a slowdown of
ten percent look like nine and a half."""
MOVING: tuple[Phase, ...] = ("epoch", "shuffle")
"""What leaves other weights behind, or the random stream elsewhere: `reset` comes after it. To draw
the weights of a wide network takes longer than many a sample."""
PADDING_BYTES = 4096


class WorkerGroup:
    """The workers that take turns, all with the same number of threads.

    Args:
        specs: The slots.
        threads: Threads of every worker, set before it starts and confirmed by it.
        start: Starts one worker.
        random: Draws the padding of the environment block: where a process's memory lands
            shifts its speed, so each start gets another layout.
        more: Variables to start every worker with.
        clock_ns: Tells how long answers to `sample` take.

    Raises:
        WorkerError: A worker does not start, or does not keep the contract: it has another
            number of threads, or treats subnormal numbers differently from the first.
    """

    def __init__(
        self,
        specs: Sequence[WorkerSpec],
        threads: int,
        start: StartSlot,
        random: Random,
        more: Mapping[str, str] = MappingProxyType({}),
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.specs = tuple(specs)
        self.threads = threads
        self.sampling_ns = 0  # from requests for samples to their answers, all together
        self.descriptions: dict[str, dict[str, Any]] = {}
        self._clock_ns = clock_ns
        self._of = {spec.label: spec.implementation for spec in specs}
        self._prepared: dict[str, tuple[Problem, int]] = {}
        self._trained: dict[str, Problem] = {}
        self._moved: set[str] = set()  # who no longer has the weights and stream of `prepare`
        self._trainable = {spec.label for spec in specs if has_phase(spec, "epoch")}
        self._slots: dict[str, Slot] = {}
        try:
            for spec in random.sample(specs, len(specs)):  # starting first favours nobody
                padding = "x" * random.randrange(PADDING_BYTES)
                variables = {**thread_environment(threads), **more, "BENCH_PADDING": padding}
                self._slots[spec.label] = start(spec, variables)
            for spec in specs:
                self.descriptions[spec.label] = self.ask(spec.label, "describe")
                self._check_contract(spec.label)
        except BaseException:
            self.end()
            raise

    def ask(self, label: str, op: str, timeout_s: float = TIMEOUT_S, **fields: Any) -> Any:
        """Ask one worker; see `Slot.ask`."""
        return self._slots[label].ask(op, timeout_s, **fields)

    def prepare(
        self, label: str, problem: Problem, data: Path, seed: int, *, anew: bool = True
    ) -> None:
        """Have a worker hold a problem with fresh weights; draw them `anew` also if none has moved.

        That is part of a phase's past: glibc keeps memory then, and NumPy is up to twice as fast.
        """
        if self._prepared.get(label) == (problem, seed):
            if anew:
                self._moved.add(label)
            self._refresh(label)
            return
        self._prepared.pop(label, None)
        self._moved.discard(label)
        self.ask(label, "prepare", problem=asdict(problem), data=str(data), seed=seed)
        self._prepared[label] = problem, seed

    def sample(self, label: str, case: Case, loops: int, timeout_s: float) -> Sampled:
        """Take one sample; an epoch starts from fresh weights.

        Where no epoch came first, one does, unrecorded: each case is timed in a process that has
        trained its network, whichever cases were asked for.

        Raises:
            WorkerError: Also when the worker's clock did not move, or its answer is none.
        """
        if case.phase == "epoch":
            self._refresh(label)
        elif label in self._trainable and self._trained.get(label) != case.problem:
            batches = max(1, batches_of(case.problem))
            self._moved.add(label)
            self._repeat(label, timeout_s * batches, phase="epoch", loops=1)
            self._refresh(label)
        self._trained[label] = case.problem
        if case.phase in MOVING:
            self._moved.add(label)
        rouse_ns = ROUSE_NS if self.threads > 1 else ROUSE_ALONE_NS
        answer = self._repeat(label, timeout_s, phase=case.phase, loops=loops, rouse_ns=rouse_ns)
        measured = f"measured {answer.get('elapsed_ns')!r} ns for {loops} repetitions"
        try:
            told = read_answer(Sampled, answer)
        except msgspec.ValidationError as error:
            raise WorkerError(label, f"{measured}: {error}") from None
        if not is_reading(told.elapsed_ns, loops):
            raise WorkerError(label, f"{measured}: too fast to be real")
        return told

    def end(self) -> None:
        """End every worker."""
        for slot in self._slots.values():
            slot.end()

    def _repeat(self, label: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        began_ns = self._clock_ns()
        answer: dict[str, Any] = self.ask(label, "sample", timeout_s, **fields)
        self.sampling_ns += self._clock_ns() - began_ns
        return answer

    def _refresh(self, label: str) -> None:
        """Have a worker go back to fresh weights, unless it has them still."""
        if label in self._moved:
            self.ask(label, "reset")
            self._moved.discard(label)

    def _check_contract(self, label: str) -> None:
        mine = self.descriptions[label]
        first_label, first = next(iter(self.descriptions.items()))
        if mine.get("protocol", PROTOCOL) != PROTOCOL:
            words = f"speaks version {mine['protocol']!r} of the protocol, and this is {PROTOCOL}"
            raise WorkerError(label, f"{words}: see docs/protocol.md")
        if mine.get("threads") != self.threads:
            raise WorkerError(
                label, f"was started with {self.threads} threads and has {mine.get('threads')}"
            )
        declared = flushes(self._of[label])
        if mine.get("denormals") != ("flushed" if declared else first.get("denormals")):
            other = "flushed by" if declared else f"{first.get('denormals')} in"
            raise WorkerError(
                label,
                f"subnormal numbers are {mine.get('denormals')} here "
                f"and {other} {'what bench.model.registry says' if declared else first_label}",
            )
