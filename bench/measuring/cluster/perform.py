"""What a host does with a task: it measures in a process of its own, and sends what that writes.

The run lies in a folder of this host and is sent piece by piece, whole lines only. A host that
comes back goes on with it; where its folder is gone, with what it had sent before.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from bench.measuring.cluster.environments import Interpreter, cache, prepare
from bench.measuring.cluster.wire import APPENDED, PIECE, REPLACED, Task, run_name
from bench.model.errors import BenchError, BusyError
from bench.model.paths import PROJECT, without_paths
from bench.storage import runs as store

POLL_S = 1.0
"""How often is looked for new lines: seldom, as it takes time from what is measured."""
BUSY_S = 5.0
BUSY_CODE, INTERRUPTED_CODE = 4, 130
OF_DASK = ("MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What Dask sets for its workers: it would change how fast memory is had, so a run is without."""


class Line(Protocol):
    """The way to the depot: its methods of these names."""

    def say(self, run: str, state: str, words: str) -> None:
        """Tell how far a run is."""
        ...

    def put(self, run: str, file: str, offset: int, content: bytes) -> int:
        """Send a piece; return how much of the file is there."""
        ...

    def read(self, run: str, file: str, offset: int) -> bytes:
        """Ask for what is there."""
        ...


class Shipper:
    """Sends what a run has written since the last time.

    Args:
        folder: Of the run.
        run: Its name.
        line: The way to the depot.
    """

    def __init__(self, folder: Path, run: str, line: Line) -> None:
        self._folder, self._run, self._line = folder, run, line
        self._sent = dict.fromkeys(APPENDED, 0)
        self._whole: dict[str, tuple[int, int]] = {}

    def ship(self) -> None:
        """Send it: `run.json` first, which tells what the lines are about, but read after them."""
        lines = [(file, *self._lines(file)) for file in APPENDED]
        for file in REPLACED:
            path = self._folder / file
            try:
                facts = path.stat()
                mark = (facts.st_mtime_ns, facts.st_size)
                if self._whole.get(file) != mark:
                    self._line.put(self._run, file, 0, path.read_bytes())
                    self._whole[file] = mark
            except FileNotFoundError:
                continue
        for file, offset, content in lines:
            while content:
                held = self._line.put(self._run, file, offset, content[:PIECE])
                taken = held - offset
                if taken <= 0:
                    break
                offset, content = held, content[taken:]
                self._sent[file] = held

    def _lines(self, file: str) -> tuple[int, bytes]:
        offset = self._sent[file]
        try:
            with (self._folder / file).open("rb") as stream:
                stream.seek(offset)
                content = stream.read()
        except FileNotFoundError:
            return offset, b""
        return offset, content[: content.rfind(b"\n") + 1]


def perform(task: Task, line: Line, sleep: Callable[[float], None] = time.sleep) -> None:
    """Do a task: its runs, one after the other.

    Args:
        task: What to do.
        line: The way to the depot.
        sleep: Waits for so many seconds.

    Raises:
        BenchError: A run could not be made or ended wrong; the depot knows why.
    """
    environments = task.environments or (("", ()),)
    wrong = []
    for name, wanted in environments:
        run = run_name(task.host, name)
        try:
            line.say(run, "running", "preparing the environment")
            _measure(task, run, prepare(wanted), line, sleep)
        except (BenchError, OSError) as error:
            words = str(without_paths(str(error))).strip()
            line.say(run, "failed", words.splitlines()[-1] if words else type(error).__name__)
            wrong.append(f"{run}: {words}")
    if wrong:
        raise BenchError("; ".join(wrong))


def child_variables(interpreter: Interpreter) -> dict[str, str]:
    """Return the environment of a process that measures."""
    mine = {name: value for name, value in os.environ.items() if name not in OF_DASK}
    # Where the project is installed, and no checkout, its folder holds other packages too: those of
    # the environment must be found first.
    safe = {} if (PROJECT / "pyproject.toml").is_file() else {"PYTHONSAFEPATH": "1"}
    return {**mine, **safe, **interpreter.variables}


def _measure(
    task: Task, run: str, interpreter: Interpreter, line: Line, sleep: Callable[[float], None]
) -> None:
    folder = cache() / "fleet" / task.submission / run
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _held(folder.with_name(f"{run}.lock"), sleep) as lock:
        if not (folder / store.RUN).is_file():
            _restore(folder, run, line)
        shipper = Shipper(folder, run, line)
        while True:
            if (folder / store.RUN).is_file():
                shipper.ship()
                if store.load_run(folder).status == "finished":
                    line.say(run, "finished", "finished")
                    return
                words = ["run", "--resume", str(folder)]
            else:
                words = ["run", *task.arguments, "--out", str(folder.parent), "--name", run]
            try:
                child = [str(interpreter.python), "-m", "bench.cli.cluster_child"]
                command = [*child, *words, "--no-report", "--plain"]
                variables = child_variables(interpreter)
                _watch(command, variables, folder, run, lock, shipper, line, sleep)
            except BusyError as error:
                line.say(run, "running", f"waiting: {error}")
                sleep(BUSY_S)


def _watch(
    command: list[str],
    variables: dict[str, str],
    folder: Path,
    run: str,
    lock: int,
    shipper: Shipper,
    line: Line,
    sleep: Callable[[float], None],
) -> None:
    """Run the child to its end, and send meanwhile what it writes and says."""
    log = folder.with_name(f"{run}.log")
    with log.open("wb") as said:
        child = subprocess.Popen(
            command, cwd=PROJECT, env=variables, stdin=subprocess.PIPE,
            stdout=said, stderr=said, pass_fds=(lock,), start_new_session=True,
        )  # fmt: skip
    try:
        while child.poll() is None:
            sleep(POLL_S)
            shipper.ship()
            line.say(run, "running", _last(log))
    finally:
        if child.stdin:
            child.stdin.close()
        code = child.wait()
    shipper.ship()
    words = _last(log)
    if code == BUSY_CODE:
        raise BusyError(words)
    if code not in (0, INTERRUPTED_CODE):
        raise BenchError(words or f"the run ended with exit code {code}")
    if code == INTERRUPTED_CODE:
        raise BenchError("the run was interrupted on its host")


def _restore(folder: Path, run: str, line: Line) -> None:
    """Write what this host had sent before its folder was lost, if anything."""
    facts = line.read(run, store.RUN, 0)
    if not facts:
        return
    unfinished = folder.with_name(f"{run}.restored")
    unfinished.mkdir(exist_ok=True)
    for file in APPENDED:
        content = bytearray()
        while piece := line.read(run, file, len(content)):
            content += piece
        (unfinished / file).write_bytes(content)
    for file in REPLACED:
        if content_of := line.read(run, file, 0):
            (unfinished / file).write_bytes(content_of)
    unfinished.rename(folder)


@contextmanager
def _held(path: Path, sleep: Callable[[float], None]) -> Iterator[int]:
    """Hold a run's lock; the child inherits it, so one that outlives its worker is waited for."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                sleep(POLL_S)
        yield handle
    finally:
        os.close(handle)


def _last(log: Path) -> str:
    """Return the last line that the child said."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 4096))
        text = stream.read().decode(errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    return re.sub(r'^note text="(.*)"$', r"\1", str(without_paths(lines[-1]))) if lines else ""
