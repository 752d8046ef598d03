"""A table of text, and how Markdown shows it. Pure.

HTML is laid out by the templates of a page, the terminal by `bench.cli.terminal.console`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """A plain table; the first cell of a row names it."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    name: str = ""


def markdown_lines(
    table: Table, *, escape: Callable[[str], str] = str, numbers: bool = False
) -> list[str]:
    """Write a table in Markdown, a line each.

    Args:
        table: The table.
        escape: Writes a cell so that no markup is in it.
        numbers: Whether all columns but the first stand to the right.
    """
    rest = len(table.heads) - 1
    rule = ["---", *(["--:" if numbers else "---"] * rest)]
    rows = ([escape(cell) for cell in row] for row in (table.heads, *table.rows))
    heads, *lines = (f"| {' | '.join(row)} |" for row in rows)
    return [heads, f"| {' | '.join(rule)} |", *lines]
