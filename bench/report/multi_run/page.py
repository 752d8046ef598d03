"""Several runs -> everything their page says, as plain text and charts. No files, no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.model.cases import case_id
from bench.model.numbers import DASH, count_text, listing, ratio_text
from bench.model.records import PHASES, Case, Result
from bench.model.tables import Table
from bench.report.elements.case_names import CaseNames
from bench.report.elements.chart import Chart
from bench.report.elements.section import Section
from bench.report.elements.sentences import MARKS, setting_text, slot_names
from bench.report.multi_run.chart import history_chart
from bench.report.multi_run.rows import COLUMNS, RunRow, rows_as_facts, run_rows
from bench.report.multi_run.runs import Group, Judged, cases_of, shared_slots
from bench.storage.dates import date_text

HOW = ("how-to-read", "How to read")
EVERY = ("results", "Every case")


@dataclass(frozen=True, slots=True)
class SeveralPage:
    """What the page of several runs says, top to bottom."""

    title: str
    conclusion: str
    machine: str
    notices: Sequence[str]
    contents: Sequence[tuple[str, str]]  # anchor and name of every section
    how_to_read: Sequence[str]
    sections: Sequence[Section]
    columns: Sequence[str]  # of the table of every case
    shared: Mapping[str, str]  # what all its rows have in common, by column: said once
    rows: Sequence[RunRow]
    facts: Table  # the same, to be laid out without a script


def several_page(groups: Sequence[Group]) -> SeveralPage:
    """Say what several runs show: machines side by side, then the history of each."""
    runs = [one for group in groups for one in group.runs]
    baseline, candidate = shared_slots(runs)
    sections = [side_by_side(groups)] if len(groups) > 1 else []
    sections += [
        history(group, number)
        for number, group in enumerate(groups, start=1)
        if len(group.runs) > 1
    ]
    rows = run_rows(groups)
    shared = {
        name: values.pop()
        for name in COLUMNS
        if name not in ("run", "ratio", "verdict")
        and len(values := {row.names[name] for row in rows}) == 1
    }
    several = any(len(one.run.candidates) > 1 for one in runs)
    parts = [f"{len(group.runs)} of {group.name}" for group in groups]
    return SeveralPage(
        title=f"{baseline} vs {candidate}: several runs",
        conclusion=f"{count_text(len(runs), 'run')}: {listing(parts)}",
        machine=setting_text(cases_of(runs)),
        notices=_notices(runs),
        contents=[
            HOW,
            *((section.anchor, section.short) for section in sections),
            *([EVERY] if rows else []),
        ],
        how_to_read=[
            f"The ratio is {baseline}'s time over {candidate}'s, both from one run: above 1 "
            f"{candidate} is faster, below 1 {baseline} is. In parentheses stands the 95 % "
            "interval. No ratio is formed between runs, and none between machines.",
            f"{', '.join(f'{mark} {kind}' for kind, mark in MARKS.items())}: the verdict that the "
            "run gave by itself.",
            "Runs stand in one history where all that is on record of machine, settings and data "
            "is the same; versions, commits and compiler flags may differ and are told.",
            "Whether a ratio changed from one run to another is judged by the command bench "
            "compare, with an interval of the change.",
            *(
                [
                    "Of a run with several candidates the charts and the tables by network speak "
                    f"of {candidate}; the table of every case has all of them."
                ]
                if several
                else []
            ),
        ],
        sections=sections,
        columns=[name for name in COLUMNS if name not in shared],
        shared=shared,
        rows=rows,
        facts=rows_as_facts(rows),
    )


def side_by_side(groups: Sequence[Group]) -> Section:
    """Set machines beside each other: a row each, of its newest run."""
    newest = [group.runs[-1] for group in groups]
    alike = len({slot_names(one.run) for one in newest}) == 1
    labels = [
        f"{group.name}, run {one.run.name}, {date_text(one.run)}"
        + ("" if alike else f", {' over '.join(slot_names(one.run))}")
        for group, one in zip(groups, newest, strict=True)
    ]
    return Section(
        "machines",
        "Machines",
        "Machines side by side",
        [
            "Each row is a machine, or the same one set otherwise, by its newest run here; each "
            "cell is that machine's own ratio. What differs between two rows may be the "
            "processor, the system or the versions: nothing here says which."
        ],
        tables=_tables("machine", labels, newest),
    )


def history(group: Group, number: int) -> Section:
    """Tell how the ratios of one machine's runs went."""
    labels = [f"{date_text(one.run)} {one.run.name}" for one in group.runs]
    charts = [history_chart(group, number, phase) for phase in PHASES]
    return Section(
        f"history-{number}",
        f"History {number}" if number > 1 else "History",
        f"History: {group.name}",
        [f"{count_text(len(group.runs), 'run')}, the oldest first."],
        charts=[chart for chart in charts if isinstance(chart, Chart)],
        tables=_tables("run", labels, group.runs),
        points=[
            f"{name}, against the run before it: "
            + "; ".join(f"{one.name}: {one.a} before, {one.b} now" for one in found)
            for name, found in group.changed
        ],
    )


def _tables(what: str, labels: Sequence[str], runs: Sequence[Judged]) -> list[Table]:
    """Make a table per phase: a row per run, a column per network."""
    cases = cases_of(runs)
    names = CaseNames.of(cases)
    tables = []
    for phase in PHASES:
        mine = [case for case in cases if case.phase == phase]
        rows = [
            (label, *(cell(one, case) for case in mine))
            for label, one in zip(labels, runs, strict=True)
        ]
        if mine:
            heads = (what, *(names.network(case.problem) for case in mine))
            tables.append(Table(heads, rows, phase))
    return tables


def cell(one: Judged, case: Case) -> str:
    """Write what a run says of a case: mark, ratio and interval."""
    result = one.results.get(case_id(case))
    if result is None:
        return DASH
    mark = MARKS[result.verdict.kind] if result.verdict else ""
    return f"{mark} {_ratio(result)}".strip()


def _ratio(result: Result) -> str:
    if result.ratio is not None:
        return ratio_text(result.ratio.estimate)
    return result.verdict.kind if result.verdict else DASH


def _notices(runs: Sequence[Judged]) -> list[str]:
    notices = [f"In reading {one.run.name}: {note}." for one in runs for note in one.notes]
    unfinished = [one.run.name for one in runs if one.run.status in ("running", "interrupted")]
    if unfinished:
        notices.append(f"Not finished, so judged by what is complete: {listing(unfinished)}.")
    imported = [one.run.name for one in runs if one.run.source != "bench"]
    if imported:
        notices.append(
            f"Made from files of pytest-benchmark, so without intervals and verdicts: "
            f"{listing(imported)}."
        )
    invalid = [one.run.name for one in runs if one.invalid]
    if invalid:
        notices.append(f"With cases that are INVALID, and have no ratio: {listing(invalid)}.")
    return notices
