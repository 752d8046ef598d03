"""Runs from anywhere -> one store: each once, judged on its own, by as many processes as cores.

A run that is there already is left alone. Two records of one run that are not the same cannot both
be right, and nothing says which is: the one in the store stays, and of two that come together
neither goes in. What `bench report` would refuse is refused here. All that is new goes in at once.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa

from bench.model.errors import StoreError, UsageError
from bench.model.numbers import count_text
from bench.model.threads import cores
from bench.storage.archive import tables as fleet_store
from bench.storage.archive.ingest import Taken, take
from bench.storage.archive.machine_facts import ID_DIGITS
from bench.storage.archive.tables import INCOMING, MANIFEST, RESULTS, RUNS, Entry, Manifest
from bench.storage.limits import plain
from bench.storage.runs import RUN

DEEPEST = 12
"""Folders below one that is named, in which runs are looked for."""
FEW = 40
"""Runs that are taken by this process itself: others take longer to start."""
AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of a merge."""

    store: Path
    new: int = 0
    there: int = 0
    samples: int = 0  # of the new runs
    refused: Sequence[tuple[Path, str]] = ()
    conflicts: Sequence[tuple[Path, str]] = ()
    notes: Sequence[str] = ()
    runs: int = 0  # in the store now
    machines: int = 0

    @property
    def wrong(self) -> bool:
        """Whether something was kept out."""
        return bool(self.refused or self.conflicts)


@dataclass(slots=True)
class _Sorted:
    """What was taken, by what becomes of it."""

    new: list[Taken] = field(default_factory=list)
    there: int = 0
    refused: list[tuple[Path, str]] = field(default_factory=list)
    conflicts: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


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
        step: Called after each run with how many are done, of how many.

    Raises:
        UsageError: A folder holds no run.
        StoreError: The store is damaged or cannot be written; it is as it was.
        BusyError: Another process merges into it.
    """
    paths = find_runs(folders, into)
    with fleet_store.held(into):
        there = (into / MANIFEST).exists()
        manifest = fleet_store.read_manifest(into) if there else Manifest()
        try:
            fleet_store.clean(into, manifest)
            incoming = into / INCOMING
            incoming.mkdir()
            known = frozenset(entry.content for entry in manifest.runs)
            count = min(processes or cores(), max(1, len(paths) // AT_A_TIME))
            taken = _sorted(_taken(paths, incoming, known, count, step), manifest)
            if taken.new:
                manifest = _commit(into, manifest, taken.new)
            elif not there:
                fleet_store.write_manifest(into, manifest)
            fleet_store.clean(into, manifest)
        except OSError as error:
            raise fleet_store.unwritable(into, error) from error
    entries = [one.entry for one in taken.new if one.entry]
    return Merged(
        into,
        len(entries),
        taken.there,
        sum(entry.samples for entry in entries),
        taken.refused,
        taken.conflicts,
        taken.notes,
        len(manifest.runs),
        len({entry.machine for entry in manifest.runs}),
    )


def find_runs(folders: Sequence[Path], into: Path) -> list[Path]:
    """List the folders of runs in some folders, each once; links and the store are passed over.

    Raises:
        UsageError: A folder holds none.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        mine = sorted(_walk(folder, into.resolve()))
        if not mine:
            raise UsageError(
                f"there is no run in {folder}: no folder there or below holds a {RUN}; give "
                "folders of runs, such as results"
            )
        seen = {path.resolve() for path in found}
        found |= {path: None for path in mine if path.resolve() not in seen}
    return list(found)


