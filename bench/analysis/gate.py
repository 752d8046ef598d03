"""A gate for changes: may this run pass beside the stored run it is held against? Pure.

Both questions are one: does the change of a candidate's ratio lie above an edge? The edge is below
1 where a slowdown is to be kept out, above 1 where a gain is claimed. In words: docs/method.md.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from bench.analysis.comparable import Differences
from bench.analysis.comparison import Change, corrected
from bench.analysis.judge import judge
from bench.analysis.run_analysis import RunAnalysis
from bench.model.records import Case, Phase

Answer = Literal["PASS", "FAIL", "UNRESOLVED"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)
PASSED, FAILED, UNRESOLVED = 0, 1, 2
"""Exit codes; those for what could not be judged are the command's own."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What is demanded of every case; a fraction, 0.05 is five percent."""

    kind: Literal["max-slowdown", "min-speedup"]
    fraction: float

    @property
    def edge(self) -> float:
        """The logarithm of the change of the ratio that every case must stay above."""
        edge = math.log1p(self.fraction)
        return edge if self.kind == "min-speedup" else -edge


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the gate says of one change."""

    change: Change
    answer: Answer
    reason: str


def gate(found: Sequence[Change], limit: Limit) -> tuple[Outcome, ...]:
    """Tell of each change whether it lies above the edge of the limit.

    PASS: the whole interval lies above it. FAIL: the whole interval lies below it, also after
    Holm's correction over all changes, as a single FAIL fails the whole; that all must PASS needs
    no correction. Either way the change must lie farther from the edge than the noise floor.
    """
    p_values = corrected(found, limit.edge)
    return tuple(
        _outcome(change, p_holm, limit.edge, len(found))
        for change, p_holm in zip(found, p_values, strict=True)
    )


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Sum up: one FAIL fails, else one UNRESOLVED leaves it open, else it is passed."""
    answers = {outcome.answer for outcome in outcomes}
    if "FAIL" in answers:
        return FAILED
    return UNRESOLVED if "UNRESOLVED" in answers or not answers else PASSED


def obstacles(
    a: RunAnalysis, b: RunAnalysis, found: Differences, phases: Collection[Phase]
) -> tuple[str, ...]:
    """Say why run B may not be held against run A; empty if it may.

    Stricter than a comparison that a person reads: the baseline must be the same, both runs must
    have come to their end, and no case of A may be missing in B or be INVALID in either.
    """
    reasons = [
        *found.obstacles,
        *(f"the baseline itself changed, {one}" for one in found.of_baseline),
    ]
    for letter, side in (("A", a), ("B", b)):
        if side.run.source != "bench":
            reasons.append(f"{letter} was imported from {side.run.source} and gives no verdicts")
        elif side.run.status != "finished":
            reasons.append(f"{letter} did not come to its end: its status is {side.run.status}")
    gated = {name: case for name, case in a.cases.items() if case.phase in phases}
    if not gated:
        reasons.append(f"A has no case of {', '.join(phases)}")
    reasons += [f"{name} is in A and not in B" for name in gated if name not in b.cases]
    reasons += [
        f"{name} is INVALID in {letter}: {side.readings[name].invalid}"
        for name in gated
        for letter, side in (("A", a), ("B", b))
        if name in side.cases and side.readings[name].invalid
    ]
    reasons += [
        f"{name} has {label} in A and not in B"
        for label, mine in a.each.items()
        for name in gated
        if label in b.each and name in mine and name in b.cases and name not in b.each[label]
    ]
    slots = {spec.label for spec in b.run.plan.workers}
    reasons += [
        f"the candidate {spec.label} is in A and not in B"
        for spec in a.run.candidates
        if spec.label not in slots
    ]
    return tuple(dict.fromkeys(reasons))


def new_cases(a: RunAnalysis, b: RunAnalysis, phases: Collection[Phase]) -> list[Case]:
    """List the cases that only B has: nothing holds them yet."""
    return [c for name, c in b.cases.items() if name not in a.cases and c.phase in phases]


def _outcome(change: Change, p_holm: float | None, edge: float, cells: int) -> Outcome:
    shift = change.shift
    if p_holm is None or shift is None:
        return Outcome(change, "UNRESOLVED", change.invalid or change.lacking)
    judgement = judge(shift, change.floor, p_holm, mark=edge)
    if "floor" in judgement.obstacles:
        floor_text = f"the noise floor of {math.expm1(change.floor):.1%}"
        return Outcome(change, "UNRESOLVED", f"it lies nearer to the limit than {floor_text}")
    if "interval" in judgement.obstacles:
        return Outcome(change, "UNRESOLVED", "its interval includes the limit")
    if shift.low > edge:  # that all must PASS needs no correction
        return Outcome(change, "PASS", "its whole interval keeps the limit")
    if judgement.answer == "below":
        return Outcome(change, "FAIL", "its whole interval lies beyond the limit")
    return Outcome(
        change,
        "UNRESOLVED",
        "its whole interval lies beyond the limit, but not after Holm's correction over "
        f"{cells} cases",
    )
