"""Compiles the Mojo half into the Python extension `mojo_impl._library`, when that is needed.

`recipe` looks at the machine and says all that decides what the library is; `command` turns a
recipe into the compiler's command line; `build` runs it unless that very library is already there.
The library goes to `build/` beside the sources in a checkout, else to the user's cache, into a
folder named by the recipe: another compiler, CPU, Python or source text is another folder.

    python -m mojo_impl.building [--target-cpu CPU] [--measure] [--library NAME | --program]

MOJO_IMPL_TARGET_CPU names a CPU for this command and for every import: `x86-64-v3` is any with
AVX2. A library is refused where the machine lacks what it needs. Nothing is compiled by looking at
this module.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from filelock import FileLock, Timeout

from mojo_impl.building.cpu import describe_cpu, missing_features, names_and_features
from mojo_impl.building.libraries import LIBRARIES, find_max, max_options, max_packages
from mojo_impl.building.toolchain import BuildError as BuildError
from mojo_impl.building.toolchain import check_linker, find_compiler, run_command

PACKAGE = Path(__file__).resolve().parent.parent
"""The folder of `mojo_impl`."""
FLAGS = (
    "--Werror",
    "-O3",
    # A multiply-add rounds twice, as in NumPy, unless the code says fma: for the random stream.
    "--fp-mode",
    "contract=off",
    # Out-of-bounds checks of lists would end the process; the code checks what Python gives it.
    "-D",
    "ASSERT=none",
)
CACHE = "MODULAR_CACHE_DIR"
"""The variable that says where the compiler keeps what it has compiled before."""
# What Linux does by itself: leave Python's own functions to be found when the library is loaded.
MACOS_FLAGS = ("-Xlinker", "-undefined", "-Xlinker", "dynamic_lookup")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what the library is: equal recipes give the same library."""

    sources: str  # sha256 of the Mojo files, names and contents
    compiler: str  # path, as the library finds the compiler's run-time library there
    version: str  # what the compiler says of itself
    flags: tuple[str, ...]
    cpu: str  # what to compile for; "native" is the CPU of `machine`
    machine: str  # the CPU here, as the system describes it
    ending: str  # of the file: names the Python and the platform
    library: str = "main"  # which one, of `mojo_impl.building.libraries`
    max_folder: str = ""  # where MAX's libraries are, for one that needs them

    @property
    def key(self) -> str:
        """The recipe as the name of a folder."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Library:
    """A compiled library and the facts that a report shows of it."""

    path: Path
    version: str
    flags: str
    target_cpu: str
    features: tuple[str, ...]  # what a CPU must have to run it, by the compiler's names
    seconds: float | None = None  # what compiling it took; not known of older ones


def recipe(cpu: str = "native", library: str = "main") -> Recipe:
    """Look at the sources and the machine.

    Args:
        cpu: What to compile for: "native" or a name that the compiler knows.
        library: Which one, of `mojo_impl.building.libraries`.

    Raises:
        BuildError: There is no Mojo compiler, or this Python cannot load what it makes, or MAX is
            needed and not there.
    """
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise BuildError("mojo_impl needs a Python with a global interpreter lock; use another one")
    compiler = find_compiler()
    version = run_command([compiler, "--version"]).stdout.strip().removeprefix("Mojo ")
    files = source_files(library)
    max_folder = find_max() if LIBRARIES[library].needs_max else None
    if max_folder:
        files |= {path.name: path.read_bytes() for path in max_packages(max_folder)}
    return Recipe(
        sources=digest(files),
        compiler=compiler,
        version=version,
        flags=FLAGS + (MACOS_FLAGS if sys.platform == "darwin" else ()),
        cpu=cpu,
        machine=describe_cpu(),
        ending=sysconfig.get_config_var("EXT_SUFFIX"),
        library=library,
        max_folder=str(max_folder or ""),
    )


def source_files(library: str = "main") -> dict[str, bytes]:
    """Read the Mojo files of a library: contents by name."""
    paths = {path for text in LIBRARIES[library].sources for path in PACKAGE.glob(text)}
    return {path.relative_to(PACKAGE).as_posix(): path.read_bytes() for path in sorted(paths)}


def digest(files: Mapping[str, bytes]) -> str:
    """Hash names and contents."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    return whole.hexdigest()


