"""Runs on disk: written record by record as they come, read back strictly. No statistics.

A folder holds `run.json` (a `Run`, replaced whole), `samples.jsonl`, `parity.jsonl`,
`contract.jsonl` and `faults.jsonl` (a record a line, appended; read packed by gzip too), and
`training.npz`.
`SCHEMA_VERSION` and its history stand in `bench.records`.
"""

from __future__ import annotations

import gzip
import io
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.cases import case_id
from bench.errors import StoreError, UsageError
from bench.files import LineFile, write_whole
from bench.records import SCHEMA_VERSION, Clause, Fault, ParityResult, Run, Sample

Array = NDArray[Any]
Record = TypeVar("Record", Sample, ParityResult, Clause, Fault)

PACKED = ".gz"
"""Ending of a file of lines that was packed, say to be kept in a repository; read all the same."""
RUN, TRAINING = "run.json", "training.npz"
LINES: dict[type, str] = {
    Sample: "samples.jsonl",
    ParityResult: "parity.jsonl",
    Clause: "contract.jsonl",
    Fault: "faults.jsonl",
}


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A run as it lies on disk."""

    path: Path
    run: Run
    samples: tuple[Sample, ...]
    parity: tuple[ParityResult, ...]
    faults: tuple[Fault, ...]
    training: dict[str, Array]  # by the names of docs/design.md; empty if there was no training
    contract: tuple[Clause, ...] = ()
    notes: tuple[str, ...] = ()  # what was tolerated in reading, for people


class RunWriter:
    """Writes a run: everything is on disk when the call returns.

    Args:
        path: The folder of the run; made here.
        run: What is known at the start.

    Raises:
        UsageError: The folder exists already.
        StoreError: Something cannot be written, here and in every method.
    """

    def __init__(self, path: Path, run: Run) -> None:
        self.path = path
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            raise UsageError(
                f"{path} is there already; choose another --name, or remove it"
            ) from None
        except OSError as error:
            raise _unwritable(path, error) from error
        self._files: dict[type, LineFile] = {}
        try:
            self.update(run)
            self._files |= {kind: LineFile(path / name) for kind, name in LINES.items()}
        except OSError as error:
            raise _unwritable(path, error) from error
        finally:
            if not self._files:  # nothing was measured yet: leave no empty folder behind
                shutil.rmtree(path, ignore_errors=True)

    def update(self, run: Run) -> None:
        """Replace `run.json` in one move: a reader sees the old one or the new one."""
        content = msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n"
        try:
            write_whole(self.path / RUN, content)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def add(self, record: Sample | ParityResult | Clause | Fault) -> None:
        """Append a record to the file of its kind."""
        try:
            self._files[type(record)].add(msgspec.json.encode(record))
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def add_training(self, arrays: Mapping[str, Array]) -> None:
        """Write the training file."""
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
        try:
            write_whole(self.path / TRAINING, content.getvalue())
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        """Close the files; to close twice does nothing."""
        for file in self._files.values():
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def load(path: Path) -> Stored:
    """Read a run.

    A last line that a crash cut off is left out and noted; anything else that does not fit the
    schema is an error.

    Raises:
        StoreError: There is no run at `path`, it is damaged, or a newer version wrote it.
    """
    run = _load_run(path)
    notes: list[str] = []
    samples = _load_lines(path, Sample, notes)
    parity = _load_lines(path, ParityResult, notes)
    faults = _load_lines(path, Fault, notes)
    contract = _load_lines(path, Clause, notes) if run.schema > 2 else ()
    names = set(map(case_id, run.plan.cases))
    labels = {worker.label for worker in run.plan.workers}
    for number, sample in enumerate(samples, 1):
        if sample.case not in names or sample.worker not in labels:
            strange = f"case {sample.case!r} by worker {sample.worker!r} is not in the plan"
            raise _damaged(path / LINES[Sample], f"line {number}: {strange}")
        if sample.loops < 1 or sample.elapsed_ns < 1:
            raise _damaged(
                path / LINES[Sample],
                f"line {number}: {sample.elapsed_ns} ns for {sample.loops} loops is no reading",
            )
    training = _load_training(path)
    return Stored(path, run, samples, parity, faults, training, contract, tuple(notes))


def _load_run(path: Path) -> Run:
    file = path / RUN
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(
            f"{path} is not a run: there is no {RUN} in it; give the folder of a run, "
            "such as results/reference, or make one by `bench run`"
        ) from None
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror}") from None
    try:
        schema = msgspec.json.decode(content, type=dict[str, Any]).get("schema")
        if isinstance(schema, int) and schema > SCHEMA_VERSION:
            raise StoreError(
                f"{path} was written by a newer version (schema {schema}, this one knows up to "
                f"{SCHEMA_VERSION}); update this program to read it"
            )
        run = msgspec.json.decode(content, type=Run)
    except ValueError as error:  # of msgspec, or of text that is not UTF-8
        raise _damaged(file, str(error)) from None
    roles = [worker.role for worker in run.plan.workers]
    if roles.count("baseline") != 1 or roles.count("again") > 1 or "candidate" not in roles:
        raise _damaged(file, "a plan needs one baseline, at most one `again`, and a candidate")
    return run


def _load_lines(path: Path, kind: type[Record], notes: list[str]) -> tuple[Record, ...]:
    file = path / LINES[kind]
    packed = file.with_name(f"{file.name}{PACKED}")
    if not file.exists() and packed.exists():
        file = packed
    try:
        content = file.read_bytes()
        *lines, last = (gzip.decompress(content) if file == packed else content).split(b"\n")
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(file, f"cannot read it: {_reason(error)}") from None
    decode = msgspec.json.Decoder(kind).decode
    records: list[Record] = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(decode(line))
        except ValueError as error:
            raise _damaged(file, f"line {number}: {error}") from None
    if last:  # no line end: the writer was cut off, perhaps right before the line end
        try:
            records.append(decode(last))
        except ValueError:
            notes.append(f"the last line of {file.name} was cut off in writing and is left out")
    return tuple(records)


def _load_training(path: Path) -> dict[str, Array]:
    file = path / TRAINING
    if not file.exists():
        return {}
    try:
        with file.open("rb") as stream:
            arrays = np.load(stream, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("it is no .npz file")
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # zipfile and NumPy raise a dozen kinds on damaged files
        raise _damaged(file, str(error)) from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _damaged(file: Path, what: str) -> StoreError:
    return StoreError(f"{file} is damaged: {what}; restore it, or measure again by `bench run`")


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write to {path}: {error.strerror}; free some space or choose another --out"
    )
