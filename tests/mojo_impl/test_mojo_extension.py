"""What is special to the compiled extension as an object: its texts, what it holds, its copies.

What both languages promise alike is tested by `test_bad_input`, `test_refusals` and others;
threads, signals and processes by `test_mojo_process`.
"""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import resource
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mojo_impl
import python_impl
from mojo_impl import MLP, _library

ROOT = Path(__file__).parents[2]
X, Y = np.ones((4, 2)), np.ones((4, 1))


def fresh(**options: Any) -> Any:
    return MLP([2, 3, 1], **{"seed": 0, "batch_size": 2} | options)


# --- What it says of itself ---


def test_every_public_member_has_the_text_of_its_twin() -> None:
    for name, member in vars(python_impl.MLP).items():
        if not name.startswith("_"):
            assert inspect.getdoc(getattr(MLP, name)) == inspect.getdoc(member), name


def test_signatures_can_be_read() -> None:
    assert str(inspect.signature(MLP.step)) == "(self, /, grads_w, grads_b)"
    assert str(inspect.signature(MLP.reset)) == "(self, /)"
    for name in ("initialise", "nothing", "probe", "set_threads", "get_threads", "time_phase"):
        function = getattr(_library, name)
        assert inspect.signature(function)
        assert inspect.getdoc(function)


