"""Student's interval and test, Holm's correction: for logarithms of ratios and of times. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats as distributions

from bench.model.records import Estimate

Floats = npt.NDArray[np.float64]
CONFIDENCE = 0.95
"""Of every interval."""


def t_interval(values: Floats, confidence: float = CONFIDENCE) -> tuple[Floats, Floats, Floats]:
    """Return mean, low and high of Student's t interval along the last axis.

    The ends are NaN for fewer than two values. (Student, Biometrika 6, 1908.)
    """
    count = values.shape[-1]
    mean = values.mean(axis=-1)
    if count < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = _quantile_of(count, confidence) * values.std(axis=-1, ddof=1) / math.sqrt(count)
    return mean, mean - half, mean + half


def p_value(values: Floats) -> float:
    """Return the two-sided p of Student's t test that the values have mean 0."""
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    if spread == 0:
        return 0.0 if mean else 1.0
    statistic = abs(mean) / (spread / math.sqrt(len(values)))
    return float(2 * distributions.t.sf(statistic, len(values) - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that the chance of any false alarm among them stays at the level.

    The step-down method of Holm, Scandinavian Journal of Statistics 6, 1979.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def estimate(logs: Floats) -> Estimate:
    """Average logarithms, one per invocation, and turn mean and interval back into a number."""
    point, low, high = (math.exp(value) for value in t_interval(logs))
    return Estimate(point, low, high, len(logs))


@cache
def _quantile_of(count: int, confidence: float) -> float:
    return float(quantile(count, confidence))


def quantile(count: Any, confidence: float) -> Any:
    """Return how many standard errors Student's t interval reaches to each side."""
    return distributions.t.ppf((1 + confidence) / 2, np.asarray(count) - 1)
