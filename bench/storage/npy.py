"""Arrays from a file that may come from a stranger: bounded, nothing unpickled, no name a path.

An .npz file is a ZIP archive of .npy files. Both say in headers how large they are: what is said is
held against a limit before memory is taken, and against what is there. Nothing is extracted. The
folders that workers write hold .npy files as they are.
"""

from __future__ import annotations

import math
import os
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

MOST_ARRAYS = 200
MOST_BYTES = 256 << 20
"""Of all arrays of a file together; what we write has about one MiB."""
MOST_DIMENSIONS = 2
LONGEST_HEADER = 1 << 17
"""Of a .npy file; NumPy reads no longer one."""
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
        ValueError: It is damaged, or holds something else or more than `MOST_BYTES`.
    """
    if file_size > MOST_BYTES:
        raise ValueError(f"it takes more than {MOST_BYTES >> 20} MiB")
    return _read_stream(file, name, file_size, MOST_BYTES)


def read_folder(folder: Path, most: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """Read the .npy files that lie directly in a folder: float64 or float32, up to two dimensions.

    Args:
        folder: Holds them and nothing else.
        most: How many numbers each may have, by name without `.npy`. One that is not there is left
            out of the answer.

    Returns:
        The arrays by name, in the order of `most`.

    Raises:
        ValueError: Something else lies there, or a file is not what it may be; names it.
        OSError: The folder or a file cannot be read.
    """
    there = set(os.listdir(folder))  # noqa: PTH208
    if odd := sorted(there - {f"{name}{ENDING}" for name in most}):
        raise ValueError(f"{odd[0]!r} is none of the files that were asked for")
    return {
        name: _read_file(folder / f"{name}{ENDING}", limit)
        for name, limit in most.items()
        if f"{name}{ENDING}" in there
    }


def write_folder(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write each array into a folder as `NAME.npy`: C order, little-endian, version 1."""
    for name, array in arrays.items():
        little = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        np.save(folder / f"{name}{ENDING}", little, allow_pickle=False)


def _read_file(path: Path, most: int) -> NDArray[Any]:
    # Neither a link is followed, nor does a pipe keep us waiting.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{path.name!r} is no plain file")
        return _read_stream(file, path.name, found.st_size, most)


def _read_stream(file: IO[bytes], name: str, length: int, most: int) -> NDArray[Any]:
    """Read an array of up to so many numbers from a file of this length in bytes."""
    try:
        shape, fortran_order, dtype = _read_header(file)
    except ValueError as error:
        raise ValueError(f"{name!r} is no .npy file: {error}") from error
    if dtype.newbyteorder("=") not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"{name!r} is of {dtype}, not float64 or float32")
    if len(shape) > MOST_DIMENSIONS or min(shape, default=0) < 0:
        raise ValueError(f"{name!r} has the shape {shape}")
    size = math.prod(shape) * dtype.itemsize
    if size > length:
        raise ValueError(f"{name!r} is too short for its shape {shape}")
    if math.prod(shape) > most or length - size > LONGEST_HEADER:
        raise ValueError(
            f"{name!r} has {length} bytes, the shape {shape}; at most {most} numbers may be there"
        )
    content = file.read(length)  # no more, and of an archive the checksum is held
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
