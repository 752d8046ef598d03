"""What may be said of an estimate: the one order of questions that leads to an answer. Pure.

All numbers are logarithms. What is asked is where the estimate lies: above or below a mark, or
inside a band around it. The rules in words, with a worked example, are in docs/method.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from bench.analysis.intervals import CONFIDENCE
from bench.model.records import Verdict, VerdictKind

Answer = Literal["equal", "above", "below", "open"]
Obstacle = Literal["wide floor", "interval", "floor", "correction"]
"""What leaves an answer open: the noise floor is wider than the band; the interval includes the
mark; the mean lies nearer to the mark than the noise floor; Holm's correction."""


class Located(Protocol):
    """A mean with its interval."""

    @property
    def mean(self) -> float: ...  # noqa: D102
    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its interval, as it was computed."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """Where an estimate lies, and if that is open, what stands in the way."""

    answer: Answer
    obstacles: tuple[Obstacle, ...] = ()


def judge(
    found: Located, floor: float, p_holm: float, *, mark: float = 0.0, band: float | None = None
) -> Judgement:
    """Say where an estimate lies.

    Args:
        found: The estimate.
        floor: The noise floor.
        p_holm: That it lies at the mark, after Holm's correction.
        mark: What it is held against.
        band: Differences from 0 up to this are equal; None: only a difference is asked for.
    """
    distance = found.mean - mark
    half = (found.high - found.low) / 2
    different = p_holm < 1 - CONFIDENCE
    if band is not None:
        equal, apart = claims(found.mean, half, different, floor, band)
        if equal:
            return Judgement("equal")
        if max(-found.low, found.high) <= band:
            return Judgement("open", ("wide floor",))
    else:
        apart = different and abs(distance) > floor
    if apart:
        return Judgement("above" if distance > 0 else "below")
    asked: dict[Obstacle, bool] = {
        "interval": found.low <= mark <= found.high,
        "floor": abs(distance) <= floor,
        "correction": True,
    }
    return Judgement("open", tuple(name for name, holds in asked.items() if holds))


def claims(mean: Any, half: Any, different: Any, floor: Any, band: float) -> tuple[Any, Any]:
    """Tell which claim holds, equal or different from 0; also for whole arrays."""
    inside = np.abs(mean) + half <= band
    equal = np.logical_and(inside, floor <= band)
    return equal, np.logical_and(
        np.logical_and(different, np.logical_not(inside)), np.abs(mean) > floor
    )


def verdict_of(
    found: Located,
    floor: float,
    p_holm: float,
    *,
    cells: int,
    band: float,
    what: str,
    outlook: Callable[[], str] | None = None,
) -> Verdict:
    """Give the verdict of docs/method.md on the logarithm of a ratio, with its reason.

    EQUIVALENT stands on the plain interval, FASTER and SLOWER on the p corrected by Holm. Where
    the noise floor is wider than the band, nothing is EQUIVALENT.

    Args:
        found: The estimate.
        floor: The noise floor.
        p_holm: That the ratio is 1, after Holm's correction.
        cells: How many the correction is over.
        band: Differences up to this are equal.
        what: A word for what the estimate is: a difference, a change.
        outlook: Says what would settle an open question.
    """
    judgement = judge(found, floor, p_holm, band=band)
    interval = f"the interval {ends_text(found)}"
    floor_text = f"the noise floor of {math.expm1(floor):.1%}"
    band_text = f"the band of ±{math.expm1(band):.0%}"
    if judgement.answer == "equal":
        return Verdict("EQUIVALENT", f"{interval} lies inside {band_text}")
    if judgement.answer != "open":
        kind: VerdictKind = "FASTER" if judgement.answer == "above" else "SLOWER"
        return Verdict(kind, f"{interval} lies {judgement.answer} 1, by more than {floor_text}")
    reasons: dict[Obstacle, str] = {
        "wide floor": f"{floor_text} is wider than {band_text}",
        "interval": f"{interval} includes 1",
        "floor": f"the {what} of {math.expm1(abs(found.mean)):.1%} is below {floor_text}",
        "correction": f"{interval} excludes 1, but not after Holm's correction over {cells} cells",
    }
    reason = reasons[judgement.obstacles[0]]
    return Verdict("UNRESOLVED", f"{reason}; {outlook()}" if outlook else reason)


def ends_text(found: Located) -> str:
    """Write the interval of a ratio: `0.9921 to 1.004`."""
    return f"{math.exp(found.low):.4g} to {math.exp(found.high):.4g}"
