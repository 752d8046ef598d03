"""Live workers: one process each, and the crew that takes turns on one problem.

The only place that starts, asks and ends processes. Says what happened to a worker; what that
means for a case is the runner's to decide.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any, Protocol

from bench.cases import has_phase
from bench.environment import PROJECT, without_paths
from bench.errors import WorkerError, WorkerRefusalError, WorkerTimeoutError
from bench.programs import command_of
from bench.protocol import PROTOCOL
from bench.records import Case, Phase, Problem, WorkerSpec
from bench.registry import flushes
from bench.sanity import is_reading
from bench.threads import thread_environment
from bench.workload import batches_of

PATIENCE_S = 60.0
"""Least time to wait for any answer: long for a busy machine, short for a person."""
ROUSE_NS, ROUSE_ALONE_NS = 30_000_000, 1_000_000
"""How long a worker works before a sample, with several threads and with one. Threads that have
slept may wake on one core and share it until the system moves one away, milliseconds later; one
thread finds its caches and the core's clock as another process left them, which made a handicap of
ten percent look like nine and a half."""
MOVING: tuple[Phase, ...] = ("epoch", "shuffle")
"""What leaves other weights behind, or the random stream elsewhere: `reset` comes after it. To draw
the weights of a wide network takes longer than many a sample."""
GOODBYE_S = 2.0
PADDING_BYTES = 4096
LAST_WORDS = 3
MOST_WORDS = 4096
LONGEST_LINE = 1 << 20
"""Bytes of what a process said last, and of an answer."""


class Seat(Protocol):
    """One worker, as the crew talks to it."""

    def ask(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            WorkerError: The worker died or refused.
            WorkerTimeoutError: It did not answer in time, and was ended.
        """
        ...

    def end(self) -> None:
        """End the worker; to end it twice does nothing."""
        ...


StartSeat = Callable[[WorkerSpec, Mapping[str, str]], Seat]
"""Starts the worker of a seat with these variables added to its environment."""


