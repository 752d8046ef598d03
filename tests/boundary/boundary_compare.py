"""Holds the two twins' outcomes of a step against each other. Pure.

Both refuse with the same type, and in the same words where they are python_impl's own; or both
answer, and the numbers agree: where they are not finite exactly, elsewhere to the tolerance of the
dtype, relative to the norm of the tensor, or to 1 where that is less.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from boundary_world import Outcome

TOLERANCE = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-3}


def difference(one: Outcome, other: Outcome, narrow: bool) -> str | None:
    """Say in what NumPy's outcome and Mojo's differ, or nothing.

    Args:
        one: That of python_impl.
        other: That of mojo_impl.
        narrow: Whether the network computes in float32: so a number is only as good as one.
    """
    if one.name != other.name:
        return f"NumPy {told(one)}, Mojo {told(other)}"
    if one.own_words and one.message != other.message:
        return f"NumPy says {one.message!r}, Mojo {other.message!r}"
    return unlike(one.value, other.value, narrow)


def told(outcome: Outcome) -> str:
    """Say in words what a step came to."""
    return f"{outcome.kind} {outcome.name}: {outcome.message}" if outcome.error else outcome.kind


def unlike(one: Any, other: Any, narrow: bool, place: str = "") -> str | None:
    """Say in what two results differ, or nothing."""
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return f"{place} has {len(one)} and {len(other)} parts"
        parts = (
            unlike(a, b, narrow, f"{place}[{i}]")
            for i, (a, b) in enumerate(zip(one, other, strict=True))
        )
        return next((found for found in parts if found), None)
    if isinstance(one, float) and isinstance(other, float):
        one, other = np.array([one]), np.array([other])
        return unlike_arrays(one, other, TOLERANCE[np.dtype("f4" if narrow else "f8")], place)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if (type(one), one.dtype, one.shape) != (type(other), other.dtype, other.shape):
            return f"{place} is {one.dtype} {one.shape} and {other.dtype} {other.shape}"
        kind = np.dtype(np.float32) if narrow else one.dtype
        return unlike_arrays(one, other, TOLERANCE[kind], place)
    return None if type(one) is type(other) and one == other else f"{place}: {one!r}, {other!r}"


def unlike_arrays(one: np.ndarray, other: np.ndarray, tolerance: float, place: str) -> str | None:
    """Say in what two arrays of the same kind differ, or nothing."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(one)
    if not np.array_equal(np.where(finite, 0, one), np.where(np.isfinite(other), 0, other), True):
        return f"{place} is not finite in other places: {one.tolist()}, {other.tolist()}"
    one, other = one[finite], other[finite]
    apart = float(np.linalg.norm(one - other))
    allowed = tolerance * max(1.0, float(np.linalg.norm(one)))
    return None if apart <= allowed else f"{place} differs by {apart:.3g}, allowed {allowed:.3g}"
