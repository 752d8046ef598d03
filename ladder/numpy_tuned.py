"""NumPy for speed: memory that is made once, `out=`, in place, one update for all parameters.

Where the decisions come from: NumPy's reference says of every ufunc and of `matmul` that `out`
saves the new array, and of `ndarray.take` that with `out` and mode "clip" it needs no buffer. All
parameters lie in one array and all gradients in another, so that the update of a network is one
subtraction; the output delta is scaled by the rate before it goes down, which scales every gradient
and saves a pass through all of them. Bias gradients are a product with a row of ones: `sum` costs
three times as much where a batch is small. What NumPy does not offer, a product that is added to
what is there (BLAS has it as beta = 1), would need SciPy and is not used. `forward` and `backprop`
return memory that the next call fills again. Timed by the same calls as the baseline.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.implementations import Array, TimedByPython, blas_facts, denormals
from python_impl import MLP
from python_impl.checks import check_array, check_arrays


class Memory:
    """The arrays of one number of rows: results of every layer, masks, deltas."""

    def __init__(self, rows: int, sizes: Sequence[int], dtype: np.dtype[Any]) -> None:
        self.ones = np.ones((1, rows), dtype)
        self.X, self.y = np.empty((rows, sizes[0]), dtype), np.empty((rows, sizes[-1]), dtype)
        self.outputs = [np.empty((rows, size), dtype) for size in sizes[1:]]
        self.deltas = [np.empty_like(output) for output in self.outputs]
        self.masks = [np.empty(output.shape, np.bool) for output in self.outputs]
        self.squares = np.empty_like(self.outputs[-1])


class TunedMLP(MLP):
    """`python_impl.MLP` that makes nothing anew."""

    def reset(self) -> None:
        """Go back to the initial weights and to the start of the random stream."""
        kept = [self._weights, self._biases] if hasattr(self, "_flat") else []
        super().reset()
        initial = self._weights, self._biases
        if kept:  # memory that was touched before stays: no new pages under the clock
            self._weights, self._biases = kept
        else:
            self._memory: dict[int, Memory] = {}
            self._flat, self._weights, self._biases = self._views()
            self._gradient, self._grads_w, self._grads_b = self._views()
        for mine, first in zip((self._weights, self._biases), initial, strict=True):
            _fill(mine, first)

    @property
    def weights(self) -> tuple[Array, ...]:
        """The weights: read-only copies; assign to change them."""
        return super().weights

    @weights.setter
    def weights(self, arrays: Sequence[Array]) -> None:
        _fill(self._weights, check_arrays("weights", arrays, self._weights))

    @property
    def biases(self) -> tuple[Array, ...]:
        """The biases: read-only copies; assign to change them."""
        return super().biases

    @biases.setter
    def biases(self, arrays: Sequence[Array]) -> None:
        _fill(self._biases, check_arrays("biases", arrays, self._biases))

    def forward(self, X: Array) -> Array:
        """Compute the output for a batch; the array is filled again by the next call."""
        X = check_array("X", X, self.dtype, self.layer_sizes[0])
        return self._forward(X, self._of(len(X)))

    def backprop(self, y: Array) -> tuple[list[Array], list[Array]]:
        """Compute the gradients; the arrays are filled again by the next call."""
        if not self._activations:
            raise RuntimeError("backprop needs a forward first: call forward(X), then backprop(y)")
        y_hat = self._activations[-1]
        y = check_array("y", y, self.dtype, self.layer_sizes[-1], rows=len(y_hat))
        memory = self._of(len(y_hat))
        np.subtract(y_hat, y, out=memory.deltas[-1])
        self._backward(memory)
        return [*self._grads_w], [*self._grads_b]

    def _forward(self, X: Array, memory: Memory) -> Array:
        last, a = len(self._weights) - 1, X
        for layer, (w, b) in enumerate(zip(self._weights, self._biases, strict=True)):
            z = memory.outputs[layer]
            np.matmul(a, w, out=z)
            np.add(z, b, out=z)
            a = np.maximum(z, 0, out=z) if layer < last else z
        self._activations = [X, *memory.outputs]
        return a

    def _backward(self, memory: Memory) -> None:
        """Take the last delta down through the layers: into the gradients."""
        for layer in reversed(range(len(self._weights))):
            delta = memory.deltas[layer]
            np.matmul(self._activations[layer].T, delta, out=self._grads_w[layer])
            np.dot(memory.ones, delta, out=self._grads_b[layer])
            if layer > 0:
                below, mask = memory.deltas[layer - 1], memory.masks[layer - 1]
                np.matmul(delta, self._weights[layer].T, out=below)
                np.greater(memory.outputs[layer - 1], 0, out=mask)
                np.multiply(below, mask, out=below)

    def _epoch(
        self,
        X: Array,
        y: Array,
        validation: tuple[Array, Array] | None,
        training_loss: NDArray[np.float64],
        validation_loss: NDArray[np.float64],
    ) -> None:
        """Train one epoch on checked data and fill in the losses of its batches."""
        order = np.arange(len(X))
        self._random.shuffle(order)
        n = self.batch_size
        memory = self._of(n)
        delta, squares = memory.deltas[-1], memory.squares
        rate = self.learning_rate / n
        for batch in range(len(training_loss)):
            start, end = batch * n, (batch + 1) * n
            rows = order[start:end]
            # No row lies outside; "clip" does not look, and needs no memory in between.
            X.take(rows, 0, memory.X, "clip")
            y.take(rows, 0, memory.y, "clip")
            np.subtract(self._forward(memory.X, memory), memory.y, out=delta)
            np.square(delta, out=squares)
            training_loss[batch] = np.add.reduce(squares, axis=None, dtype=np.float64)
            np.multiply(delta, rate, out=delta)
            self._backward(memory)
            np.subtract(self._flat, self._gradient, out=self._flat)
            if validation is not None:
                X_part, y_part = validation[0][start:end], validation[1][start:end]
                validation_loss[batch] = (
                    self.loss(y_part, self.predict(X_part)) if len(X_part) else np.nan
                )
        training_loss /= squares.size
        self._activations = []

    def _of(self, rows: int) -> Memory:
        if rows not in self._memory:
            self._memory[rows] = Memory(rows, self.layer_sizes, self.dtype)
        return self._memory[rows]

    def _views(self) -> tuple[Array, list[Array], list[Array]]:
        """Make one array for all layers; return it, its weights and its biases."""
        pairs = list(pairwise(self.layer_sizes))
        flat = np.zeros(sum((wide_in + 1) * wide_out for wide_in, wide_out in pairs), self.dtype)
        weights, biases, start = [], [], 0
        for wide_in, wide_out in pairs:
            middle, end = start + wide_in * wide_out, start + (wide_in + 1) * wide_out
            weights.append(flat[start:middle].reshape(wide_in, wide_out))
            biases.append(flat[middle:end].reshape(1, wide_out))
            start = end
        return flat, weights, biases


def _fill(mine: Sequence[Array], given: Sequence[Array]) -> None:
    for array, new in zip(mine, given, strict=True):
        array[:] = new


class NumPyTuned(TimedByPython):
    """The variant `numpy-tuned`."""

    name = "numpy-tuned"

    def mlp(self) -> Callable[..., TunedMLP]:
        """Return the class of the network."""
        return TunedMLP

    def describe(self) -> dict[str, Any]:
        """Tell the BLAS that NumPy loaded and its threads."""
        np.ones((2, 2)) @ np.ones((2, 2))  # loads the BLAS
        facts, threads = blas_facts()
        return {
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
            "threads": threads,
            "denormals": denormals(),
            "facts": {**facts, "allocation": "once: every result goes to memory that is there"},
        }
