"""Real data that comes with scikit-learn, without a download: digits and diabetes.

scikit-learn is an extra that is needed for nothing else; where it is missing, one line says how to
get it. Rows are put in one fixed order and cut into three parts; what scales the data is computed
from the training part alone.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.model.errors import UsageError
from bench.model.records import DType
from bench.training.weights import Scaling
from bench.workers.datasets import DataSet, sinc

Array = NDArray[Any]

PARTS = (0.7, 0.85)
"""Where the training part ends and the validation part ends, as shares of the rows."""
DIGITS_MOST = 16.0
"""The darkest a pixel can be."""
CLASSES = 10
MISSING = (
    "the data set {} comes with scikit-learn, which is not installed; install it with: "
    "python -m pip install scikit-learn"
)


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What is trained: data in its dtype, the usual settings, and what brought it to size."""

    data: DataSet
    title: str
    layer_sizes: tuple[int, ...]
    batch_size: int
    epochs: int
    scaling: Scaling | None = None
    classes: bool = False  # whether targets are one-hot


def task(name: str, dtype: DType) -> Task:
    """Return a data set and how it is usually trained: `sinc`, `digits` or `diabetes`.

    Raises:
        UsageError: scikit-learn is missing, or there is no such data set.
    """
    if name == "sinc":
        found = Task(sinc(), "a noisy sinc", (1, *[50] * 9, 1), 20, 1000)
    elif name == "digits":
        found = _digits()
    elif name == "diabetes":
        found = _diabetes()
    else:
        raise UsageError(f"no data set is called {name!r}; there are: sinc, digits, diabetes")
    arrays = [array.astype(dtype) for array in found.data.arrays().values()]
    scaling = found.scaling and Scaling(
        *(getattr(found.scaling, part).astype(dtype) for part in found.scaling.__slots__)
    )
    return Task(
        DataSet(found.data.name, *arrays),
        found.title,
        found.layer_sizes,
        found.batch_size,
        found.epochs,
        scaling,
        found.classes,
    )


def _digits() -> Task:
    """8 x 8 grey digits, (1797, 64); the target is 1 in the column of the digit, else 0."""
    X, digits = _load("digits")
    scaling = Scaling(
        np.zeros(X.shape[1]), np.full(X.shape[1], DIGITS_MOST), np.zeros(CLASSES), np.ones(CLASSES)
    )
    y = np.eye(CLASSES)[digits.astype(int)]
    data = _parts("digits", X / DIGITS_MOST, y)
    title = "handwritten digits of 8 x 8 pixels"
    return Task(data, title, (X.shape[1], 128, 128, CLASSES), 32, 200, scaling, classes=True)


def _diabetes() -> Task:
    """Ten measurements of 442 patients, and how far their disease went in a year."""
    X, y = _load("diabetes")
    y = y[:, np.newaxis]
    raw = _parts("diabetes", X, y)
    scaling = Scaling(raw.X.mean(axis=0), raw.X.std(axis=0), raw.y.mean(axis=0), raw.y.std(axis=0))
    data = _parts(
        "diabetes",
        (X - scaling.x_shift) / scaling.x_scale,
        (y - scaling.y_shift) / scaling.y_scale,
    )
    title = "how far diabetes went in a year"
    return Task(data, title, (X.shape[1], 50, 50, 1), 20, 100, scaling)


def _load(name: str) -> tuple[Array, Array]:
    try:
        module = importlib.import_module("sklearn.datasets")
    except ImportError:
        raise UsageError(MISSING.format(name)) from None
    X, y = getattr(module, f"load_{name}")(return_X_y=True)
    return np.asarray(X, np.float64), np.asarray(y, np.float64)


def _parts(name: str, X: Array, y: Array) -> DataSet:
    """Cut rows, in an order that is always the same, into training, validation and test."""
    order = np.arange(len(X))
    np.random.RandomState(0).shuffle(order)
    ends = [round(len(X) * share) for share in PARTS]
    parts = zip(np.split(X[order], ends), np.split(y[order], ends), strict=True)
    return DataSet(name, *(array for pair in parts for array in pair))
