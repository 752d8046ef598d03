"""What a network computes, as arrays by name: what parity compares. Drives one implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.model.records import PHASES, Phase
from bench.workers.implementations.drivers import Array, Implementation, Network
from bench.workers.parity import TIMED
from bench.workers.tensor_files import EXTREME_ACTIVATIONS, EXTREME_ROWS, EXTREME_Y_HAT


def tensors(
    network: Network,
    data: Mapping[str, Array],
    batch_size: int,
    phases: Sequence[Phase] = PHASES,
) -> dict[str, Array]:
    """Run one batch through a fresh network and return every tensor by name.

    Initial weights and biases; activations, y_hat and loss of the first batch; every gradient;
    every parameter after one step. The network is one step further afterwards. What belongs to a
    phase that is not among `phases` is left out.
    """
    X, y = data["X"][:batch_size], data["y"][:batch_size]
    found: dict[str, Array] = {}

    def add(name: str, arrays: Any) -> None:
        found.update({f"{name}[{place}]": np.array(array) for place, array in enumerate(arrays)})

    add("initial weights", network.weights)
    add("initial biases", network.biases)
    if "forward" not in phases:
        return found
    y_hat = network.forward(X)
    add("activations", network.activations)
    found["y_hat"] = np.array(y_hat)
    found["loss"] = np.array(network.loss(y, y_hat))
    if "backprop" not in phases:
        return found
    grads_w, grads_b = network.backprop(y)
    add("grads_w", grads_w)
    add("grads_b", grads_b)
    network.step(grads_w, grads_b)
    add("stepped weights", network.weights)
    add("stepped biases", network.biases)
    return found


def phases_of(mine: Implementation) -> tuple[Phase, ...]:
    """List the phases that an implementation offers: all, unless it says so."""
    return tuple(getattr(mine, "phases", PHASES))


def timed_tensors(
    mine: Implementation, network: Network, data: Mapping[str, Array], batch_size: int
) -> dict[str, Array]:
    """Return what the timed code computes, by name: a clock around no work would show here.

    Outputs and gradients of the first batch as the last of two timed repetitions left them, then
    the parameters after two timed epochs. Starts from the weights that are there. What belongs to a
    phase that the implementation does not offer is left out.
    """
    X, y = data["X"], data["y"]
    phases = phases_of(mine)
    found: dict[str, Array] = {}
    sizes = [
        array.size for pair in zip(network.weights, network.biases, strict=True) for array in pair
    ]
    if "forward" in phases:
        y_hat = np.full(batch_size * y.shape[1], np.nan, X.dtype)
        mine.time("forward", 2, network, X, y, batch_size, y_hat)
        found[f"{TIMED}y_hat"] = y_hat.reshape(batch_size, -1)
    if "backprop" in phases:
        gradients = np.full(sum(sizes), np.nan, X.dtype)
        mine.time("backprop", 2, network, X, y, batch_size, gradients)
        parts = np.split(gradients, np.cumsum(sizes)[:-1])
        for place, (weights, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
            found[f"{TIMED}grads_w[{place}]"] = parts[2 * place].reshape(weights.shape)
            found[f"{TIMED}grads_b[{place}]"] = parts[2 * place + 1].reshape(bias.shape)
    if "epoch" not in phases:
        return found
    mine.time("epoch", 2, network, X, y, batch_size)
    for place, (weights, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        found[f"{TIMED}weights[{place}]"] = np.array(weights)
        found[f"{TIMED}biases[{place}]"] = np.array(bias)
    return found


def extreme_tensors(network: Network, data: Mapping[str, Array]) -> dict[str, Array]:
    """Return what comes of inputs that are no ordinary numbers, by name.

    Outputs for a row with NaN, a row with infinity, and an ordinary one: who swallows NaN shows
    here. Then the first layer's outputs, without biases, of inputs below the smallest normal
    number: who flushes those to zero shows here. Changes the biases.
    """
    X = data["X"][:EXTREME_ROWS].copy()
    limits = np.finfo(X.dtype)
    # Eleven bits of float32, and forty of float64, are left to inputs of this size.
    tiny = X * limits.smallest_normal * 2.0 ** (-12 if X.dtype == np.float64 else -4)
    X[0, 0] = np.nan
    X[1:2, 0] = np.inf
    with np.errstate(all="ignore"):
        found = {EXTREME_Y_HAT: np.array(network.forward(X))}
        network.biases = [np.zeros_like(bias) for bias in network.biases]
        network.forward(tiny.astype(X.dtype))
        found[EXTREME_ACTIVATIONS] = np.array(network.activations[1])
    return found
