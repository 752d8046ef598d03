"""Gathers what implementations compute and holds it to a reference: parity, wherever it is asked.

How an implementation is reached, a worker or a class, is handed in; `bench.workers.parity` judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.model.records import PHASES, ParityResult, Phase, Problem
from bench.workers.implementations.drivers import Array, Network
from bench.workers.parity import ANOTHER_SEED, check
from bench.workers.tensor_files import needed
from bench.workers.tensors import tensors

DATA = ("X", "y", "X_val", "y_val")
EPOCHS = 2
Compute = Callable[[Problem, int, int], Mapping[str, Array]]
"""Computes every tensor of a problem from the weights of a seed; with epochs, also what a training
of so many leaves. Without, one batch and one step."""


@dataclass(frozen=True, slots=True)
class Side:
    """One implementation: its name in the result, how it is asked, and what it offers."""

    name: str
    compute: Compute
    phases: Sequence[Phase] = PHASES


def compare(
    problem: Problem, reference: Side, candidates: Iterable[Side], seed: int
) -> list[ParityResult]:
    """Compare each candidate with the reference, in the order of the candidates.

    float32 is judged by the reference's own distance to float64.
    """
    theirs = _gather(reference, problem, seed)
    exact_problem = replace(problem, dtype="float64")
    exact = theirs if problem == exact_problem else _gather(reference, exact_problem, seed)
    return [
        check(
            problem,
            reference.name,
            one.name,
            needed(theirs, one.phases),
            needed(_gather(one, problem, seed), one.phases),
            exact,
        )
        for one in candidates
    ]


def _gather(side: Side, problem: Problem, seed: int) -> dict[str, Array]:
    """Compute from two seeds: after the first, one batch of other weights will do."""
    first = side.compute(problem, seed, EPOCHS)
    other = side.compute(problem, seed + 1, 0)
    return {**first, **{f"{ANOTHER_SEED}{name}": array for name, array in other.items()}}


def in_process(
    make: Callable[[Problem, int, int], Network],
    data_of: Callable[[Problem], Mapping[str, Array]],
) -> Compute:
    """Return what computes by a class in this process.

    Args:
        make: Makes a network of a problem, with the weights of a seed, for so many epochs.
        data_of: Returns X, y, X_val and y_val of a problem.
    """

    def compute(problem: Problem, seed: int, epochs: int) -> dict[str, Array]:
        data = data_of(problem)
        found = tensors(make(problem, seed, 1), data, problem.batch_size)
        if epochs:
            history = make(problem, seed, epochs).fit(*(data[name] for name in DATA))
            found["training_loss"] = history.training_loss
            found["validation_loss"] = history.validation_loss
        return found

    return compute
