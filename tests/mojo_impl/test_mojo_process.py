"""The compiled extension among others: memory, threads, signals, forked processes, rubbish."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mojo_impl
import python_impl
from mojo_impl import MLP
from mojo_impl.call_overhead import overhead

ROOT = Path(__file__).parents[2]
X, Y = np.ones((4, 2)), np.ones((4, 1))


def fresh(**options: Any) -> Any:
    return MLP([2, 3, 1], **{"seed": 0, "batch_size": 2} | options)


def in_a_process(*arguments: str) -> str:
    """Run a fresh interpreter, which must end well, and return what it printed."""
    line = [sys.executable, "-X", "faulthandler", *arguments]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("sizes", [(2**62, 1), (2**40, 2**40), (2**70, 2**70), (1, 2**44, 1)])
def test_a_network_too_large_for_memory(sizes: tuple[int, ...]) -> None:
    with pytest.raises(MemoryError):
        MLP(sizes, seed=0)
    network = fresh()
    kept = network.weights
    with pytest.raises(MemoryError):
        network.__init__(sizes)
    for one, other in zip(kept, network.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_long_work_lets_other_threads_run_and_keeps_them_out() -> None:
    network = MLP([256, 1024, 1024, 256], seed=0)
    data = np.ones((1024, 256))
    before = network.weights[0].copy()
    for _ in range(50):  # the other thread may be done before this one gets a look
        thread = threading.Thread(target=network.predict, args=(data,))
        thread.start()
        refusals = []
        while thread.is_alive():
            try:
                network.weights = [w * 0 for w in map(np.zeros_like, ())]
            except (RuntimeError, ValueError) as error:
                refusals.append(str(error))
        thread.join()
        if any("the network is busy" in text for text in refusals):
            break
    else:
        pytest.fail("no other thread ever ran while the network was at work")
    np.testing.assert_array_equal(network.weights[0], before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_a_signal_ends_an_epoch_between_batches() -> None:
    network = MLP([256, 1024, 1024, 256], seed=0, batch_size=64)
    rows = 64 * 200
    data, losses = np.ones((rows, 256)), np.full(200, np.nan)

    class Alarm(Exception):  # noqa: N818
        pass

    def ring(*_: object) -> None:
        raise Alarm

    old = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(Alarm):
            network._epoch(data, data, None, losses, np.empty(0))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert np.isnan(losses[-1])
    assert network.activations == ()
    network.forward(data[:1])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_results_are_the_same_for_any_number_of_threads(dtype: str) -> None:
    random = np.random.RandomState(0)
    data = [random.randn(300, 200).astype(dtype) for _ in range(2)]
    results = []
    try:
        for threads in (1, 2, 3):
            mojo_impl.set_threads(threads)
            assert mojo_impl.get_threads() == threads
            assert mojo_impl.describe()["threads"] == threads
            network = MLP([200, 333, 200], seed=0, max_epochs=2, batch_size=100, dtype=dtype)
            loss = network.fit(*data).training_loss
            y_hat = network.forward(data[0])
            grads = network.backprop(data[1])
            results.append([loss, y_hat, *grads[0], *grads[1], *network.weights])
    finally:
        mojo_impl.set_threads(1)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("threads", "kind"),
    [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError), (10**9, RuntimeError)],
)
def test_a_wrong_number_of_threads(threads: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="thread"):
        mojo_impl.set_threads(threads)
    assert mojo_impl.get_threads() == 1


def test_a_forked_process_can_use_and_end_networks() -> None:
    code = """
import os, sys, mojo_impl, numpy as np
from mojo_impl import MLP
mojo_impl.set_threads(2)
network, data = MLP([300, 300], seed=0), np.ones((500, 300))
network.forward(data)
child = os.fork()
if child == 0:
    network.forward(data); network.backprop(data); MLP([300, 300], seed=0).forward(data)
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
network.forward(data)
"""
    assert in_a_process("-c", code) == "7\n"


def test_a_second_import_is_a_library_of_its_own() -> None:
    code = """
import importlib, sys, numpy as np
from mojo_impl import MLP, _library
network = MLP([2, 1], seed=0)
del sys.modules["mojo_impl._library"]
again = importlib.import_module("mojo_impl._library")
print(again is _library, network.forward(np.ones((1, 2))).shape)
again.set_threads(2)
print(_library.get_threads(), again.get_threads())
"""
    assert in_a_process("-c", code) == "False (1, 1)\n1 2\n"


@pytest.mark.parametrize("phase", ["forward", "backprop", "epoch", "timer"])
def test_more_loops_take_longer(phase: str) -> None:
    network = fresh(batch_size=4)
    few = min(mojo_impl.time_phase(network, phase, 10, X, Y) for _ in range(20))
    many = min(mojo_impl.time_phase(network, phase, 1000, X, Y) for _ in range(20))
    assert 0 < few < many


@pytest.mark.parametrize("phase", ["forward", "backprop"])
def test_the_call_overhead_can_be_measured(phase: str) -> None:
    taken = overhead(fresh(batch_size=4), phase, X, Y, turns=3, turn_ns=100_000)
    assert len(taken) == 3
    assert all(call > 0 and work > 0 for call, work in taken)


def test_timed_epochs_train_as_fit_does() -> None:
    timed, fitted = fresh(), fresh(max_epochs=3)
    mojo_impl.time_phase(timed, "epoch", 3, X, Y)
    fitted.fit(X, Y)
    for one, other in zip(timed.weights, fitted.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("sleep", 1, X, Y), ValueError, "phase must be 'forward', 'backprop', 'epoch' or 'timer'"),
        ((1, 1, X, Y), TypeError, "str"),
        (("epoch", 1.5, X, Y), TypeError, "float"),
        (("epoch", 1, X[:1], Y[:1]), ValueError, "batch_size is 2 but X has 1 rows"),
        (("epoch", 1, X, Y[:1]), ValueError, "y must have shape (4, 1); got (1, 1)"),
    ],
)
def test_a_wrong_phase(arguments: tuple[Any, ...], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught:
        mojo_impl.time_phase(fresh(), *arguments)
    assert words in str(caught.value)
    with pytest.raises(TypeError, match=r"network must be a mojo_impl\.MLP"):
        mojo_impl.time_phase(python_impl.MLP([2, 1]), *arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(3))
def test_rubbish_never_ends_the_interpreter(seed: int) -> None:
    assert in_a_process("tests/boundary/rubbish.py", str(seed), "20000").endswith("survived\n")
