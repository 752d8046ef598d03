"""Shows on the terminal what a command came to; tells whether something is wrong in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import stats, store, wording
from bench.doctor import Finding, worst
from bench.errors import UsageError
from bench.evidence import roofline_of
from bench.records import Result
from bench.screen import (
    show_below_one,
    show_lines,
    show_results,
    show_roofline,
)

GRADES = {"good": "ok  ", "note": "note", "bad": "BAD "}


def show_run(path: Path) -> bool:
    """Print the short report of a run; tell whether a case is INVALID or a rate impossible."""
    stored = store.load(path)
    results = stats.results(stored.run, stored.samples, stored.parity, stored.faults)
    errors = roofline_of(stored, results).errors
    show_results(stored, results)
    show_lines(errors)
    show_below_one(results)
    sentence = wording.conclusion(stored.run, results)
    show_lines(["", sentence, "", f"Report: {path / 'report.html'}"])
    return bool(errors) or _has_invalid(results)


def show_roofline_of(path: Path) -> bool:
    """Print how near a run came to the machine's peak; tell whether something is wrong in it."""
    stored = store.load(path)
    results = stats.results(stored.run, stored.samples, stored.parity, stored.faults)
    found = roofline_of(stored, results)
    if not found.groups:
        raise UsageError(f"{path} holds no probes of the machine; `bench roofline` takes them")
    show_roofline(found)
    show_lines(["", f"Report: {path / 'report.html'}"])
    return bool(found.errors) or _has_invalid(results)


def show_findings(found: Iterable[Finding]) -> None:
    """Print what was found about a machine: the grade, the fact, and below it what to do."""
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