def command(what: Recipe, output: Path) -> list[str]:
    """Write the compiler's command line. Pure."""
    target = [] if what.cpu == "native" else ["--target-cpu", what.cpu]
    entry = PACKAGE / LIBRARIES[what.library].entry
    beside = max_options(Path(what.max_folder)) if what.max_folder else []
    return [
        what.compiler,
        "build",
        "--emit",
        "shared-lib",
        *what.flags,
        *target,
        "-I",
        str(PACKAGE),
        *beside,
        "-o",
        str(output),
        str(entry),
    ]


def folder(package: Path = PACKAGE, environment: Mapping[str, str] = os.environ) -> Path:
    """Say where libraries go: `build/` of a checkout, else the user's cache."""
    if (package.parent / "pyproject.toml").is_file():
        return package.parent / "build" / "mojo_impl"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "python-vs-mojo"
    cache = environment.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "python-vs-mojo"


def build(
    what: Recipe | None = None,
    where: Path | None = None,
    say: Callable[[str], object] = lambda text: print(text, file=sys.stderr),  # noqa: T201
) -> Library:
    """Return the library of a recipe, compiling it first if it is not there.

    Two processes never compile at once: the second one waits and finds the library of the first.

    Args:
        what: The recipe; that of this machine, and of MOJO_IMPL_TARGET_CPU if set, unless given.
        where: The folder of all libraries; see `folder`.
        say: Gets a line before compiling and one after it.

    Raises:
        BuildError: The compiler is missing or refused, or the folder cannot be written.
    """
    what = what or recipe(wanted_cpu())
    return compile_once(what, library_path(what, where), say, command, LIBRARIES[what.library].text)


def compile_once(
    what: Recipe,
    path: Path,
    say: Callable[[str], object],
    write: Callable[[Recipe, Path], list[str]],
    name: str,
) -> Library:
    """Return what is at a path, compiling it first if it is not there; two never compile at once.

    Args:
        what: The recipe.
        path: Where it is, or will be: in a folder of its own, in the folder of all libraries.
        say: Gets a line before compiling and one after it.
        write: Writes the compiler's command line, from the recipe and the output.
        name: What a person reads.

    Raises:
        BuildError: The compiler is missing or refused, or the folder cannot be written.
    """
    where = path.parent.parent
    if not _facts(path).is_file():
        try:
            where.mkdir(parents=True, exist_ok=True)
            with _alone(where, say):
                if not _facts(path).is_file():
                    _compile(what, path, say, write, name)
        except OSError as error:
            raise BuildError(f"the Mojo {name} cannot be written to {where}: {error}") from error
    return library_at(path)


def library_path(what: Recipe, where: Path | None = None) -> Path:
    """Say where the library of a recipe is, or would be."""
    return (where or folder()) / what.key / f"{LIBRARIES[what.library].module}{what.ending}"


def times_of(path: Path) -> Path:
    """Say where `measure` keeps its figures: beside the library."""
    return path.with_name("compile.json")


