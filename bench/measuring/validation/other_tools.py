"""What other tools conclude of one implementation timed against itself; for `bench validate`.

    python -m bench.measuring.validation.other_tools CASE_ID -o FILE      times a case of NumPy as a
    pyperf benchmark

Both are used as their documentation says, with their own settings; each times one side after the
other, which is how they are used.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.model.cases import case_id
from bench.model.errors import UsageError
from bench.model.paths import PROJECT
from bench.model.records import Case
from bench.model.threads import thread_environment
from bench.workers.datasets import data_for
from bench.workers.implementations.drivers import NumPy

SUSPICIOUS = 0.02
"""Change of the median that pytest-benchmark is told to fail at: it has no test of its own."""
TIMEOUT_S = 300


def has_pyperf() -> bool:
    """Tell whether pyperf is installed; it is one of the packages for development."""
    return find_spec("pyperf") is not None


def pyperf_differs(case: Case, folder: Path) -> bool:
    """Time a case twice with pyperf and ask its `compare_to`.

    Returns:
        Whether it calls the two significantly different.
    """
    files = [folder / f"{side}.json" for side in ("first", "second")]
    for file in files:
        file.unlink(missing_ok=True)
        _run(
            "-m",
            "bench.measuring.validation.other_tools",
            case_id(case),
            "-o",
            str(file),
            "--quiet",
            "--copy-env",
        )
    said = _run("-m", "pyperf", "compare_to", *map(str, files))
    return "not significant" not in said.lower()


def pytest_benchmark_differs(case: Case, folder: Path) -> bool:
    """Time a case twice with pytest-benchmark and compare the medians as its options do.

    Returns:
        Whether `--benchmark-compare-fail=median:2%` would fail in one direction or the other.
    """
    medians = []
    for side in ("first", "second"):
        file = folder / f"{side}-pytest.json"
        wanted = f"test_speed[{case_id(case)}-numpy]"
        test = f"bench/test_speed.py::{wanted}"
        _run("-m", "pytest", "-q", test, f"--benchmark-json={file}")
        (found,) = json.loads(file.read_text())["benchmarks"]
        medians.append(found["stats"]["median"])
    return bool(max(medians) / min(medians) - 1 > SUSPICIOUS)


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env={**os.environ, **thread_environment(1)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise UsageError(f"{' '.join(arguments[:3])} failed: {(done.stdout + done.stderr)[-300:]}")
    return done.stdout


def _time_with_pyperf(case: Case) -> None:
    import pyperf  # type: ignore[import-untyped,unused-ignore]

    problem = case.problem
    data = data_for(problem)
    network: Any = NumPy().create(problem)
    X, y = data.X[: problem.batch_size], data.y[: problem.batch_size]
    losses, none = np.empty(problem.rows // problem.batch_size), np.empty(0)
    runner = pyperf.Runner(
        program_args=("-m", "bench.measuring.validation.other_tools", case_id(case))
    )
    runner.argparser.add_argument("case")
    if case.phase == "forward":
        runner.bench_func(case_id(case), network.forward, X)
    elif case.phase == "backprop":
        network.forward(X)
        runner.bench_func(case_id(case), network.backprop, y)
    else:
        runner.bench_func(case_id(case), network._epoch, data.X, data.y, None, losses, none)


if __name__ == "__main__":
    from bench.measuring.validation.trials import CASES

    _time_with_pyperf({case_id(case): case for case in CASES.values()}[sys.argv[1]])
