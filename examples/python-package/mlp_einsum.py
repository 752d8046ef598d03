"""The network with its products by `numpy.einsum`: what NumPy does without a BLAS.

Everything else is the baseline's, so the ratio tells what the BLAS is worth at each size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.implementations import NumPy, Problem
from python_impl import MLP


class Network(MLP):
    """`python_impl.MLP`, each product by einsum; the shapes are those of the baseline."""

    def forward(self, X: np.ndarray) -> np.ndarray:
        """Compute the output for a batch and keep what `backprop` needs."""
        self._activations, self._pre_activations = [X], []
        for layer, (w, b) in enumerate(zip(self._weights, self._biases, strict=True)):
            z = np.einsum("ni,io->no", self._activations[-1], w) + b
            self._pre_activations.append(z)
            last = layer == len(self._weights) - 1
            self._activations.append(z if last else np.maximum(z, 0))
        return self._activations[-1]

    def backprop(self, y: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Compute the gradients for the batch that `forward` saw last."""
        grads_w, grads_b = [], []
        delta = self._activations[-1] - y
        for layer in reversed(range(len(self._weights))):
            grads_w.append(np.einsum("ni,no->io", self._activations[layer], delta))
            grads_b.append(np.einsum("no->o", delta)[np.newaxis])
            if layer > 0:
                below = np.einsum("no,io->ni", delta, self._weights[layer])
                delta = below * (self._pre_activations[layer - 1] > 0)
        return grads_w[::-1], grads_b[::-1]

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Compute the output for X without touching what `forward` kept."""
        kept = self._activations, self._pre_activations
        y_hat = self.forward(X)
        self._activations, self._pre_activations = kept
        return y_hat


class Einsum(NumPy):
    """What `bench` drives: timed by Python's clock around Python calls, as the baseline is."""

    name = "einsum"

    def load(self) -> None:
        """Import all that is needed: it is there already."""

    def create(self, problem: Problem, *, max_epochs: int = 1, seed: int = 1) -> Any:
        """Make a network with fresh weights from the seed."""
        return Network(
            problem.layer_sizes,
            max_epochs=max_epochs,
            batch_size=problem.batch_size,
            seed=seed,
            dtype=problem.dtype,
        )
