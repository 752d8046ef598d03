"""Shows that the parity check catches wrong mathematics at every size, and only that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from shapes import PROBLEMS, in_float64, name, run

from bench.model.records import ParityResult, Problem
from bench.workers.datasets import data_for
from bench.workers.parity import TOLERANCES, check
from python_impl import MLP

Tensors = dict[str, np.ndarray]


class Reordered(MLP):
    """A correct network that adds in another order: backwards, and in two halves."""

    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        half = (a.shape[1] + 1) // 2
        first = a[:, ::-1][:, :half] @ b[::-1][:half]
        return first if half == a.shape[1] else first + a[:, ::-1][:, half:] @ b[::-1][half:]

    def forward(self, X: np.ndarray) -> np.ndarray:
        activations, pre_activations = [X], []
        for layer, (w, b) in enumerate(zip(self._weights, self._biases, strict=True)):
            z = self.product(activations[-1], w) + b
            pre_activations.append(z)
            activations.append(z if layer == len(self._weights) - 1 else self.activate(z))
        self._activations, self._pre_activations = activations, pre_activations
        return activations[-1]

    def activate(self, z: np.ndarray) -> np.ndarray:
        return np.maximum(z, 0)

    def gate(self, z: np.ndarray) -> np.ndarray:
        return z > 0

    def sum_of(self, delta: np.ndarray) -> np.ndarray:
        return delta[::-1].sum(axis=0, keepdims=True)

    def backprop(self, y: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        grads_w, grads_b = [], []
        delta = self._activations[-1] - y
        for layer in reversed(range(len(self._weights))):
            grads_w.append(self.product(self._activations[layer].T, delta))
            grads_b.append(self.sum_of(delta))
            if layer:
                through = self.product(delta, self._weights[layer].T)
                delta = through * self.gate(self._pre_activations[layer - 1])
        return grads_w[::-1], grads_b[::-1]

    def predict(self, X: np.ndarray) -> np.ndarray:
        kept = self._activations, self._pre_activations
        y_hat = self.forward(X)
        self._activations, self._pre_activations = kept
        return y_hat


class NoGate(Reordered):
    """Forgets the derivative of the ReLU."""

    def gate(self, z: np.ndarray) -> np.ndarray:
        return np.ones_like(z)


class LeakyGate(Reordered):
    """Takes a leaky derivative, 0.1 below 0."""

    def gate(self, z: np.ndarray) -> np.ndarray:
        return np.where(z > 0, 1, 0.1).astype(z.dtype)


class LeakyActivation(Reordered):
    """Leaks a little in the activation."""

    def activate(self, z: np.ndarray) -> np.ndarray:
        return np.where(z > 0, z, z * z.dtype.type(0.001))


class LastRowForgotten(Reordered):
    """Leaves the last row of a batch out of the bias gradients."""

    def sum_of(self, delta: np.ndarray) -> np.ndarray:
        return delta[:-1].sum(axis=0, keepdims=True)


class MeanForSum(Reordered):
    """Takes the mean for the sum in the bias gradients."""

    def sum_of(self, delta: np.ndarray) -> np.ndarray:
        return delta.mean(axis=0, keepdims=True)


class StepNotDivided(Reordered):
    """Forgets to divide the step by the batch size."""

    def step(self, grads_w: Any, grads_b: Any) -> None:
        for parameters, grads in ((self._weights, grads_w), (self._biases, grads_b)):
            for parameter, grad in zip(parameters, grads, strict=True):
                parameter -= self.learning_rate * grad


class StepOnce(Reordered):
    """Steps the weights but not the biases."""

    def step(self, grads_w: Any, grads_b: Any) -> None:
        super().step(grads_w, [np.zeros_like(grad) for grad in grads_b])


class StepAscends(Reordered):
    """Adds where it should subtract."""

    def step(self, grads_w: Any, grads_b: Any) -> None:
        super().step([-grad for grad in grads_w], [-grad for grad in grads_b])


class LossOfHalf(Reordered):
    """Halves the loss, as the one that is differentiated is halved."""

    def loss(self, y: np.ndarray, y_hat: np.ndarray) -> float:
        return super().loss(y, y_hat) / 2


class OtherSeed(Reordered):
    """Starts from other weights."""

    def __init__(self, *arguments: Any, seed: int, **options: Any) -> None:
        super().__init__(*arguments, seed=seed + 1, **options)


class NoShuffle(Reordered):
    """Shuffles with a stream that starts anew, so draws another order."""

    def fit(self, *data: Any, **options: Any) -> Any:
        self._random = np.random.RandomState(self.seed)
        return super().fit(*data, **options)


CLASSES = (
    NoGate, LeakyGate, LeakyActivation, LastRowForgotten, MeanForSum, StepNotDivided, StepOnce,
    StepAscends, LossOfHalf, OtherSeed, NoShuffle,
)  # fmt: skip

_cache: dict[tuple[type, Problem], Tensors] = {}


def tensors_of(network: type, problem: Problem) -> Tensors:
    """Run a network of this file once per problem."""
    key = network, problem
    if key not in _cache:
        with np.errstate(all="ignore"):  # a wrong network may run away
            _cache[key] = run(network, problem, epochs=1)
    return dict(_cache[key])


def judge(problem: Problem, candidate: Tensors) -> ParityResult:
    reference = tensors_of(MLP, problem)
    return check(
        problem, "numpy", "other", reference, candidate, tensors_of(MLP, in_float64(problem))
    )


def same_in_effect(problem: Problem, network: type) -> bool:
    """Whether a fault does nothing here: a batch of 1 has no sum, an open gate stops nothing.

    In float32 the trajectory after the first loss tells only a network that does not learn.
    """
    reference, faulty = (tensors_of(kind, in_float64(problem)) for kind in (MLP, network))
    first = slice(None) if problem.dtype == "float64" else slice(1)
    for tensors in (reference, faulty):
        tensors["training_loss"] = tensors["training_loss"][first]
        del tensors["validation_loss"]
    return all(np.allclose(reference[key], faulty[key], rtol=1e-9, atol=0) for key in reference)


@pytest.mark.parametrize("problem", PROBLEMS, ids=name)
def test_another_order_of_additions_passes(problem: Problem) -> None:
    result = judge(problem, tensors_of(Reordered, problem))
    assert result.ok, result.reason
    assert all(tensor.ok for tensor in result.tensors)
    assert result.reason == ""


@pytest.mark.parametrize("network", CLASSES)
@pytest.mark.parametrize("problem", PROBLEMS, ids=name)
def test_a_wrong_network_is_caught(problem: Problem, network: type) -> None:
    if same_in_effect(problem, network):
        assert problem.batch_size == 1 or max(problem.layer_sizes[1:-1], default=0) <= 2
        return
    result = judge(problem, tensors_of(network, problem))
    assert not result.ok
    assert not all(tensor.ok for tensor in result.tensors)
    assert "tolerance" in result.reason


def scaled(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda tensor: (tensor * factor).astype(tensor.dtype)


def one_element(tensor: np.ndarray) -> np.ndarray:
    """Lose the largest element, as a kernel that misses the edge of a tile does."""
    changed = tensor.copy()
    changed.flat[np.abs(tensor).argmax()] = 0
    return changed


EDITS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "one part in a thousand": scaled(1.001),
    "turned": scaled(-1),
    "one element": one_element,
}


def edited(tensors: Tensors, kinds: tuple[str, ...], edit: Callable[..., Any]) -> Iterator[str]:
    """Edit each tensor of some kinds alone, in place, and undo it after its turn."""
    for key in [key for key in tensors if key.startswith(kinds)]:
        kept = tensors[key]
        tensors[key] = edit(kept)
        if not np.array_equal(tensors[key], kept):
            yield key
        tensors[key] = kept


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=name)
def test_one_wrong_tensor_is_caught_and_named(problem: Problem, edit: str) -> None:
    candidate = tensors_of(MLP, problem)
    kinds = ("initial", "activations", "y_hat", "loss", "grads", "stepped")
    seen = 0
    for key in edited(candidate, kinds, EDITS[edit]):
        result = judge(problem, candidate)
        assert not result.ok, key
        assert result.reason.startswith(f"{key} of other ")
        assert [tensor.name for tensor in result.tensors if not tensor.ok] == [key]
        seen += 1
    assert seen >= 6


@pytest.mark.parametrize("problem", PROBLEMS, ids=name)
def test_a_transposed_gradient_is_caught(problem: Problem) -> None:
    candidate = tensors_of(MLP, problem)
    for key in edited(candidate, ("grads_w",), lambda tensor: tensor.T.copy()):
        result = judge(problem, candidate)
        assert not result.ok
        assert result.reason.startswith(key)


@pytest.mark.parametrize("problem", PROBLEMS[:2], ids=name)
def test_initial_parameters_are_held_to_the_bit(problem: Problem) -> None:
    candidate = tensors_of(MLP, problem)
    candidate["initial weights[0]"] = np.nextafter(candidate["initial weights[0]"], 9)
    assert "initial weights[0] of other is not bit for bit" in judge(problem, candidate).reason
    candidate = tensors_of(MLP, problem)
    candidate["initial biases[0]"] = -candidate["initial biases[0]"]  # -0.0
    assert "initial biases[0] of other is not bit for bit" in judge(problem, candidate).reason


PROBLEM = Problem((3, 2, 1), 5, 23, "float64", 1)


def test_missing_and_unknown_tensors() -> None:
    candidate = tensors_of(MLP, PROBLEM)
    del candidate["grads_b[1]"]
    candidate["extra"] = np.zeros((2, 3))
    result = judge(PROBLEM, candidate)
    assert result.reason == "grads_b[1] is missing from other (and 1 more)"
    assert {
        tensor.name: (tensor.shape, tensor.ok) for tensor in result.tensors if not tensor.ok
    } == {
        "grads_b[1]": ((1, 1), False),
        "extra": ((2, 3), False),
    }


def test_a_missing_trajectory_takes_its_first_loss_with_it() -> None:
    candidate = tensors_of(MLP, PROBLEM)
    del candidate["training_loss"]
    result = judge(PROBLEM, candidate)
    assert result.reason == "training_loss[0] is missing from other (and 1 more)"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.T.copy(), "y_hat has shape (1, 5) in other and (5, 1) in numpy"),
        (lambda t: t.astype(np.float32), "y_hat of other is float32, not float64"),
        (lambda t: t.astype(">f8"), "y_hat of other is >f8, not float64"),
    ],
)
def test_shape_and_dtype_must_match(change: Callable[[Any], Any], words: str) -> None:
    candidate = tensors_of(MLP, PROBLEM)
    candidate["y_hat"] = change(candidate["y_hat"])
    assert judge(PROBLEM, candidate).reason == words


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "+inf"), (-np.inf, "-inf")])
def test_non_finite_values_must_stand_in_the_same_places(value: float, word: str) -> None:
    reference, candidate = tensors_of(MLP, PROBLEM), tensors_of(MLP, PROBLEM)
    for tensors in (reference, candidate):
        tensors["y_hat"] = tensors["y_hat"].copy()
        tensors["y_hat"][[0, 3]] = value
    assert check(PROBLEM, "numpy", "other", reference, candidate, reference).ok
    candidate["y_hat"][1] = value
    result = check(PROBLEM, "numpy", "other", reference, candidate, reference)
    words = f"y_hat of other has {word} in other places than numpy: 1 of 5 differ"
    assert result.reason == words
    candidate["y_hat"] = -reference["y_hat"]
    assert not check(PROBLEM, "numpy", "other", reference, candidate, reference).ok


def test_every_result_can_be_stored() -> None:
    """JSON has no infinity: the error of what cannot be compared is finite."""
    candidate = tensors_of(MLP, PROBLEM)
    candidate["loss"] = np.array(np.inf)
    candidate["y_hat"] = np.zeros(3)
    result = judge(PROBLEM, candidate)
    text = msgspec.json.encode(result)
    assert msgspec.json.decode(text, type=ParityResult) == result
    assert [tensor["error"] for tensor in json.loads(text)["tensors"] if not tensor["ok"]] == [2, 2]


@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e300, 1.7e308])
def test_errors_do_not_depend_on_the_size_of_the_numbers(size: float) -> None:
    reference, candidate = tensors_of(MLP, PROBLEM), tensors_of(MLP, PROBLEM)
    reference["grads_w[0]"] = np.full((3, 2), size)
    candidate["grads_w[0]"] = np.full((3, 2), size)
    assert check(PROBLEM, "numpy", "other", reference, candidate, reference).ok
    candidate["grads_w[0]"] = -candidate["grads_w[0]"]
    result = check(PROBLEM, "numpy", "other", reference, candidate, reference)
    assert next(t.error for t in result.tensors if t.name == "grads_w[0]") == pytest.approx(2)
    assert not result.ok


def with_a_gate_near_zero(problem: Problem, sign: float, bias_factor: float = 1) -> Tensors:
    """Compute one batch with the first layer's pre-activation nearest 0 a rounding away from 0."""
    data = data_for(problem)
    X, y = data.X[: problem.batch_size], data.y[: problem.batch_size]
    network = MLP(problem.layer_sizes, seed=0, dtype=problem.dtype)
    network.forward(X)
    z = network._pre_activations[0]
    place = np.abs(z).argmin()
    z.flat[place] = sign * np.finfo(problem.dtype).eps * np.abs(z).max() / 2
    for layer in range(1, len(problem.layer_sizes) - 1):
        a = np.maximum(z, 0)
        z = a @ network._weights[layer] + network._biases[layer]
        network._activations[layer], network._pre_activations[layer] = a, z
    network._activations[-1] = z
    grads_w, grads_b = network.backprop(y)
    found = {f"activations[{layer}]": a for layer, a in enumerate(network.activations)}
    found |= {"y_hat": z, "loss": np.array(network.loss(y, z))}
    found |= {f"grads_w[{layer}]": grad for layer, grad in enumerate(grads_w)}
    return found | {
        f"grads_b[{layer}]": (grad * bias_factor).astype(problem.dtype)
        for layer, grad in enumerate(grads_b)
    }


