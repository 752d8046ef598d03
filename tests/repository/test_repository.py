"""Holds what the repository promises about itself: files, pins, commands, and nobody's machine."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
CODE = (".py", ".pyi", ".mojo")
SHELL = ("rm", "cp", "sed", "gcc", "pip", "pytest", "ruff", "mblack", "git", ".ci/run", "cd")
SCRIPTS = ("Makefile", "pixi.toml", "pyproject.toml", "constraints.txt", "constraints-ladder.txt",
           ".ci/run", ".ci/check",
           ".github/workflows/check.yml", ".gitignore")  # fmt: skip
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@cache
def tracked() -> tuple[Path, ...]:
    """List the files that git knows; without git, those that it would not ignore by name."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split("\0")
        paths = [ROOT / name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        folders = (
            "bench",
            "docs",
            "examples",
            "ladder",
            "mojo_impl",
            "python_impl",
            "tests",
            ".ci",
            ".github",
        )
        paths = [path for folder in folders for path in (ROOT / folder).rglob("*")]
        paths += [path for path in ROOT.iterdir() if path.suffix in (".md", ".toml", ".txt")]
        paths = [path for path in paths if "__pycache__" not in path.parts]
    return tuple(path for path in paths if path.is_file())


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def texts() -> list[Path]:
    """Tell the files that people wrote; results are made by the program."""
    known = (*CODE, ".c", ".md", ".toml", ".txt", ".yml", ".html", ".css", ".js", "")
    return [p for p in tracked() if p.suffix in known and not name(p).startswith("results/")]


CODE_FILES = [path for path in tracked() if path.suffix in CODE]


@pytest.mark.parametrize("path", CODE_FILES, ids=name)
def test_code_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 600
    if path.suffix == ".py":
        purpose = ast.get_docstring(ast.parse(text))
    else:
        opening = re.match(r'(?:#[^\n]*\n|\s)*"""(.+?)"""', text, re.DOTALL)
        purpose = opening[1] if opening else None
    assert purpose, "the file does not open with what it is for"
    assert len(purpose.split()) >= 5
    assert purpose.strip().splitlines()[0].endswith((".", ":", ",")) or "\n" in purpose


@pytest.mark.parametrize("file", SCRIPTS)
def test_scripts_open_with_what_they_are_for(file: str) -> None:
    lines = (ROOT / file).read_text().splitlines()
    first = next(line for line in lines if not line.startswith("#!"))
    assert first.startswith("# ")
    assert len(first.split()) >= 6


def test_nothing_of_any_machine_is_in_the_repository() -> None:
    """No path of a person's or a build machine (Ann is made up), no package index, no address."""
    path = re.compile(r"(?<![\w.\]/:-])/(?:(?:root|work)/|(?:home|Users)/(?!ann\b)\w)[\w./-]*")
    host = re.compile(
        r"(?:index-url|find-links|artifactory|/simple/|localhost:\d|\b\d+(?:\.\d+){3}:)"
    )
    found = [
        f"{name(file)}: {match[0]}"
        for file in texts()
        if file.name != Path(__file__).name
        for pattern in (path, host)
        for match in pattern.finditer(file.read_text())
    ]
    assert not found


def test_nothing_is_unfinished() -> None:
    marks = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
    found = [
        f"{name(file)}: {match[0]}"
        for file in texts()
        if file.name != Path(__file__).name
        for match in marks.finditer(file.read_text())
    ]
    assert not found


def test_built_things_are_not_tracked() -> None:
    endings = (".so", ".dylib", ".mojoc", ".pyc", ".egg-info")
    assert not [name(path) for path in tracked() if path.suffix in endings]
    assert not [
        name(path) for path in tracked() if path.parts[len(ROOT.parts)] in ("build", ".venv")
    ]


def pins() -> dict[str, str]:
    files = ("constraints.txt", "constraints-ladder.txt")
    lines = [line for file in files for line in (ROOT / file).read_text().splitlines()]
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    return [
        Requirement(text)
        for text in (*PROJECT["dependencies"], *(item for extra in extras for item in extra))
    ]


def test_every_requirement_is_pinned_within_its_range() -> None:
    pinned = {canonicalize_name(package): Version(text) for package, text in pins().items()}
    for requirement in requirements():
        assert requirement.specifier, requirement
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_mojo_is_pinned_exactly_and_everywhere_alike() -> None:
    pixi = tomllib.loads((ROOT / "pixi.toml").read_text())
    assert f"mojo=={pins()['mojo']}" in PROJECT["dependencies"]
    assert pixi["pypi-dependencies"]["mojo"] == f"=={pins()['mojo']}"
    for package in ("mojo-compiler", "mojo-compiler-mojo-libs"):
        assert pins()[package] == pins()["mojo"]


def test_python_versions_agree() -> None:
    assert PROJECT["requires-python"] == ">=3.11"
    assert "(3, 11)" in (ROOT / "Makefile").read_text()
    workflow = (ROOT / ".github" / "workflows" / "check.yml").read_text()
    assert {"3.11", "3.13"} <= set(re.findall(r'"(3\.\d+)"', workflow))


def test_the_workflow_and_the_check_machine_run_the_same_targets() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for file in (".github/workflows/check.yml", ".ci/run"):
        text = (ROOT / file).read_text()
        called = set(re.findall(r"\bmake ([a-z-]+)", text))
        assert {"check", "test-all", "bench"} <= called <= targets, file
    for file in ("run", "check"):
        assert os.access(ROOT / ".ci" / file, os.X_OK)


DOCUMENTS = [p for p in texts() if p.suffix == ".md" and not {"templates", "golden"} & set(p.parts)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_of_documents_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_files_named_in_documents_exist(document: Path) -> None:
    folders = "python_impl|mojo_impl|bench|ladder|tests|docs|examples|results"
    text = document.read_text()
    for target in re.findall(rf"`((?:{folders})/[\w./-]*)`", text):
        # A run's own files, such as results/<run>/report.md, are described and not there.
        assert (ROOT / target).exists() or target.startswith("results/"), target


def commands_of(document: Path) -> list[str]:
    """Collect the command lines of a document: its sh blocks, and what stands in backticks."""
    text = document.read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [*lines, *re.findall(r"`((?:make|bench|pixi run|python -m) [^`]*)`", text)]


def assert_command_exists(command: str) -> None:
    words = command.split()
    while "=" in words[0]:  # variables before the command
        words = words[1:]
    program = words[0].removeprefix(".venv/bin/")
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1] in targets
    elif words[:2] == ["pixi", "run"]:
        assert words[2] in tomllib.loads((ROOT / "pixi.toml").read_text())["tasks"]
    elif words[1:2] == ["-m"]:
        module = ROOT / words[2].replace(".", "/")
        assert module.with_suffix(".py").exists() or (module / "__main__.py").exists()
    elif program == "bench":
        assert_bench_knows(words[1:])
    elif words[:2] == ["mojo", "build"]:
        assert (ROOT / next(word for word in words if word.endswith(".mojo"))).exists()
    else:
        assert program in SHELL, command


@cache
def help_of(subcommand: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "bench", *subcommand.split(), "--help"],
        cwd=ROOT, env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def assert_bench_knows(words: list[str]) -> None:
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    subcommand = next((word for word in words[:1] if not word.startswith("-")), "")
    text = help_of(subcommand)
    for option in options:
        assert re.search(rf"(?<!\S){option}\b", text), option


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_commands_of_documents_exist(document: Path) -> None:
    for command in commands_of(document):
        if command and not command.startswith("#"):
            assert_command_exists(command)


def test_readme_code_runs() -> None:
    """The example in Python, with fewer epochs."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        short = re.sub(r"max_epochs=\d+", "max_epochs=1", block)
        done = subprocess.run(
            [sys.executable, "-c", short], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_tests_repeat_the_same_examples_unless_asked_to_explore() -> None:
    assert settings.get_profile("project").derandomize