def test_the_stub_tells_the_truth() -> None:
    line = [sys.executable, "-m", "mypy.stubtest", "mojo_impl._library", "--concise"]
    done = subprocess.run(
        [*line, "--ignore-disjoint-bases"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


def test_calls_of_fast_methods_make_no_python_frame() -> None:
    network, nothing, seen = fresh(), mojo_impl.nothing, []

    def watch(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            seen.append(frame.f_code.co_name)

    sys.setprofile(watch)
    try:
        y_hat = network.forward(X)
        grads = network.backprop(Y)
        network.step(*grads)
        network.loss(Y, y_hat)
        network.predict(X)
        nothing(X)
    finally:
        sys.setprofile(None)
    assert seen == []


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda n: n.forward(), "the arguments of forward are (X)"),
        (lambda n: n.forward(X, X), "the arguments of forward are (X)"),
        (lambda n: n.forward(X, X=X), "the arguments of forward are (X)"),
        (lambda n: n.forward(x=X), "the arguments of forward are (X)"),
        (lambda n: n.step([], grads_w=[]), "the arguments of step are (grads_w, grads_b)"),
        (lambda n: n.reset(1), "the arguments of reset are ()"),
        (lambda n: _library.Network(1), "mojo_impl._library.Network() takes no arguments"),
    ],
)
def test_wrong_calls_name_the_function(call: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(TypeError) as caught:
        call(fresh())
    assert str(caught.value) == words


def test_arguments_can_be_given_by_name() -> None:
    network = fresh()
    y_hat = network.forward(X=X)
    assert network.loss(y_hat=y_hat, y=Y) == network.loss(Y, y_hat)
    grads_w, grads_b = network.backprop(y=Y)
    network.step(grads_b=grads_b, grads_w=grads_w)


# --- What it holds on to ---


def test_forward_holds_its_input_until_the_next_one() -> None:
    network, inputs = fresh(), X.copy()
    before = sys.getrefcount(inputs)

    def held() -> int:
        return sys.getrefcount(inputs) - before

    network.forward(inputs)
    assert held() == 1
    network.predict(inputs)
    network.forward(X)
    assert held() == 0
    deeds: list[Callable[[Any], object]] = [
        lambda n: n.reset(),
        lambda n: n.fit(X, Y),
        lambda n: mojo_impl.time_phase(n, "forward", 1, X, Y),
        lambda n: n.__init__([2, 1]),
    ]
    for forget in deeds:
        network.forward(inputs)
        forget(network)
        assert held() == 0
        assert network.activations == ()
    network.forward(inputs)
    del network
    assert held() == 0


def test_a_cycle_through_the_held_input_is_collected() -> None:
    class Inputs(np.ndarray[Any, Any]):
        owner: Any

    network = fresh()
    inputs = X.view(Inputs)
    plain = np.asarray(inputs)  # its base is `inputs`, and a plain array is held as it is
    inputs.owner = network
    network.forward(plain)
    gone = weakref.ref(network)
    del network, inputs, plain
    gc.collect()
    assert gone() is None


def test_a_cycle_through_an_attribute_is_collected() -> None:
    network = fresh()
    network.itself = network
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


def use(network: Any) -> None:
    """Call everything once, well and badly."""
    y_hat = network.forward(X)
    grads = network.backprop(Y)
    network.step(*grads)
    network.loss(Y, y_hat)
    network.predict(X[::2])
    network.weights = [w[::1] for w in network.weights]
    network.biases = network.biases
    assert len(network.activations) == 3
    network._stream = network._stream
    network.fit(X, Y, X, Y)
    for wrong in (
        lambda: network.forward(),
        lambda: network.forward(X.astype("f4")),
        lambda: network.forward(X[:0]),
        lambda: network.backprop(Y[:2]),
        lambda: network.step(grads[0][:1], grads[1]),
        lambda: network.step(grads[0], [None, None]),
        lambda: setattr(network, "weights", [X, X]),
        lambda: setattr(network, "_stream", b""),
        lambda: network._epoch(X, Y, (X,), np.empty(2), np.empty(0)),
        lambda: network._epoch(X, Y, (X, Y), np.empty(2), np.empty(1)),
        lambda: mojo_impl.time_phase(network, "sleep", 1, X, Y),
        lambda: _library.initialise(network, (2, "3"), 0, "float64"),
    ):
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            wrong()
    network.__init__([2, 3, 1], seed=0, batch_size=2, max_epochs=1, dtype="float64")


def test_nothing_is_leaked() -> None:
    network = fresh(max_epochs=1)
    shared = [X, Y, _library, MLP, np.ndarray, TypeError, RuntimeError]
    for _ in range(200):  # until the interpreter's own caches are filled
        use(network)
    gc.collect()
    before = [sys.getrefcount(one) for one in shared], sys.getallocatedblocks()
    for _ in range(200):
        use(network)
    gc.collect()
    after = [sys.getrefcount(one) for one in shared], sys.getallocatedblocks()
    # One reference or one object lost in each round would make 200.
    for one, other in zip(before[0], after[0], strict=True):
        assert abs(one - other) < 100
    assert after[1] - before[1] < 150


def test_memory_of_networks_is_given_back() -> None:
    data = np.ones((512, 400)), np.ones((512, 400))

    def round_trip() -> None:
        network = MLP([400, 800, 400], seed=0, batch_size=256, max_epochs=1)
        network.forward(data[0])
        network.backprop(data[1])
        network.fit(*data)

    for _ in range(3):
        round_trip()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(30):  # each takes more than 20 MB
        round_trip()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < most * 2


# --- Changes under its feet ---


@pytest.mark.parametrize("call", [lambda n: n.backprop(Y), lambda n: n.activations])
def test_an_input_that_was_resized_is_noticed(call: Callable[[Any], Any]) -> None:
    network, inputs = fresh(), X.copy()
    network.forward(inputs)
    inputs.resize((1, 1), refcheck=False)
    with pytest.raises(RuntimeError, match="changed its shape or dtype while it was in use"):
        call(network)
    network.forward(X)
    call(network)


class Meddler(list[Any]):
    """Does something when the checks ask for its length."""

    deeds: list[Callable[[], object]] = []  # noqa: RUF012

    def __len__(self) -> int:
        for deed in self.deeds:
            deed()
        return super().__len__()


@pytest.fixture
def deeds() -> Iterator[list[Callable[[], object]]]:
    yield Meddler.deeds
    Meddler.deeds.clear()


def test_a_list_that_meddles_while_it_is_checked_finds_the_network_busy(
    deeds: list[Callable[[], object]],
) -> None:
    network, found = fresh(), []

    def meddle() -> None:
        for deed in (
            lambda: network.forward(X),
            lambda: network.weights,
            lambda: network.__init__([5, 5]),
            lambda: setattr(network, "biases", []),
        ):
            with pytest.raises(RuntimeError, match="busy") as caught:
                deed()
            found.append(caught.value)

    gradients = [np.zeros_like(w) for w in network.weights]
    biases = [np.zeros_like(b) for b in network.biases]
    deeds.append(meddle)
    network.step(Meddler(gradients), biases)
    assert found


def test_a_list_that_changes_while_it_is_checked_is_noticed(
    deeds: list[Callable[[], object]],
) -> None:
    network = fresh()
    kept = network.weights
    grads_w = [np.array(w) for w in kept]
    grads_b = Meddler(network.biases)
    deeds.append(grads_w.clear)
    with pytest.raises(RuntimeError, match="a list of arrays changed while it was in use"):
        network.step(grads_w, grads_b)
    for one, other in zip(kept, network.weights, strict=True):
        np.testing.assert_array_equal(one, other)


# --- Empty, copied and inherited ones ---


@pytest.mark.parametrize("empty", [_library.Network, lambda: MLP.__new__(MLP)])
def test_a_network_that_was_not_initialised_says_so(empty: Callable[[], Any]) -> None:
    network = empty()
    for deed in (
        lambda: network.forward(X),
        lambda: network.weights,
        lambda: network.reset(),
        lambda: setattr(network, "weights", []),
        lambda: mojo_impl.time_phase(network, "forward", 1, X, Y),
        lambda: pickle.dumps(network),
    ):
        with pytest.raises((RuntimeError, TypeError), match=r"__init__|cannot pickle"):
            deed()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "twin", [lambda n: pickle.loads(pickle.dumps(n)), copy.deepcopy, copy.copy]
)
def test_a_copy_goes_on_as_the_original(twin: Callable[[Any], Any], dtype: str) -> None:
    data = X.astype(dtype), Y.astype(dtype)
    network = fresh(max_epochs=3, dtype=dtype)
    network.fit(*data)
    network.note = "kept"
    other = twin(network)
    assert type(other) is MLP
    assert other.note == "kept"
    assert vars(other) == vars(network)
    expected = network.fit(*data).training_loss
    np.testing.assert_array_equal(other.fit(*data).training_loss, expected)
    with pytest.raises(RuntimeError, match="forward"):
        twin(network).backprop(data[1])


