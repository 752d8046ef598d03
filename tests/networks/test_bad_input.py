"""Bad input: both languages refuse alike, in the same words, and stay as they were.

Each case is run on both; the type is also held to what it should be, as two may agree on nonsense.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

Deed = Callable[[Any], object]
Twins = tuple[Any, Any]

SIZES, BATCH, ROWS = [3, 4, 2], 5, 11


def numbers(*shape: int, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    return np.random.RandomState(seed).randn(*shape).astype(dtype)


X, Y = numbers(BATCH, 3), numbers(BATCH, 2, seed=1)
X_ALL, Y_ALL = numbers(ROWS, 3, seed=2), numbers(ROWS, 2, seed=3)


def fresh(MLP: Any, dtype: str = "float64") -> Any:
    """Make a network in mid-life: trained a little, with a cache of `forward`."""
    network = MLP(SIZES, max_epochs=2, batch_size=BATCH, seed=0, dtype=dtype)
    network.fit(X_ALL.astype(dtype), Y_ALL.astype(dtype))
    network.forward(X.astype(dtype))
    return network


def fingerprint(network: Any, dtype: str = "float64") -> list[bytes]:
    """Take everything a call could have changed: parameters, cache, random stream, settings."""
    found = [*network.weights, *network.biases, *network.activations]
    grads_w, grads_b = network.backprop(Y.astype(dtype))
    history = network.fit(X_ALL.astype(dtype), Y_ALL.astype(dtype))  # draws from the stream
    found += [*grads_w, *grads_b, history.training_loss, *network.weights]
    settings = (network.layer_sizes, network.learning_rate, network.batch_size, network.seed)
    return [np.ascontiguousarray(array).tobytes() for array in found] + [repr(settings).encode()]


def refusal(deed: Deed, subject: Any) -> tuple[type[BaseException], str]:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # the caller looks at what it is
        deed(subject)
    return caught.type, str(caught.value)


def assert_refused(twins: Twins, deed: Deed, kind: type[BaseException], words: str) -> None:
    """Check that both networks refuse alike and are as if nothing had been asked."""
    refusals = []
    for MLP in twins:
        network = fresh(MLP)
        refusals.append(refusal(deed, network))
        assert fingerprint(network) == fingerprint(fresh(MLP))
    assert refusals[0] == refusals[1]
    assert refusals[0][0] is kind
    assert words in refusals[0][1]


CONSTRUCTIONS: list[tuple[dict[str, Any], type[BaseException], str]] = [
    *(
        ({"layer_sizes": value}, TypeError, "layer_sizes")
        for value in (
            None, 5, 2.5, "3,2", True, [3, 2.0], [3, True], [3, "2"], [3, None], [[3], [2]],
            [3, np.float64(2)], [3, 2j], [object(), 2], [np.array([3, 4]), 2],
        )
    ),
    *(
        ({"layer_sizes": value}, ValueError, "layer_sizes")
        for value in ([], (), [3], [0, 1], [3, 0, 1], [3, -1], [-(2**70), 3], np.empty(0, int))
    ),
    *(
        ({"learning_rate": value}, TypeError, "learning_rate")
        for value in (None, "0.1", True, 1j, [0.1], Decimal("0.1"), Fraction(1, 10), np.bool(1))
    ),
    *(
        ({"learning_rate": value}, ValueError, "learning_rate")
        for value in (-0.1, float("nan"), float("inf"), -float("inf"), np.float32("nan"))
    ),
    *(
        ({name: value}, TypeError, name)
        for name in ("max_epochs", "batch_size", "seed")
        for value in (1.0, "1", True, 1j, [1], np.float64(1), np.array([1, 2]), object())
    ),
    ({"max_epochs": None}, TypeError, "max_epochs"),
    ({"batch_size": None}, TypeError, "batch_size"),
    ({"max_epochs": -1}, ValueError, "max_epochs"),
    ({"batch_size": 0}, ValueError, "batch_size"),
    ({"batch_size": -(2**64)}, ValueError, "batch_size"),
    ({"seed": -1}, ValueError, "seed"),
    ({"seed": 2**32}, ValueError, "seed"),
    ({"seed": 2**100}, ValueError, "seed"),
    *(
        ({"dtype": value}, ValueError, "dtype must be 'float64' or 'float32'; got")
        for value in (
            None, "float16", "longdouble", "int64", int, ">f8", "nonsense", object(), 3, "O", "",
            ",", (2, 3), {},
            [("a", "f8")],
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "kind", "words"), CONSTRUCTIONS)
def test_construction_is_refused(
    twins: Twins, arguments: dict[str, Any], kind: type[BaseException], words: str
) -> None:
    refusals = [refusal(lambda MLP: MLP(**{"layer_sizes": SIZES} | arguments), n) for n in twins]
    assert refusals[0] == refusals[1]
    assert refusals[0][0] is kind
    assert words in refusals[0][1]


@pytest.mark.parametrize("sizes", [[1, 10**15, 1], [2**40, 2**40], [1, 2**62], [2**62, 1, 2**62]])
def test_sizes_beyond_memory_are_an_error_and_not_a_crash(MLP: Any, sizes: list[int]) -> None:
    with pytest.raises((MemoryError, ValueError)):
        MLP(sizes, seed=0)


def test_epochs_beyond_memory_are_an_error_and_not_a_crash(MLP: Any) -> None:
    network = MLP(SIZES, max_epochs=10**17, batch_size=BATCH, seed=0)
    with pytest.raises((MemoryError, ValueError)):
        network.fit(X_ALL, Y_ALL)


@pytest.mark.parametrize(
    "arguments",
    [
        {"layer_sizes": (3, 4, 2)},
        {"layer_sizes": iter([3, 4, 2])},
        {"layer_sizes": np.array([3, 4, 2])},
        {"layer_sizes": [np.int8(3), np.uint64(4), 2]},
        {"learning_rate": 0}, {"learning_rate": np.float32(0.25)}, {"learning_rate": np.int64(1)},
        {"max_epochs": 0}, {"max_epochs": np.int32(2)},
        {"batch_size": 10**30},
        {"seed": 2**32 - 1}, {"seed": np.uint32(7)}, {"seed": 0},
        {"dtype": "f4"}, {"dtype": np.float32}, {"dtype": np.dtype("float64")}, {"dtype": float},
    ],
)  # fmt: skip
def test_construction_is_accepted(twins: Twins, arguments: dict[str, Any]) -> None:
    sizes = arguments.pop("layer_sizes", SIZES)
    sizes = list(sizes)
    networks = [MLP(sizes, **{"seed": 3} | arguments) for MLP in twins]
    for attribute in ("layer_sizes", "learning_rate", "max_epochs", "batch_size", "seed", "dtype"):
        one, other = (getattr(network, attribute) for network in networks)
        assert one == other
        assert type(one) is type(other)
    for one, other in zip(networks[0].weights, networks[1].weights, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


class ArrayLike:
    """Not an array, but could be made into one."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return X


