"""The networks that the cross-language tests run, and how one is run: tiny, odd, prime, large."""

from __future__ import annotations

from typing import Any

from bench.model.cases import problem_id
from bench.model.records import DType, Problem
from bench.workers.datasets import DataSet, data_for
from bench.workers.parity import Array
from bench.workers.tensors import tensors

# (layer sizes, batch size, training rows); most rows leave a last batch that is dropped.
SHAPES: tuple[tuple[tuple[int, ...], int, int], ...] = (
    ((1, 1), 1, 7),
    ((1, 1), 20, 45),
    ((1, 1, 1), 2, 9),
    ((1, *[50] * 9, 1), 20, 500),
    ((1, *[50] * 9, 1), 1, 5),
    ((3, 2, 1), 5, 23),
    ((7, 17, 1), 19, 60),
    ((7, 17, 1), 1, 11),
    ((2, 3, 5, 7, 11, 13), 2, 9),
    ((63, 65, 127, 2), 33, 70),
    ((64, 128, 128, 10), 32, 100),
    ((64, 128, 128, 10), 20, 100),
    ((311, 300, 7), 5, 19),
    ((8, 8, 8), 19, 40),
    ((16, 256, 16), 2, 6),
    ((784, 512, 512, 10), 128, 256),
    ((513, 1025, 3), 33, 66),
)
DTYPES: tuple[DType, ...] = ("float64", "float32")
PROBLEMS = [Problem(*shape, dtype, 1) for shape in SHAPES for dtype in DTYPES]
SEED_NETWORK = Problem((1, *[50] * 9, 1), 20, 500, "float64", 1)


def name(problem: Problem) -> str:
    """Return what pytest shows for a problem."""
    return problem_id(problem).removesuffix("/t1")


def in_float64(problem: Problem) -> Problem:
    """Return the same problem in float64."""
    return Problem(problem.layer_sizes, problem.batch_size, problem.rows, "float64", 1)


def run(
    MLP: Any, problem: Problem, *, seed: int = 0, epochs: int = 2, data: DataSet | None = None
) -> dict[str, Array]:
    """Return every tensor of the parity table, from fresh networks of one implementation.

    The data is that of the problem unless given; it is cast to the problem's dtype.
    """
    arrays = (data or data_for(problem)).arrays()
    arrays = {key: array.astype(problem.dtype) for key, array in arrays.items()}
    options = {"batch_size": problem.batch_size, "seed": seed, "dtype": problem.dtype}
    found = tensors(MLP(problem.layer_sizes, **options), arrays, problem.batch_size)
    history = MLP(problem.layer_sizes, max_epochs=epochs, **options).fit(
        *(arrays[key] for key in ("X", "y", "X_val", "y_val"))
    )
    return found | {
        "training_loss": history.training_loss,
        "validation_loss": history.validation_loss,
    }