@pytest.mark.parametrize(
    "problem",
    [p for p in PROBLEMS if len(p.layer_sizes) > 2 and p.batch_size * p.layer_sizes[1] >= 50],
    ids=name,
)
def test_a_gate_on_the_other_side_passes_and_a_fault_beside_it_does_not(problem: Problem) -> None:
    reference, other = (with_a_gate_near_zero(problem, sign) for sign in (1, -1))
    assert not np.allclose(reference["grads_w[0]"], other["grads_w[0]"], rtol=1e-6, atol=0)
    result = check(problem, "numpy", "other", reference, other, reference)
    assert result.ok, result.reason
    wrong = with_a_gate_near_zero(problem, -1, bias_factor=2)
    result = check(problem, "numpy", "other", reference, wrong, reference)
    assert result.reason.startswith("grads_b[0] of other differs from numpy: error 0.5")


def test_a_reference_of_another_case_cannot_open_the_gate() -> None:
    """Were `reference64` not of this case, its distance would excuse everything."""
    problem = PROBLEMS[11]
    reference, candidate = tensors_of(MLP, problem), tensors_of(NoGate, problem)
    stranger = run(MLP, in_float64(problem), seed=99)
    assert check(problem, "numpy", "other", reference, reference, stranger).ok
    assert not check(problem, "numpy", "other", reference, candidate, stranger).ok


def test_every_tolerance_tells_its_origin() -> None:
    for tolerance in TOLERANCES.values():
        assert tolerance.value >= 0
        assert len(tolerance.of.split()) >= 2
        assert len(tolerance.origin.split()) >= 8
