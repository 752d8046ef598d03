"""The cases of a preset as pytest-benchmark tests: `pytest bench`.

Every network is checked for parity before it is timed. Times come without verdicts: here one
implementation is timed after the other in a single process (docs/method.md). `epoch` is a `fit` of
one epoch, by the public method, so the checks of its data are in it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import pytest

from bench.model.cases import case_id, case_text
from bench.model.errors import UsageError
from bench.model.presets import PRESETS, preset_problems
from bench.model.records import PHASES, Case, ParityResult, Problem
from bench.model.registry import BASELINE
from bench.storage.pytest_import import EXTRA, Extra
from bench.workers.comparing import Side, compare, in_process
from bench.workers.datasets import data_for
from bench.workers.implementations.drivers import IMPLEMENTATIONS, Network, implementation

EPOCH_ROUNDS = 20
CANDIDATES = tuple(name for name in IMPLEMENTATIONS if name != BASELINE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Cross the cases of the preset with the implementations."""
    preset = metafunc.config.getoption("--bench-preset")
    if preset not in PRESETS:
        raise pytest.UsageError(f"--bench-preset: {preset!r} is none of {', '.join(PRESETS)}")
    cases = [Case(phase, p) for p in preset_problems(PRESETS[preset]) for phase in PHASES]
    metafunc.parametrize("case", cases, ids=case_id)
    metafunc.parametrize("name", IMPLEMENTATIONS)


@pytest.fixture(scope="session")
def described() -> dict[str, dict[str, Any]]:
    """What each implementation says of itself, once it is confirmed to use one thread."""
    found = {}
    for name in IMPLEMENTATIONS:
        mine = implementation(name)
        found[name] = {"implementation": name, "language": mine.language, **mine.describe()}
        if found[name]["threads"] != 1:
            raise UsageError(
                f"{name} uses {found[name]['threads']} threads, not 1: it was loaded before "
                "bench/conftest.py could set that; run `pytest bench` by itself, or set "
                "OPENBLAS_NUM_THREADS=1, OMP_NUM_THREADS=1 and MOJO_IMPL_THREADS=1 first"
            )
    return found


def test_speed(
    benchmark: Any, case: Case, name: str, described: dict[str, Any], pytestconfig: pytest.Config
) -> None:
    """Time one case in one implementation, after checking that both compute the same."""
    problem = case.problem
    parity = [compared(problem, candidate) for candidate in CANDIDATES]
    assert not any(result.reason for result in parity), [result.reason for result in parity]

    preset = pytestconfig.getoption("--bench-preset")
    benchmark.group = case_text(case)
    benchmark.extra_info[EXTRA] = msgspec.to_builtins(
        Extra(case, name, preset, described[name], tuple(parity))
    )
    data = data_for(problem)
    network = implementation(name).create(problem)
    X, y = data.X[: problem.batch_size], data.y[: problem.batch_size]
    if case.phase == "forward":
        benchmark(network.forward, X)
    elif case.phase == "backprop":
        network.forward(X)
        benchmark(network.backprop, y)
    else:
        turns = {"rounds": EPOCH_ROUNDS, "warmup_rounds": 1}
        benchmark.pedantic(network.fit, (data.X, data.y), setup=network.reset, **turns)


@cache
def compared(problem: Problem, candidate: str) -> ParityResult:
    """Compare a candidate with the baseline, once per problem."""
    (result,) = compare(problem, side(BASELINE), [side(candidate)], seed=1)
    return result


def side(name: str) -> Side:
    """Return how an implementation of this process is compared."""
    mine = implementation(name)

    def make(problem: Problem, seed: int, epochs: int) -> Network:
        return mine.create(problem, max_epochs=epochs, seed=seed)

    return Side(name, in_process(make, lambda problem: data_for(problem).arrays()))
