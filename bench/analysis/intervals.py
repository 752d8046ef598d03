"""Student's interval and test, Holm's correction, Kendall's test of a trend. Pure.

`scipy.special` is imported where it is called: `scipy.stats` on top of it takes a second, and who
only names a constant of this folder needs neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.model.records import Estimate

Floats = npt.NDArray[np.float64]
CONFIDENCE = 0.95
"""Of every interval."""
MOST_EXACT = 33
"""Up to so many values without ties, p is counted; beyond, it is that of a normal variable."""


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
    return 2 * upper_tail(statistic, len(values) - 1)


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
    return quantile_at(np.asarray(count) - 1, confidence)


def quantile_at(freedom: Any, confidence: float) -> Any:
    """Return the same for degrees of freedom, which need not be whole."""
    from scipy.special import stdtrit

    return stdtrit(freedom, (1 + confidence) / 2)


def upper_tail(statistic: float, freedom: float) -> float:
    """Return the chance that Student's t lies above a statistic."""
    from scipy.special import stdtr

    return float(stdtr(freedom, -statistic))


def trend_p_value(values: Floats) -> float:
    """Return the two-sided p that values are in random order.

    `scipy.stats.kendalltau` gives the same and takes a second to import; a test holds the two
    together. (Kendall, Biometrika 30, 1938.)
    """
    count, ranks = len(values), values.tolist()
    signs = [(late > early) - (late < early) for early, late in combinations(ranks, 2)]
    falling = signs.count(-1)
    ties = np.unique(values, return_counts=True)[1]
    if ties.max() == 1 and (count <= MOST_EXACT or min(falling, len(signs) - falling) <= 1):
        return _exact(count, min(falling, len(signs) - falling))
    of_ties = float((ties * (ties - 1) * (2 * ties + 5)).sum())
    variance = (count * (count - 1) * (2 * count + 5) - of_ties) / 18
    return math.erfc(abs(sum(signs)) / math.sqrt(2 * variance)) if variance else 1.0


def _exact(count: int, inversions: int) -> float:
    """Return twice the share of permutations with at most so many inversions."""
    orders = [1] + [0] * inversions  # how many permutations have 0, 1, ... inversions
    for size in range(2, count + 1):
        orders = [sum(orders[max(0, k - size + 1) : k + 1]) for k in range(inversions + 1)]
    return min(1.0, 2 * sum(orders) / math.factorial(count))
