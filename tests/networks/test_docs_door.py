"""Follows docs/adding-an-implementation.md to the letter, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.model.paths import PROJECT
from bench.model.threads import thread_environment

PAGE = (PROJECT / "docs" / "adding-an-implementation.md").read_text()
SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]

BENCH = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(PROJECT)!r})
from bench.cli.main import main
main()
"""
"""The command of this very checkout, whichever one is installed."""


def follow(section: str, folder: Path) -> str:
    """Save the files, run the commands, and return all that was printed."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "bench").write_text(BENCH)
    (programs / "bench").chmod(0o755)
    variables = {
        **os.environ,
        **thread_environment(1),
        "PATH": os.pathsep.join(
            [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
        ),
        "REPO": str(PROJECT),
        "COLUMNS": "200",
    }
    printed = ""
    for text, kind, block in re.findall(
        r"((?:(?!^```).)*)^```(\w+)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE
    ):
        if kind == "python":
            (name,) = re.findall(r"Save it as `([\w.]+)`", text)
            (folder / name).write_text(block)
        elif kind == "sh":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block],
                cwd=folder, env=variables, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            printed = done.stdout
        else:
            for line in block.splitlines():
                assert line in printed
    return printed


def test_the_page_has_the_steps_it_promises() -> None:
    titles = [section.splitlines()[0] for section in SECTIONS]
    assert titles == [
        "1. A class in one file", "2. A variant", "3. A package", "4. A program in any language",
    ]  # fmt: skip


@pytest.mark.alone
@pytest.mark.long
def test_a_class_becomes_a_variant(tmp_path: Path) -> None:
    assert "as it should" in follow(SECTIONS[0], tmp_path)
    printed = follow(SECTIONS[1], tmp_path)
    assert "case=epoch/1-50x9-1/b20/n500/f64/t1" in printed
    assert (tmp_path / "results" / "mine" / "report.html").is_file()


@pytest.mark.parametrize("section", SECTIONS[2:], ids=["a package", "a program"])
def test_what_comes_after_needs_nothing_of_it(section: str, tmp_path: Path) -> None:
    assert "are right" in follow(section, tmp_path) + section
