"""Trained weights in files: written whole, and read as what anyone may have written.

An .npz file of `bench train`, or the folder that the stand-alone program leaves: arrays called
`weights_0`, `biases_0`, `weights_1`, and so on. Nothing is unpickled, memory is bounded before it
is taken (`bench.storage.npy`), and the arrays must make a network: each layer as wide as the next
one expects, one dtype, all numbers finite.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.model.errors import UsageError
from bench.model.records import DType
from bench.storage.atomic_files import write_whole
from bench.storage.limits import plain
from bench.storage.npy import MOST_ARRAYS, MOST_BYTES, read_arrays, read_npy

Array = NDArray[Any]

SCALING = ("x_shift", "x_scale", "y_shift", "y_scale")
"""How data was brought to the size that the network saw: (value - shift) / scale, by column."""
_LAYER = re.compile(r"(weights|biases)_(0|[1-9][0-9]{0,3})")


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Columns of inputs, (in,), and of targets, (out,): what the network sees is scaled."""

    x_shift: Array
    x_scale: Array
    y_shift: Array
    y_scale: Array


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What makes a trained network: weights (in, out) and biases (1, out) of each layer."""

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    scaling: Scaling | None = None

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Widths from the input to the output."""
        return (len(self.weights[0]), *(array.shape[1] for array in self.weights))

    @property
    def dtype(self) -> DType:
        """The dtype of all arrays."""
        return cast("DType", self.weights[0].dtype.name)


def save_weights(path: Path, found: Weights) -> None:
    """Write weights to an .npz file, with the scaling of the data where there is one.

    Raises:
        UsageError: It cannot be written.
    """
    arrays = {f"weights_{place}": array for place, array in enumerate(found.weights)}
    arrays |= {f"biases_{place}": array for place, array in enumerate(found.biases)}
    if found.scaling is not None:
        arrays |= {name: getattr(found.scaling, name) for name in SCALING}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # the stubs mix in allow_pickle
    try:
        write_whole(path, buffer.getvalue())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def load_weights(path: Path) -> Weights:
    """Read the weights of a network from an .npz file or from a folder of .npy files.

    Raises:
        UsageError: It is missing or damaged, or what it holds is no network; says what is wrong.
    """
    try:
        arrays = _arrays_of(path)
    except Exception as error:  # `zipfile` and NumPy have a dozen kinds for damaged files
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{path} holds no weights that can be read: {plain(reason)}") from error
    try:
        return _network_of(arrays)
    except ValueError as error:
        raise UsageError(f"{path} holds no network: {plain(str(error))}") from None


def load_table(path: Path) -> Array:
    """Read an .npy file of float64 or float32 of two dimensions.

    Raises:
        UsageError: It is missing or damaged, or holds something else.
    """
    try:
        with _plain_file(path) as file:
            table = read_npy(file, path.stat().st_size, path.name)
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{path} cannot be read: {plain(reason)}") from error
    if table.ndim != 2 or not table.size:
        raise UsageError(
            f"{path} has the shape {table.shape}; rows and columns are needed, at least one of each"
        )
    return table


def _plain_file(path: Path) -> IO[bytes]:
    """Open a file, but no pipe or device, which would be waited for or has no end."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no plain file")
    return path.open("rb")


def _arrays_of(path: Path) -> dict[str, Array]:
    if not path.is_dir():
        with _plain_file(path) as file:
            return read_arrays(file)
    # Only names that can be of layers; others may lie there.
    files = [file for file in sorted(path.glob("*.npy")) if _LAYER.fullmatch(file.stem)]
    sizes = [file.stat().st_size for file in files]
    if len(files) > MOST_ARRAYS or sum(sizes) > MOST_BYTES:
        raise ValueError(f"more than {MOST_ARRAYS} files, or more than {MOST_BYTES >> 20} MiB")
    if not files:
        raise ValueError("it has no files weights_0.npy, biases_0.npy and so on")
    found = {}
    for one, size in zip(files, sizes, strict=True):
        with _plain_file(one) as stream:
            found[one.stem] = read_npy(stream, size, one.name)
    return found


def _network_of(arrays: Mapping[str, Array]) -> Weights:
    """Make sure that arrays form a network.

    Raises:
        ValueError: They do not; says why.
    """
    layers = sum(name.startswith("weights_") for name in arrays)
    names = [f"{kind}_{place}" for kind in ("weights", "biases") for place in range(layers)]
    scaled = [name for name in SCALING if name in arrays]
    if not layers or set(arrays) != {*names, *scaled} or len(scaled) not in (0, len(SCALING)):
        raise ValueError(
            "its arrays are not weights_0, biases_0 and so on, one pair a layer; they are "
            + (", ".join(sorted(arrays)[:6]) or "none")
        )
    for name, array in arrays.items():
        if array.dtype != arrays["weights_0"].dtype:
            raise ValueError(f"{name} is {array.dtype}, and weights_0 {arrays['weights_0'].dtype}")
        if not array.size or not np.isfinite(array).all():
            raise ValueError(f"{name} is empty, or holds numbers that are not finite")
        if array.ndim != (1 if name in SCALING else 2):
            raise ValueError(f"{name} has the shape {array.shape}")
    weights = tuple(arrays[f"weights_{place}"] for place in range(layers))
    biases = tuple(arrays[f"biases_{place}"] for place in range(layers))
    for place, (array, bias) in enumerate(zip(weights, biases, strict=True)):
        if bias.shape != (1, array.shape[1]):
            raise ValueError(
                f"weights_{place} has the shape {array.shape} and biases_{place} {bias.shape}"
            )
    for place, (one, other) in enumerate(pairwise(weights)):
        if one.shape[1] != len(other):
            raise ValueError(
                f"weights_{place} has the shape {one.shape} and weights_{place + 1} {other.shape}: "
                "what comes out of the one does not fit into the other"
            )
    scaling = None
    if scaled:
        scaling = Scaling(*(arrays[name] for name in SCALING))
        ends = [len(weights[0]), weights[-1].shape[1]]
        for name, width in zip(SCALING, np.repeat(ends, 2), strict=True):
            if len(arrays[name]) != width or ("scale" in name and not arrays[name].all()):
                raise ValueError(f"{name} has not one number other than 0 for each of {width}")
    return Weights(weights, biases, scaling)
