"""Shows on the terminal what several stored runs say: each machine's ratios, run by run."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cli.terminal.plain import case_lines, line
from bench.cli.terminal.text import show_lines
from bench.model.numbers import count_text
from bench.report.elements.files import ReportPaths
from bench.report.multi_run.cells import namer
from bench.report.multi_run.runs import Group, columns_of
from bench.storage.dates import date_text


def show_multi_run(groups: Sequence[Group], paths: ReportPaths, *, plain: bool = False) -> bool:
    """Print the ratios of several runs; tell whether a case of one is INVALID.

    Args:
        groups: The runs by machine.
        paths: Their pages.
        plain: Whether it is for a log.
    """
    show_lines(_plain(groups, paths) if plain else _lines(groups, paths), whole=plain)
    return any(one.invalid for group in groups for one in group.runs)


def _lines(groups: Sequence[Group], paths: ReportPaths) -> list[str]:
    found: list[str] = []
    for group in groups:
        found += [f"{group.name}: {count_text(len(group.runs), 'run')}"]
        columns = columns_of(group.runs)
        text = namer(columns)
        for column in columns:
            found.append(f"  {column.phase}, {text(column)}")
            found += [
                f"    {date_text(one.run)}  {one.cells[column]}  {one.run.name}"
                for one in group.runs
                if column in one.cells
            ]
        found.append("")
    return [
        *found,
        "Each ratio is a run's own; `bench compare A B` judges how it changed between two.",
        f"Report: {paths.html}",
    ]


def _plain(groups: Sequence[Group], paths: ReportPaths) -> list[str]:
    found = []
    for number, group in enumerate(groups, start=1):
        found.append(line("machine", {"number": number, "name": group.name}))
        for one in group.runs:
            head = {"machine": number, "run": one.run.name}
            found.append(line("run", {**head, "started": one.run.started}))
            found += case_lines(one.run, one.all, head)
    return [*found, line("report", {"path": paths.html})]
