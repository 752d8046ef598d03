"""A network as an object: copied, pickled, made twice, never made, shared, used in strange ways.

Both languages behave alike, and nothing here may take the interpreter down.
"""

from __future__ import annotations

import copy
import gc
import os
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_bad_input import BATCH, SIZES, X_ALL, Y_ALL, Deed, Twins, X, Y, fingerprint, fresh, grads

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda network: pickle.loads(pickle.dumps(network)),
}


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_copy_goes_on_by_itself(MLP: Any, how: str, dtype: str) -> None:
    """Parameters and random stream are copied; training one does not move the other."""
    network, untouched = fresh(MLP, dtype), fresh(MLP, dtype)
    twin = COPIES[how](network)
    x, y = X_ALL.astype(dtype), Y_ALL.astype(dtype)
    expected = untouched.fit(x, y).training_loss
    np.testing.assert_array_equal(twin.fit(x, y).training_loss, expected)
    np.testing.assert_array_equal(network.fit(x, y).training_loss, expected)


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_outlives_its_network(MLP: Any, how: str) -> None:
    network = fresh(MLP)
    expected = network.predict(X)
    twin = COPIES[how](network)
    del network
    gc.collect()
    rubbish = [fresh(MLP) for _ in range(10)]
    np.testing.assert_array_equal(twin.predict(X), expected)
    twin.reset()
    twin.fit(X_ALL, Y_ALL)
    assert len(rubbish) == 10


def test_making_a_network_twice_gives_the_second(MLP: Any) -> None:
    network = fresh(MLP)
    network.__init__([2, 2], seed=1, batch_size=1)
    other = MLP([2, 2], seed=1, batch_size=1)
    assert network.layer_sizes == (2, 2)
    assert network.activations == ()
    np.testing.assert_array_equal(network.weights[0], other.weights[0])


def test_making_it_again_badly_leaves_the_first(MLP: Any) -> None:
    network = fresh(MLP)
    with pytest.raises(ValueError, match="layer_sizes"):
        network.__init__([2, 0])
    assert fingerprint(network) == fingerprint(fresh(MLP))


@pytest.mark.parametrize(
    "deed",
    [
        lambda n: n.forward(X),
        lambda n: n.predict(X),
        lambda n: n.backprop(Y),
        lambda n: n.loss(Y, Y),
        lambda n: n.step([], []),
        lambda n: n.fit(X_ALL, Y_ALL),
        lambda n: n.reset(),
        lambda n: n.weights,
        lambda n: n.biases,
        lambda n: n.activations,
        lambda n: setattr(n, "weights", []),
        lambda n: setattr(n, "biases", []),
    ],
)
def test_a_network_that_was_never_made_is_an_error(MLP: Any, deed: Deed) -> None:
    with pytest.raises((AttributeError, RuntimeError)):
        deed(MLP.__new__(MLP))


def test_networks_are_collected_with_their_cycles(MLP: Any) -> None:
    network = fresh(MLP)
    network.itself = network
    reference = weakref.ref(network)
    del network
    gc.collect()
    assert reference() is None


class Liar(list[Any]):
    """A list that says other things than it holds."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Any:
        return iter([1, 2, 3])

    def __getitem__(self, place: Any) -> Any:
        raise ZeroDivisionError


class Vanishing(list[Any]):
    """A list that empties itself when asked for its length."""

    def __len__(self) -> int:
        self.clear()
        return 2


@pytest.mark.parametrize("kind", [Liar, Vanishing])
def test_lists_that_lie_are_an_error(MLP: Any, kind: type[list[Any]]) -> None:
    network = fresh(MLP)
    for deed in (
        lambda: network.step(kind(grads(network)[0]), grads(network)[1]),
        lambda: setattr(network, "weights", kind(network.weights)),
        lambda: setattr(network, "biases", kind(network.biases)),
    ):
        with pytest.raises((TypeError, ValueError, ZeroDivisionError)):
            deed()
    assert fingerprint(network) == fingerprint(fresh(MLP))


@pytest.mark.parametrize("change", ["resize", "shape"])
@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")
def test_an_array_changed_under_the_cache_is_an_error(MLP: Any, change: str) -> None:
    """The caller was told to leave X as it is; if not, there are words and no crash."""
    network = MLP([3, 4, 2], batch_size=5, seed=0)
    x, y = np.ones((50_000, 3)), np.ones((50_000, 2))
    network.forward(x)
    if change == "resize":
        x.resize((1, 3), refcheck=False)
    else:
        x.shape = (3, 50_000)
    with pytest.raises((ValueError, RuntimeError)):
        network.backprop(y)


@pytest.mark.parametrize("call", ["forward", "predict"])
def test_a_batch_beyond_memory_is_an_error(MLP: Any, call: str) -> None:
    network = fresh(MLP)
    rows = np.broadcast_to(np.zeros((1, 3)), (10**13, 3))
    with pytest.raises(MemoryError):
        getattr(network, call)(rows)
    assert fingerprint(network) == fingerprint(fresh(MLP))


def test_a_network_may_be_deep(twins: Twins) -> None:
    outputs = [MLP([1] * 2000, seed=0).forward(np.ones((1, 1))) for MLP in twins]
    np.testing.assert_allclose(outputs[1], outputs[0])


def test_settings_changed_later_count(twins: Twins) -> None:
    losses = []
    for MLP in twins:
        network = MLP(SIZES, max_epochs=9, batch_size=BATCH, seed=0)
        network.learning_rate, network.max_epochs, network.batch_size = 0.5, 2, 3
        losses.append(network.fit(X_ALL, Y_ALL).training_loss)
    assert losses[0].shape == (6,)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-12)


@pytest.mark.parametrize("other", [3, None, object()])
def test_methods_want_a_network(MLP: Any, other: object) -> None:
    with pytest.raises((TypeError, AttributeError)):
        MLP.forward(other, X)


def test_methods_want_a_network_of_their_own_kind(twins: Twins) -> None:
    numpy, mojo = twins
    with pytest.raises((TypeError, AttributeError)):
        mojo.forward(fresh(numpy), X)
    with pytest.raises((TypeError, AttributeError)):
        numpy.forward(fresh(mojo), X)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_process_computes_too(MLP: Any) -> None:
    network = fresh(MLP)
    expected = fingerprint(fresh(MLP))
    child = os.fork()
    if child == 0:
        try:
            same = fingerprint(network) == expected
        except BaseException:
            os._exit(2)
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
