"""The process that measures on a host: `bench run`, ended by Ctrl-C when who started it is gone.

    python -m bench.cli.cluster_child run --preset smoke ...

Who started it holds the other end of its standard input. When that closes, a preempted worker say,
the run ends as by Ctrl-C, and leaves no process that measures on for nobody.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

TIMEOUT_S = 20.0


def main() -> None:
    """Watch standard input, and do the command."""
    watched = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    threading.Thread(target=_watch, args=(watched,), daemon=True).start()
    from bench.cli.main import main as bench

    bench(sys.argv[1:])


def _watch(handle: int) -> None:
    while os.read(handle, 1024):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(TIMEOUT_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
