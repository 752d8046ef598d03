"""Checks the gradients of both languages against finite differences and against autodiff.

Neither knows how backprop is written: one only evaluates `predict`, the other differentiates a
network of its own.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from hypothesis import given
from hypothesis import strategies as st

Arrays = list[np.ndarray]

SHAPES = (
    ([1, 1], 1), ([1, 1, 1], 2), ([3, 2, 1], 5), ([1, 50, 50, 1], 20), ([7, 17, 1], 19),
    ([2, 3, 5, 7, 3], 2), ([13, 9, 4], 33), ([31, 8, 33, 2], 1),
)  # fmt: skip


def batch(sizes: list[int], rows: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(seed)
    return random.randn(rows, sizes[0]), random.randn(rows, sizes[-1])


def network_with_biases(MLP: Any, sizes: list[int], seed: int = 1, **options: Any) -> Any:
    """Make a network whose biases are not zero, so that a mistake in them shows."""
    network = MLP(sizes, seed=seed, **options)
    random = np.random.RandomState(seed + 1)
    network.biases = [0.3 * random.randn(*b.shape).astype(b.dtype) for b in network.biases]
    return network


def gradients(network: Any, X: np.ndarray, y: np.ndarray) -> Arrays:
    network.forward(X)
    grads_w, grads_b = network.backprop(y)
    return [*grads_w, *grads_b]


def half_squares(y_hat: np.ndarray, y: np.ndarray) -> float:
    """The function whose gradients, summed over the batch, `backprop` returns."""
    return float(0.5 * np.sum((y_hat - y) ** 2))


def by_finite_differences(network: Any, X: np.ndarray, y: np.ndarray, h: float = 1e-6) -> Arrays:
    """Move each parameter by h both ways."""
    found = []
    for kind in ("weights", "biases"):
        kept = [np.array(array) for array in getattr(network, kind)]
        for layer, array in enumerate(kept):
            slopes = np.empty_like(array)
            for place in np.ndindex(array.shape):
                sides = []
                for step in (h, -h):
                    moved = [np.array(a) for a in kept]
                    moved[layer][place] += step
                    setattr(network, kind, moved)
                    sides.append(half_squares(network.predict(X), y))
                slopes[place] = (sides[0] - sides[1]) / (2 * h)
            found.append(slopes)
        setattr(network, kind, kept)
    return found


def by_autodiff(network: Any, X: np.ndarray, y: np.ndarray) -> Arrays:
    """Differentiate a network written here, in float64."""
    layers = len(network.weights)

    def objective(parameters: Any) -> Any:
        a = X.astype(np.float64)
        for layer in range(layers):
            a = anp.dot(a, parameters[layer]) + parameters[layers + layer]
            if layer < layers - 1:
                a = anp.where(a > 0, a, 0.0)
        return 0.5 * anp.sum((a - y) ** 2)

    parameters = [np.array(a, np.float64) for a in (*network.weights, *network.biases)]
    return list(grad(objective)(parameters))


def largest_error(found: Arrays, expected: Arrays) -> float:
    """Take the largest difference over the largest slope of all parameters."""
    scale = max(float(np.abs(array).max()) for array in expected)
    return max(
        float(np.abs(one - other).max()) / scale for one, other in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize(("sizes", "rows"), SHAPES)
def test_gradients_are_the_slopes(MLP: Any, sizes: list[int], rows: int) -> None:
    X, y = batch(sizes, rows)
    network = network_with_biases(MLP, sizes)
    # The difference quotient itself is good to h**2 and to rounding / h: about 1e-9 here.
    found = gradients(network, X, y)
    assert largest_error(found, by_finite_differences(network, X, y)) < 1e-7


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 2e-5)])
@pytest.mark.parametrize(("sizes", "rows"), [*SHAPES, ([1, *[50] * 9, 1], 20), ([64, 128, 10], 32)])
def test_gradients_are_those_of_autodiff(
    MLP: Any, sizes: list[int], rows: int, dtype: str, tolerance: float
) -> None:
    X, y = (array.astype(dtype) for array in batch(sizes, rows))
    network = network_with_biases(MLP, sizes, dtype=dtype)
    found = gradients(network, X, y)
    assert all(array.dtype == dtype for array in found)
    assert largest_error(found, by_autodiff(network, X, y)) < tolerance


@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    rows=st.integers(1, 40),
    seed=st.integers(0, 2**31),
)
def test_gradients_of_random_networks(MLP: Any, sizes: list[int], rows: int, seed: int) -> None:
    X, y = batch(sizes, rows, seed)
    network = network_with_biases(MLP, sizes, seed)
    assert largest_error(gradients(network, X, y), by_autodiff(network, X, y)) < 1e-11


def test_the_derivative_of_relu_at_zero_is_zero(MLP: Any) -> None:
    """A pre-activation of exactly 0, and of -0, lets no gradient through."""
    network = MLP([1, 2, 1], seed=0)
    network.weights = [np.array([[1.0, -1.0]]), np.array([[3.0], [5.0]])]
    network.forward(np.zeros((4, 1)))
    grads_w, grads_b = network.backprop(np.full((4, 1), 2.0))
    np.testing.assert_array_equal(grads_b[0], np.zeros((1, 2)))
    np.testing.assert_array_equal(grads_w[0], np.zeros((1, 2)))
    np.testing.assert_array_equal(grads_b[1], [[-8.0]])


def test_gradients_are_sums_over_the_batch(MLP: Any) -> None:
    """Each row alone, added up, gives the whole: nothing is divided by the number of rows."""
    X, y = batch([3, 6, 2], 7)
    network = network_with_biases(MLP, [3, 6, 2])
    whole = gradients(network, X, y)
    rows = [gradients(network, X[i : i + 1], y[i : i + 1]) for i in range(7)]
    added = [sum(parts) for parts in zip(*rows, strict=True)]
    assert largest_error(added, whole) < 1e-14


@pytest.mark.parametrize("batch_size", [1, 4, 20])
def test_a_step_follows_the_gradient(MLP: Any, batch_size: int) -> None:
    X, y = batch([3, 6, 2], 5)
    network = network_with_biases(MLP, [3, 6, 2], batch_size=batch_size, learning_rate=0.25)
    before = [*network.weights, *network.biases]
    network.forward(X)
    grads_w, grads_b = network.backprop(y)
    network.step(grads_w, grads_b)
    after = [*network.weights, *network.biases]
    for old, new, slope in zip(before, after, [*grads_w, *grads_b], strict=True):
        np.testing.assert_allclose(new, old - 0.25 * slope / batch_size, rtol=1e-15, atol=1e-16)