def not_arrays() -> list[Any]:
    return [
        None, 5, 2.5, "X", X.tolist(), tuple(X), array("d", [1, 2, 3]), memoryview(X), b"12345678",
        ArrayLike(), np.float64(1), {}, iter([X]),
    ]  # fmt: skip


def wrong_dtypes(good: np.ndarray) -> list[np.ndarray]:
    kinds = ("float32", "float16", "longdouble", "int64", "bool", "complex128", "object", ">f8",
             "U8", "S8", "datetime64[s]")  # fmt: skip
    arrays = [good.astype(np.int64).astype(kind) if kind[0] == "d" else good.astype(kind)
              for kind in kinds]  # fmt: skip
    return [*arrays, np.zeros(good.shape, [("a", "f8")]), np.zeros(good.shape, "V8")]


def wrong_shapes(good: np.ndarray) -> list[np.ndarray]:
    rows, width = good.shape
    shapes = [(), (1,), (width,), (rows * width,), (rows, width + 1), (rows, width - 1), (rows, 0),
              (1, rows, width), (rows, width, 1), (1,) * 32, (width, rows), (0, 0)]  # fmt: skip
    return [np.ones(shape) for shape in shapes]


def grads(network: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [np.ones_like(w) for w in network.weights], [np.ones_like(b) for b in network.biases]


def replaced(arrays: Any, place: int, value: Any) -> list[Any]:
    return [value if index == place else item for index, item in enumerate(arrays)]


# Every place that takes an array, with a good one: how to pass another there, and its name.
def set_weights(value: Any) -> Deed:
    return lambda n: setattr(n, "weights", replaced(n.weights, 1, value))


def set_biases(value: Any) -> Deed:
    return lambda n: setattr(n, "biases", replaced(n.biases, 0, value))


PLACES: dict[str, tuple[Callable[[Any], Deed], np.ndarray, str]] = {
    "forward": (lambda v: lambda n: n.forward(v), X, "X"),
    "predict": (lambda v: lambda n: n.predict(v), X, "X"),
    "backprop": (lambda v: lambda n: n.backprop(v), Y, "y"),
    "loss y": (lambda v: lambda n: n.loss(v, Y), Y, "y"),
    "loss y_hat": (lambda v: lambda n: n.loss(Y, v), Y, "y_hat"),
    "step weights": (
        lambda v: lambda n: n.step(replaced(grads(n)[0], 0, v), grads(n)[1]),
        numbers(3, 4), "grads_w[0]",
    ),
    "step biases": (
        lambda v: lambda n: n.step(grads(n)[0], replaced(grads(n)[1], 1, v)),
        numbers(1, 2), "grads_b[1]",
    ),
    "weights": (set_weights, numbers(4, 2), "weights[1]"),
    "biases": (set_biases, numbers(1, 4), "biases[0]"),
    "fit X": (lambda v: lambda n: n.fit(v, Y_ALL), X_ALL, "X"),
    "fit y": (lambda v: lambda n: n.fit(X_ALL, v), Y_ALL, "y"),
    "fit X_val": (lambda v: lambda n: n.fit(X_ALL, Y_ALL, v, Y_ALL), X_ALL, "X_val"),
    "fit y_val": (lambda v: lambda n: n.fit(X_ALL, Y_ALL, X_ALL, v), Y_ALL, "y_val"),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", range(len(not_arrays())))
def test_what_is_no_array_is_refused(twins: Twins, place: str, number: int) -> None:
    deed, _, name = PLACES[place]
    assert_refused(twins, lambda n: deed(not_arrays()[number])(n), TypeError, name)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", range(len(wrong_dtypes(X))))
def test_another_dtype_is_refused(twins: Twins, place: str, number: int) -> None:
    deed, good, name = PLACES[place]
    value = wrong_dtypes(good)[number]
    assert_refused(twins, deed(value), TypeError, f"{name} must be float64, the network's dtype")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", range(len(wrong_shapes(X))))
def test_another_shape_is_refused(twins: Twins, place: str, number: int) -> None:
    deed, good, name = PLACES[place]
    value = wrong_shapes(good)[number]
    if value.shape == good.shape:
        return
    assert_refused(twins, deed(value), ValueError, f"{name} must have shape")


@pytest.mark.parametrize("place", ["forward", "predict", "loss y", "fit X", "fit X_val"])
def test_no_rows_are_refused(twins: Twins, place: str) -> None:
    deed, good, name = PLACES[place]
    value = np.empty((0, good.shape[1]))
    assert_refused(twins, deed(value), ValueError, f"{name} is empty: shape (0, ")
