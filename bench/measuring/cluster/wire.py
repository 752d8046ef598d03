"""What travels between hosts, scheduler and client: names, limits, the task. Pure.

What comes from a host is data of a stranger: a name is one of a few or fits a pattern, a size has a
limit, and none of it is a path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.model.errors import UsageError
from bench.storage.runs import LARGEST_LINES, LARGEST_RUN, LINES, RUN, TRAINING

APPENDED = tuple(LINES.values())
"""Files that only grow, by whole lines."""
REPLACED = (TRAINING, RUN)
"""Files that come whole. `run.json` is last: what it speaks of is there."""
LARGEST_TRAINING = 64 << 20
MOST_BYTES: dict[str, int] = {
    **dict.fromkeys(APPENDED, LARGEST_LINES),
    TRAINING: LARGEST_TRAINING,
    RUN: LARGEST_RUN,
}
PIECE = 1 << 20
"""Bytes that travel at once, but for files that come whole."""
LABEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
LONGEST_WORDS = 400


@dataclass(frozen=True, slots=True)
class Task:
    """What a host is asked to do: one run for each environment, one after the other."""

    submission: str
    host: str
    arguments: tuple[str, ...]  # of `bench run`, without where it puts its results
    environments: tuple[tuple[str, tuple[str, ...]], ...]  # name and requirements
    sources: str  # digest of the sources: a host with others would measure something else

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs of this host, in order."""
        return tuple(run_name(self.host, name) for name, _ in self.environments) or (self.host,)


def run_name(host: str, environment: str) -> str:
    """Name the run of a host in an environment; it is the name of its folder as well."""
    return f"{host}.{environment}" if environment else host


def checked(name: str, what: str = "name") -> str:
    """Return a name that may be a folder's.

    Raises:
        UsageError: It may not.
    """
    if not LABEL.fullmatch(name):
        raise UsageError(
            f"the {what} {name[:80]!r} must be small letters, digits, . _ and -, at most 80"
        )
    return name


def check_piece(file: str, offset: int, size: int) -> None:
    """Check a piece of a file before anything is made of it.

    Raises:
        ValueError: No run of ours has such a file, or one as large.
    """
    most = MOST_BYTES.get(file)
    if most is None:
        raise ValueError(f"{file[:40]!r} is no file of a run")
    if offset < 0 or offset + size > most:
        raise ValueError(f"{file} would be larger than {most >> 20} MiB")
