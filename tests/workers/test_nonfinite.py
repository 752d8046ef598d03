"""NaN, infinities, signed zeros and subnormals go through both languages as IEEE 754 has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.workers.parity import Array

Twins = tuple[Any, Any]
DTYPES = ("float64", "float32")
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0)

pytestmark = pytest.mark.filterwarnings(
    "ignore:(invalid value|overflow|divide by zero) encountered:RuntimeWarning"
)


def through(MLP: Any, sizes: list[int], x: Array, y: Array, **parameters: Any) -> dict[str, Array]:
    """Send one batch through every call and return all results by name."""
    network = MLP(sizes, batch_size=len(x), seed=1, dtype=x.dtype.name)
    for name, value in parameters.items():
        setattr(network, name, value)
    found = {"y_hat": network.forward(x), "predicted": network.predict(x)}
    found |= {f"activations[{place}]": a for place, a in enumerate(network.activations)}
    found["loss"] = np.array(network.loss(y, found["y_hat"]))
    grads_w, grads_b = network.backprop(y)
    network.step(grads_w, grads_b)
    for name, arrays in (
        ("grads_w", grads_w), ("grads_b", grads_b),
        ("stepped weights", network.weights), ("stepped biases", network.biases),
    ):  # fmt: skip
        found |= {f"{name}[{place}]": array for place, array in enumerate(arrays)}
    return found


def assert_same_class(one: dict[str, Array], other: dict[str, Array]) -> None:
    """NaN, +inf and -inf in the same places; the rest the same to rounding."""
    assert one.keys() == other.keys()
    for name, expected in one.items():
        found = other[name]
        for place in (np.isnan, np.isposinf, np.isneginf):
            np.testing.assert_array_equal(place(found), place(expected), err_msg=name)
        finite = np.isfinite(expected)
        size = np.abs(expected[finite]).max(initial=0) if finite.any() else 0
        tolerance = {"float64": 1e-12, "float32": 1e-5}[str(expected.dtype)]
        if name == "loss":
            tolerance = 1e-5
        np.testing.assert_allclose(
            found[finite], expected[finite], rtol=tolerance, atol=tolerance * size, err_msg=name
        )


def batch(sizes: list[int], rows: int, dtype: str) -> tuple[Array, Array]:
    random = np.random.RandomState(4)
    return random.randn(rows, sizes[0]).astype(dtype), random.randn(rows, sizes[-1]).astype(dtype)


SHAPES = [([1, 1], 1), ([3, 2, 1], 5), ([7, 17, 1], 19), ([1, 50, 50, 1], 20), ([16, 33, 9], 32)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", SPECIAL)
@pytest.mark.parametrize(("sizes", "rows"), SHAPES)
def test_one_special_value_in_the_inputs(
    twins: Twins, sizes: list[int], rows: int, value: float, dtype: str
) -> None:
    x, y = batch(sizes, rows, dtype)
    for row, column in {(0, 0), (rows // 2, sizes[0] // 2), (rows - 1, sizes[0] - 1)}:
        changed = x.copy()
        changed[row, column] = value
        numpy, mojo = (through(MLP, sizes, changed, y) for MLP in twins)
        assert_same_class(numpy, mojo)
        if np.isnan(value):  # it must reach the output, through the ReLU
            for found in (numpy, mojo):
                assert np.isnan(found["y_hat"][row]).all()
                assert np.isfinite(np.delete(found["y_hat"], row, axis=0)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", SPECIAL)
@pytest.mark.parametrize(("sizes", "rows"), SHAPES)
def test_one_special_value_in_the_targets(
    twins: Twins, sizes: list[int], rows: int, value: float, dtype: str
) -> None:
    x, y = batch(sizes, rows, dtype)
    y[rows // 2, -1] = value
    assert_same_class(*(through(MLP, sizes, x, y) for MLP in twins))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", SPECIAL)
@pytest.mark.parametrize("layer", [0, 1])
def test_one_special_value_in_the_parameters(
    twins: Twins, layer: int, value: float, dtype: str
) -> None:
    sizes = [7, 17, 3]
    x, y = batch(sizes, 19, dtype)
    random = np.random.RandomState(9)
    for kind in ("weights", "biases"):
        arrays = [
            random.randn(a if kind == "weights" else 1, b).astype(dtype)
            for a, b in ((7, 17), (17, 3))
        ]
        arrays[layer][0, arrays[layer].shape[1] // 2] = value
        assert_same_class(*(through(MLP, sizes, x, y, **{kind: arrays}) for MLP in twins))


special_floats = st.one_of(
    st.sampled_from([*SPECIAL, 1.0, -1.0, 1e-310, -5e-324, 1e308, -1e308, 1e-40, 3e38, -3e38]),
    st.floats(-1e3, 1e3),
)


@given(
    cells=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4), special_floats), max_size=6),
    dtype=st.sampled_from(DTYPES),
    hidden=st.integers(1, 20),
)
def test_any_mixture_in_one_layer_of_a_network(
    twins: Twins, cells: list[tuple[int, int, float]], dtype: str, hidden: int
) -> None:
    """The places of NaN and infinity do not depend on the order of additions.

    True of one product: a row with NaN, or with both infinities, is NaN in any order. Sums that
    overflow half-way are another matter, so weights are 1 and the sizes keep clear of it.
    """
    x, y = batch([5, hidden, 2], 10, dtype)
    for row, column, value in cells:
        with np.errstate(all="ignore"):
            # Finite giants would overflow or not by the order; here they are what IEEE rounds to.
            kept = (
                value if not np.isfinite(value) or abs(value) < 1e30 else np.copysign(1e30, value)
            )
            x[row, column] = np.array(kept).astype(dtype)
    ones = [np.ones((5, hidden), dtype), np.ones((hidden, 2), dtype)]
    numpy, mojo = (through(MLP, [5, hidden, 2], x, y, weights=ones) for MLP in twins)
    for name in ("y_hat", "predicted", "activations[1]"):
        assert_same_class({name: numpy[name]}, {name: mojo[name]})


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_of_negative_zero_and_nan(MLP: Any, dtype: str) -> None:
    network = MLP([1, 1, 1], seed=0, dtype=dtype)
    network.weights = [np.ones((1, 1), dtype), np.ones((1, 1), dtype)]
    x = np.array([[-0.0], [0.0], [-1.0], [np.nan], [-np.inf], [np.inf]], dtype)
    network.forward(x)
    np.testing.assert_array_equal(
        network.activations[1][:, 0], np.array([0, 0, 0, np.nan, 0, np.inf], dtype)
    )
    network.forward(x[:3])
    grads_w, _ = network.backprop(np.zeros((3, 1), dtype))
    np.testing.assert_array_equal(grads_w[0], [[0.0]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("sizes", "rows"), [([1, 1], 1), ([4, 8], 16), ([16, 64], 33)])
def test_subnormals_are_kept(MLP: Any, sizes: list[int], rows: int, dtype: str) -> None:
    """Subnormal in, the same subnormal out: nothing is flushed to zero on the way."""
    tiny = np.finfo(dtype).smallest_subnormal
    network = MLP(sizes, seed=0, dtype=dtype, learning_rate=1, batch_size=1)
    identity = np.eye(*sizes, dtype=dtype)
    network.weights = [identity]
    x = (np.arange(1, rows * sizes[0] + 1).reshape(rows, -1) * tiny).astype(dtype)
    for y_hat in (network.forward(x), network.predict(x)):
        np.testing.assert_array_equal(y_hat, x @ identity)
        assert np.count_nonzero(y_hat) == x.size
    _, grads_b = network.backprop(np.zeros((rows, sizes[1]), dtype))
    np.testing.assert_array_equal(grads_b[0], (x @ identity).sum(axis=0, keepdims=True))
    network.weights = [np.zeros(sizes, dtype)]
    network.step([np.full(sizes, tiny)], [np.full((1, sizes[1]), tiny)])
    np.testing.assert_array_equal(network.weights[0], np.full(sizes, -tiny))
    np.testing.assert_array_equal(network.biases[0], np.full((1, sizes[1]), -tiny))


def test_the_mode_of_the_processor_is_left_alone(MLP: Any) -> None:
    """Neither importing nor calling may set flush-to-zero for the whole process."""
    x, y = batch([3, 4, 1], 5, "float64")
    MLP([3, 4, 1], max_epochs=2, batch_size=5, seed=0).fit(x, y)
    tiny = np.array([5e-324, 1e-310])
    np.testing.assert_array_equal(tiny * 1.0 > 0, [True, True])
    assert float(tiny[0]) / 1.0 > 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_training_on_non_finite_data_when_allowed(twins: Twins, value: float, dtype: str) -> None:
    x, y = batch([3, 4, 1], 23, dtype)
    x[4, 1] = value
    losses = [
        MLP([3, 4, 1], max_epochs=2, batch_size=5, seed=0, dtype=dtype)
        .fit(x, y, x[:7], y[:7], allow_nonfinite=True)
        for MLP in twins
    ]  # fmt: skip
    for kind in ("training_loss", "validation_loss"):
        one, other = (getattr(history, kind) for history in losses)
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
        assert np.isnan(one).any()
        np.testing.assert_allclose(other, one, rtol=1e-10 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_that_runs_away_does_so_alike(twins: Twins, dtype: str) -> None:
    """Overflow to infinity and then NaN, with no exception, at about the same batch."""
    x, y = batch([3, 8, 1], 40, dtype)
    first_nan = []
    for MLP in twins:
        network = MLP([3, 8, 1], 50.0, max_epochs=200, batch_size=20, seed=0, dtype=dtype)
        loss = network.fit(x, y).training_loss
        assert np.isnan(loss[-1])
        first_nan.append(int(np.isnan(loss).argmax()))
    assert abs(first_nan[0] - first_nan[1]) <= 1
