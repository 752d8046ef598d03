"""What the variants share whose arrays are not NumPy's: NumPy outside, arrays of their own inside.

A variant is its arithmetic only; arguments, checks, the random stream, `fit` and the losses are
those of `python_impl`, so that all variants draw the same weights and the same batches. Each says
how an array becomes one of its own (`give`) and comes back (`take`), and computes with its own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.implementations import Array, Calls, TimedByPython
from python_impl import MLP
from python_impl.checks import check_array, check_arrays

Gradients = tuple[list[Any], list[Any]]


class OwnArrays(MLP):
    """`python_impl.MLP` whose parameters and products are arrays of a library.

    Public methods take and return NumPy arrays. Those that begin with `own_` take and return what
    `give` makes; the benchmark times these.
    """

    # Places for the parameters

    @abstractmethod
    def place(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        """Make these the parameters, copied: (in, out) and (1, out) arrays, layer by layer."""

    @abstractmethod
    def placed(self) -> tuple[list[Array], list[Array]]:
        """Return the parameters as NumPy arrays: weights and biases, layer by layer."""

    # Arrays in and out

    @abstractmethod
    def give(self, array: Array) -> Any:
        """Make a NumPy array one of the library's."""

    @abstractmethod
    def take(self, own: Any) -> Array:
        """Make an array of the library NumPy's."""

    # The arithmetic

    @abstractmethod
    def own_forward(self, X: Any) -> Any:
        """Compute the output of a batch and keep what `own_backprop` needs."""

    @abstractmethod
    def own_backprop(self, y: Any) -> Gradients:
        """Compute the gradients of the batch that `own_forward` saw last: weights, biases."""

    @abstractmethod
    def own_predict(self, X: Any) -> Any:
        """Compute the output for X and keep nothing."""

    @abstractmethod
    def own_train(self, X: Any, y: Any, order: NDArray[Any], losses: NDArray[np.float64]) -> None:
        """Train on as many batches as there are losses, rows in this order; fill in the losses."""

    @abstractmethod
    def own_activations(self) -> list[Any]:
        """Return what the last `own_forward` kept: X, each hidden layer after ReLU, y_hat."""

    def forget(self) -> None:
        """Let go of what `own_forward` kept."""
        self._seen = 0

    # As `python_impl.MLP`

    def reset(self) -> None:
        """Go back to the initial weights and to the start of the random stream."""
        super().reset()
        self.place(self._weights, self._biases)
        self.forget()

    @property
    def weights(self) -> tuple[Array, ...]:
        """The weights: read-only copies; assign to change them."""
        return _frozen(self.placed()[0])

    @weights.setter
    def weights(self, arrays: Sequence[Array]) -> None:
        self.place(check_arrays("weights", arrays, self._weights), self.placed()[1])

    @property
    def biases(self) -> tuple[Array, ...]:
        """The biases: read-only copies; assign to change them."""
        return _frozen(self.placed()[1])

    @biases.setter
    def biases(self, arrays: Sequence[Array]) -> None:
        self.place(self.placed()[0], check_arrays("biases", arrays, self._biases))

    @property
    def activations(self) -> tuple[Array, ...]:
        """What the last `forward` kept, copied; empty before the first one and after `fit`."""
        return _frozen([self.take(a) for a in self.own_activations()]) if self._seen else ()

    def forward(self, X: Array) -> Array:
        """Compute the output for a batch, (n, in) to (n, out), and keep what `backprop` needs."""
        X = check_array("X", X, self.dtype, self.layer_sizes[0])
        y_hat = self.take(self.own_forward(self.give(X)))
        self._seen = len(X)
        return y_hat

    def backprop(self, y: Array) -> tuple[list[Array], list[Array]]:
        """Compute the gradients for the batch that `forward` saw last, as sums over it."""
        if not self._seen:
            raise RuntimeError("backprop needs a forward first: call forward(X), then backprop(y)")
        y = check_array("y", y, self.dtype, self.layer_sizes[-1], rows=self._seen)
        grads_w, grads_b = self.own_backprop(self.give(y))
        return [self.take(g) for g in grads_w], [self.take(g) for g in grads_b]

    def step(self, grads_w: Sequence[Array], grads_b: Sequence[Array]) -> None:
        """Move every parameter by -learning_rate * gradient / batch_size.

        By NumPy: nothing times a step by itself, and `own_train` has the library's own.
        """
        grads_w = check_arrays("grads_w", grads_w, self._weights, copy=False)
        grads_b = check_arrays("grads_b", grads_b, self._biases, copy=False)
        rate = self.learning_rate / self.batch_size
        weights, biases = self.placed()
        self.place(
            [w - rate * g for w, g in zip(weights, grads_w, strict=True)],
            [b - rate * g for b, g in zip(biases, grads_b, strict=True)],
        )

    def predict(self, X: Array) -> Array:
        """Compute the output for X, (n, in) to (n, out), without touching what `forward` kept."""
        X = check_array("X", X, self.dtype, self.layer_sizes[0])
        return self.take(self.own_predict(self.give(X)))

    def epoch(self, X: Any, y: Any, losses: NDArray[np.float64]) -> None:
        """Shuffle and train one epoch on own arrays; fill in the loss of every batch."""
        order = np.arange(len(X))
        self._random.shuffle(order)
        self.own_train(X, y, order, losses)
        self.forget()

    def _epoch(
        self,
        X: Array,
        y: Array,
        validation: tuple[Array, Array] | None,
        training_loss: NDArray[np.float64],
        validation_loss: NDArray[np.float64],
    ) -> None:
        """Train one epoch of `fit`; with validation data batch by batch."""
        own_X, own_y = self.give(X), self.give(y)
        if validation is None:
            self.epoch(own_X, own_y, training_loss)
            return
        order = np.arange(len(X))
        self._random.shuffle(order)
        for batch in range(len(training_loss)):
            start, end = batch * self.batch_size, (batch + 1) * self.batch_size
            self.own_train(own_X, own_y, order[start:end], training_loss[batch : batch + 1])
            X_part, y_part = validation[0][start:end], validation[1][start:end]
            validation_loss[batch] = (
                self.loss(y_part, self.predict(X_part)) if len(X_part) else np.nan
            )
        self.forget()


class TimedInside(TimedByPython):
    """Times a network with `OwnArrays` on arrays of its own, as its users hold them.

    `call` is what it takes to hand one NumPy array over and get one back.
    """

    def calls(self, network: Any) -> Calls:
        """Say what is timed of a network."""
        return Calls(
            network.own_forward, network.own_backprop, network.epoch, network.give, network.take
        )


def _frozen(arrays: Sequence[Array]) -> tuple[Array, ...]:
    copies = tuple(np.array(array) for array in arrays)
    for copy in copies:
        copy.flags.writeable = False
    return copies
