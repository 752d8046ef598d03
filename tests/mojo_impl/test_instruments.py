"""Keeps the programs that measure parts and threads compiling; what they measure needs quiet."""

from __future__ import annotations

from pathlib import Path

import pytest

from mojo_impl.building.build import PACKAGE
from mojo_impl.building.toolchain import find_compiler, run_command

PROGRAMS = Path(__file__).parent / "instruments"


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["cost_of_parts", "cost_of_depth", "cost_of_threads", "busy_neighbour"]
)
def test_a_program_compiles_by_the_command_that_it_gives(name: str, tmp_path: Path) -> None:
    source = PROGRAMS / f"{name}.mojo"
    line = f"mojo build -I mojo_impl tests/mojo_impl/instruments/{name}.mojo -o "
    assert line in source.read_text()
    command = [find_compiler(), "build", "--Werror", "-I", str(PACKAGE)]
    done = run_command([*command, str(source), "-o", str(tmp_path / name)])
    assert done.returncode == 0, done.stdout + done.stderr
