"""All readings of a case in the order they were taken, and which cases tell most. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.analysis.intervals import Floats
from bench.model.cases import case_id, case_text
from bench.model.records import PHASES, Case, Result, Run, Sample

Role = Literal["baseline", "again", "candidate"]
ROLES: tuple[Role, ...] = ("baseline", "again", "candidate")
FENCE = 6.0
"""How many distances between quartiles, on a log scale, a reading may lie beyond them before it
is drawn at the edge: what is usual stays readable beside what is not."""
LEAST_FENCE = math.log(1.02)


@dataclass(frozen=True, slots=True)
class Series:
    """What one slot read of a case, in order; arrays of one length."""

    role: Role
    places: NDArray[np.int64]  # among all readings of the case
    times: Floats  # nanoseconds of one repetition
    warmup: NDArray[np.bool_]

    @property
    def counted(self) -> Floats:
        """The times without warm-ups."""
        return self.times[~self.warmup]


@dataclass(frozen=True, slots=True)
class History:
    """All readings of one case in the order of taking; of several candidates, the first's."""

    case: Case
    result: Result
    series: Sequence[Series]  # only of slots that read something besides warm-ups
    starts: Sequence[int]  # the first place of every invocation

    @property
    def count(self) -> int:
        """How many readings there are, warm-ups among them."""
        return sum(len(one.places) for one in self.series)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A case and why it is shown before others; the reason is empty where it is not."""

    history: History
    reason: str


def histories_of(
    run: Run, samples: Iterable[Sample], results: Sequence[Result]
) -> tuple[History, ...]:
    """Sort all readings of the phases by case, in the order of the plan.

    Readings of invocations that were cut short, and of cases that are INVALID, are among them:
    they were taken.
    """
    slots = {spec.role: spec.label for spec in reversed(run.plan.workers)}
    roles = {label: role for role, label in slots.items()}
    by_case: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.worker in roles:
            by_case.setdefault(sample.case, []).append(sample)
    found: dict[Case, History] = {}
    for result in results:
        case = result.case
        if case.phase in PHASES and case not in found and (mine := by_case.get(case_id(case))):
            mine.sort(key=lambda one: (one.invocation, one.at_ns, one.round, one.position))
            series = [_series(role, mine, slots[role]) for role in ROLES if role in slots]
            shown = [one for one in series if len(one.counted)]
            numbers = [sample.invocation for sample in mine]
            changes = [new != old for old, new in pairwise(numbers)]
            starts = [0, *(place + 1 for place, new in enumerate(changes) if new)]
            if shown:
                found[case] = History(case, result, shown, starts)
    return tuple(found.values())


def _series(role: Role, samples: Sequence[Sample], label: str) -> Series:
    mine = [(place, one) for place, one in enumerate(samples) if one.worker == label]
    return Series(
        role,
        np.array([place for place, _ in mine], np.int64),
        np.array([one.elapsed_ns / one.loops for _, one in mine], np.float64),
        np.array([one.warmup for _, one in mine], np.bool_),
    )


def fences(times: Floats) -> tuple[float, float]:
    """Return the ends between which readings are drawn where they are.

    They reach six distances between the quartiles beyond these, in logarithms, and two percent at
    least, but not beyond the readings themselves.
    """
    logs = np.log(times)
    first, third = np.quantile(logs, (0.25, 0.75))
    reach = max(FENCE * (third - first), LEAST_FENCE)
    low, high = np.exp(first - reach), np.exp(third + reach)
    return float(max(low, times.min())), float(min(high, times.max()))


def in_order_of_telling(histories: Sequence[History]) -> list[Chosen]:
    """Put the cases that tell most first.

    The case with the widest interval of the ratio, the one with the most drifting invocations, of
    each phase the ones with the shortest and the longest time; then all others, as they come.
    """
    reasons: dict[Case, list[str]] = {}

    def name(case: Case, reason: str) -> None:
        reasons.setdefault(case, []).append(reason)

    wide = [(width, one) for one in histories if (width := _width(one.result)) > 0]
    if wide:
        name(max(wide, key=_first)[1].case, "the widest interval of the run")
    drifting = max(histories, key=lambda one: one.result.drifting, default=None)
    if drifting and drifting.result.drifting:
        name(drifting.case, "the most drifting invocations of the run")
    for phase in PHASES:
        mine = [(_time(one), one) for one in histories if one.case.phase == phase]
        if len(mine) > 1:
            name(min(mine, key=_first)[1].case, f"the shortest {phase} of the run")
            name(max(mine, key=_first)[1].case, f"the longest {phase} of the run")
    known = {one.case: one for one in histories}
    first = [Chosen(known[case], ", ".join(why)) for case, why in reasons.items()]
    return first + [Chosen(one, "") for one in histories if one.case not in reasons]


def _first(pair: tuple[float, Any]) -> float:
    return pair[0]


def _width(result: Result) -> float:
    """Return how wide the interval of the ratio is, in logarithms; 0 where there is none."""
    found = result.ratio.estimate if result.ratio else None
    if found is None or not (math.isfinite(found.low) and math.isfinite(found.high)):
        return 0.0
    return math.log(found.high / found.low)


def _time(history: History) -> float:
    return float(np.median(history.series[0].counted))


def texts(histories: Iterable[History]) -> list[str]:
    """Name the cases of histories for people."""
    return [case_text(one.case) for one in histories]
