"""A stored run -> everything a page says, as plain text; the templates only lay it out.

Both pages, HTML and Markdown, are made from the same `Page`. No files, no markup, no escaping.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.cases import file_stem
from bench.conduct import Conduct, conduct_of
from bench.distribution_section import distribution_section
from bench.drawing import Chart
from bench.evidence import (
    Facts,
    Faults,
    Parity,
    Roofline,
    environment_facts,
    fault_facts,
    parity_facts,
    roofline_of,
)
from bench.records import FLOORS, PHASES, Ratio, Result, Run
from bench.roofline_chart import rooflines
from bench.scaling_section import scaling_section
from bench.sections import Section
from bench.store import Stored
from bench.tables import NO_ESTIMATE, rows_of
from bench.wording import (
    DASH,
    GLOSSARY,
    HOW_TO_READ,
    HOW_TO_READ_IMPORTED,
    IMPORTED_NOTICE,
    MARKS,
    PHASE_TEXTS,
    TIMES,
    conclusion_parts,
    count_text,
    interval,
    ratio_text,
    seat_names,
    significant,
    unit_for,
)

BEFORE = (("how-to-read", "How to read"),)
RESULTS = ("results", "Results")
AFTER = (
    ("parity", "Same result?"),
    ("contract", "Contract"),
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
    ("contract.jsonl", "the contract, line by line"),
    ("faults.jsonl", "faults"),
    ("training.npz", "losses and curves"),
    ("results.csv", "the results with all digits"),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A value and its interval, written; `ends` is empty where there is no interval."""

    value: str
    ends: str


@dataclass(frozen=True, slots=True)
class Row:
    """One case in the table of results."""

    anchor: str
    network: str
    baseline: Shown
    candidate: Shown
    ratio: Shown
    mark: str
    verdict: str
    reason: str
    again: Shown


@dataclass(frozen=True, slots=True)
class PhaseTable:
    """One phase: its rows in one unit of time, and what is told of them beneath."""

    name: str
    text: str
    unit: str
    rows: Sequence[Row]
    details: Facts
    mean: str


@dataclass(frozen=True, slots=True)
class Page:
    """All text and charts of a report, top to bottom."""

    title: str
    conclusion: str
    conclusion_by_phase: Sequence[str]
    machine: str
    notices: Sequence[str]
    contents: Sequence[tuple[str, str]]  # anchor and name of every section
    how_to_read: Sequence[str]
    baseline: str
    candidate: str
    phases: Sequence[PhaseTable]
    floors: Facts
    overview: Sequence[Section]  # before the table of results
    more: Sequence[Section]  # after it
    parity: Parity
    same: Sequence[Chart]  # what both came to
    conduct: Conduct
    faults: Faults
    environment: Sequence[Facts]
    glossary: Sequence[tuple[str, str]]
    reproduce: Sequence[Mapping[str, str]]
    files: Sequence[tuple[str, str]]


def make_page(
    stored: Stored,
    results: Sequence[Result],
    table: pd.DataFrame,
    means: Sequence[Ratio],
    charts: Mapping[str, Chart],
    files: Collection[str],
) -> Page:
    """Say everything there is to say of a run.

    Args:
        stored: The run as read from disk.
        results: What `bench.stats` derives from it.
        table: The same as `bench.tables.result_table`.
        means: Geometric mean ratio of each phase.
        charts: By name.
        files: Names of the files that lie beside the page.
    """
    run = stored.run
    baseline, candidate = seat_names(run)
    whole, phases = conclusion_parts(run, results)
    roofline = roofline_of(stored, results)
    overview = [one for one in (_speedup(charts),) if one is not None]
    more = [
        one
        for one in (_roofline(roofline, stored, results), scaling_section(stored, results))
        if one is not None
    ]
    drawn = [*charts.values(), *(chart for one in more for chart in (*one.charts, *one.folded))]
    readings = distribution_section(stored, results, sum(len(chart.svg) for chart in drawn))
    more += [readings] if readings else []
    return Page(
        title=f"{baseline} vs {candidate}: run {run.name}",
        conclusion=whole,
        conclusion_by_phase=phases,
        machine=_machine_line(run),
        notices=[*roofline.errors, *_notices(stored, table)],
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
        ],
        baseline=baseline,
        candidate=candidate,
        phases=[
            _phase(phase, rows, means, baseline, candidate)
            for phase in PHASES
            if len(rows := table[table["phase"] == phase])
        ],
        floors=_floors(table[table["phase"].isin(FLOORS)], baseline, candidate),
        overview=overview,
        more=more,
        parity=parity_facts(run, stored.parity),
        same=_charts(charts, "loss", "curve"),
        conduct=conduct_of(stored, results),
        faults=fault_facts(run, stored.faults, table),
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
    )


def _charts(charts: Mapping[str, Chart], *names: str) -> list[Chart]:
    return [charts[name] for name in names if name in charts]


def _speedup(charts: Mapping[str, Chart]) -> Section | None:
    found = _charts(charts, "map", "speedup", "times")
    return (
        Section("speedup", "Speed-up", "Who is faster, and by how much", charts=found)
        if found
        else None
    )


