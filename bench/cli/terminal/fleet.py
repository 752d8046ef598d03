"""What a merge, a query and a fleet's pages come to, on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text

from bench.cli.terminal.text import console, show_lines, show_table
from bench.model.numbers import count_text
from bench.model.tables import Table
from bench.report.elements.files import ReportPaths
from bench.report.fleet.machines import Fleet
from bench.report.fleet.page import notices, over_machines, verdicts_text
from bench.storage.archive.merge import Merged
from bench.storage.archive.query import Answer, as_csv, as_json, as_texts
from bench.storage.limits import plain

MOST_NAMED = 20
"""Runs that were kept out, by name; of more their number."""
MOST_SHOWN = 100
"""Rows of an answer on a terminal; csv and json write all."""


@contextmanager
def merging() -> Iterator[Callable[[int, int], None]]:
    """Show how far a merge is, where somebody looks on."""
    errors = Console(stderr=True)
    with Progress(
        TextColumn("reading runs"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    ) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def show_merged(merged: Merged) -> None:
    """Say what went in, what was there, and what was kept out and why."""
    kept_out = len(merged.refused) + len(merged.conflicts)
    show_lines(
        [
            *_named("refused", merged.refused),
            *_named("conflict", merged.conflicts),
            *merged.notes[:MOST_NAMED],
            f"new: {count_text(len(merged.new), 'run')} with {merged.samples} readings; "
            f"already there: {merged.there}; kept out: {kept_out}",
            f"{merged.store} holds {count_text(merged.runs, 'run')} of "
            f"{count_text(merged.machines, 'machine')}",
        ]
    )


def _named(what: str, found: Sequence[tuple[Path, str]]) -> list[str]:
    lines = [
        f"{what}: {reason}" if reason.startswith(str(path)) else f"{what}: {path} {reason}"
        for path, reason in found[:MOST_NAMED]
    ]
    left = len(found) - MOST_NAMED
    return [*lines, f"{what}: {left} more"] if left > 0 else lines


def show_answer(answer: Answer, form: str) -> None:
    """Print an answer: `table`, `csv` or `json`."""
    if form != "table":
        for line in (as_csv if form == "csv" else as_json)(answer):
            sys.stdout.write(f"{line}\n")
        return
    heads = [" ".join(plain(head).split()) for head in answer.heads]
    texts = as_texts(answer)
    rows = list(islice(texts, MOST_SHOWN))
    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    one_line = not any("\n" in cell for row in rows for cell in row)
    if one_line and sum(widths) + len(widths) + 1 <= console().width:
        show_table(Table(heads, rows), tight=True)
    else:
        console().print(_records(heads, rows))
    more = sum(1 for _ in texts)
    if more:
        show_lines(
            [f"{more} more rows than {MOST_SHOWN}; --format csv or --format json writes all"]
        )


def _records(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> RichTable:
    """Lay out what is too wide for a table: row by row, a line for each column."""
    table = RichTable.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold", max_width=max(1, console().width // 2))
    table.add_column(overflow="fold")
    for number, row in enumerate(rows, start=1):
        table.add_row(Text(f"row {number}"), "")
        for head, cell in zip(heads, row, strict=True):
            table.add_row(Text(f"  {head}"), Text(cell))
    return table


def show_fleet(fleet: Fleet, paths: ReportPaths) -> None:
    """Print counts over machines, and where the page is."""
    over = over_machines(fleet)
    # Of verdicts only the marks, so that a line fits into eighty columns.
    heads = [head.split()[0] if " " in head else head for head in over.heads]
    show_table(Table(heads, over.rows), tight=True)
    count = count_text(len(fleet.machines), "machine")
    conclusion = f"On {count}, {verdicts_text(fleet, fleet.cells)}."
    show_lines([conclusion, *notices(fleet), f"Report: {paths.html}"])
