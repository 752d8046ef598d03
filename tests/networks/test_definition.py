"""Holds both languages to the definition of the network, by a program written from that text alone.

The program below shares nothing with either implementation: it goes by the definition's sentences
(quoted in its comments) and NumPy's legacy stream. Same seed, same losses.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from shapes import SEED_NETWORK

from bench.workers.datasets import DataSet, data_for, regression, sinc

Losses = tuple[np.ndarray, np.ndarray]


def train(
    sizes: tuple[int, ...], data: DataSet, *, seed: int, epochs: int, batch_size: int,
    learning_rate: float = 0.01, validation_rows: int | None = None,
) -> Losses:  # fmt: skip
    """Train by the definition, in float64; return the training and the validation loss."""
    # "RandomState(seed): weights by randn layer by layer, then one shuffle(arange(n)) per epoch"
    stream = np.random.RandomState(seed)
    W: dict[int, np.ndarray] = {}
    b: dict[int, np.ndarray] = {}
    last = len(sizes) - 1
    for k in range(1, last + 1):
        # "standard normal times sqrt(4 / (fan_in + fan_out)), biases zero"
        normal = stream.randn(sizes[k - 1], sizes[k])
        W[k] = normal * math.sqrt(4 / (sizes[k - 1] + sizes[k]))
        b[k] = np.zeros(sizes[k])

    def outputs(x: np.ndarray) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
        # "z = a @ W + b; ReLU on hidden layers; linear output"
        a, z = {0: x}, {}
        for k in range(1, last + 1):
            z[k] = np.einsum("ni,io->no", a[k - 1], W[k]) + b[k]
            a[k] = np.where(z[k] > 0, z[k], 0.0) if k < last else z[k]
        return a, z

    def mean_square(difference: np.ndarray) -> float:
        # "loss is the mean of squared errors over all elements"
        return math.fsum(v * v for v in difference.ravel()) / difference.size

    X_val, y_val = data.X_val[:validation_rows], data.y_val[:validation_rows]
    training, validation = [], []
    for _ in range(epochs):
        order = np.arange(len(data.X))
        stream.shuffle(order)
        # "n // batch_size full batches in that order (the last partial batch is dropped)"
        for batch in range(len(data.X) // batch_size):
            start, end = batch * batch_size, batch * batch_size + batch_size
            x, y = data.X[order[start:end]], data.y[order[start:end]]
            a, z = outputs(x)
            # "loss (recorded, before the step)"
            training.append(mean_square(a[last] - y))
            # "output delta is y_hat - y; gradients are sums over the batch"
            slopes = {}
            delta = a[last] - y
            for k in range(last, 0, -1):
                slopes[k] = np.einsum("ni,no->io", a[k - 1], delta), delta.sum(axis=0)
                if k > 1:
                    # "derivative of ReLU at 0 is 0"
                    delta = np.einsum("no,io->ni", delta, W[k]) * np.where(z[k - 1] > 0, 1.0, 0.0)
            # "parameter minus learning_rate * grad / batch_size"
            for k, (slope_W, slope_b) in slopes.items():
                W[k] = W[k] - learning_rate * slope_W / batch_size
                b[k] = b[k] - learning_rate * slope_b / batch_size
            # "the loss on rows start:end of the validation set (shorter: on what is there;
            # none there: NaN recorded)"
            part = slice(start, end)
            left = len(X_val[part])
            after = outputs(X_val[part])[0][last] - y_val[part] if left else None
            validation.append(math.nan if after is None else mean_square(after))
    return np.array(training), np.array(validation)


def losses_of(MLP: Any, sizes: tuple[int, ...], data: DataSet, **options: Any) -> Losses:
    rows = options.pop("validation_rows", None)
    options["max_epochs"] = options.pop("epochs")
    history = MLP(sizes, **options).fit(data.X, data.y, data.X_val[:rows], data.y_val[:rows])
    return history.training_loss, history.validation_loss


def assert_same(found: Losses, expected: Losses) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=0, equal_nan=True)


@pytest.mark.parametrize("seed", [0, 7])
def test_the_seed_network(MLP: Any, seed: int) -> None:
    sizes, data = SEED_NETWORK.layer_sizes, data_for(SEED_NETWORK)
    expected = train(sizes, data, seed=seed, epochs=30, batch_size=20)
    assert expected[0].shape == expected[1].shape == (30 * 25,)
    assert_same(losses_of(MLP, sizes, data, seed=seed, epochs=30, batch_size=20), expected)


@pytest.mark.parametrize(
    ("sizes", "rows", "batch_size"),
    [
        ((1, 1), 9, 1), ((1, 1), 50, 20), ((3, 2, 1), 23, 5), ((7, 17, 1), 60, 19),
        ((2, 3, 5, 7, 3), 9, 2), ((63, 65, 127, 2), 70, 33), ((64, 128, 128, 10), 100, 32),
        ((5, 301, 3), 41, 20),
    ],
)  # fmt: skip
def test_other_shapes(MLP: Any, sizes: tuple[int, ...], rows: int, batch_size: int) -> None:
    data = sinc(rows) if sizes == (1, 1) else regression(sizes[0], sizes[-1], rows)
    options = {"seed": 11, "epochs": 4, "batch_size": batch_size, "learning_rate": 0.003}
    assert_same(losses_of(MLP, sizes, data, **options), train(sizes, data, **options))


@pytest.mark.parametrize("validation_rows", [1, 20, 30, 500])
def test_a_validation_set_shorter_or_longer_than_the_training_set(
    MLP: Any, validation_rows: int
) -> None:
    data = sinc(500)
    short = DataSet("short", data.X[:90], data.y[:90], *list(data.arrays().values())[2:])
    options = {"seed": 0, "epochs": 3, "batch_size": 20, "validation_rows": validation_rows}
    expected = train((1, 6, 1), short, **options)
    assert np.isnan(expected[1]).any() == (validation_rows < 61)
    assert_same(losses_of(MLP, (1, 6, 1), short, **options), expected)


def test_the_stated_defaults(MLP: Any) -> None:
    network = MLP([1, 2, 1])
    assert network.learning_rate == 0.01
    assert network.max_epochs == 1000
    assert network.batch_size == 20
    assert network.dtype == np.float64
    assert 0 <= network.seed < 2**32


def test_one_stream_gives_weights_and_order(MLP: Any) -> None:
    """Weights are the first draws; `seed=None` draws a seed that can be used again."""
    stream = np.random.RandomState(123)
    for weights, (width_in, width_out) in zip(
        MLP([3, 4, 2], seed=123).weights, [(3, 4), (4, 2)], strict=True
    ):
        expected = stream.randn(width_in, width_out) * np.sqrt(4 / (width_in + width_out))
        np.testing.assert_array_equal(weights, expected)
    drawn = MLP([3, 4, 2], seed=None)
    np.testing.assert_array_equal(MLP([3, 4, 2], seed=drawn.seed).weights[0], drawn.weights[0])
    assert MLP([3, 4, 2]).seed != drawn.seed
