"""Runs with known times, made in memory: for tests of the statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import product

from bench.analysis.run_analysis import analyse
from bench.model.cases import case_id, problem_id
from bench.model.records import (
    Case,
    Environment,
    Fault,
    ParityResult,
    Plan,
    Problem,
    Request,
    Result,
    Run,
    Sample,
    WorkerSpec,
)

SLOTS = (
    WorkerSpec("numpy", "numpy", "baseline"),
    WorkerSpec("numpy-again", "numpy", "again"),
    WorkerSpec("mojo", "mojo", "candidate"),
)
SMALL = Problem((1, 2, 1), 5, 10, "float64", 1)
WIDE = Problem((1, 9, 1), 5, 10, "float64", 1)
FORWARD = Case("forward", SMALL)
SPREAD = (0.01, -0.01, 0.02, -0.02, 0.0, 0.015, -0.015, 0.005, -0.005, 0.0)
"""Ten logarithms with mean 0, to lay around a ratio."""

Time = Callable[[Case, str, int, int], float]
"""Nanoseconds of one repetition, by case, worker label, invocation and round."""


def make_run(*cases: Case, invocations: int = 10, rounds: int = 2) -> Run:
    names = [case_id(case) for case in cases]
    request = Request("quick", cases, SLOTS, invocations)
    plan = Plan(request, dict.fromkeys(names, rounds), dict.fromkeys(names, 4))
    return Run("test", "2026-11-03T10:00:00+00:00", "bench run", plan, Environment({}, {}))


def make_samples(run: Run, time: Time) -> list[Sample]:
    """All samples of a run, with a warm-up that is far too slow."""
    found = []
    for case, invocation in product(run.plan.cases, range(run.plan.invocations)):
        name = case_id(case)
        for turn in range(run.plan.rounds[name] + 1):
            for position, slot in enumerate(SLOTS):
                each_ns = time(case, slot.label, invocation, turn) * (1 if turn else 50)
                elapsed_ns = round(4 * each_ns)
                reading = (invocation, turn, position, 4, elapsed_ns, 0, turn == 0)
                found.append(Sample(name, slot.label, *reading))
    return found


def agreed(run: Run) -> list[ParityResult]:
    problems = dict.fromkeys(case.problem for case in run.plan.cases)
    return [ParityResult(problem_id(problem), "numpy", "mojo", ()) for problem in problems]


def spread_around(ratio: float, spread: float = 1.0, floor: float = 0.1) -> Time:
    """The candidate is `ratio` times as fast, with `SPREAD` across invocations."""

    def time(case: Case, label: str, invocation: int, turn: int) -> float:
        log = SPREAD[invocation % len(SPREAD)]
        if label == "mojo":
            return 1e9 / ratio * math.exp(-spread * log)
        return 1e9 * (math.exp(-floor * log) if label == "numpy-again" else 1)

    return time


def judge(
    time: Time, *cases: Case, invocations: int = 10, faults: Iterable[Fault] = ()
) -> tuple[Result, ...]:
    run = make_run(*(cases or (FORWARD,)), invocations=invocations)
    return analyse(run, make_samples(run, time), agreed(run), faults).results


def verdict(time: Time, *cases: Case, invocations: int = 10) -> tuple[str, str]:
    found = judge(time, *cases, invocations=invocations)[0].verdict
    assert found is not None
    return found.kind, found.reason


def from_list(readings: list[tuple[int, ...]]) -> Time:
    places = {slot.label: place for place, slot in enumerate(SLOTS)}

    def time(case: Case, label: str, invocation: int, turn: int) -> float:
        return readings[2 * invocation + max(turn, 1) - 1][places[label]]

    return time