def test_a_subclass_may_add_and_replace() -> None:
    class Loud(MLP):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.calls = 0

        def _epoch(self, *arguments: Any) -> None:
            self.calls += 1
            super()._epoch(*arguments)

    network = Loud([2, 1], seed=0, max_epochs=4, batch_size=2)
    network.fit(X, Y)
    assert network.calls == 4


def test_settings_take_effect_at_once() -> None:
    twins = [package.MLP([2, 3, 1], seed=0, batch_size=2) for package in (python_impl, mojo_impl)]
    for network in twins:
        network.learning_rate, network.batch_size, network.max_epochs = 0.5, 3, 2
        network.fit(X, Y)
        network.forward(X)
        network.step(*network.backprop(Y))
    for one, other in zip(twins[0].weights, twins[1].weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("setting", ["learning_rate", "batch_size"])
@pytest.mark.parametrize("value", [None, "a", [], 0, -1])
def test_a_broken_setting_is_the_same_error_on_both_sides(setting: str, value: Any) -> None:
    outcomes = []
    for package in (python_impl, mojo_impl):
        network = package.MLP([2, 3, 1], seed=0, batch_size=2)
        setattr(network, setting, value)
        try:
            network.step(network.weights, network.biases)
            outcomes.append([w.tolist() for w in network.weights])
        except Exception as error:
            outcomes.append(type(error))
    if isinstance(outcomes[0], list):
        assert all(np.allclose(*pair) for pair in zip(*outcomes, strict=True))
    else:
        assert outcomes[0] is outcomes[1]
