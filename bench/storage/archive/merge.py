"""Runs from anywhere -> one store: each once, judged by itself, by as many processes as cores.

A run that the store has is left alone. Two records of one run with different content cannot both be
right, and nothing says which is: the one in the store stays, and of two that come together neither
goes in. What `bench report` would refuse is refused here. All that is new goes in at once.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.model.errors import StoreError, UsageError
from bench.model.numbers import count_text
from bench.model.threads import cores
from bench.storage.archive.ingest import Taken, digest, take
from bench.storage.archive.store import commit, held, read_runs
from bench.storage.limits import plain
from bench.storage.runs import RUN

DEEPEST = 12
"""Folders below one that is named, in which runs are looked for."""
FEW = 40
"""Runs that this process takes itself: others take longer to start."""
AT_A_TIME = 4

Row = Mapping[str, Any]
Named = list[tuple[Path, str]]
Each = Callable[..., Iterator[Any]]


@dataclass(slots=True)
class Merged:
    """What came of a merge."""

    store: Path
    there: int = 0  # runs that the store had, or that came twice
    new: list[Taken] = field(default_factory=list)
    refused: Named = field(default_factory=list)
    conflicts: Named = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    runs: int = 0  # in the store now
    machines: int = 0

    @property
    def samples(self) -> int:
        """Readings of the new runs."""
        return sum(one.row["samples"] for one in self.new)

    @property
    def wrong(self) -> bool:
        """Whether something was kept out."""
        return bool(self.refused or self.conflicts)


def merge(
    folders: Sequence[Path],
    into: Path,
    *,
    processes: int | None = None,
    step: Callable[[int, int], None] = lambda done, of: None,
) -> Merged:
    """Put all runs that lie in some folders into a store.

    Args:
        folders: Runs, or folders that hold runs at any depth.
        into: The store; made if missing.
        processes: How many take runs at once; as many as there are cores by default.
        step: Called after each new run with how many are done, of how many.

    Raises:
        UsageError: A folder holds no run.
        StoreError: The store is damaged or cannot be written; it is as it was.
        BusyError: Another process merges into it.
    """
    paths = find_runs(folders, into)
    count = min(processes or cores(), max(1, len(paths) // AT_A_TIME)) if len(paths) > FEW else 1
    with held(into) as incoming:
        known = read_runs(into).to_pylist()
        try:
            with _each(count) as each:
                copies: defaultdict[str, list[Path]] = defaultdict(list)
                for content, path in zip(each(digest, paths), paths, strict=True):
                    copies[content].append(path)
                there = [copies.pop(row["content"], []) for row in known]
                places = [incoming / str(number) for number in range(len(copies))]
                taken = []
                for one in each(take, copies.values(), copies, places):
                    taken.append(one)
                    step(len(taken), len(copies))
        except BrokenProcessPool:
            raise StoreError(
                f"a process that read runs was ended, perhaps for want of memory; nothing was "
                f"put into {into}: try again with --processes 1"
            ) from None
        merged = _sorted(taken, known, Merged(into, sum(map(len, there))))
        if merged.new:
            commit(into, {one.row["run"]: one.folder for one in merged.new})
    rows = [*known, *(one.row for one in merged.new)]
    merged.notes += _namesakes(rows)
    merged.runs, merged.machines = len(rows), len({row["machine"] for row in rows})
    return merged


def find_runs(folders: Sequence[Path], into: Path) -> list[Path]:
    """List the folders of runs in some folders, each once; links and the store are passed over.

    Raises:
        UsageError: A folder holds none.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        mine = sorted(_walk(folder, into.resolve()))
        if not mine:
            raise UsageError(
                f"there is no run in {folder}: no folder there or below holds a {RUN}; give "
                "folders of runs, such as results"
            )
        for path in mine:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _walk(folder: Path, into: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        path = Path(here)
        if RUN in files:
            yield path
        deep = len(path.parts) - len(folder.parts) >= DEEPEST
        if RUN in files or deep or path.resolve() == into:
            folders.clear()


@contextmanager
def _each(count: int) -> Iterator[Each]:
    """Give a `map` that keeps the order of its arguments, by this process or by so many others."""
    if count == 1:
        yield map
        return
    # Not forked: a process that has threads of Arrow's must not be.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, pa.set_cpu_count, (1,)) as pool:
        yield partial(pool.map, chunksize=AT_A_TIME)


def _sorted(taken: Sequence[Taken], known: Sequence[Row], into: Merged) -> Merged:
    """Tell new runs from those that contradict another."""
    in_store = {row["recording"]: row for row in known}
    ids = {row["run"] for row in known}
    same: defaultdict[str, list[Taken]] = defaultdict(list)
    for one in taken:
        first = one.paths[0]
        into.notes += [f"{first}: {note}" for note in one.notes]
        if one.reason:
            reasons = [one.reason.replace(str(first), str(path)) for path in one.paths]
            into.refused += zip(one.paths, reasons, strict=True)
        else:
            same[one.row["recording"]].append(one)
    for recording, records in same.items():
        one = records[0]
        if recording in in_store:
            _keep_out(into, records, f"the store has as {in_store[recording]['run']}")
        elif len(records) > 1:
            _keep_out(into, records[:1], f"{records[1].paths[0]} is too")
            _keep_out(into, records[1:], f"{one.paths[0]} is too")
        elif one.row["run"] in ids:
            into.conflicts.append((one.paths[0], "its digest begins like that of another run"))
        else:
            into.new.append(one)
            into.there += len(one.paths) - 1
            ids.add(one.row["run"])
    return into


def _keep_out(into: Merged, records: Sequence[Taken], where: str) -> None:
    for one in records:
        reason = (
            f"is a record of the run {plain(one.row['name'])!r} begun "
            f"{plain(one.row['started'])}, which {where}, with other content; kept out, as nothing "
            "says which is right"
        )
        into.conflicts += [(path, reason) for path in one.paths]


def _namesakes(rows: Sequence[Row]) -> list[str]:
    """Tell of runs with one name and start on machines of one kind, which may be two machines."""
    counts = Counter((row["machine"], row["name"], row["started"]) for row in rows)
    alike = sum(count for count in counts.values() if count > 1)
    if not alike:
        return []
    return [
        f"{count_text(alike, 'run')} have the name, the start and the machine's facts of "
        "another, and began under other load: machines of one kind, which stand in one row"
    ]
