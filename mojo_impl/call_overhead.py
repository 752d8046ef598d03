"""Measures the call overhead: what a call from Python with NumPy arrays costs beside its work.

    taskset -c 0 python -m mojo_impl.call_overhead

That is the time of a call in a loop of Python less the time of the same work in a loop of Mojo,
taken in turn; nothing else is subtracted, so checks, result arrays and the loop of Python are in
it. The median is over the differences of the turns, "least" the difference of the two minima.
Leave the machine alone meanwhile: where the work is long, both carry the noise of two large
numbers. There two sets of gradients, which take turns as a caller holds the last, also need twice
the cache of the one set that the loop in Mojo fills.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from itertools import repeat
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mojo_impl.machine import nothing, time_phase
from mojo_impl.network import MLP

NETWORKS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((1, 1), 1),
    ((1, 2, 1), 1),
    ((1, *[1] * 9, 1), 1),  # ten layers that hardly work: the cost of a layer's two gradients
    ((1, *[50] * 9, 1), 20),
)
TURNS = 400
TURN_NS = 1_000_000  # shorter than what a scheduler gives a neighbour


def time_calls(function: Callable[[Any], object], argument: object, loops: int) -> int:
    """Call a function again and again, holding each result until the next, as users do.

    Returns:
        Nanoseconds of all calls together.
    """
    start = perf_counter_ns()
    for _ in repeat(None, loops):
        result = function(argument)  # noqa: F841
    return perf_counter_ns() - start


def overhead(
    network: MLP,
    phase: str,
    X: NDArray[Any],
    y: NDArray[Any],
    turns: int = TURNS,
    turn_ns: int = TURN_NS,
) -> list[tuple[float, float]]:
    """Take calls from Python and the same work inside Mojo in turn.

    Args:
        network: Any network.
        phase: "forward" or "backprop".
        X: One batch of inputs.
        y: Its targets.
        turns: How many turns each side gets.
        turn_ns: About how long one takes.

    Returns:
        Nanoseconds of one call and of its work, for each turn.
    """
    call, argument = (network.forward, X) if phase == "forward" else (network.backprop, y)
    network.forward(X)
    loops = max(1, turn_ns * 100 // time_calls(call, argument, 100))
    taken = []
    for _ in range(turns):
        inside = time_phase(network, phase, loops, X, y)
        network.forward(X)  # for `backprop`, as `time_phase` forgets the batch
        taken.append((time_calls(call, argument, loops) / loops, inside / loops))
    return taken


def table() -> Iterator[str]:
    """Measure and yield the lines of a table: a row for each network, dtype and phase."""
    yield "layers batch  dtype    phase     call_ns   work_ns  overhead_ns  least_ns"
    for sizes, batch in NETWORKS:
        for dtype in ("float64", "float32"):
            network = MLP(sizes, batch_size=batch, seed=1, dtype=dtype)
            X, y = np.ones((batch, sizes[0]), dtype), np.ones((batch, sizes[-1]), dtype)
            for phase in ("forward", "backprop"):
                taken = overhead(network, phase, X, y)
                calls, work = zip(*taken, strict=True)
                yield (
                    f"{len(sizes) - 1:<6} {batch:<6} {dtype:<8} {phase:<8}"
                    f"{median(calls):>9.1f} {median(work):>9.1f}"
                    f"{median(call - inside for call, inside in taken):>13.1f}"
                    f"{min(calls) - min(work):>10.1f}"
                )
    empty = min(time_calls(nothing, None, 100_000) for _ in range(20)) / 100_000
    yield f"A call that does nothing, in the same loop of Python: {empty:.1f} ns."


def main() -> None:
    """Print the table."""
    gc.disable()
    for line in table():
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
