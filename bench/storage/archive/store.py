"""The store of many runs: three Parquet files for each run, in a folder named by its content.

    store.json                            version of this layout
    merges/MERGE/RUN/run.parquet          one row: machine, versions, plan
    merges/MERGE/RUN/results.parquet      a row for each case and candidate: ratio, verdict
    merges/MERGE/RUN/samples.parquet      every reading, raw

RUN is the beginning of a hash of all that was recorded. A merge prepares its runs in `.incoming`
and moves them in as one folder, so a reader sees all of them or none. A store may come from a
stranger: a file with other columns than those below is refused, and so is the name of a machine
that could not become the name of a file.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from bench.model.errors import BusyError, StoreError
from bench.storage.atomic_files import write_whole
from bench.storage.limits import plain

MARKER, MERGES, INCOMING = "store.json", "merges", ".incoming"
OLD_MARKER = "manifest.json"
VERSION = 2
ID_DIGITS = 16
"""Hexadecimal; of 100,000 runs two have the same id by chance once in four billion stores."""
ID = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")
LARGEST_MARKER = 1 << 10
MOST_SAID = 200

TEXT, INTEGER, NUMBER = pa.string(), pa.int64(), pa.float64()
NAME = pa.dictionary(pa.int32(), TEXT)


def _columns(kind: pa.DataType, names: str) -> list[pa.Field]:
    """List columns of one type; `?` marks those that may be null."""
    return [pa.field(name.rstrip("?"), kind, nullable="?" in name) for name in names.split()]


RUNS = pa.schema(
    [
        *_columns(TEXT, "run machine date name started status source preset baseline candidate"),
        *_columns(INTEGER, "invocations samples faults"),
        *_columns(TEXT, "cpu? architecture? extensions?"),
        *_columns(INTEGER, "logical_cores? physical_cores? cores_allowed?"),
        *_columns(INTEGER, "l1d_bytes? l2_bytes? l3_bytes? vector_bits?"),
        *_columns(TEXT, "memory? hypervisor? system? python? numpy? mojo? version? commit?"),
        *_columns(TEXT, "blas? blas_core? mojo_target_cpu? judged_by recording content"),
    ]
)
"""`judged_by`: the version of this program that derived the results. `recording`: the same for
every record of one run, finished or not. `content`: the hash that `run` is the beginning of."""
RESULTS = pa.schema(
    [
        *_columns(TEXT, "run machine date case_id phase layer_sizes"),
        *_columns(INTEGER, "batch_size data_rows"),
        *_columns(TEXT, "dtype"),
        *_columns(INTEGER, "threads"),
        *_columns(TEXT, "baseline candidate worker"),
        *_columns(NUMBER, "ratio? ratio_low? ratio_high?"),
        *_columns(INTEGER, "invocations"),
        *_columns(TEXT, "verdict? reason?"),
        *_columns(NUMBER, "noise_floor? baseline_ns? baseline_low_ns? baseline_high_ns?"),
        *_columns(NUMBER, "candidate_ns? candidate_low_ns? candidate_high_ns?"),
        *_columns(INTEGER, "drifting incomplete"),
    ]
)
"""`worker`: the candidate's label."""
SAMPLES = pa.schema(
    [
        *_columns(NAME, "run machine date case_id worker"),
        *_columns(INTEGER, "invocation round position loops elapsed_ns at_ns"),
        *_columns(pa.bool_(), "warmup"),
        *_columns(INTEGER, "cpu_ns? preempted? page_faults?"),
    ]
)
"""The readings, with the integers of `samples.jsonl`."""
SCHEMAS = {"run": RUNS, "results": RESULTS, "samples": SAMPLES}


def read_runs(path: Path) -> pa.Table:
    """Read the table of runs, a row each.

    Raises:
        StoreError: There is no store, or a file of it is missing or damaged.
    """
    runs = _read(path, "run")
    for run, machine in zip(runs["run"].to_pylist(), runs["machine"].to_pylist(), strict=True):
        if not ID.fullmatch(machine):
            raise _damaged(run_folders(path)[run] / "run.parquet", "it names no machine")
    return runs


def read_results(path: Path) -> pa.Table:
    """Read the table of results of all runs.

    Raises:
        StoreError: As `read_runs` does.
    """
    return _read(path, "results")


def samples_dataset(path: Path) -> Any:
    """Open the readings of all runs as a dataset of Arrow; none is read yet.

    Raises:
        StoreError: There is no store.
    """
    import pyarrow.dataset as ds  # which takes as long to import as all else

    files = [str(folder / "samples.parquet") for folder in run_folders(path).values()]
    return ds.dataset(files, SAMPLES) if files else ds.dataset(SAMPLES.empty_table())


