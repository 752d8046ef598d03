"""Runs the stand-alone program for its tests, with a limit of memory where one is asked for."""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mojo_impl.building.program import build_program


@dataclass(frozen=True, slots=True)
class Done:
    """What a run of the program left: exit code (below 0: a signal), what it said, its folder."""

    code: int
    stdout: str
    stderr: str
    out: Path

    def history(self) -> dict[str, Any]:
        """Read history.json."""
        found: dict[str, Any] = json.loads((self.out / "history.json").read_text())
        return found

    def losses(self, which: str) -> NDArray[np.float64]:
        """Read the losses of history.json, in full precision."""
        return np.array([np.nan if x is None else x for x in self.history()[which]], np.float64)

    def table(self) -> list[dict[str, float]]:
        """Read history.csv."""
        with (self.out / "history.csv").open(newline="") as file:
            return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]

    def weights(self, name: str = "weights") -> list[NDArray[Any]]:
        """Read the parameters, as NumPy does."""
        count = len(list(self.out.glob(f"{name}_*.npy")))
        return [np.load(self.out / f"{name}_{place}.npy") for place in range(count)]


@cache
def program() -> Path:
    """Return the program, compiled if it is not there."""
    return build_program().path


def train(
    folder: Path, *arguments: object, memory: int | None = None, out: str | None = None
) -> Done:
    """Run the program, results to a folder; the program runs in the one above it.

    Args:
        folder: Folder of the results.
        arguments: The rest of its words.
        memory: Bytes that its address space may have, where the system can limit that.
        out: Another folder of the results, as a word of the command.
    """

    def limit() -> None:
        if memory is not None and sys.platform == "linux":
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    # By its name alone, so that messages do not depend on where it is.
    line = [str(program()), *map(str, arguments), "--out", out or folder.name]
    done = subprocess.run(
        line, cwd=folder.parent, capture_output=True, check=False, preexec_fn=limit,
        stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode(), folder)
