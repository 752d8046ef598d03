"""What would change a conclusion: facts that hold for any results, and their sentences. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from bench.analysis.run_analysis import RunAnalysis
from bench.model.arithmetic import flops
from bench.model.cases import case_text
from bench.model.numbers import count_text, listing, ratio_text
from bench.model.records import PHASES, Case, DType, Estimate, Result, Run
from bench.report.elements.scaling_text import flop_text
from bench.report.elements.sentences import MARKS, implementation_name, slot_names

DECIDED = ("FASTER", "SLOWER", "EQUIVALENT")
MOST_NAMED = 3
"""Unresolved cases that are named; of more, their number."""


@dataclass(frozen=True, slots=True)
class Closest:
    """The difference that is nearest to none, of those that were found."""

    case: Case
    ratio: Estimate
    slower: str  # who lost
    gain: float  # by which part it would have to become faster

    def __str__(self) -> str:
        return (
            f"Closest result: {case_text(self.case)}, at {ratio_text(self.ratio)}; {self.slower} "
            f"would need to be {self.gain:.0%} faster to break even"
        )


@dataclass(frozen=True, slots=True)
class Unresolved:
    """The cases that are not settled, and why the first is not."""

    cases: Sequence[Case]
    reason: str

    def __str__(self) -> str:
        names = listing([case_text(case) for case in self.cases[:MOST_NAMED]])
        left = len(self.cases) - MOST_NAMED
        more = f" and {left} more" if left > 0 else ""
        about = self.reason if len(self.cases) == 1 else f"of the first, {self.reason}"
        return f"Not settled ({MARKS['UNRESOLVED']}): {names}{more}; {about}"


@dataclass(frozen=True, slots=True)
class Invalid:
    """How many cases are INVALID."""

    count: int

    def __str__(self) -> str:
        is_or_are, has = ("is", "has") if self.count == 1 else ("are", "have")
        return (
            f"{count_text(self.count, 'case')} {is_or_are} {MARKS['INVALID']} INVALID and {has} no "
            "result"
        )


@dataclass(frozen=True, slots=True)
class Scope:
    """What the verdicts hold for, and what was not measured."""

    flops: tuple[int, int]  # of a batch's forward: least and most
    versions: Sequence[str]  # implementations with their BLAS, where known
    missing: Sequence[str]  # dtypes, phases, threads

    def __str__(self) -> str:
        ends = " to ".join(dict.fromkeys(map(flop_text, self.flops)))
        versions = listing(self.versions) if self.versions else "these versions"
        missing = f"; not measured: {listing(self.missing)}" if self.missing else ""
        return (
            f"Verdicts hold for networks of {ends} in a batch's forward, on this machine, and for "
            f"{versions}{missing}"
        )


Fact = Closest | Unresolved | Invalid | Scope


def would_change(analysis: RunAnalysis) -> list[Fact]:
    """Find what would change the verdicts of a run; nothing where there are none."""
    run = analysis.run
    judged = [result for result in analysis.results if result.verdict is not None]
    found = (_closest(run, judged), _open(judged), _invalid(judged), _scope(run, judged))
    return [fact for fact in found if fact is not None]


def _of_kinds(judged: Sequence[Result], *kinds: str) -> list[Result]:
    return [one for one in judged if one.verdict and one.verdict.kind in kinds]


def _closest(run: Run, judged: Sequence[Result]) -> Closest | None:
    different = [
        (result.ratio.estimate, result.case)
        for result in _of_kinds(judged, "FASTER", "SLOWER")
        if result.ratio
    ]
    if not different:
        return None
    ratio, case = min(different, key=lambda pair: abs(math.log(pair[0].point)))
    slower = slot_names(run)[0 if ratio.point > 1 else 1]
    return Closest(case, ratio, slower, max(ratio.point, 1 / ratio.point) - 1)


def _open(judged: Sequence[Result]) -> Unresolved | None:
    found = [(one.case, one.verdict) for one in _of_kinds(judged, "UNRESOLVED") if one.verdict]
    return Unresolved([case for case, _ in found], found[0][1].reason) if found else None


def _invalid(judged: Sequence[Result]) -> Invalid | None:
    found = _of_kinds(judged, "INVALID")
    return Invalid(len(found)) if found else None


def _scope(run: Run, judged: Sequence[Result]) -> Scope | None:
    cases = [result.case for result in _of_kinds(judged, *DECIDED)]
    if not cases:
        return None
    work = [flops(Case("forward", case.problem)) for case in cases]
    dtypes, phases = {case.problem.dtype for case in cases}, {case.phase for case in cases}
    missing: list[str] = [dtype for dtype in get_args(DType) if dtype not in dtypes]
    missing += [phase for phase in PHASES if phase not in phases]
    missing += ["more threads"] if all(case.problem.threads == 1 for case in cases) else []
    versions = []
    for spec in (run.baseline, *run.candidates):
        facts = run.environment.workers.get(spec.label, {}).get("facts", {})
        blas = facts.get("blas") if isinstance(facts, dict) else None
        if isinstance(blas, str):
            versions.append(f"{implementation_name(spec.implementation)} with {blas}")
    return Scope((min(work), max(work)), versions, missing)
