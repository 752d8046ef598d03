"""What an implementation takes on disk, and what it took to compile: read, not measured.

Sizes come from the lists of files that installed packages carry, so only their metadata is read.
What cannot be found out is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bench.model.instruction_sets import ISAS
from bench.model.registry import VARIANTS, is_program

Footprint = Mapping[str, float]
"""By the names of `bench.model.records.COSTS`, in their units."""
COMPILED = {"cold_s": "compile, empty caches", "cached_s": "compile, full caches"}


def read_footprint(implementation: str, isa: str = "") -> Footprint:
    """Tell what an implementation takes on disk and to compile; empty for one of others.

    Args:
        implementation: Its name.
        isa: The instruction set that its library is compiled for, by
            `bench.model.instruction_sets`; empty: that of this machine.
    """
    from mojo_impl.building.libraries import LIBRARIES, LIBRARY_OF, MAX

    if is_program(implementation):  # the compiler's package has what it loads
        return {**packages({"packages": ["mojo"], "toolchain": ["mojo"]}), **_program(isa)}
    library = LIBRARY_OF.get(implementation)
    if library is None:
        variant = VARIANTS.get(implementation)
        return packages({"packages": ["numpy", *variant.needs]}) if variant else {}
    more = [MAX.partition("==")[0]] if LIBRARIES[library].needs_max else []
    roots = {"packages": ["numpy", "mojo", *more], "toolchain": ["mojo", *more]}
    return {**packages(roots), **_library(isa, library)}


def packages(wanted: Mapping[str, Iterable[str]]) -> dict[str, float]:
    """Return the bytes of packages with all that they require, by name; unknown ones are left out.

    Args:
        wanted: Packages by the name under which their bytes are told.
    """
    found: dict[str, float] = {}
    for name, roots in wanted.items():
        sizes = [_size(package) for package in closure(roots)]
        if sizes and None not in sizes:
            found[name] = float(sum(size or 0 for size in sizes))
    return found


def closure(roots: Iterable[str]) -> list[str]:
    """Name packages and all that they require, extras left aside, each once."""
    found: dict[str, None] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        key = canonicalize_name(name)
        if key in found:
            continue
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found[key] = None
        # A marker is a condition: an extra, or another system or Python.
        waiting += [one.name for one in map(Requirement, required) if one.marker is None]
    return list(found)


def _size(package: str) -> int | None:
    files = metadata.files(package)
    if files is None:
        return None
    paths = [Path(str(file.locate())) for file in files]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _library(isa: str, library: str) -> dict[str, float]:
    from mojo_impl.building import build

    try:
        path = build.library_path(build.recipe(_cpu(isa), library))
    except build.BuildError:
        return {}
    return _compiled(path)


def _program(isa: str) -> dict[str, float]:
    from mojo_impl.building import build, program

    try:
        path = program.program_path(program.program_recipe(_cpu(isa)))
    except build.BuildError:
        return {}
    return _compiled(path)


def _cpu(isa: str) -> str:
    from mojo_impl.building import build

    return ISAS[isa].mojo_cpu if isa else build.wanted_cpu()


def _compiled(path: Path) -> dict[str, float]:
    from mojo_impl.building import build

    try:
        compiled = build.library_at(path)
        found = {"library file": float(path.stat().st_size)}
    except (OSError, ValueError):
        return {}
    if compiled.seconds is not None:
        found["compile"] = compiled.seconds * 1e9
    try:
        times = json.loads(build.times_of(path).read_text())
        found |= {name: times[key] * 1e9 for key, name in COMPILED.items()}
    except (OSError, ValueError, TypeError, KeyError):
        return found
    return found
