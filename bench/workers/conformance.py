"""The conformance kit: drives any worker through the protocol and says in words what is wrong.

What a worker is asked here is what a run asks it (docs/protocol.md), one thing at a time, and each
answer is held to what the protocol says of it. Numbers are held to NumPy's by
`bench.workers.parity`, times to the fairness contract by `bench.workers.fairness`. Starts
processes; stores nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.model.errors import WorkerError, WorkerRefusalError, WorkerTimeoutError
from bench.model.records import OVERHEADS, PHASES, DType, Phase, Problem
from bench.workers import fairness as contract
from bench.workers import parity
from bench.workers import tensor_files as exchange
from bench.workers.comparing import EPOCHS, Side, compare
from bench.workers.datasets import data_folder
from bench.workers.findings import (
    ALIVE,
    BY_HAND,
    REFUSED,
    SILENT,
    Check,
    Report,
    Wrong,
    agree,
    fairness_checks_of,
    fits,
    request,
)
from bench.workers.messages import PROTOCOL, CostsTold, Described, Done, Sampled, TensorsWritten
from bench.workers.process import GOODBYE_S, WorkerProcess

SEED_NETWORK = Problem((1, *[50] * 9, 1), 20, 500, "float64", 1)
AWKWARD = Problem((3, 7, 5, 2), 4, 27, "float64", 1)
"""Odd widths, two outputs, and rows that are left over at the end of an epoch."""
DTYPES: tuple[DType, ...] = ("float64", "float32")
TRAINING_EPOCHS = 3
SAMPLE_NS, MOST_LOOPS = 3_000_000, 1 << 24
FAR_TOO_LONG_NS = 1_000_000_000
"""Outside, for what takes less than a sample's time inside."""
ROUSE_NS = 20_000_000
TRIES, ATTEMPTS = 3, 8
SEED = 1
Start = Callable[[], WorkerProcess]


def check_worker(start: Start, reference: Start, cache: Path, timeout_s: float) -> Report:
    """Look at a worker.

    Args:
        start: Starts it anew.
        reference: Starts a worker of NumPy.
        cache: Folder for the data.
        timeout_s: How long to wait for an answer.
    """
    baseline = reference()
    try:
        return _Kit(start, baseline, cache, timeout_s).run()
    finally:
        baseline.end()


