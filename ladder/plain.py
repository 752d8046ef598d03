"""The network in plain Python: lists of lists and loops, no NumPy in the arithmetic.

What a newcomer writes before NumPy, in its quick form: products as `sum(map(mul, row, column))`,
which the interpreter runs in C but for the fetching of numbers (the advice of "Python Speed",
wiki.python.org, to prefer map and built-ins to loops), and weights kept by column, so that both
factors are whole lists. Python has one kind of float, of 64 bits: a network in float32 computes in
it and is rounded to float32 where its numbers are looked at. One thread, whatever is allowed: the
interpreter has a lock. NumPy draws weights and orders, as for all variants, and holds the losses.
Timed on lists; to make lists of arrays and arrays of lists is outside the clock and stands as
`call`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.implementations import Array, denormals
from ladder.base import Gradients, OwnArrays, TimedInside

Rows = list[list[float]]


def relu(value: float) -> float:
    """Cut off what is below zero; NaN stays NaN."""
    return 0.0 if value <= 0.0 else value


def transposed(rows: Rows) -> Rows:
    """Return columns as rows."""
    return [list(column) for column in zip(*rows, strict=True)]


def product(a: Rows, columns: Rows) -> Rows:
    """Multiply (n, k) by (k, m), the latter given by columns: m lists of k."""
    return [[sum(map(mul, row, column)) for column in columns] for row in a]


class PlainMLP(OwnArrays):
    """`python_impl.MLP` on lists of floats."""

    def place(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        """Make these the parameters: weights by column, biases as one list each."""
        self._columns: list[Rows] = [w.T.tolist() for w in weights]
        self._added: list[list[float]] = [b[0].tolist() for b in biases]

    def placed(self) -> tuple[list[Array], list[Array]]:
        """Return the parameters as NumPy arrays, rounded to the network's dtype."""
        weights = [np.ascontiguousarray(np.array(c, self.dtype).T) for c in self._columns]
        return weights, [np.array([b], self.dtype) for b in self._added]

    def give(self, array: Array) -> Rows:
        """Make a list of rows."""
        rows: Rows = array.tolist()
        return rows

    def take(self, own: Rows) -> Array:
        """Make an array of the network's dtype."""
        return np.array(own, self.dtype)

    def own_forward(self, X: Rows) -> Rows:
        """Compute the output of a batch and keep every layer."""
        self._layers = [X]
        last = len(self._columns) - 1
        for layer, (columns, bias) in enumerate(zip(self._columns, self._added, strict=True)):
            z = [
                [sum(map(mul, row, column)) + b for column, b in zip(columns, bias, strict=True)]
                for row in self._layers[-1]
            ]
            self._layers.append(z if layer == last else [[*map(relu, row)] for row in z])
        return self._layers[-1]

    def own_backprop(self, y: Rows) -> Gradients:
        """Compute the gradients, as sums over the batch."""
        return self._gradients(self._errors(y))

    def own_predict(self, X: Rows) -> Rows:
        """Compute the output and keep nothing."""
        kept = getattr(self, "_layers", [])
        y_hat = self.own_forward(X)
        self._layers = kept
        return y_hat

    def own_train(self, X: Rows, y: Rows, order: NDArray[Any], losses: NDArray[np.float64]) -> None:
        """Train batch by batch."""
        rows, n = order.tolist(), self.batch_size
        rate = self.learning_rate / n
        elements = n * self.layer_sizes[-1]
        for batch in range(len(losses)):
            chosen = rows[batch * n : (batch + 1) * n]
            self.own_forward([X[row] for row in chosen])
            delta = self._errors([y[row] for row in chosen])
            losses[batch] = sum(error * error for row in delta for error in row) / elements
            self._move(rate, *self._gradients(delta))

    def own_activations(self) -> list[Rows]:
        """Return what the last forward kept."""
        return self._layers

    def _errors(self, y: Rows) -> Rows:
        return [
            [a - b for a, b in zip(*rows, strict=True)]
            for rows in zip(self._layers[-1], y, strict=True)
        ]

    def _gradients(self, delta: Rows) -> Gradients:
        """Return weight gradients as rows of (in, out), and bias gradients as one row each."""
        grads_w: list[Rows] = []
        grads_b: list[Rows] = []
        for layer in reversed(range(len(self._columns))):
            by_output = transposed(delta)
            grads_w.append(product(transposed(self._layers[layer]), by_output))
            grads_b.append([[*map(sum, by_output)]])
            if layer > 0:
                rows_of_weights = transposed(self._columns[layer])
                delta = [
                    [g if a > 0.0 else 0.0 * g for g, a in zip(*pair, strict=True)]
                    for pair in zip(
                        product(delta, rows_of_weights), self._layers[layer], strict=True
                    )
                ]
        return grads_w[::-1], grads_b[::-1]

    def _move(self, rate: float, grads_w: list[Rows], grads_b: list[Rows]) -> None:
        for layer, (grad_w, grad_b) in enumerate(zip(grads_w, grads_b, strict=True)):
            self._columns[layer] = [
                [w - rate * g for w, g in zip(*pair, strict=True)]
                for pair in zip(self._columns[layer], transposed(grad_w), strict=True)
            ]
            self._added[layer] = [
                b - rate * g for b, g in zip(self._added[layer], grad_b[0], strict=True)
            ]


class Plain(TimedInside):
    """The variant `python`."""

    name = "python"

    def mlp(self) -> Callable[..., PlainMLP]:
        """Return the class of the network."""
        return PlainMLP

    def crossing(self) -> Callable[[Array], object]:
        """Make a list of an array, and an array of that."""
        return lambda X: np.array(X.tolist())

    def describe(self) -> dict[str, Any]:
        """Tell the interpreter, and that it computes on one thread."""
        return {
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
            "threads": 1,
            "denormals": denormals(lambda tiny, one: [number * one for number in tiny.tolist()]),
            "facts": {
                "interpreter": platform.python_implementation(),
                "arithmetic": "64 bits in every dtype",
            },
        }
