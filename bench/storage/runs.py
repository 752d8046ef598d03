"""Runs on disk: written record by record as they come, read back strictly. No statistics.

A folder holds `run.json` (a `Run`, replaced whole), `samples.jsonl`, `parity.jsonl`,
`contract.jsonl`, `faults.jsonl` and `costs.jsonl` (a record a line, appended; read packed by gzip
too), and `training.npz`.
`SCHEMA_VERSION` and its history stand in `bench.model.records`.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.model.errors import StoreError, UsageError
from bench.model.records import (
    SCHEMA_VERSION,
    Cost,
    FairnessCheck,
    Fault,
    ParityResult,
    Run,
    Sample,
)
from bench.storage.atomic_files import LineFile, write_whole
from bench.storage.limits import check_record, check_run, cleaned, plain, sample_check
from bench.storage.npy import MOST_BYTES, read_arrays
from bench.storage.old_versions import upgraded

Array = NDArray[Any]
Record = TypeVar("Record", Sample, ParityResult, FairnessCheck, Fault, Cost)

PACKED = ".gz"
"""Ending of a file of lines that was packed, say to be kept in a repository; read all the same."""
LARGEST_RUN = 16 << 20
LARGEST_LINES = 512 << 20
LONGEST_LINE = 4 << 20
"""Limits of what is read, unpacked: a small file must not fill the memory of who looks at it."""
MOST_SAID = 300
UNREADABLE = (ValueError, RecursionError)
"""What msgspec raises (a `ValueError`; deep nesting), and what `bench.storage.limits` does."""
RUN, TRAINING = "run.json", "training.npz"
LINES: dict[type, str] = {
    Sample: "samples.jsonl",
    ParityResult: "parity.jsonl",
    FairnessCheck: "contract.jsonl",
    Fault: "faults.jsonl",
    Cost: "costs.jsonl",
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
    contract: tuple[FairnessCheck, ...] = ()
    notes: tuple[str, ...] = ()  # what was tolerated in reading, for people
    costs: tuple[Cost, ...] = ()


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
            check_run(msgspec.convert(msgspec.to_builtins(run), Run))
        except ValueError as error:
            raise UsageError(f"the run could not be read again: {error}") from None
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            raise UsageError(
                f"{path} already exists; choose another --name, or remove it"
            ) from None
        except OSError as error:
            raise _unwritable(path, error) from error
        self._files: dict[type, LineFile] = {}
        begun = False
        try:
            self._open()  # first: where run.json is, the others are
            self.update(run)
            begun = True
        except OSError as error:
            raise _unwritable(path, error) from error
        finally:
            if not begun:  # nothing was measured yet: leave no empty folder behind
                self.close()
                shutil.rmtree(path, ignore_errors=True)

    def _open(self) -> None:
        """Open the files of lines, and keep every other process from writing them."""
        for kind, name in LINES.items():
            self._files[kind] = LineFile(self.path / name)
        if not self._files[Sample].hold():
            self.close()
            raise StoreError(f"{self.path} is being measured by another process")

    @classmethod
    def reopen(cls, path: Path, run: Run) -> Self:
        """Go on writing a run; what a crash cut off in mid-line is taken away.

        Args:
            path: The folder of the run.
            run: What is known now.

        Raises:
            StoreError: It cannot be written, or another process is writing it.
        """
        writer = cls.__new__(cls)
        writer.path = path
        writer._files = {}
        try:
            writer._open()
            for kind, name in LINES.items():
                content = (path / name).read_bytes()
                writer._files[kind].cut(content.rfind(b"\n") + 1)
        except OSError as error:
            writer.close()
            raise _unwritable(path, error) from error
        writer.update(run)
        return writer

    def update(self, run: Run) -> None:
        """Replace `run.json` in one move: a reader sees the old one or the new one."""
        content = msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n"
        try:
            write_whole(self.path / RUN, content)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def add(self, record: Sample | ParityResult | FairnessCheck | Fault | Cost) -> None:
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


def load(path: Path, *, readings: bool = True) -> Stored:
    """Read a run.

    A last line that a crash cut off is left out and noted; anything else that does not fit the
    schema is an error.

    Args:
        path: Its folder.
        readings: Whether to read the samples, which are nearly all of it.

    Raises:
        StoreError: There is no run at `path`, it is damaged, or a newer version wrote it.
    """
    run = load_run(path)
    notes: list[str] = []
    samples = _load_lines(path, Sample, notes, sample_check(run)) if readings else ()
    parity = _load_lines(path, ParityResult, notes)
    faults = _load_lines(path, Fault, notes)
    contract = _load_lines(path, FairnessCheck, notes) if run.schema > 2 else ()
    costs = _load_lines(path, Cost, notes) if run.schema > 3 else ()
    training = _load_training(path)
    return Stored(path, run, samples, parity, faults, training, contract, tuple(notes), costs)


def load_run(path: Path) -> Run:
    """Read what a run set out to do and where, and none of its readings.

    Raises:
        StoreError: As `load` does.
    """
    file = path / RUN
    try:
        with _opened(file) as stream:
            content = stream.read(LARGEST_RUN + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(
            f"{path} is not a run: there is no {RUN} in it; give the folder of a run, "
            "such as results/reference, or make one by `bench run`"
        ) from None
    except OSError as error:
        raise StoreError(f"cannot read {file}: {_reason(error)}") from None
    if len(content) > LARGEST_RUN:
        raise _damaged(file, f"it is larger than {LARGEST_RUN >> 20} MiB")
    try:
        facts = cleaned(msgspec.json.decode(content, type=dict[str, Any]))
        schema = facts.get("schema")
        if isinstance(schema, int) and schema > SCHEMA_VERSION:
            raise StoreError(
                f"{path} was written by a newer version (schema {schema}, this one knows up to "
                f"{SCHEMA_VERSION}); update this program to read it"
            )
        run = msgspec.convert(upgraded(facts), Run)
        check_run(run)
    except UNREADABLE as error:
        raise _damaged(file, str(error)) from None
    return run


def file_of_lines(path: Path, kind: type) -> Path:
    """Find the file of the records of a kind, which may be packed."""
    file = path / LINES[kind]
    packed = file.with_name(f"{file.name}{PACKED}")
    return packed if not file.exists() and packed.exists() else file


@contextmanager
def opened_lines(file: Path) -> Iterator[BinaryIO]:
    """Open a file of lines, unpacked.

    Raises:
        OSError: It is missing, or no plain file.
    """
    with _opened(file) as raw:
        if file.name.endswith(PACKED):
            yield cast("BinaryIO", io.BufferedReader(gzip.GzipFile(fileobj=raw)))
        else:
            yield raw


def _load_lines(
    path: Path,
    kind: type[Record],
    notes: list[str],
    check: Callable[[Any], None] = check_record,
) -> tuple[Record, ...]:
    file = file_of_lines(path, kind)
    # Texts of readings are held against the plan, which is clean; others are cleaned themselves.
    is_reading = issubclass(kind, Sample)
    decode = msgspec.json.Decoder(kind if is_reading else dict[str, Any]).decode
    records: list[Record] = []

    def add(line: bytes) -> None:
        read: Any = decode(line)
        record = read if is_reading else msgspec.convert(cleaned(read), kind)
        check(record)
        records.append(record)

    number = total = 0
    try:
        with opened_lines(file) as stream:
            while line := stream.readline(LONGEST_LINE + 1):
                number += 1
                total += len(line)
                if total > LARGEST_LINES:
                    raise _damaged(file, f"it holds more than {LARGEST_LINES >> 20} MiB unpacked")
                if line.endswith(b"\n"):
                    add(line)
                elif len(line) > LONGEST_LINE:
                    raise _damaged(file, f"line {number} is longer than {LONGEST_LINE >> 20} MiB")
                else:  # the writer was cut off, perhaps right before the line end
                    _add_last(add, line, notes, file)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(file, f"cannot read it: {_reason(error)}") from None
    except UNREADABLE as error:
        raise _damaged(file, f"line {number}: {error}") from None
    return tuple(records)


def _add_last(add: Callable[[bytes], None], line: bytes, notes: list[str], file: Path) -> None:
    try:
        add(line)
    except (msgspec.DecodeError, UnicodeError):
        notes.append(f"the last line of {file.name} was cut off in writing and is left out")


def _load_training(path: Path) -> dict[str, Array]:
    file = path / TRAINING
    if not file.exists():
        return {}
    try:
        with _opened(file) as stream:
            if os.fstat(stream.fileno()).st_size > MOST_BYTES:
                raise ValueError(f"it is larger than {MOST_BYTES >> 20} MiB")
            return read_arrays(stream)
    except Exception as error:  # zipfile and NumPy raise a dozen kinds on damaged files
        raise _damaged(file, str(error)) from None


def _opened(file: Path) -> BinaryIO:
    """Open a file to be read, if it is one: to read a pipe or a device may never end."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no file")
    return file.open("rb")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _damaged(file: Path, what: str) -> StoreError:
    what = " ".join(plain(what).split())
    if len(what) > MOST_SAID:
        what = f"{what[: MOST_SAID // 2]}...{what[-MOST_SAID // 2 :]}"
    return StoreError(f"{file} is damaged: {what}; restore it, or measure again by `bench run`")


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write to {path}: {error.strerror}; free some space or choose another --out"
    )
