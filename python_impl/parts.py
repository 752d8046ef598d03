"""The parts of a network's phases, one by one, in memory that is there: where their time goes.

What the methods of `MLP` do besides (statements, checks, new memory) is left out here, and what
remains are the same operations of NumPy, each into an array of its own. The network stays as it
is but for its random stream, which `shuffle` moves on; the update has a rate of 0 unless given,
for repeated with the same data the weights would run away. Shapes as in `python_impl.network`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from python_impl.network import MLP

Array = NDArray[Any]


class Parts:
    """The first batch of a data set, taken through a network part by part.

    The results of the last part stay: `outputs`, one (n, out) array per layer before its ReLU;
    `activations`; `products`, shaped like `outputs`, those without biases or masks; `deltas`;
    `grads_w`, `grads_b`; `last_loss`; `X_batch`, `y_batch`, what was gathered last.

    Args:
        network: Runs forward and backprop here.
        X: Inputs, shape (rows, in), of the network's dtype.
        y: Targets, shape (rows, out).
        batch_size: Rows of a batch, n; at most as many as there are.
        rate: Of the update: learning rate over batch size.
    """

    def __init__(
        self, network: MLP, X: Array, y: Array, batch_size: int, rate: float = 0.0
    ) -> None:
        self._X, self._y, self._rate, self._network = X, y, rate, network
        self._weights, self._biases, self._random = self._state()
        network.forward(X[:batch_size])
        self.grads_w, self.grads_b = network.backprop(y[:batch_size])
        self.outputs = [z.copy() for z in network._pre_activations]
        self.activations = [a.copy() for a in network._activations[:-1]]
        # Of the last layer nothing is cut off: its activation is its output.
        self.activations.append(self.outputs[-1])
        self.deltas = [np.zeros_like(z) for z in self.outputs]
        self.products = [np.zeros_like(z) for z in self.outputs]
        self._masks = [np.zeros(z.shape, np.bool) for z in self.outputs]
        self._errors = np.zeros_like(self.outputs[-1])
        self._in_order = np.arange(len(X))
        self._order = np.zeros_like(self._in_order)
        self.X_batch, self.y_batch = X[:batch_size].copy(), y[:batch_size].copy()
        self.last_loss = 0.0
        self.backprop_work()

    def are_of(self, network: MLP, X: Array, y: Array, batch_size: int) -> bool:
        """Tell whether these are the parts of this batch of this network, not reset since."""
        mine = (self._network, self._X, self._y, self._weights, self._biases, self._random)
        theirs = (network, X, y, *self._state())
        same = all(one is other for one, other in zip(mine, theirs, strict=True))
        return same and len(self.X_batch) == batch_size

    def _state(self) -> tuple[list[Array], list[Array], np.random.RandomState]:
        return self._network._weights, self._network._biases, self._network._random

    def forward_products(self) -> None:
        """Multiply the input of every layer by its weights: into `products`."""
        for a, w, product in zip(self.activations[:-1], self._weights, self.products, strict=True):
            np.matmul(a, w, out=product)

    def forward_work(self) -> None:
        """Compute the output of the batch: products, biases and ReLU."""
        last = len(self._weights) - 1
        for layer, (w, b) in enumerate(zip(self._weights, self._biases, strict=True)):
            z = self.outputs[layer]
            np.matmul(self.activations[layer], w, out=z)
            np.add(z, b, out=z)
            if layer < last:
                np.maximum(z, 0, out=self.activations[layer + 1])

    def backprop_products(self) -> None:
        """Multiply for the weight gradients, and for the deltas of all layers but the last."""
        for layer in reversed(range(len(self._weights))):
            delta = self.deltas[layer]
            np.matmul(self.activations[layer].T, delta, out=self.grads_w[layer])
            if layer > 0:
                # Not into the delta below: the next product needs the true one.
                np.matmul(delta, self._weights[layer].T, out=self.products[layer - 1])

    def backprop_work(self) -> None:
        """Compute the gradients of the batch: last delta, products, masks, bias gradients."""
        n = len(self.outputs[-1])
        np.subtract(self.outputs[-1], self._y[:n], out=self.deltas[-1])
        for layer in reversed(range(len(self._weights))):
            delta = self.deltas[layer]
            np.matmul(self.activations[layer].T, delta, out=self.grads_w[layer])
            np.sum(delta, axis=0, keepdims=True, out=self.grads_b[layer])
            if layer > 0:
                below, mask = self.deltas[layer - 1], self._masks[layer - 1]
                np.matmul(delta, self._weights[layer].T, out=below)
                np.greater(self.outputs[layer - 1], 0, out=mask)
                np.multiply(below, mask, out=below)

    def step_work(self) -> None:
        """Compute the gradients and subtract `rate` times them; they are lost."""
        self.backprop_work()
        for w, b, grad_w, grad_b in zip(
            self._weights, self._biases, self.grads_w, self.grads_b, strict=True
        ):
            np.multiply(grad_w, self._rate, out=grad_w)
            np.subtract(w, grad_w, out=w)
            np.multiply(grad_b, self._rate, out=grad_b)
            np.subtract(b, grad_b, out=b)

    def loss(self) -> None:
        """Compute the loss of the batch."""
        errors = self._errors
        np.subtract(self.outputs[-1], self._y[: len(errors)], out=errors)
        np.square(errors, out=errors)
        self.last_loss = float(np.mean(errors, dtype=np.float64))

    def shuffle(self) -> None:
        """Draw an order of the rows and gather all full batches, one after the other."""
        self._order[:] = self._in_order
        self._random.shuffle(self._order)
        n = len(self.X_batch)
        for start in range(0, len(self._order) - n + 1, n):
            rows = self._order[start : start + n]
            # No row lies outside; "clip" does not look, and needs no memory in between.
            np.take(self._X, rows, axis=0, out=self.X_batch, mode="clip")
            np.take(self._y, rows, axis=0, out=self.y_batch, mode="clip")

    def by_name(self) -> Mapping[str, Callable[[], None]]:
        """Return the parts by the names that a benchmark has for them."""
        return {
            "forward-products": self.forward_products,
            "forward-work": self.forward_work,
            "backprop-products": self.backprop_products,
            "backprop-work": self.backprop_work,
            "step-work": self.step_work,
            "loss": self.loss,
            "shuffle": self.shuffle,
        }
