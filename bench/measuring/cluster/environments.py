"""Named environments: the installed one, with other versions of some packages over it.

Each is a venv that sees the packages of the Python that made it, and its own before them. So only
what differs is installed. It is kept under a hash of what was asked for, and not made twice. An
environment of `pixi.toml` is made and kept by pixi, with another BLAS for instance.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from packaging.requirements import InvalidRequirement, Requirement

from bench.measuring.cluster.wire import Environments, checked
from bench.model.errors import BuildError, UsageError
from bench.model.paths import PROJECT

READY = ".ready"
LONGEST = 2000
PIXI = "pixi:"
OF_DASK = ("MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What Dask sets for its workers. It changes the speed of memory, so a run is made without."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python of an environment."""

    python: Path
    variables: Mapping[str, str]  # what its processes need besides those of this one


def parse(texts: Iterable[str]) -> Environments:
    """Read `NAME=requirement,requirement`; no requirement is the environment as it is.

    Raises:
        UsageError: It is not so written, or a name is there twice.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        wanted = tuple(part.strip() for part in rest.split(",") if part.strip())
        if len(wanted) > 1 and any(part.startswith(PIXI) for part in wanted):
            raise UsageError(f"--environment {text!r}: pixi:NAME must stand alone")
        if not equals or not all(map(_is_requirement, wanted)):
            raise UsageError(
                f"--environment {text!r}: write NAME=requirement,requirement, such as "
                "np21=numpy==2.1.3, or NAME= for what is installed"
            )
        if checked(name, "environment") in found:
            raise UsageError(f"the environment {name} is there twice")
        found[name] = wanted
    return tuple(found.items())


def cache() -> Path:
    """Return the folder of this user where a host keeps environments and runs."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "python-vs-mojo"


def prepare(wanted: Sequence[str], where: Path | None = None) -> Interpreter:
    """Return the Python of an environment, and make the environment if it is missing.

    Args:
        wanted: Requirements, as pip reads them; none: this Python; `pixi:NAME`: one of pixi's.
        where: The folder of all environments that pip makes.

    Raises:
        BuildError: pip or pixi failed; holds its words.
    """
    if not wanted:
        return _over(Path(sys.executable))
    if wanted[0].startswith(PIXI):
        return _of_pixi(wanted[0].removeprefix(PIXI))
    where = where or cache() / "environments"
    asked = "\n".join((sys.executable, sys.version, *sorted(wanted)))
    folder = where / hashlib.sha256(asked.encode()).hexdigest()[:16]
    try:
        where.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):  # one makes it, others wait and find it
            if not (folder / READY).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                _make(folder, wanted)
                (folder / READY).touch()
    except OSError as error:
        raise BuildError(f"an environment cannot be made in {where}: {error}") from error
    return _over(_python(folder))


def child_variables(interpreter: Interpreter) -> dict[str, str]:
    """Return the environment of a process that measures."""
    mine = {name: value for name, value in os.environ.items() if name not in OF_DASK}
    # An installed project, unlike a checkout, shares its folder with other packages. Those of the
    # environment must be found before them.
    safe = {} if (PROJECT / "pyproject.toml").is_file() else {"PYTHONSAFEPATH": "1"}
    return {**mine, **safe, **interpreter.variables}


def _is_requirement(text: str) -> bool:
    try:
        return text.startswith(PIXI) or bool(Requirement(text))
    except InvalidRequirement:
        return False


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _over(python: Path) -> Interpreter:
    """Have the programs of an environment found first, then those it lies over."""
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join([str(python.parent), scripts, os.environ.get("PATH", "")])
    return Interpreter(python, {"PATH": path})


def _of_pixi(name: str) -> Interpreter:
    if shutil.which("pixi") is None:
        raise BuildError(f"{PIXI}{name} needs pixi, which is not installed: https://pixi.sh")
    manifest = PROJECT / "pixi.toml"
    line = ["pixi", "shell-hook", "--json", f"--environment={name}", f"--manifest-path={manifest}"]
    said = _run(line, f"pixi could not give the environment {name}")
    variables = json.loads(said)["environment_variables"]
    return Interpreter(_python(Path(variables["CONDA_PREFIX"])), variables)


def _make(folder: Path, wanted: Sequence[str]) -> None:
    """Make a venv and install what is named, then whatever that needs and is not there."""
    venv.create(folder, with_pip=True, symlinks=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    under = [path for path in map(sysconfig.get_path, ("purelib", "platlib")) if path]
    # A line that begins with `import` is run, so that `.pth` files of those folders count as well.
    lines = [f"import site; site.addsitedir({path!r})" for path in dict.fromkeys(under)]
    (site / "laid_over.pth").write_text("\n".join(lines) + "\n")
    pip = [str(_python(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for options in (["--ignore-installed", "--no-deps"], []):
        _run([*pip, *options, *wanted], f"pip could not install {', '.join(wanted)}")


def _run(line: Sequence[str], failed: str) -> str:
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{failed}: {f'{done.stdout}{done.stderr}'.strip()[-LONGEST:]}")
    return done.stdout
