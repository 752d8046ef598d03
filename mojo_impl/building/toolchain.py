"""Finds and runs what compiling needs: the Mojo compiler, and a C compiler to link with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from types import MappingProxyType


class BuildError(Exception):
    """The library did not compile, or cannot run here; the text says why, the compiler's whole."""


def find_compiler(beside: str | None = None, path: str | None = None) -> str:
    """Return the path of the Mojo compiler.

    Args:
        beside: Where to look first; the folder of this Python's scripts unless given.
        path: Where to look then; PATH unless given.

    Raises:
        BuildError: There is none; says where it looked.
    """
    beside = sysconfig.get_path("scripts") if beside is None else beside
    path = os.environ.get("PATH", "") if path is None else path
    found = shutil.which("mojo", path=beside) or shutil.which("mojo", path=path)
    if found is None:
        raise BuildError(
            f"no Mojo compiler: looked for `mojo` in {beside} and on PATH ({path}); "
            "run `make build`, or install the package mojo into this Python"
        )
    return found


def check_linker(path: str | None = None) -> None:
    """Make sure of a C compiler, with which Mojo links.

    Args:
        path: Where to look; PATH unless given.

    Raises:
        BuildError: There is none; says where it looked.
    """
    path = os.environ.get("PATH", os.defpath) if path is None else path
    if shutil.which("cc", path=path) is None and shutil.which("clang", path=path) is None:
        raise BuildError(
            f"no C compiler, which Mojo needs to link: looked for `cc` and `clang` on PATH ({path})"
            "; install gcc (macOS: run `xcode-select --install`)"
        )


def run_command(
    line: Sequence[str], variables: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run a command of the toolchain to its end, whatever its exit code.

    Args:
        line: The command.
        variables: What its environment has besides that of this process.

    Raises:
        BuildError: It could not be started.
    """
    # The compiler's crash reporter complains on every run where it is not set up.
    env = {**os.environ, "MODULAR_CRASH_REPORTING_ENABLED": "false", **variables}
    try:
        return subprocess.run(line, capture_output=True, text=True, env=env, check=False)
    except OSError as error:
        raise BuildError(f"{line[0]} could not be run: {error}") from error
