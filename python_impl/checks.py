"""What a network accepts, in one place: bad input gets the right exception and a clear sentence.

`mojo_impl` uses `check_network`, `check_pair`, `check_progress` and `check_finite` from here, and
words the checks of its fast calls, made in Mojo, exactly as `check_array` and `check_arrays` do.
"""

from __future__ import annotations

import math
import operator
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MAX_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True)
class NetworkArguments:
    """The arguments of `MLP`, checked and in their final types."""

    layer_sizes: tuple[int, ...]
    learning_rate: float
    max_epochs: int
    batch_size: int
    seed: int
    dtype: np.dtype[Any]


class Network(Protocol):
    """What the checks need to know of a network."""

    layer_sizes: tuple[int, ...]
    dtype: np.dtype[Any]


def check_network(
    layer_sizes: Iterable[int],
    learning_rate: float,
    max_epochs: int,
    batch_size: int,
    seed: int | None,
    dtype: str,
) -> NetworkArguments:
    """Check the arguments of `MLP`; a missing seed is drawn here.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.
    """
    if isinstance(layer_sizes, str) or not isinstance(layer_sizes, Iterable):
        raise TypeError(
            f"layer_sizes must be a sequence of ints, such as [1, 50, 1]; got {layer_sizes!r}"
        )
    sizes = tuple(
        _whole_number(f"layer_sizes[{place}]", size, 1) for place, size in enumerate(layer_sizes)
    )
    if len(sizes) < 2:
        raise ValueError(
            f"layer_sizes needs at least two sizes, the input and the output; got {list(sizes)}"
        )
    if isinstance(learning_rate, bool | np.bool) or not isinstance(
        learning_rate, int | float | np.integer | np.floating
    ):
        raise TypeError(f"learning_rate must be a number; got {learning_rate!r}")
    if not math.isfinite(learning_rate) or learning_rate < 0:
        raise ValueError(f"learning_rate must be finite and not negative; got {learning_rate!r}")
    epochs = _whole_number("max_epochs", max_epochs, 0)
    batch = _whole_number("batch_size", batch_size, 1)
    number = secrets.randbits(32) if seed is None else _whole_number("seed", seed, 0)
    if number > MAX_SEED:
        raise ValueError(f"seed must be at most {MAX_SEED}; got {number}")
    kind = None
    try:
        if dtype is not None:  # which NumPy takes for float64
            kind = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError):
        pass
    # None is asked for by itself: to NumPy, None == float64.
    if kind is None or kind not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"dtype must be 'float64' or 'float32'; got {dtype!r}")
    return NetworkArguments(sizes, float(learning_rate), epochs, batch, number, kind)


def check_array(name: str, array: Array, dtype: np.dtype[Any], width: int, rows: int = 0) -> Array:
    """Check one (rows, width) array; `rows` 0 means any number but none.

    Raises:
        TypeError: It is not an array, or not of this dtype.
        ValueError: It has the wrong shape.
    """
    if not issubclass(type(array), np.ndarray):  # isinstance believes what an object says it is
        raise TypeError(f"{name} must be a NumPy array; got {type(array).__name__}")
    # A subclass, such as numpy.matrix, would give * and @ meanings of its own, and can say that it
    # has a shape or dtype that it has not.
    if type(array) is not np.ndarray:
        array = np.asarray(array)
    if array.dtype != dtype:
        raise TypeError(
            f"{name} must be {dtype}, the network's dtype; got {array.dtype}: "
            f"use {name}.astype('{dtype}')"
        )
    if array.ndim != 2 or array.shape[1] != width or (rows and len(array) != rows):
        raise ValueError(
            f"{name} must have shape ({rows or 'n'}, {width}); got {_shape(array.shape)}"
        )
    if not len(array):
        raise ValueError(f"{name} is empty: shape {_shape(array.shape)}")
    return array


def check_arrays(
    name: str, arrays: Sequence[Array], like: Sequence[Array], *, copy: bool = True
) -> list[Array]:
    """Check one array per layer against the shapes and the dtype of `like`.

    Raises:
        TypeError: `arrays` is not a sequence, or an array is not of the right dtype.
        ValueError: There are too few or too many, or one has the wrong shape.
    """
    if not isinstance(arrays, list | tuple):
        raise TypeError(f"{name} must be a list or tuple of arrays; got {type(arrays).__name__}")
    if len(arrays) != len(like):
        raise ValueError(f"{name} must hold {len(like)} arrays, one per layer; got {len(arrays)}")
    checked = [
        check_array(f"{name}[{place}]", array, model.dtype, model.shape[1], rows=len(model))
        for place, (array, model) in enumerate(zip(arrays, like, strict=True))
    ]
    return [array.copy() for array in checked] if copy else checked


def check_pair(
    name_X: str, name_y: str, X: Array | None, y: Array | None, network: Network
) -> tuple[Array, Array]:
    """Check inputs and targets of one data set: both there, and of the same length.

    Raises:
        TypeError: An array is missing or not of the network's dtype.
        ValueError: A shape is wrong.
    """
    if X is None or y is None:
        missing, given = (name_X, name_y) if X is None else (name_y, name_X)
        raise TypeError(f"{given} was given without {missing}; give both or neither")
    X = check_array(name_X, X, network.dtype, network.layer_sizes[0])
    return X, check_array(name_y, y, network.dtype, network.layer_sizes[-1], rows=len(X))


def check_progress(progress: object) -> None:
    """Refuse a `progress` that cannot be called, before an epoch is trained for it.

    Raises:
        TypeError: It is neither None nor callable.
    """
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be callable; got {progress!r}")


def check_finite(**arrays: Array) -> None:
    """Refuse NaN and infinity.

    Raises:
        ValueError: Names the array, the first such value and its place.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            row, column = np.argwhere(~np.isfinite(array))[0]
            raise ValueError(
                f"{name} holds {array[row, column]} at row {row}, column {column}; "
                "clean the data or pass allow_nonfinite=True"
            )


def _whole_number(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool | np.bool):
        raise TypeError(f"{name} must be an int; got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int; got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}; got {number}")
    return number


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
