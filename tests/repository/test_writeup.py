"""Tests of the write-up: its excerpts and figures are those of the sources and the stored runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from bench.model.errors import UsageError
from bench.model.paths import PROJECT
from tools.code_lines import count, mojo_lines, python_lines
from tools.excerpts import beside, excerpt
from tools.excerpts import fill as fill_excerpts
from tools.writeup import PAGE, PROGRAMS, fill

PYTHON = '''\
import x


class Net:
    """Doc."""

    @property
    def size(self) -> int:
        """Tell.

        At length.
        """
        return 1

    def run(
        self,
        a: int,
    ) -> str:
        """Doc."""

        return "# not a comment"

    # A comment of what follows.
    def runs(self) -> None:
        pass


def run() -> None:
    pass
'''
MOJO = '''\
"""About."""
from a import b


struct Net[dt: DType](Movable):
    """Doc."""

    var x: Int
    """A field."""

    def run[
        width: Int
    ](
        mut self,
    ) raises:
        """Doc.

        More.
        """
        # why
        self.x = 1

        self.x = 2


def run():
    pass
'''


def test_an_excerpt_is_the_code_without_docstrings_moved_to_the_left() -> None:
    assert excerpt(PYTHON, "Net.run") == (
        'def run(\n    self,\n    a: int,\n) -> str:\n\n    return "# not a comment"'
    )
    assert excerpt(PYTHON, "Net.size") == "@property\ndef size(self) -> int:\n    return 1"
    assert excerpt(PYTHON, "run") == "def run() -> None:\n    pass"
    assert excerpt(MOJO, "Net.run") == (
        "def run[\n    width: Int\n](\n    mut self,\n) raises:\n    # why\n    self.x = 1\n\n"
        "    self.x = 2"
    )
    assert excerpt(MOJO, "Net").startswith("struct Net[dt: DType](Movable):\n\n    var x: Int\n")
    for name in ("ru", "Net.size.x", "net", "Net.x"):
        with pytest.raises(UsageError, match="there is no"):
            excerpt(MOJO, name)


def test_every_function_of_the_network_can_be_cut_out_and_is_python() -> None:
    source = (PROJECT / "python_impl/network.py").read_text()
    tree = ast.parse(source)
    names = [
        f"MLP.{node.name}"
        for owner in tree.body
        if isinstance(owner, ast.ClassDef) and owner.name == "MLP"
        for node in owner.body
        if isinstance(node, ast.FunctionDef)
    ]
    assert "MLP.forward" in names
    for name in names:
        found = ast.parse(excerpt(source, name)).body
        assert [node.name for node in found if isinstance(node, ast.FunctionDef)] == [
            name.removeprefix("MLP.")
        ]


def test_a_page_gets_its_excerpts_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(PYTHON)
    (tmp_path / "b.mojo").write_text(MOJO)
    page = (
        "before\n\n<!-- excerpt: a.py run | b.mojo run -->\nold\n<!-- excerpt: end -->\n\nafter\n"
    )
    filled = fill_excerpts(page, tmp_path)
    assert filled.startswith("before\n\n<!-- excerpt: a.py run | b.mojo run -->\n\n<table>")
    assert filled.endswith("</table>\n\n<!-- excerpt: end -->\n\nafter\n")
    assert "```python\ndef run() -> None:\n    pass\n```" in filled
    assert "```mojo\ndef run():\n    pass\n```" in filled
    assert "old" not in filled
    assert fill_excerpts(filled, tmp_path) == filled
    with pytest.raises(UsageError, match=r"excerpt of c\.py: No such file"):
        beside("c.py run", tmp_path)
    with pytest.raises(UsageError, match=r"excerpt of a\.py: there is no 'walk'"):
        beside("a.py walk", tmp_path)


def test_lines_of_code_are_neither_blank_nor_comment_nor_docstring(tmp_path: Path) -> None:
    assert python_lines(PYTHON) == 14
    assert mojo_lines(MOJO) == 12
    assert python_lines('x = """\n\na\n"""\n# no\n\n"""doc"""\n') == 4
    (tmp_path / "c.txt").write_text("x")
    with pytest.raises(ValueError, match=r"only \.py and \.mojo"):
        count(tmp_path / "c.txt")


def test_the_page_shows_the_sources_and_the_runs_as_they_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert fill(page) == page, "python -m tools.writeup writes it again"
    made = set(re.findall(r"<!-- made: (?!end)(\w+) -->", page))
    assert made >= {"lines", "costs"}
    assert page.count("<!-- excerpt: ") > 16
    with pytest.raises(UsageError, match="nobody makes 'gold'"):
        fill("<!-- made: gold -->\n<!-- made: end -->")


def test_every_program_that_is_counted_is_there() -> None:
    for _, patterns in PROGRAMS:
        for pattern in patterns:
            assert list(PROJECT.glob(pattern)), pattern
