"""Writes lines and tables on the terminal. Light: what prints little starts at once."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable
from typing import IO, TextIO, cast

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table as RichTable
from rich.text import Text

from bench.model.registry import VARIANTS, missing
from bench.model.tables import Table
from bench.storage.limits import plain

WIDTH_OF_FILES = 160
"""Columns where there is no terminal: nothing is cut off in a file or a pipe."""

WORDS = (
    *("case", "network", "worker", "problem", "worst tensor", "parity", "verdict", "variant"),
    *("what it is", "here"),
)
"""Heads of columns that hold words."""


def console(file: TextIO | None = None, *, plain: bool = False) -> Console:
    """Return a console on a stream, standard output by default; a plain one is for logs."""
    file = file or sys.stdout
    if plain:
        from bench.cli.terminal.plain import PlainText  # it brings what judges runs

        return Console(
            file=cast("IO[str]", PlainText(file)), width=WIDTH_OF_FILES, force_terminal=False
        )
    return Console(file=file, width=None if file.isatty() else WIDTH_OF_FILES, highlight=False)


def show_table(table: Table, *, tight: bool = False) -> None:
    """Print a table: columns of words to the left, of numbers to the right.

    A tight one has a space between columns, and only its first gives way where it is narrow.
    """
    padding = 0 if tight else (0, 1, 0, 0)
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=padding, pad_edge=not tight)
    for place, head in enumerate(table.heads):
        justify: JustifyMethod = "left" if head in WORDS else "right"
        kept = tight and place > 0
        drawn.add_column(Text(head), justify=justify, overflow="fold", no_wrap=kept)
    for row in table.rows:
        drawn.add_row(*(Text(plain(cell)) for cell in row))
    console().print(drawn)


def show_lines(lines: Iterable[str], *, whole: bool = False) -> None:
    """Print lines of plain text: broken between words on a terminal, unless they are to be whole.

    In a file or a pipe they always are.
    """
    out = console()
    for line in lines:
        text = plain(line)
        parts = [text] if whole or not out.is_terminal else _folded(text, out.width)
        for part in parts:
            out.print(Text(part), soft_wrap=True)


def show_variants() -> None:
    """Print the variants of the ladder in order, and of those that cannot run here why."""
    lines = []
    for variant in VARIANTS.values():
        words = missing(variant).partition(": ")[2]
        lines.append((variant.name, variant.text, words or "installed"))
    show_table(Table(("variant", "what it is", "here"), lines))


def _folded(line: str, width: int) -> list[str]:
    """Break a line between words, so that it fits; a longer word, such as a path, stays whole."""
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    ) or [""]
