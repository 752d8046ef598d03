"""The Mojo variants of the ladder: they compute what NumPy does and refuse as it does.

That of MAX is left out, with the reason, where MAX is not installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from shapes import in_float64, name

from bench.cli.app import workers_of
from bench.measuring.preconditions import check_parity
from bench.model.presets import cases_of
from bench.model.records import Problem, Request
from bench.workers import tensor_files as exchange
from bench.workers.datasets import data_folder, data_for
from bench.workers.implementations.drivers import implementation
from bench.workers.parity import EXTREME, check
from bench.workers.worker import Worker
from mojo_impl.building.build import BuildError
from mojo_impl.building.libraries import find_max
from mojo_impl.variants.implementations import MaxMLP, PortMLP, SimdMLP
from python_impl import MLP

pytestmark = pytest.mark.long  # the libraries of the variants have to be compiled first

VARIANTS = (
    "mojo_impl.variants:MojoPort",
    "mojo_impl.variants:MojoSimd",
    "mojo_impl.variants:MojoMax",
)
NAMES = {VARIANTS[0]: "mojo-port", VARIANTS[1]: "mojo-simd", VARIANTS[2]: "mojo-max"}
NETWORKS = {VARIANTS[0]: PortMLP, VARIANTS[1]: SimdMLP, VARIANTS[2]: MaxMLP}
PROBLEMS = [
    Problem(*shape, dtype, 1)  # type: ignore[arg-type]
    for shape in (
        ((1, *[50] * 9, 1), 20, 100),
        ((7, 17, 1), 19, 60),
        ((3, 1, 5, 1, 2), 4, 13),
        ((63, 65, 127, 2), 33, 70),
    )
    for dtype in ("float64", "float32")
]
FLUSHED = f"{EXTREME}activations[1] of subnormal X"


@pytest.fixture(params=VARIANTS, ids=NAMES.get)
def variant(request: pytest.FixtureRequest) -> str:
    """Where the class of a variant is; a variant that cannot be had here is skipped."""
    where: str = request.param
    if where == VARIANTS[2]:
        try:
            find_max()
        except BuildError as error:
            pytest.skip(str(error))
    return where


def ask(worker: Worker, **request: Any) -> dict[str, Any]:
    answer = worker.answer(json.dumps(request))
    assert answer is not None
    return answer


def prepared(where: str, problem: Problem, folder: Path) -> Worker:
    """Return a worker that holds a problem."""
    worker = Worker(implementation(where))
    path, _ = data_folder(problem, folder)
    answer = ask(worker, op="prepare", problem=asdict(problem), data=str(path), seed=5)
    assert answer == {"ok": True}
    return worker


def tensors_of(where: str, problem: Problem, folder: Path) -> dict[str, Any]:
    worker = prepared(where, problem, folder)
    written = Path(mkdtemp(dir=folder))
    answer = ask(worker, op="tensors", folder=str(written), epochs=2)
    assert answer["ok"], answer
    assert answer["layout"] == "dense, C order"
    return exchange.read(written, exchange.tensor_shapes(problem, 2))


@pytest.mark.parametrize("problem", PROBLEMS, ids=name)
def test_every_tensor_of_a_worker_agrees(variant: str, problem: Problem, tmp_path: Path) -> None:
    reference = tensors_of("numpy", problem, tmp_path)
    exact = tensors_of("numpy", in_float64(problem), tmp_path)
    candidate = tensors_of(variant, problem, tmp_path)
    assert candidate.keys() == reference.keys()
    if implementation(variant).describe()["denormals"] == "flushed":
        assert variant == VARIANTS[2]  # MAX leaves no choice; no other variant may
        assert not candidate.pop(FLUSHED).any()
        assert reference.pop(FLUSHED).any()
        exact.pop(FLUSHED)
    result = check(problem, "numpy", NAMES[variant], reference, candidate, exact)
    assert result.ok, result.reason
    assert {tensor.name for tensor in result.tensors} >= candidate.keys()


def test_the_gate_of_a_run_lets_them_pass() -> None:
    problems = (PROBLEMS[3], PROBLEMS[4])
    order = Request("", cases_of(problems), workers_of(VARIANTS[:2]))
    results, faults = check_parity(order, Quiet())
    assert faults == []
    assert [result.reason for result in results] == [""] * 4


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_initial_weights_and_shuffles_are_the_same_to_the_bit(
    variant: str, dtype: str, seed: int
) -> None:
    options: dict[str, Any] = {"seed": seed, "dtype": dtype, "batch_size": 1, "max_epochs": 2}
    theirs = MLP([1, 3, 1], learning_rate=0.0, **options)
    mine = NETWORKS[variant]([1, 3, 1], learning_rate=0.0, **options)
    for left, right in zip(theirs.weights, mine.weights, strict=True):
        assert np.array_equal(left, right)
        assert left.dtype == right.dtype
    # Weights of zero and targets that are all different: each loss tells which row was its batch.
    zeros = [np.zeros_like(array) for array in theirs.weights]
    X = np.arange(1.0, 41.0, dtype=dtype)[:, np.newaxis]
    for network in (theirs, mine):
        network.weights = zeros
    losses = [network.fit(X, X).training_loss for network in (theirs, mine)]
    assert np.array_equal(*losses)
    assert len(np.unique(losses[0])) == 40
    mine.reset()
    assert np.array_equal(mine.weights[0], MLP([1, 3, 1], **options).weights[0])


def test_a_short_validation_set_gives_nan_in_the_same_places(variant: str) -> None:
    X = np.linspace(0.0, 1.0, 30)[:, np.newaxis]
    histories = [
        network([1, 4, 1], max_epochs=2, batch_size=10, seed=3).fit(X, X**2, X[:15], X[:15])
        for network in (MLP, NETWORKS[variant])
    ]
    for losses in ("training_loss", "validation_loss"):
        theirs, mine = (getattr(history, losses) for history in histories)
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    assert np.isnan(histories[1].validation_loss).tolist() == [False, False, True] * 2
    assert NETWORKS[variant]([1, 1], max_epochs=1, batch_size=3).fit(X, X).validation_loss.size == 0


def test_times_are_taken_of_what_there_is_and_no_more(variant: str, tmp_path: Path) -> None:
    worker = prepared(variant, PROBLEMS[2], tmp_path)
    for phase in ("forward", "backprop", "epoch", "call", "timer"):
        answer = ask(worker, op="sample", phase=phase, loops=3)
        assert answer["ok"], answer
        assert answer["elapsed_ns"] > 0
    for phase in ("peak", "forward-products", "loss", "epoch-floor"):
        answer = ask(worker, op="sample", phase=phase, loops=1)
        assert answer["message"] == f"{NAMES[variant]} has no phase {phase!r}"


def test_what_is_timed_leaves_no_batch_behind(variant: str) -> None:
    mine, network = implementation(variant), NETWORKS[variant]([7, 17, 1], seed=0)
    data = data_for(PROBLEMS[2])
    network.forward(data.X[:5])
    mine.time("forward", 1, network, data.X, data.y, 19)
    assert network.activations == ()
    with pytest.raises(RuntimeError, match="needs a forward first"):
        network.backprop(data.y[:19])


def test_a_result_that_does_not_fit_is_refused(variant: str) -> None:
    mine, network = implementation(variant), NETWORKS[variant]([7, 17, 1], seed=0)
    data = data_for(PROBLEMS[2])
    frozen = np.empty(19)
    frozen.flags.writeable = False
    for wrong in (np.empty(18), np.empty((19, 1)), np.empty(19, "f4"), np.empty(38)[::2], frozen):
        with pytest.raises(ValueError, match="result must be a dense array of 19 float64 numbers"):
            mine.time("forward", 1, network, data.X, data.y, 19, wrong)
    with pytest.raises(ValueError, match="batch_size must be from 1 to 60; got 61"):
        mine.time("forward", 1, network, data.X, data.y, 61)


def test_it_tells_what_it_is(variant: str) -> None:
    said = implementation(variant).describe()
    assert said["threads"] == 1
    assert said["versions"]["mojo"].startswith("1.2.0")
    assert ("max-core" in said["versions"]) == (variant == VARIANTS[2])
    assert {"mojo target cpu", "flags", "simd width float64"} <= said["facts"].keys()
    assert (implementation(variant).name, implementation(variant).language) == (
        NAMES[variant],
        "Mojo",
    )


def test_more_than_one_thread_is_refused_in_words(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"{NAMES[variant]} computes on one thread and was asked for 2; time it with --threads 1"
    with pytest.raises(ValueError, match=words):
        implementation(variant).create(Problem((1, 1), 1, 1, "float64", 2))
    monkeypatch.setenv("MOJO_IMPL_THREADS", "2")
    answer = ask(Worker(implementation(variant)), op="describe")
    assert (answer["error"], answer["message"]) == ("ValueError", words)


def test_a_run_with_two_threads_says_why_it_does_not_time_them() -> None:
    problem = Problem((2, 3, 1), 2, 4, "float64", 2)
    order = Request("", cases_of((problem,)), workers_of(VARIANTS[:1]))
    results, faults = check_parity(order, Quiet())
    assert results == []
    assert faults
    assert all("mojo-port computes on one thread" in fault.reason for fault in faults)


X, Y = np.ones((4, 2)), np.ones((4, 1))
REFUSED = {
    "X of another dtype": lambda n: n.forward(X.astype("f4")),
    "X too wide": lambda n: n.forward(np.ones((4, 3))),
    "X empty": lambda n: n.predict(X[:0]),
    "X no array": lambda n: n.forward([[1.0, 2.0]]),
    "no forward": lambda n: n.backprop(Y),
    "too few targets": lambda n: (n.forward(X), n.backprop(Y[:3])),
    "loss of two lengths": lambda n: n.loss(Y, Y[:2]),
    "step without all": lambda n: n.step([], []),
    "step of wrong shape": lambda n: n.step([X, Y], [Y, Y]),
    "weights of wrong shape": lambda n: setattr(n, "weights", [X, Y]),
    "biases of wrong dtype": lambda n: setattr(n, "biases", [b.astype("f4") for b in n.biases]),
    "fit of NaN": lambda n: n.fit(X * np.nan, Y),
    "fit of too few rows": lambda n: n.fit(X[:1], Y[:1]),
    "fit without y_val": lambda n: n.fit(X, Y, X),
    "no layers": lambda n: type(n)([3]),
    "a dtype": lambda n: type(n)([1, 1], dtype="int8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_have_the_words_of_the_twin(variant: str, case: str) -> None:
    said = []
    for network in (MLP, NETWORKS[variant]):
        with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:
            REFUSED[case](network([2, 3, 1], batch_size=2, seed=0))
        said.append((caught.type, str(caught.value)))
    assert said[0] == said[1]


def test_arrays_need_not_be_dense_and_are_kept_apart(variant: str) -> None:
    theirs, mine = MLP([2, 3, 1], seed=1), NETWORKS[variant]([2, 3, 1], seed=1)
    wide = np.asfortranarray(np.arange(24.0).reshape(4, 6))[:, ::3]
    np.testing.assert_allclose(mine.forward(wide), theirs.forward(wide), rtol=1e-13)
    wide[:] = -1.0
    assert mine.activations[0].max() == 21.0
    for arrays in (mine.weights, mine.biases, mine.activations):
        assert not any(array.flags.writeable for array in arrays)
    mine.biases = [bias + 2 for bias in mine.biases]
    assert [bias.tolist() for bias in mine.biases] == [[[2.0] * 3], [[2.0]]]
    mine.reset()
    assert mine.activations == ()
    assert not mine.biases[0].any()


def test_importing_the_variants_loads_nothing() -> None:
    code = (
        "import mojo_impl.variants.implementations as r; print(r.extension.cache_info().currsize)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.stdout == "0\n", done.stderr


class Quiet:
    """Tells nobody how far it is."""

    def stage(self, name: str, total: float) -> None: ...
    def now(self, text: str) -> None: ...
    def advance(self, amount: float) -> None: ...
    def note(self, text: str) -> None: ...
