"""The slow half of the extension's checks: what its fast look at an array did not accept.

Refused in the words of `python_impl.checks`; what those let pass, such as a strided or misaligned
array or one of a subclass, comes back plain: an ndarray, dense and aligned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from python_impl.checks import check_array, check_arrays

Array = NDArray[Any]


def plain_array(name: str, array: Array, dtype: np.dtype[Any], width: int, rows: int) -> Array:
    """Check one array as `check_array` does and return it plain.

    Raises:
        TypeError: It is not an array, or not of this dtype.
        ValueError: It has the wrong shape.
    """
    return _plain(check_array(name, array, dtype, width, rows), dtype)


def plain_arrays(name: str, arrays: Sequence[Array], like: Sequence[Array]) -> tuple[Array, ...]:
    """Check one array per layer as `check_arrays` does and return them plain.

    Raises:
        TypeError: `arrays` is not a sequence, or an array is not of the right dtype.
        ValueError: There are too few or too many, or one has the wrong shape.
    """
    checked = check_arrays(name, arrays, like, copy=False)
    return tuple(_plain(array, model.dtype) for array, model in zip(checked, like, strict=True))


def _plain(array: Array, dtype: np.dtype[Any]) -> Array:
    # Of exactly this dtype: an equal one can carry metadata besides.
    return np.require(array, requirements=["C", "A"]).view(dtype)