def run_folders(path: Path) -> dict[str, Path]:
    """Find the folder of each run of a store, in the order of their ids; each run once.

    Raises:
        StoreError: There is no store, or another version wrote it.
    """
    _check_version(path)
    folders = sorted(path.glob(f"{MERGES}/*/*"), reverse=True)
    found = {folder.name: folder for folder in folders if ID.fullmatch(folder.name)}
    return dict(sorted(found.items()))


def write(table: pa.Table, folder: Path, kind: str) -> None:
    """Write a table of a run into its folder.

    Raises:
        OSError: It cannot be written.
    """
    packed = {one.name: "DELTA_BINARY_PACKED" for one in table.schema if one.type == INTEGER}
    pq.write_table(
        table,
        folder / f"{kind}.parquet",
        compression="zstd",
        use_dictionary=[one.name for one in table.schema if one.name not in packed],
        column_encoding=packed,
    )


@contextmanager
def held(path: Path) -> Iterator[Path]:
    """Keep a store for this process, made if missing, with an empty folder for what comes in.

    Raises:
        StoreError: The folder holds something else, or cannot be written.
        BusyError: Another process merges into it.
    """
    try:
        if not path.exists() or all(one.name.startswith(".") for one in path.iterdir()):
            path.mkdir(parents=True, exist_ok=True)
        elif not (path / MARKER).exists() and not (path / OLD_MARKER).exists():
            raise StoreError(f"{path} exists and is no store of runs; choose another --into")
        else:
            _check_version(path)
        lock = FileLock(path / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(f"another process merges into {path}; try again when it is done") from None
    except OSError as error:
        raise unwritable(path, error) from error
    incoming = path / INCOMING
    try:
        if not (path / MARKER).exists():
            write_whole(path / MARKER, msgspec.json.encode({"store": VERSION}) + b"\n")
        shutil.rmtree(incoming, ignore_errors=True)  # of a merge that was killed
        own_folder(incoming)
        yield incoming
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
        lock.release()


def commit(path: Path, runs: Mapping[str, Path]) -> None:
    """Move new runs into a store that is held: all of them, or none.

    Args:
        path: The store.
        runs: A folder for each run id.

    Raises:
        OSError: Something cannot be written; the store is as it was.
        StoreError: A folder of it is a link.
    """
    together = own_folder(path / INCOMING / MERGES)
    for run, folder in runs.items():
        folder.rename(together / run)
    os.sync()  # all readings are on the disk before anything finds them
    name = hashlib.sha256(" ".join(sorted(runs)).encode()).hexdigest()[:ID_DIGITS]
    together.rename(own_folder(path / MERGES) / name)
    os.sync()


def own_folder(path: Path) -> Path:
    """Make a folder of the store; a link in its place would lead elsewhere.

    Raises:
        StoreError: It is a link.
    """
    if path.is_symlink():
        raise StoreError(f"{path} is a link that leads elsewhere; remove it")
    path.mkdir(parents=True, exist_ok=True)
    return path


def unwritable(path: Path, error: OSError) -> StoreError:
    """Say that a store cannot be written."""
    why = error.strerror or error
    return StoreError(f"cannot write to {path}: {why}; free some space or choose another --into")


class _Marker(msgspec.Struct):
    store: int


def _check_version(path: Path) -> None:
    file = path / MARKER
    again = f"`bench merge RUNS... --into {path}`"
    try:
        with file.open("rb") as stream:
            version = msgspec.json.decode(stream.read(LARGEST_MARKER), type=_Marker).store
    except (FileNotFoundError, NotADirectoryError):
        if (path / OLD_MARKER).is_file():
            raise StoreError(
                f"{path} was written by an older version, in a layout that is no longer read; "
                f"move it away and make it again by {again}"
            ) from None
        raise StoreError(
            f"{path} is not a store of runs: it holds no {MARKER}; make one by {again}"
        ) from None
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise _damaged(file, str(error)) from None
    if version != VERSION:
        raise StoreError(
            f"{path} was written by a newer version (store {version}, this one knows {VERSION}); "
            "update this program to read it"
        )


def _read(path: Path, kind: str) -> pa.Table:
    schema = SCHEMAS[kind]
    tables = [schema.empty_table()]
    for run, folder in run_folders(path).items():
        file = folder / f"{kind}.parquet"
        try:
            table = pq.ParquetFile(file).read()
        except (OSError, pa.ArrowException) as error:
            raise _damaged(file, str(error)) from None
        if not table.schema.equals(schema):
            raise _damaged(file, "it has other columns")
        if not set(table["run"].to_pylist()) <= {run}:
            raise _damaged(file, "it is of another run")
        tables.append(table)
    return pa.concat_tables(tables)


def _damaged(file: Path, why: str) -> StoreError:
    why = " ".join(plain(why).split())[:MOST_SAID]
    return StoreError(
        f"{file} is damaged: {why}; remove the folder it is in and merge the run again"
    )
