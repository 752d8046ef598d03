"""The fairness contract: each line kept and broken, and what a run makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pretence import SMALL, Event, World, request_of

from bench.analysis.run_analysis import analyse
from bench.model.cases import case_id, problem_id
from bench.model.instruction_sets import ISAS, environment_of, other_than
from bench.model.records import Case, FairnessCheck
from bench.workers.fairness import (
    CLAUSES,
    Trial,
    first_broken,
    of_data,
    of_rate,
    of_trials,
    of_workers,
)
from bench.workers.messages import TensorsWritten

FAIR = {"threads": 1, "denormals": "kept", "rounding": "to nearest", "facts": {}}


def broken(fairness_checks: list[FairnessCheck]) -> dict[str, str]:
    return {
        fairness_check.name: fairness_check.broken
        for fairness_check in fairness_checks
        if not fairness_check.ok
    }


def test_fair_workers_keep_every_line() -> None:
    fairness_checks = of_workers("p", {"numpy": FAIR, "mojo": FAIR}, 1)
    assert [fairness_check.name for fairness_check in fairness_checks] == [
        "threads",
        "subnormals",
        "rounding",
    ]
    assert broken(fairness_checks) == {}
    assert first_broken(fairness_checks) == ""


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"threads": 2}, "threads", "mojo has threads 2 where 1 is needed"),
        ({"denormals": "flushed"}, "subnormals", "mojo has denormals 'flushed' where 'kept' is"),
        ({"rounding": "not to nearest"}, "rounding", "mojo has rounding 'not to nearest' where"),
    ],
)
def test_a_worker_that_is_set_otherwise(change: dict[str, Any], name: str, words: str) -> None:
    found = broken(of_workers("p", {"numpy": FAIR, "mojo": {**FAIR, **change}}, 1))
    assert [*found] == [name]
    assert found[name].startswith(words)


def test_data_and_its_layout() -> None:
    good = TensorsWritten(ok=True, inputs="12ab34cd", layout="dense, C order")
    fairness_checks = of_data("p", {"numpy": good, "mojo": good})
    assert broken(fairness_checks) == {}
    assert fairness_checks[0].found == "CRC-32 12ab34cd"
    other = TensorsWritten(ok=True, inputs="cd", layout="not dense in C order: X")
    assert broken(of_data("p", {"numpy": good, "mojo": other})) == {
        "inputs": "mojo holds other data than numpy",
        "layout": "arrays of mojo are not dense in C order: X",
    }


def pair(
    short_ns: int, long_ns: int, clock: float = 1.0, cores: float = 1.0, outside_ns: int = 0
) -> tuple[Trial, Trial]:
    """Samples of 10 and 30 repetitions; `clock` is how fast the implementation's passes."""

    def trial(loops: int, real_ns: int) -> Trial:
        wall_ns = real_ns + outside_ns
        return Trial(loops, round(clock * real_ns), wall_ns, round(cores * wall_ns))

    return trial(10, short_ns), trial(30, long_ns)


@pytest.mark.parametrize(
    ("trials", "names"),
    [
        ([pair(100, 300)], []),
        ([pair(100, 300, outside_ns=900)], []),  # set-up outside the clock cancels
        ([pair(100, 300, clock=0.8)], ["clock"]),
        ([pair(100, 300, clock=1.2)], ["clock"]),
        ([pair(100, 110)], ["repetitions"]),
        ([pair(100, 900)], ["repetitions"]),
        ([pair(100, 900), pair(300, 310), pair(100, 300)], []),  # disturbed, and then not
        ([pair(100, 300, cores=1.1)], []),
        ([pair(100, 300, cores=1.9)], ["cores"]),
        ([pair(100, 300), pair(100, 300, cores=1.9)], ["cores"]),
    ],
)
def test_times(trials: list[tuple[Trial, Trial]], names: list[str]) -> None:
    fairness_checks = of_trials("c", "mojo", trials, threads=1)
    assert [fairness_check.name for fairness_check in fairness_checks] == [
        "cores",
        "clock",
        "repetitions",
    ]
    assert [*broken(fairness_checks)] == names


def test_two_threads_may_keep_two_cores_busy() -> None:
    assert broken(of_trials("c", "mojo", [pair(100, 300, cores=2.0)], threads=2)) == {}


