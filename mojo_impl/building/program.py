"""Builds the stand-alone program `train`, which trains a network with no Python in its process.

Only when asked, as it takes as long as the library again: `make program`,
`python -m mojo_impl.building --program`, or a benchmark in which it is a worker. It goes beside the
library, into a folder named by all that decides what it is. docs/train.md says how to use it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from mojo_impl.building.build import (
    FLAGS,
    PACKAGE,
    Library,
    Recipe,
    check_cpu,
    compile_once,
    digest,
    folder,
    recipe,
    wanted_cpu,
)

MAIN = PACKAGE / "standalone" / "train.mojo"
NAME = "train"


def program_files() -> dict[str, bytes]:
    """Read the Mojo files of the program: contents by name."""
    paths = sorted([*PACKAGE.glob("standalone/**/*.mojo"), *PACKAGE.glob("mlp/**/*.mojo")])
    return {path.relative_to(PACKAGE).as_posix(): path.read_bytes() for path in paths}


def program_recipe(cpu: str | None = None) -> Recipe:
    """Look at the sources and the machine.

    Args:
        cpu: What to compile for; that of MOJO_IMPL_TARGET_CPU or of this machine unless given.

    Raises:
        BuildError: There is no Mojo compiler.
    """
    here = recipe(cpu or wanted_cpu())
    # Nothing of Python is in the program: neither its name, nor symbols that it brings.
    return replace(
        here,
        sources=digest(program_files()),
        flags=FLAGS,
        ending="",
    )


def program_command(what: Recipe, output: Path) -> list[str]:
    """Write the compiler's command line. Pure."""
    target = [] if what.cpu == "native" else ["--target-cpu", what.cpu]
    # What a library's facts file says of it, the program says itself.
    known = {"VERSION": what.version, "FLAGS": " ".join(what.flags)}
    told = [word for name, text in known.items() for word in ("-D", f"MOJO_IMPL_{name}={text}")]
    places = ["-I", str(PACKAGE), "-o", str(output), str(MAIN)]
    return [what.compiler, "build", *what.flags, *told, *target, *places]


def program_path(what: Recipe, where: Path | None = None) -> Path:
    """Say where the program of a recipe is, or would be."""
    return (where or folder()) / what.key / NAME


def build_program(
    cpu: str | None = None,
    where: Path | None = None,
    say: Callable[[str], object] = lambda text: print(text, file=sys.stderr),  # noqa: T201
    what: Recipe | None = None,
) -> Library:
    """Return the program, compiling it first if it is not there; two processes never do at once.

    Args:
        cpu: What to compile for; that of MOJO_IMPL_TARGET_CPU or of this machine unless given.
        where: The folder of all that is built; see `build.folder`.
        say: Gets a line before compiling and one after it.
        what: The recipe, where it is known.

    Raises:
        BuildError: The compiler is missing or refused, the folder cannot be written, or this
            machine cannot run what was compiled for another.
    """
    what = what or program_recipe(cpu)
    program = compile_once(what, program_path(what, where), say, program_command, "program")
    check_cpu(program)
    return program


@cache
def worker(cpu: str) -> tuple[str, ...]:
    """Return the command line of the program as a worker of a benchmark, compiled if need be.

    Looked at once in a process: a run does not change its program on the way.

    Args:
        cpu: What to compile for.

    Raises:
        BuildError: As of `build_program`.
    """
    return (str(build_program(cpu).path), "--worker")
