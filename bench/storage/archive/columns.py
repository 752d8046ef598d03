"""The readings of a run as columns: read many times faster than records, by the same rules.

What `bench.storage.runs.load` would refuse or mend is left to it: the fast way here only ever
accepts lines that it accepts, with the same values, and everything else goes the slow way and ends
with its words. Content is read in pieces, so a large file takes no more memory than a small one
beside its columns.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.analysis.readings import Readings, readings_by_candidate
from bench.model.cases import case_id
from bench.model.records import Run, Sample
from bench.storage import runs as store
from bench.storage.limits import LARGEST_INTEGER, LONGEST_NS, MOST, SHORTEST_NS
from bench.storage.runs import LARGEST_LINES, LONGEST_LINE, Stored

Integers = NDArray[np.int64]

NUMBERS = ("invocation", "round", "position", "loops", "elapsed_ns", "at_ns")
METERS = ("cpu_ns", "preempted", "page_faults")
"""May be unknown."""
PIECE = 4 << 20
"""Bytes that are decoded at a time."""
EXACT = 2**53
"""Up to here a float64 holds every integer, so that a division of columns is that of integers."""


class _Line(msgspec.Struct, gc=False):
    """A `Sample` to the decoder, and much quicker to make; `tests` hold the fields together."""

    case: str
    worker: str
    invocation: int
    round: int
    position: int
    loops: int
    elapsed_ns: int
    at_ns: int
    warmup: bool = False
    cpu_ns: int | None = None
    preempted: int | None = None
    page_faults: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """All readings of a run, in the order of its file."""

    cases: tuple[str, ...]  # case ids of the plan, in its order
    workers: tuple[str, ...]  # labels
    case: Integers  # places in `cases`
    worker: Integers  # places in `workers`
    numbers: dict[str, Integers]  # by the names in NUMBERS
    warmup: NDArray[np.bool_]
    meters: dict[str, Any]  # by the names in METERS: Arrow's int64, which knows what is not told

    def __len__(self) -> int:
        return len(self.case)


class _Unusual(Exception):  # noqa: N818  # an answer, not an error
    """Something that the slow way must look at."""


def load_columns(path: Path) -> tuple[Stored, Columns]:
    """Read a run, its readings as columns and not as records.

    Raises:
        StoreError: As `bench.storage.runs.load` does.
    """
    stored = store.load(path, readings=False)
    try:
        return stored, _columns_of_file(path, stored.run)
    except (_Unusual, OSError, EOFError, zlib.error, ValueError, OverflowError, RecursionError):
        stored = store.load(path)
        return stored, columns_of(stored.run, stored.samples)


def columns_of(run: Run, samples: Sequence[Sample]) -> Columns:
    """Turn checked records into columns."""
    return _joined(run, [_piece(run, samples)])


def readings_of(stored: Stored, columns: Columns) -> dict[str, dict[str, Readings]]:
    """Sort columns as `bench.analysis.readings` sorts records, to the same bits."""
    kept = ~columns.warmup
    names = ("invocation", "round", "loops", "elapsed_ns")
    invocation, turn, loops, elapsed = (columns.numbers[name][kept] for name in names)
    case, worker = columns.case[kept], columns.worker[kept]
    if len(case) and max(int(elapsed.max()), int(loops.max())) > EXACT:
        times = np.array([a / b for a, b in zip(elapsed.tolist(), loops.tolist(), strict=True)])
    else:
        times = elapsed / loops
    # Stable, so that of a reading that is there twice the later one stands last, and counts.
    order = np.lexsort((turn, worker, invocation, case))
    group = np.stack((case[order], invocation[order], worker[order]))
    new = np.any(group[:, 1:] != group[:, :-1], axis=0)
    last = np.append(new | (np.diff(turn[order]) != 0), True)[: len(order)]
    starts = np.concatenate(([0], np.flatnonzero(new) + 1)) if len(order) else np.empty(0, int)
    heads, values = group[:, starts], times[order]
    found: dict[str, dict[int, dict[str, Any]]] = {}
    ends = np.append(starts[1:], len(order))
    for (c, i, w), start, end in zip(heads.T.tolist(), starts.tolist(), ends.tolist(), strict=True):
        mine = values[start:end][last[start:end]]
        found.setdefault(columns.cases[c], {}).setdefault(i, {})[columns.workers[w]] = mine
    return readings_by_candidate(stored.run, found, stored.parity, stored.faults)


def _columns_of_file(path: Path, run: Run) -> Columns:
    decode = msgspec.json.Decoder(_Line).decode_lines
    with store.opened_lines(store.file_of_lines(path, Sample)) as stream:
        pieces = []
        for content in _pieces(stream):
            lines = decode(content)
            if not _is_one_each(content, len(lines)):
                raise _Unusual
            pieces.append(_piece(run, lines))
    found = _joined(run, pieces)
    _check(found, run)
    return found


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    """Read whole lines, some MiB at a time."""
    rest = b""
    total = 0
    while piece := stream.read(PIECE):
        total += len(piece)
        end = piece.rfind(b"\n") + 1
        if total > LARGEST_LINES or not end or len(rest) + piece.find(b"\n") >= LONGEST_LINE:
            raise _Unusual
        yield rest + piece[:end]
        rest = piece[end:]
    if rest:
        raise _Unusual  # a line that was cut off in writing


def _is_one_each(content: bytes, records: int) -> bool:
    """Tell whether each line holds one record: JSON allows several, and a record on two lines.

    In JSON a bare line end stands in no text, so one after `}` and before `{` stands between
    records; where all do, and there are as many as records, each has a line.
    """
    letters = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    closed = (letters[ends - 1] == ord("}")).all()
    opened = letters[0] == ord("{") and (letters[ends[:-1] + 1] == ord("{")).all()
    return len(ends) == records and bool(closed and opened)


def _piece(run: Run, lines: Sequence[Any]) -> tuple[Any, ...]:
    """Take a piece apart: places of cases and workers, numbers, warm-ups, meters."""
    cases = {case_id(case): place for place, case in enumerate(run.plan.cases)}
    workers = {spec.label: place for place, spec in enumerate(run.plan.workers)}
    try:
        case = np.array([cases[line.case] for line in lines], np.int64)
        worker = np.array([workers[line.worker] for line in lines], np.int64)
    except KeyError:
        raise _Unusual from None
    numbers = [np.array([*map(attrgetter(name), lines)], np.int64) for name in NUMBERS]
    warmup = np.array([line.warmup for line in lines], np.bool_)
    meters = [pa.array(map(attrgetter(name), lines), pa.int64()) for name in METERS]
    return case, worker, numbers, warmup, meters


def _joined(run: Run, pieces: Sequence[tuple[Any, ...]]) -> Columns:
    pieces = pieces or [_piece(run, ())]
    case, worker, numbers, warmup, meters = zip(*pieces, strict=True)
    return Columns(
        tuple(map(case_id, run.plan.cases)),
        tuple(spec.label for spec in run.plan.workers),
        np.concatenate(case),
        np.concatenate(worker),
        {
            name: np.concatenate(parts)
            for name, parts in zip(NUMBERS, zip(*numbers, strict=True), strict=True)
        },
        np.concatenate(warmup),
        {
            name: pa.concat_arrays(parts)
            for name, parts in zip(METERS, zip(*meters, strict=True), strict=True)
        },
    )


def _check(found: Columns, run: Run) -> None:
    """Hold all readings against the plan, as `sample_check` does one by one."""
    if not len(found):
        return
    timed = run.source == "bench"
    most = np.array(
        [max(1, run.plan.rounds.get(name, 0)) if timed else LARGEST_INTEGER for name in found.cases]
    )
    number = found.numbers
    loops, elapsed = number["loops"], number["elapsed_ns"]
    told = [number["at_ns"], number["position"]]
    told += [one.drop_null().to_numpy() for one in found.meters.values()]
    good = (
        (loops >= 1)
        & (loops <= MOST["loops"])
        & (elapsed >= 1)
        & (elapsed <= LONGEST_NS)
        & (elapsed >= SHORTEST_NS * loops)
        & (number["invocation"] >= 0)
        & (number["invocation"] <= MOST["invocations"])
        & (number["round"] >= 0)
        & (number["round"] <= most[found.case])
    )
    if timed:
        good &= found.warmup | (number["round"] != 0)
    if not good.all() or any(len(one) and one.min() < -LARGEST_INTEGER for one in told):
        raise _Unusual
