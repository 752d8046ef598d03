"""A host's part of a submission: it measures in a child process and keeps copies of its runs.

A run lies in a folder of the host. Each time it has grown by a quarter, a copy is published. A
host that comes back resumes from its folder, or from the copy if the folder is gone.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench.measuring.cluster.environments import Interpreter, cache, child_variables, prepare
from bench.measuring.cluster.identity import sources_digest
from bench.measuring.cluster.published import Published
from bench.measuring.cluster.wire import LONGEST_WORDS, MOST_BYTES, PackedRun, Submission
from bench.model.errors import BenchError, BusyError
from bench.model.paths import PROJECT, without_paths
from bench.storage.atomic_files import write_whole
from bench.storage.limits import plain
from bench.storage.runs import RUN, TRAINING

POLL_S, BUSY_S = 1.0, 5.0
GROWTH = 1.25
"""All copies of a run are at most five times its size; a host that never comes back costs at most a
fifth of what it had measured."""


def work(plan: Submission, host: str) -> None:
    """Do the task of a host, on one of its workers."""
    from distributed import get_client

    perform(plan, host, Published(get_client(), plan.name))


def perform(
    plan: Submission, host: str, board: Published, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Make the runs of a host, one after the other; one that fails is kept as far as it came."""
    for run, wanted in plan.runs(host).items():
        folder = cache() / "fleet" / plan.name / plan.begun / run
        try:
            if sources_digest() != plan.sources:
                raise BenchError("this host has other sources than the client: install the same")
            board.say(run, "preparing the environment")
            interpreter = prepare(wanted)
            if not (folder / RUN).is_file() and (copy := board.kept(run)) and RUN in copy.files:
                write_files(copy.files, folder)
            _measure(plan, run, folder, interpreter, board, sleep)
            packed = PackedRun("finished", "finished", read_files(folder))
        except (BenchError, OSError, ValueError) as error:
            packed = PackedRun("failed", _last(str(error)), read_files(folder))
        board.keep(run, packed)


def read_files(folder: Path) -> dict[str, bytes]:
    """Read what there is of a run: whole lines only, and `run.json` last."""
    there = [name for name in MOST_BYTES if (folder / name).is_file()]
    files = {name: (folder / name).read_bytes() for name in there}
    cut = {name: file[: file.rfind(b"\n") + 1] for name, file in files.items()}
    return {name: files[name] if name in (RUN, TRAINING) else cut[name] for name in there}


def write_files(files: dict[str, bytes], folder: Path) -> None:
    """Write the files of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(folder / name, content)


def _measure(
    plan: Submission,
    run: str,
    folder: Path,
    interpreter: Interpreter,
    board: Published,
    sleep: Callable[[float], None],
) -> None:
    """Run the child to its end, again while another run holds the machine; keep copies."""
    module = ["-m", "bench.cli.cluster_child"]
    command = [str(interpreter.python), *module, str(folder), *plan.arguments]
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(f"{run}.log")
    copied, code = 0, BusyError.exit_code
    while code == BusyError.exit_code:
        # To leave the block closes the child's standard input, and so ends it.
        with log.open("wb") as said, subprocess.Popen(
            command, cwd=PROJECT, env=child_variables(interpreter), stdin=subprocess.PIPE,
            stdout=said, stderr=said, start_new_session=True,
        ) as child:  # fmt: skip
            while child.poll() is None:
                sleep(POLL_S)
                if words := _last(log.read_text(errors="replace")):
                    board.say(run, words)
                size = sum(file.stat().st_size for file in folder.glob("*.jsonl"))
                if size > copied * GROWTH:
                    board.keep(run, PackedRun("running", words, read_files(folder)))
                    copied = size
        code = child.returncode
        if code == BusyError.exit_code:
            sleep(BUSY_S)
    if code:
        words = _last(log.read_text(errors="replace"))
        raise BenchError(words or f"the run ended with exit code {code}")


def _last(text: str) -> str:
    """Return the last line of a text, without what a host does not tell."""
    lines = [plain(without_paths(line)).strip() for line in text.splitlines()[-9:] if line.strip()]
    return re.sub(r'^note text="(.*)"$', r"\1", lines[-1])[:LONGEST_WORDS] if lines else ""
