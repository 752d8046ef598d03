"""The store of many runs: a folder of Parquet with a manifest, which is replaced in one move.

    manifest.json                                   which runs are in it, and by which tables
    tables/runs-DIGEST.parquet                      a run a row: machine, versions, plan
    tables/results-DIGEST.parquet                   a case and candidate a row: ratio, verdict
    samples/machine=ID/date=YYYY-MM-DD/RUN.parquet  every reading, raw

Only what the manifest names is in the store: a merge that was killed leaves files that the next one
takes away. A store may come from a stranger: names in it are held by patterns before they become a
path, and tables have the columns below or are refused.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from bench.model.errors import BusyError, StoreError
from bench.storage.atomic_files import write_whole

MANIFEST, TABLES, SAMPLES, INCOMING = "manifest.json", "tables", "samples", ".incoming"
VERSION = 1
MOST_PARTS = 32
"""Tables of a kind; a merge that would make more of them puts all into one."""
LARGEST_MANIFEST = 256 << 20

Id = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Date = Annotated[str, msgspec.Meta(pattern="^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|undated)$")]

TEXT, INTEGER, NUMBER = pa.string(), pa.int64(), pa.float64()
WHO = {"run": TEXT, "machine": TEXT, "date": TEXT}
RUNS = pa.schema(
    {
        **WHO,
        **dict.fromkeys(("name", "started", "status", "source", "preset"), TEXT),
        **dict.fromkeys(("baseline", "candidate"), TEXT),
        "invocations": INTEGER,
        "samples": INTEGER,
        "faults": INTEGER,
        **dict.fromkeys(("cpu", "architecture", "extensions"), TEXT),
        **dict.fromkeys(("logical_cores", "physical_cores", "cores_allowed"), INTEGER),
        **dict.fromkeys(("l1d_bytes", "l2_bytes", "l3_bytes", "vector_bits"), INTEGER),
        **dict.fromkeys(("memory", "hypervisor", "system", "python", "numpy", "mojo"), TEXT),
        **dict.fromkeys(("version", "commit", "blas", "blas_core", "mojo_target_cpu"), TEXT),
        **dict.fromkeys(("judged_by", "content"), TEXT),
    }
)
"""Columns of the runs. `judged_by`: the version of this program that derived its results."""
RESULTS = pa.schema(
    {
        **WHO,
        **dict.fromkeys(("case_id", "phase", "layer_sizes"), TEXT),
        **dict.fromkeys(("batch_size", "data_rows"), INTEGER),
        "dtype": TEXT,
        "threads": INTEGER,
        **dict.fromkeys(("baseline", "candidate", "worker"), TEXT),
        **dict.fromkeys(("ratio", "ratio_low", "ratio_high"), NUMBER),
        "invocations": INTEGER,
        **dict.fromkeys(("verdict", "reason"), TEXT),
        "noise_floor": NUMBER,
        **dict.fromkeys(("baseline_ns", "baseline_low_ns", "baseline_high_ns"), NUMBER),
        **dict.fromkeys(("candidate_ns", "candidate_low_ns", "candidate_high_ns"), NUMBER),
        **dict.fromkeys(("drifting", "incomplete"), INTEGER),
    }
)
"""Columns of the results. `worker`: the candidate's label; numbers that are not there are null."""
ALWAYS = {
    "runs": ("name", "started", "status", "source", "samples"),
    "results": (
        *("case_id", "phase", "layer_sizes", "batch_size", "data_rows", "dtype", "threads"),
        *("baseline", "candidate", "worker", "invocations", "drifting", "incomplete"),
    ),
}
"""Columns that are never null."""
NAME = pa.dictionary(pa.int32(), TEXT)
READINGS = pa.schema(
    {
        **dict.fromkeys(("run", "case_id", "worker"), NAME),
        **dict.fromkeys(("invocation", "round", "position", "loops"), INTEGER),
        **dict.fromkeys(("elapsed_ns", "at_ns"), INTEGER),
        "warmup": pa.bool_(),
        **dict.fromkeys(("cpu_ns", "preempted", "page_faults"), INTEGER),
    }
)
"""Columns of the readings, the integers of `samples.jsonl`; machine and date stand in the path."""
PARTITIONS = pa.schema({"machine": TEXT, "date": TEXT})


