"""Knows CPUs: how the system describes this one, and what of a compiled library it cannot run.

A library for another CPU would end the process with an illegal instruction, so its features, as
the compiler named them when it made the library, are compared with those of the machine before it
is loaded. Nothing here compiles or loads.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

_SAME = (
    "adx aes avx avx2 avx512bw avx512cd avx512dq avx512f avx512ifma avx512vbmi avx512vl bmi2 f16c "
    "fma gfni movbe popcnt sse4a ssse3 vaes vpclmulqdq xsave "
    "bf16 i8mm sha2 sha3 sm4 sve sve2"
)
_OTHER = (
    "avx512bf16=avx512_bf16 avx512bitalg=avx512_bitalg avx512fp16=avx512_fp16 "
    "avx512vbmi2=avx512_vbmi2 avx512vnni=avx512_vnni avx512vpopcntdq=avx512_vpopcntdq "
    "amx-bf16=amx_bf16 amx-int8=amx_int8 amx-tile=amx_tile avxvnni=avx_vnni bmi=bmi1 lzcnt=abm "
    "pclmul=pclmulqdq sha=sha_ni sse3=pni sse4.1=sse4_1 sse4.2=sse4_2 "
    "neon=asimd fullfp16=asimdhp dotprod=asimddp lse=atomics rcpc=lrcpc"
)
LINUX_NAMES = {name: name for name in _SAME.split()} | dict(
    pair.split("=") for pair in _OTHER.split()
)
"""Features that a compiler uses by itself, by its name for them: Linux' name in /proc/cpuinfo.

Others, for systems and the like, are left out: the compiler does not use them unasked, and Linux
does not tell all of them.
"""
MACOS_NAMES = {
    "avx": "avx1_0",
    "avx2": "avx2_0",
    "avx512f": "avx512f",
    "fma": "fma",
    "bf16": "arm.FEAT_BF16",
    "dotprod": "arm.FEAT_DotProd",
    "fullfp16": "arm.FEAT_FP16",
    "i8mm": "arm.FEAT_I8MM",
    "lse": "arm.FEAT_LSE",
}
"""The same for macOS: the names below hw.optional, of which it tells fewer."""


def names_and_features(effective_target: str) -> tuple[str | None, tuple[str, ...]]:
    """Read the CPU and its features from what the compiler prints of its target. Pure.

    Args:
        effective_target: Lines such as `--target-cpu znver4` and `--target-features +avx,-pku`.

    Returns:
        The name, None if it is not said; the features that are on, by their names in LLVM.
    """
    lines = [line.split() for line in effective_target.splitlines()]
    said = {words[0]: words[1] for words in lines if len(words) == 2}
    features = said.get("--target-features", "").split(",")
    return said.get("--target-cpu"), tuple(name[1:] for name in features if name.startswith("+"))


def missing_features(
    needed: Iterable[str], cpuinfo: Path = CPUINFO, system: str = sys.platform
) -> list[str]:
    """Tell which features this machine lacks; none where the system does not tell.

    Args:
        needed: The compiler's names.
        cpuinfo: What Linux tells of its processors.
        system: As in `sys.platform`.
    """
    names, here = LINUX_NAMES, _flags(cpuinfo)
    if system == "darwin":
        names, here = MACOS_NAMES, _macos_flags()
    return sorted(name for name in needed if here and name in names and names[name] not in here)


def describe_cpu(cpuinfo: Path = CPUINFO) -> str:
    """Describe this machine's CPU, precisely enough to know another one."""
    parts = [platform.system(), platform.machine()]
    wanted = ("vendor_id", "model name", "flags", "Features", "CPU implementer", "CPU part")
    lines = [line for line in _first_processor(cpuinfo) if line.startswith(wanted)]
    if lines:
        parts += [" ".join(line.split()) for line in lines]
    else:
        parts.append(platform.processor())
        if sys.platform == "darwin":
            parts.append(_sysctl("-n", "machdep.cpu.brand_string").strip())
    return "; ".join(parts)


def _flags(cpuinfo: Path) -> set[str]:
    for line in _first_processor(cpuinfo):
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):  # x86, Arm
            return set(flags.split())
    return set()


def _first_processor(cpuinfo: Path) -> list[str]:
    try:
        text = cpuinfo.read_text()
    except OSError:
        return []
    return text.split("\n\n")[0].splitlines()


def _macos_flags() -> set[str]:
    pairs = (line.split(": ") for line in _sysctl("hw.optional").splitlines())
    return {pair[0].removeprefix("hw.optional.") for pair in pairs if pair[1:] == ["1"]}


def _sysctl(*arguments: str) -> str:
    line: Sequence[str] = ["sysctl", *arguments]
    try:
        return subprocess.run(line, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
