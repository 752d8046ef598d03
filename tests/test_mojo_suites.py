"""Runs the suites written in Mojo, each as a program, with all assertions switched on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUITES = sorted((ROOT / "tests" / "mojo").glob("test_*.mojo"))


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_suite(suite: Path) -> None:
    programs = Path(sys.executable).parent
    command = ["mojo", "run", "--Werror", "-D", "ASSERT=all", "-I", "mojo_impl", str(suite)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    print(done.stdout)  # noqa: T201  # pytest shows it with a failure, and always with -s
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}"
    summary = re.search(r"(\d+) tests run: (\d+) passed , 0 failed , 0 skipped", done.stdout)
    assert summary, "the suite did not say that all of its tests passed"
    tests = len(re.findall(r"^def test_", suite.read_text(), re.MULTILINE))
    assert int(summary[1]) == int(summary[2]) == tests > 0


def test_there_are_suites() -> None:
    assert {suite.stem for suite in SUITES} >= {"test_matmul", "test_network", "test_random"}
