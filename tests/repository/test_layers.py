"""Holds the walls of the house: which folder may import from which, as docs/design.md says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DESIGN = (ROOT / "docs" / "design.md").read_text()
MOST_FILES = 13
MOST_LINES = 600
PACKAGES = ("bench", "ladder", "mojo_impl", "python_impl", "tools")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
HARNESS = [name for name in MODULES if name.startswith("bench.")]
FACADE = "bench.implementations"
"""What a class of a stranger may import of the harness: docs/adding-an-implementation.md."""
OUTSIDE = {FACADE, "bench.conftest", "bench.test_speed", "bench.__main__"}
"""Files beside the folders of `bench`: doors for those who do not work on the harness."""


def orders() -> dict[str, list[str]]:
    """Read the orders of docs/design.md: `place: one | two, three`, from the lowest up."""
    found = re.findall(r"^    ([\w/]+): +(.+(?:\n {6,}.+)*)$", DESIGN, re.MULTILINE)
    return {place: re.findall(r"[\w/]+", text) for place, text in found}


ORDERS = orders()


def imports_of(path: Path) -> set[str]:
    """Name the modules that a file imports anywhere in it, functions included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are written whole here"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in names}
    return found


ARROWS = {name: imports_of(path) & set(MODULES) for name, path in MODULES.items()}


def circles(arrows: dict[str, set[str]]) -> list[str]:
    """Name what is left when those that import nothing, or that nothing imports, are taken away."""
    left = {name: set(others) - {name} for name, others in arrows.items()}
    while True:
        imported = set().union(*left.values())
        ends = [name for name, others in left.items() if not others or name not in imported]
        if not ends:
            return sorted(left)
        left = {name: others - set(ends) for name, others in left.items() if name not in ends}


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c"]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_no_two_files_import_each_other_in_a_circle() -> None:
    assert circles(ARROWS) == []


def folder_of(name: str, place: str) -> str:
    """Name the folder, or file, right under `place` that a module lies in."""
    return name.removeprefix(place.replace("/", ".") + ".").partition(".")[0]


@pytest.mark.parametrize("place", [place for place in ORDERS if place.startswith("bench")])
def test_a_folder_imports_only_from_those_before_it(place: str) -> None:
    prefix = place.replace("/", ".") + "."
    folders = {
        path.name for path in (ROOT / place).iterdir() if path.is_dir() and any(path.glob("*.py"))
    }
    assert folders <= set(ORDERS[place]), f"docs/design.md has no place for {folders}"
    for name, others in ARROWS.items():
        if not name.startswith(prefix) or folder_of(name, place) not in ORDERS[place]:
            continue
        mine = ORDERS[place].index(folder_of(name, place))
        for other in others:
            if other.startswith(prefix) and folder_of(other, place) in ORDERS[place]:
                assert ORDERS[place].index(folder_of(other, place)) <= mine, f"{name} -> {other}"


def test_the_top_of_the_harness_holds_folders_and_doors() -> None:
    beside = {name for name in HARNESS if name.count(".") == 1 and name not in OUTSIDE}
    assert beside == {f"bench.{folder}" for folder in ORDERS["bench"]}


def test_nothing_in_a_folder_imports_a_door() -> None:
    for name in HARNESS:
        if name not in OUTSIDE:
            assert not ARROWS[name] & OUTSIDE, name


def folders() -> list[Path]:
    """List the folders of code."""
    here = [ROOT / name for name in (*PACKAGES, "tests")]
    inside = [path for top in here for path in top.rglob("*") if path.is_dir()]
    return [path for path in (*here, *inside) if path.name not in ("__pycache__", "old_runs")]


