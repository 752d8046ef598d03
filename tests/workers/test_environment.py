"""The machine as it is told: facts or reasons, and nothing that names its owner."""

from __future__ import annotations

import getpass
import json
import platform
import re
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.measuring.environment import read_environment
from bench.model.paths import PROJECT, without_paths
from bench.workers.implementations.drivers import BLAS_VARIABLES, NumPy

CPU = {"brand_raw": "Example CPU 9000", "flags": ["fpu", "avx2", "fma", "hypervisor", "avx512f"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A made-up machine."""
    files = {
        "proc/pressure/cpu": "some avg10=1.50 avg60=0.00 avg300=0.00 total=12\n",
        "sys/devices/system/cpu/cpu0/cache/index0/level": "1\n",
        "sys/devices/system/cpu/cpu0/cache/index0/type": "Data\n",
        "sys/devices/system/cpu/cpu0/cache/index0/size": "32K\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
        "sys/devices/system/cpu/intel_pstate/no_turbo": "1\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.mark.skipif(platform.system() != "Linux", reason="proc and sys are those of Linux")
def test_facts_are_read(root: Path) -> None:
    machine = read_environment(root, cpu=lambda: CPU).machine
    expected = {
        "cpu": "Example CPU 9000",
        "extensions": "avx2 fma avx512f",
        "caches": "L1 data 32K",
        "hypervisor": "present",
        "governor": "performance",
        "turbo": "off",
        "transparent huge pages": "always [madvise] never",
        "cpu pressure": "some avg10=1.50 avg60=0.00 avg300=0.00 total=12",
    }
    assert {name: machine[name] for name in expected} == expected
    assert 1 <= machine["physical cores"] <= machine["logical cores"]
    assert re.fullmatch(r"\d+\.\d\d s since boot", machine["steal"])
    assert re.fullmatch(r"\d+\.\d GiB", machine["memory"])
    assert len(machine["load"].split()) == 3


@pytest.mark.skipif(platform.system() != "Linux", reason="proc and sys are those of Linux")
def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    environment = read_environment(tmp_path, tmp_path, dict)
    machine = environment.machine
    assert machine["cpu"] == "unavailable (the system does not say)"
    assert machine["extensions"] == "unavailable (the processor's flags are not told)"
    assert machine["cpu pressure"] == "unavailable (no cpu: No such file or directory)"
    assert machine["turbo"] == "unavailable (neither intel_pstate nor cpufreq boost is there)"
    assert machine["caches"] == "unavailable (no cache descriptions)"
    assert environment.software["commit"] == "unavailable (not a git checkout)"
    assert environment.software["numpy"][0].isdigit()


def test_the_commit_says_whether_there_are_changes(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert read_environment(project=tmp_path).software["commit"] == commit
    (tmp_path / "new").write_text("")
    told = read_environment(project=tmp_path).software["commit"]
    assert told == f"{commit} with uncommitted changes"


def test_nothing_names_the_owner_of_this_machine() -> None:
    environment = read_environment()
    text = json.dumps([environment.machine, environment.software])
    assert asdict(environment)["workers"] == {}
    for secret in (str(PROJECT), str(Path.home()), platform.node(), platform.version()):
        assert secret == "/" or secret not in text
    assert f"/{getpass.getuser()}" not in text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ('File "/home/ann/ab/x.py", line 3', 'File "…/x.py", line 3'),
        ("see /usr/lib/libm.so: bad", "see …/libm.so: bad"),
        (f"in {PROJECT}/bench/worker.py", "in …/worker.py"),
        (f"in {Path.home()}/some thing/x", "in …/some thing/x"),
        ("forward/1-50x9-1/b20/f64/t1", "forward/1-50x9-1/b20/f64/t1"),
        ("3 s / 4", "3 s / 4"),
        ("", ""),
    ],
)
def test_folders_are_taken_out_of_text(text: str, cleaned: str) -> None:
    assert without_paths(text) == cleaned


def test_folders_are_taken_out_of_nested_facts() -> None:
    facts = {"threads": 1, "facts": {"flags": ["-I", "/opt/inc/x"], "kept": None}}
    assert without_paths(facts) == {
        "threads": 1,
        "facts": {"flags": ["-I", "…/x"], "kept": None},
    }


def test_what_changes_a_blas_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in BLAS_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    assert NumPy().describe()["facts"]["blas changed by"] == "nothing"
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    monkeypatch.setenv("MKL_CBWR", "SSE2")
    told = NumPy().describe()["facts"]["blas changed by"]
    assert told == "OPENBLAS_CORETYPE=Nehalem, MKL_CBWR=SSE2"
