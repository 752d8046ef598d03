"""Numbers as text for people: counts, times, ratios and intervals. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from bench.model.records import Estimate

NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"
DASH = "\N{EN DASH}"
TIMES = " \N{MULTIPLICATION SIGN} "
MOST_DECIMALS = 5
UNITS: tuple[tuple[str, float], ...] = (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0))


def count_text(count: int, noun: str) -> str:
    """Count things: `1 thread`, `2 threads`."""
    return f"{count} {noun}{'s' if count != 1 else ''}"


def decimals(point: float, low: float, high: float) -> int:
    """Count the decimals that an interval supports; negative for tens, hundreds, ...

    The last digit shown is the first uncertain one: half the interval is written with one digit,
    or with two where it begins with 1 or 2. Without an interval, three digits of the point.
    """
    leading = math.floor(math.log10(abs(point))) if point and math.isfinite(point) else 0
    half = (high - low) / 2
    if not (math.isfinite(half) and half > 0):
        return 2 - leading
    place = math.floor(math.log10(half))
    places = -place + (1 if half / 10.0**place < 3 else 0)
    return max(places, -leading)


def number(value: float, places: int) -> str:
    """Write a number with so many decimals, thousands set apart; a dash where there is none."""
    if not math.isfinite(value):
        return DASH
    return f"{round(value, places):,.{max(places, 0)}f}".replace(",", NARROW_SPACE)


def significant(value: float, digits: int = 3) -> str:
    """Write a number without an interval to so many digits; a dash where there is none."""
    if not value or not math.isfinite(value):
        return "0" if value == 0 else DASH
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    return number(value, digits - 1 - math.floor(math.log10(abs(value))))


def interval(
    point: float, low: float, high: float, scale: float = 1.0, apart: float = math.nan
) -> tuple[str, str]:
    """Write a value and its interval to the digits the interval supports: `1.83`, `1.80–1.86`.

    The second text says so where there is no interval, and is empty where there is no value.
    `scale` divides all three. An end gets so many more digits that it is not written as `apart`
    when it is not that: a ratio of 1.003 or more must not read `1.00`.
    """
    point, low, high = point / scale, low / scale, high / scale
    places = decimals(point, low, high)
    while places < MOST_DECIMALS and any(
        end != apart and round(end, places) == apart for end in (low, high)
    ):
        places += 1
    if not (math.isfinite(low) and math.isfinite(high)):
        return number(point, places), "no interval" if math.isfinite(point) else ""
    return number(point, places), f"{number(low, places)}{DASH}{number(high, places)}"


def ratio_text(estimate: Estimate) -> str:
    """Write a ratio with its interval: `1.83 (1.80–1.86)`."""
    value, ends = interval(estimate.point, estimate.low, estimate.high, apart=1)
    return f"{value} ({ends})"


def change_text(estimate: Estimate, apart: float = math.nan) -> str:
    """Write a ratio as a change in percent, to the digits its interval supports.

    `+3.1 % (+1.2 to +5.0)` for 1.031 (1.012 to 1.050); an end that is not `apart`, a ratio too, is
    not written like it.
    """
    values = [100 * (value - 1) for value in (estimate.point, estimate.low, estimate.high)]
    places = max(decimals(*values), 0)
    limit = 100 * (apart - 1)
    while places < MOST_DECIMALS and any(
        end != limit and round(end, places) == round(limit, places) for end in values[1:]
    ):
        places += 1
    point, low, high = (f"{round(value, places) + 0.0:+,.{places}f}" for value in values)
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return f"{point} % (no interval)"
    return f"{point} % ({low} to {high})"


def unit_for(values_ns: Iterable[float]) -> tuple[str, float]:
    """Choose one unit for a column: the largest in which no value is below 1.

    Returns:
        The unit and its length in nanoseconds.
    """
    finite = [value for value in values_ns if math.isfinite(value) and value > 0]
    least = min(finite, default=1.0)
    return next((unit for unit in UNITS if least >= unit[1]), UNITS[-1])


def time_text(value_ns: float) -> str:
    """Write a single time with its own unit, three digits: `45.3 µs`."""
    unit, length = unit_for([value_ns])
    return f"{significant(value_ns / length)}{NARROW_SPACE}{unit}"


def listing(parts: Sequence[str]) -> str:
    """Join with commas and a final `and`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def duration_text(seconds: float) -> str:
    """Write a planned duration: `40 s`, `2 min 30 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
