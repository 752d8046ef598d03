"""Writes the readings of a run in the formats of other programs.

Tables (CSV, Parquet) hold every reading. pyperf and pytest-benchmark get one benchmark per case
and worker, without the cases of which nothing may be said; what these programs derive does not
pair the readings of a round, as `bench.analysis.verdicts` does.
"""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from pytest_benchmark.stats import Stats

from bench.analysis.run_analysis import analyse_stored
from bench.model.cases import case_id, case_text, problem_id
from bench.model.errors import StoreError, UsageError
from bench.model.records import Case, Sample, WorkerSpec
from bench.model.workload import columns_of
from bench.storage import runs as store
from bench.storage.pytest_import import EXTRA, Extra
from bench.storage.runs import Stored

S_PER_NS = 1e-9
COLUMNS: dict[str, str] = {
    **dict.fromkeys(("run", "case", "phase", "layer_sizes"), "str"),
    **dict.fromkeys(("batch_size_rows", "data_rows"), "int64"),
    "dtype": "str",
    "threads": "int64",
    **dict.fromkeys(("worker", "implementation", "role"), "str"),
    **dict.fromkeys(("invocation", "round", "position"), "int64"),
    "warmup": "bool",
    **dict.fromkeys(("loops", "elapsed_ns"), "int64"),
    "elapsed_per_loop_ns": "float64",
    "at_ns": "int64",
    **dict.fromkeys(("cpu_ns", "preempted_times", "page_faults"), "Int64"),  # may be unknown
    "invalid": "str",  # why nothing may be said of the case; empty if something may
}
"""Columns of the tables, with their types."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format: the name of its file, and what fills it."""

    file: str
    content: Callable[[Stored, Path], object]  # writes to the path


