"""More of `test_bad_input`: the order of calls, lists of gradients, the data of `fit`, attributes.

And the other side of it: every layout of memory that is accepted, and what `help` tells.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_bad_input import (
    BATCH,
    SIZES,
    X_ALL,
    Y_ALL,
    Deed,
    Twins,
    X,
    Y,
    assert_refused,
    fingerprint,
    fresh,
    grads,
    numbers,
    refusal,
)


def test_backprop_before_forward(twins: Twins) -> None:
    refusals = [refusal(lambda n: n.backprop(Y), MLP(SIZES, seed=0)) for MLP in twins]
    assert refusals[0] == refusals[1]
    assert refusals[0][0] is RuntimeError
    assert "forward" in refusals[0][1]


def test_backprop_after_fit_or_a_change_of_batch(twins: Twins) -> None:
    refusals = []
    for MLP in twins:
        network = fresh(MLP)
        network.fit(X_ALL, Y_ALL)
        assert network.activations == ()
        refusals.append(refusal(lambda n: n.backprop(Y), network))
        network.forward(X[:2])
        refusals.append(refusal(lambda n: n.backprop(Y), network))
    assert refusals[:2] == refusals[2:]
    assert refusals[0][0] is RuntimeError
    assert refusals[1] == (ValueError, "y must have shape (2, 2); got (5, 2)")


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda a: a[:1], ValueError, "must hold 2 arrays, one per layer; got 1"),
        (lambda a: [], ValueError, "must hold 2 arrays, one per layer; got 0"),
        (lambda a: [*a, a[0]], ValueError, "must hold 2 arrays, one per layer; got 3"),
        (lambda a: None, TypeError, "must be a list or tuple of arrays; got NoneType"),
        (lambda a: iter(a), TypeError, "must be a list or tuple of arrays; got list_iterator"),
        (lambda a: dict(enumerate(a)), TypeError, "must be a list or tuple of arrays; got dict"),
        (lambda a: "ab", TypeError, "must be a list or tuple of arrays; got str"),
        (lambda a: a[0], TypeError, "must be a list or tuple of arrays; got ndarray"),
        (lambda a: a[::-1], ValueError, "must have shape"),
        (lambda a: [a[0].T.copy(), a[1]], ValueError, "must have shape"),
    ],
)
def test_lists_of_gradients_and_parameters(
    twins: Twins, which: int, change: Callable[[Any], Any], kind: type[BaseException], words: str
) -> None:
    def step(network: Any) -> None:
        both = list(grads(network))
        both[which] = change(both[which])
        network.step(*both)

    def assign(network: Any) -> None:
        attribute = ("weights", "biases")[which]
        setattr(network, attribute, change(list(getattr(network, attribute))))

    assert_refused(twins, step, kind, words)
    assert_refused(twins, assign, kind, words)


def test_a_wrong_last_array_leaves_the_first_ones_alone(twins: Twins) -> None:
    """All is checked before anything is changed."""
    deeds: list[Deed] = [
        lambda n: setattr(n, "weights", [np.ones((3, 4)), np.ones((4, 3))]),
        lambda n: setattr(n, "biases", [np.ones((1, 4)), np.ones((1, 2), np.float32)]),
        lambda n: n.step(grads(n)[0], [np.ones((1, 4)), np.ones((2, 2))]),
    ]
    for deed, kind in zip(deeds, (ValueError, TypeError, ValueError), strict=True):
        assert_refused(twins, deed, kind, "")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["X", "y", "X_val", "y_val"])
def test_fit_names_what_is_not_finite(twins: Twins, name: str, value: float) -> None:
    data = {"X": X_ALL.copy(), "y": Y_ALL.copy(), "X_val": X_ALL.copy(), "y_val": Y_ALL.copy()}
    data[name][7, 1] = value
    data[name][8, 0] = np.nan
    words = f"{name} holds {value} at row 7, column 1; "
    assert_refused(twins, lambda n: n.fit(**data), ValueError, words)
    for MLP in twins:
        with np.errstate(all="ignore"):
            MLP(SIZES, max_epochs=1, batch_size=BATCH, seed=0).fit(**data, allow_nonfinite=True)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ((X_ALL, Y_ALL[:-1]), ValueError, "y must have shape (11, 2); got (10, 2)"),
        ((X_ALL, Y_ALL, X), TypeError, "X_val was given without y_val"),
        ((X_ALL, Y_ALL, None, Y), TypeError, "y_val was given without X_val"),
        ((None, Y_ALL), TypeError, "y was given without X"),
        ((X_ALL, None), TypeError, "X was given without y"),
        ((X_ALL, Y_ALL, X, Y[:-1]), ValueError, "y_val must have shape (5, 2); got (4, 2)"),
        ((X_ALL[:4], Y_ALL[:4]), ValueError, "batch_size is 5 but X has only 4 rows"),
        ((X_ALL, Y_ALL, None, None, 5), TypeError, "progress"),
        ((X_ALL, Y_ALL, None, None, "print"), TypeError, "progress"),
    ],
)
def test_fit_refuses(
    twins: Twins, arguments: tuple[Any, ...], kind: type[BaseException], words: str
) -> None:
    assert_refused(twins, lambda n: n.fit(*arguments), kind, words)


WRONG_CALLS: list[Deed] = [
    lambda n: n.forward(),
    lambda n: n.forward(X, X),
    lambda n: n.forward(Z=X),
    lambda n: n.backprop(),
    lambda n: n.step(grads(n)[0]),
    lambda n: n.step(*grads(n), 0.1),
    lambda n: n.loss(Y),
    lambda n: n.loss(Y, Y, Y),
    lambda n: n.predict(),
    lambda n: n.fit(X_ALL),
    lambda n: n.fit(X_ALL, Y_ALL, None, None, None, True),
    lambda n: type(n)(),
    lambda n: type(n)(SIZES, 0.01, 1, 2, 3, "float64", 7),
    lambda n: type(n)(SIZES, momentum=0.9),
    lambda n: type(n).forward(None, X),
    lambda n: type(n).forward(),
]


@pytest.mark.parametrize("deed", WRONG_CALLS)
def test_wrong_calls_are_type_errors(MLP: Any, deed: Deed) -> None:
    network = fresh(MLP)
    kind, _ = refusal(deed, network)
    assert kind is TypeError or (kind is AttributeError and "None" in inspect.getsource(deed))
    assert fingerprint(network) == fingerprint(fresh(MLP))


@pytest.mark.parametrize("attribute", ["weights", "biases", "activations"])
def test_attributes_cannot_be_deleted(MLP: Any, attribute: str) -> None:
    network = fresh(MLP)
    with pytest.raises((AttributeError, TypeError)):
        delattr(network, attribute)
    with pytest.raises(AttributeError):
        network.activations = ()
    assert fingerprint(network) == fingerprint(fresh(MLP))


def strided(good: np.ndarray) -> np.ndarray:
    wide = np.full((2 * len(good), 3 * good.shape[1]), np.nan, good.dtype)
    wide[::2, ::3] = good
    return wide[::2, ::3]


def unaligned(good: np.ndarray) -> np.ndarray:
    raw = np.zeros(good.nbytes + 1, np.uint8)
    odd = raw[1:].view(good.dtype).reshape(good.shape)
    odd[:] = good
    return odd


def read_only(good: np.ndarray) -> np.ndarray:
    copy = good.copy()
    copy.flags.writeable = False
    return copy


class Subclass(np.ndarray):
    """Gives operators a meaning of its own, which must not matter."""

    def __matmul__(self, other: Any) -> Any:
        raise AssertionError("the operator of a subclass was used")


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Fortran": np.asfortranarray,
    "strided": strided,
    "backwards": lambda good: good[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only,
    "unaligned": unaligned,
    "native by name": lambda good: good.astype(good.dtype.newbyteorder("=")),
    "matrix": lambda good: good.view(np.matrix),
    "masked": lambda good: np.ma.masked_array(good, mask=good > 0),
    "subclass": lambda good: good.view(Subclass),
}


def outcome(MLP: Any, dtype: str, change: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
    """Send arrays of a layout through every call and return all that comes out."""
    x, y, x_all, y_all = (array.astype(dtype) for array in (X, Y, X_ALL, Y_ALL))
    network = MLP(SIZES, max_epochs=2, batch_size=BATCH, seed=0, dtype=dtype)
    network.weights = [change(np.array(w)) for w in network.weights]
    network.biases = [change(np.array(b)) for b in network.biases]
    found = [network.forward(change(x)), network.predict(change(x))]
    grads_w, grads_b = network.backprop(change(y))
    found += [*grads_w, *grads_b]
    network.step([change(g) for g in grads_w], [change(g) for g in grads_b])
    found += [*network.weights, *network.biases, np.array(network.loss(change(y), change(y * 2)))]
    history = network.fit(change(x_all), change(y_all), change(x_all), change(y_all))
    return [*found, history.training_loss, history.validation_loss, *network.weights]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_every_layout_of_memory_is_accepted(MLP: Any, layout: str, dtype: str) -> None:
    plain = outcome(MLP, dtype, lambda good: good)
    found = outcome(MLP, dtype, LAYOUTS[layout])
    for one, other in zip(found, plain, strict=True):
        assert type(one) is np.ndarray
        assert one.dtype == other.dtype
        # NumPy may hand another layout to another kernel of its BLAS.
        np.testing.assert_allclose(one, other, rtol=1e-13 if dtype == "float64" else 1e-5)


def test_a_row_broadcast_over_the_batch_is_accepted(MLP: Any) -> None:
    network = fresh(MLP)
    one = np.broadcast_to(X[:1], (BATCH, 3))
    np.testing.assert_allclose(network.forward(one), network.forward(one.copy()), rtol=1e-14)
    same = np.broadcast_to(np.float64(2), (1, 4))
    network.biases = [same, np.zeros((1, 2))]
    np.testing.assert_array_equal(network.biases[0], np.full((1, 4), 2.0))


def test_the_inputs_are_left_alone(MLP: Any) -> None:
    given = [numbers(7, 3), numbers(7, 2), numbers(6, 3), numbers(6, 2)]
    kept = [array.copy() for array in given]
    network = MLP(SIZES, max_epochs=3, batch_size=2, seed=0)
    network.forward(given[0])
    network.step(*network.backprop(given[1]))
    network.fit(*given)
    for array, before in zip(given, kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_memory_of_the_caller_may_go_away(MLP: Any) -> None:
    """What `forward` keeps stays valid when the caller lets go of it."""
    network, reference = fresh(MLP), fresh(MLP)
    network.forward(X.copy())
    rubbish = [np.full(X.shape, np.nan) for _ in range(100)]
    reference.forward(X)
    for one, other in zip(network.backprop(Y.copy()), reference.backprop(Y), strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(rubbish) == 100


def test_results_outlive_their_network(MLP: Any) -> None:
    network = fresh(MLP)
    y_hat, weights = network.forward(X), network.weights
    expected = [y_hat.copy(), *(w.copy() for w in weights)]
    del network
    rubbish = [fresh(MLP) for _ in range(20)]
    for array, before in zip([y_hat, *weights], expected, strict=True):
        np.testing.assert_array_equal(array, before)
    assert len(rubbish) == 20


def test_a_callback_may_use_its_network(twins: Twins) -> None:
    losses = []
    for MLP in twins:
        network = MLP(SIZES, max_epochs=3, batch_size=BATCH, seed=0)

        def meddle(epoch: int, loss: float, network: Any = network) -> None:
            network.step(*(network.forward(X), network.backprop(Y))[1])
            network.weights = [w * 0.5 for w in network.weights]
            network.predict(X)

        losses.append(network.fit(X_ALL, Y_ALL, X_ALL, Y_ALL, meddle))
    np.testing.assert_allclose(losses[1].training_loss, losses[0].training_loss, rtol=1e-12)
    np.testing.assert_allclose(losses[1].validation_loss, losses[0].validation_loss, rtol=1e-12)


def test_a_callback_may_fit_its_own_network(twins: Twins) -> None:
    losses = []
    for MLP in twins:
        network = MLP(SIZES, max_epochs=2, batch_size=BATCH, seed=0)

        def nest(epoch: int, loss: float, network: Any = network) -> None:
            network.fit(X_ALL, Y_ALL)

        losses.append(network.fit(X_ALL, Y_ALL, progress=nest).training_loss)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-12)


def test_threads_may_each_have_a_network_and_even_share_one(MLP: Any) -> None:
    """Results of a shared network are anyone's guess; the interpreter stays up."""
    shared, expected = fresh(MLP), fingerprint(fresh(MLP))
    wrong: list[object] = []

    def work() -> None:
        for _ in range(20):
            if fingerprint(fresh(MLP)) != expected:
                wrong.append("another thread showed through")
            try:
                shared.forward(X)
                shared.step(*shared.backprop(Y))
                shared.fit(X_ALL, Y_ALL, allow_nonfinite=True)
            except RuntimeError:  # the cache was used up by another thread
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def public(MLP: Any) -> list[str]:
    return [name for name in dir(MLP) if not name.startswith("_")]


def parameters(function: Any) -> list[tuple[object, ...]]:
    """Name, kind and default of each but self; compiled functions have no annotations."""
    found = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default) for one in found if one.name != "self"]


def test_the_twins_offer_the_same(twins: Twins) -> None:
    numpy, mojo = twins
    assert sorted(public(numpy)) == sorted(public(mojo))
    for name in ["__init__", *public(numpy)]:
        one, other = getattr(numpy, name), getattr(mojo, name)
        assert inspect.getdoc(one)
        assert inspect.getdoc(other)
        if callable(one):
            assert parameters(one) == parameters(other), name
    assert inspect.signature(numpy) == inspect.signature(mojo)
    for MLP in twins:
        assert "batch_size" in (inspect.getdoc(MLP) or "")
