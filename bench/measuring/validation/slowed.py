"""NumPy slowed by a known share: extra repetitions of the same work, not a pause.

`bench validate` measures with them how small a difference a run tells, and how truly. A sample of
`loops` repetitions does some more and does not say so: the true ratio to NumPy is 1 / (1 + share),
where the share is what whole repetitions make of it (see `true_ratio`).
"""

from __future__ import annotations

from typing import Any

from bench.model.records import Phase
from bench.workers.implementations.drivers import NumPy


class Slowed(NumPy):
    """NumPy that does more than it is asked for."""

    share = 0.0

    def time(self, phase: Phase, loops: int, *rest: Any) -> int:
        """Repeat a phase some times more than asked."""
        return super().time(phase, repetitions(loops, self.share), *rest)


class By1(Slowed):
    """Slower by one percent."""

    share = 0.01


class By2(Slowed):
    """Slower by two percent."""

    share = 0.02


class By5(Slowed):
    """Slower by five percent."""

    share = 0.05


class By10(Slowed):
    """Slower by ten percent."""

    share = 0.1


HANDICAPS = (By1, By2, By5, By10)


def repetitions(loops: int, share: float) -> int:
    """Return how many repetitions come nearest to so many and a share more."""
    return round(loops * (1 + share))


def true_ratio(loops: int, share: float) -> float:
    """Return NumPy's time over that of NumPy slowed: what a run with so many loops should find."""
    return loops / repetitions(loops, share)
