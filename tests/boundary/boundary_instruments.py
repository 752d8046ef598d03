"""Uses what only mojo_impl has, well and badly: an int, nothing or an exception must come of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from boundary_things import ODD, Whole

import mojo_impl


def use_instrument(name: str, seed: int) -> str:
    """Call one of the four with arguments drawn from a seed; say what it came to.

    Raises:
        AssertionError: It returned what it should not.
    """
    draw = random.Random(seed)
    try:
        value = getattr(mojo_impl, name)(*ARGUMENTS[name](draw))
    except Exception as error:
        return type(error).__name__
    finally:
        mojo_impl.set_threads(1)
    nothing = name in ("nothing", "set_threads")
    assert value is None if nothing else type(value) is int, (name, value)
    return "answered"


def anything(draw: random.Random, *right: Any) -> Any:
    """Draw a right argument three times of four, else one that has no meaning."""
    if draw.random() < 0.75:
        return draw.choice(right)
    values = [-1, 0, 1, 2, -(2**70), "x", None, 1.5, True, Whole(1), Whole("1")]
    return draw.choice([*values, ODD[draw.choice(sorted(ODD))](np.ones((2, 2)))])


def _phase(draw: random.Random) -> list[Any]:
    dtype = draw.choice(["float64", "float32"])
    network = mojo_impl.MLP([2, 3, 1], batch_size=2, seed=0, dtype=dtype)
    if draw.random() < 0.1:
        network.batch_size = anything(draw, 1, 3)
    if draw.random() < 0.1:
        network.learning_rate = anything(draw, 0.1)
    result = np.zeros(draw.choice([2, 2, 13, 13, 5]), draw.choice([dtype, dtype, "f8", "i4"]))
    return [
        anything(draw, network, network, network, mojo_impl.MLP.__new__(mojo_impl.MLP)),
        anything(draw, "forward", "backprop", "epoch", "timer"),
        loops(draw),
        anything(draw, np.ones((4, 2), dtype)),
        anything(draw, np.ones((4, 1), dtype)),
        *draw.choice([[], [None], [result], [result], [anything(draw, result)]]),
    ]


def _probe(draw: random.Random) -> list[Any]:
    return [
        anything(draw, "peak", "memory", "cache"),
        anything(draw, "float64", "float32"),
        anything(draw, 3 << 17, 64, 640, 2**14),
        loops(draw),
    ]


def loops(draw: random.Random) -> Any:
    """Draw a number of loops, or none; but not one that would never end."""
    value = anything(draw, 1, 2)
    return 1 if value == 2**70 else value


ARGUMENTS: dict[str, Callable[[random.Random], list[Any]]] = {
    "time_phase": _phase,
    "time_probe": _probe,
    "nothing": lambda draw: [anything(draw, np.ones((2, 2)))],
    "set_threads": lambda draw: [anything(draw, 1, 2, 3, 10**9, -(2**70), 2**70)],
}