def _roofline(found: Roofline, stored: Stored, results: Sequence[Result]) -> Section | None:
    if not found.groups:
        return None
    charts, table = rooflines(stored, results)
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
    parts += [f"preset {run.plan.preset}, {count_text(run.plan.invocations, 'invocation')}"]
    return " · ".join(parts)


def _notices(stored: Stored, table: pd.DataFrame) -> list[str]:
    run = stored.run
    notices = [f"In reading this run: {note}." for note in stored.notes]
    if run.source != "bench":
        notices.append(IMPORTED_NOTICE)
    if run.status in ("running", "interrupted"):
        seen = len({sample.invocation for sample in stored.samples})
        notices.append(
            f"This run did not finish ({run.status}): it holds readings of {seen} of "
            f"{count_text(run.plan.invocations, 'planned invocation')}."
        )
    failed = [result for result in stored.parity if not result.ok]
    if failed:
        notices.append(
            f"{count_text(len(failed), 'problem')} of {len(stored.parity)} failed parity: there "
            "the implementations do not compute the same, so no ratio is given."
        )
    if stored.faults:
        notices.append(f"{count_text(len(stored.faults), 'fault')}: see Faults and disturbances.")
    drifting = int((table["drifting"] > 0).sum())
    if drifting:
        notices.append(
            f"In {count_text(drifting, 'case')} readings of some invocation still moved at its "
            "end: see Faults and disturbances."
        )
    return notices


def _phase(
    phase: str, rows: pd.DataFrame, means: Sequence[Ratio], baseline: str, candidate: str
) -> PhaseTable:
    unit, length = unit_for([*rows["baseline_ns"], *rows["candidate_ns"]])
    shown, details = [], []
    for row in rows_of(rows):
        name_parts = [row.network.replace("batch ", "batch\N{NO-BREAK SPACE}")]
        network = " · ".join(name_parts + _what_differs(rows, row))
        shown.append(
            Row(
                anchor=file_stem(row.case),
                network=network,
                baseline=_shown(row, "baseline", length, "_ns"),
                candidate=_shown(row, "candidate", length, "_ns"),
                ratio=_shown(row, "ratio"),
                mark=MARKS.get(row.verdict, ""),
                verdict=row.verdict or DASH,
                reason=row.reason,
                again=_shown(row, "again"),
            )
        )
        details += [
            (
                network,
                name,
                significant(getattr(row, f"{role}_minimum_ns") / length),
                _rate(row, role),
                TIMES.join(str(n or DASH) for n in (row.invocations, row.rounds, row.loops)),
            )
            for role, name in (("baseline", baseline), ("candidate", candidate))
        ]
    heads = (
        "network",
        "implementation",
        f"can run in, {unit}",
        "GFLOP/s",
        TIMES.join(("invocations", "rounds", "repetitions")),
    )
    return PhaseTable(
        name=phase,
        text=PHASE_TEXTS[phase],
        unit=unit,
        rows=shown,
        details=Facts(heads, details),
        mean=_mean_text(means, phase),
    )


def _mean_text(means: Sequence[Ratio], phase: str) -> str:
    found = next((ratio.estimate for ratio in means if ratio.case == phase), NO_ESTIMATE)
    known = math.isfinite(found.low)
    return f"Geometric mean of these ratios: {ratio_text(found)}." if known else ""


def _what_differs(rows: pd.DataFrame, row: Any) -> list[str]:
    """Name a row's dtype and threads where the rows of its table do not share them."""
    parts = [row.dtype] if rows["dtype"].nunique() > 1 else []
    return parts + ([count_text(row.threads, "thread")] if rows["threads"].nunique() > 1 else [])


def _shown(row: Any, name: str, length: float = 1.0, unit: str = "") -> Shown:
    point, low, high = (getattr(row, f"{name}{end}{unit}") for end in ("", "_low", "_high"))
    return Shown(*interval(point, low, high, length, apart=math.nan if unit else 1))


def _rate(row: Any, role: str) -> str:
    """Write GFLOP/s of the matrix products: flops per nanosecond."""
    point, low, high = (getattr(row, f"{role}{end}_ns") for end in ("", "_low", "_high"))
    if not (math.isfinite(point) and point > 0):
        return DASH
    if not (math.isfinite(low) and low > 0):
        return significant(row.flops / point)
    return interval(row.flops / point, row.flops / high, row.flops / low)[0]


def _floors(rows: pd.DataFrame, baseline: str, candidate: str) -> Facts:
    unit, length = unit_for([*rows["baseline_ns"], *rows["candidate_ns"]])
    lines = []
    for row in rows_of(rows):
        cells = [" · ".join([PHASE_TEXTS[row.phase], *_what_differs(rows, row)])]
        for role in ("baseline", "candidate"):
            shown = _shown(row, role, length, "_ns")
            cells.append(f"{shown.value} ({shown.ends})" if shown.ends else shown.value)
        lines.append(cells)
    return Facts(("floor", f"{baseline}, {unit}", f"{candidate}, {unit}"), lines)
