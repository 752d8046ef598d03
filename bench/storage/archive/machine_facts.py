"""The facts of a run's machine and software: the columns of the runs, and the machine's id. Pure.

A machine is identified by what `bench.analysis.comparable` takes for one machine: processor, cores,
caches and settings, and no name that somebody gave. Two machines of one kind with the same settings
have the same facts and so the same id: their runs share a row, each with ratios of its own. Texts
come from strangers; numbers are read from them strictly.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from bench.analysis.comparable import OF_MACHINE
from bench.model.records import Run
from bench.storage.archive.store import ID_DIGITS
from bench.storage.dates import NEVER, when

LONGEST_TEXT = 300
UNDATED = "undated"

VECTOR_BITS = {
    "avx512f": 512,
    "avx": 256,
    "sse4_2": 128,
    "asimd": 128,
}
"""By the extensions of a processor, the widest first. A scalable width (SVE) is not known."""
SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
LARGEST = 1 << 50


def machine_id(run: Run) -> str:
    """Name the machine of a run by a hash of its facts."""
    machine = run.environment.machine
    return _digest([[name, machine.get(name)] for name in OF_MACHINE])[:ID_DIGITS]


def recording(run: Run) -> str:
    """Hash what all records of one run share: name, start, and the machine at the start.

    That includes load, steal and pressure. They distinguish runs that were started under one name
    in the same second on machines of one kind.
    """
    return _digest([run.name, run.started, msgspec.to_builtins(run.environment.machine)])


def date_of(run: Run) -> str:
    """Write the day on which a run began, UTC, as a part of a path: `2026-11-24`, or `undated`."""
    moment = when(run)
    return UNDATED if moment == NEVER else moment.strftime("%Y-%m-%d").rjust(10, "0")


def machine_facts(run: Run) -> dict[str, Any]:
    """Read the facts of a run's machine and software; None where one is not known.

    Sizes are in bytes, of the cache of a core or of the group of cores that share it.
    """
    machine, software = run.environment.machine, run.environment.software
    facts: dict[str, Any] = {}
    versions: dict[str, Any] = {}
    for described in run.environment.workers.values():
        facts |= _mapping(described.get("facts"))
        versions |= _mapping(described.get("versions"))
    caches = _text(machine.get("caches")) or ""
    return {
        "cpu": _text(machine.get("cpu")),
        "architecture": _text(machine.get("architecture")),
        "extensions": _text(machine.get("extensions")),
        "logical_cores": _count(machine.get("logical cores")),
        "physical_cores": _count(machine.get("physical cores")),
        "cores_allowed": _count(machine.get("cores allowed")),
        "l1d_bytes": _cache(caches, r"L1 data"),
        "l2_bytes": _cache(caches, r"L2 (?:unified|data)"),
        "l3_bytes": _cache(caches, r"L3 (?:unified|data)"),
        "vector_bits": _vector_bits(_text(machine.get("extensions"))),
        "memory": _text(machine.get("memory")),
        "hypervisor": _text(machine.get("hypervisor")),
        "system": _text(machine.get("system")),
        "python": _text(software.get("python")),
        "numpy": _text(software.get("numpy")) or _text(versions.get("numpy")),
        "mojo": _text(software.get("mojo")) or _text(versions.get("mojo")),
        "version": _text(software.get("python-vs-mojo")),
        "commit": _text(software.get("commit")),
        "blas": _text(facts.get("blas")),
        "blas_core": _text(facts.get("blas core type")),
        "mojo_target_cpu": _text(facts.get("mojo target cpu")),
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    """Take a text or a number as text; None if it is unknown."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    text = " ".join(str(value).split())[:LONGEST_TEXT]
    return None if not text or text.startswith("unavailable") else text


def _count(value: object) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 2**31
    return int(value) if good and isinstance(value, int) else None


def _cache(text: str, which: str) -> int | None:
    """Read the size of a cache out of `L1 data 48K, L2 unified 1024K`."""
    found = re.search(rf"(?:^|, ){which} (\d{{1,9}})([KMG])(?:,|$)", text, re.ASCII)
    size = int(found[1]) * SIZES[found[2]] if found else 0
    return size if 0 < size <= LARGEST else None


def _vector_bits(extensions: str | None) -> int | None:
    """Return the width of the vectors, by the extensions of the processor."""
    known = set((extensions or "").split())
    return next((bits for name, bits in VECTOR_BITS.items() if name in known), None)
