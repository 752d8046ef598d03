"""Keeps pixi.toml from rotting, as pixi itself is not on every machine.

The file is held to pixi's own JSON schema (the variable PIXI_SCHEMA says where that is), to
pyproject.toml and the Makefile, and each task's command line is run in this environment, with an
ending that makes it short.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bench.model.registry import VARIANTS

ROOT = Path(__file__).parents[2]
PIXI: dict[str, Any] = tomllib.loads((ROOT / "pixi.toml").read_text())
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Words that, added to a task's command line, make it short. `bench` and `report` also run for real
# below; of `check` the tools are asked whether they are there.
SHORT: dict[str, list[str]] = {
    "build": [],
    "train": ["--help"],
    "program": ["--help"],
    "bench": ["--help"],
    "test": ["--collect-only", "--quiet", "tests/repository/test_pixi.py"],
    "test-all": ["--collect-only", "--quiet", "tests/repository/test_pixi.py"],
    "report": ["--help"],
}


def test_the_file_follows_the_schema_of_pixi() -> None:
    schema = os.environ.get("PIXI_SCHEMA")
    if not schema:
        pytest.skip("PIXI_SCHEMA does not say where pixi's JSON schema is")
    jsonschema.validate(PIXI, json.loads(Path(schema).read_text()))


def test_the_platforms_and_tasks_are_those_promised() -> None:
    assert PIXI["workspace"]["channels"] == ["conda-forge"]
    assert PIXI["workspace"]["platforms"] == ["linux-64", "linux-aarch64", "osx-arm64"]
    assert list(PIXI["tasks"]) == [
        *("build", "bench", "train", "program", "test", "test-all", "check", "report")
    ]
    for name, task in PIXI["tasks"].items():
        assert task["description"], name
        for needed in task.get("depends-on", []):
            assert needed in PIXI["tasks"]


def test_make_has_the_same_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name in PIXI["tasks"]:
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name
    for task in PIXI["tasks"].values():
        command = task["cmd"].removeprefix("python ").removeprefix("bash ").split(" {{")[0]
        assert command in makefile


def test_versions_agree_with_pyproject() -> None:
    packages = dict(PIXI["pypi-dependencies"])
    own = packages.pop(PROJECT["name"])
    # All but the packages of the variants, which nobody gets who did not ask for them.
    variants = {"ladder", *(variant.extra for variant in VARIANTS.values())}
    extras = [name for name in PROJECT["optional-dependencies"] if name not in variants]
    assert own == {"path": ".", "editable": True, "extras": extras}
    for name, version in packages.items():
        assert f"{name}{version}" in PROJECT["dependencies"]
    assert packages["mojo"].startswith("==")
    assert PIXI["dependencies"]["python"].split(",")[0] == PROJECT["requires-python"]
    assert PIXI["workspace"]["name"] == PROJECT["name"]
    assert PIXI["workspace"]["description"] == PROJECT["description"]
    assert PIXI["workspace"]["license"] == PROJECT["license"]


def test_everything_else_comes_from_the_project_itself() -> None:
    """No package is named twice, and none is the one on PyPI that is called like the tool."""
    assert "pixi" not in PIXI["pypi-dependencies"]
    conda = set(PIXI["dependencies"])
    for target in PIXI["target"].values():
        conda |= set(target["dependencies"])
    assert conda == {"python", "make", "gcc"}


def command_of(task: dict[str, Any]) -> str:
    """Fill the arguments of a task with their defaults, as pixi does."""
    command: str = task["cmd"]
    for argument in task.get("args", []):
        command = command.replace("{{ " + argument["arg"] + " }}", argument["default"])
    assert "{{" not in command
    return command


def run(command: str, *more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.run(
        [*command.split(), *more], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", SHORT)
def test_the_command_line_of_a_task_works(name: str) -> None:
    done = run(command_of(PIXI["tasks"][name]), *SHORT[name])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_the_bench_task_runs_to_its_report(tmp_path: Path) -> None:
    """The real thing at its smallest; then the report task's command on what it wrote."""
    small = ["--layers", "1,3,1", "--batch", "5", "--rows", "20", "--no-training"]
    done = run(
        command_of(PIXI["tasks"]["bench"]), "--preset", "smoke", *small, "--out", str(tmp_path),
        "--name", "tiny",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    page = tmp_path / "tiny" / "report.md"
    written = page.read_text()
    page.unlink()
    report = command_of(PIXI["tasks"]["report"] | {"args": [{"arg": "run", "default": "RUN"}]})
    done = run(report.replace("RUN", str(tmp_path / "tiny")))
    assert done.returncode == 0, done.stdout + done.stderr
    assert page.read_text() == written


def test_the_check_task_names_tools_that_are_there() -> None:
    """`make check` runs it; here each tool only has to answer."""
    assert PIXI["tasks"]["check"]["cmd"] == "bash .ci/check"
    script = (ROOT / ".ci" / "check").read_text()
    tools = set(re.findall(r"^ *(ruff|mypy|mblack|mojo)\b", script, re.MULTILINE))
    assert tools == {"ruff", "mypy", "mblack", "mojo"}
    for tool in tools:
        assert run(f"{tool} --version").returncode == 0, tool
    syntax = run("bash -n .ci/check")
    assert syntax.returncode == 0, syntax.stderr
