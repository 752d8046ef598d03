"""A multi-layer perceptron in NumPy: dense layers, ReLU, linear output, squared error, SGD.

Written as a NumPy user would write it, and readable in one go; `mojo_impl` is its twin with the
same names, the same checks and the same messages. Shapes: n rows of a batch, width `in` or `out`
of a layer. Every array of a network has the network's dtype; nothing is promoted on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from python_impl.checks import (
    Network,
    check_array,
    check_arrays,
    check_finite,
    check_network,
    check_pair,
    check_progress,
)

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class History:
    """Loss of every batch of a `fit`, in order: float64, shape (epochs * batches,).

    `validation_loss` is empty when `fit` had no validation data, and NaN for a batch beyond the
    end of a validation set that is shorter than the training set.
    """

    training_loss: NDArray[np.float64]
    validation_loss: NDArray[np.float64]


class Trainable(Network, Protocol):
    """What `fit` needs of a network: `mojo_impl.MLP` shares the loop over epochs."""

    max_epochs: int
    batch_size: int

    def _epoch(
        self,
        X: Array,
        y: Array,
        validation: tuple[Array, Array] | None,
        training_loss: NDArray[np.float64],
        validation_loss: NDArray[np.float64],
    ) -> None: ...


class MLP:
    """A network of dense layers, ReLU between them, trained by minibatch SGD.

    Initial weights are standard normal times sqrt(4 / (fan_in + fan_out)), drawn by `randn` layer
    by layer from `numpy.random.RandomState(seed)`; biases are zero. The same stream then gives
    one shuffle per epoch, so a seed fixes the whole training.

    Args:
        layer_sizes: Width of the input, of each hidden layer, and of the output.
        learning_rate: Step size of SGD; finite, not negative.
        max_epochs: Passes over the data that `fit` makes.
        batch_size: Rows per step.
        seed: 0 to 2**32 - 1; None draws one, which the attribute `seed` then tells.
        dtype: "float64" or "float32", of every array in and out.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        layer_sizes: Iterable[int],
        learning_rate: float = 0.01,
        max_epochs: int = 1000,
        batch_size: int = 20,
        seed: int | None = None,
        dtype: str = "float64",
    ) -> None:
        checked = check_network(layer_sizes, learning_rate, max_epochs, batch_size, seed, dtype)
        self.layer_sizes = checked.layer_sizes
        self.learning_rate = checked.learning_rate
        self.max_epochs = checked.max_epochs
        self.batch_size = checked.batch_size
        self.seed = checked.seed
        self.dtype = checked.dtype
        self.reset()

    def reset(self) -> None:
        """Go back to the initial weights and to the start of the random stream."""
        self._random = np.random.RandomState(self.seed)
        pairs = list(pairwise(self.layer_sizes))
        self._weights = [
            (self._random.randn(*pair) * np.sqrt(4 / sum(pair))).astype(self.dtype)
            for pair in pairs
        ]
        self._biases = [np.zeros((1, width_out), self.dtype) for _, width_out in pairs]
        self._activations: list[Array] = []
        self._pre_activations: list[Array] = []

    @property
    def weights(self) -> tuple[Array, ...]:
        """The weights, one (in, out) array per layer: read-only copies; assign to change them."""
        return _frozen_copies(self._weights)

    @weights.setter
    def weights(self, arrays: Sequence[Array]) -> None:
        self._weights = check_arrays("weights", arrays, self._weights)

    @property
    def biases(self) -> tuple[Array, ...]:
        """The biases, one (1, out) array per layer: read-only copies; assign to change them."""
        return _frozen_copies(self._biases)

    @biases.setter
    def biases(self, arrays: Sequence[Array]) -> None:
        self._biases = check_arrays("biases", arrays, self._biases)

    @property
    def activations(self) -> tuple[Array, ...]:
        """What the last `forward` kept: X, each hidden layer after ReLU, y_hat; read-only copies.

        Empty before the first `forward` and after `fit`.
        """
        return _frozen_copies(self._activations)

    def forward(self, X: Array) -> Array:
        """Compute the output for a batch and keep what `backprop` needs.

        The cache refers to X and to the returned array: leave both as they are until `backprop`.

        Args:
            X: Inputs, shape (n, in), of the network's dtype.

        Returns:
            The output y_hat, shape (n, out).

        Raises:
            TypeError: X is not an array of the network's dtype.
            ValueError: X is empty or not of shape (n, in).
        """
        X = check_array("X", X, self.dtype, self.layer_sizes[0])
        activations, pre_activations = [X], []
        for layer, (w, b) in enumerate(zip(self._weights, self._biases, strict=True)):
            z = activations[-1] @ w + b
            pre_activations.append(z)
            activations.append(np.maximum(z, 0) if layer < len(self._weights) - 1 else z)
        self._activations, self._pre_activations = activations, pre_activations
        return activations[-1]

    def backprop(self, y: Array) -> tuple[list[Array], list[Array]]:
        """Compute the gradients for the batch that `forward` saw last.

        The output delta is y_hat - y; gradients are sums over the batch. A hidden delta is the
        one above times the transposed weights, times 1 where z > 0 and 0 elsewhere. (The
        backpropagation equations of Rumelhart, Hinton and Williams, Nature 323, 1986, for the
        loss 0.5 * sum((y_hat - y)**2).)

        Args:
            y: Targets, shape (n, out), of the network's dtype.

        Returns:
            `(grads_w, grads_b)`, lists of one array per layer, shaped like weights and biases.

        Raises:
            RuntimeError: There was no `forward` yet, or `fit` has used the cache since.
            TypeError: y is not an array of the network's dtype.
            ValueError: y does not have the shape of the output.
        """
        if not self._activations:
            raise RuntimeError("backprop needs a forward first: call forward(X), then backprop(y)")
        y_hat = self._activations[-1]
        y = check_array("y", y, self.dtype, self.layer_sizes[-1], rows=len(y_hat))
        grads_w, grads_b = [], []
        delta = y_hat - y
        for layer in reversed(range(len(self._weights))):
            grads_w.append(self._activations[layer].T @ delta)
            grads_b.append(delta.sum(axis=0, keepdims=True))
            if layer > 0:
                delta = (delta @ self._weights[layer].T) * (self._pre_activations[layer - 1] > 0)
        return grads_w[::-1], grads_b[::-1]

    def step(self, grads_w: Sequence[Array], grads_b: Sequence[Array]) -> None:
        """Move every parameter by -learning_rate * gradient / batch_size.

        Args:
            grads_w: Gradients of the weights, shaped like them.
            grads_b: Gradients of the biases, shaped like them.

        Raises:
            TypeError: An array is not of the network's dtype.
            ValueError: There are too few or too many arrays, or one has the wrong shape.
        """
        grads_w = check_arrays("grads_w", grads_w, self._weights, copy=False)
        grads_b = check_arrays("grads_b", grads_b, self._biases, copy=False)
        rate = self.learning_rate / self.batch_size
        for w, b, grad_w, grad_b in zip(self._weights, self._biases, grads_w, grads_b, strict=True):
            w -= rate * grad_w
            b -= rate * grad_b

    def loss(self, y: Array, y_hat: Array) -> float:
        """Return the mean of the squared errors over all elements, summed in float64.

        Args:
            y: Targets, shape (n, out), of the network's dtype.
            y_hat: Outputs, of the same shape and dtype.

        Raises:
            TypeError: An array is not of the network's dtype.
            ValueError: An array is empty or the shapes do not match.
        """
        y = check_array("y", y, self.dtype, self.layer_sizes[-1])
        y_hat = check_array("y_hat", y_hat, self.dtype, self.layer_sizes[-1], rows=len(y))
        return float(np.mean(np.square(y_hat - y), dtype=np.float64))

    def predict(self, X: Array) -> Array:
        """Compute the output for X, shape (n, in), without touching the cache of `forward`.

        Raises:
            TypeError: X is not an array of the network's dtype.
            ValueError: X is empty or not of shape (n, in).
        """
        X = check_array("X", X, self.dtype, self.layer_sizes[0])
        for w, b in zip(self._weights[:-1], self._biases[:-1], strict=True):
            X = np.maximum(X @ w + b, 0)
        y_hat: Array = X @ self._weights[-1] + self._biases[-1]
        return y_hat

    def fit(
        self: Trainable,
        X: Array,
        y: Array,
        X_val: Array | None = None,
        y_val: Array | None = None,
        progress: Callable[[int, float], object] | None = None,
        *,
        allow_nonfinite: bool = False,
    ) -> History:
        """Train for `max_epochs` epochs and return the loss of every batch.

        Each epoch shuffles the row indices and takes n // batch_size full batches in that order
        (the rest is dropped). Each batch: forward, loss, backprop, step; then, with validation
        data, the loss on its rows start:end, the same numbers as the batch's place in the epoch.
        The cache of `forward` is gone afterwards.

        Args:
            X: Training inputs, shape (n, in), of the network's dtype.
            y: Training targets, shape (n, out).
            X_val: Validation inputs, shape (m, in); needs y_val.
            y_val: Validation targets, shape (m, out).
            progress: Called once per epoch with the epoch, from 1, and its mean training loss.
            allow_nonfinite: Whether NaN and infinity may be in the data.

        Returns:
            The history: one float64 training and, with validation data, one validation loss per
            batch.

        Raises:
            TypeError: An array is not of the network's dtype, or progress cannot be called.
            ValueError: Shapes do not match, an array is empty, the batch is larger than the data
                set, or there is NaN or infinity in the data. The network is unchanged then.
        """
        check_progress(progress)
        X, y = check_pair("X", "y", X, y, self)
        validation = None
        if X_val is not None or y_val is not None:
            validation = check_pair("X_val", "y_val", X_val, y_val, self)
        if self.batch_size > len(X):
            raise ValueError(
                f"batch_size is {self.batch_size} but X has only {len(X)} rows; "
                "use a smaller batch_size or more data"
            )
        if not allow_nonfinite:
            check_finite(X=X, y=y)
            if validation is not None:
                check_finite(X_val=validation[0], y_val=validation[1])
        batches = len(X) // self.batch_size
        training_loss = np.empty(self.max_epochs * batches)
        validation_loss = np.empty(self.max_epochs * batches if validation is not None else 0)
        for epoch in range(self.max_epochs):
            part = slice(epoch * batches, (epoch + 1) * batches)
            self._epoch(X, y, validation, training_loss[part], validation_loss[part])
            if progress is not None:
                progress(epoch + 1, float(training_loss[part].mean()))
        return History(training_loss, validation_loss)

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
        for batch in range(len(training_loss)):
            start, end = batch * self.batch_size, (batch + 1) * self.batch_size
            rows = order[start:end]
            X_batch, y_batch = X[rows], y[rows]
            training_loss[batch] = self.loss(y_batch, self.forward(X_batch))
            self.step(*self.backprop(y_batch))
            if validation is not None:
                X_part, y_part = validation[0][start:end], validation[1][start:end]
                validation_loss[batch] = (
                    self.loss(y_part, self.predict(X_part)) if len(X_part) else np.nan
                )
        self._activations, self._pre_activations = [], []


def _frozen_copies(arrays: Iterable[Array]) -> tuple[Array, ...]:
    copies = tuple(array.copy() for array in arrays)
    for copy in copies:
        copy.flags.writeable = False
    return copies
