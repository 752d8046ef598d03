"""One run -> what a store keeps of it: its readings as Parquet, and a row for each of its results.

Runs in processes of its own, many runs at once; what it returns is small. The statistics are those
of `bench.analysis.verdicts`, on readings that `bench.storage.archive.columns` read by the rules of
`bench.storage.runs`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from bench.analysis import verdicts as stats
from bench.model.cases import case_id, format_layers
from bench.model.errors import StoreError
from bench.model.records import PHASES, Estimate, Result, Run, TimeEstimate, WorkerSpec
from bench.storage.archive import machine_facts as facts
from bench.storage.archive.columns import (
    METERS,
    NUMBERS,
    Columns,
    digest,
    load_columns,
    readings_of,
)
from bench.storage.archive.tables import READINGS, RESULTS, RUNS, Entry, parquet
from bench.storage.runs import Stored


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """What came of one folder."""

    path: Path
    kind: Literal["new", "there", "refused"]
    content: str = ""  # digest
    reason: str = ""  # why it was refused
    notes: tuple[str, ...] = ()  # what was tolerated in reading it
    entry: Entry | None = None
    row: Any = None  # of the runs, a table of Arrow
    results: Any = None  # the same, of its results


def take(path: Path, incoming: Path, known: frozenset[str]) -> Taken:
    """Read and judge a run, and write its readings into a folder.

    Args:
        path: The folder of the run.
        incoming: Where its readings go, under a name made of its content.
        known: Digests of runs that are in the store.

    Raises:
        OSError: The readings cannot be written.
    """
    try:
        content = digest(path)
        if content in known:
            return Taken(path, "there", content)
        stored, columns = load_columns(path)
        readings = readings_of(stored, columns)
    except StoreError as error:
        return Taken(path, "refused", reason=str(error))
    run = stored.run
    entry = Entry(
        content[: facts.ID_DIGITS],
        facts.machine_id(run),
        facts.date_of(run),
        facts.run_key(run),
        content,
        len(columns),
        run.name,
        run.started,
    )
    # Flushed to the disk with those of all runs, when they go into the store.
    (incoming / f"{entry.run}.parquet").write_bytes(parquet(readings_table(entry.run, columns)))
    results = stats.results_of(run, readings)
    row = pa.Table.from_pylist([_run_row(entry, stored, len(columns))], RUNS)
    made = pa.Table.from_pylist(_result_rows(entry, run, results), RESULTS)
    return Taken(path, "new", content, "", stored.notes, entry, row, made)


def readings_table(run: str, columns: Columns) -> Any:
    """Put columns into a table of Arrow with the columns `READINGS`."""
    names = {
        "run": _named(np.zeros(len(columns), np.int32), [run]),
        "case_id": _named(columns.case, columns.cases),
        "worker": _named(columns.worker, columns.workers),
        **{name: pa.array(columns.numbers[name]) for name in NUMBERS},
        "warmup": pa.array(columns.warmup),
        **{name: columns.meters[name] for name in METERS},
    }
    return pa.table(names, READINGS)


def _named(places: Any, names: Sequence[str]) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), pa.array(names))


def _run_row(entry: Entry, stored: Stored, samples: int) -> dict[str, Any]:
    run = stored.run
    baseline, *candidates = _slots(run)
    return {
        **_who(entry),
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
        "content": entry.content,
    }


def _result_rows(entry: Entry, run: Run, results: Sequence[Result]) -> list[dict[str, Any]]:
    """Write the results of phases of the network; floors, probes and parts have no verdict."""
    baseline, *candidates = _slots(run)
    return [
        _result_row(entry, result, baseline, candidate)
        for result, candidate in zip(results, cycle(candidates), strict=False)
        if result.case.phase in PHASES
    ]


def _result_row(
    entry: Entry, result: Result, baseline: WorkerSpec, candidate: WorkerSpec
) -> dict[str, Any]:
    problem = result.case.problem
    estimate = result.ratio.estimate if result.ratio else None
    verdict = result.verdict
    return {
        **_who(entry),
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
        **_ends("ratio", "", estimate),
        "invocations": estimate.count if estimate else 0,
        "verdict": verdict.kind if verdict else None,
        "reason": verdict.reason if verdict else None,
        "noise_floor": _known(stats.noise_floor(result.again)),
        **_ends("baseline", "_ns", _median(result.times.get(baseline.label))),
        **_ends("candidate", "_ns", _median(result.times.get(candidate.label))),
        "drifting": result.drifting,
        "incomplete": result.incomplete,
    }


def _slots(run: Run) -> list[WorkerSpec]:
    """List the baseline, then the candidates in the order of the results of a case."""
    workers = run.plan.workers
    return [
        *(spec for spec in workers if spec.role == "baseline"),
        *(spec for spec in workers if spec.role == "candidate"),
    ]


def _who(entry: Entry) -> dict[str, Any]:
    return {"run": entry.run, "machine": entry.machine, "date": entry.date}


def _median(time: TimeEstimate | None) -> Estimate | None:
    return time.median_ns if time else None


def _ends(name: str, unit: str, estimate: Estimate | None) -> dict[str, float | None]:
    values = (estimate.point, estimate.low, estimate.high) if estimate else (None, None, None)
    names = (f"{name}{unit}", f"{name}_low{unit}", f"{name}_high{unit}")
    return {key: _known(value) for key, value in zip(names, values, strict=True)}


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
