"""The variants of the ladder that are Mojo and not tuned: `mojo-port`, `mojo-simd` and `mojo-max`.

Their Mojo lies beside this file. Here are the checks, and what a benchmark asks of an
implementation. Arrays are checked in Python and handed over by address: the timed phases run whole
in Mojo, so what a call costs does not enter them. Importing this module compiles nothing; the first
network does, if its library is not there yet.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.machinery import ExtensionFileLoader
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mojo_impl.building.build import Library, build, check_cpu, recipe, wanted_cpu
from mojo_impl.building.libraries import LIBRARIES, LIBRARY_OF
from python_impl import network as twin
from python_impl.checks import check_array, check_arrays, check_network

Array = NDArray[Any]


@cache
def extension(library: str) -> tuple[Any, Library]:
    """Load a library of the ladder, compiled first if it is not there, and tell its facts.

    Args:
        library: Which one, of `mojo_impl.building.libraries`.

    Raises:
        BuildError: It does not compile, needs MAX and there is none, or cannot run here.
    """
    found = build(recipe(wanted_cpu(), library))
    check_cpu(found)
    # Mojo's side of a PythonObject looks for Python's own library by this.
    os.environ.setdefault("MOJO_PYTHON", sys.executable)
    name, path = f"mojo_impl.{LIBRARIES[library].module}", str(found.path)
    spec = spec_from_file_location(name, path, loader=ExtensionFileLoader(name, path))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, found


class LadderMLP:
    """The network of `python_impl.MLP` in a variant's Mojo: same names, same checks, same stream.

    Arguments and errors are those of `python_impl.MLP`. Arrays are copied on their way in and out.
    A lack of memory ends the process.
    """

    variant: ClassVar[str]  # as its functions in the library are called

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
        module, _ = extension(LIBRARY_OF[f"mojo-{self.variant}"])
        make = getattr(module, f"{self.variant}_{self.dtype.name}")
        self._mojo = make(list(self.layer_sizes), self.seed)
        self._rows = 0  # of the batch that `forward` saw last

    def reset(self) -> None:
        """Go back to the initial weights and to the start of the random stream."""
        self._mojo.reset()
        self._rows = 0

    @property
    def weights(self) -> tuple[Array, ...]:
        """The weights, one (in, out) array per layer: read-only copies; assign to change them."""
        return self._read("weights", pairwise(self.layer_sizes))

    @weights.setter
    def weights(self, arrays: Sequence[Array]) -> None:
        self._write("weights", check_arrays("weights", arrays, self.weights))

    @property
    def biases(self) -> tuple[Array, ...]:
        """The biases, one (1, out) array per layer: read-only copies; assign to change them."""
        return self._read("biases", ((1, width) for width in self.layer_sizes[1:]))

    @biases.setter
    def biases(self, arrays: Sequence[Array]) -> None:
        self._write("biases", check_arrays("biases", arrays, self.biases))

    @property
    def activations(self) -> tuple[Array, ...]:
        """What the last `forward` kept: X, each hidden layer after ReLU, y_hat; read-only copies.

        Empty before the first `forward` and after `fit`.
        """
        shapes = ((self._rows, width) for width in self.layer_sizes)
        return self._read("activations", shapes if self._rows else ())

    def forward(self, X: Array) -> Array:
        """Compute the output for X, shape (n, in), and keep what `backprop` needs."""
        X = _dense(check_array("X", X, self.dtype, self.layer_sizes[0]))
        y_hat = self._empty(len(X), self.layer_sizes[-1])
        self._mojo.forward(_address(X), len(X), _address(y_hat))
        self._rows = len(X)
        return y_hat

    def backprop(self, y: Array) -> tuple[list[Array], list[Array]]:
        """Compute the gradients for the batch that `forward` saw last, by its targets y."""
        if not self._rows:
            raise RuntimeError("backprop needs a forward first: call forward(X), then backprop(y)")
        y = _dense(check_array("y", y, self.dtype, self.layer_sizes[-1], rows=self._rows))
        grads_w = [self._empty(*shape) for shape in pairwise(self.layer_sizes)]
        grads_b = [self._empty(1, width) for width in self.layer_sizes[1:]]
        self._mojo.backprop(_address(y), _addresses(grads_w, grads_b))
        return grads_w, grads_b

    def step(self, grads_w: Sequence[Array], grads_b: Sequence[Array]) -> None:
        """Move every parameter by -learning_rate * gradient / batch_size."""
        like_w, like_b = self.weights, self.biases
        grads_w = [_dense(a) for a in check_arrays("grads_w", grads_w, like_w, copy=False)]
        grads_b = [_dense(a) for a in check_arrays("grads_b", grads_b, like_b, copy=False)]
        self._mojo.step(_addresses(grads_w, grads_b), self._rate())

    def loss(self, y: Array, y_hat: Array) -> float:
        """Return the mean of the squared errors over all elements, summed in float64."""
        y = _dense(check_array("y", y, self.dtype, self.layer_sizes[-1]))
        y_hat = _dense(check_array("y_hat", y_hat, self.dtype, self.layer_sizes[-1], rows=len(y)))
        return float(self._mojo.loss(_address(y), _address(y_hat), len(y)))

    def predict(self, X: Array) -> Array:
        """Compute the output for X, shape (n, in), without touching the cache of `forward`."""
        X = _dense(check_array("X", X, self.dtype, self.layer_sizes[0]))
        y_hat = self._empty(len(X), self.layer_sizes[-1])
        self._mojo.predict(_address(X), len(X), _address(y_hat))
        return y_hat

    fit = twin.MLP.fit

    def time_phase(
        self,
        phase: str,
        loops: int,
        X: Array,
        y: Array,
        batch_size: int,
        result: Array | None = None,
    ) -> int:
        """Repeat "forward", "backprop", "epoch" or "timer" by Mojo's clock; see `Variant.time`."""
        X = _dense(check_array("X", X, self.dtype, self.layer_sizes[0]))
        y = _dense(check_array("y", y, self.dtype, self.layer_sizes[-1], rows=len(X)))
        if not 1 <= batch_size <= len(X):
            raise ValueError(f"batch_size must be from 1 to {len(X)}; got {batch_size}")
        if result is not None:
            parameters = sum((above + 1) * below for above, below in pairwise(self.layer_sizes))
            count = {"forward": batch_size * y.shape[1], "backprop": parameters}.get(phase, 0)
            if result.shape != (count,) or result.dtype != self.dtype or not _is_dense(result):
                raise ValueError(f"result must be a dense array of {count} {self.dtype} numbers")
        self._rows = 0
        return int(
            self._mojo.time_phase(
                phase,
                loops,
                (_address(X), _address(y), len(X)),
                batch_size,
                self._rate(),
                None if result is None else _address(result),
            )
        )

    def facts(self) -> tuple[bool, int]:
        """Tell whether products keep subnormal numbers, and the float64 numbers of a vector."""
        kept, lanes = self._mojo.facts()
        return kept, lanes

    def _epoch(
        self,
        X: Array,
        y: Array,
        validation: tuple[Array, Array] | None,
        training_loss: NDArray[np.float64],
        validation_loss: NDArray[np.float64],
    ) -> None:
        """Train one epoch on checked data and fill in the losses of its batches."""
        X, y = _dense(X), _dense(y)
        X_val, y_val = (_dense(array) for array in validation or (X[:0], y[:0]))
        self._rows = 0
        self._mojo.epoch(
            (_address(X), _address(y), len(X)),
            (_address(X_val), _address(y_val), len(X_val)),
            self.batch_size,
            self._rate(),
            (_address(training_loss), _address(validation_loss), len(training_loss)),
        )

    def _rate(self) -> float:
        return self.learning_rate / self.batch_size

    def _empty(self, rows: int, columns: int) -> Array:
        return np.empty((rows, columns), self.dtype)

    def _read(self, kind: str, shapes: Iterable[tuple[int, int]]) -> tuple[Array, ...]:
        found = tuple(self._empty(*shape) for shape in shapes)
        for layer, array in enumerate(found):
            self._mojo.read(kind, layer, _address(array))
            array.flags.writeable = False
        return found

    def _write(self, kind: str, arrays: Sequence[Array]) -> None:
        for layer, array in enumerate(map(_dense, arrays)):
            self._mojo.write(kind, layer, _address(array))


