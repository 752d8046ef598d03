"""Makes what the boundary's programs hand to a network: arrays, lists, and what is neither.

A program holds words (`Arr`, `Odd`, `Lot`), which print as they are written; the objects are made
anew for each twin, as some of them have a life of their own.
"""

from __future__ import annotations

import gc
import operator
from array import array
from collections import UserList
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray


class Arr(NamedTuple):
    """An array, right in every way that is not named."""

    rows: int | None = None  # None: as many as fit
    dtype: str = "right"
    shape: str = "right"
    layout: str = "plain"
    values: str = "normal"
    seed: int = 0


class Odd(NamedTuple):
    """Something that is no array, by its name in `ODD`."""

    name: str


class Lot(NamedTuple):
    """One array per layer, from somewhere, in some container, perhaps with one exchanged."""

    source: str = "made"  # or "parameters", "gradients"
    container: str = "list"
    count: int = 0  # how many too many
    place: int = 0  # of the one that is exchanged
    item: Arr | Odd | None = None


METADATA = "metadata"
DTYPES: dict[str, Any] = {
    name: name for name in ("f2", "g", "i4", "i8", "c16", "O", "?", "S3", "U2", "V8", "M8[s]")
} | {"record": [("a", "f8")], "sub": [("a", "f8", (2,))]}
SHAPES: dict[str, Callable[[int, int], tuple[int, ...]]] = {
    "right": lambda rows, width: (rows, width),
    "wider": lambda rows, width: (rows, width + 1),
    "narrower": lambda rows, width: (rows, width - 1),
    "turned": lambda rows, width: (width, rows),
    "no rows": lambda rows, width: (0, width),
    "no columns": lambda rows, width: (rows, 0),
    "flat": lambda rows, width: (rows * width,),
    "scalar": lambda rows, width: (),
    "cube": lambda rows, width: (rows, width, 1),
    "longer": lambda rows, width: (rows + 1, width),
}
VALUES: dict[str, list[float]] = {
    "normal": [],
    "nan": [np.nan],
    "infinite": [np.inf],
    "both infinities": [np.inf, -np.inf],
    "all": [np.nan, np.inf, -np.inf, 5e-324, -0.0],
    "subnormal": [5e-324, 1e-310, -1e-40, 1e-45],
    "zeros": [0.0, -0.0],
}


class Plain(np.ndarray):
    """A subclass whose operators are not to be used."""

    def __matmul__(self, other: Any) -> Any:
        raise AssertionError("the operator of a subclass was used")


class Lying(np.ndarray):
    """Tells a shape that it does not have."""

    claim: tuple[int, ...]

    @property
    def shape(self) -> Any:
        return self.claim

    @property
    def ndim(self) -> int:
        return len(self.claim)

    def __len__(self) -> int:
        return self.claim[0] if self.claim else 0


class LyingOfDtype(np.ndarray):
    """Tells float64 and float32 alike."""

    claim: Any

    @property
    def dtype(self) -> Any:
        return self.claim


class Stubborn(np.ndarray):
    """Refuses to be looked at."""

    @property
    def shape(self) -> Any:
        raise KeyError("shape")

    def __array_finalize__(self, _: Any) -> None:
        gc.collect(0)


def lying(good: Array, real: Array) -> Array:
    """Return `real`, which says that it has the shape of `good`."""
    made = real.view(Lying)
    made.claim = np.asarray(good).shape
    return made


def lying_of_dtype(good: Array) -> Array:
    """Return an array of another dtype that says it has that of `good`."""
    made = good.astype("i8" if good.dtype == np.float64 else "i4").view(LyingOfDtype)
    made.claim = good.dtype
    return made


def strided(good: Array) -> Array:
    """Spread an array over memory."""
    wide = np.full([2 * size for size in good.shape], 7, good.dtype)
    part = wide[tuple(slice(None, None, 2) for _ in good.shape)]
    part[...] = good
    return part


def unaligned(good: Array) -> Array:
    """Put an array where its elements straddle the machine's words."""
    raw = np.zeros(good.nbytes + 1, np.uint8)
    odd = raw[1:].view(good.dtype).reshape(good.shape)
    odd[...] = good
    return odd


def read_only(good: Array) -> Array:
    """Close an array to writing."""
    good.flags.writeable = False
    return good


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "plain": lambda good: good,
    "Fortran": np.asfortranarray,
    "strided": strided,
    "backwards": lambda good: good[::-1].copy()[::-1] if good.ndim else good,
    "a row again and again": lambda good: (
        np.broadcast_to(good[:1].copy(), good.shape) if good.ndim and len(good) else good
    ),
    "read-only": read_only,
    "unaligned": unaligned,
    "swapped": lambda good: good.astype(good.dtype.newbyteorder()),
    "matrix": lambda good: good.view(np.matrix) if good.ndim == 2 else good,
    "masked": lambda good: np.ma.masked_array(good, mask=good != 0),
    "subclass": lambda good: good.view(Plain),
    "record array": lambda good: good.view(np.recarray),
    "a part of a buffer": lambda good: np.frombuffer(bytearray(good.tobytes()), good.dtype).reshape(
        good.shape
    ),
    "stubborn": lambda good: good.view(Stubborn),
    "lying: a scalar": lambda good: lying(good, np.array(1, good.dtype)),
    "lying: flat": lambda good: lying(good, good.ravel()),
    "lying: a row less": lambda good: lying(good, good[:-1] if good.ndim else good),
    "lying: of dtype": lying_of_dtype,
}
OBJECTS_NO_LAYOUT = ("unaligned", "a part of a buffer", "record array", "lying: of dtype", "masked")


