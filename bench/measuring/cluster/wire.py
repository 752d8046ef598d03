"""What travels between client, scheduler and hosts. Pure.

A host is as trusted as a stranger: names must fit a pattern, sizes are limited, and nothing that it
sends is used as a path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from bench.model.errors import UsageError
from bench.storage.runs import LARGEST_LINES, LARGEST_RUN, LINES, RUN, TRAINING

Environments = tuple[tuple[str, tuple[str, ...]], ...]
"""Names, and the requirements of each."""
LABEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
LONGEST_WORDS = 400
MOST_BYTES = {**dict.fromkeys(LINES.values(), LARGEST_LINES), TRAINING: 64 << 20, RUN: LARGEST_RUN}
"""The files of a run and their largest size. `run.json` is last: what it refers to is there."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One `bench run --cluster`: what every host measures, one run for each environment."""

    name: str
    begun: str  # when, by the client: a later one of the same name is another one
    arguments: tuple[str, ...]  # of `bench run`, without the output folder
    environments: Environments
    sources: str  # digest of the client's sources
    hosts: int  # how many hosts are to be measured

    def runs(self, host: str) -> dict[str, tuple[str, ...]]:
        """Return the runs of a host in order, by the name of their folder, with requirements."""
        environments = self.environments or (("", ()),)
        return {f"{host}.{name}" if name else host: wanted for name, wanted in environments}


@dataclass(frozen=True, slots=True)
class PackedRun:
    """A run as far as it has been measured."""

    state: Literal["running", "finished", "failed"]
    words: Annotated[str, msgspec.Meta(max_length=LONGEST_WORDS)]  # for people
    files: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a run is."""

    run: str
    state: str  # waiting, running, finished, failed, damaged, lost
    words: str


def unpack(content: bytes) -> PackedRun:
    """Decode a run, its files in the order of writing; a ValueError says why it is none."""
    try:
        packed = msgspec.msgpack.decode(content, type=PackedRun)
    except (msgspec.MsgspecError, TypeError) as error:
        raise ValueError(f"no packed run: {error}") from error
    for name, file in packed.files.items():
        if len(file) > MOST_BYTES.get(name, -1):
            raise ValueError(f"{name[:40]!r} is no file of a run, or is too large")
    files = {name: packed.files[name] for name in MOST_BYTES if name in packed.files}
    return PackedRun(packed.state, packed.words, files)


def checked(name: str, what: str = "name") -> str:
    """Return a name that is also the name of a folder; raise UsageError if it cannot be one."""
    if LABEL.fullmatch(name):
        return name
    raise UsageError(
        f"the {what} {name[:80]!r} must be small letters, digits, . _ and -, at most 80"
    )
