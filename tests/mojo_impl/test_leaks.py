"""NaN, infinities and subnormals go where NumPy sends them and nowhere else, at every odd width.

An implementation may pad rows, block them or keep memory for the next batch; none of that may
show. All numbers are small integers (times the smallest subnormal, where subnormals are tested), so
that no order of additions rounds, and everything here is compared bit for bit. Only the loss is
not: squares in float32 round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from bench.workers.parity import Array

Twins = tuple[Any, Any]
WIDTHS = (1, 2, 3, 7, 17, 50, 63, 65)
# Each width is once the input, once the output and once each of two hidden layers.
NETWORKS = [tuple(WIDTHS[(i + step) % 8] for step in (0, 3, 6, 1)) for i in range(8)]
BATCHES = (1, 2, 5, 19, 20, 33)
SPECIAL = (np.nan, np.inf, -np.inf)

pytestmark = [
    pytest.mark.parametrize("dtype", ["float64", "float32"]),
    pytest.mark.parametrize("rows", BATCHES),
    pytest.mark.parametrize("sizes", NETWORKS, ids=lambda sizes: "-".join(map(str, sizes))),
    pytest.mark.filterwarnings("ignore:(invalid value|overflow|divide by zero):RuntimeWarning"),
]


@dataclass(frozen=True, slots=True)
class Numbers:
    """All that goes into a network: data, and one array per layer."""

    X: Array
    y: Array
    weights: list[Array]
    biases: list[Array]

    def copy(self) -> Numbers:
        return replace(
            self,
            X=self.X.copy(),
            y=self.y.copy(),
            weights=[w.copy() for w in self.weights],
            biases=[b.copy() for b in self.biases],
        )

    def arrays(self) -> dict[str, Array]:
        named = {"X": self.X, "y": self.y}
        named |= {f"weights[{layer}]": w for layer, w in enumerate(self.weights)}
        return named | {f"biases[{layer}]": b for layer, b in enumerate(self.biases)}


def small_integers(sizes: tuple[int, ...], rows: int, dtype: str) -> Numbers:
    random = np.random.RandomState(8)

    def draw(most: int, *shape: int) -> Array:
        return random.randint(-most, most + 1, shape).astype(dtype)

    pairs = list(pairwise(sizes))
    return Numbers(
        X=draw(2, rows, sizes[0]),
        y=draw(2, rows, sizes[-1]),
        weights=[draw(1, *pair) for pair in pairs],
        biases=[draw(2, 1, width) for _, width in pairs],
    )


def with_one(numbers: Numbers, value: float) -> Iterator[tuple[str, Numbers]]:
    """Put the value into one place of each array in turn: the last, which is next to padding."""
    for name in numbers.arrays():
        changed = numbers.copy()
        changed.arrays()[name][-1, -1] = value
        yield f"{value} in {name}", changed


def made(MLP: Any, sizes: tuple[int, ...], numbers: Numbers, **options: Any) -> Any:
    network = MLP(sizes, seed=0, dtype=numbers.X.dtype.name, **options)
    network.weights, network.biases = numbers.weights, numbers.biases
    return network


def through(network: Any, X: Array, y: Array) -> dict[str, Array]:
    """Send a batch forward and back."""
    found = {"predicted": network.predict(X), "y_hat": network.forward(X)}
    found |= {f"activations[{place}]": a for place, a in enumerate(network.activations)}
    for name, arrays in zip(("grads_w", "grads_b"), network.backprop(y), strict=True):
        found |= {f"{name}[{layer}]": array for layer, array in enumerate(arrays)}
    return found


def trained(network: Any, data: tuple[Array, Array], held_out: tuple[Array, Array]) -> Any:
    """Train and return the losses and the parameters."""
    history = network.fit(*data, *held_out, allow_nonfinite=True)
    parameters = {f"weights[{layer}]": w for layer, w in enumerate(network.weights)}
    parameters |= {f"biases[{layer}]": b for layer, b in enumerate(network.biases)}
    return [history.training_loss, history.validation_loss], parameters


def assert_same(one: dict[str, Array], other: dict[str, Array], what: str) -> None:
    assert one.keys() == other.keys()
    for name, expected in one.items():
        assert np.array_equal(other[name], expected, equal_nan=True), f"{what}: {name}"


def assert_exact(tensors: dict[str, Array], unit: float = 1.0) -> None:
    """Hold this file to its word: all finite numbers are whole ones that cannot have rounded."""
    for tensor in tensors.values():
        whole = tensor[np.isfinite(tensor)].astype("f8") / unit
        assert np.array_equal(whole, np.round(whole))
        assert np.abs(whole).max(initial=0) < 2**24


def test_one_special_value_in_a_batch(
    twins: Twins, sizes: tuple[int, ...], rows: int, dtype: str
) -> None:
    numbers = small_integers(sizes, rows, dtype)
    for value in SPECIAL:
        for what, changed in with_one(numbers, value):
            numpy, mojo = (
                through(made(MLP, sizes, changed), changed.X, changed.y) for MLP in twins
            )
            assert_exact(numpy)
            assert_same(numpy, mojo, what)


def test_other_rows_and_columns_do_not_notice(
    MLP: Any, sizes: tuple[int, ...], rows: int, dtype: str
) -> None:
    numbers = small_integers(sizes, rows, dtype)
    clean = through(made(MLP, sizes, numbers), numbers.X, numbers.y)
    outputs = ("predicted", "y_hat")
    # A column of the last weights or biases is a column of the output; one of the targets, a
    # column of the last gradients; a row of the inputs, a row of the output.
    for name, tensors, kept in (
        ("X", outputs, np.s_[:-1]),
        ("y", ("grads_w[2]", "grads_b[2]"), np.s_[:, :-1]),
        ("weights[2]", outputs, np.s_[:, :-1]),
        ("biases[2]", outputs, np.s_[:, :-1]),
    ):
        changed = numbers.copy()
        changed.arrays()[name][-1, -1] = np.nan
        found = through(made(MLP, sizes, changed), changed.X, changed.y)
        for tensor in tensors:
            assert np.array_equal(found[tensor][kept], clean[tensor][kept]), (name, tensor)


def test_nothing_is_left_over_for_the_next_batch(
    MLP: Any, sizes: tuple[int, ...], rows: int, dtype: str
) -> None:
    """Memory that a larger batch of NaN went through is used again by this one."""
    numbers = small_integers(sizes, rows, dtype)
    expected = through(made(MLP, sizes, numbers), numbers.X, numbers.y)
    poison = small_integers(sizes, 40, dtype)
    for array in poison.arrays().values():
        array.fill(np.nan)
    network = made(MLP, sizes, poison, batch_size=40, max_epochs=1)
    through(network, poison.X, poison.y)
    network.fit(poison.X, poison.y, poison.X, poison.y, allow_nonfinite=True)
    network.weights, network.biases = numbers.weights, numbers.biases
    assert_same(expected, through(network, numbers.X, numbers.y), "after NaN")


# One batch and a step that moves the parameters; or three and a step of 0, which moves those alone
# that meet NaN or infinity: then no number rounds in either.
@pytest.mark.parametrize(("batches", "step"), [(1, 2.0**-6), (3, 0.0)])
def test_one_special_value_in_an_epoch(
    twins: Twins, sizes: tuple[int, ...], rows: int, dtype: str, batches: int, step: float
) -> None:
    numbers = small_integers(sizes, batches * rows, dtype)
    options = {"batch_size": rows, "max_epochs": 1, "learning_rate": step * rows}
    clean = small_integers(sizes, rows + 1, dtype)
    for value in SPECIAL:
        cases = list(with_one(numbers, value))
        cases.append((f"{value} in the validation data", numbers))
        for what, changed in cases:
            held_out = (clean.X.copy(), clean.y)
            if changed is numbers:
                held_out[0][-1, -1] = value
            (losses, numpy), (others, mojo) = (
                trained(made(MLP, sizes, changed, **options), (changed.X, changed.y), held_out)
                for MLP in twins
            )
            assert_exact(numpy, 2.0**-6)
            assert_same(numpy, mojo, what)
            for one, other in zip(losses, others, strict=True):
                np.testing.assert_allclose(other, one, rtol=1e-5, err_msg=what)


def subnormal(numbers: Numbers, name: str, first: int) -> Numbers:
    """Let an array make all subnormal from the output of layer `first` on, and the deltas too.

    They are multiples of the smallest subnormal then, and a product of two of them is 0.
    """
    tiny = np.finfo(numbers.X.dtype).smallest_subnormal
    changed = numbers.copy()
    if name == "biases":
        changed.X.fill(0)
    elif name == "y":
        changed.weights[-1].fill(0)
    else:
        changed.arrays()[name][:] *= tiny
    for array in [changed.y, *changed.biases[first:]]:
        array *= tiny
    return changed


@pytest.mark.parametrize(
    ("name", "first"),
    [("X", 0), ("biases", 0), ("weights[0]", 0), ("weights[1]", 1), ("weights[2]", 2), ("y", 2)],
)
def test_subnormals(
    twins: Twins, sizes: tuple[int, ...], rows: int, dtype: str, name: str, first: int
) -> None:
    tiny = float(np.finfo(dtype).smallest_subnormal)
    numbers = subnormal(small_integers(sizes, rows, dtype), name, first)
    numpy, mojo = (through(made(MLP, sizes, numbers), numbers.X, numbers.y) for MLP in twins)
    last = numpy["grads_b[2]"]
    for tensor in (numpy["y_hat"], last):
        assert_exact({"tensor": tensor}, tiny)
    assert last.any() or numpy["y_hat"].any()
    assert_same(numpy, mojo, name)
    options = {"batch_size": rows, "max_epochs": 1, "learning_rate": float(rows)}
    (losses, numpy), (others, mojo) = (
        trained(made(MLP, sizes, numbers, **options), (numbers.X, numbers.y), (None, None))
        for MLP in twins
    )
    assert_same(numpy, mojo, f"{name} in an epoch")
    np.testing.assert_array_equal(numpy["biases[2]"], numbers.biases[2] - last)
    for one, other in zip(losses, others, strict=True):
        np.testing.assert_allclose(other, one, atol=tiny)