def _walk(folder: Path, into: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        path = Path(here)
        if RUN in files:
            yield path
        deep = len(path.parts) - len(folder.parts) >= DEEPEST
        if RUN in files or deep or path.resolve() == into:
            folders.clear()


def _taken(
    paths: Sequence[Path],
    incoming: Path,
    known: frozenset[str],
    count: int,
    step: Callable[[int, int], None],
) -> Iterator[Taken]:
    """Take all runs, in the order of their paths."""
    each = _each(paths, incoming, known, count if len(paths) > FEW else 1)
    for done, one in enumerate(each, start=1):
        step(done, len(paths))
        yield one


def _each(
    paths: Sequence[Path], incoming: Path, known: frozenset[str], count: int
) -> Iterator[Taken]:
    if count == 1:
        yield from map(partial(take, incoming=incoming, known=known), paths)
        return
    # Not forked: a process that has threads of Arrow's must not be.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, _begin, (incoming, known)) as pool:
        try:
            yield from pool.map(_take, paths, chunksize=AT_A_TIME)
        except BrokenProcessPool:
            raise StoreError(
                f"a process that read runs was ended, perhaps for want of memory; nothing was "
                f"put into {incoming.parent}: try again with --processes 1"
            ) from None


_SHARED: list[tuple[Path, frozenset[str]]] = []
"""What all runs of a process of the pool have in common, told once when it starts."""


def _begin(incoming: Path, known: frozenset[str]) -> None:
    pa.set_cpu_count(1)
    _SHARED[:] = [(incoming, known)]


def _take(path: Path) -> Taken:
    return take(path, *_SHARED[0])


def _sorted(taken: Iterator[Taken], manifest: Manifest) -> _Sorted:
    """Tell new runs from those that are there, and from those that contradict another."""
    found = _Sorted()
    by_key: defaultdict[str, list[Taken]] = defaultdict(list)
    for one in taken:
        found.notes += [f"{one.path}: {note}" for note in one.notes]
        if one.entry is not None:
            by_key[one.entry.key].append(one)
        elif one.kind == "there":
            found.there += 1
        else:
            found.refused.append((one.path, one.reason))
    in_store = {entry.key: entry for entry in manifest.runs}
    ids = {entry.run for entry in manifest.runs}
    for key, same in by_key.items():
        contents = {one.content for one in same}
        if key in in_store:
            found.conflicts += [(one.path, _conflict(one, in_store[key])) for one in same]
        elif len(contents) > 1:
            found.conflicts += [
                (one.path, _conflict(one, next(o for o in same if o.content != one.content)))
                for one in same
            ]
        elif same[0].entry is not None and same[0].entry.run in ids:
            found.conflicts.append((same[0].path, "its digest begins like that of another run"))
        else:
            found.new.append(same[0])
            ids.add(same[0].content[:ID_DIGITS])
            found.there += len(same) - 1
    found.notes += _namesakes([*manifest.runs, *(one.entry for one in found.new if one.entry)])
    return found


def _conflict(one: Taken, other: Entry | Taken) -> str:
    where = f"the store has as {other.run}" if isinstance(other, Entry) else f"{other.path} is too"
    assert one.entry is not None
    return (
        f"is a record of the run {plain(one.entry.name)!r} begun {plain(one.entry.started)}, which "
        f"{where}, with other content; kept out, as nothing says which is right"
    )


def _namesakes(entries: Sequence[Entry]) -> list[str]:
    """Tell of runs with one name and start on machines of one kind, which may be two machines."""
    counts = Counter((one.machine, one.name, one.started) for one in entries)
    several = sum(count for count in counts.values() if count > 1)
    if not several:
        return []
    return [
        f"{count_text(several, 'run')} have the name, the start and the machine's facts of "
        "another, and began under other load: machines of one kind, which stand in one row"
    ]


def _commit(into: Path, manifest: Manifest, new: Sequence[Taken]) -> Manifest:
    entries = [one.entry for one in new if one.entry is not None]
    runs = pa.concat_tables([RUNS.empty_table(), *(one.row for one in new)])
    results = pa.concat_tables([RESULTS.empty_table(), *(one.results for one in new)])
    return fleet_store.commit(into, manifest, entries, runs, results)
