"""Every error the harness raises on purpose, in one tree.

BenchError                  caught once, in `bench.cli.main`; its text is shown as it is
├── UsageError              the command or a file it names is wrong            (exit code 2)
├── BuildError              the Mojo library did not compile                   (exit code 3)
├── BusyError               another run measures on this machine               (exit code 4)
├── WorkerError             a worker died, hung or answered an error
│   ├── WorkerTimeoutError  it did not answer in time
│   └── WorkerRefusalError  it lives, and answered that it does not do that
└── StoreError              a run on disk is missing, damaged or from a newer version (exit code 2)

Messages say what, where, and what to run next.
"""


class BenchError(Exception):
    """Base of all errors of the harness."""

    exit_code = 1


class UsageError(BenchError):
    """The command, or a file it names, is wrong."""

    exit_code = 2


class BuildError(BenchError):
    """The Mojo library did not compile; carries the compiler's whole output."""

    exit_code = 3


class BusyError(BenchError):
    """Another run measures on this machine, or what tells so cannot be read."""

    exit_code = 4


class WorkerError(BenchError):
    """A worker died, hung or answered with an error.

    Args:
        worker: Label of its slot.
        reason: What happened, in one line.
    """

    def __init__(self, worker: str, reason: str) -> None:
        super().__init__(f"{worker}: {reason}")
        self.worker = worker
        self.reason = reason


class WorkerTimeoutError(WorkerError):
    """A worker did not answer in time and was ended."""


class WorkerRefusalError(WorkerError):
    """A worker lives, and answered that it does not do what it was asked to."""


class StoreError(BenchError):
    """A run on disk is missing, damaged, or written by a newer version."""

    exit_code = 2
