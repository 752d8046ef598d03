"""What a benchmark asks of the Mojo side beyond the network: threads, clocks, facts."""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mojo_impl import _library
from mojo_impl._library import get_threads, nothing
from mojo_impl.building.build import library_at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mojo_impl.network import MLP

    Array = NDArray[np.float64] | NDArray[np.float32]

__all__ = ["describe", "get_threads", "nothing", "set_threads", "time_phase", "time_probe"]


def set_threads(threads: int) -> None:
    """Set how many threads every network uses from its next call on.

    Results are bitwise the same for any number. At the start it is the environment's
    MOJO_IMPL_THREADS, or 1.

    Args:
        threads: How many, the calling thread included; at least 1.

    Raises:
        TypeError: `threads` is not an int.
        ValueError: It is below 1.
        RuntimeError: The system refuses so many.
    """
    if isinstance(threads, bool):
        raise TypeError(f"threads must be an int; got {threads!r}")
    try:
        number = operator.index(threads)
    except TypeError:
        raise TypeError(f"threads must be an int; got {threads!r}") from None
    if number < 1:
        raise ValueError(f"threads must be at least 1; got {number}")
    _library.set_threads(number)


def time_phase(
    network: MLP, phase: str, loops: int, X: Array, y: Array, result: Array | None = None
) -> int:
    """Repeat a phase of a network by Mojo's monotonic clock; it then holds no batch.

    Args:
        network: The network.
        phase: "forward" or "backprop", of the first batch of the data; "epoch", the shuffle and all
            batches, losses recorded; "timer", two readings of the clock. Or a part of these, in
            memory that is there already, after a forward and a backprop outside the clock:
            "forward-products", "forward-work" (with biases and ReLU), "backprop-products",
            "backprop-work" (with last delta, masks and gradients of the biases), "step-work" (that
            with the update, at a rate of 0), "loss", "shuffle" (with the gathering of batches).
        loops: How many repetitions.
        X: Inputs, (n, in), in the network's dtype, n at least a batch.
        y: Targets, (n, out).
        result: Gets what the last repetition computed, so that it can be checked: a dense array of
            one dimension in the network's dtype, for `forward` (batch * out) outputs, for
            `backprop` the gradients as one sequence, weights and bias of the first layer, of the
            second, and so on. `epoch` leaves its result in the weights; parts give none.

    Returns:
        Nanoseconds of all repetitions together.

    Raises:
        TypeError: `network` is no network of this package, or an argument is of the wrong type.
        ValueError: There is no such phase, or an array does not fit.
    """
    return _library.time_phase(network, phase, loops, X, y, result)


def time_probe(probe: str, dtype: str, amount: int, loops: int) -> int:
    """Repeat a probe of the machine on as many threads as networks use, all at once.

    `peak`: multiply-adds in registers alone; `memory` and `cache`: a[i] = b[i] + s * c[i] in
    float64, every thread on arrays of its own, which lie in memory or in the second-level cache.

    Args:
        probe: Which one.
        dtype: "float64" or "float32", of `peak`.
        amount: Work of each thread in one repetition. `peak`: floating-point operations, two for a
            multiply-add. Else elements of a; those of `memory` are as many as the array has.
        loops: How many repetitions.

    Returns:
        Nanoseconds of all repetitions together, by Mojo's monotonic clock.

    Raises:
        ValueError: There is no such probe or dtype, or `amount` does not divide evenly.
        MemoryError: There is not enough memory for the arrays.
    """
    return _library.time_probe(probe, dtype, amount, loops)


def describe() -> dict[str, Any]:
    """Tell what must be known to compare this side with another.

    Returns:
        `versions` (of the compiler that made the library), `threads` (how many different ones took
        part in a parallel region just now), `denormals` ("kept" or "flushed", by arithmetic on
        each of them), and `facts`, texts by name.
    """
    library = library_at(Path(_library.__file__))
    threads, kept, lanes = _library.probe()
    return {
        "versions": {"mojo": library.version},
        "threads": threads,
        "denormals": "kept" if kept == get_threads() else "flushed",
        "facts": {
            "mojo target cpu": library.target_cpu,
            "flags": library.flags,
            "simd width float64": str(lanes),
        },
    }


def _threads_of_the_environment() -> int:
    value = os.environ.get("MOJO_IMPL_THREADS", "1")
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"MOJO_IMPL_THREADS must be a number from 1; got {value!r}")
    return int(value)


set_threads(_threads_of_the_environment())
