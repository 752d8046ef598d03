"""Trains both implementations on the same data, for people who look: one after the other.

No benchmark: each side is timed once, by the wall, with the progress that a person watches. Before
the training both are held to the table of parity on this very data.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.model.errors import UsageError
from bench.model.records import ParityResult, Problem
from bench.training.datasets import Task
from bench.training.weights import Scaling, Weights
from bench.workers import comparing
from bench.workers.implementations.drivers import Network

Array = NDArray[Any]
Watch = Callable[[int, float], object]

SIDES = {"NumPy": "python_impl", "Mojo": "mojo_impl"}
"""Who is trained, in this order, and the package of its class."""
GRID = (-6.0, 6.0, 601)
"""Where the curve of sinc is drawn: first point, last point, how many."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How both are trained."""

    rate: float
    epochs: int
    batch_size: int
    seed: int
    threads: int


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """What came of the training of one side.

    Losses are of every batch, (epochs * batches,), float64; `predictions` are of the test rows in
    the units of the data, (n, out); `curve` is of the grid of sinc, (m, 1), and empty elsewhere.
    """

    name: str
    seconds: float
    training_loss: Array
    validation_loss: Array
    predictions: Array
    curve: Array
    weights: Weights


def network_class(name: str) -> Callable[..., Any]:
    """Return the class MLP of a side."""
    found: Callable[..., Any] = import_module(SIDES[name]).MLP
    return found


def problem_of(task: Task, settings: Settings) -> Problem:
    """Return what is trained as a problem of the harness.

    Raises:
        UsageError: A batch has more rows than the data.
    """
    rows = len(task.data.X)
    if settings.batch_size > rows:
        raise UsageError(
            f"--batch is {settings.batch_size} but there are only {rows} rows; give a smaller one"
        )
    dtype = task.data.X.dtype.name
    return Problem(task.layer_sizes, settings.batch_size, rows, dtype, settings.threads)  # type: ignore[arg-type]


def same_tensors(task: Task, settings: Settings) -> ParityResult:
    """Hold both sides to the table of parity: all of a step, and the losses of two epochs."""
    problem = problem_of(task, settings)
    numpy, mojo = (comparing.Side(name, _compute(name, task)) for name in SIDES)
    (result,) = comparing.compare(problem, numpy, [mojo], settings.seed)
    return result


