"""Several runs -> everything their page says, as plain text and charts. No files, no markup."""

from __future__ import annotations

from collections.abc import Sequence

from bench.model.numbers import count_text, listing
from bench.model.records import PHASES
from bench.report.elements.chart import Chart
from bench.report.elements.section import Section
from bench.report.elements.sentences import setting_text, slot_names
from bench.report.multi_run.cells import Row, grid, marks_text
from bench.report.multi_run.charts import history_chart
from bench.report.multi_run.layout import Page
from bench.report.multi_run.rows import case_table
from bench.report.multi_run.runs import Group, Judged, cases_of, columns_of, shared_slots
from bench.storage.dates import date_text


def multi_run_page(groups: Sequence[Group]) -> Page:
    """Say what several runs show: machines side by side, then the history of each."""
    runs = [one for group in groups for one in group.runs]
    baseline, candidate = shared_slots(runs)
    sections = [side_by_side(groups)] if len(groups) > 1 else []
    sections += [
        history(group, number)
        for number, group in enumerate(groups, start=1)
        if len(group.runs) > 1
    ]
    parts = [f"{len(group.runs)} of {group.name}" for group in groups]
    return Page(
        title=f"{baseline} vs {candidate}: several runs",
        conclusion=f"{count_text(len(runs), 'run')}: {listing(parts)}",
        sections=sections,
        machine=setting_text(cases_of(runs)),
        notices=_notices(runs),
        how_to_read=_how_to_read(runs, baseline, candidate),
        cases=case_table(groups),
    )


def side_by_side(groups: Sequence[Group]) -> Section:
    """Set machines beside each other: a row each, of its newest run."""
    newest = [group.runs[-1] for group in groups]
    alike = len({slot_names(one.run) for one in newest}) == 1
    rows = [
        Row(
            group.name,
            f"run {one.run.name}, {date_text(one.run)}"
            + ("" if alike else f", {' over '.join(slot_names(one.run))}"),
            one.cells,
        )
        for group, one in zip(groups, newest, strict=True)
    ]
    return Section(
        "machines",
        "Machines",
        "Machines side by side",
        [
            "Each row is a machine, or the same one with other settings, by its newest run here; "
            "each cell is that machine's own ratio. What differs between two rows may be the "
            "processor, the system or the versions: nothing here says which."
        ],
        grid=grid("Machines side by side", "machine", columns_of(newest), rows),
    )


def history(group: Group, number: int) -> Section:
    """Tell how the ratios of one machine's runs went."""
    rows = [Row(one.run.name, date_text(one.run), one.cells) for one in group.runs]
    charts = [history_chart(group, number, phase) for phase in PHASES]
    name = f"History: {group.name}"
    return Section(
        f"history-{number}",
        f"History {number}" if number > 1 else "History",
        name,
        [f"{count_text(len(group.runs), 'run')}, the oldest first."],
        charts=[chart for chart in charts if isinstance(chart, Chart)],
        grid=grid(name, "run", columns_of(group.runs), rows),
        points=[
            f"{name}, compared with the run before it: "
            + "; ".join(f"{one.name}: {one.a} before, {one.b} now" for one in found)
            for name, found in group.changed
        ],
    )


def _how_to_read(runs: Sequence[Judged], baseline: str, candidate: str) -> list[str]:
    lines = [
        f"The ratio is {baseline}'s time over {candidate}'s, both from one run: above 1 "
        f"{candidate} is faster, below 1 {baseline} is. Beside or below it is its 95 % interval. "
        "No ratio is formed between runs, and none between machines.",
        f"{marks_text()}: the verdict of that run alone.",
        "Runs share a history if all that is on record of machine, settings and data is the same; "
        "versions, commits and compiler flags may differ and are listed.",
        "Whether a ratio changed from one run to another is judged by the command bench compare, "
        "with an interval of the change.",
    ]
    if any(len(one.run.candidates) > 1 for one in runs):
        lines.append(
            f"Where a run has several candidates, the charts and the tables by network are about "
            f"{candidate}; the table of every case has all candidates."
        )
    return lines


def _notices(runs: Sequence[Judged]) -> list[str]:
    notices = [f"In reading {one.run.name}: {note}." for one in runs for note in one.notes]
    kinds = {
        "Not finished, so judged by what is complete": [
            one for one in runs if one.run.status in ("running", "interrupted")
        ],
        "Made from files of pytest-benchmark, so without intervals and verdicts": [
            one for one in runs if one.run.source != "bench"
        ],
        "With INVALID cases, which have no ratio": [one for one in runs if one.invalid],
    }
    names = {what: [one.run.name for one in found] for what, found in kinds.items()}
    return notices + [f"{what}: {listing(found)}." for what, found in names.items() if found]
