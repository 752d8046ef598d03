"""The arrays that a worker hands over: their names, shapes and files. Pure but for reading.

A worker writes a file for each tensor into a folder that it is given. What may lie there follows
from the problem, so a program of others can write no other name, and no more numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.model.records import PHASES, Phase, Problem
from bench.storage.npy import read_folder, write_folder
from bench.workers.parity import ANOTHER_SEED, EXTREME, TIMED

Array = NDArray[Any]
Shapes = dict[str, tuple[int, ...]]

GRID = (-6.0, 6.0, 601)
"""Where `train` draws its curve: first point, last point, how many."""
ROOM = 4
"""A file may have so many times the numbers that its tensor has: a wrong shape is told by name, and
nobody fills the memory."""
EXTREME_ROWS = 3
EXTREME_Y_HAT = f"{EXTREME}y_hat of NaN and infinity"
EXTREME_ACTIVATIONS = f"{EXTREME}activations[1] of subnormal X"
LOSSES = ("training_loss", "validation_loss")


def file_name(tensor: str) -> str:
    """Name the file of a tensor, without `.npy`: letters, digits, `-` and `_`, on any system.

    `timed: grads_w[0]` lies in `timed-grads_w-0.npy`.
    """
    return re.sub(r"[^a-z0-9_]+", "-", tensor.lower()).strip("-")


def tensor_shapes(problem: Problem, epochs: int) -> Shapes:
    """Return the tensors that `tensors` writes, by name, in the order in which they are computed.

    Args:
        problem: What was prepared.
        epochs: Of the losses; 0: only what comes of one batch and one step.
    """
    sizes, rows = problem.layer_sizes, problem.batch_size
    weights, biases = list(pairwise(sizes)), [(1, width) for width in sizes[1:]]
    found = {
        **_numbered("initial weights", weights),
        **_numbered("initial biases", biases),
        **_numbered("activations", [(rows, width) for width in sizes]),
        "y_hat": (rows, sizes[-1]),
        "loss": (),
        **_numbered("grads_w", weights),
        **_numbered("grads_b", biases),
        **_numbered("stepped weights", weights),
        **_numbered("stepped biases", biases),
    }
    if not epochs:
        return found
    return {
        **found,
        **dict.fromkeys(LOSSES, (epochs * (problem.rows // rows),)),
        f"{TIMED}y_hat": (rows, sizes[-1]),
        **_numbered(f"{TIMED}grads_w", weights),
        **_numbered(f"{TIMED}grads_b", biases),
        **_numbered(f"{TIMED}weights", weights),
        **_numbered(f"{TIMED}biases", biases),
        EXTREME_Y_HAT: (min(EXTREME_ROWS, problem.rows), sizes[-1]),
        EXTREME_ACTIVATIONS: (min(EXTREME_ROWS, problem.rows), sizes[1]),
    }


def training_shapes(problem: Problem, epochs: int) -> Shapes:
    """Return the arrays that `train` writes, by name: the losses, and a curve of one input."""
    found: Shapes = dict.fromkeys(LOSSES, (epochs * (problem.rows // problem.batch_size),))
    if problem.layer_sizes[0] == 1:
        found |= {"grid": (GRID[2], 1), "curve": (GRID[2], problem.layer_sizes[-1])}
    return found


def phase_of(tensor: str) -> Phase | None:
    """Say which phase an implementation must have to compute a tensor; None: all have it."""
    tensor = tensor.removeprefix(ANOTHER_SEED)
    if tensor.startswith("initial "):
        return None
    if tensor in LOSSES or re.match(rf"{TIMED}(weights|biases)\[", tensor):
        return "epoch"
    return "backprop" if "grads_" in tensor or tensor.startswith("stepped ") else "forward"


def needed(tensors: Mapping[str, Array], phases: Iterable[str] = PHASES) -> dict[str, Array]:
    """Choose the tensors that an implementation with these phases must compute."""
    mine = {None, *phases}
    return {name: tensor for name, tensor in tensors.items() if phase_of(name) in mine}


def read(folder: Path, shapes: Shapes) -> dict[str, Array]:
    """Read what a worker wrote of these arrays, by their names; what is not there is left out.

    Raises:
        ValueError: Something else lies there, or a file is not what it may be; names it.
        OSError: The folder or a file cannot be read.
    """
    names = {file_name(name): name for name in shapes}
    most = {file: ROOM * int(np.prod(shapes[name])) for file, name in names.items()}
    return {names[file]: array for file, array in read_folder(folder, most).items()}


def write(folder: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays as `read` finds them.

    Raises:
        OSError: The folder is not there or cannot be written.
    """
    write_folder(folder, {file_name(name): array for name, array in arrays.items()})


def _numbered(name: str, shapes: Iterable[tuple[int, ...]]) -> Shapes:
    return {f"{name}[{place}]": shape for place, shape in enumerate(shapes)}
