"""AddressSanitizer sees a fault that is there, and none in the smallest suite.

`make sanitize` runs all suites and the extension under it, and other tools.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sanitize import MOJO, PARTS, Fault, build, main, must_see, one_suite, well


def has_sanitizer() -> bool:
    """Tell whether gcc brings AddressSanitizer, which it names by its whole path then."""
    if sys.platform != "linux" or shutil.which("gcc") is None:
        return False
    line = ["gcc", "-print-file-name=libasan.so"]
    return Path(subprocess.check_output(line, text=True).strip()).is_absolute()


@pytest.mark.skipif(not has_sanitizer(), reason="gcc brings no AddressSanitizer here")
def test_a_fault_is_seen_and_a_suite_has_none(tmp_path: Path) -> None:
    faulty = build(MOJO / "faulty.mojo", tmp_path / "faulty", "--sanitize", "address")
    must_see("heap-use-after-free", faulty)
    one_suite(MOJO / "test_random.mojo", tmp_path)


def test_a_tool_that_sees_nothing_is_a_fault() -> None:
    with pytest.raises(Fault, match="does not see a fault"):
        must_see("heap-use-after-free", sys.executable, "-c", "")
    with pytest.raises(Fault, match="does not see a fault"):
        must_see("heap-use-after-free", sys.executable, "-c", "raise SystemExit(1)")


def test_a_command_that_fails_is_a_fault() -> None:
    with pytest.raises(Fault, match=r"(?s)ended with 9:\nfound"):
        well(sys.executable, "-c", "print('found', flush=True); import os; os._exit(9)")


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory"]) == 2
    assert capsys.readouterr().out == f"no part memory; there are {', '.join(PARTS)}\n"
