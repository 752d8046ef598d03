"""The network of `mojo_impl` as Python sees it: the type made in Mojo, with what need not be fast.

`forward`, `backprop`, `step`, `loss`, `predict`, `reset` and the parameters are Mojo; importing
this module compiles the library if it is not there yet. `fit` is the very function of the twin: a
loop in Python over epochs, each of which is one call into Mojo.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mojo_impl._library import Network, initialise
from python_impl import network as twin
from python_impl.checks import check_network
from python_impl.network import History

__all__ = ["MLP", "History"]


class MLP(Network):
    """The network of `python_impl.MLP`, computed in Mojo: same names, same checks, same stream.

    Initial weights are standard normal times sqrt(4 / (fan_in + fan_out)), drawn layer by layer
    from the stream of `numpy.random.RandomState(seed)`; biases are zero. The same stream then gives
    one shuffle per epoch, so a seed fixes the whole training, and both languages train alike.

    `backprop` fills the gradients that it returned last, or the time before, again once nothing
    outside can see any part of them; until then they never change. So the network holds on to two
    sets of gradients at most, and lets go of them with `fit`, `reset` or its own end.

    A call that takes long lets other threads run; one that finds the network in use by another
    thread raises RuntimeError.

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
        MemoryError: There is not enough memory for the weights.
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
        initialise(self, checked.layer_sizes, checked.seed, checked.dtype.name)
        self.layer_sizes = checked.layer_sizes
        self.learning_rate = checked.learning_rate
        self.max_epochs = checked.max_epochs
        self.batch_size = checked.batch_size
        self.seed = checked.seed
        self.dtype = checked.dtype

    fit = twin.MLP.fit

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle stores: attributes, parameters and stream, not the last batch."""
        return {
            "attributes": dict(self.__dict__),
            "weights": self.weights,
            "biases": self.biases,
            "stream": self._stream,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Become the network that `__getstate__` described."""
        attributes = state["attributes"]
        initialise(self, attributes["layer_sizes"], attributes["seed"], attributes["dtype"].name)
        self.weights = state["weights"]
        self.biases = state["biases"]
        self._stream = state["stream"]
        self.__dict__.update(attributes)