@pytest.mark.parametrize("folder", folders(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_folder_is_one_idea(folder: Path) -> None:
    files = [path for path in folder.iterdir() if path.suffix in (".py", ".mojo")]
    assert len([path for path in files if path.stem != "__init__"]) <= MOST_FILES
    for path in files:
        assert len(path.read_text().splitlines()) < MOST_LINES, path.name


MOJO_IMPL = ROOT / "mojo_impl"
MOJO_MODULES = {
    ".".join(path.relative_to(MOJO_IMPL).with_suffix("").parts): path
    for path in sorted(MOJO_IMPL.rglob("*.mojo"))
}
OUTSIDE_MOJO = ("std", "layout", "linalg")
"""The standard library, and the packages of MAX."""


def code_of(path: Path) -> str:
    """Return what a Mojo file holds without what its documentation says."""
    return "".join(path.read_text().split('"""')[::2])


def mojo_imports_of(path: Path) -> set[str]:
    """Name the modules that a Mojo file imports, without those that are not of this project."""
    code = code_of(path)
    form = re.compile(r"^ *from ([\w.]+) import (?:\(([^)]*)\)|(.+))$", re.MULTILINE)
    assert not re.search(r"^ *(?:import|from)\b", form.sub("", code), re.MULTILINE), path
    found: set[str] = set()
    package = ".".join(path.parent.relative_to(MOJO_IMPL).parts)
    for named, several, one in form.findall(code):
        module = f"{package}{named}" if named.startswith(".") else named
        if module.partition(".")[0] not in OUTSIDE_MOJO:
            names = {f"{module}.{name}" for name in re.findall(r"\w+", several or one)}
            found |= names & set(MOJO_MODULES) or {module}
    return found


MOJO_ARROWS = {name: mojo_imports_of(path) for name, path in MOJO_MODULES.items()}


def test_no_two_files_in_mojo_import_each_other_in_a_circle() -> None:
    assert {"variants.port", "variants.simd"} <= MOJO_ARROWS["variants.bindings"]
    assert set().union(*MOJO_ARROWS.values()) <= set(MOJO_MODULES)
    assert circles(MOJO_ARROWS) == []


def test_a_folder_of_mojo_impl_imports_only_from_those_before_it() -> None:
    line = re.search(r"^    mojo_impl: +(.+)$", DESIGN, re.MULTILINE)
    assert line
    order = [group.split(", ") for group in line[1].split(" | ")]
    ranks = {folder: rank for rank, group in enumerate(order) for folder in group}

    def place_of(path: Path) -> str:
        """Name the folder that the order has, or the top."""
        here = path.parent.relative_to(MOJO_IMPL)
        names = [folder.as_posix() for folder in (here, *here.parents)]
        return next((name for name in names if name in ranks), ".")

    pairs = [(MOJO_MODULES[name], MOJO_MODULES[other])
             for name, others in MOJO_ARROWS.items() for other in others]  # fmt: skip
    pairs += [(MODULES[name], MODULES[other])
              for name, others in ARROWS.items() for other in others
              if name.startswith("mojo_impl") and other.startswith("mojo_impl")]  # fmt: skip
    assert {place_of(path) for pair in pairs for path in pair} == {*ranks, "."}
    for path, other in pairs:
        mine, theirs = place_of(path), place_of(other)
        allowed = mine in (theirs, ".") or ranks.get(theirs, len(ranks)) < ranks[mine]
        assert allowed, f"{path.name} of {mine} imports {other.name} of {theirs}"


def test_the_implementations_know_nothing_of_the_harness() -> None:
    for name, path in MODULES.items():
        package = name.partition(".")[0]
        tops = {module.partition(".")[0] for module in imports_of(path)}
        if package == "mojo_impl":
            assert not tops & {"bench", "ladder", "tools"}, name
        elif package == "python_impl":
            assert not tops & {"bench", "ladder", "tools", "mojo_impl"}, name


def test_the_ladder_knows_of_the_harness_what_a_stranger_does() -> None:
    for name, others in ARROWS.items():
        if name.partition(".")[0] == "ladder":
            assert {other for other in others if other.startswith("bench")} <= {FACADE}, name
            assert not {other for other in others if other.startswith("mojo_impl")}, name


def test_nothing_that_is_installed_imports_the_ladder_or_the_tools() -> None:
    for name, path in MODULES.items():
        if name.partition(".")[0] not in ("ladder", "tools"):
            tops = {module.partition(".")[0] for module in imports_of(path)}
            assert not tops & {"ladder", "tools"}, name


WITHOUT_PYTHON = sorted(
    [*ROOT.glob("mojo_impl/mlp/**/*.mojo"), *ROOT.glob("mojo_impl/standalone/**/*.mojo")]
)


@pytest.mark.parametrize("path", WITHOUT_PYTHON, ids=lambda p: f"{p.parent.name}.{p.stem}")
def test_the_numeric_core_in_mojo_knows_nothing_of_python(path: Path) -> None:
    lines = [line.strip() for line in code_of(path).splitlines()]
    imports = [line for line in lines if line.startswith(("from ", "import "))]
    assert not [line for line in imports if "python" in line.lower()]


def test_the_runner_starts_workers_and_never_imports_them() -> None:
    for name in HARNESS:
        assert "bench.workers.worker" not in ARROWS[name], f"{name} imports the worker"
