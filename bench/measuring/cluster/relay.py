"""What the scheduler keeps of a submission: its plan, its hosts, and every byte that was measured.

It stands between hosts and client, so that either may go away: a host sends what its run has
written, a client reads on from where its own files end, and a host that comes back gets what it had
sent. Nothing is taken out before the client says `forget`. Plain values only, no Dask here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.measuring.cluster.wire import LONGEST_WORDS, PIECE, REPLACED, check_piece, checked
from bench.storage.limits import plain

MOST_HELD = 4 << 30
"""Bytes of all submissions together; a scheduler that is full refuses, and says so."""
MOST_SUBMISSIONS = 1000


@dataclass(slots=True)
class Kept:
    """What is there of one run."""

    files: dict[str, bytearray] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)  # of files that come whole
    words: str = "waiting"  # how far it is, for people
    state: str = "waiting"  # waiting, running, finished, failed


@dataclass(slots=True)
class Submission:
    """One `bench run --cluster`."""

    facts: dict[str, Any]
    runs: dict[str, Kept] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)  # hosts that have a task


class Depot:
    """Keeps submissions, and which workers belong to which host."""

    def __init__(self) -> None:
        self.submissions: dict[str, Submission] = {}
        self.workers: dict[str, tuple[str, str]] = {}  # by address: label and boot of the host
        self.held = 0

    def submit(self, name: str, facts: dict[str, Any]) -> bool:
        """Begin a submission; false where there is one of this name."""
        if checked(name) in self.submissions:
            return False
        if len(self.submissions) >= MOST_SUBMISSIONS:
            raise ValueError(
                f"there are {MOST_SUBMISSIONS} submissions; attach to some and end them"
            )
        self.submissions[name] = Submission(facts)
        return True

    def give(self, name: str, host: str) -> bool:
        """Take down that a host gets a task; false where it has one: there may be two clients."""
        given = self.submissions[name].given
        if host in given:
            return False
        given.append(checked(host))
        return True

    def names(self) -> list[str]:
        """Name the submissions."""
        return list(self.submissions)

    def hosts(self) -> dict[str, str]:
        """Name the hosts that are there, each once: workers of one kernel are one host."""
        first: dict[str, str] = {}
        for label, boot in sorted(self.workers.values()):
            first.setdefault(boot, label)
        return {label: boot for boot, label in first.items()}

    def look(self, name: str) -> dict[str, Any]:
        """Tell all of a submission but the bytes: their number, or the version, by run and file."""
        submission = self.submissions[name]
        runs = {
            label: {
                "state": kept.state,
                "words": kept.words,
                "sizes": {file: len(content) for file, content in kept.files.items()},
                "versions": dict(kept.versions),
            }
            for label, kept in submission.runs.items()
        }
        facts, given = submission.facts, list(submission.given)
        return {"facts": facts, "given": given, "runs": runs, "hosts": self.hosts()}

    def say(self, name: str, run: str, state: str, words: str) -> None:
        """Take down how far a run is."""
        kept = self._run(name, run)
        kept.state, kept.words = state, plain(words)[:LONGEST_WORDS]

    def put(self, name: str, run: str, file: str, offset: int, content: bytes) -> int:
        """Take in a piece; a second time it changes nothing.

        Returns:
            How many bytes of the file are there now: where the next piece begins.
        """
        check_piece(file, offset, len(content))
        kept = self._run(name, run)
        held = kept.files.setdefault(file, bytearray())
        if file in REPLACED:
            new = bytes(content)
            if held != new:
                self._room(len(new) - len(held))
                kept.files[file] = bytearray(new)
                kept.versions[file] = kept.versions.get(file, 0) + 1
        elif offset <= len(held) < offset + len(content):
            rest = content[len(held) - offset :]
            self._room(len(rest))
            held += rest
        return len(kept.files[file])

    def read(self, name: str, run: str, file: str, offset: int = 0) -> bytes:
        """Return a piece of a file that grows, or all of one that comes whole."""
        held = self._run(name, run).files.get(file, bytearray())
        return bytes(held if file in REPLACED else held[max(0, offset) :][:PIECE])

    def forget(self, name: str) -> None:
        """End a submission: its client has everything."""
        submission = self.submissions.pop(name, None)
        if submission:
            kept = [file for run in submission.runs.values() for file in run.files.values()]
            self.held -= sum(map(len, kept))

    def _run(self, name: str, run: str) -> Kept:
        return self.submissions[name].runs.setdefault(checked(run), Kept())

    def _room(self, size: int) -> None:
        if self.held + size > MOST_HELD:
            raise ValueError(
                f"the scheduler keeps {MOST_HELD >> 30} GiB already; attach, and end some"
            )
        self.held += size
