"""A live worker: one process, started, asked and ended.

The only place that does that. Says what happened to a worker; what that means for a case is the
runner's to decide.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec

from bench.model.errors import WorkerError, WorkerRefusalError, WorkerTimeoutError
from bench.model.paths import PROJECT, without_paths
from bench.model.records import WorkerSpec
from bench.workers.launch import command_of
from bench.workers.messages import Refused, write_request

GOODBYE_S = 2.0
LAST_WORDS = 3
MOST_WORDS = 4096
LONGEST_LINE = 1 << 20
"""Bytes of what a process said last, and of an answer."""


class Slot(Protocol):
    """One worker, as the group talks to it."""

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


StartSlot = Callable[[WorkerSpec, Mapping[str, str]], Slot]
"""Starts the worker of a slot with these variables added to its environment."""


class WorkerProcess:
    """A worker as a process.

    It gets a session of its own, so that Ctrl-C reaches only the runner, which then ends it. If
    the runner itself is killed, the worker's input ends, and with it the worker.

    Args:
        spec: The slot.
        variables: Added to the environment of this process.
        command: What to start; by default what `bench.workers.launch` says.
        folder: Where it works.
        more_path: Where `bench.workers.worker` looks for modules too.

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
        """Send a request and return the answer (see `Slot`)."""
        return self.answer_to(write_request(op, fields), op, timeout_s)

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
            answer = msgspec.json.decode(line, type=dict[str, Any])
            if answer.pop("ok", None):
                return answer
            refused = msgspec.convert({"ok": False, **answer}, Refused)
        except ValueError:
            nonsense = f"answered {op} with {line[:80]!r}, which is no answer"
            raise WorkerError(self._label, without_paths(nonsense)) from None
        words = f"refused {op}: {refused.error}: {refused.message}"
        raise WorkerRefusalError(self._label, without_paths(words))

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
