"""The client: submits a task for each host, and writes what comes back as it comes.

What lies in the folder of a run is always a beginning of what its host wrote, so a client that was
away reads on from where its own files end.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.measuring.cluster.wire import APPENDED, REPLACED, Task, check_piece, checked, run_name
from bench.model.errors import UsageError
from bench.storage.atomic_files import write_all, write_whole

POLL_S = 1.0
LOST_S = 600.0
"""How long a host that is gone is waited for where no other takes its place."""
ENDED = ("finished", "failed")


class Depot(Protocol):
    """Asks the depot of a scheduler: a method of `Depot`, and its arguments."""

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Ask."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a host is."""

    host: str
    state: str  # waiting, running, finished, failed, lost
    words: str


Show = Callable[[list[Seen]], None]


def owed(
    wanted: int, alive: Collection[str], states: Mapping[str, str], lost: Collection[str]
) -> list[str]:
    """Choose hosts that get a run now: new ones, for those to come and for those that are lost.

    Args:
        wanted: How many hosts are to be measured.
        alive: Hosts that are there.
        states: How far those are that have a run.
        lost: Those of them that are gone and had not finished.
    """
    short = wanted - sum(host not in lost for host in states)
    return sorted(set(alive) - set(states))[: max(0, short)]


def fetch(ask: Depot, submission: str, run: str, facts: Mapping[str, Any], out: Path) -> None:
    """Write what is there of a run and not here; nothing of it becomes a path.

    Args:
        ask: The way to the depot.
        submission: Its name.
        run: Name of the run.
        facts: Sizes and versions of its files.
        out: The folder of all runs of the submission.

    Raises:
        ValueError: It is nothing that a run of ours has.
        OSError: It cannot be written.
    """
    folder = out / checked(run)
    folder.mkdir(exist_ok=True)
    sizes = facts["sizes"]
    for file in REPLACED[::-1]:  # run.json first: lines are read by what it says
        content = bytes(ask("read", submission, run, file, 0)) if file in sizes else b""
        check_piece(file, 0, len(content))
        if content and content != _content(folder / file):
            write_whole(folder / file, content)
    for file in APPENDED:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(folder / file, flags, 0o666)
        try:
            facts_of = os.fstat(handle)
            if not stat.S_ISREG(facts_of.st_mode):
                raise ValueError(f"{file} is no file")
            have = facts_of.st_size
            while have < int(sizes.get(file, 0)):
                content = bytes(ask("read", submission, run, file, have))
                check_piece(file, have, len(content))
                if not content:
                    break
                write_all(handle, content)
                have += len(content)
        finally:
            os.close(handle)


def follow(
    ask: Depot,
    submission: str,
    out: Path,
    give: Callable[[Task], None],
    show: Show,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, str]:
    """Submit what is owed and write what comes, until all hosts have ended.

    Args:
        ask: The way to the depot.
        submission: Its name.
        out: The folder of its runs; made if missing.
        give: Submits a task; one that is there already is left alone.
        show: Shows how far the hosts are.
        sleep: Waits for so many seconds.
        clock: Seconds, monotonic.

    Returns:
        The state of every run: finished, failed, or lost.
    """
    out.mkdir(parents=True, exist_ok=True)
    found = ask("look", submission)
    for host in found["given"]:  # a client that went away may have gone before it gave the task
        give(_task(submission, host, found["facts"]))
    gone_since: dict[str, float] = {}
    broken: set[str] = set()
    while True:
        found = ask("look", submission)
        facts, runs, alive = found["facts"], found["runs"], found["hosts"]
        names = [name for name, _ in facts["environments"]] or [""]
        for run, kept in runs.items():
            if run not in broken:
                try:
                    fetch(ask, submission, run, kept, out)
                except (ValueError, UsageError):  # data of a stranger that is no run of ours
                    broken.add(run)
        seen = [_seen(host, names, runs, host in alive) for host in found["given"]]
        lost = {one.host for one in seen if one.state == "lost"}
        for host in lost:
            gone_since.setdefault(host, clock())
        gone_since = {host: since for host, since in gone_since.items() if host in lost}
        wanted = int(facts["wanted"])
        for host in owed(wanted, alive, {one.host: one.state for one in seen}, lost):
            if ask("give", submission, host):
                give(_task(submission, host, facts))
            seen.append(Seen(host, "waiting", "waiting"))
        show(seen)
        whole = sum(one.state in ENDED for one in seen)
        waiting = [one for one in seen if one.state not in (*ENDED, "lost")]
        patient = any(clock() - since < LOST_S for since in gone_since.values())
        if not waiting and (whole >= wanted or (seen and lost and not patient)):
            return {
                run: "damaged" if run in broken else str(kept["state"])
                for run, kept in ask("look", submission)["runs"].items()
            }
        sleep(POLL_S)


def _task(submission: str, host: str, facts: Mapping[str, Any]) -> Task:
    environments = tuple((name, tuple(wanted)) for name, wanted in facts["environments"])
    return Task(submission, host, tuple(facts["arguments"]), environments, facts["sources"])


def _seen(host: str, names: list[str], runs: Mapping[str, Any], alive: bool) -> Seen:
    """Say how far a host is with its runs, one for each environment."""
    mine = [runs.get(run_name(host, name), {}) for name in names]
    states = [one.get("state", "waiting") for one in mine]
    ended = all(state in ENDED for state in states)
    if ended:
        state = "failed" if "failed" in states else "finished"
        place = states.index(state)
    else:
        place = next(i for i, one in enumerate(states) if one not in ENDED)
        state = states[place] if alive else "lost"
    prefix = f"{names[place]}: " if names[place] else ""
    return Seen(host, state, prefix + str(mine[place].get("words", "waiting")))


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
