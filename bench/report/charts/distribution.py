"""Draws all readings of a case in order, and beside them how they are distributed. No files.

Each slot is one path of lines without a length and with round ends: a point costs some fifteen
characters of SVG.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from bench.analysis.distribution import Chosen, History, Series, fences
from bench.analysis.intervals import Floats
from bench.model.cases import case_text
from bench.model.numbers import count_text, significant, time_text, unit_for
from bench.report.elements import chart as c
from bench.report.elements.case_names import cut
from bench.report.elements.chart import Chart
from bench.report.elements.svg import Drawing, Scale, circle

AGAIN_COLOUR = "#56b4e9"  # the baseline's second slot; of the same palette
COLOURS = {"baseline": c.BASELINE_COLOUR, "again": AGAIN_COLOUR, "candidate": c.CANDIDATE_COLOUR}
TOP, PANEL, GAP, BOTTOM = 42.0, 124.0, 12.0, 24.0
LEFT, MIDDLE, RIGHT, END = 46.0, 232.0, 247.0, 311.0
"""In points: the key, a panel and the room below it; the axes from left to right."""
LONGEST_NAME = 24
MOST_POINTS = 6000
"""Of a chart; of more, every second, third, ... of each slot is drawn, and all beyond the fence."""
MOST_STEPS = 64
"""Of a curve; more are not seen."""


def distribution_chart(name: str, chosen: Chosen, names: Mapping[str, str]) -> Chart:
    """Draw the readings of a case: the baseline's two slots above, the candidate's below.

    Args:
        name: Stem of the chart's file.
        chosen: The case, with readings of at least one slot.
        names: Display name by role, `again` among them.

    Returns:
        The chart, with what is seen in its caption's words.
    """
    history = chosen.history
    panels = [
        [one for one in history.series if one.role != "candidate"],
        [one for one in history.series if one.role == "candidate"],
    ]
    panels = [panel for panel in panels if panel]
    every = math.ceil(history.count / MOST_POINTS)
    width, height = 72 * c.WIDTH_INCHES, TOP + PANEL * len(panels) + BOTTOM
    drawing = Drawing(width, height)
    _draw_key(drawing, history, names)
    beyond = 0
    for place, panel in enumerate(panels):
        y = TOP + PANEL * place, TOP + PANEL * (place + 1) - GAP
        beyond += _draw_panel(drawing, y, panel, history, every, last=place + 1 == len(panels))
    drawing.text((LEFT + MIDDLE) / 2, height - 6, "reading, in the order of taking")
    drawing.text((RIGHT + END) / 2, height - 6, "share of readings")
    title = f"Readings of {case_text(history.case)}"
    caption = " ".join(
        filter(
            None,
            (
                f"Shown as {chosen.reason}." if chosen.reason else "",
                _count_words(history),
                *(_series_words(one, names) for one in history.series),
                _drift_words(history),
                _beyond_words(beyond),
                f"Of each slot, 1 in {every} readings is drawn." if every > 1 else "",
            ),
        )
    )
    return c.described(name, title, drawing.svg(), caption, f"{title}. {caption}")


def _draw_key(drawing: Drawing, history: History, names: Mapping[str, str]) -> None:
    """Draw what the marks mean, in two columns."""
    entries = [(names[one.role], f"fill: {COLOURS[one.role]}") for one in history.series]
    entries.append(("warm-up", f"fill: none; stroke: {c.CURRENT}; stroke-width: 0.7"))
    for place, (text, style) in enumerate(entries):
        x, y = 12 + 150 * (place % 2), 12 + 14 * (place // 2)
        drawing.marks([x], [y - 3], circle(2.4), style)
        drawing.text(x + 9, y, cut(text, LONGEST_NAME), anchor="start")


def _draw_panel(
    drawing: Drawing,
    y_ends: tuple[float, float],
    panel: Sequence[Series],
    history: History,
    every: int,
    *,
    last: bool,
) -> int:
    """Draw the slots of a panel; return how many readings lie beyond its axis."""
    low, high = fences(np.concatenate([one.counted for one in panel]))
    unit, length = unit_for([low])
    top, bottom = y_ends
    times = Scale(*c.log_ends(low / length, high / length), bottom, top, log=True)
    readings = Scale(-1, max(history.count, 1), LEFT, MIDDLE)
    shares = Scale(0, 1, RIGHT, END)
    _draw_axes(drawing, times, readings, shares, unit, last=last)
    starts = readings.at(np.array(history.starts[1:], np.float64) - 0.5)
    thin = f"stroke: {c.CURRENT}; stroke-opacity: 0.35; stroke-width: 0.4"
    drawing.segments(((x, bottom, x, top) for x in starts), thin)
    beyond = 0
    for one in panel:
        colour = COLOURS[one.role]
        x, y = (
            readings.at(one.places.astype(np.float64)),
            times.at(np.clip(one.times, low, high) / length),
        )
        above, below = one.times > high, one.times < low
        drawn = (np.arange(len(x)) % every == 0) | above | below
        plain = drawn & ~one.warmup & ~above & ~below
        dot = f"stroke: {colour}; stroke-opacity: 0.8; stroke-width: 2.4; stroke-linecap: round"
        drawing.marks(x[plain], y[plain], "h0", f"fill: none; {dot}")
        warm = drawn & one.warmup
        hollow = f"fill: none; stroke: {colour}; stroke-width: 0.7"
        drawing.marks(x[warm], y[warm], circle(1.3), hollow)
        for which, form in ((above, "m0 -2l-2 4h4z"), (below, "m0 2l-2 -4h4z")):
            far = which & ~one.warmup
            drawing.marks(x[far], y[far], form, f"fill: {colour}; stroke: {colour}")
            beyond += int(far.sum())
        share, time = _steps(one.counted / length)
        drawing.line(shares.at(share), times.at(time), f"stroke: {colour}; stroke-width: 1.2")
    return beyond


def _draw_axes(
    drawing: Drawing, times: Scale, readings: Scale, shares: Scale, unit: str, *, last: bool
) -> None:
    """Draw the frames of a panel, with ticks; the last panel names those along the bottom."""
    bottom, top = times.start, times.end
    grid = f"stroke: {c.CURRENT}; stroke-opacity: 0.15; stroke-width: 0.5"
    frame = f"stroke: {c.CURRENT}; stroke-width: 0.6"
    for tick in c.round_numbers(times.low, times.high):
        y = float(times.at(tick))
        drawing.segments([(LEFT, y, MIDDLE, y), (RIGHT, y, END, y)], grid)
        drawing.segments([(LEFT - 3.5, y, LEFT, y)], frame)
        drawing.text(LEFT - 6, y + 3, c.number_on_axis(tick), anchor="end")
    drawing.text(10, (top + bottom) / 2, unit, turned=True)
    counts = [tick for tick in MaxNLocator(6).tick_values(0, readings.high) if tick < readings.high]
    along = [(float(readings.at(tick)), c.number_on_axis(tick)) for tick in counts if tick >= 0]
    parts = [(float(shares.at(share)), text) for share, text in ((0, "0"), (0.5, "½"), (1, "1"))]
    drawing.segments([(x, bottom, x, top) for x, _ in parts], grid)
    for x, text in (*along, *parts):
        drawing.segments([(x, bottom, x, bottom + 3.5)], frame)
        if last:
            drawing.text(x, bottom + 13, text, size=c.SMALL)
    for left, right in ((LEFT, MIDDLE), (RIGHT, END)):
        drawing.line([left, left, right], [top, bottom, bottom], frame)


def _steps(times: Floats) -> tuple[Floats, Floats]:
    """Return the empirical distribution as a line of steps: share of readings, then time."""
    ordered = np.sort(times)
    ranks = np.arange(1, len(ordered) + 1) / len(ordered)
    if len(ordered) > MOST_STEPS:
        kept = np.unique(np.linspace(0, len(ordered) - 1, MOST_STEPS).astype(int))
        ordered, ranks = ordered[kept], ranks[kept]
    shares = np.concatenate([[0.0], np.repeat(ranks, 2)[:-1]])
    return shares, np.repeat(ordered, 2)


def _count_words(history: History) -> str:
    warm = sum(int(one.warmup.sum()) for one in history.series)
    return (
        f"{count_text(history.count, 'reading')} of "
        f"{count_text(len(history.starts), 'invocation')}, between thin lines, "
        f"{count_text(warm, 'warm-up')} among them (hollow, not counted in what follows)."
    )


def _series_words(one: Series, names: Mapping[str, str]) -> str:
    """Say the median of a slot's readings, and how far the largest lies from it."""
    middle = float(np.median(one.counted))
    largest = significant(float(one.counted.max()) / middle)
    return (
        f"{names[one.role]}: {count_text(len(one.counted), 'reading')}, median "
        f"{time_text(middle)}, the largest {largest} times that."
    )


def _drift_words(history: History) -> str:
    count = history.result.drifting
    if not count:
        return "No invocation is marked as drifting."
    return f"{count_text(count, 'invocation')} marked as drifting: the ratio moved to the end."


def _beyond_words(count: int) -> str:
    if not count:
        return ""
    if count == 1:
        return "1 reading lies beyond the axis and stands as a triangle at its edge."
    return f"{count} readings lie beyond the axis and stand as triangles at its edge."


def names_of(baseline: str, candidate: str) -> dict[str, str]:
    """Name the three slots for people."""
    return {"baseline": baseline, "again": f"{baseline} again", "candidate": candidate}
