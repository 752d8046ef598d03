"""Data with a known truth, to see how often the headline interval holds it. Pure.

The model: every process has a speed of its own for as long as it lives, every reading a noise of
its own, and the machine drifts. What is made goes through the same code as measured times:
`bench.measuring.schedule` says whose turn it is, `bench.analysis.verdicts` forms the interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats as distributions

from bench.analysis.intervals import CONFIDENCE, Floats, t_interval
from bench.analysis.verdicts import log_ratio_of_rounds
from bench.measuring.schedule import turns

READING_SPREAD = 0.01
ROUNDS = 6
TRUE_RATIO = 1.3
TAIL_SHARE, TAIL_SIZE = 0.1, 0.3
"""Heavy tails: every tenth reading is later by an exponential time, in the mean by this share."""
DRIFT = 0.2
"""The machine ends slower by this share than it began, in a line over the whole run."""


@dataclass(frozen=True, slots=True)
class Model:
    """How data is made."""

    process_spread: float  # standard deviation of the logarithm, from process to process
    invocations: int
    tails: bool = False
    drift: bool = False

    @property
    def noise(self) -> str:
        """Say what kind of noise it has, for people."""
        parts = [name for name, there in (("tails", self.tails), ("drift", self.drift)) if there]
        return " and ".join(parts) or "plain"


MODELS = tuple(
    Model(spread, invocations, tails, drift)
    for tails, drift in ((False, False), (True, False), (False, True), (True, True))
    for spread in (0.0, 0.01, 0.02, 0.05)
    for invocations in (6, 10, 20)
)


@dataclass(frozen=True, slots=True)
class Share:
    """How many of so many, with the interval of Clopper and Pearson (Biometrika 26, 1934)."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """The share."""
        return self.hits / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """What share of many more would do so, with 95 % confidence."""
        if not self.of:
            return math.nan, math.nan
        tail = (1 - CONFIDENCE) / 2
        low = distributions.beta.ppf(tail, self.hits, self.of - self.hits + 1)
        high = distributions.beta.ppf(1 - tail, self.hits + 1, self.of - self.hits)
        return (
            float(low) if self.hits else 0.0,
            float(high) if self.hits < self.of else 1.0,
        )


def times(model: Model, trials: int, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Make times of a baseline and of a candidate that is `TRUE_RATIO` times as fast.

    Returns:
        Two arrays of seconds, (trials, invocations, rounds).
    """
    shape = trials, model.invocations, ROUNDS, 2
    process = random.normal(0, 1, (*shape[:2], 1, 2)) * model.process_spread
    reading = random.normal(0, READING_SPREAD, shape)
    if model.tails:
        late = random.random(shape) < TAIL_SHARE
        reading += np.where(late, np.log1p(random.exponential(TAIL_SIZE, shape)), 0)
    logs = process + reading
    if model.drift:
        places = np.array(
            [
                [order.index(slot) + 2 * number for slot in (0, 1)]
                for invocation in range(model.invocations)
                for number, order in enumerate(turns((0, 1), invocation, ROUNDS))
            ]
        ).reshape(model.invocations, ROUNDS, 2)
        begin = 2 * ROUNDS * np.arange(model.invocations)[:, np.newaxis, np.newaxis]
        logs += math.log1p(DRIFT) * (places + begin) / (2 * ROUNDS * model.invocations)
    return np.exp(logs[..., 0]), np.exp(logs[..., 1]) / TRUE_RATIO


def coverage(model: Model, trials: int, seed: int = 1) -> Share:
    """Count how many of so many runs have an interval that holds the true ratio."""
    baseline, candidate = times(model, trials, np.random.default_rng(seed))
    _, low, high = t_interval(log_ratio_of_rounds(baseline, candidate))
    truth = math.log(TRUE_RATIO)
    return Share(int(np.count_nonzero((low <= truth) & (truth <= high))), trials)
