"""A stored run -> everything a page says, as plain text; the templates only lay it out.

Both pages, HTML and Markdown, are made from the same `Page`. No files, no markup, no escaping.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.run_analysis import RunAnalysis
from bench.model.numbers import count_text
from bench.model.records import Run
from bench.model.tables import Table
from bench.report.charts.roofline import rooflines
from bench.report.elements.case_rows import case_rows
from bench.report.elements.chart import Chart
from bench.report.elements.scaling_text import crossover_text
from bench.report.elements.section import Section
from bench.report.elements.sentences import (
    GLOSSARY,
    HOW_TO_READ,
    HOW_TO_READ_IMPORTED,
    IMPORTED_NOTICE,
    conclude,
    machine_text,
    slot_names,
)
from bench.report.sections.breakdown import breakdown_section
from bench.report.sections.conclusion import would_change
from bench.report.sections.costs import cost_section
from bench.report.sections.diagnostics import Diagnostics, diagnostics_of
from bench.report.sections.distribution import distribution_section
from bench.report.sections.ladder import ladder_section
from bench.report.sections.provenance import (
    Faults,
    Parity,
    Roofline,
    environment_facts,
    fault_facts,
    parity_facts,
    roofline_of,
)
from bench.report.sections.results import ResultTable, result_rows
from bench.report.sections.scaling import scaling_section

BEFORE = (("how-to-read", "How to read"),)
RESULTS = ("results", "Results")
AFTER = (
    ("parity", "Same result?"),
    ("fairness", "Fairness"),
    ("faults", "Faults"),
    ("environment", "Environment"),
    ("words", "Words"),
    ("reproduce", "Reproduce"),
)
FILES = (
    ("run.json", "plan and environment"),
    ("samples.jsonl", "every reading"),
    ("samples.jsonl.gz", "every reading, packed"),
    ("parity.jsonl", "every tensor compared"),
    ("contract.jsonl", "the fairness checks"),
    ("faults.jsonl", "faults"),
    ("costs.jsonl", "costs besides speed"),
    ("training.npz", "losses and curves"),
    ("results.csv", "the results with all digits"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """All text and charts of a report, top to bottom."""

    title: str
    conclusion: str
    conclusion_by_phase: Sequence[str]
    machine: str
    changes: Sequence[str]  # what would change the conclusion, a sentence each, no final stop
    notices: Sequence[str]
    contents: Sequence[tuple[str, str]]  # anchor and name of every section
    how_to_read: Sequence[str]
    baseline: str
    candidate: str
    results: ResultTable
    overview: Sequence[Section]  # before the table of results
    more: Sequence[Section]  # after it
    parity: Parity
    same: Sequence[Chart]  # what both came to
    diagnostics: Diagnostics
    faults: Faults
    environment: Sequence[Table]
    glossary: Sequence[tuple[str, str]]
    reproduce: Sequence[Mapping[str, str]]
    files: Sequence[tuple[str, str]]
    cite: str


def make_page(analysis: RunAnalysis, charts: Mapping[str, Chart], files: Collection[str]) -> Page:
    """Say everything there is to say of a run.

    Args:
        analysis: The run, whole.
        charts: By name.
        files: Names of the files that lie beside the page.
    """
    run, of_main = analysis.run, analysis.of_main
    rows = case_rows(run, analysis.results)
    baseline, candidate = slot_names(run)
    whole, phases = conclude(run, of_main.results).parts
    roofline = roofline_of(analysis)
    others = len(run.candidates) - 1
    overview = [one for one in (_speedup(charts),) if one is not None]
    sections = (
        ladder_section(analysis),
        scaling_section(of_main),
        _roofline(roofline, of_main),
        breakdown_section(of_main, charts),
    )
    more = [one for one in sections if one is not None]
    drawn = [*charts.values(), *(chart for one in more for chart in (*one.charts, *one.folded))]
    last = (
        distribution_section(of_main, sum(len(chart.svg) for chart in drawn)),
        cost_section(analysis),
    )
    more += [one for one in last if one is not None]
    return Page(
        title=f"{baseline} vs {candidate}{f' and {others} more' if others else ''}: run {run.name}",
        conclusion=whole,
        conclusion_by_phase=phases,
        machine=_machine_line(run),
        changes=_changes(of_main),
        notices=[*roofline.errors, *_notices(analysis)],
        contents=[
            *BEFORE,
            *((section.anchor, section.short) for section in overview),
            RESULTS,
            *((section.anchor, section.short) for section in more),
            *AFTER,
        ],
        how_to_read=[
            line.format(baseline=baseline, candidate=candidate)
            for line in (HOW_TO_READ if run.source == "bench" else HOW_TO_READ_IMPORTED)
        ]
        + (
            [
                f"Beside {baseline} this run timed {others + 1} implementations. What compares two "
                f"speaks of {candidate}; the ladder and the table of results have all of them."
            ]
            if others
            else []
        ),
        baseline=baseline,
        candidate=candidate,
        results=result_rows(rows, analysis.means, baseline, candidate),
        overview=overview,
        more=more,
        parity=parity_facts(run, analysis.parity),
        same=_charts(charts, "loss", "curve"),
        diagnostics=diagnostics_of(analysis),
        faults=fault_facts(run, analysis.faults, rows),
        environment=environment_facts(run),
        glossary=GLOSSARY,
        reproduce=(
            {
                "text": "Measure again (on another machine the numbers will be others):",
                "command": run.command,
            },
            {
                "text": "Make this page again from the stored readings:",
                "command": f"bench report {shlex.quote(f'results/{run.name}')}",
            },
        ),
        files=[(name, meaning) for name, meaning in FILES if name in files],
        cite=_cite(run),
    )


def _cite(run: Run) -> str:
    """Say what must stand beside a figure of this page, so that others can find and repeat it."""
    software = run.environment.software
    commit = software.get("commit", "")
    state = f", commit {commit}" if commit and not commit.startswith("unavailable") else ""
    return (
        f"python-vs-mojo {software.get('python-vs-mojo', '')}".strip()
        + f"{state}: run {run.name} of {run.started[:10]} on {machine_text(run)} by {run.command}. "
        "Give the ratio with its interval, and the network it is of."
    )


def _changes(analysis: RunAnalysis) -> list[str]:
    """Say where the faster side changes, and what would change the verdicts."""
    changes = [str(fact) for fact in would_change(analysis)]
    crossing = crossover_text(analysis.crossovers, *slot_names(analysis.run))
    return [crossing[0].upper() + crossing[1:], *changes] if changes and crossing else changes


def _charts(charts: Mapping[str, Chart], *names: str) -> list[Chart]:
    return [charts[name] for name in names if name in charts]


def _speedup(charts: Mapping[str, Chart]) -> Section | None:
    found = _charts(charts, "map", "speedup", "times")
    return (
        Section("speedup", "Speed-up", "Who is faster, and by how much", charts=found)
        if found
        else None
    )


def _roofline(found: Roofline, analysis: RunAnalysis) -> Section | None:
    if not found.groups:
        return None
    charts, table = rooflines(analysis)
    return Section(
        "roofline",
        "Percent of peak",
        "Percent of the machine's peak",
        [found.text],
        charts=charts,
        tables=[found.table, table],
        points=found.limits,
    )


def _machine_line(run: Run) -> str:
    machine = run.environment.machine
    versions = dict(run.environment.software)
    for described in run.environment.workers.values():
        found = described.get("versions")
        versions |= found if isinstance(found, dict) else {}
    parts = [str(machine[key]) for key in ("cpu", "architecture", "system") if key in machine]
    named = (("python", "Python"), ("numpy", "NumPy"), ("mojo", "Mojo"))
    parts += [f"{name} {versions[key]}" for key, name in named if key in versions]
    parts += [f"{run.started[:19].replace('T', ' ')} UTC"]
    parts += [f"preset {run.plan.request.preset}, {count_text(run.plan.invocations, 'invocation')}"]
    return " · ".join(parts)


def _notices(analysis: RunAnalysis) -> list[str]:
    run = analysis.run
    several = len(run.candidates) > 1
    notices = [f"In reading this run: {note}." for note in analysis.notes]
    if run.source != "bench":
        notices.append(IMPORTED_NOTICE)
    if run.status in ("running", "interrupted"):
        seen = len({sample.invocation for sample in analysis.samples})
        notices.append(
            f"This run did not finish ({run.status}): it holds readings of {seen} of "
            f"{count_text(run.plan.invocations, 'planned invocation')}."
        )
    failed = [result for result in analysis.parity if not result.ok]
    if failed:
        what = "comparison" if several else "problem"
        notices.append(
            f"{count_text(len(failed), what)} of {len(analysis.parity)} failed parity: there "
            "the implementations do not compute the same, so no ratio is given."
        )
    if analysis.faults:
        notices.append(f"{count_text(len(analysis.faults), 'fault')}: see Faults and disturbances.")
    drifting = sum(result.drifting > 0 for result in analysis.results)
    if drifting:
        what = "comparison" if several else "case"
        notices.append(
            f"In {count_text(drifting, what)} readings of some invocation still moved at its "
            "end: see Faults and disturbances."
        )
    return notices