def make_array(what: Arr, rows: int, width: int, dtype: Any) -> Array:
    """Make an array of (rows, width), or what the words make of it."""
    random = np.random.RandomState(what.seed)
    shape = SHAPES[what.shape](rows if what.rows is None else what.rows, width)
    good = random.randn(*shape) if shape else np.array(random.randn())
    special = VALUES[what.values]
    if special and good.size:
        good.flat[random.randint(0, good.size, len(special))] = special
    with np.errstate(all="ignore"):
        if what.dtype == "right":
            made = good.astype(dtype)
        elif what.dtype == "other":
            made = good.astype("f4" if dtype == np.float64 else "f8")
        elif what.dtype == METADATA:
            made = good.astype(np.dtype(dtype, metadata={"made": "here"}))
        else:
            made = np.zeros(shape, DTYPES[what.dtype])
    if what.layout in OBJECTS_NO_LAYOUT and (made.dtype.kind not in "f" or not made.size):
        return made
    if what.layout == "swapped" and made.dtype.kind not in "fic":
        return made
    return LAYOUTS[what.layout](made)


class WithArray:
    """Is no array but can become one, or says so."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def __array__(self, *_: Any, **__: Any) -> Any:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class Pretending(WithArray):
    """Says that it is an ndarray, with all that is asked of one."""

    def __init__(self, good: Array, result: Any) -> None:
        super().__init__(result)
        self.dtype, self.ndim, self.shape = good.dtype, good.ndim, good.shape

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        return np.ndarray

    def __len__(self) -> int:
        return self.shape[0]


class Hostile:
    """Raises whatever one asks of it."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)

    def __len__(self) -> int:
        raise OverflowError("len")

    def __index__(self) -> int:
        raise LookupError("index")

    def __iter__(self) -> Any:
        raise EOFError("iter")

    def __repr__(self) -> str:
        raise BufferError("repr")


class Nameless(type):
    """A type that does not tell its name."""

    @property
    def __name__(cls) -> str:
        raise ArithmeticError("name")


class Whole:
    """An index, or what says that it is one."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __index__(self) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value

    def __repr__(self) -> str:
        return f"Whole({self.value!r})"


ODD: dict[str, Callable[[Array], Any]] = {
    "None": lambda good: None,
    "int": lambda good: 5,
    "huge int": lambda good: 2**70,
    "float": lambda good: 2.5,
    "text": lambda good: "X",
    "bytes": lambda good: good.tobytes(),
    "nested list": lambda good: good.tolist(),
    "memoryview": lambda good: memoryview(good),
    "array.array": lambda good: array("d", good.ravel()),
    "dict": lambda good: {0: good},
    "object": lambda good: object(),
    "type": lambda good: np.ndarray,
    "iterator": lambda good: iter([good]),
    "tuple": lambda good: (good,),
    "numpy scalar": lambda good: good.dtype.type(1),
    "dtype": lambda good: good.dtype,
    "__array__": WithArray,
    "__array__ raises": lambda good: WithArray(OSError("array")),
    "__array__ is text": lambda good: WithArray("text"),
    "pretending": lambda good: Pretending(good, good),
    "pretending, a scalar": lambda good: Pretending(good, np.array(1.0)),
    "pretending, raises": lambda good: Pretending(good, OSError("array")),
    "pretending, is text": lambda good: Pretending(good, "text"),
    "pretending, flat": lambda good: Pretending(good, good.ravel()),
    "hostile": lambda good: Hostile(),
    "nameless": lambda good: Nameless("Nameless", (), {})(),
    "index": lambda good: Whole(1),
}


class ListOfMine(list):  # type: ignore[type-arg]
    """A subclass of list that lies about its length."""

    def __len__(self) -> int:
        return 1


CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "iterator": iter,
    "dict": lambda items: dict(enumerate(items)),
    "None": lambda items: None,
    "first": lambda items: items[0] if items else 0,
    "text": lambda items: "ab",
    "UserList": UserList,
    "lying list": ListOfMine,
    "hostile": lambda items: Hostile(),
}

SETTINGS: dict[str, dict[str, Callable[[], Any]]] = {
    "learning_rate": {
        **{repr(v): lambda v=v: v for v in (0.0, 0.01, 0.5, -0.1, 1, True, float("nan"))},
        "infinite": lambda: float("inf"),
        "float32": lambda: np.float32(0.1),
    },
    "batch_size": {
        **{repr(v): lambda v=v: v for v in (1, 2, 3, 4, 10**6, 2**70, True)},
        "int64": lambda: np.int64(2),
    },
    "max_epochs": {
        **{repr(v): lambda v=v: v for v in (0, 1, 2, 3, -1, True)},
        "int64": lambda: np.int64(1),
    },
}
"""Values with a meaning: both sides must agree on all that follows."""

RUBBISH: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "text": lambda: "a",
    "float": lambda: 1.5,
    "zero": lambda: 0,
    "minus one": lambda: -1,
    "complex": lambda: 1j,
    "Fraction": lambda: Fraction(1, 10),  # refused when a network is made; NumPy cannot use it
    "array": lambda: np.ones(3),
    "list": lambda: [1, 2],
    "hostile": Hostile,
    "index": lambda: Whole(2),
    "index raises": lambda: Whole(OSError("index")),
    "index is text": lambda: Whole("2"),
    "huge index": lambda: Whole(2**70),
    "operator": lambda: operator.add,
}
"""Values without one, which no side looks at before it uses them: only the end would be wrong."""