class Entry(msgspec.Struct, frozen=True):
    """A run in the manifest."""

    run: Id
    machine: Id
    date: Date
    key: Digest  # what `bench.storage.archive.machine_facts.run_key` says of it
    content: Digest
    samples: int
    name: str
    started: str

    @property
    def file(self) -> str:
        """The place of its readings, below the store."""
        return f"{SAMPLES}/machine={self.machine}/date={self.date}/{self.run}.parquet"


class Manifest(msgspec.Struct, frozen=True):
    """What is in a store."""

    store: int = VERSION
    runs: tuple[Entry, ...] = ()
    parts: tuple[Id, ...] = ()  # of the tables


def read_manifest(path: Path) -> Manifest:
    """Read what is in a store.

    Raises:
        StoreError: There is none, it is damaged, or a newer version wrote it.
    """
    file = path / MANIFEST
    try:
        if file.stat().st_size > LARGEST_MANIFEST:
            raise StoreError(f"{file} is damaged: larger than {LARGEST_MANIFEST >> 20} MiB")
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(
            f"{path} is not a store of runs: there is no {MANIFEST} in it; make one by "
            f"`bench merge RUNS... --into {path}`"
        ) from None
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror}") from None
    try:
        version = msgspec.json.decode(content, type=_Version).store
        if version > VERSION:
            raise StoreError(
                f"{path} was written by a newer version (store {version}, this one knows up to "
                f"{VERSION}); update this program to read it"
            )
        return msgspec.json.decode(content, type=Manifest)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{file} is damaged: {error}; merge the runs again") from None


class _Version(msgspec.Struct):
    store: int


def read_runs(path: Path, manifest: Manifest) -> pa.Table:
    """Read the table of runs, a row each, with the columns `RUNS`.

    Raises:
        StoreError: A part of it is missing or damaged.
    """
    return _read(path, manifest, "runs", RUNS)


def read_results(path: Path, manifest: Manifest) -> pa.Table:
    """Read the table of results, with the columns `RESULTS`.

    Raises:
        StoreError: A part of it is missing or damaged.
    """
    return _read(path, manifest, "results", RESULTS)


def readings_dataset(path: Path, manifest: Manifest) -> Any:
    """Open the readings as a dataset of Arrow, with machine and date; none is read yet."""
    import pyarrow.dataset as ds  # which takes as long to import as all else

    schema = pa.schema([*READINGS, *PARTITIONS])
    files = [str(path / entry.file) for entry in manifest.runs]
    if not files:
        return ds.dataset(schema.empty_table())
    layout = ds.partitioning(PARTITIONS, flavor="hive")
    return ds.dataset(
        files, schema, format="parquet", partitioning=layout, partition_base_dir=str(path / SAMPLES)
    )


