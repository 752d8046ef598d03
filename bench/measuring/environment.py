"""Reads the machine and the software a run takes place on.

What cannot be read is the text `unavailable (reason)`, never left out. Nothing that names a person
or their folders is taken: no host or user name, no path, no command line.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from bench.model.paths import PROJECT
from bench.model.records import Environment

PACKAGES = (
    "python-vs-mojo",
    "numpy",
    "mojo",
    "scipy",
    "pandas",
    "matplotlib",
    "msgspec",
    "threadpoolctl",
    "pytest-benchmark",
)
EXTENSIONS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512vl", "amx_tile", "asimd", "sve")
COMMAND_TIMEOUT_S = 20


Fact = Callable[[], Any]


class Unavailable(Exception):  # noqa: N818  # an answer, not an error
    """A fact cannot be read here; the text says why."""


@cache
def cpu_facts() -> Mapping[str, Any]:
    """Tell what py-cpuinfo knows of the processor: it starts a process for it, so only once."""
    import cpuinfo

    facts: dict[str, Any] = cpuinfo.get_cpu_info()
    return facts


def read_environment(
    root: Path = Path("/"),
    project: Path = PROJECT,
    cpu: Callable[[], Mapping[str, Any]] = cpu_facts,
) -> Environment:
    """Read all facts as they are now; the runner adds workers and data.

    Args:
        root: Where `proc` and `sys` lie.
        project: The checkout whose commit is told.
        cpu: Tells model and flags of the processor, as py-cpuinfo does.
    """
    cpu0, pressure = root / "sys/devices/system/cpu/cpu0", root / "proc/pressure"
    machine: dict[str, Fact] = {
        "cpu": lambda: cpu().get("brand_raw"),
        "architecture": platform.machine,
        "extensions": lambda: " ".join(name for name in EXTENSIONS if name in _flags(cpu())),
        "logical cores": psutil.cpu_count,
        "physical cores": lambda: psutil.cpu_count(logical=False),
        "cores allowed": lambda: len(os.sched_getaffinity(0)),
        "core quota": lambda: _text(root / "sys/fs/cgroup/cpu.max"),
        "caches": lambda: _caches(cpu0 / "cache"),
        "memory": lambda: f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        # Of the release only the version: its ending often names a host or a provider.
        "system": lambda: f"{platform.system()} {re.split('[^0-9.]', platform.release())[0]}",
        "hypervisor": lambda: "present" if "hypervisor" in _flags(cpu()) else "none reported",
        "governor": lambda: _text(cpu0 / "cpufreq/scaling_governor"),
        "turbo": lambda: _turbo(cpu0.parent),
        "transparent huge pages": lambda: _text(
            root / "sys/kernel/mm/transparent_hugepage/enabled"
        ),
        "address randomisation": lambda: _text(root / "proc/sys/kernel/randomize_va_space"),
        "load": lambda: " ".join(f"{load:.2f}" for load in psutil.getloadavg()),
        "steal": lambda: f"{psutil.cpu_times().steal:.2f} s since boot",  # the host ran others
        "cpu pressure": lambda: _text(pressure / "cpu"),
        "memory pressure": lambda: _text(pressure / "memory"),
        "io pressure": lambda: _text(pressure / "io"),
    }
    software: dict[str, Fact] = {
        "python": lambda: f"{platform.python_implementation()} {platform.python_version()}",
        "commit": lambda: _commit(project),
        **{name: partial(_version, name) for name in PACKAGES},
    }
    return Environment(
        {name: _fact(read) for name, read in machine.items()},
        {name: str(_fact(read)) for name, read in software.items()},
    )


def _fact(read: Fact) -> Any:
    try:
        value = read()
    except Unavailable as reason:
        return f"unavailable ({reason})"
    except (OSError, AttributeError, NotImplementedError) as error:
        return f"unavailable ({type(error).__name__} on {platform.system()})"
    return "unavailable (the system does not say)" if value in (None, "") else value


def _text(path: Path) -> str:
    """Read a small file as one line."""
    try:
        return " ".join(path.read_text().split())
    except OSError as error:
        raise Unavailable(f"no {path.name}: {error.strerror}") from None


def _flags(cpu: Mapping[str, Any]) -> set[str]:
    if not (flags := cpu.get("flags")):
        raise Unavailable("the processor's flags are not told")
    return set(flags)


def _caches(folder: Path) -> str:
    """Read the caches of one core; py-cpuinfo adds up those of all cores."""
    caches = [
        f"L{_text(index / 'level')} {_text(index / 'type').lower()} {_text(index / 'size')}"
        for index in sorted(folder.glob("index*"))
    ]
    if not caches:
        raise Unavailable("no cache descriptions")
    return ", ".join(caches)


def _turbo(cpus: Path) -> str:
    for name, on in (("intel_pstate/no_turbo", "0"), ("cpufreq/boost", "1")):
        if (cpus / name).exists():
            return "on" if _text(cpus / name) == on else "off"
    raise Unavailable("neither intel_pstate nor cpufreq boost is there")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        raise Unavailable("not installed") from None


def _commit(project: Path) -> str:
    if not (project / ".git").exists():
        raise Unavailable("not a git checkout")
    commit = _output(["git", "-C", str(project), "rev-parse", "HEAD"])
    changes = _output(["git", "-C", str(project), "status", "--porcelain"])
    return f"{commit} with uncommitted changes" if changes else commit


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{command[0]}: {type(error).__name__}") from None
    return done.stdout.strip()