def export(path: Path, to: str, out: Path | None = None) -> list[str]:
    """Write a run in another format.

    Args:
        path: Folder of the run.
        to: A key of `FORMATS`.
        out: The file; without it one below the run's folder, made again each time.

    Returns:
        What was written and what was left out, in lines for people.

    Raises:
        UsageError: `out` is there already, or a package is missing.
        StoreError: The run is missing or damaged, or the file cannot be written.
    """
    stored = store.load(path)
    target = out or path / FOLDER / FORMATS[to].file
    if out is not None and out.exists():
        raise UsageError(f"{out} already exists; choose another --out, or remove it")
    # Under a name of its own until it is whole.
    unfinished = target.with_name(f".{target.name}.new")
    try:
        if out is None:
            target.parent.mkdir(exist_ok=True)
        FORMATS[to].content(stored, unfinished)
        unfinished.replace(target)
    except OSError as error:
        raise StoreError(
            f"cannot write {target}: {error.strerror or error}; free some space or choose "
            "another --out"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return [*stored.notes, *_left_out(stored, to), f"Written: {target}"]


def sample_table(stored: Stored) -> pd.DataFrame:
    """Put every reading into a row, warm-ups included, with `COLUMNS`."""
    slots = {spec.label: spec for spec in stored.run.plan.workers}
    cases = {case_id(case): case for case in stored.run.plan.cases}
    invalid = _invalid(stored)
    rows = [
        _row(stored.run.name, sample, cases[sample.case], slots[sample.worker], invalid)
        for sample in stored.samples
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def pyperf_suite(stored: Stored) -> dict[str, Any]:
    """Make a suite of pyperf: an invocation is one of its runs, which has a process of its own.

    A benchmark is called after case and worker: `epoch/1-50x9-1/b20/n500/f64/t1 mojo`.
    """
    machine, software = stored.run.environment.machine, stored.run.environment.software
    metadata = {
        "unit": "second",
        "description": f"from the run {stored.run.name} by bench export",
        "cpu_model_name": machine.get("cpu"),
        "platform": machine.get("system"),
        "python_version": software.get("python"),
    }
    benchmarks = []
    for (case, spec), samples in _groups(stored).items():
        runs = _pyperf_runs(samples)
        name = f"{case_id(case)} {spec.label}"
        if runs:
            benchmarks.append({"metadata": {"name": name}, "runs": runs})
    known = {key: _line(value) for key, value in metadata.items() if _line(value)}
    return {"version": "1.0", "metadata": known, "benchmarks": benchmarks}


def pytest_file(stored: Stored) -> dict[str, Any]:
    """Make a file of pytest-benchmark, which `bench report` reads too.

    It knows no slots, so of each implementation only the first is in it, and no invocations, so
    their readings lie one after the other. Warm-ups are left out.
    """
    run, firsts = stored.run, _first_slots(stored)
    machine = run.environment.machine
    benchmarks = []
    for (case, spec), samples in _groups(stored).items():
        timed = [sample for sample in samples if not sample.warmup]
        if spec not in firsts or not timed:
            continue
        name = f"test_speed[{case_id(case)}-{spec.implementation}]"
        parity = tuple(r for r in stored.parity if r.problem == problem_id(case.problem))
        described = dict(run.environment.workers.get(spec.label, {}))
        extra = Extra(case, spec.implementation, run.plan.request.preset, described, parity)
        benchmarks.append(
            {
                "group": case_text(case),
                "name": name,
                "fullname": f"bench/test_speed.py::{name}",
                "params": None,
                "param": None,
                "extra_info": {EXTRA: msgspec.to_builtins(extra)},
                "options": {"disable_gc": True, "timer": "monotonic", "warmup": True},
                "stats": _statistics(timed),
            }
        )
    python, _, version = run.environment.software.get("python", "").partition(" ")
    return {
        "machine_info": {
            "node": "",
            "machine": machine.get("architecture"),
            "system": machine.get("system"),
            "python_implementation": python,
            "python_version": version,
            "cpu": {"brand_raw": machine.get("cpu"), "count": machine.get("logical cores")},
        },
        "commit_info": {"id": run.environment.software.get("commit", "unavailable")},
        "benchmarks": benchmarks,
        "datetime": run.started,
        "version": "5.0.0",
    }


def _write_csv(stored: Stored, path: Path) -> None:
    sample_table(stored).to_csv(path, index=False)


def _write_parquet(stored: Stored, path: Path) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError(
            "parquet needs the package pyarrow; install it by "
            "`.venv/bin/python -m pip install -c constraints.txt pyarrow`, or export --to csv"
        )
    sample_table(stored).to_parquet(path, engine="pyarrow", index=False)


def _write_json(make: Callable[[Stored], dict[str, Any]]) -> Callable[[Stored, Path], object]:
    def write(stored: Stored, path: Path) -> None:
        content = make(stored)
        if not content["benchmarks"]:  # of which pyperf would say that the file is broken
            raise UsageError(
                f"{stored.path} holds no reading that may be shown; write all there is by --to csv"
            )
        path.write_bytes(msgspec.json.encode(content) + b"\n")

    return write


FOLDER = "exports"
"""Where files go without --out, below the run's folder."""
FORMATS: dict[str, Format] = {
    "pytest-benchmark": Format("pytest-benchmark.json", _write_json(pytest_file)),
    "pyperf": Format("pyperf.json", _write_json(pyperf_suite)),
    "csv": Format("samples.csv", _write_csv),
    "parquet": Format("samples.parquet", _write_parquet),
}


def _row(
    run: str, sample: Sample, case: Case, spec: WorkerSpec, invalid: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    problem = case.problem
    return {
        "run": _line(run),
        "case": sample.case,
        "phase": case.phase,
        **columns_of(problem),
        "dtype": problem.dtype,
        "threads": problem.threads,
        "worker": spec.label,
        "implementation": spec.implementation,
        "role": spec.role,
        "invocation": sample.invocation,
        "round": sample.round,
        "position": sample.position,
        "warmup": sample.warmup,
        "loops": sample.loops,
        "elapsed_ns": sample.elapsed_ns,
        "elapsed_per_loop_ns": sample.elapsed_ns / sample.loops,
        "at_ns": sample.at_ns,
        "cpu_ns": sample.cpu_ns,
        "preempted_times": sample.preempted,
        "page_faults": sample.page_faults,
        "invalid": _line(invalid.get((sample.case, spec.label), "")),
    }


def _invalid(stored: Stored) -> dict[tuple[str, str], str]:
    """Tell by case id and worker why nothing may be said of it.

    A candidate's fault is its own; the baseline has one where no candidate is left.
    """
    each = analyse_stored(stored).each
    found = {
        (name, label): mine.invalid
        for label, cases in each.items()
        for name, mine in cases.items()
        if mine.invalid
    }
    for name in dict.fromkeys(name for name, _ in found):
        reasons = [mine[name].invalid for mine in each.values() if name in mine]
        if all(reasons):
            slots = [spec for spec in stored.run.plan.workers if spec.role != "candidate"]
            found |= {(name, spec.label): reasons[0] for spec in slots}
    return found


def _groups(stored: Stored) -> dict[tuple[Case, WorkerSpec], list[Sample]]:
    """Sort the readings of valid cases by case and worker, in the order of the plan."""
    by_name: defaultdict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in stored.samples:
        by_name[sample.case, sample.worker].append(sample)
    invalid = _invalid(stored)
    return {
        (case, spec): by_name[case_id(case), spec.label]
        for case in stored.run.plan.cases
        for spec in stored.run.plan.workers
        if (case_id(case), spec.label) not in invalid and by_name[case_id(case), spec.label]
    }


def _first_slots(stored: Stored) -> list[WorkerSpec]:
    """Choose one slot of each implementation: never that of the A/A pair."""
    firsts: dict[str, WorkerSpec] = {}
    for spec in stored.run.plan.workers:
        if spec.role != "again":
            firsts.setdefault(spec.implementation, spec)
    return list(firsts.values())


def _left_out(stored: Stored, to: str) -> list[str]:
    """Say what a format cannot hold or should not."""
    if to in ("csv", "parquet"):
        return []
    several = len(stored.run.candidates) > 1
    whose = {
        f"{name}: {label}" if several else name: why
        for (name, label), why in _invalid(stored).items()
    }
    found = [f"left out, INVALID: {name}: {why}" for name, why in whose.items()]
    if to == "pytest-benchmark":
        firsts = _first_slots(stored)
        others = [spec.label for spec in stored.run.plan.workers if spec not in firsts]
        found += [f"left out, as this format knows no slots: {label}" for label in others]
    return found


def _pyperf_runs(samples: list[Sample]) -> list[dict[str, Any]]:
    """Make one run of pyperf of each invocation that has a reading besides its warm-up."""
    invocations: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        invocations[sample.invocation].append(sample)
    return [
        {
            "metadata": {"loops": found[0].loops},
            "warmups": [[one.loops, _per_loop_s(one)] for one in found if one.warmup],
            "values": [_per_loop_s(one) for one in found if not one.warmup],
        }
        for _, found in sorted(invocations.items())
        if not all(one.warmup for one in found)
    ]


def _statistics(samples: list[Sample]) -> dict[str, Any]:
    """Let pytest-benchmark itself sum up the readings."""
    made_by: Any = Stats  # which comes without types
    summary = made_by()
    for sample in samples:
        summary.update(_per_loop_s(sample))
    counts = {sample.loops for sample in samples}
    return {
        **summary.as_dict(),
        "data": summary.data,
        # Of different counts none is right for all: the readings are per loop anyway.
        "iterations": counts.pop() if len(counts) == 1 else 1,
    }


def _per_loop_s(sample: Sample) -> float:
    return sample.elapsed_ns * S_PER_NS / sample.loops


def _line(value: object) -> str:
    """Write a text on one line, as pyperf wants it and a row should be; empty where is none."""
    return " ".join(str(value).split()) if value is not None else ""