def test_threads_that_the_system_accounts_for_by_its_tick_are_no_more_than_they_are() -> None:
    """Of a running thread the system knows what it used up to the last tick, here of 4 ms."""
    tick, ms = 4 * 10**6, 10**6
    late = [0, tick, tick, 0, 0, tick, tick, 0]
    lengths = [6 * ms, 18 * ms] * 3
    found = [
        Trial(length // ms, length, length, 2 * length + after - before)
        for length, before, after in zip(lengths, late, late[1:], strict=False)
    ]
    assert max(trial.cpu_ns / trial.wall_ns for trial in found) > 2.5
    trials = list(zip(found[::2], found[1::2], strict=True))
    assert broken(of_trials("c", "numpy", trials, threads=2)) == {}
    assert [*broken(of_trials("c", "numpy", trials, threads=1))] == ["cores"]


def test_a_rate_above_the_peak_is_no_work() -> None:
    assert of_rate("c", "mojo", 1.1e11, 1e11).ok  # the core's clock moves
    fairness_check = of_rate("c", "mojo", 2e11, 1e11)
    assert fairness_check.broken == (
        "mojo would compute 200 GFLOP/s, and this machine multiplies no more than 100: it does "
        "not do the work"
    )


# One instruction set


def test_an_instruction_set_is_set_and_confirmed() -> None:
    assert environment_of("") == {}
    assert environment_of("avx2")["MOJO_IMPL_TARGET_CPU"] == "x86-64-v3"
    assert environment_of("avx2")["OPENBLAS_CORETYPE"] == "Haswell"
    mojo = {"mojo target cpu": "x86-64-v3"}
    numpy = {"blas": "openblas 0.3.30", "blas core type": "Haswell"}
    for facts in (mojo, numpy):
        assert other_than("avx2", facts) == ""
        assert "not" in other_than("avx512", facts)
    assert other_than("avx2", {"blas": "blis", "blas core type": "zen"}).endswith("held to one")
    assert other_than("avx2", {"blas": "mkl 2024", "blas core type": "x"}) == ""
    fair = {**FAIR, "facts": numpy}
    odd = {**FAIR, "facts": {"mojo target cpu": "znver5"}}
    found = broken(of_workers("p", {"numpy": fair, "mojo": odd}, 1, "avx2"))
    assert found == {"instruction set": "mojo: it is compiled for znver5, not x86-64-v3"}
    assert {*ISAS} == {"sse4.2", "avx2", "avx512"}


# In a run


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_run_stores_every_line_that_it_checked(world: World) -> None:
    _, stored = world.run(request_of(SMALL, phases=("forward", "epoch"), invocations=1))
    assert broken(list(stored.contract)) == {}
    names = {fairness_check.name for fairness_check in stored.contract}
    assert names == CLAUSES.keys() - {"instruction set"}
    forward = case_id(Case("forward", SMALL))
    of_case = [
        fairness_check.found
        for fairness_check in stored.contract
        if fairness_check.subject == forward
    ]
    assert "numpy: 1.00" in of_case
    assert "mojo: 3.00 times" in of_case


def answers(op: str, label: str, **changed: Any) -> Callable[[World], None]:
    """Let one worker answer otherwise."""

    def change(world: World) -> None:
        def trouble(event: Event) -> None:
            if event.op == op and event.worker == label:
                event.answer.update(changed)

        world.trouble = trouble

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (answers("tensors", "mojo", inputs="0badc0de"), "inputs: mojo holds other data than numpy"),
        (answers("tensors", "numpy", layout="not dense"), "layout: arrays of numpy are not dense"),
        (answers("describe", "mojo", rounding="up"), "rounding: mojo has rounding 'up'"),
        (answers("sample", "mojo", cpu_ns=10**12), "cores: mojo keeps"),
    ],
)
def test_a_broken_line_makes_its_cases_invalid(
    world: World, change: Callable[[World], None], words: str
) -> None:
    change(world)
    run, stored = world.run(request_of(SMALL, invocations=1))
    (result,) = analyse(run, stored.samples, stored.parity, stored.faults).results
    assert result.verdict is not None
    assert result.verdict.kind == "INVALID"
    assert result.verdict.reason.startswith(f"the contract: {words}")
    assert stored.samples == ()
    assert {one.subject for one in stored.contract if not one.ok} <= {
        problem_id(SMALL), case_id(Case("forward", SMALL)),
    }  # fmt: skip


def test_what_is_above_the_peak_is_not_timed(world: World) -> None:
    world.each_ns = {"numpy": 400_000, "mojo": 200_000}
    wide = request_of(type(SMALL)((1, 4096, 4096, 1), 512, 512, "float64", 1), invocations=1)
    run, stored = world.run(wide)
    (result,) = analyse(run, stored.samples, stored.parity, stored.faults).results
    assert result.verdict is not None
    assert result.verdict.reason.startswith("the contract: rate: numpy would compute")
