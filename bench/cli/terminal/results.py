"""Shows on the terminal what a command came to; tells whether something is wrong in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.run_analysis import RunAnalysis, analyse_stored
from bench.cli.terminal.console import UNFINISHED, show_below_one, show_results, show_roofline
from bench.cli.terminal.plain import run_lines
from bench.cli.terminal.text import show_lines, show_table
from bench.model.errors import UsageError
from bench.model.numbers import duration_text
from bench.model.records import Fault, Plan, Result
from bench.model.tables import Table
from bench.report.elements.sentences import conclude
from bench.report.sections.diagnostics import disturbed, shortfalls
from bench.report.sections.provenance import roofline_of
from bench.storage import runs as store

if TYPE_CHECKING:
    from bench.measuring.doctor import Finding

GRADES = {"good": "ok  ", "note": "note", "bad": "BAD "}


def show_run(path: Path, analysis: RunAnalysis | None = None, *, plain: bool = False) -> bool:
    """Print the short report of a run; tell whether a case is INVALID or a rate impossible.

    Args:
        path: Its folder.
        analysis: The run, where it was read already.
        plain: Whether it is for a log.
    """
    analysis = analysis or analyse_stored(store.load(path))
    errors = roofline_of(analysis).errors
    told = [*errors, *disturbed(analysis), *shortfalls(analysis)]
    report = str(path / "report.html")
    if plain:
        notes = [*analysis.notes, *UNFINISHED.get(analysis.run.status, ()), *told]
        show_lines(run_lines(analysis, notes, report), whole=True)
    else:
        show_results(analysis)
        show_lines(told)
        show_below_one(analysis)
        sentence = str(conclude(analysis.run, analysis.of_main.results))
        show_lines(["", sentence, "", f"Report: {report}"])
    return bool(errors) or _has_invalid(analysis.results)


def show_roofline_of(path: Path) -> bool:
    """Print how near a run came to the machine's peak; tell whether something is wrong in it."""
    analysis = analyse_stored(store.load(path))
    found = roofline_of(analysis)
    if not found.groups:
        raise UsageError(f"{path} holds no probes of the machine; `bench roofline` takes them")
    show_roofline(found)
    show_lines(["", f"Report: {path / 'report.html'}"])
    return bool(found.errors) or _has_invalid(analysis.results)


def show_plan(plan: Plan, faults: Sequence[Fault]) -> None:
    """Print what a run would do and how long it would take."""
    from bench.measuring.pilot import eta_s  # it brings what measures

    parts = eta_s(plan)
    heads = ("case", "loops", "rounds", "invocations", "round")
    lines = [
        (
            name,
            str(plan.loops[name]),
            str(rounds),
            str(plan.invocations),
            f"{plan.pilot[name].round_ns / 1e6:.1f} ms",
        )
        for name, rounds in plan.rounds.items()
    ]
    show_table(Table(heads, lines))
    total = duration_text(sum(parts.values()))
    text = ", ".join(f"{name} {duration_text(seconds)}" for name, seconds in parts.items())
    show_lines(
        [
            f"{len(plan.rounds)} cases, {plan.invocations} invocations of "
            f"{len(plan.workers)} workers",
            f"about {total}: {text}; checking parity comes before",
            *(f"{fault.case}: {fault.worker}: {fault.reason}" for fault in faults),
        ]
    )


def show_findings(found: Iterable[Finding]) -> None:
    """Print what was found about a machine: the grade, the fact, and below it what to do."""
    from bench.measuring.doctor import worst  # it brings what measures

    found = list(found)
    width = max(len(finding.name) for finding in found)
    for finding in found:
        show_lines([f"{GRADES[finding.grade]}  {finding.name:{width}}  {finding.value}"])
        if finding.advice:
            show_lines([f"{' ' * (width + 8)}{finding.advice}"])
    summary = {
        "good": "Nothing here disturbs a measurement.",
        "note": "Nothing here forbids a measurement; mind the notes.",
        "bad": "Figures taken now would mislead: see what is BAD.",
    }
    show_lines(["", summary[worst(found)]])


def _has_invalid(results: Sequence[Result]) -> bool:
    return any(result.verdict and result.verdict.kind == "INVALID" for result in results)
