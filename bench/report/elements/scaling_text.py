"""What is said of scaling: sizes, the crossover, exponents. Plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.analysis.scaling import Crossing, Crossover, Exponent, Setting
from bench.model.numbers import DASH, NARROW_SPACE, count_text, interval, listing, significant
from bench.model.records import PHASES, Estimate

FLOP_UNITS: tuple[tuple[str, float], ...] = (
    ("PFLOP", 1e15),
    ("TFLOP", 1e12),
    ("GFLOP", 1e9),
    ("MFLOP", 1e6),
    ("kFLOP", 1e3),
    ("FLOP", 1.0),
)
MOST_NAMED = 3
"""Crossings that a sentence places; of more it says how many."""


def flop_unit(value: float) -> tuple[str, float]:
    """Choose the unit in which an amount of arithmetic is 1 or more, and say how much that is."""
    return next((unit for unit in FLOP_UNITS if value >= unit[1]), FLOP_UNITS[-1])


def flop_text(value: float) -> str:
    """Write an amount of arithmetic: `60.3 MFLOP`."""
    unit, size = flop_unit(value)
    return f"{significant(value / size)}{NARROW_SPACE}{unit}"


def flops_text(estimate: Estimate) -> str:
    """Write an amount of arithmetic with its interval: `3.1 (2.8–3.4) MFLOP`."""
    unit, size = flop_unit(estimate.point)
    value, ends = interval(estimate.point, estimate.low, estimate.high, size)
    return f"{value} ({ends}){NARROW_SPACE}{unit}"


def setting_name(setting: Setting, among: Sequence[Setting]) -> str:
    """Name a phase, with dtype and threads where those it stands among do not share them."""
    parts: list[str] = [setting.phase]
    if len({one.dtype for one in among}) > 1:
        parts.append(setting.dtype)
    if len({one.threads for one in among}) > 1:
        parts.append(count_text(setting.threads, "thread"))
    return " · ".join(parts)


def crossover_line(found: Crossover, baseline: str, candidate: str) -> str:
    """Say what one phase says of a crossover, without its name and a final stop."""
    names = {1: candidate, -1: baseline}
    if not found.resolved:
        of = f"any of {count_text(found.sizes, 'size')}" if found.sizes > 1 else "its one size"
        return f"neither side is faster by verdict at {of}, so there is no crossover to place"
    (first, side), (last, _) = found.resolved[0], found.resolved[-1]
    if len(found.resolved) == 1:
        return (
            f"{names[side]} is faster at {flop_text(first)}, the only size with a verdict for a "
            "side: no crossover can be seen"
        )
    if not found.crossings:
        open_ = found.sizes - len(found.resolved)
        but = f" with a verdict for a side; {open_} more have none" if open_ else ""
        return (
            f"no crossover between {flop_text(first)} and {flop_text(last)}: {names[side]} is "
            f"faster at all {len(found.resolved)} sizes{but}"
        )
    if len(found.crossings) == 1:
        (one,) = found.crossings
        return f"{names[side]} is faster up to {_place(one)}, {names[-side]} above"
    places = listing([_place(one) for one in found.crossings[:MOST_NAMED]])
    named = places if len(found.crossings) <= MOST_NAMED else f"first {places}"
    return (
        f"more than one crossover: the faster side changes {len(found.crossings)} times between "
        f"{flop_text(first)} and {flop_text(last)}, at {named}; {names[side]} is faster below "
        "the first"
    )


def _place(one: Crossing) -> str:
    """Say where a crossing lies: `about 3.1 (2.8–3.4) MFLOP`."""
    if not math.isfinite(one.at.point):
        return f"somewhere between {flop_text(one.below)} and {flop_text(one.above)}"
    return f"about {flops_text(one.at)}"


def doubt_text(found: Crossover) -> str:
    """Say how many invocations do not show a crossing by themselves; empty where all do."""
    parts = [
        f"{one.outside} of {count_text(one.at.count, 'invocation')} by "
        f"{'itself does' if one.outside == 1 else 'themselves do'} not change sides between "
        f"{flop_text(one.below)} and {flop_text(one.above)}, and "
        f"{'counts' if one.outside == 1 else 'count'} with the nearer of these sizes"
        for one in found.crossings
        if one.outside
    ]
    return f"{listing(parts)}." if parts else ""


def crossover_lines(found: Sequence[Crossover], baseline: str, candidate: str) -> list[str]:
    """Say of each phase, dtype and number of threads where the faster side changes."""
    settings = [one.setting for one in found]
    return [
        f"{setting_name(one.setting, settings)}: {crossover_line(one, baseline, candidate)}"
        for one in found
    ]


def crossover_text(found: Sequence[Crossover], baseline: str, candidate: str) -> str:
    """Say in one sentence, without a final stop, where the faster side changes; for a headline.

    Phases in which it does are named; where none does, the sentence says over which sizes. Empty
    where fewer than two sizes of a phase have a verdict for a side, as nothing can be said then.
    """
    crossed = [one for one in found if one.crossings]
    if crossed:
        return "; ".join(crossover_lines(crossed, baseline, candidate))
    seen = [one for one in found if len(one.resolved) > 1]
    if not seen:
        return ""
    sizes = [size for one in seen for size, _ in one.resolved]
    phases = [phase for phase in PHASES if phase in {one.setting.phase for one in seen}]
    where = f"in {listing(phases)}" if len(phases) > 1 else f"in {phases[0]}"
    return f"no crossover between {flop_text(min(sizes))} and {flop_text(max(sizes))} {where}"


def slope_text(fit: Exponent) -> str:
    """Write an exponent with its interval: `0.94 (0.93–0.95)`."""
    value, ends = interval(fit.slope.point, fit.slope.low, fit.slope.high)
    return f"{value} ({ends.replace(DASH, ' to ') if fit.slope.low < 0 else ends})"
