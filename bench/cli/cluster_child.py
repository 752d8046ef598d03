"""The process that measures on a host: `bench run`, ended when its parent ends.

    python -m bench.cli.cluster_child FOLDER --preset smoke ...

It resumes the run in FOLDER if there is one. It holds a lock on FOLDER, so that one that has
outlived its parent is waited for. Its parent holds the other end of its standard input. When that
closes, because the worker was killed for instance, the run is interrupted as by Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

TIMEOUT_S = 20.0


def main() -> None:
    """Watch standard input, and make the run."""
    watched = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    threading.Thread(target=_watch, args=(watched,), daemon=True).start()
    from filelock import FileLock

    from bench.cli.main import main as bench
    from bench.storage.runs import RUN, load_run

    folder = Path(sys.argv[1])
    with FileLock(f"{folder}.lock", poll_interval=1):
        begun = (folder / RUN).is_file()
        if not begun or load_run(folder).status != "finished":
            bench(command(folder, sys.argv[2:], begun=begun))


def command(folder: Path, given: Sequence[str], *, begun: bool) -> list[str]:
    """Return the command that makes a run, or resumes it: implementations are named again."""
    if begun:
        named = [word for two in pairwise(given) if two[0] == "--implementation" for word in two]
        words = ["--resume", str(folder), *named]
    else:
        words = [*given, "--out", str(folder.parent), "--name", folder.name]
    return ["run", *words, "--no-report", "--plain"]


def _watch(handle: int) -> None:
    while os.read(handle, 1024):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(TIMEOUT_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