def parquet(table: pa.Table) -> bytes:
    """Write a table as a file of Parquet."""
    content = io.BytesIO()
    kinds = {one.name: one.type for one in table.schema}
    packed = {name: "DELTA_BINARY_PACKED" for name, kind in kinds.items() if kind == INTEGER}
    pq.write_table(
        table,
        content,
        compression="zstd",
        use_dictionary=[name for name in kinds if name not in packed],
        column_encoding=packed,
    )
    return content.getvalue()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep a store for this process, and make its folders.

    Raises:
        StoreError: The folder holds something else, or cannot be written.
        BusyError: Another process merges into it.
    """
    try:
        if path.is_dir() and not (path / MANIFEST).exists() and not _is_begun(path):
            raise StoreError(f"{path} is there and is no store of runs; choose another --into")
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(f"another process merges into {path}; try again when it is done") from None
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _is_begun(path: Path) -> bool:
    """Tell whether a folder is empty, or one that a killed first merge left."""
    return {one.name for one in path.iterdir()} <= {".lock", INCOMING, SAMPLES, TABLES}


def clean(path: Path, manifest: Manifest) -> None:
    """Take away what a killed merge left: files that the manifest does not name.

    Raises:
        OSError: Something cannot be removed.
    """
    shutil.rmtree(path / INCOMING, ignore_errors=True)
    named = {path / entry.file for entry in manifest.runs}
    named |= {path / TABLES / f"{kind}-{part}.parquet" for kind in KINDS for part in manifest.parts}
    for folder in (TABLES, SAMPLES):
        for file in own_folder(path / folder).rglob("*.parquet"):
            if file not in named:
                file.unlink()


def commit(
    path: Path, manifest: Manifest, entries: Sequence[Entry], runs: pa.Table, results: pa.Table
) -> Manifest:
    """Put runs into a store whose readings lie in `INCOMING`: all of them, or none.

    Raises:
        OSError: Something cannot be written; what the store held, it holds.
        StoreError: A folder of it is a link, or a table of it is damaged.
    """
    os.sync()  # the readings of all runs, before anything names them
    own_folder(path / SAMPLES)
    for entry in entries:
        target = path / entry.file
        own_folder(target.parent.parent)
        own_folder(target.parent)
        (path / INCOMING / target.name).replace(target)
    parts = manifest.parts
    whole = {"runs": runs, "results": results}
    if len(parts) >= MOST_PARTS:
        older = {"runs": read_runs(path, manifest), "results": read_results(path, manifest)}
        whole = {kind: pa.concat_tables([older[kind], whole[kind]]) for kind in KINDS}
        parts = ()
    part = _part_name(whole["runs"]["run"].to_pylist())
    for kind in KINDS:
        content = parquet(whole[kind].sort_by("run"))
        write_whole(own_folder(path / TABLES) / f"{kind}-{part}.parquet", content)
    everything = sorted((*manifest.runs, *entries), key=lambda entry: entry.run)
    made = Manifest(runs=tuple(everything), parts=(*parts, part))
    write_manifest(path, made)
    for old in set(manifest.parts) - set(made.parts):
        for kind in KINDS:
            (path / TABLES / f"{kind}-{old}.parquet").unlink(missing_ok=True)
    return made


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace the manifest: from here on the store is another.

    Raises:
        OSError: It cannot be written.
    """
    write_whole(path / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def unwritable(path: Path, error: OSError) -> StoreError:
    """Say that a store cannot be written."""
    return StoreError(
        f"cannot write to {path}: {error.strerror or error}; free some space or choose another "
        "--into"
    )


KINDS = ("runs", "results")


def _part_name(runs: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(sorted(runs)).encode()).hexdigest()[:16]


def own_folder(path: Path) -> Path:
    """Make a folder of the store; a link in its place would lead elsewhere.

    Raises:
        StoreError: It is a link.
    """
    if path.is_symlink():
        raise StoreError(f"{path} is a link that leads elsewhere; remove it")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _read(path: Path, manifest: Manifest, kind: str, schema: pa.Schema) -> pa.Table:
    parts = []
    for part in manifest.parts:
        file = path / TABLES / f"{kind}-{part}.parquet"
        try:
            table = pq.ParquetFile(file).read()
        except (OSError, pa.ArrowException) as error:
            why = " ".join(str(error).split())[:200]
            raise StoreError(f"{file} is damaged: {why}; merge the runs again") from None
        if table.schema.names != schema.names or table.schema.types != schema.types:
            raise StoreError(f"{file} is damaged: other columns; merge the runs again")
        parts.append(table)
    whole = pa.concat_tables(parts) if parts else schema.empty_table()
    known = {(entry.run, entry.machine, entry.date) for entry in manifest.runs}
    told = zip(*(whole[name].to_pylist() for name in WHO), strict=True)
    if not known.issuperset(told) or any(whole[name].null_count for name in ALWAYS[kind]):
        raise StoreError(f"{path} is damaged: its {kind} are not those of its manifest")
    return whole
