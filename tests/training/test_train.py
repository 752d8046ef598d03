"""`bench train` and `bench predict`: both are trained alike, shown as they are, and read again."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from program_run import train as run_program

from bench.model.errors import UsageError
from bench.model.records import DType
from bench.report.charts.training import training_chart
from bench.training import train as training
from bench.training.datasets import Task, task
from bench.training.train import (
    Settings,
    Side,
    has_run_away,
    predict,
    same_tensors,
    smoothed,
    train,
)
from bench.training.weights import Weights, load_weights
from bench.workers.datasets import sinc

Bench = Callable[..., tuple[int, str, str]]
SMALL = Settings(rate=0.01, epochs=4, batch_size=20, seed=3, threads=1)
HAS_DATA = importlib.util.find_spec("sklearn") is not None
needs_data = pytest.mark.skipif(not HAS_DATA, reason="scikit-learn is not installed")


def small(dtype: DType = "float64") -> Task:
    found = task("sinc", dtype)
    return Task(found.data, found.title, (1, 8, 8, 1), 20, 4)


def side(name: str, training_loss: Any, validation_loss: Any, curve: Any) -> Side:
    found = Weights((np.ones((1, 1)),), (np.ones((1, 1)),))
    losses = np.asarray(training_loss, float), np.asarray(validation_loss, float)
    return Side(name, 1.5, *losses, np.asarray(curve, float)[:500], np.asarray(curve, float), found)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_side_is_trained_as_its_class_trains(twins: tuple[Any, Any], dtype: DType) -> None:
    found = small(dtype)
    for name, MLP in zip(training.SIDES, twins, strict=True):
        seen: list[tuple[int, float]] = []
        times = iter((10.0, 12.5))
        one = train(name, found, SMALL, lambda *now: seen.append(now), lambda: next(times))  # noqa: B023
        network = MLP((1, 8, 8, 1), 0.01, 4, 20, 3, dtype)
        data = found.data
        history = network.fit(data.X, data.y, data.X_val, data.y_val)
        assert one.seconds == 2.5
        assert np.array_equal(one.training_loss, history.training_loss)
        assert np.array_equal(one.validation_loss, history.validation_loss)
        assert [epoch for epoch, _ in seen] == [1, 2, 3, 4]
        assert np.array_equal(one.predictions, network.predict(data.X_test))
        assert one.curve.shape == (601, 1)
        assert one.weights.dtype == dtype
        assert np.array_equal(predict(one.weights, data.X_test, name), one.predictions)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_both_are_held_to_the_table_of_parity(
    monkeypatch: pytest.MonkeyPatch, dtype: DType
) -> None:
    good = same_tensors(small(dtype), SMALL)
    assert good.ok, good.reason
    assert {"y_hat", "grads_w[0]", "training_loss"} <= {check.name for check in good.tensors}
    of = training.network_class

    def faulty(name: str) -> Callable[..., Any]:
        class Faulty(of(name)):  # type: ignore[misc]
            def step(self, grads_w: Any, grads_b: Any) -> None:
                super().step([gradient * 1.01 for gradient in grads_w], grads_b)

        return Faulty if name == "Mojo" else of(name)

    monkeypatch.setattr(training, "network_class", faulty)
    assert not same_tensors(small(dtype), SMALL).ok


def test_a_batch_beyond_the_data_is_refused() -> None:
    with pytest.raises(UsageError, match="--batch is 501 but there are only 500 rows"):
        training.problem_of(small(), Settings(0.01, 1, 501, 1, 1))


@given(st.integers(1, 600), st.integers(1, 7), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_smoothing_keeps_means_and_ends(epochs: int, batches: int, most: int, seed: int) -> None:
    losses = np.random.RandomState(seed).uniform(0, 5, epochs * batches)
    epoch, mean, low, high = smoothed(losses, epochs, most)
    assert 1 <= len(epoch) == len(mean) <= min(most, epochs)
    assert (np.diff(epoch) > 0).all()
    assert (low <= mean + 1e-12).all()
    assert (mean <= high + 1e-12).all()
    assert low.min() == losses.min()
    assert high.max() == losses.max()
    if epochs <= most:
        assert np.allclose(mean, losses.reshape(epochs, -1).mean(axis=1))
        assert np.array_equal(epoch, np.arange(1, epochs + 1))


def test_smoothing_leaves_out_what_is_not_there() -> None:
    losses = np.array([1.0, np.nan, 3.0, np.inf, np.nan, np.nan])
    _, mean, low, high = smoothed(losses, 3)
    assert mean.tolist()[:2] == [1.0, 3.0]
    assert math.isnan(mean[2])
    assert math.isnan(low[2])
    assert math.isnan(high[2])
    assert smoothed(np.array([1.5e308, 1.5e308]), 1)[1].tolist() == [1.5e308]


def drawn(sides: list[Side], epochs: int = 4) -> str:
    chart = training_chart(small(), Settings(0.01, epochs, 20, 3, 1), sides)
    ElementTree.fromstring(chart.svg)
    return chart.alt


def test_the_figure_tells_what_it_shows_and_is_the_same_each_time() -> None:
    sides = [
        train(name, small(), SMALL, clock=iter((0.0, 2.0)).__next__) for name in training.SIDES
    ]
    chart = training_chart(small(), SMALL, sides)
    assert chart.svg == training_chart(small(), SMALL, sides).svg
    words = ElementTree.fromstring(chart.svg)
    text = " ".join(words.itertext())
    for part in ("training data", "true curve", "NumPy", "Mojo", "training loss", "2.00 s"):
        assert part in text
    assert "NumPy and Mojo trained on a noisy sinc" in chart.alt
    assert "Wall time: NumPy 2.00 s, Mojo 2.00 s" in chart.alt
    first = chart.alt.index("Training loss: NumPy from ")
    assert "to" in chart.alt[first:]
    assert "4 epochs, batches of 20, learning rate 0.01, seed 3, float64" in chart.caption


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf, -math.inf, 1e308, 5e-324, -1.0])
def test_any_numbers_can_be_drawn(value: float) -> None:
    losses, curve = np.full(100, value), np.full((601, 1), value)
    alt = drawn([side("NumPy", losses, losses, curve), side("Mojo", losses, losses, curve)])
    assert "Wall time" in alt
    one = side("NumPy", np.ones(100), np.ones(100), np.ones((601, 1)))
    assert "Wall time" in drawn([one, side("Mojo", losses, losses, curve)])
    assert has_run_away(side("Mojo", losses, losses, curve)) == (not math.isfinite(value))


def test_the_command_trains_both_and_keeps_what_they_learned(bench: Bench, tmp_path: Path) -> None:
    options = ("--layers", "1,8,8,1", "--epochs", 4, "--seed", 3)
    code, out, err = bench("train", *options, "--out", tmp_path / "fit")
    assert code == 0, out + err
    for part in ("NumPy", "Mojo", "wall time", "mean error", "a noisy sinc. 4 epochs"):
        assert part in out
    assert "NumPy: 4 epochs in" in err
    assert "Mojo: 4 epochs in" in err
    files = {path.name for path in (tmp_path / "fit").iterdir()}
    assert files == {"training.svg", "numpy.npz", "mojo.npz"}
    ElementTree.parse(tmp_path / "fit" / "training.svg")
    one = train("Mojo", small(), SMALL).weights
    for mine, other in zip(load_weights(tmp_path / "fit" / "mojo.npz").weights, one.weights,
                           strict=True):  # fmt: skip
        assert np.array_equal(mine, other)
    code, again, _ = bench("predict", tmp_path / "fit" / "mojo.npz", "--row", "0.5", "--row=-2")
    expected = predict(one, np.array([[0.5], [-2.0]]), "Mojo")
    assert (code, again) == (0, "".join(f"{value!r}\n" for value in expected.ravel().tolist()))


def test_what_the_stand_alone_program_learned_can_be_asked(bench: Bench, tmp_path: Path) -> None:
    done = run_program(tmp_path / "fit", "--layers", "1,8,8,1", "--epochs", 4, "--seed", 3)
    assert done.code == 0, done.stderr
    np.save(tmp_path / "X.npy", sinc().X_test)
    words = ("--data", tmp_path / "X.npy", "--out", tmp_path / "y.npy", "--with")
    for name in ("mojo", "numpy"):
        assert bench("predict", tmp_path / "fit", *words, name)[:2] == (0, f"{tmp_path}/y.npy\n")
        assert np.allclose(np.load(tmp_path / "y.npy"), train("Mojo", small(), SMALL).predictions)


def test_a_training_that_runs_away_is_told(bench: Bench, tmp_path: Path) -> None:
    options = ("--layers", "1,8,1", "--epochs", 3, "--rate", "1e9")
    code, out, _ = bench("train", *options, "--out", tmp_path / "fit")
    assert code == 1
    assert "Mojo's training ran away: a loss is not finite; give a smaller --rate" in out
    assert "not finite" in out
    code, _, err = bench("predict", tmp_path / "fit" / "mojo.npz", "--row", "1")
    assert code == 2
    assert "holds numbers that are not finite" in err


def test_what_differs_is_not_trained(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = training.network_class
    seeds = {"NumPy": 1, "Mojo": 2}
    monkeypatch.setattr(
        training, "network_class",
        lambda name: lambda *a, **k: of(name)(*a, **{**k, "seed": seeds[name]}),
    )  # fmt: skip
    code, out, _ = bench("train", "--layers", "1,8,1", "--out", tmp_path / "fit")
    assert code == 1
    assert "do not compute the same, so nothing was trained: initial weights" in out
    assert not list((tmp_path / "fit").iterdir())


@pytest.mark.parametrize(("command", "codes"), [("train", "01230"), ("predict", "023")])
def test_help_has_examples_and_exit_codes(bench: Bench, command: str, codes: str) -> None:
    code, out, err = bench(command, "--help")
    assert (code, err) == (0, "")
    assert f"bench {command} " in out.partition("Examples")[2]
    assert all(f"{number} " in out.partition("Exit codes:")[2] for number in codes)


@pytest.mark.parametrize(("words", "message"), [
    (("train", "--rate", "inf"), "--rate must be a finite number"),
    (("train", "--batch", "501"), "--batch is 501 but there are only 500 rows"),
    (("train", "--layers", "2,1"), "--layers must begin with 1 and end with 1, as sinc-n500 has"),
    (("train", "--layers", "wide"), "'wide' is not a size"),
    (("train", "--out", "good.npz/at/all"), "good.npz/at/all cannot be made: Not a directory"),
    (("predict", "w.npz"), "give the inputs by --row, such as --row 0.5, or by --data FILE"),
    (("predict", "w.npz", "--row", "1", "--data", "X.npy"), "give the inputs by --row"),
    (("predict", "w.npz", "--row", "1"), "w.npz holds no weights that can be read: No such file"),
    (("predict", "good.npz", "--row", "a"), "--row must be numbers with commas between them"),
    (("predict", "good.npz", "--row", "1", "--row", "1,2"), "all rows must have as many numbers"),
    (("predict", "good.npz", "--row", "1,2"), "the network takes 1 numbers a row; there are 2"),
    (("predict", "good.npz", "--data", "good.npz"), "good.npz cannot be read"),
    (("predict", "good.npz", "--row", "1", "--out", "none/y.npy"), "none/y.npy cannot be written"),
])  # fmt: skip
def test_refusals(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...],
    message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    np.savez("good.npz", weights_0=np.ones((1, 1)), biases_0=np.ones((1, 1)))
    code, out, err = bench(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_a_missing_package_is_one_line(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    code, out, err = bench("train", "--dataset", "digits")
    assert (code, out) == (2, "")
    assert err == (
        "bench: the data set digits comes with scikit-learn, which is not installed; install it "
        "with: python -m pip install scikit-learn\n"
    )


def test_there_are_three_data_sets() -> None:
    with pytest.raises(UsageError, match="there are: sinc, digits, diabetes"):
        task("iris", "float64")


@needs_data
@pytest.mark.parametrize(("name", "shapes"), [
    ("digits", ((1258, 64), (1258, 10), (269, 64), (270, 10))),
    ("diabetes", ((309, 10), (309, 1), (67, 10), (66, 1))),
])  # fmt: skip
def test_real_data_is_cut_and_brought_to_size(name: str, shapes: Any) -> None:
    found = task(name, "float32")
    data = found.data
    assert (data.X.shape, data.y.shape, data.X_val.shape, data.y_test.shape) == shapes
    assert {array.dtype for array in data.arrays().values()} == {np.dtype("float32")}
    assert all(np.isfinite(array).all() for array in data.arrays().values())
    assert found.layer_sizes[0] == data.X.shape[1]
    assert found.layer_sizes[-1] == data.y.shape[1]
    if name == "digits":
        assert set(np.unique(data.y)) == {0.0, 1.0}
        assert (data.y.sum(axis=1) == 1).all()
        assert 0 <= data.X.min() < data.X.max() <= 1
    else:
        assert np.allclose(data.X.mean(axis=0), 0, atol=1e-5)
        assert np.allclose(data.X.std(axis=0), 1, atol=1e-5)
        assert found.scaling is not None
        back = training.unscaled(data.y, found.scaling)
        assert 20 < back.min() < back.max() < 350


@needs_data
@pytest.mark.parametrize(("name", "words"), [("digits", "% right"), ("diabetes", "mean error")])
def test_real_data_is_learned_alike(bench: Bench, tmp_path: Path, name: str, words: str) -> None:
    code, out, err = bench("train", "--dataset", name, "--epochs", 20, "--out", tmp_path)
    assert code == 0, out + err
    assert out.count(words) == 2
    found = load_weights(tmp_path / "mojo.npz")
    real = task(name, "float64")
    assert found.scaling is not None
    raw = real.data.X_test * found.scaling.x_scale + found.scaling.x_shift
    y = predict(found, raw, "NumPy")
    targets = training.unscaled(real.data.y_test, real.scaling)
    if name == "digits":
        assert training.accuracy(y, targets) > 0.9
    else:
        assert training.mean_error(y, targets) < 60
