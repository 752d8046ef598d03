"""Arrays from a file that may come from a stranger: bounded, nothing unpickled, no name a path.

An .npz file is a ZIP archive of .npy files. Both say in headers how large they are: what is said is
held against a limit before memory is taken, and against what is there. Nothing is extracted.
"""

from __future__ import annotations

import math
import zipfile
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

MOST_ARRAYS = 200
MOST_BYTES = 256 << 20
"""Of all arrays of a file together; what we write has about one MiB."""
MOST_DIMENSIONS = 2
ENDING = ".npy"


def read_arrays(stream: IO[bytes]) -> dict[str, NDArray[Any]]:
    """Read all arrays of an open .npz file: float64 or float32, of up to two dimensions.

    Raises:
        Exception: It is damaged, or holds something else or more; `zipfile` and NumPy have a dozen
            kinds for that.
    """
    with zipfile.ZipFile(stream) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_ARRAYS:
            raise ValueError(f"{len(entries)} arrays, more than {MOST_ARRAYS}")
        if sum(entry.file_size for entry in entries) > MOST_BYTES:
            raise ValueError(f"its arrays take more than {MOST_BYTES >> 20} MiB")
        return {
            entry.filename.removesuffix(ENDING): _read_array(archive, entry) for entry in entries
        }


def read_npy(file: IO[bytes], file_size: int, name: str) -> NDArray[Any]:
    """Read one open .npy file: float64 or float32, of up to two dimensions.

    Args:
        file: Where it is read from.
        file_size: How many bytes it has.
        name: What it is called in an error.

    Raises:
        Exception: It is damaged, or holds something else or more than `MOST_BYTES`.
    """
    if file_size > MOST_BYTES:
        raise ValueError(f"it takes more than {MOST_BYTES >> 20} MiB")
    shape, fortran_order, dtype = _read_header(file)
    if dtype.newbyteorder("=") not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"{name!r} is of {dtype}, not float64 or float32")
    if len(shape) > MOST_DIMENSIONS or min(shape, default=0) < 0:
        raise ValueError(f"{name!r} has the shape {shape}")
    size = math.prod(shape) * dtype.itemsize
    if size > file_size:
        raise ValueError(f"{name!r} is too short for its shape {shape}")
    content = file.read(file_size)  # no more, and of an archive the checksum is held
    if len(content) != size:
        raise ValueError(f"{name!r} has {len(content)} bytes for its shape {shape}")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran_order else "C")
    return array.astype(dtype.newbyteorder("="))


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(entry) as file:
        return read_npy(file, entry.file_size, entry.filename)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    if version == (1, 0):
        return npy.read_array_header_1_0(file)
    if version == (2, 0):
        return npy.read_array_header_2_0(file)
    raise ValueError(f"version {version} of .npy")