class Variant:
    """What a benchmark drives: an implementation as `bench.implementations` has it, in Mojo."""

    name: ClassVar[str]
    language = "Mojo"
    network: ClassVar[type[LadderMLP]]

    def load(self) -> None:
        """Load the compiled library, which is compiled first if it is not there."""
        extension(LIBRARY_OF[self.name])

    def create(self, problem: Any, *, max_epochs: int = 1, seed: int = 1) -> LadderMLP:
        """Make a network with fresh weights from the seed.

        Args:
            problem: A `bench.model.records.Problem`.
            max_epochs: Passes over the data that its `fit` makes.
            seed: Of its random stream.

        Raises:
            ValueError: The problem asks for more than one thread.
        """
        self._only_one(problem.threads)
        return self.network(
            problem.layer_sizes,
            max_epochs=max_epochs,
            batch_size=problem.batch_size,
            seed=seed,
            dtype=problem.dtype,
        )

    def time(
        self,
        phase: str,
        loops: int,
        network: LadderMLP,
        X: Array,
        y: Array,
        batch_size: int,
        result: Array | None = None,
    ) -> int:
        """Repeat a phase by Mojo's monotonic clock; `call`, calls from Python, by Python's.

        Args:
            phase: "forward" or "backprop", of the first batch; "epoch"; "call" or "timer".
            loops: How many repetitions.
            network: Which one.
            X: Inputs, (n, in).
            y: Targets, (n, out).
            batch_size: Rows of a batch.
            result: Gets what the last repetition computed: of `forward` the outputs, of `backprop`
                the gradients, weights and bias of the first layer, of the second, and so on.

        Returns:
            Nanoseconds of all repetitions together.

        Raises:
            ValueError: The variant has no such phase, or an array does not fit.
        """
        if phase == "call":
            return _time_calls(extension(LIBRARY_OF[self.name])[0].nothing, X[:batch_size], loops)
        if phase not in ("forward", "backprop", "epoch", "timer"):
            raise ValueError(f"{self.name} has no phase {phase!r}")
        return network.time_phase(phase, loops, X, y, batch_size, result)

    def describe(self) -> dict[str, Any]:
        """Tell what the library was compiled for and how, and that it has one thread.

        Raises:
            ValueError: MOJO_IMPL_THREADS asks for more.
        """
        asked = os.environ.get("MOJO_IMPL_THREADS", "1")
        self._only_one(int(asked) if asked.isdecimal() else asked)
        _, library = extension(LIBRARY_OF[self.name])
        kept, lanes = self.network([1, 1]).facts()
        versions = {"mojo": library.version}
        if LIBRARIES[LIBRARY_OF[self.name]].needs_max:
            versions["max-core"] = version("max-core")
        return {
            "versions": versions,
            "threads": 1,
            "denormals": "kept" if kept else "flushed",
            "facts": {
                "mojo target cpu": library.target_cpu,
                "flags": library.flags,
                "simd width float64": str(lanes),
                "allocation": "each result is a new array",
            },
        }

    def _only_one(self, threads: object) -> None:
        if threads != 1:
            raise ValueError(
                f"{self.name} computes on one thread and was asked for {threads}; time it with"
                " --threads 1"
            )