def measure(
    what: Recipe | None = None,
    where: Path | None = None,
    say: Callable[[str], object] = lambda text: print(text, file=sys.stderr),  # noqa: T201
) -> dict[str, float]:
    """Compile twice, first with empty compiler caches, and keep both times beside the library.

    The system's cache of files is left as it is. Arguments as for `build`.

    Returns:
        `cold_s` and `cached_s`, seconds.

    Raises:
        BuildError: It does not compile, or the compiler keeps its cache elsewhere.
    """
    what = what or recipe(wanted_cpu())
    path = build(what, where, say).path
    say("Compiling the Mojo library twice, first with empty caches (about half a minute) ...")
    times = []
    with tempfile.TemporaryDirectory() as name:
        cache = Path(name) / "cache"
        cache.mkdir()
        for _ in range(2):
            start = time.monotonic()
            _run_compiler(command(what, Path(name) / "library"), {CACHE: str(cache)})
            times.append(time.monotonic() - start)
            if not any(file.is_file() for file in cache.rglob("*")):
                raise BuildError(f"the compiler keeps no cache in {CACHE}, so none can be emptied")
    found = dict(zip(("cold_s", "cached_s"), times, strict=True))
    try:
        unfinished = path.with_name("unfinished.json")
        unfinished.write_text(json.dumps(found))
        unfinished.replace(times_of(path))
    except OSError as error:
        raise BuildError(f"the times cannot be written beside {path}: {error}") from error
    say(f"... {times[0]:.1f} s with empty caches, {times[1]:.1f} s with full ones")
    return found


def library_at(path: Path) -> Library:
    """Return a library that is there, with what was recorded when it was compiled."""
    facts = json.loads(_facts(path).read_text())
    return Library(path, **{**facts, "features": tuple(facts["features"])})


def wanted_cpu() -> str:
    """Return MOJO_IMPL_TARGET_CPU, or "native" if it is not set."""
    return os.environ.get("MOJO_IMPL_TARGET_CPU") or "native"


def check_cpu(
    library: Library, missing: Callable[[Sequence[str]], Sequence[str]] = missing_features
) -> None:
    """Make sure that this machine can run a library, before any of it runs.

    Args:
        library: The library.
        missing: Tells which features of some the machine lacks.

    Raises:
        BuildError: It cannot; names what it lacks.
    """
    lacking = missing(library.features)
    if lacking:
        raise BuildError(
            f"the Mojo library is compiled for the CPU {library.target_cpu}, and this machine lacks"
            f" {', '.join(lacking)}, which that one has; unset MOJO_IMPL_TARGET_CPU to compile for"
            " this machine, or set it to a CPU that has no more than this one, such as x86-64-v3"
            f" (any with AVX2) or x86-64-v2. The library is {library.path}"
        )


def _facts(path: Path) -> Path:
    # Takes its name last: where it is, the library beside it is whole.
    return path.with_name("facts.json")


@contextmanager
def _alone(where: Path, say: Callable[[str], object]) -> Iterator[None]:
    lock = FileLock(where / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("Waiting for another process, which is compiling the Mojo library ...")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _compile(
    what: Recipe,
    path: Path,
    say: Callable[[str], object],
    write: Callable[[Recipe, Path], list[str]],
    name: str,
) -> None:
    check_linker()
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name("unfinished" + path.suffix)
    say(f"Compiling the Mojo {name} (about 30 s the first time) ...")
    start = time.monotonic()
    line = write(what, unfinished)
    _run_compiler(line)
    seconds = time.monotonic() - start
    target = run_command([*line[:2], "--print-effective-target", *line[2:]]).stdout
    cpu, features = names_and_features(target)
    unfinished.replace(path)
    facts = {
        "version": what.version,
        "flags": " ".join(what.flags),
        "target_cpu": cpu or what.cpu,
        "features": features,
        "seconds": seconds,
    }
    unfinished.write_text(json.dumps(facts))
    unfinished.replace(_facts(path))
    say(f"... compiled in {time.monotonic() - start:.0f} s")


def _run_compiler(line: Sequence[str], variables: Mapping[str, str] = MappingProxyType({})) -> None:
    done = run_command(line, variables)
    if done.returncode != 0:
        raise BuildError(
            f"the Mojo code did not compile; the command was\n\n  {' '.join(line)}\n\n"
            f"and the compiler said\n\n{done.stdout}{done.stderr}"
        )
