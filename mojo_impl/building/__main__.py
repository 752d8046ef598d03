"""The command line of the build: compiles a library or the program, if it is not there yet.

python -m mojo_impl.building [--target-cpu CPU] [--measure] [--library NAME | --program]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mojo_impl.building.build import build, measure, recipe, wanted_cpu
from mojo_impl.building.libraries import LIBRARIES
from mojo_impl.building.program import build_program
from mojo_impl.building.toolchain import BuildError


def main(arguments: Sequence[str] | None = None) -> int:
    """Build from the command line and print the path of the library."""
    parser = argparse.ArgumentParser(prog="python -m mojo_impl.building", description=main.__doc__)
    parser.add_argument(
        "--target-cpu",
        default=wanted_cpu(),
        help="what to compile for: native, x86-64-v3, ...; MOJO_IMPL_TARGET_CPU unless given",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="compile twice more, with empty and full caches, and keep the times for the report",
    )
    parser.add_argument(
        "--library",
        choices=LIBRARIES,
        default="main",
        help="which one; those of the ladder are otherwise compiled when a run needs them",
    )
    parser.add_argument(
        "--program", action="store_true", help="build the stand-alone program `train` instead"
    )
    wanted = parser.parse_args(arguments)
    cpu = wanted.target_cpu
    try:
        if wanted.program:
            print(build_program(cpu).path)  # noqa: T201
            return 0
        library = build(recipe(cpu, wanted.library))
        if wanted.measure:
            measure(recipe(cpu, wanted.library))
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 3
    print(library.path)  # noqa: T201
    if cpu != wanted_cpu():
        print(f"To use it, set MOJO_IMPL_TARGET_CPU={cpu}", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
