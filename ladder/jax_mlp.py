"""The network in JAX: pure functions, gradients by JAX's own differentiation, all of it compiled.

Where the decisions come from, in JAX's documentation: "Just-in-time compilation" (compile the
outermost function that is called again and again; donate buffers that are not needed any more),
"Control flow" (`lax.scan` where a Python loop would be unrolled): an epoch is one compiled call
that gathers each batch and takes its step; "Asynchronous dispatch" (a result is only ready after
`block_until_ready`, which stands under the clock here); "Default dtypes and the X64 flag". The ReLU
is `jax.nn.relu`, whose derivative at 0 is 0. A forward returns what its pullback needs, as
`jax.vjp` makes it, and a backprop runs that pullback.

XLA runs its work on a pool of threads, whose number it takes from the variable NPROC; for one
thread products are also kept from being divided. It sets the processor to flush subnormal numbers
to zero around every call (`ScopedFlushDenormal` in its CPU client) and this version has no option
against it: the variant says so in `bench.model.registry`, and what becomes of subnormal inputs is
not compared. Timed on JAX's arrays; to make them of NumPy's and back stands as `call`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.implementations import Array, denormals, threads_asked
from ladder.base import Gradients, OwnArrays, TimedInside

# Both are read when JAX makes its client, at the first use.
os.environ["NPROC"] = str(threads_asked())
if threads_asked() == 1:
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")

POOL = "tf_XLAEigen"
"""What the system calls the threads of XLA's pool."""

Parameters = list[tuple[Any, Any]]


def layers(parameters: Parameters, X: Any) -> list[Any]:
    """Compute all layers of a batch: X, each hidden layer after ReLU, y_hat."""
    found = [X]
    for w, b in parameters[:-1]:
        found.append(jax.nn.relu(found[-1] @ w + b))
    w, b = parameters[-1]
    return [*found, found[-1] @ w + b]


@jax.jit
def forward(parameters: Parameters, X: Any) -> tuple[Any, Any]:
    """Compute the output of a batch, and the pullback to the parameters."""
    y_hat, pullback = jax.vjp(lambda mine: layers(mine, X)[-1], parameters)
    return y_hat, pullback


@jax.jit
def backprop(pullback: Any, y_hat: Any, y: Any) -> Parameters:
    """Compute the gradients, as sums over the batch."""
    (gradients,) = pullback(y_hat - y)
    return list(gradients)


@jax.jit
def predict(parameters: Parameters, X: Any) -> Any:
    """Compute the output of a batch."""
    return layers(parameters, X)[-1]


@partial(jax.jit, donate_argnums=0)
def train(
    parameters: Parameters, X: Any, y: Any, batches: Any, rate: Any
) -> tuple[Parameters, Any]:
    """Take a step for each row of `batches`, (count, n) places of rows; return all losses too."""

    def half_squares(mine: Parameters, X_batch: Any, y_batch: Any) -> tuple[Any, Any]:
        squares = jnp.square(layers(mine, X_batch)[-1] - y_batch)
        return squares.sum() / 2, squares.mean(dtype=jnp.float64)

    def step(mine: Parameters, rows: Any) -> tuple[Parameters, Any]:
        gradients, loss = jax.grad(half_squares, has_aux=True)(mine, X[rows], y[rows])
        return jax.tree.map(lambda p, g: p - rate * g, mine, gradients), loss

    moved, losses = jax.lax.scan(step, parameters, batches)
    return moved, losses


class JAXMLP(OwnArrays):
    """`python_impl.MLP` on arrays of JAX."""

    def place(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        """Copy the parameters to the device."""
        pairs = zip(weights, biases, strict=True)
        self._parameters = [(jnp.array(w), jnp.array(b)) for w, b in pairs]

    def placed(self) -> tuple[list[Array], list[Array]]:
        """Return the parameters as NumPy arrays."""
        weights, biases = zip(*self._parameters, strict=True)
        return [np.array(w) for w in weights], [np.array(b) for b in biases]

    def give(self, array: Array) -> Any:
        """Copy an array to the device."""
        return jax.block_until_ready(jnp.array(array))

    def take(self, own: Any) -> Array:
        """Make it NumPy's, once it is computed."""
        return np.array(own)

    def own_forward(self, X: Any) -> Any:
        """Compute the output of a batch and keep the pullback, both computed by then."""
        self._X = X
        self._y_hat, self._pullback = jax.block_until_ready(forward(self._parameters, X))
        return self._y_hat

    def own_backprop(self, y: Any) -> Gradients:
        """Run the pullback of the last forward."""
        gradients = jax.block_until_ready(backprop(self._pullback, self._y_hat, y))
        return [w for w, _ in gradients], [b for _, b in gradients]

    def own_predict(self, X: Any) -> Any:
        """Compute the output and keep nothing."""
        return predict(self._parameters, X)

    def own_train(self, X: Any, y: Any, order: NDArray[Any], losses: NDArray[np.float64]) -> None:
        """Train by one compiled call."""
        n = self.batch_size
        batches = order[: len(losses) * n].reshape(len(losses), n)
        rate = self.dtype.type(self.learning_rate / n)
        moved, found = train(self._parameters, X, y, batches, rate)
        losses[:] = found  # waits for them
        self._parameters = jax.block_until_ready(moved)

    def own_activations(self) -> list[Any]:
        """Compute again what the last forward went through: it keeps what the pullback needs."""
        return layers(self._parameters, self._X)


class JAX(TimedInside):
    """The variant `jax`."""

    name = "jax"

    def mlp(self) -> Callable[..., JAXMLP]:
        """Return the class of the network."""
        return JAXMLP

    def crossing(self) -> Callable[[Array], object]:
        """Return what makes an array JAX's, and NumPy's again."""
        return lambda X: np.asarray(jnp.array(X))

    def describe(self) -> dict[str, Any]:
        """Tell the versions, and the threads of XLA's pool as the system names them."""
        import jaxlib

        double = jax.jit(lambda tiny, one: tiny * (2 * one))
        return {
            "versions": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "jax": jax.__version__,
                "jaxlib": jaxlib.__version__,
            },
            "denormals": denormals(double),  # which starts the threads that are counted next
            "threads": pool_threads(),
            "facts": {
                "devices": ", ".join(str(device) for device in jax.devices()),
                "xla flags": os.environ.get("XLA_FLAGS", "none"),
                "compiled": "by XLA, at the first call of each process",
            },
        }


def pool_threads() -> int:
    """Count the threads of XLA's pool; where the system does not name them, what was set."""
    try:
        names = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
    except OSError:
        names = []
    return sum(name.startswith(POOL) for name in names) or threads_asked()
