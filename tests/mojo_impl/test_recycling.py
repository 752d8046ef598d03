"""`backprop` fills its last results again once nobody can see them, and never before.

What a caller can still see, in whole or in part and by whatever way, must keep its numbers. The
rule is the same for both languages; that arrays are used again is the extension's alone.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mojo_impl
import python_impl

SIZES = [3, 5, 1, 2]
X = np.arange(12.0).reshape(4, 3) / 7
TARGETS = [np.full((4, 2), float(place)) for place in range(7)]


def fresh(package: Any = mojo_impl) -> Any:
    network = package.MLP(SIZES, seed=3, batch_size=2)
    network.forward(X)
    return network


def copies(gradients: Any) -> list[np.ndarray[Any, Any]]:
    return [array.copy() for arrays in gradients for array in arrays]


EXPECTED = [copies(fresh().backprop(y)) for y in TARGETS]


def assert_right(gradients: Any, place: int) -> None:
    """Right numbers in plain arrays, as if made for this call alone."""
    assert type(gradients) is tuple
    assert [type(arrays) for arrays in gradients] == [list, list]
    found = [array for arrays in gradients for array in arrays]
    assert len({id(array) for array in found}) == len(found) == len(EXPECTED[place])
    for array, expected in zip(found, EXPECTED[place], strict=True):
        assert type(array) is np.ndarray
        assert array.flags.writeable
        assert array.flags.owndata
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


def addresses(gradients: Any) -> list[int]:
    return [array.ctypes.data for arrays in gradients for array in arrays]


def held_sets(network: Any) -> int:
    known = [held for held in gc.get_referents(network) if type(held) is tuple]
    return sum(type(held[0]) is list for held in known)


class Inherited(np.ndarray[Any, Any]):
    """Not exactly an ndarray."""


# --- That it happens ---


def test_a_result_that_is_dropped_is_filled_again() -> None:
    network = fresh()
    first = addresses(network.backprop(TARGETS[1]))
    for place, y in enumerate(TARGETS):
        gradients = network.backprop(y)
        assert_right(gradients, place)
        assert addresses(gradients) == first
        del gradients


def test_two_take_turns_where_the_last_is_held() -> None:
    network, seen = fresh(), []
    for place, y in enumerate(TARGETS):
        grads_w, grads_b = network.backprop(y)
        assert_right((grads_w, grads_b), place)
        seen.append(tuple(addresses((grads_w, grads_b))))
    assert len(set(seen)) == 2
    assert seen[::2] == seen[:1] * 4
    assert held_sets(network) == 2


def test_no_more_than_two_are_held_however_many_are_kept() -> None:
    network = fresh()
    kept = [network.backprop(y) for y in TARGETS]
    assert held_sets(network) == 2
    for place, gradients in enumerate(kept):
        assert_right(gradients, place)


@pytest.mark.parametrize(
    "deed",
    [
        lambda n: n.reset(),
        lambda n: n.fit(X, TARGETS[0]),
        lambda n: n.__init__(SIZES),
        lambda n: mojo_impl.time_phase(n, "forward", 1, X, TARGETS[0]),
    ],
)
def test_what_ends_a_batch_gives_the_memory_back(deed: Callable[[Any], object]) -> None:
    network = fresh()
    network.max_epochs = 1
    kept = [network.backprop(y) for y in TARGETS[:2]]
    gone = [weakref.ref(kept[0][0][0]), weakref.ref(kept[1][1][0])]
    kept.clear()
    assert all(array() is not None for array in gone)
    deed(network)
    assert [array() for array in gone] == [None, None]
    assert held_sets(network) == 0


def test_a_network_takes_its_gradients_with_it() -> None:
    network = fresh()
    gone = weakref.ref(network.backprop(TARGETS[0])[0][0])
    del network
    assert gone() is None


def test_a_cycle_through_a_list_of_gradients_is_collected() -> None:
    network = fresh()
    network.backprop(TARGETS[0])[0].append(network)
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


# --- That nobody sees it ---

KEEP: dict[str, Callable[[Any], Any]] = {
    "the tuple": lambda g: g,
    "the lists": lambda g: [*g],
    "the lists of weights": lambda g: g[0],
    "the list of biases": lambda g: g[1],
    "every array": lambda g: [*g[0], *g[1]],
    "one array": lambda g: g[0][1],
    "the last array": lambda g: g[1][-1],
    "a slice": lambda g: g[0][0][1:, ::2],
    "a slice of a slice": lambda g: g[0][0][1:][:, 1:],
    "a transposed view": lambda g: g[0][0].T,
    "a flat view": lambda g: g[0][0].ravel(),
    "a view of another dtype": lambda g: g[0][0].view("i8"),
    "a view of a subclass": lambda g: g[0][0].view(Inherited),
    "a memoryview": lambda g: memoryview(g[0][0]),
    "an array on a memoryview": lambda g: np.frombuffer(memoryview(g[1][0]).cast("B")),
    "an iterator": lambda g: g[0][0].flat,
    "the iterator of a list": lambda g: iter(g[0]),
    "a bound method": lambda g: g[0][0].copy,
    "a weak reference": lambda g: weakref.ref(g[0][0]),
    "DLPack": lambda g: np.from_dlpack(g[0][0]),
    "what the collector knows": lambda g: gc.get_referents(g)[0],
}


@pytest.mark.parametrize("package", [python_impl, mojo_impl], ids=["numpy", "mojo"])
@pytest.mark.parametrize("how", KEEP)
def test_what_is_kept_does_not_change(package: Any, how: str) -> None:
    def seen(kept: Any) -> Any:
        if isinstance(kept, weakref.ref):
            array = kept()
            return None if array is None else array.tobytes()
        if isinstance(kept, memoryview | np.ndarray):
            return kept.tobytes()
        if isinstance(kept, np.flatiter):
            return kept.base.tobytes()
        if callable(kept):
            return kept().tobytes()
        if type(kept).__name__ == "list_iterator":
            return [array.tobytes() for array in kept.__reduce__()[1][0]]
        return [seen(part) for part in kept]

    network = fresh(package)
    kept = KEEP[how](network.backprop(TARGETS[5]))
    before = seen(kept)
    for _ in range(3):
        for place, y in enumerate(TARGETS):
            gradients = network.backprop(y)
            if package is mojo_impl:
                assert_right(gradients, place)
            assert seen(kept) in (before, None)  # a weakly referenced array may go, not change


def resize(g: Any) -> None:
    g[0][0].resize((1, 1), refcheck=False)


def replace(g: Any) -> None:
    g[0][0] = np.zeros((3, 5))


def double(g: Any) -> None:
    g[0][:] = [g[0][0]] * 3


def trade(g: Any) -> None:
    g[1][0], g[0][2] = g[0][2], g[1][0]


def borrow(g: Any) -> None:
    g[0][0] = np.arange(40.0)[:15].reshape(3, 5)


def subclass(g: Any) -> None:
    g[0][0] = g[0][0].copy().view(Inherited)


def retype(g: Any) -> None:
    g[0][0] = g[0][0].astype("f4")


def big_endian(g: Any) -> None:
    g[0][0] = g[0][0].astype(">f8")


def fortran(g: Any) -> None:
    g[0][0] = np.asfortranarray(g[0][0])


CHANGE: list[Callable[[Any], Any]] = [
    resize, replace, double, trade, borrow, subclass, retype, big_endian, fortran,
    lambda g: g[0][0].fill(7),
    lambda g: g[0][0].setflags(write=False),
    lambda g: g[0].clear(),
    lambda g: g[1].pop(),
    lambda g: g[1].append(g[1][0]),
    lambda g: g[1].append(g),
    lambda g: g[0].reverse(),
    lambda g: g[0].__setitem__(1, None),
    lambda g: g[0].__setitem__(1, g[0]),
    lambda g: g[0].extend(range(1000)),
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGE)
def test_what_was_changed_and_dropped_does_not_show(change: Callable[[Any], Any]) -> None:
    network = fresh()
    for _ in range(2):
        for held in (False, True):
            gradients = network.backprop(TARGETS[2])
            change(gradients)
            if not held:
                del gradients
            for place in (1, 4, 6):
                assert_right(network.backprop(TARGETS[place]), place)


def test_gradients_may_be_targets() -> None:
    """The memory that is read is never the memory that is filled."""
    network = mojo_impl.MLP([2, 2], seed=0)
    inputs = np.eye(2)
    y_hat = network.forward(inputs).copy()
    y = np.ones((2, 2))
    for _ in range(5):
        expected = y_hat - y
        y = network.backprop(y)[0][0]
        np.testing.assert_array_equal(y, expected)


def test_a_refusal_leaves_what_is_kept() -> None:
    network = fresh()
    kept = network.backprop(TARGETS[3])
    for wrong in (TARGETS[0][:1], TARGETS[0].astype("f4"), None):
        with pytest.raises((TypeError, ValueError)):
            network.backprop(wrong)
    network.forward(X[:2])
    for _ in range(3):
        network.backprop(TARGETS[0][:2])
    assert_right(kept, 3)


@pytest.fixture
def eager_collector() -> Iterator[list[Any]]:
    """Runs at every chance and keeps hold of all pairs that it can see."""
    seen: list[Any] = []

    def look(phase: str, info: object) -> None:
        seen[:] = [held for held in gc.get_objects() if type(held) is tuple and len(held) == 2]

    threshold = gc.get_threshold()
    gc.freeze()  # all that is older, or each look would take long
    gc.callbacks.append(look)
    gc.set_threshold(1, 1, 1)
    try:
        yield seen
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(look)
        gc.unfreeze()


def test_a_collector_that_looks_at_everything(eager_collector: list[Any]) -> None:
    network = fresh()
    for _ in range(3):
        for place, y in enumerate(TARGETS):
            assert_right(network.backprop(y), place)
    assert eager_collector


def test_other_threads_keep_what_they_got() -> None:
    network = mojo_impl.MLP([256, 512, 256], seed=0)
    x, found = np.ones((256, 256)), []

    def work(y: Any) -> None:
        found.append(network.backprop(y))

    network.forward(x)
    expected = [copies(network.backprop(np.full((256, 256), float(i)))) for i in range(4)]
    for i in range(4):
        # The work is long enough for Python's lock to be given up.
        thread = threading.Thread(target=work, args=(np.full((256, 256), float(i)),))
        thread.start()
        while thread.is_alive():
            for gradients, right in zip(found[:i], expected, strict=False):
                np.testing.assert_array_equal(gradients[0][1][0], right[1][0])
        thread.join()
    for gradients, right in zip(found, expected, strict=True):
        for one, other in zip(copies(gradients), right, strict=True):
            np.testing.assert_array_equal(one, other)


@given(
    deeds=st.lists(
        st.tuples(
            st.integers(0, len(TARGETS) - 1),
            st.none() | st.sampled_from(sorted(KEEP)),
            st.none() | st.integers(0, len(CHANGE) - 1),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_any_order_of_keeping_changing_and_dropping(
    deeds: list[tuple[int, str | None, int | None, bool]],
) -> None:
    network, kept = fresh(), []
    for place, how, change, drop in deeds:
        gradients = network.backprop(TARGETS[place])
        assert_right(gradients, place)
        if change is not None:
            CHANGE[change](gradients)
        elif how is not None:
            KEEP[how](gradients)
            kept.append((gradients if drop else gradients[0][1:], place))
        if drop and kept:
            kept.pop(0)
    for held, place in kept:
        arrays = [*held[0], *held[1]] if type(held) is tuple else held
        of_place = EXPECTED[place] if type(held) is tuple else EXPECTED[place][1:3]
        for array, expected in zip(arrays, of_place, strict=True):
            np.testing.assert_array_equal(array, expected)


def counts(gradients: Any) -> list[int]:
    return [sys.getrefcount(one) for one in (gradients, gradients[0], gradients[0][0])]


def test_the_network_counts_for_one_reference_to_the_pair() -> None:
    network, ones = fresh(), np.ones
    for _ in range(50):
        mine = ([ones(1)], [ones(1)])
        gradients = network.backprop(TARGETS[0])
        pair, arrays, array = counts(mine)
        assert counts(gradients) == [pair + 1, arrays, array]
