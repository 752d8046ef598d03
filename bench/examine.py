"""Looks at the machine for `bench doctor`: its facts, its clock, a short run of the harness."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import stats, store
from bench.cases import NETWORKS, case_text, cases_of
from bench.doctor import Finding, Measured, findings
from bench.records import PHASES, Problem, WorkerSpec
from bench.runner import measure
from bench.session import Order, Progress

CASES = cases_of([Problem(*NETWORKS[0], "float64", 1)], ("forward", "epoch"))
CLOCK_READINGS = 10_000


def examine(
    workers: Sequence[WorkerSpec], progress: Progress, *, invocations: int, seconds: float
) -> list[Finding]:
    """Time the smallest network for a few seconds and judge what that and the machine say.

    Args:
        workers: The seats of a run, the baseline twice.
        progress: Tells a person.
        invocations: Fresh sets of processes.
        seconds: Time for taking samples.
    """
    order = Order("doctor", CASES, tuple(workers), invocations, seconds, 0, "bench doctor")
    began = time.perf_counter()
    with TemporaryDirectory() as folder:
        run = measure(order, Path(folder) / "doctor", datetime.now(UTC), progress)
        stored = store.load(Path(folder) / "doctor")
    results = stats.results(stored.run, stored.samples, stored.parity, stored.faults)
    measured = Measured(
        time.perf_counter() - began,
        clock_step_ns(),
        {
            case_text(result.case): stats.noise_floor(result.again)
            for result in results
            if result.case.phase in PHASES
        },
    )
    before = run.environment
    return findings(before, run.environment_after or before, measured, before.workers)


def clock_step_ns() -> int:
    """Return the smallest step of Python's clock that readings in a row show."""
    readings = [time.perf_counter_ns() for _ in range(CLOCK_READINGS)]
    return min((b - a for a, b in pairwise(readings) if b > a), default=0)
