"""Runs the same cases through both languages: every tensor, and the losses over epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import DTYPES, PROBLEMS, SEED_NETWORK, in_float64, name, run

import mojo_impl
from bench.model.records import Problem
from bench.workers.datasets import DataSet, data_for, regression, sinc
from bench.workers.parity import check

Twins = tuple[Any, Any]


def assert_parity(twins: Twins, problem: Problem, **options: Any) -> dict[str, np.ndarray]:
    """Check one problem and return the tensors of NumPy."""
    reference, candidate = (run(network, problem, **options) for network in twins)
    double = run(twins[0], in_float64(problem), **options)
    result = check(problem, "numpy", "mojo", reference, candidate, double)
    assert result.ok, result.reason
    for key, tensor in candidate.items():
        assert tensor.flags.c_contiguous, key
    return reference


@pytest.mark.parametrize("problem", PROBLEMS, ids=name)
def test_every_tensor_and_the_losses_agree(twins: Twins, problem: Problem) -> None:
    reference = assert_parity(twins, problem)
    layers = len(problem.layer_sizes) - 1
    assert len(reference) == 7 * layers + 5
    batches = 2 * (problem.rows // problem.batch_size)
    for losses in ("training_loss", "validation_loss"):
        assert reference[losses].shape == (batches,)
        assert reference[losses].dtype == np.float64
        assert np.isfinite(reference[losses]).all()


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32 - 1])
def test_the_seed_network_trains_alike_for_many_epochs(twins: Twins, seed: int) -> None:
    data = data_for(SEED_NETWORK)
    histories = [
        network(SEED_NETWORK.layer_sizes, max_epochs=40, seed=seed).fit(
            data.X, data.y, data.X_val, data.y_val
        )
        for network in twins
    ]
    for losses in ("training_loss", "validation_loss"):
        reference, candidate = (getattr(history, losses) for history in histories)
        np.testing.assert_allclose(candidate, reference, rtol=1e-10, atol=0)
    assert histories[0].training_loss[-25:].mean() < 0.01 * histories[0].training_loss[:5].mean()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("sizes", "batch_size", "rows"), [((1024,) * 4, 256, 512), ((1, *[150] * 9, 1), 20, 500)]
)
def test_the_networks_of_the_benchmark_agree(
    twins: Twins, sizes: tuple[int, ...], batch_size: int, rows: int, dtype: Any
) -> None:
    assert_parity(twins, Problem(sizes, batch_size, rows, dtype, 1), epochs=1)


@given(
    sizes=st.lists(st.integers(1, 70), min_size=2, max_size=6),
    batch_size=st.integers(1, 40),
    extra_rows=st.integers(0, 90),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
    epochs=st.integers(0, 3),
)
def test_random_networks_agree(
    twins: Twins, sizes: list[int], batch_size: int, extra_rows: int, dtype: Any, seed: int,
    epochs: int,
) -> None:  # fmt: skip
    problem = Problem(tuple(sizes), batch_size, batch_size + extra_rows, dtype, 1)
    data = regression(sizes[0], sizes[-1], problem.rows, seed % 1000)
    assert_parity(twins, problem, seed=seed, epochs=epochs, data=data)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 19, 20, 21, 30, 45])
def test_a_short_validation_set_gives_nan_in_the_same_places(
    twins: Twins, rows: int, dtype: Any
) -> None:
    data = DataSet("sinc", *(a.astype(dtype) for a in sinc(100).arrays().values()))
    losses = [
        network([1, 9, 1], max_epochs=2, seed=0, dtype=dtype)
        .fit(data.X, data.y, data.X_val[:rows], data.y_val[:rows])
        .validation_loss
        for network in twins
    ]
    there = np.arange(5) * 20 < rows
    for found in losses:
        np.testing.assert_array_equal(np.isfinite(found), np.tile(there, 2))
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-10 if dtype == "float64" else 1e-4)


def test_without_validation_data_the_history_has_none(twins: Twins) -> None:
    data = sinc(40)
    for network in twins:
        history = network([1, 3, 1], max_epochs=3, seed=0).fit(data.X, data.y)
        assert history.training_loss.shape == (6,)
        assert history.validation_loss.shape == (0,)
        assert history.validation_loss.dtype == np.float64


def test_progress_is_told_once_per_epoch(twins: Twins) -> None:
    data = sinc(40)
    told: list[list[tuple[int, float]]] = []
    for network in twins:
        calls: list[tuple[int, float]] = []
        history = network([1, 3, 1], max_epochs=3, seed=0).fit(
            data.X, data.y, progress=lambda epoch, loss, calls=calls: calls.append((epoch, loss))
        )
        means = history.training_loss.reshape(3, -1).mean(axis=1)
        assert calls == [(epoch, pytest.approx(mean)) for epoch, mean in enumerate(means, 1)]
        assert all(type(epoch) is int and type(loss) is float for epoch, loss in calls)
        told.append(calls)
    assert [epoch for epoch, _ in told[0]] == [1, 2, 3]


def test_nothing_is_printed(twins: Twins, capfd: pytest.CaptureFixture[str]) -> None:
    data = sinc(40)
    for network in twins:
        network([1, 3, 1], max_epochs=3, seed=0).fit(data.X, data.y, data.X_val, data.y_val)
    assert capfd.readouterr() == ("", "")


def test_an_error_of_progress_comes_through(MLP: Any) -> None:
    def stop(epoch: int, loss: float) -> None:
        raise KeyboardInterrupt(f"at {epoch}")

    data = sinc(40)
    with pytest.raises(KeyboardInterrupt, match="at 1"):
        MLP([1, 3, 1], max_epochs=3, seed=0).fit(data.X, data.y, progress=stop)


def test_the_stream_runs_on_through_fits(twins: Twins) -> None:
    """Two fits of one epoch are one fit of two, and differ from a fresh start."""
    data = sinc(60)
    for network in twins:
        whole = network([1, 5, 1], max_epochs=2, seed=3).fit(data.X, data.y).training_loss
        halves = network([1, 5, 1], max_epochs=1, seed=3)
        found = [halves.fit(data.X, data.y).training_loss for _ in range(2)]
        np.testing.assert_array_equal(np.concatenate(found), whole)


def test_parameters_set_by_hand_are_used_and_copied(MLP: Any) -> None:
    network = MLP([2, 3, 1], seed=0)
    weights = [np.arange(6.0).reshape(2, 3), np.ones((3, 1))]
    biases = [np.full((1, 3), -1.0), np.full((1, 1), 0.5)]
    network.weights, network.biases = weights, tuple(biases)
    X = np.array([[1.0, 2.0]])
    expected = np.maximum(X @ weights[0] - 1, 0) @ weights[1] + 0.5
    weights[0][:] = 99
    biases[0][:] = 99
    np.testing.assert_array_equal(network.forward(X), expected)
    np.testing.assert_array_equal(network.predict(X), expected)
    with pytest.raises(ValueError, match="read-only"):
        network.weights[0][0, 0] = 7
    np.testing.assert_array_equal(network.predict(X), expected)


def test_predict_leaves_the_cache_of_forward(twins: Twins) -> None:
    data = regression(3, 2, 8)
    for network in (n([3, 4, 2], seed=0) for n in twins):
        network.forward(data.X)
        expected = network.backprop(data.y)
        network.predict(data.X_val)
        found = network.backprop(data.y)
        for one, other in zip(expected, found, strict=True):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a, b)


def test_reset_is_a_fresh_start(twins: Twins) -> None:
    data = sinc(60)
    for network in (n([1, 5, 1], max_epochs=2, seed=3) for n in twins):
        before = [np.array(w) for w in network.weights]
        losses = network.fit(data.X, data.y, data.X_val, data.y_val)
        network.forward(data.X)
        network.biases = [np.ones_like(b) for b in network.biases]
        network.reset()
        assert network.activations == ()
        assert not any(b.any() for b in network.biases)
        for one, other in zip(network.weights, before, strict=True):
            np.testing.assert_array_equal(one, other)
        again = network.fit(data.X, data.y, data.X_val, data.y_val)
        np.testing.assert_array_equal(again.training_loss, losses.training_loss)
        np.testing.assert_array_equal(again.validation_loss, losses.validation_loss)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(784, 512, 512, 10), (512, 700, 300)])
def test_the_number_of_threads_changes_no_bit_of_mojo(sizes: tuple[int, ...], dtype: Any) -> None:
    problem = Problem(sizes, 128, 256, dtype, 1)
    found = []
    before = mojo_impl.get_threads()
    try:
        for threads in (1, 2, 3):
            mojo_impl.set_threads(threads)
            assert mojo_impl.get_threads() == threads
            found.append(run(mojo_impl.MLP, problem, epochs=1))
    finally:
        mojo_impl.set_threads(before)
    for other in found[1:]:
        for key, tensor in found[0].items():
            np.testing.assert_array_equal(other[key], tensor, err_msg=key)
