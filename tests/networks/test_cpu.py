"""Libraries for other CPUs: refused where they cannot run, run where they can, compiled for Arm."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mojo_impl.building import build as building
from mojo_impl.building import cpu
from mojo_impl.building.build import BuildError, Library, build, check_cpu, library_at
from mojo_impl.building.toolchain import run_command

ROOT = Path(__file__).parents[2]
X86 = sys.platform == "linux" and os.uname().machine == "x86_64"

OLD_X86 = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Abacus  3
flags\t\t: fpu pni ssse3 sse4_1 sse4_2 popcnt abm avx bmi1 avx2 bmi2 fma f16c movbe xsave

processor\t: 1
flags\t\t: avx512f
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd crc32 atomics asimdhp asimddp\nCPU part\t: 0xd0c\n"
V3 = "avx,avx2,bmi,bmi2,cmov,crc32,f16c,fma,lzcnt,movbe,popcnt,sahf,sse3,sse4.1,sse4.2,ssse3,xsave"


@pytest.fixture
def cpuinfo(tmp_path: Path) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text(OLD_X86)
    return path


def test_what_the_compiler_prints_is_read() -> None:
    printed = "Effective target configuration:\n  --target-triple x86_64-unknown-linux-gnu\n"
    printed += "  --target-cpu abacus\n  --target-features +fma,-pku,+sse4.1\n"
    assert cpu.names_and_features(printed) == ("abacus", ("fma", "sse4.1"))
    assert cpu.names_and_features("something else") == (None, ())


def test_a_machine_with_avx2_lacks_avx512_and_nothing_of_v3(cpuinfo: Path) -> None:
    assert cpu.missing_features(V3.split(","), cpuinfo, "linux") == []
    more = [*V3.split(","), "avx512f", "avx512vnni", "shstk", "prfchw"]
    # The second processor's flags do not count, nor do features that no code uses unasked.
    assert cpu.missing_features(more, cpuinfo, "linux") == ["avx512f", "avx512vnni"]


def test_arm_features_have_other_names(cpuinfo: Path) -> None:
    cpuinfo.write_text(ARM)
    needed = ["neon", "fullfp16", "dotprod", "lse", "sve", "fp-armv8"]
    assert cpu.missing_features(needed, cpuinfo, "linux") == ["sve"]


def test_a_system_that_does_not_tell_refuses_nothing(tmp_path: Path) -> None:
    assert cpu.missing_features(["avx512f"], tmp_path / "none", "linux") == []
    assert "Abacus" not in cpu.describe_cpu(tmp_path / "none")


def test_macos_tells_in_its_own_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sysctl = tmp_path / "sysctl"
    sysctl.write_text("#!/bin/sh\necho hw.optional.avx2_0: 1; echo hw.optional.avx512f: 0\n")
    sysctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert cpu.missing_features(["avx2", "avx512f", "lzcnt"], system="darwin") == ["avx512f"]


def test_the_description_tells_cpus_apart_and_not_cores(cpuinfo: Path) -> None:
    before = cpu.describe_cpu(cpuinfo)
    assert "model name : Abacus 3" in before
    cpuinfo.write_text(OLD_X86 + "processor\t: 2\nflags\t\t: more\n")
    assert cpu.describe_cpu(cpuinfo) == before
    cpuinfo.write_text(OLD_X86.replace("Abacus", "Slide rule"))
    assert cpu.describe_cpu(cpuinfo) != before


def test_a_library_that_cannot_run_here_is_refused_with_advice(cpuinfo: Path) -> None:
    library = Library(Path("there.so"), "9.9", "-O3", "znver4", ("avx2", "avx512f", "avx512bw"))
    with pytest.raises(BuildError) as caught:
        check_cpu(library, lambda needed: cpu.missing_features(needed, cpuinfo, "linux"))
    text = str(caught.value)
    assert "the CPU znver4, and this machine lacks avx512bw, avx512f, which" in text
    assert "MOJO_IMPL_TARGET_CPU" in text
    assert "x86-64-v3" in text
    assert "there.so" in text
    check_cpu(library, lambda needed: [])


def python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, *arguments]
    env = os.environ | variables
    return subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_an_import_refuses_instead_of_dying(tmp_path: Path) -> None:
    """A whole import, of a library that says that it needs what no machine here has."""
    path = tmp_path / build().path.name
    path.write_bytes(build().path.read_bytes())
    facts = json.loads((build().path.parent / "facts.json").read_text())
    assert {"sse4.2", "neon"} & set(facts["features"])
    lacks = "sve2" if X86 else "avx512f"
    facts["features"].append(lacks)
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    code = (
        "import pathlib, mojo_impl.building.build as b\n"
        f"b.build = lambda: b.library_at(pathlib.Path({str(path)!r}))\n"
        "try: import mojo_impl.network\nexcept b.BuildError as error: print(error)"
    )
    done = python("-c", code)
    assert f"this machine lacks {lacks}" in done.stdout, done.stderr
    assert done.returncode == 0


@pytest.mark.long
@pytest.mark.skipif(not X86, reason="x86-64-v3 is an x86 CPU")
@pytest.mark.skipif(
    bool(X86 and cpu.missing_features(V3.split(","))), reason="this machine has no AVX2"
)
def test_a_library_for_avx2_computes_the_same() -> None:
    done = python("-m", "mojo_impl.building", "--target-cpu", "x86-64-v3", MOJO_IMPL_TARGET_CPU="")
    assert done.returncode == 0, done.stderr
    assert "To use it, set MOJO_IMPL_TARGET_CPU=x86-64-v3" in done.stderr
    library = library_at(Path(done.stdout.strip()))
    assert library.target_cpu == "x86-64-v3"
    assert "avx2" in library.features
    assert not any(name.startswith("avx512") for name in library.features)
    networks = ["1,50x9,1", "7,17,3", "64,128,128,10"]
    options = [word for layers in networks for word in ("--layers", layers)]
    options += ["--batch", "20", "--rows", "60", "--dtype", "float64", "--dtype", "float32"]
    done = python("-m", "bench", "parity", *options, MOJO_IMPL_TARGET_CPU="x86-64-v3")
    assert done.returncode == 0, done.stdout + done.stderr
    code = "import mojo_impl as m; print(m.describe()['facts'])"
    facts = python("-c", code, MOJO_IMPL_TARGET_CPU="x86-64-v3").stdout
    assert "'mojo target cpu': 'x86-64-v3'" in facts
    assert "'simd width float64': '4'" in facts


@pytest.mark.long
@pytest.mark.parametrize(
    ("triple", "target", "two_doubles"),
    [
        ("aarch64-unknown-linux-gnu", "neoverse-n1", r"fmla\s+v\d+\.2d"),
        ("arm64-apple-macosx13.0.0", "apple-m1", r"fmla\.2d"),
    ],
)
def test_the_extension_compiles_for_arm(
    tmp_path: Path, triple: str, target: str, two_doubles: str
) -> None:
    """Down to assembly, where the multiply-adds are vectors of NEON; linking needs its system."""
    compiler = building.find_compiler()
    printed = run_command([compiler, "build", "--print-supported-targets"])
    if "aarch64" not in printed.stdout + printed.stderr:
        pytest.skip("this compiler has no Arm target")
    output = tmp_path / "extension.s"
    line = [compiler, "build", "--emit", "asm", *building.FLAGS]
    line += ["--target-triple", triple, "--target-cpu", target, "-I", str(building.PACKAGE)]
    line += ["-o", str(output), str(building.PACKAGE / "extension" / "bindings.mojo")]
    done = run_command(line)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(two_doubles, output.read_text())) > 100
