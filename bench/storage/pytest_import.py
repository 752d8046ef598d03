"""A file of pytest-benchmark, made by `pytest bench` -> a run that holds times and no verdicts.

The file says in each benchmark's `extra_info` what was timed (see `Extra`); the machine's name and
whatever else names its owner is left out.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.model.cases import case_id
from bench.model.errors import UsageError
from bench.model.records import (
    Case,
    Environment,
    ParityResult,
    Plan,
    Request,
    Run,
    Sample,
    WorkerSpec,
)
from bench.model.registry import BASELINE
from bench.storage.limits import MOST, check_run, cleaned, is_reading
from bench.storage.runs import RunWriter

EXTRA = "python-vs-mojo"
"""Key of our part of `extra_info`."""

HOW_TO_MAKE = "make one by `pytest bench --benchmark-json=speed.json`"


@dataclass(frozen=True, slots=True)
class Extra:
    """What `bench/test_speed.py` tells of one benchmark."""

    case: Case
    implementation: str
    preset: str
    worker: dict[str, Any]  # what the implementation says of itself
    parity: tuple[ParityResult, ...]


@dataclass(frozen=True, slots=True)
class _Statistics:
    iterations: int
    data: tuple[float, ...] = ()  # seconds per iteration, a round each


@dataclass(frozen=True, slots=True)
class _Benchmark:
    fullname: str
    stats: _Statistics
    extra_info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _File:
    datetime: str
    machine_info: dict[str, Any]
    benchmarks: tuple[_Benchmark, ...]
    commit_info: dict[str, Any] = field(default_factory=dict)


def import_file(path: Path, out_dir: Path) -> Path:
    """Make a run from a file; a file that was imported before gives the run of then.

    Args:
        path: The file, from `pytest bench --benchmark-json=FILE` or a saved run of
            pytest-benchmark with its data.
        out_dir: Folder of the runs, such as `results`; made if missing.

    Returns:
        The folder of the run, named after the file and its content.

    Raises:
        UsageError: The file is not there, or not one of ours.
        StoreError: The run cannot be written.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; {HOW_TO_MAKE}") from None
    try:
        file = msgspec.convert(cleaned(msgspec.json.decode(content)), _File)
    except (ValueError, RecursionError) as error:  # of msgspec, or of `cleaned`
        raise UsageError(
            f"{path} is not a file of pytest-benchmark: {error}; {HOW_TO_MAKE}"
        ) from None
    extras = _extras(path, file)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.") or "imported"
    run_dir = out_dir / f"{stem}-{hashlib.sha256(content).hexdigest()[:8]}"
    if run_dir.exists():
        return run_dir
    unfinished = run_dir.with_name(f".{run_dir.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    samples = _samples(path, file, extras)
    run = _run(run_dir.name, path, file, extras)
    try:
        check_run(run)
    except ValueError as error:
        raise UsageError(f"{path} does not describe a valid run: {error}; {HOW_TO_MAKE}") from None
    with RunWriter(unfinished, run) as writer:
        for result in {result.problem: result for e in extras for result in e.parity}.values():
            writer.add(result)
        for sample in samples:
            writer.add(sample)
    return unfinished.rename(run_dir)


def _extras(path: Path, file: _File) -> list[Extra]:
    """Read what was timed, for every benchmark of the file."""
    extras = []
    for benchmark in file.benchmarks:
        name = benchmark.fullname
        if EXTRA not in benchmark.extra_info:
            raise UsageError(f"{path}: {name} is not a test of `pytest bench`; {HOW_TO_MAKE}")
        try:
            extras.append(msgspec.convert(benchmark.extra_info[EXTRA], Extra))
        except msgspec.MsgspecError as error:
            raise UsageError(f"{path}: {name}: {error}; {HOW_TO_MAKE}") from None
    timed = [(case_id(extra.case), extra.implementation) for extra in extras]
    twice = next((pair for pair in timed if timed.count(pair) > 1), None)
    if twice:
        raise UsageError(f"{path}: {' in '.join(twice)} is there more than once; {HOW_TO_MAKE}")
    names = {extra.implementation for extra in extras}
    if BASELINE not in names or len(names) < 2:
        raise UsageError(
            f"{path} has times of {', '.join(sorted(names)) or 'nothing'}; a comparison needs "
            f"{BASELINE} and another implementation; {HOW_TO_MAKE}"
        )
    return extras


def _samples(path: Path, file: _File, extras: list[Extra]) -> list[Sample]:
    """Turn each round into a reading; times when they were taken are not in the file."""
    samples = []
    for benchmark, extra in zip(file.benchmarks, extras, strict=True):
        data, loops = benchmark.stats.data, benchmark.stats.iterations
        if not data:
            raise UsageError(
                f"{path}: {benchmark.fullname} holds no single readings; save it with "
                "--benchmark-json=FILE, or with --benchmark-save-data"
            )
        for number, seconds in enumerate(data):
            elapsed_ns = seconds * min(loops, MOST["loops"]) * 1e9
            if not is_reading(elapsed_ns, loops):
                raise UsageError(
                    f"{path}: {benchmark.fullname} has a reading of {seconds} s for {loops} "
                    f"iterations, which is no time; {HOW_TO_MAKE}"
                )
            case, name = case_id(extra.case), extra.implementation
            samples.append(Sample(case, name, 0, number, 0, loops, round(elapsed_ns), at_ns=0))
    return samples


def _run(name: str, path: Path, file: _File, extras: list[Extra]) -> Run:
    names = dict.fromkeys([BASELINE, *(extra.implementation for extra in extras)])
    info = file.machine_info
    cpu = info.get("cpu")
    cpu = cpu if isinstance(cpu, dict) else {}
    missing = "unavailable (not in the file)"
    machine = {
        "cpu": cpu.get("brand_raw", missing),
        "logical cores": cpu.get("count", missing),
        "architecture": info.get("machine", missing),
        "system": info.get("system", missing),
    }
    software = {
        "python": f"{info.get('python_implementation', '')} {info.get('python_version', '')}",
        "commit": str(file.commit_info.get("id", missing)),
    }
    preset = extras[0].preset
    request = Request(
        preset=preset,
        cases=tuple(dict.fromkeys(extra.case for extra in extras)),
        workers=tuple(
            WorkerSpec(label, label, "baseline" if label == BASELINE else "candidate")
            for label in names
        ),
    )
    command = ["pytest", "bench", f"--bench-preset={preset}", f"--benchmark-json={path.name}"]
    return Run(
        name=name,
        started=file.datetime,
        command=shlex.join(command),
        plan=Plan(request),  # rounds and loops are what pytest-benchmark chose for each side
        environment=Environment(
            machine, software, {extra.implementation: extra.worker for extra in extras}
        ),
        status="imported",
        source="pytest-benchmark",
    )
