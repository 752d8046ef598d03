"""The ladder: the variants of a run in order, and what each step from one to another buys. Pure.

A step is a ratio of two implementations' times, formed as all ratios are (docs/method.md): paired
by round, one number for each invocation in which both are complete, Student's t over those. From
one thread to several it is of one implementation's median times in the invocations of one number,
which share the minutes of a run and not the processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis.intervals import estimate
from bench.analysis.readings import Readings, Times
from bench.analysis.verdicts import log_ratios
from bench.model.cases import case_id
from bench.model.records import (
    PHASES,
    Case,
    Estimate,
    Phase,
    Problem,
    Run,
    WorkerSpec,
)

ORDER = (
    *("python", "numpy", "numpy-tuned", "mojo-port", "mojo-simd", "mojo", "mojo-max", "mojo-exe"),
    *("numba", "jax", "torch", "torch-autograd", "torch-compile", "sklearn"),
)
"""Of the variants; those of strangers come after them."""
STEPS: tuple[tuple[str, str, str], ...] = (
    ("python", "numpy", "from loops in Python to calls of NumPy"),
    ("numpy", "numpy-tuned", "results into memory that is there"),
    ("python", "mojo-port", "the same loops, compiled"),
    ("mojo-port", "mojo-simd", "SIMD"),
    ("mojo-simd", "mojo-max", "tiling: the products of MAX in place of loops"),
    ("mojo-max", "mojo", "fusing, and tiles for these sizes"),
    ("mojo-simd", "mojo", "tiling and fusing"),
    ("mojo", "mojo-exe", "no Python in the process"),
    ("torch", "torch-autograd", "gradients by the library in place of by hand"),
    ("torch-autograd", "torch-compile", "the compiler of PyTorch"),
    ("numpy", "mojo", "the whole way from NumPy"),
)
"""From which variant to which, and what is new on the second."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step in one phase, and what it buys for each problem: above 1 it makes it faster."""

    phase: Phase
    before: str  # implementation
    after: str
    what: str
    ratios: Mapping[Problem, Estimate]  # with threads, by the problem with the more of them


def in_order(names: Iterable[str]) -> list[str]:
    """Put implementations in the order of the ladder."""
    found = list(dict.fromkeys(names))
    return sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def steps_of(run: Run, each: Mapping[str, Mapping[str, Readings]]) -> tuple[Step, ...]:
    """Form every step of which a run has both variants, by phase, in the order of `STEPS`.

    A case that is INVALID for one of the two, or has no invocation that both completed, has no
    ratio; a step without any is left out.
    """
    found: list[Step] = []
    for phase in PHASES:
        cases = [case for case in run.plan.cases if case.phase == phase]
        for before, after, what in STEPS:
            pair = _spec(run, before), _spec(run, after)
            if pair[0] is None or pair[1] is None:
                continue
            ratios = {
                case.problem: ratio
                for case in cases
                if (ratio := _between(run, each, case, pair[0], pair[1])) is not None
            }
            found += [Step(phase, before, after, what, ratios)] if ratios else []
        found += _threads(run, each, phase, cases)
    return tuple(found)


def _spec(run: Run, implementation: str) -> WorkerSpec | None:
    return next(
        (
            spec
            for spec in run.plan.workers
            if spec.implementation == implementation and spec.role != "again"
        ),
        None,
    )


def _readings(
    run: Run, each: Mapping[str, Mapping[str, Readings]], case: Case, spec: WorkerSpec
) -> Mapping[int, Times]:
    """Return a worker's complete invocations of a case; the baseline's are those of any candidate.

    None where it takes no part or nothing may be said of it.
    """
    labels = [spec.label]
    if spec.role == "baseline":
        labels = [candidate.label for candidate in run.candidates]
    found: dict[int, Times] = {}
    for label in labels:
        mine = each[label].get(case_id(case))
        if mine is not None and not mine.invalid:
            found |= mine.invocations
    return found


def _between(
    run: Run,
    each: Mapping[str, Mapping[str, Readings]],
    case: Case,
    before: WorkerSpec,
    after: WorkerSpec,
) -> Estimate | None:
    """Form the ratio of two variants in one case."""
    slow, fast = (_readings(run, each, case, spec) for spec in (before, after))
    shared = [number for number in slow if number in fast]
    times = [
        {before.label: slow[number][before.label], after.label: fast[number][after.label]}
        for number in shared
    ]
    return estimate(log_ratios(run, times, before, after)) if times else None


def _threads(
    run: Run,
    each: Mapping[str, Mapping[str, Readings]],
    phase: Phase,
    cases: Sequence[Case],
) -> list[Step]:
    """Form the steps from one thread to several, of every implementation that has both."""
    found: list[Step] = []
    for name in in_order(spec.implementation for spec in run.plan.workers):
        spec = _spec(run, name)
        if spec is None:
            continue
        ratios: dict[Problem, Estimate] = {}
        for case in cases:
            alone = Case(phase, replace(case.problem, threads=1))
            if case.problem.threads == 1 or alone not in cases:
                continue
            one, many = (_readings(run, each, which, spec) for which in (alone, case))
            logs = [
                np.log(np.median(one[i][spec.label]) / np.median(many[i][spec.label]))
                for i in one
                if i in many
            ]
            if logs:
                ratios[case.problem] = estimate(np.array(logs))
        found += [Step(phase, name, name, "from one thread to several", ratios)] if ratios else []
    return found
