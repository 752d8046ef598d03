"""The client of a submission: gives every host a task, and writes the runs that come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bench.measuring.cluster.perform import work, write_files
from bench.measuring.cluster.published import Published
from bench.measuring.cluster.wire import Seen, Submission

POLL_S = 1.0
LOST_S = 600.0
"""How long a host that is gone is waited for, where no new one takes its place."""
ENDED = ("finished", "failed", "damaged")


def follow(
    plan: Submission,
    tasks: Published,
    out: Path,
    show: Callable[[list[Seen]], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, str]:
    """Give tasks and write what comes, until all hosts have ended; return the state of each run.

    A host that is new takes the place of one that is gone. Where none is new, one that is gone is
    waited for, but not longer than `LOST_S`.

    Args:
        plan: The submission.
        tasks: What the scheduler keeps of it.
        out: The folder of its runs; made if missing.
        show: Shows how far they are.
        sleep: Waits for so many seconds.
        clock: Seconds, monotonic.
    """
    out.mkdir(parents=True, exist_ok=True)
    got: dict[str, Seen] = {}
    gone_since: dict[str, float] = {}
    while True:
        alive, given = tasks.hosts(), tasks.given()
        runs = {run: host for host in given for run in plan.runs(host)}
        got |= {run: _fetch(tasks, run, out / run) for run in tasks.changed() & runs.keys()}
        seen = [
            _seen(run, got.get(run), tasks.words(run), given[host], alive=host in alive)
            for run, host in runs.items()
        ]
        lost = {runs[one.run] for one in seen if one.state == "lost"}
        gone_since = {host: gone_since.get(host, clock()) for host in lost}
        missing = max(0, plan.hosts - len(given.keys() - lost))
        new = sorted(alive - given.keys())[:missing]
        for host in new:
            tasks.give(plan, host, work)
        show(seen)
        under_way = any(one.state not in (*ENDED, "lost") for one in seen)
        waits = any(clock() - since < LOST_S for since in gone_since.values())
        if seen and not new and not under_way and (not missing or (lost and not waits)):
            return {one.run: one.state for one in seen}
        sleep(POLL_S)


def _fetch(tasks: Published, run: str, folder: Path) -> Seen:
    """Write the copy of a run, unless it is damaged."""
    try:
        packed = tasks.kept(run)
        if packed is None:
            return Seen(run, "running", "")
        write_files(packed.files, folder)
    except ValueError as error:
        return Seen(run, "damaged", str(error))
    return Seen(run, packed.state, packed.words)


def _seen(run: str, got: Seen | None, words: str, given_up: str, *, alive: bool) -> Seen:
    """Say how far a run is, by its copy, its host's words, and why Dask gave its task up."""
    if got and got.state in ENDED:
        return got
    if given_up:
        return Seen(run, "failed", given_up)
    words = words or (got.words if got else "") or "waiting"
    return Seen(run, "lost" if not alive else "waiting" if words == "waiting" else "running", words)
