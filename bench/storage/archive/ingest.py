"""One run -> what a store keeps of it: three Parquet files in a folder.

Runs in processes of its own, many runs at once; what it returns is small. The statistics are those
of `bench.analysis.verdicts`, on readings that `bench.storage.archive.columns` read by the rules of
`bench.storage.runs`.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from itertools import cycle
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.analysis import verdicts as stats
from bench.model.cases import case_id, format_layers
from bench.model.errors import StoreError
from bench.model.records import (
    PHASES,
    Cost,
    Estimate,
    FairnessCheck,
    Fault,
    ParityResult,
    Result,
    Run,
    Sample,
    WorkerSpec,
)
from bench.storage import runs as stored_runs
from bench.storage.archive import machine_facts as facts
from bench.storage.archive.columns import METERS, NUMBERS, Columns, load_columns, readings_of
from bench.storage.archive.store import ID_DIGITS, RESULTS, RUNS, SAMPLES, write
from bench.storage.runs import LARGEST_LINES, LARGEST_RUN, RUN, Stored

NO_ESTIMATE = Estimate(nan, nan, nan, 0)
PIECE = 4 << 20
"""Bytes that are hashed at a time."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of one run."""

    paths: Sequence[Path]  # of its copies
    folder: Path  # of its Parquet files
    row: Mapping[str, Any] = field(default_factory=dict)  # of the runs; empty if it was refused
    reason: str = ""  # why it was refused
    notes: tuple[str, ...] = ()  # what was tolerated in reading it


def take(paths: Sequence[Path], content: str, folder: Path) -> Taken:
    """Read and judge a run, and write its Parquet files.

    Args:
        paths: Folders with the run, all with this content; the first is read.
        content: What `digest` says of each.
        folder: Where its files go; made here.

    Raises:
        OSError: They cannot be written.
    """
    try:
        stored, columns = load_columns(paths[0])
        results = stats.results_of(stored.run, readings_of(stored, columns))
    except StoreError as error:
        return Taken(paths, folder, reason=str(error))
    row = _run_row(stored, content, len(columns))
    who = {name: row[name] for name in ("run", "machine", "date")}
    folder.mkdir()
    write(pa.Table.from_pylist([row], RUNS), folder, "run")
    write(pa.Table.from_pylist(_result_rows(who, stored.run, results), RESULTS), folder, "results")
    write(_samples(who, columns), folder, "samples")
    return Taken(paths, folder, row, notes=stored.notes)


def digest(path: Path) -> str:
    """Hash all that is recorded of a run, unpacked; what is derived from it is left out."""
    found = hashlib.sha256()
    for kind in (None, Sample, ParityResult, FairnessCheck, Fault, Cost):
        file = path / RUN if kind is None else stored_runs.file_of_lines(path, kind)
        most = LARGEST_RUN if kind is None else LARGEST_LINES
        size = 0
        inner = hashlib.sha256()
        try:
            with stored_runs.opened_lines(file) as stream:
                while size <= most and (piece := stream.read(PIECE)):
                    inner.update(piece)
                    size += len(piece)
        except (OSError, EOFError, zlib.error):
            size = -1  # missing in a run of an older version, or refused when it is loaded
        found.update(f"{size} ".encode() + inner.digest())
    return found.hexdigest()


def _samples(who: Mapping[str, str], columns: Columns) -> pa.Table:
    here = np.zeros(len(columns), np.int32)
    named = {
        **{name: (here, [value]) for name, value in who.items()},
        "case_id": (columns.case, columns.cases),
        "worker": (columns.worker, columns.workers),
    }
    return pa.table(
        {
            **{
                name: pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), pa.array(names))
                for name, (places, names) in named.items()
            },
            **{name: pa.array(columns.numbers[name]) for name in NUMBERS},
            "warmup": pa.array(columns.warmup),
            **{name: columns.meters[name] for name in METERS},
        },
        SAMPLES,
    )


def _run_row(stored: Stored, content: str, samples: int) -> dict[str, Any]:
    run = stored.run
    baseline, *candidates = _slots(run)
    return {
        "run": content[:ID_DIGITS],
        "machine": facts.machine_id(run),
        "date": facts.date_of(run),
        "name": run.name,
        "started": run.started,
        "status": run.status,
        "source": run.source,
        "preset": run.plan.request.preset,
        "baseline": baseline.implementation,
        "candidate": candidates[0].implementation,
        "invocations": run.plan.invocations,
        "samples": samples,
        "faults": len(stored.faults),
        **facts.machine_facts(run),
        "judged_by": metadata.version("python-vs-mojo"),
        "recording": facts.recording(run),
        "content": content,
    }


def _result_rows(
    who: Mapping[str, str], run: Run, results: Sequence[Result]
) -> list[dict[str, Any]]:
    """Write the results of phases of the network; overheads, probes and parts have no verdict."""
    baseline, *candidates = _slots(run)
    return [
        {**who, **_result_row(result, baseline, candidate)}
        for result, candidate in zip(results, cycle(candidates), strict=False)
        if result.case.phase in PHASES
    ]


def _result_row(result: Result, baseline: WorkerSpec, candidate: WorkerSpec) -> dict[str, Any]:
    problem, verdict = result.case.problem, result.verdict
    ratio = result.ratio.estimate if result.ratio else NO_ESTIMATE
    row = {
        "case_id": case_id(result.case),
        "phase": result.case.phase,
        "layer_sizes": format_layers(problem.layer_sizes),
        "batch_size": problem.batch_size,
        "data_rows": problem.rows,
        "dtype": problem.dtype,
        "threads": problem.threads,
        "baseline": baseline.implementation,
        "candidate": candidate.implementation,
        "worker": candidate.label,
        **_ends("ratio", "", ratio),
        "invocations": ratio.count,
        "verdict": verdict.kind if verdict else None,
        "reason": verdict.reason if verdict else None,
        "noise_floor": stats.noise_floor(result.again),
        **_ends("baseline", "_ns", _median(result, baseline)),
        **_ends("candidate", "_ns", _median(result, candidate)),
        "drifting": result.drifting,
        "incomplete": result.incomplete,
    }
    unknown = [k for k, value in row.items() if isinstance(value, float) and not isfinite(value)]
    return row | dict.fromkeys(unknown)


def _slots(run: Run) -> list[WorkerSpec]:
    """List the baseline, then the candidates in the order of the results of a case."""
    roles = ("baseline", "candidate")
    return [spec for role in roles for spec in run.plan.workers if spec.role == role]


def _median(result: Result, spec: WorkerSpec) -> Estimate:
    time = result.times.get(spec.label)
    return time.median_ns if time else NO_ESTIMATE


def _ends(name: str, unit: str, estimate: Estimate) -> dict[str, float]:
    values = (estimate.point, estimate.low, estimate.high)
    return dict(
        zip((f"{name}{unit}", f"{name}_low{unit}", f"{name}_high{unit}"), values, strict=True)
    )
