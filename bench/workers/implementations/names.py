"""What may be named as an implementation, and what a run calls it. Starts and imports nothing.

A name is one of three: a registered one (`mojo`), a class (`package.module:Class`), or any program
that speaks the lines of docs/protocol.md (`exec:./mlp --fast`). What is stored of a program is its
bare name: a run holds no path, and what stands in its files is never started.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from bench.model.errors import UsageError

GROUP = "bench.implementations"
PROGRAM = "exec:"
LONGEST_LABEL = 24


@dataclass(frozen=True, slots=True)
class Candidate:
    """One implementation as it was named on the command line."""

    name: str  # as it was given
    label: str  # of its slot: short, of letters, digits, - and _ where it is not registered
    implementation: str  # as it is stored
    command: tuple[str, ...] = ()  # of a program; empty: `bench.workers.worker` drives it

    @property
    def registered(self) -> bool:
        """Whether it is known by name alone."""
        return ":" not in self.name


def candidates(names: Iterable[str], taken: Iterable[str] = ()) -> tuple[Candidate, ...]:
    """Read names of implementations; each gets a label that no other has.

    Args:
        names: As they were given; one that is there twice counts once.
        taken: Labels of other slots.

    Raises:
        UsageError: A name is none, or a program has no words.
    """
    labels = set(taken)
    found = []
    for name in dict.fromkeys(names):
        command = _words(name) if name.startswith(PROGRAM) else ()
        wanted = _safe(_stem(command)) if command else _safe_name(name)
        label = next(
            label
            for number in range(1, len(labels) + 2)
            if (label := wanted if number == 1 else f"{wanted}-{number}") not in labels
        )
        labels.add(label)
        found.append(Candidate(name, label, f"{PROGRAM}{label}" if command else name, command))
    return tuple(found)


def program_or_name(words: Sequence[str]) -> str:
    """Tell from the words of a command line which implementation is meant.

    One word may be a name as of `candidates`; a file that is there, and several words, are a
    program.
    """
    first = words[0]
    named = len(words) == 1 and not Path(first).is_file()
    if first.startswith(PROGRAM) or (named and "/" not in first):
        return " ".join(words)
    return PROGRAM + shlex.join(words)


def _words(name: str) -> tuple[str, ...]:
    try:
        program, *arguments = shlex.split(name.removeprefix(PROGRAM))
    except ValueError as error:  # no words, or a quotation mark that is never closed
        raise UsageError(
            f"implementation {name!r} names no program ({error}); write exec:./worker, with "
            "arguments after it: 'exec:python3 worker.py'"
        ) from None
    # As from a shell here: a worker's own folder is another.
    return (str(Path(program).absolute()) if "/" in program else program, *arguments)


def _stem(command: tuple[str, ...]) -> str:
    """Call a program by its name, and a script after that of the script."""
    program, *arguments = command
    scripts = [word for word in arguments if Path(word).is_file()] if "/" not in program else []
    return Path(next(iter(scripts), program)).stem


def _safe_name(name: str) -> str:
    module, colon, attribute = name.partition(":")
    if not module or (colon and not attribute):
        raise UsageError(
            f"{name!r} is no implementation; write a registered name, module:attribute, or "
            "exec:PROGRAM with its arguments"
        )
    return _safe(attribute) if colon else name


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:LONGEST_LABEL].strip("-") or "program"


def registered() -> dict[str, EntryPoint]:
    """Return what is registered, by name; the first on the path wins, as with any import."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, point)
    return dict(sorted(found.items()))
