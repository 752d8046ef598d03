"""Named environments: the one that is there, with other versions of some packages laid over it.

Each is a venv that sees the packages of the Python that made it and has its own before them, so
that only what differs is installed. It is kept by what it was asked for, and made again never.
Where pixi is there an environment of `pixi.toml` will do as well, say with another BLAS; pixi makes
and keeps it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from bench.measuring.cluster.wire import checked
from bench.model.errors import BuildError, UsageError
from bench.model.paths import PROJECT

Environments = tuple[tuple[str, tuple[str, ...]], ...]

READY = ".ready"
EXACT = re.compile(r"[^;]*[^=!<>~]==[^=*;]*(;|$)")
LONGEST = 2000
PIXI = "pixi:"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python of an environment."""

    python: Path
    variables: Mapping[str, str]  # what its processes need beside those of this one


def parse(texts: Iterable[str]) -> Environments:
    """Read `NAME=requirement,requirement`; no requirement is the environment as it is.

    Raises:
        UsageError: It is not so written, or a name is there twice.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        wanted = tuple(part.strip() for part in rest.split(",") if part.strip())
        if not equals or any(part.startswith("-") for part in wanted):
            raise UsageError(
                f"--environment {text!r}: write NAME=requirement,requirement, such as "
                "np21=numpy==2.1.3, or NAME= for what is installed"
            )
        if len(wanted) > 1 and any(part.startswith(PIXI) for part in wanted):
            raise UsageError(f"--environment {text!r}: an environment of pixi is that and no more")
        if checked(name, "environment") in found:
            raise UsageError(f"the environment {name} is there twice")
        found[name] = wanted
    return tuple(found.items())


def cache() -> Path:
    """Return the folder of this user where a host keeps environments and runs."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "python-vs-mojo"


def requires(package: str) -> Sequence[str]:
    """Tell what a package asks for, in the version that is installed; nothing if it is not."""
    try:
        return metadata.requires(package) or ()
    except metadata.PackageNotFoundError:
        return ()


def constraints_without(
    text: str, wanted: Sequence[str], requires: Callable[[str], Sequence[str]] = requires
) -> str:
    """Leave out of the project's constraints what an environment names itself.

    With it goes what is released together with that: whatever it asks for in one exact version, as
    mojo does for its compiler.
    """
    named = {_package(requirement) for requirement in wanted}
    waiting = list(named)
    while waiting:
        exact = (one for one in requires(waiting.pop()) if EXACT.match(one))
        more = {_package(one) for one in exact} - named
        named |= more
        waiting += more
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return "\n".join(line for line in lines if _package(line) not in named) + "\n"


def prepare(wanted: Sequence[str], where: Path | None = None) -> Interpreter:
    """Return the Python of an environment, which is made first if it is not there.

    Args:
        wanted: Requirements, as pip reads them; none: this Python; `pixi:NAME`: one of pixi's.
        where: The folder of all environments that pip makes.

    Raises:
        BuildError: pip or pixi could not do it; its words.
    """
    if not wanted:
        return _over(Path(sys.executable))
    if wanted[0].startswith(PIXI):
        return _of_pixi(wanted[0].removeprefix(PIXI))
    where = where or cache() / "environments"
    constraints = _constraints(wanted)
    asked = "\n".join((sys.executable, sys.version, *sorted(wanted), constraints))
    folder = where / hashlib.sha256(asked.encode()).hexdigest()[:16]
    python = folder / "bin" / "python"
    try:
        where.mkdir(parents=True, exist_ok=True)
        with (where / f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one makes it, others wait and find it
            if not (folder / READY).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                _make(folder, python, wanted, constraints)
                (folder / READY).touch()
    except OSError as error:
        raise BuildError(f"an environment cannot be made in {where}: {error}") from error
    return _over(python)


def _over(python: Path) -> Interpreter:
    """Have the programs of an environment found first, then those that it is laid over."""
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join([str(python.parent), scripts, os.environ.get("PATH", "")])
    return Interpreter(python, {"PATH": path})


def _of_pixi(name: str) -> Interpreter:
    manifest = PROJECT / "pixi.toml"
    line = ["pixi", "shell-hook", "--json", f"--environment={name}", f"--manifest-path={manifest}"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BuildError(f"{PIXI}{name} needs pixi, which is not there: https://pixi.sh") from None
    if done.returncode != 0:
        words = f"{done.stdout}{done.stderr}".strip()[-LONGEST:]
        raise BuildError(f"pixi could not give the environment {name}: {words}")
    variables = json.loads(done.stdout)["environment_variables"]
    return Interpreter(Path(variables["CONDA_PREFIX"]) / "bin" / "python", variables)


def _make(folder: Path, python: Path, wanted: Sequence[str], constraints: str) -> None:
    venv.create(folder, with_pip=True, symlinks=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    under = [path for path in map(sysconfig.get_path, ("purelib", "platlib")) if path]
    # A line that begins with `import` is run: so that files of that kind there are read as well.
    lines = [f"import site; site.addsitedir({path!r})" for path in dict.fromkeys(under)]
    (site / "laid_over.pth").write_text("\n".join(lines) + "\n")
    limits = folder / "constraints.txt"
    limits.write_text(constraints)
    line = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*line, "--ignore-installed", "--no-deps", *wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:  # what they need and is not there in a version that fits
        done = subprocess.run(
            [*line, "-c", str(limits), *wanted], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        words = f"{done.stdout}{done.stderr}".strip()[-LONGEST:]
        raise BuildError(f"pip could not install {', '.join(wanted)}: {words}")


def _constraints(wanted: Sequence[str]) -> str:
    file = PROJECT / "constraints.txt"
    return constraints_without(file.read_text(), wanted) if file.is_file() else ""


def _package(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]*", requirement.strip())
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else ""
