"""The network as scikit-learn has it: `MLPRegressor`, trained by `partial_fit`.

Where the decisions come from, in scikit-learn's user guide ("Neural network models (supervised)",
"More control with partial_fit") and the reference of `MLPRegressor`: one `partial_fit` is one pass
over the rows it is given, in batches of `batch_size`, in their order with `shuffle=False`; `alpha`
and `momentum` of 0 leave plain SGD; its loss is half the mean of squares but its gradients are sums
over the batch divided by its rows, so `learning_rate_init` is the learning rate; float32 stays
float32. Its own `coefs_` and `intercepts_` are overwritten with the weights that all variants draw.

It offers an epoch and nothing else: its forward keeps nothing for a backprop by itself, and its
backprop has no public name. Under the clock are the shuffled gathering of all full batches and one
`partial_fit`, its checks of the data among them, as every user of it pays for them. It tells one
loss for an epoch, the mean of those of its batches, which then stands for each; `fit` here goes
batch by batch, so that each loss can be compared.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.neural_network import MLPRegressor

from bench.implementations import Array, Phase, blas_facts, denormals
from ladder.base import Gradients, OwnArrays, TimedInside

MOST_EPOCHS = 2**31 - 1
"""Where it would warn that it has not converged; counted over all calls."""


class SklearnMLP(OwnArrays):
    """`python_impl.MLP` by an MLPRegressor; its arrays are NumPy's."""

    def place(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        """Copy the parameters into the model."""
        if not hasattr(self, "_model"):
            self._model = self._made()
        for mine, new in zip(self._model.coefs_, weights, strict=True):
            mine[:] = new
        for mine, new in zip(self._model.intercepts_, biases, strict=True):
            mine[:] = new[0]

    def placed(self) -> tuple[list[Array], list[Array]]:
        """Return the parameters: biases as (1, out)."""
        return [*self._model.coefs_], [b[np.newaxis] for b in self._model.intercepts_]

    def give(self, array: Array) -> Array:
        """Return it as it is."""
        return array

    def take(self, own: Array) -> Array:
        """Return it as it is."""
        return own

    def own_forward(self, X: Array) -> Array:
        """Predict: nothing is kept."""
        return self.own_predict(X)

    def own_backprop(self, y: Array) -> Gradients:
        """Refuse: it has no backprop of its own."""
        raise TypeError("scikit-learn's MLPRegressor offers no backprop by itself")

    def own_predict(self, X: Array) -> Array:
        """Compute the output."""
        y_hat: Array = self._model.predict(X).reshape(len(X), -1)
        return y_hat

    def own_train(
        self, X: Array, y: Array, order: NDArray[Any], losses: NDArray[np.float64]
    ) -> None:
        """Train by one call; each loss is the mean of all."""
        rows = order[: len(losses) * self.batch_size]
        self._model.partial_fit(X[rows], _flat(y[rows]))
        losses[:] = 2 * self._model.loss_

    def own_activations(self) -> list[Array]:
        """Return none: none are kept."""
        return []

    def _made(self) -> MLPRegressor:
        """Make a model that has seen one batch of zeros and so has its arrays."""
        model = MLPRegressor(
            hidden_layer_sizes=self.layer_sizes[1:-1],
            activation="relu",
            solver="sgd",
            alpha=0.0,
            batch_size=self.batch_size,
            # It refuses 0, and of the smallest number nothing is left in a step.
            learning_rate_init=max(self.learning_rate, np.finfo(np.float64).tiny),
            max_iter=MOST_EPOCHS,
            shuffle=False,
            random_state=0,
            momentum=0.0,
            nesterovs_momentum=False,
        )
        X, y = (
            np.zeros((self.batch_size, size), self.dtype)
            for size in (self.layer_sizes[0], self.layer_sizes[-1])
        )
        model.partial_fit(X, _flat(y))
        shapes = [w.shape for w in model.coefs_]
        if shapes != list(pairwise(self.layer_sizes)):
            raise TypeError(f"scikit-learn made layers of {shapes}, not of {self.layer_sizes}")
        return model


def _flat(y: Array) -> Array:
    """Return one column as scikit-learn wants it, flat; several as they are."""
    return y.ravel() if y.shape[1] == 1 else y


class Sklearn(TimedInside):
    """The variant `sklearn`."""

    name = "sklearn"
    phases: tuple[Phase, ...] = ("epoch",)

    def mlp(self) -> Callable[..., SklearnMLP]:
        """Return the class of the network."""
        return SklearnMLP

    def describe(self) -> dict[str, Any]:
        """Tell the versions, and the BLAS with its threads."""
        np.ones((2, 2)) @ np.ones((2, 2))  # loads the BLAS
        facts, threads = blas_facts()
        return {
            "versions": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "scikit-learn": sklearn.__version__,
            },
            "threads": threads,
            "denormals": denormals(),
            "facts": {**facts, "losses": "one for an epoch, the mean of its batches"},
        }
