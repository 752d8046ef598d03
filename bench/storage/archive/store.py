"""The store of many runs: three Parquet files for each run, in a folder named by its content.

    v2/MERGE/RUN/run.parquet          one row: machine, versions, plan
    v2/MERGE/RUN/results.parquet      a row for each case and candidate: ratio, verdict
    v2/MERGE/RUN/samples.parquet      every reading, raw

RUN is the beginning of a hash of all that was recorded. A merge prepares its runs in `.incoming`
and moves them in as one folder, so a reader sees all of them or none. Another layout gets another
name than `v2`. A store may come from a stranger: a file with other columns than those below is
refused, and so is the name of a machine that could not become the name of a file.
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

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from bench.model.errors import BusyError, StoreError
from bench.storage.limits import plain

MERGES, INCOMING = "v2", ".incoming"
ID_DIGITS = 16
"""Hexadecimal; of 100,000 runs two have the same id by chance once in four billion stores."""
ID = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")
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


def dataset(path: Path, kind: str) -> Any:
    """Open the files of a kind, a key of `SCHEMAS`, as a dataset of Arrow; none is read yet.

    Raises:
        StoreError: There is no store.
    """
    import pyarrow.dataset as ds  # which takes as long to import as all else

    schema = SCHEMAS[kind]
    files = [str(folder / f"{kind}.parquet") for folder in run_folders(path).values()]
    return ds.dataset(files, schema) if files else ds.dataset(schema.empty_table())


def run_folders(path: Path) -> dict[str, Path]:
    """Find the folder of each run of a store, in the order of their ids; each run once.

    Raises:
        StoreError: There is no store, or another version wrote it.
    """
    if not (path / MERGES).is_dir():
        raise StoreError(
            f"{path} is not a store of runs, or one of another version: it holds no folder "
            f"{MERGES}; make it, in a folder that does not exist yet, by `bench merge RUNS... "
            "--into STORE`"
        )
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
        StoreError: The folder holds something else, cannot be written, or has a link in it.
        BusyError: Another process merges into it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        begun = all(one.name.startswith(".") for one in path.iterdir())
        if not begun and not (path / MERGES).exists():
            raise StoreError(
                f"{path} exists and is no store of runs, or one of another version; choose a new "
                "folder for --into"
            )
        lock = FileLock(path / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(f"another process merges into {path}; try again when it is done") from None
    except OSError as error:
        raise unwritable(path, error) from error
    incoming = path / INCOMING
    try:
        own_folder(path / MERGES)
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
    """
    together = path / INCOMING / MERGES
    together.mkdir()
    for run, folder in runs.items():
        folder.rename(together / run)
    os.sync()  # all readings are on the disk before anything finds them
    name = hashlib.sha256(" ".join(sorted(runs)).encode()).hexdigest()[:ID_DIGITS]
    together.rename(path / MERGES / name)
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
    return StoreError(
        f"cannot write to {path}: {error.strerror or error}; free some space or choose another "
        "--into"
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
