"""Holds the table of layers in docs/design.md: imports point one way, as that document says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HARNESS = [
    path
    for path in sorted((ROOT / "bench").rglob("*.py"))
    if not path.stem.startswith("__")  # which only open the front door
]
RUNGS = sorted(ROOT.glob("ladder/*.py"))
DOOR = {"implementations", "records", "threads", "timed"}
IMPLEMENTATIONS = sorted([*ROOT.glob("python_impl/**/*.py"), *ROOT.glob("mojo_impl/**/*.py")])


def layers_of_the_design() -> list[list[str]]:
    """Read the table: the indented lines after the sentence that begins with `Layers`."""
    lines = (ROOT / "docs" / "design.md").read_text().splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("Layers"))
    table: list[list[str]] = []
    for line in lines[start:]:
        if line.startswith("    "):
            table.append([name.strip() for name in line.split(",")])
        elif table:
            break
    return table


LAYERS = layers_of_the_design()


def imports_of(path: Path) -> set[str]:
    """Name the modules that a file imports anywhere in it, functions included."""
    package = path.parent.relative_to(ROOT).as_posix().replace("/", ".")
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = f"{package}.{node.module or ''}".rstrip(".") if node.level else node.module
            found |= {f"{module}.{alias.name}" for alias in node.names} | {module or ""}
    return found


def harness_modules(path: Path) -> set[str]:
    """Name the modules of `bench` that a file imports."""
    known = {module.stem for module in HARNESS}
    parts = {tuple(name.split(".")) for name in imports_of(path)}
    # The module's own name is the first that is known after those of packages.
    named = (next((name for name in part[1:] if name in known), "") for part in parts
             if part[0] == "bench")  # fmt: skip
    return {name for name in named if name}


def test_every_module_has_its_place_in_the_table() -> None:
    named = [name for layer in LAYERS for name in layer]
    assert len(LAYERS) >= 4
    assert len(named) == len(set(named)), "a module stands in two layers"
    assert set(named) == {path.stem for path in HARNESS}


@pytest.mark.parametrize("path", HARNESS, ids=lambda path: path.stem)
def test_imports_come_from_layers_below(path: Path) -> None:
    place = next((index for index, layer in enumerate(LAYERS) if path.stem in layer), None)
    assert place is not None, f"{path.stem} is not in the table of docs/design.md"
    below = {name for layer in LAYERS[place + 1 :] for name in layer}
    assert harness_modules(path) <= below


@pytest.mark.parametrize(
    "path", IMPLEMENTATIONS, ids=lambda path: f"{path.parent.name}.{path.stem}"
)
def test_the_implementations_know_nothing_of_the_harness(path: Path) -> None:
    assert not {name for name in imports_of(path) if name.split(".")[0] == "bench"}
    if "python_impl" in path.parts:
        assert not {name for name in imports_of(path) if name.split(".")[0] == "mojo_impl"}


@pytest.mark.parametrize("path", RUNGS, ids=lambda path: path.stem)
def test_the_rungs_know_of_the_harness_what_a_stranger_does(path: Path) -> None:
    assert harness_modules(path) <= DOOR
    assert not {name for name in imports_of(path) if name.split(".")[0] == "mojo_impl"}


def test_the_harness_imports_no_rung() -> None:
    for path in HARNESS:
        assert not {name for name in imports_of(path) if name.split(".")[0] == "ladder"}, path.stem


WITHOUT_PYTHON = [
    *sorted([*ROOT.glob("mojo_impl/mlp/*.mojo"), *ROOT.glob("mojo_impl/standalone/*.mojo")]),
    ROOT / "mojo_impl" / "train.mojo",
]


@pytest.mark.parametrize("path", WITHOUT_PYTHON, ids=lambda p: f"{p.parent.name}.{p.stem}")
def test_the_numeric_core_in_mojo_knows_nothing_of_python(path: Path) -> None:
    words = path.read_text().split('"""')[::2]  # code, without what documentation says
    lines = [line.strip() for part in words for line in part.splitlines()]
    imports = [line for line in lines if line.startswith(("from ", "import "))]
    assert not [line for line in imports if "python" in line.lower()]


def test_the_runner_starts_workers_and_never_imports_them() -> None:
    for path in HARNESS:
        assert "worker" not in harness_modules(path), f"{path.stem} imports the worker"
