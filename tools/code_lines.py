"""Counts lines of code: what is neither blank, nor comment, nor docstring. Pure but for reading."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

_STRING = re.compile(r'^[ \t]*"""(?:.|\n)*?"""[ \t]*$', re.MULTILINE)
_SKIPPED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def count(path: Path) -> int:
    """Count the lines of code of a file in Python or Mojo.

    Raises:
        ValueError: It is neither.
    """
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return python_lines(source)
    if path.suffix == ".mojo":
        return mojo_lines(source)
    raise ValueError(f"{path.name}: only .py and .mojo are counted")


def python_lines(source: str) -> int:
    """Count the lines that hold a token of code; a string that is a statement is a docstring."""
    docs: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docs.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _SKIPPED:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docs)


def mojo_lines(source: str) -> int:
    """Count the lines that hold code, by form: Mojo's own parser cannot be asked."""
    bare = _STRING.sub("", source).splitlines()
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in bare)
