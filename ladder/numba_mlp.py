"""The network in Numba: loops that LLVM compiles, products by BLAS through `numpy.dot`.

Where the decisions come from, in Numba's manual: "Performance Tips" (loops are as good as array
expressions and need no arrays in between; `nopython` mode; `error_model="numpy"` saves the tests
for division by zero; of `fastmath` only the flags that keep NaN and infinity), "Supported NumPy
features" (`numpy.dot` on contiguous arrays calls the BLAS that SciPy brings, and takes `out`) and
"Notes on Caching" (`cache=True`: a process finds on disk what another has compiled). What is left
is one compiled call for a forward, one for a backprop and one for an epoch, on one flat array of
parameters: to hand over a tuple of arrays costs a little for each. Loops are not made parallel:
`prange` starts its threads anew for each of them, and here a loop takes microseconds; the threads
that are allowed are those of the BLAS. Numba's arrays are NumPy's, and nothing is converted.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.implementations import Array, blas_facts, denormals
from ladder.base import Gradients, OwnArrays, TimedInside

compiled = njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})


@compiled
def forward(X: Any, sizes: Any, flat: Any, outputs: Any) -> None:
    """Compute the output of every layer: into `outputs`, one layer after the other."""
    zero = flat.dtype.type(0)
    n, last = X.shape[0], len(sizes) - 2
    a, p, o = X, 0, 0
    for layer in range(last + 1):
        wide_in, wide = sizes[layer], sizes[layer + 1]
        w = flat[p : p + wide_in * wide].reshape(wide_in, wide)
        p += wide_in * wide
        b = flat[p : p + wide]
        p += wide
        z = outputs[o : o + n * wide].reshape(n, wide)
        o += n * wide
        np.dot(a, w, z)
        for i in range(n):
            for j in range(wide):
                value = z[i, j] + b[j]
                # NaN is not below zero, and stays.
                z[i, j] = zero if layer < last and value <= zero else value
        a = z


@compiled
def backward(X: Any, sizes: Any, flat: Any, outputs: Any, deltas: Any, gradient: Any) -> None:
    """Take the last delta down: `deltas` lie as `outputs` do, `gradient` as the parameters."""
    zero = flat.dtype.type(0)
    n, p, o = X.shape[0], len(flat), len(outputs)
    for layer in range(len(sizes) - 2, -1, -1):
        wide_in, wide = sizes[layer], sizes[layer + 1]
        o -= n * wide
        delta = deltas[o : o + n * wide].reshape(n, wide)
        p -= wide
        grad_b = gradient[p : p + wide]
        p -= wide_in * wide
        grad_b[:] = zero
        for i in range(n):
            for j in range(wide):
                grad_b[j] += delta[i, j]
        grad_w = gradient[p : p + wide_in * wide].reshape(wide_in, wide)
        if layer == 0:
            np.dot(X.T, delta, grad_w)
        else:
            a = outputs[o - n * wide_in : o].reshape(n, wide_in)
            np.dot(a.T, delta, grad_w)
            w = flat[p : p + wide_in * wide].reshape(wide_in, wide)
            below = deltas[o - n * wide_in : o].reshape(n, wide_in)
            np.dot(delta, w.T, below)
            for i in range(n):
                for j in range(wide_in):
                    below[i, j] = below[i, j] if a[i, j] > zero else zero


@compiled
def last_delta(y: Any, outputs: Any, deltas: Any) -> float:
    """Put outputs minus targets into the last delta; return the sum of their squares."""
    n, wide = y.shape
    start = len(outputs) - n * wide
    total = 0.0
    for i in range(n):
        for j in range(wide):
            at = start + i * wide + j
            error = outputs[at] - y[i, j]
            deltas[at] = error
            total += np.float64(error) * np.float64(error)
    return total


@compiled
def train(
    X: Any, y: Any, order: Any, n: int, rate: Any, sizes: Any, flat: Any, outputs: Any,
    deltas: Any, gradient: Any, X_batch: Any, y_batch: Any, losses: Any,
) -> None:  # fmt: skip
    """Train on as many batches of n rows as there are losses."""
    for batch in range(len(losses)):
        for i in range(n):
            row = order[batch * n + i]
            for j in range(X.shape[1]):
                X_batch[i, j] = X[row, j]
            for j in range(y.shape[1]):
                y_batch[i, j] = y[row, j]
        forward(X_batch, sizes, flat, outputs)
        losses[batch] = last_delta(y_batch, outputs, deltas) / (n * y.shape[1])
        backward(X_batch, sizes, flat, outputs, deltas, gradient)
        for k in range(len(flat)):
            flat[k] -= rate * gradient[k]


class NumbaMLP(OwnArrays):
    """`python_impl.MLP` by compiled functions, in memory that is made once."""

    def place(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        """Copy the parameters into one array."""
        pairs = zip(weights, biases, strict=True)
        flat = np.concatenate([array.ravel() for pair in pairs for array in pair])
        if not hasattr(self, "_flat"):
            self._flat, self._gradient = flat, np.zeros_like(flat)
            self._sizes = np.array(self.layer_sizes)
            self._memory: dict[int, tuple[Array, ...]] = {}
        self._flat[:] = flat

    def placed(self) -> tuple[list[Array], list[Array]]:
        """Return the parameters: views of the one array."""
        return self._split(self._flat)

    def give(self, array: Array) -> Array:
        """Return it as it is, or dense where it is not: BLAS wants it so."""
        return np.ascontiguousarray(array)

    def take(self, own: Array) -> Array:
        """Return it as it is."""
        return own

    def own_forward(self, X: Array) -> Array:
        """Compute the output of a batch; the memory is filled again by the next call."""
        self._X = X
        outputs = self._of(len(X))[0]
        forward(X, self._sizes, self._flat, outputs)
        return outputs[-len(X) * self.layer_sizes[-1] :].reshape(len(X), -1)

    def own_backprop(self, y: Array) -> Gradients:
        """Compute the gradients; the memory is filled again by the next call."""
        outputs, deltas, _, _ = self._of(len(y))
        last_delta(y, outputs, deltas)
        backward(self._X, self._sizes, self._flat, outputs, deltas, self._gradient)
        return self._split(self._gradient)

    def own_predict(self, X: Array) -> Array:
        """Compute the output and keep nothing."""
        outputs = np.empty(len(X) * sum(self.layer_sizes[1:]), self.dtype)
        forward(X, self._sizes, self._flat, outputs)
        return outputs[-len(X) * self.layer_sizes[-1] :].reshape(len(X), -1)

    def own_train(
        self, X: Array, y: Array, order: NDArray[Any], losses: NDArray[np.float64]
    ) -> None:
        """Train by one compiled call."""
        n = self.batch_size
        rate = self.dtype.type(self.learning_rate / n)
        outputs, deltas, X_batch, y_batch = self._of(n)
        train(
            X, y, order, n, rate, self._sizes, self._flat, outputs, deltas, self._gradient,
            X_batch, y_batch, losses,
        )  # fmt: skip

    def own_activations(self) -> list[Array]:
        """Return what the last forward kept."""
        rows, start = len(self._X), 0
        outputs, found = self._of(rows)[0], [self._X]
        for size in self.layer_sizes[1:]:
            found.append(outputs[start : start + rows * size].reshape(rows, size))
            start += rows * size
        return found

    def _of(self, rows: int) -> tuple[Array, ...]:
        """Return the memory of so many rows: outputs, deltas, a batch of X and of y."""
        if rows not in self._memory:
            first, *others = self.layer_sizes
            shapes: list[Any] = [rows * sum(others)] * 2 + [(rows, first), (rows, others[-1])]
            self._memory[rows] = tuple(np.empty(shape, self.dtype) for shape in shapes)
        return self._memory[rows]

    def _split(self, flat: Array) -> Gradients:
        """Return weights and biases, or their gradients, as views of one array."""
        weights, biases, start = [], [], 0
        for wide_in, wide in pairwise(self.layer_sizes):
            middle, end = start + wide_in * wide, start + (wide_in + 1) * wide
            weights.append(flat[start:middle].reshape(wide_in, wide))
            biases.append(flat[middle:end].reshape(1, wide))
            start = end
        return weights, biases


@compiled
def _nothing(X: Any) -> None:
    """Take an array and do nothing: the floor of a compiled call."""


@compiled
def _times(tiny: Any, one: float) -> Any:
    return tiny * one


class Numba(TimedInside):
    """The variant `numba`."""

    name = "numba"

    def mlp(self) -> Callable[..., NumbaMLP]:
        """Return the class of the network, the BLAS of its products loaded."""
        import scipy.linalg.cython_blas  # noqa: F401  # to load it is all

        return NumbaMLP

    def crossing(self) -> Callable[[Array], object]:
        """Return a compiled function that takes an array and does nothing."""
        call: Callable[[Array], object] = _nothing
        return call

    def describe(self) -> dict[str, Any]:
        """Tell the compiler, and the BLAS with its threads."""
        import llvmlite

        self.mlp()
        facts, threads = blas_facts()
        return {
            "versions": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "numba": numba.__version__,
                "llvmlite": llvmlite.__version__,
            },
            "threads": threads,
            "denormals": denormals(_times),
            "facts": {
                **facts,
                "loops": "compiled, on one thread",
                "compiled": "at the first call; kept on disk for the next process",
            },
        }
