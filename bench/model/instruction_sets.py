"""One instruction set for both sides: what `--same-isa` sets, and how it is confirmed. Pure.

Without it each side uses what its makers chose for this machine, which is what their users get.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Isa:
    """An instruction set by the names that each side has for it."""

    mojo_cpu: str  # the compiler's --target-cpu
    openblas: str  # kernels of OpenBLAS
    mkl: str  # limit of Intel's MKL


ISAS = {
    "sse4.2": Isa("x86-64-v2", "Nehalem", "SSE4_2"),
    "avx2": Isa("x86-64-v3", "Haswell", "AVX2"),
    "avx512": Isa("x86-64-v4", "SkylakeX", "AVX512"),
}


def environment_of(name: str) -> dict[str, str]:
    """Return the variables that hold both sides to an instruction set; none for no name."""
    if not name:
        return {}
    isa = ISAS[name]
    return {
        "MOJO_IMPL_TARGET_CPU": isa.mojo_cpu,
        "OPENBLAS_CORETYPE": isa.openblas,
        "MKL_ENABLE_INSTRUCTIONS": isa.mkl,
    }


def other_than(name: str, facts: Mapping[str, Any]) -> str:
    """Say by which fact a worker does not keep to an instruction set; empty if it does.

    Args:
        name: One of `ISAS`.
        facts: What the worker says of itself.
    """
    isa = ISAS[name]
    cpu = facts.get("mojo target cpu")
    if cpu is not None and cpu != isa.mojo_cpu:
        return f"it is compiled for {cpu}, not {isa.mojo_cpu}"
    core, blas = facts.get("blas core type"), str(facts.get("blas", ""))
    if core is not None and "openblas" in blas and core != isa.openblas:
        return f"its BLAS uses kernels of {core}, not {isa.openblas}"
    if core is not None and not any(kind in blas for kind in ("openblas", "mkl")):
        return f"its BLAS ({blas or 'unknown'}) cannot be held to one"
    return ""