def train(
    name: str,
    task: Task,
    settings: Settings,
    watch: Watch | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Side:
    """Train one side from fresh weights.

    Args:
        name: Which, of `SIDES`.
        task: The data and the network.
        settings: How.
        watch: Called after each epoch, with its number from 1 and its mean training loss.
        clock: Seconds.
    """
    data = task.data
    network = network_class(name)(
        task.layer_sizes,
        settings.rate,
        settings.epochs,
        settings.batch_size,
        settings.seed,
        data.X.dtype.name,
    )
    with _threads(name, settings.threads), np.errstate(all="ignore"):  # it may run away
        start = clock()
        history = network.fit(data.X, data.y, data.X_val, data.y_val, progress=watch)
        seconds = clock() - start
        curve = network.predict(_grid(data.X.dtype)) if is_curve(task) else np.empty((0, 1))
        predictions = unscaled(network.predict(data.X_test), task.scaling)
    weights = Weights(
        tuple(np.array(array) for array in network.weights),
        tuple(np.array(array) for array in network.biases),
        task.scaling,
    )
    losses = history.training_loss, history.validation_loss
    return Side(name, seconds, *losses, predictions, curve, weights)


def predict(found: Weights, X: Array, name: str) -> Array:
    """Return what a network with these weights makes of X, in the units of the data.

    Raises:
        UsageError: X has another number of columns than the network's input.
    """
    sizes = found.layer_sizes
    if X.shape[1] != sizes[0]:
        raise UsageError(f"the network takes {sizes[0]} numbers a row; there are {X.shape[1]}")
    network = network_class(name)(sizes, dtype=found.dtype, seed=0)
    network.weights, network.biases = list(found.weights), list(found.biases)
    X = X.astype(found.dtype)
    if found.scaling is not None:
        X = (X - found.scaling.x_shift) / found.scaling.x_scale
    with np.errstate(all="ignore"):
        return unscaled(network.predict(np.ascontiguousarray(X)), found.scaling)


def unscaled(y: Array, scaling: Scaling | None) -> Array:
    """Bring outputs of a network back to the units of the data."""
    return y if scaling is None else y * scaling.y_scale + scaling.y_shift


def is_curve(task: Task) -> bool:
    """Tell whether what is learned is a curve: one number from one."""
    return task.layer_sizes[0] == task.layer_sizes[-1] == 1


def accuracy(predictions: Array, targets: Array) -> float:
    """Return the share of rows whose largest column is that of the targets."""
    return float(np.mean(predictions.argmax(axis=1) == targets.argmax(axis=1)))


def mean_error(predictions: Array, targets: Array) -> float:
    """Return the mean of the absolute differences."""
    return float(np.mean(np.abs(predictions - targets)))


def has_run_away(side: Side) -> bool:
    """Tell whether a training loss is not finite."""
    return not bool(np.isfinite(side.training_loss).all())


def smoothed(losses: Array, epochs: int, most: int = 250) -> tuple[Array, Array, Array, Array]:
    """Gather the losses of batches into up to so many groups of whole epochs.

    Args:
        losses: Of every batch, (epochs * batches,); NaN where there is none.
        epochs: How many epochs that is, at least 1.
        most: Groups at most.

    Returns:
        For each group the epoch in its middle, its mean, and its least and largest loss; NaN
        where none of its losses is finite.
    """
    by_epoch = np.asarray(losses, np.float64).reshape(epochs, -1)
    by_epoch = np.where(np.isfinite(by_epoch), by_epoch, np.nan)
    starts = np.unique(np.linspace(0, epochs, min(most, epochs) + 1).astype(int))
    middle, mean, low, high = (np.full(len(starts) - 1, np.nan) for _ in range(4))
    for place, (start, end) in enumerate(pairwise(starts)):
        middle[place] = (start + 1 + end) / 2
        group = by_epoch[start:end]
        group = group[np.isfinite(group)]
        if group.size:
            mean[place] = (group / group.size).sum()  # no sum of them overflows
            low[place], high[place] = group.min(), group.max()
    return middle, mean, low, high


def _compute(name: str, task: Task) -> comparing.Compute:
    """Return what computes the tensors of a side on the data of a task."""

    def make(problem: Problem, seed: int, epochs: int) -> Network:
        network: Network = network_class(name)(
            problem.layer_sizes,
            max_epochs=epochs,
            batch_size=problem.batch_size,
            seed=seed,
            dtype=problem.dtype,
        )
        return network

    def data_of(problem: Problem) -> dict[str, Array]:
        arrays = task.data.arrays().items()
        return {key: array.astype(problem.dtype, copy=False) for key, array in arrays}

    compute = comparing.in_process(make, data_of)

    def limited(problem: Problem, seed: int, epochs: int) -> Mapping[str, Array]:
        with _threads(name, problem.threads):
            return compute(problem, seed, epochs)

    return limited


def _threads(name: str, threads: int) -> AbstractContextManager[Any]:
    """Give a side so many threads: NumPy those of its BLAS."""
    if SIDES[name] == "mojo_impl":
        import mojo_impl

        mojo_impl.set_threads(threads)
        return nullcontext()
    import threadpoolctl

    limits: AbstractContextManager[Any] = threadpoolctl.threadpool_limits(threads)
    return limits


def _grid(dtype: Any) -> Array:
    return np.linspace(*GRID, dtype=dtype)[:, np.newaxis]


def grid_of(sides: Iterable[Side]) -> Array:
    """Return where the curves of sides were drawn, (m, 1), in their dtype."""
    return _grid(next(iter(sides)).curve.dtype)