class WorkerProcess:
    """A worker as a process.

    It gets a session of its own, so that Ctrl-C reaches only the runner, which then ends it. If
    the runner itself is killed, the worker's input ends, and with it the worker.

    Args:
        spec: The seat.
        variables: Added to the environment of this process.
        command: What to start; by default what `bench.programs` says.
        folder: Where it works.
        more_path: Where `bench.worker` looks for modules too.

    Raises:
        WorkerError: The system does not start it.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        variables: Mapping[str, str],
        command: Sequence[str] | None = None,
        *,
        folder: Path = PROJECT,
        more_path: Path | None = None,
    ) -> None:
        self._label = spec.label
        paths = [Path(part) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
        paths += [more_path] if more_path is not None else []
        if paths and command is None:  # it works in another folder than we do
            path = os.pathsep.join(str(part.absolute()) for part in paths)
            variables = {**variables, "PYTHONPATH": path}
        command = command or command_of(spec, variables)
        self._unread = b""
        self._replies, their_end = os.pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the worker
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=self._output,
                stderr=self._output,
                pass_fds=(their_end,),
                env={
                    **os.environ,
                    **variables,
                    "BENCH_REPLY_FD": str(their_end),
                    "PYTHONUNBUFFERED": "1",  # last words come in the order they were said
                },
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._replies)
            self._output.close()
            raise WorkerError(spec.label, f"cannot be started: {error.strerror}") from None
        finally:
            os.close(their_end)

    def ask(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        """Send a request and return the answer (see `Seat`)."""
        request = json.dumps({"op": op, **fields}).encode()
        return self.answer_to(request, op, timeout_s)

    def answer_to(self, request: bytes, op: str, timeout_s: float) -> dict[str, Any]:
        """Send a line, whatever it holds, and return the answer.

        Args:
            request: The line, without its end.
            op: What it is called in words.
            timeout_s: How long to wait.

        Raises:
            WorkerError: As of `ask`.
        """
        self.send(request, op)
        line = self._read_line(op, timeout_s)
        try:
            answer = json.loads(line)
            if answer.pop("ok"):
                return dict(answer)
            refusal = f"refused {op}: {answer['error']}: {answer['message']}"
        except (ValueError, TypeError, KeyError, AttributeError):
            nonsense = f"answered {op} with {line[:80]!r}, which is no answer"
            raise WorkerError(self._label, without_paths(nonsense)) from None
        raise WorkerRefusalError(self._label, without_paths(refusal))

    def send(self, request: bytes, what: str) -> None:
        """Send a line and wait for no answer.

        Raises:
            WorkerError: The worker is gone.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._death(what) from None

    def leave(self, timeout_s: float) -> tuple[int | None, bytes]:
        """End the worker's input and see how it ends: its exit code, and what it still answered.

        The code is None where it did not end in time, and was ended.
        """
        process = self._process
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        code: int | None
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        rest = self._unread
        while select.select([self._replies], [], [], 0)[0]:  # a child of it may keep it open
            part = os.read(self._replies, 65536)
            if not part:
                break
            rest += part
        os.close(self._replies)
        self._output.close()
        return code, rest

    def end(self) -> None:
        """End the worker: ask it to go, and make it go if it does not."""
        process = self._process
        if process.stdin is None or process.stdin.closed:
            return
        try:
            process.stdin.write(b'{"op": "quit"}\n')
            process.stdin.close()
        except OSError:
            pass  # it is gone already
        try:
            process.wait(GOODBYE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(self._replies)
        self._output.close()

    def _read_line(self, op: str, timeout_s: float) -> bytes:
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            left_s = max(0.0, deadline - time.monotonic())
            readable, _, _ = select.select([self._replies], [], [], left_s)
            if not readable:
                self._process.kill()
                words = f"did not answer {op} within {timeout_s:.0f} s and was ended"
                raise WorkerTimeoutError(self._label, words + self._last_words())
            part = os.read(self._replies, 65536)
            if not part:
                raise self._death(op)
            self._unread += part
            if len(self._unread) > LONGEST_LINE:
                self._process.kill()
                raise WorkerError(self._label, f"answered {op} with a line without end")
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _death(self, op: str) -> WorkerError:
        """Say how the process ended, and its last words."""
        try:
            status = self._process.wait(GOODBYE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return WorkerError(self._label, f"closed its answers during {op} and was ended")
        names = {number.value: number.name for number in signal.Signals}
        how = f"exit code {status}" if status >= 0 else f"signal {names.get(-status, -status)}"
        return WorkerError(self._label, f"died during {op} ({how})" + self._last_words())

    def _last_words(self) -> str:
        """Return what the process said last to people, after a colon; empty if it said nothing."""
        self._output.seek(-min(MOST_WORDS, self._output.seek(0, os.SEEK_END)), os.SEEK_END)
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        words = " | ".join(line.strip() for line in lines[-LAST_WORDS:])
        return f": {without_paths(words)}" if words else ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a worker said of one sample; None where it does not say."""

    elapsed_ns: int  # by the implementation's clock
    wall_ns: int | None = None  # by the worker's, around it
    cpu_ns: int | None = None
    preempted: int | None = None
    page_faults: int | None = None


class Crew:
    """The workers that take turns, all with the same number of threads.

    Args:
        specs: The seats.
        threads: Threads of every worker, set before it starts and confirmed by it.
        start: Starts one worker.
        random: Draws the padding of the environment block: where a process's memory lands
            shifts its speed, so each start gets another layout.
        more: Variables to start every worker with.

    Raises:
        WorkerError: A worker does not start, or does not keep the contract: it has another
            number of threads, or treats subnormal numbers differently from the first.
    """

    def __init__(
        self,
        specs: Sequence[WorkerSpec],
        threads: int,
        start: StartSeat,
        random: Random,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.specs = tuple(specs)
        self.threads = threads
        self.descriptions: dict[str, dict[str, Any]] = {}
        self._of = {spec.label: spec.implementation for spec in specs}
        self._prepared: dict[str, tuple[Problem, int]] = {}
        self._trained: dict[str, Problem] = {}
        self._moved: set[str] = set()  # who no longer has the weights and stream of `prepare`
        self._trainable = {spec.label for spec in specs if has_phase(spec, "epoch")}
        self._seats: dict[str, Seat] = {}
        try:
            for spec in random.sample(specs, len(specs)):  # starting first favours nobody
                padding = "x" * random.randrange(PADDING_BYTES)
                variables = {**thread_environment(threads), **more, "BENCH_PADDING": padding}
                self._seats[spec.label] = start(spec, variables)
            for spec in specs:
                self.descriptions[spec.label] = self.ask(spec.label, "describe")
                self._check_contract(spec.label)
        except BaseException:
            self.end()
            raise

    def ask(self, label: str, op: str, timeout_s: float = PATIENCE_S, **fields: Any) -> Any:
        """Ask one worker; see `Seat.ask`."""
        return self._seats[label].ask(op, timeout_s, **fields)

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

    def sample(self, label: str, case: Case, loops: int, timeout_s: float) -> Reading:
        """Take one sample; an epoch starts from fresh weights.

        Where no epoch came first, one does, unrecorded: each case is timed in a process that has
        trained its network, whichever cases were asked for.

        Raises:
            WorkerError: Also when the worker's clock did not move.
        """
        if case.phase == "epoch":
            self._refresh(label)
        elif label in self._trainable and self._trained.get(label) != case.problem:
            batches = max(1, batches_of(case.problem))
            self._moved.add(label)
            self.ask(label, "sample", timeout_s * batches, phase="epoch", loops=1)
            self._refresh(label)
        self._trained[label] = case.problem
        if case.phase in MOVING:
            self._moved.add(label)
        rouse_ns = ROUSE_NS if self.threads > 1 else ROUSE_ALONE_NS
        answer = self.ask(
            label, "sample", timeout_s, phase=case.phase, loops=loops, rouse_ns=rouse_ns
        )
        elapsed_ns = answer.get("elapsed_ns")
        if not isinstance(elapsed_ns, int) or elapsed_ns <= 0:
            raise WorkerError(label, f"measured {elapsed_ns!r} ns for {loops} repetitions")
        if not is_reading(elapsed_ns, loops):
            raise WorkerError(label, f"measured {elapsed_ns} ns for {loops} repetitions: no work")
        meters = {
            name: answer[name]
            for name in ("wall_ns", "cpu_ns", "preempted", "page_faults")
            if isinstance(answer.get(name), int)
        }
        return Reading(elapsed_ns, **meters)

    def end(self) -> None:
        """End every worker."""
        for seat in self._seats.values():
            seat.end()

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
                f"and {other} {'what bench.registry says' if declared else first_label}",
            )
