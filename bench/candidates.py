"""Which candidate of a run is spoken of where one must be chosen. Pure.

A run may have many candidates. What compares two sides speaks of one: `mojo` where it is among
them, else the first. What speaks of all names each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bench.records import Result, Run, WorkerSpec

MAIN = "mojo"
"""The implementation that a report is about, where a run has it."""


def candidates_of(run: Run) -> list[WorkerSpec]:
    """List the candidates of a run, in the order of its plan."""
    return [spec for spec in run.plan.workers if spec.role == "candidate"]


def main_candidate(run: Run) -> WorkerSpec | None:
    """Choose the candidate that is spoken of where one must be; None where there is none."""
    found = candidates_of(run)
    return next((spec for spec in found if spec.implementation == MAIN), next(iter(found), None))


def main_results(run: Run, results: Iterable[Result]) -> list[Result]:
    """Take the results of the candidate that is spoken of; all, where they name none."""
    main = main_candidate(run)
    return [one for one in results if main is None or one.candidate in ("", main.label)]


def narrowed(run: Run, candidate: WorkerSpec) -> Run:
    """Leave one candidate in a run, beside both seats of its baseline."""
    workers = tuple(
        spec for spec in run.plan.workers if spec.role != "candidate" or spec == candidate
    )
    return replace(run, plan=replace(run.plan, workers=workers))
