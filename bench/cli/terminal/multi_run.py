"""Shows on the terminal what several stored runs say: each machine's ratios, run by run."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cli.terminal.console import show_lines
from bench.cli.terminal.plain import case_lines, line
from bench.model.cases import case_id
from bench.model.numbers import count_text
from bench.report.elements.case_names import CaseNames
from bench.report.elements.files import ReportPaths
from bench.report.multi_run.page import cell
from bench.report.multi_run.runs import Group, cases_of
from bench.storage.dates import date_text


def show_several(groups: Sequence[Group], paths: ReportPaths, *, plain: bool = False) -> bool:
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
        cases = cases_of(group.runs)
        names = CaseNames.of(cases)
        for case in cases:
            found.append(f"  {case.phase}, {names.network(case.problem)}")
            found += [
                f"    {date_text(one.run)}  {cell(one, case)}  {one.run.name}"
                for one in group.runs
                if case_id(case) in one.results
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
