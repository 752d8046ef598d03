"""What a merge, a query and a fleet's pages come to, on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.cli.terminal.console import show_lines, show_table
from bench.model.numbers import count_text
from bench.model.tables import Table
from bench.report.elements.files import ReportPaths
from bench.report.fleet.page import fleet_page
from bench.report.fleet.summary import Fleet
from bench.storage.archive.merge import Merged
from bench.storage.archive.query import MOST_SHOWN, Answer, as_csv, as_json, as_table

MOST_NAMED = 20
"""Runs that were kept out, by name; of more their number."""


@contextmanager
def merging() -> Iterator[Callable[[int, int], None]]:
    """Show how far a merge is, where somebody looks on."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("reading runs"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def show_merged(merged: Merged) -> None:
    """Say what went in, what was there, and what was kept out and why."""
    show_lines(
        [
            *_named("refused", merged.refused),
            *_named("conflict", merged.conflicts),
            *merged.notes[:MOST_NAMED],
            f"new: {count_text(merged.new, 'run')} with {merged.samples} readings; already there: "
            f"{merged.there}; kept out: {len(merged.refused) + len(merged.conflicts)}",
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
    if form == "table":
        rows, more = as_table(answer)
        show_table(Table(answer.heads, rows))
        if more:
            show_lines(
                [f"{more} more rows than {MOST_SHOWN}; --format csv or --format json writes all"]
            )
        return
    for line in (as_csv if form == "csv" else as_json)(answer):
        sys.stdout.write(f"{line}\n")


def show_fleet(fleet: Fleet, paths: ReportPaths) -> None:
    """Print counts over machines, and where the page is."""
    page = fleet_page(fleet, whole=False)
    # Of verdicts only the marks, so that a line fits into eighty columns.
    heads = [head.split()[0] if " " in head else head for head in page.over.heads]
    show_table(Table(heads, page.over.rows), tight=True)
    show_lines([f"{page.conclusion}.", *page.notices, f"Report: {paths.html}"])