class _Kit:
    def __init__(
        self, start: Start, baseline: WorkerProcess, cache: Path, timeout_s: float
    ) -> None:
        self._start, self._baseline, self._cache = start, baseline, cache
        self._timeout_s = timeout_s
        self._worker: WorkerProcess | None = None
        self._prepared: Problem | None = None
        self._phases: tuple[Phase, ...] = PHASES
        self._checks: list[Check] = []

    def run(self) -> Report:
        stopped = ""
        try:
            for name, look in self._looks():
                try:
                    look()
                    self._checks.append(Check(name, ok=True))
                    continue
                except Wrong as wrong:
                    said = wrong.expected, wrong.came, wrong.advice
                except WorkerError as error:
                    self._end()
                    advice = SILENT if isinstance(error, WorkerTimeoutError) else BY_HAND
                    said = "an answer", error.reason, advice
                    stopped = "it hung" if isinstance(error, WorkerTimeoutError) else ""
                self._checks.append(Check(name, False, *said))
                if stopped or len(self._checks) == 1:
                    stopped = stopped or "it does not say what it is"
                    break
        finally:
            self._end()
        return Report(tuple(self._checks), stopped)

    def _looks(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """List what is looked at, in this order; what it is called comes first."""
        yield "it starts, and describe tells what it is", self._describe
        yield "before prepare, work is refused", self._unprepared
        for network in (SEED_NETWORK, AWKWARD):
            for dtype in DTYPES:
                problem = replace(network, dtype=dtype)
                sizes = ",".join(map(str, problem.layer_sizes[:3]))
                more = ",..." if len(problem.layer_sizes) > 3 else ""
                yield (
                    f"its tensors are NumPy's: {sizes}{more} {dtype}",
                    partial(self._tensors, problem),
                )
        for phase in self._phases:
            yield f"{phase} is timed", partial(self._sample, phase)
        yield "work before a sample is not in it", self._rouse
        yield "reset brings the weights back", self._reset
        if "epoch" in self._phases:
            yield "train writes the losses", self._train
        yield "costs are told or refused", self._costs
        for what, line in REFUSED.items():
            yield f"{what} is refused, and it lives on", partial(self._refusal, what, line)
        yield "after a prepare that failed nothing is prepared", self._failed_prepare
        yield "it answers once, and quit ends it with exit code 0", self._quit
        yield "the end of its input ends it", self._end_of_input

    # One look each

    def _describe(self) -> None:
        said = self._live().ask("describe", self._timeout_s)
        if said.get("protocol") != PROTOCOL:
            raise Wrong(
                f'"protocol": {PROTOCOL}',
                f'"protocol": {json.dumps(said.get("protocol"))}',
                "answer describe with the version of docs/protocol.md that it was written for",
            )
        told = fits(Described, "describe", said)
        if told.threads != 1:
            raise Wrong(
                "1 thread, as OMP_NUM_THREADS=1 and its like ask for",
                f"{told.threads} threads",
                "read the variables of docs/protocol.md before threads are made",
            )
        if told.denormals != "kept" or told.rounding != "to nearest":
            raise Wrong(
                "denormals kept, rounding to nearest, as in NumPy",
                f"denormals {told.denormals}, rounding {told.rounding}",
                "compile without -ffast-math, and leave the processor's modes alone",
            )
        phases = [name for name in told.phases if name in (*PHASES, *OVERHEADS)]
        if not set(phases) & set(PHASES):
            raise Wrong("phases with one of forward, backprop, epoch", f"{told.phases}")
        self._phases = tuple(phases)

    def _unprepared(self) -> None:
        for op, fields in (("sample", {"phase": "forward", "loops": 1}), ("reset", {})):
            self._must_refuse(request(op=op, **fields), f"{op} before prepare")

    def _tensors(self, problem: Problem) -> None:
        told: dict[str, list[TensorsWritten]] = {"NumPy": [], "the worker": []}

        def side(name: str, worker: WorkerProcess) -> Side:
            def compute(one: Problem, seed: int, epochs: int) -> Mapping[str, Any]:
                self._prepare(worker, one, seed)
                arrays, said = self._arrays(worker, "tensors", one, epochs)
                told[name].append(fits(TensorsWritten, "tensors", said))
                return arrays

            return Side(name, compute, self._phases)

        baseline, mine = side("NumPy", self._baseline), side("the worker", self._live())
        (result,) = compare(problem, baseline, [mine], SEED)
        for theirs, said in zip(told["NumPy"], told["the worker"], strict=False):
            if said.inputs != theirs.inputs:
                advice = "the CRC-32 of the numbers of X, y, X_val, y_val in this order"
                raise Wrong(f"inputs {theirs.inputs}", said.inputs, advice)
            if said.layout != theirs.layout:
                raise Wrong(f"layout {theirs.layout}", said.layout, "C order, dense")
        agree(result)

    def _sample(self, phase: Phase) -> None:
        worker = self._ready(SEED_NETWORK)

        def take(loops: int) -> contract.Trial:
            if phase == "epoch":
                worker.ask("reset", self._timeout_s)
            start_ns = time.perf_counter_ns()
            said = worker.ask("sample", self._timeout_s, phase=phase, loops=loops)
            passed_ns = time.perf_counter_ns() - start_ns
            told = fits(Sampled, "sample", said)
            elapsed_ns = told.elapsed_ns
            if elapsed_ns > passed_ns:
                raise Wrong(
                    f"less than the {passed_ns:,} ns that passed outside",
                    f"{elapsed_ns:,} ns for {loops} repetitions",
                    "nanoseconds of a monotonic clock, of all repetitions together",
                )
            return contract.Trial(loops, elapsed_ns, told.wall_ns or passed_ns, told.cpu_ns or 0)

        loops, passed_ns = 1, 0
        while True:
            start_ns = time.perf_counter_ns()
            elapsed_ns = take(loops).elapsed_ns
            passed_ns = time.perf_counter_ns() - start_ns
            if elapsed_ns >= SAMPLE_NS:
                break
            if loops >= MOST_LOOPS or passed_ns > FAR_TOO_LONG_NS:
                raise Wrong(
                    "time that grows with the repetitions, and is most of what passed outside",
                    f"{loops:,} repetitions take {elapsed_ns:,} ns, and {passed_ns:,} ns outside",
                    "do the work of every repetition, with the clock around all of them: a "
                    "compiler may have left some out",
                )
            loops *= 2
        pairs = []
        for _ in range(ATTEMPTS):  # a fault stays, a disturbance passes
            pairs += [(take(loops), take(3 * loops)) for _ in range(TRIES)]
            broken = contract.first_broken(fairness_checks_of(phase, pairs))
            if not broken:
                break
        if broken:
            raise Wrong(
                "three times the time for three times the repetitions, one core, a true clock",
                broken,
                "look where the clock stands, and for threads that it does not tell of; on a busy "
                "machine, try again",
            )

    def _rouse(self) -> None:
        phase = next(phase for phase in self._phases if phase in PHASES)
        worker = self._ready(SEED_NETWORK)
        start_ns = time.perf_counter_ns()
        fields = {"phase": phase, "loops": 1, "rouse_ns": ROUSE_NS}
        said = worker.ask("sample", self._timeout_s, **fields)
        passed_ns = time.perf_counter_ns() - start_ns
        outside_ns = passed_ns - fits(Sampled, "sample", said).elapsed_ns
        if outside_ns < ROUSE_NS:
            raise Wrong(
                f"work for {ROUSE_NS / 1e6:g} ms or longer before the clock starts",
                f"{outside_ns / 1e6:.3g} ms outside the sample",
                "repeat the phase untimed until rouse_ns have passed (forward, where there is "
                "one), then take the sample",
            )

    def _reset(self) -> None:
        worker = self._live()
        self._prepare(worker, AWKWARD, SEED)
        before, _ = self._arrays(worker, "tensors", AWKWARD, EPOCHS)
        phase = "epoch" if "epoch" in self._phases else self._phases[0]
        worker.ask("sample", self._timeout_s, phase=phase, loops=2)
        fits(Done, "reset", worker.ask("reset", self._timeout_s))
        after, _ = self._arrays(worker, "tensors", AWKWARD, EPOCHS)
        odd = [name for name in before if before[name].tobytes() != after[name].tobytes()]
        if odd:
            raise Wrong(
                "the same tensors after two epochs and a reset, bit for bit",
                f"{odd[0]} differs (and {len(odd) - 1} more)" if odd[1:] else f"{odd[0]} differs",
                "reset brings weights, biases and the random stream back to where prepare left "
                "them; tensors begins there, and ends there too",
            )

    def _train(self) -> None:
        found = []
        for worker in (self._baseline, self._ready(SEED_NETWORK)):
            self._prepare(worker, SEED_NETWORK, SEED)
            arrays, said = self._arrays(worker, "train", SEED_NETWORK, TRAINING_EPOCHS)
            found.append(arrays)
        fits(Done, "train", said)
        theirs, mine = found
        for name, shape in exchange.training_shapes(SEED_NETWORK, TRAINING_EPOCHS).items():
            came = f"of shape {mine[name].shape}" if name in mine else "no file"
            if name not in mine or mine[name].shape != shape:
                file = f"{exchange.file_name(name)}.npy"
                raise Wrong(f"{file} of shape {shape}", came, "docs/protocol.md, train")
        theirs, mine = ({name: one[name] for name in exchange.LOSSES} for one in (theirs, mine))
        agree(parity.check(SEED_NETWORK, "NumPy", "the worker", theirs, mine, theirs))

    def _costs(self) -> None:
        self._end()
        try:
            said = self._ready(AWKWARD).ask("costs", self._timeout_s)
        except WorkerRefusalError:
            return
        fits(CostsTold, "costs", said)

    def _refusal(self, what: str, line: bytes) -> None:
        self._must_refuse(line, what, self._ready(AWKWARD))

    def _failed_prepare(self) -> None:
        worker = self._ready(AWKWARD)
        nowhere = request(op="prepare", problem=asdict(AWKWARD), data="/nowhere/at/all", seed=SEED)
        self._must_refuse(nowhere, "prepare without data", worker)
        self._prepared = None
        self._must_refuse(b'{"op": "reset"}', "reset after a prepare that failed", worker)

    def _quit(self) -> None:
        self._end()
        worker, self._worker = self._ready(AWKWARD), None
        worker.send(b'{"op": "quit"}', "quit")
        self._ended(*worker.leave(max(GOODBYE_S, self._timeout_s / 10)), "quit")

    def _end_of_input(self) -> None:
        worker, self._worker = self._ready(AWKWARD), None
        self._ended(*worker.leave(max(GOODBYE_S, self._timeout_s / 10)), "the end of its input")

    # What they share

    def _ended(self, code: int | None, rest: bytes, what: str) -> None:
        if rest:
            raise Wrong(
                "one answer a request, and nothing else, on BENCH_REPLY_FD",
                f"{rest[:60]!r} beside them",
                "what is for people goes to standard output or error",
            )
        if code != 0:
            came = "it went on and was killed" if code is None else f"exit code {code}"
            raise Wrong(f"exit code 0 after {what}", came, "end without an error, and promptly")

    def _must_refuse(self, line: bytes, what: str, worker: WorkerProcess | None = None) -> None:
        worker = worker or self._live()
        try:
            said = worker.answer_to(line, what, self._timeout_s)
        except WorkerRefusalError:
            pass
        else:
            text = json.dumps({"ok": True, **said})[:60]
            raise Wrong('"ok": false, with error and message', text, f"check {what}: {ALIVE}")
        try:
            worker.ask("describe", self._timeout_s)
        except WorkerError as error:
            self._end()
            raise Wrong(f"an answer to describe after {what}", error.reason, ALIVE) from None

    def _arrays(
        self, worker: WorkerProcess, op: str, problem: Problem, epochs: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        shapes = (exchange.tensor_shapes if op == "tensors" else exchange.training_shapes)(
            problem, epochs
        )
        with TemporaryDirectory() as folder:
            said = worker.ask(op, self._timeout_s, folder=folder, epochs=epochs)
            try:
                return exchange.read(Path(folder), shapes), said
            except (OSError, ValueError) as error:
                raise Wrong(
                    "files that can be read, and only those of docs/protocol.md",
                    str(error),
                    ".npy version 1: '<f8' or '<f4', fortran_order False, the shape, the numbers",
                ) from None

    def _prepare(self, worker: WorkerProcess, problem: Problem, seed: int) -> None:
        data, _ = data_folder(problem, self._cache)
        fields = {"problem": asdict(problem), "data": str(data), "seed": seed}
        said = worker.ask("prepare", self._timeout_s, **fields)
        if worker is not self._baseline:
            self._prepared = problem
            fits(Done, "prepare", said)

    def _live(self) -> WorkerProcess:
        if self._worker is None:
            self._worker, self._prepared = self._start(), None
        return self._worker

    def _ready(self, problem: Problem) -> WorkerProcess:
        worker = self._live()
        if self._prepared != problem:
            self._prepare(worker, problem, SEED)
        return worker

    def _end(self) -> None:
        if self._worker is not None:
            self._worker.end()
        self._worker = self._prepared = None
