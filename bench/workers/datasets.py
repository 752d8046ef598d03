"""The data of both sides: made from a seed, cached in a folder that every worker reads.

Random numbers come from one legacy `numpy.random.RandomState` stream per data set and only by
`uniform` and `randn`, which NumPy promises never to change, so another language can make the same
draws bit for bit. Text, charts and timing are elsewhere.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.model.errors import UsageError
from bench.model.records import Problem

Array = NDArray[Any]

NAMES = ("X", "y", "X_val", "y_val", "X_test", "y_test")
SINC_NOISE = 0.001
REGRESSION_NOISE = 0.05
TEACHER_WIDTH = 32
WIDE = 64
"""From this many features on, rows of `regression` keep the length of a row of 64: plain SGD at
the learning rate of 0.01 overshoots on longer ones."""


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Training, validation and test rows, read-only: X (rows, in), y (rows, out), one dtype."""

    name: str
    X: Array
    y: Array
    X_val: Array
    y_val: Array
    X_test: Array
    y_test: Array

    def __post_init__(self) -> None:
        for array in self.arrays().values():
            array.flags.writeable = False

    def arrays(self) -> dict[str, Array]:
        """Return the six arrays by name, in the order in which they are declared."""
        return {name: getattr(self, name) for name in NAMES}


def true_sinc(x: ArrayLike) -> NDArray[np.float64]:
    """Return sin(pi x) / (pi x) + 2, which is 3 at 0, in the shape of x.

    The sine is that of the C library, number by number: `numpy.sin` takes another routine, with
    another last bit, on each kind of processor.
    """
    x = np.asarray(x, np.float64)
    values = [math.sin(math.pi * v) / (math.pi * v) + 2 if v else 3.0 for v in x.flat]
    return np.array(values, np.float64).reshape(x.shape)


def sinc(rows: int = 500, seed: int = 0) -> DataSet:
    """Make the data of the seed network: a noisy sinc over [-6, 6], float64.

    Draws, for training, validation and test rows in turn: `uniform(-6, 6, rows)` for x, then
    `randn(rows)`; y = true_sinc(x) + 0.001 * that.

    Args:
        rows: Rows of each of the three parts.
        seed: Of the one stream that all draws come from.

    Raises:
        UsageError: There would be no rows.
    """
    _check_rows(rows)
    random = np.random.RandomState(seed)
    arrays: list[Array] = []
    for _ in range(3):
        x = random.uniform(-6, 6, rows)
        y = true_sinc(x) + SINC_NOISE * random.randn(rows)
        arrays += [x[:, np.newaxis], y[:, np.newaxis]]
    return DataSet(f"sinc-n{rows}", *arrays)


def regression(width_in: int, width_out: int, rows: int, seed: int = 0) -> DataSet:
    """Make a regression data set of any width, float64: a smooth random teacher plus noise.

    y = tanh(X A) B + 0.05 * noise, about 0.6 in size. Features are standard normal, and scaled
    down by sqrt(64 / width_in) where there are more than 64 (see `WIDE`).
    Draws: `randn(width_in, 32)` for A and `randn(32, width_out)` for B, each divided by the root
    of its number of rows; then, for training, validation and test rows in turn,
    `randn(rows, width_in)` for X and `randn(rows, width_out)` for the noise.

    Args:
        width_in: Columns of X.
        width_out: Columns of y.
        rows: Rows of each of the three parts.
        seed: Of the one stream that all draws come from.

    Raises:
        UsageError: There would be no rows.
    """
    _check_rows(rows)
    random = np.random.RandomState(seed)
    first = random.randn(width_in, TEACHER_WIDTH) / math.sqrt(width_in)
    second = random.randn(TEACHER_WIDTH, width_out) / math.sqrt(TEACHER_WIDTH)
    arrays: list[Array] = []
    for _ in range(3):
        X = random.randn(rows, width_in)
        y = _product(np.tanh(_product(X, first)), second)
        y += REGRESSION_NOISE * random.randn(rows, width_out)
        arrays += [X * min(1.0, math.sqrt(WIDE / width_in)), y]
    return DataSet(f"regression-{width_in}-{width_out}-n{rows}", *arrays)


def data_for(problem: Problem) -> DataSet:
    """Return the data of a problem in its dtype: sinc for one input and one output.

    Raises:
        UsageError: The problem has no rows.
    """
    width_in, width_out = problem.layer_sizes[0], problem.layer_sizes[-1]
    if width_in == width_out == 1:
        data = sinc(problem.rows)
    else:
        data = regression(width_in, width_out, problem.rows)
    return DataSet(data.name, *(a.astype(problem.dtype) for a in data.arrays().values()))


def data_folder(problem: Problem, cache: Path) -> tuple[Path, str]:
    """Return the folder that holds the data of a problem, and a sha256 of all of it.

    A file `NAME.npy` for each array of `DataSet`, made on first use; several processes may ask at
    once. The folder's name carries a digest of this module, so data made by older rules is never
    taken; the checksum lies beside it, so what is damaged is made again.

    Args:
        problem: Only its input and output width, rows and dtype matter.
        cache: A folder; made if missing.

    Raises:
        UsageError: The problem has no rows, or the folder cannot be written.
    """
    rules = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    width_in, width_out = problem.layer_sizes[0], problem.layer_sizes[-1]
    stem = f"data-{width_in}-{width_out}-n{problem.rows}-{problem.dtype}-{rules}"
    folder, checksum = cache / stem, cache / f"{stem}.sha256"
    try:
        recorded = checksum.read_text().strip()
        if _sha256(folder) == recorded:
            return folder, recorded
    except (OSError, UnicodeDecodeError):
        pass
    data = data_for(problem)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # File by file: whoever makes them makes the same bytes, so any mixture is whole.
        for name, array in data.arrays().items():
            _replace(folder / f"{name}.npy", array)
        digest = _sha256(folder)
        _replace(checksum, digest)
    except OSError as error:
        raise UsageError(
            f"cannot write the data of {data.name} to {cache}: {error.strerror}; "
            "free some space there or make the folder writable"
        ) from error
    return folder, digest


def _product(a: Array, b: Array) -> Array:
    """Multiply without BLAS, whose last bits depend on its number of threads."""
    product: Array = np.einsum("ij,jk->ik", a, b)
    return product


def _check_rows(rows: int) -> None:
    if rows < 1:
        raise UsageError(f"a data set needs at least 1 row; got {rows}")


def _sha256(folder: Path) -> str:
    """Return a checksum of all arrays of a folder, their names with them."""
    whole = hashlib.sha256()
    for name in NAMES:
        content = (folder / f"{name}.npy").read_bytes()
        whole.update(f"{name} {len(content)} ".encode() + content)
    return whole.hexdigest()


def _replace(path: Path, content: Array | str) -> None:
    """Write a file in one move, so that no reader sees half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            if isinstance(content, str):
                file.write(f"{content}\n".encode())
            else:
                np.save(file, np.ascontiguousarray(content), allow_pickle=False)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
