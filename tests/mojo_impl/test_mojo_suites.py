"""Runs the suites written in Mojo, each as a program, with all assertions switched on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SUITES = sorted((ROOT / "tests" / "mojo_impl" / "mojo").glob("test_*.mojo"))


def marked(suite: Path) -> Any:
    """Leave out of a short run what only tells where time goes."""
    marks = [pytest.mark.long] if suite.stem == "test_parts" else []
    return pytest.param(suite, id=suite.stem, marks=marks)


@pytest.mark.parametrize("suite", [marked(suite) for suite in SUITES])
def test_suite(suite: Path, tmp_path: Path) -> None:
    # Built and then run, as the library is: `mojo run` compiles in another way, and once hid a
    # use after free that the built program showed.
    program = tmp_path / suite.stem
    flags = ["--Werror", "-D", "ASSERT=all", "-I", "mojo_impl"]
    run("mojo", "build", *flags, str(suite), "-o", str(program))
    output = run(str(program))
    summary = re.search(r"(\d+) tests run: (\d+) passed , 0 failed , 0 skipped", output)
    assert summary, "the suite did not say that all of its tests passed"
    tests = len(re.findall(r"^def test_", suite.read_text(), re.MULTILINE))
    assert int(summary[1]) == int(summary[2]) == tests > 0


def run(*command: str) -> str:
    """Run a command in the root of the project, show what it says and return it."""
    programs = Path(sys.executable).parent
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
    return done.stdout


def test_there_are_suites() -> None:
    assert {suite.stem for suite in SUITES} >= {"test_matmul", "test_network", "test_random"}
