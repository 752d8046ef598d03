"""Which libraries are made of the Mojo sources: of which files, under what name, beside what.

`main` is the extension of `mojo_impl` itself. The variants of the ladder that are Mojo too have
libraries of their own, so that the main one compiles as fast as it would without them: `ladder`,
and `ladder-max`, which needs MAX, a package that need not be there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mojo_impl.building.toolchain import BuildError

MAX = "max-core==26.7.0"
"""The package of MAX that fits this compiler, as pip knows it."""
_MAX_PACKAGES = ("layout", "linalg", "max")
_MAX_RUNTIME = "libAsyncRTMojoBindings" + (".dylib" if sys.platform == "darwin" else ".so")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a library is made of; files are named from the folder of the package."""

    module: str  # what Python imports: the file's name, and that in PyInit_<name>
    entry: str  # the file that the compiler is given
    sources: tuple[str, ...]  # patterns of all files that may go into it
    text: str  # what a person reads
    needs_max: bool = False


LIBRARIES = {
    "main": Contents(
        "_library", "extension/bindings.mojo", ("extension/*.mojo", "mlp/**/*.mojo"), "library"
    ),
    "ladder": Contents(
        "_ladder",
        "variants/bindings.mojo",
        ("variants/*.mojo", "mlp/**/*.mojo"),
        "library of the ladder",
    ),
    "ladder-max": Contents(
        "_ladder_max",
        "variants/bindings_max.mojo",
        ("variants/*.mojo", "mlp/**/*.mojo"),
        "library of the ladder with MAX",
        needs_max=True,
    ),
}
LIBRARY_OF = {
    "mojo": "main",
    "mojo-port": "ladder",
    "mojo-simd": "ladder",
    "mojo-max": "ladder-max",
    "mojo_impl.variants:MojoPort": "ladder",
    "mojo_impl.variants:MojoSimd": "ladder",
    "mojo_impl.variants:MojoMax": "ladder-max",
}
"""The library that an implementation loads, by the names that `bench` has for it."""


def find_max(path: Sequence[str] | None = None) -> Path:
    """Return the folder of MAX's libraries; that of its Mojo packages, `mojo`, lies in it.

    Args:
        path: Folders of Python's packages; those of this Python unless given.

    Raises:
        BuildError: It is not installed; says how it is.
    """
    for folder in sys.path if path is None else path:
        found = Path(folder or ".") / "modular" / "lib"
        if all(file.is_file() for file in [found / _MAX_RUNTIME, *max_packages(found)]):
            return found.resolve()
    raise BuildError(
        "no MAX, with which mojo-max makes its products: looked for its Mojo packages in"
        f" modular/lib/mojo beside every package of this Python; pip install {MAX}"
    )


def max_packages(folder: Path) -> list[Path]:
    """Name the Mojo packages of MAX that go into a library.

    Args:
        folder: What `find_max` returns.
    """
    return [folder / "mojo" / f"{name}.mojoc" for name in _MAX_PACKAGES]


def max_options(folder: Path) -> list[str]:
    """Return what the compiler must be told to find MAX, and the library to find it again.

    Args:
        folder: What `find_max` returns.
    """
    linked = [str(folder / _MAX_RUNTIME), "-rpath", str(folder)]
    return ["-I", str(folder / "mojo"), *(word for text in linked for word in ("-Xlinker", text))]