class PortMLP(LadderMLP):
    """The network in naive loops."""

    variant = "port"


class SimdMLP(LadderMLP):
    """The network in loops over vectors."""

    variant = "simd"


class MaxMLP(LadderMLP):
    """The network in loops over vectors, its products by MAX."""

    variant = "max"


class MojoPort(Variant):
    """The port that a Python programmer would write first: naive loops."""

    name = "mojo-port"
    network = PortMLP


class MojoSimd(Variant):
    """The same with `vectorize`."""

    name = "mojo-simd"
    network = SimdMLP


class MojoMax(Variant):
    """The same with products by MAX's `linalg.matmul`."""

    name = "mojo-max"
    network = MaxMLP


def _is_dense(array: Array) -> bool:
    return array.flags.c_contiguous and array.flags.aligned and array.flags.writeable


def _dense(array: Array) -> Array:
    return np.require(array, requirements=["C", "A"])


def _address(array: Array) -> int:
    return array.ctypes.data


def _addresses(weights: Sequence[Array], biases: Sequence[Array]) -> list[int]:
    """List where weights and bias of each layer lie; the arrays must outlive the use of it."""
    return [_address(array) for pair in zip(weights, biases, strict=True) for array in pair]


def _time_calls(call: Any, X: Array, loops: int) -> int:
    turns = range(loops)
    start = time.perf_counter_ns()
    for _ in turns:
        call(X)
    return time.perf_counter_ns() - start
