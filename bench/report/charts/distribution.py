"""Draws all readings of a case in order, and beside them how they are distributed. No files.

Each slot is one path of lines without a length and with round ends: a point costs some fifteen
characters of SVG.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.distribution import Chosen, History, Series, fences
from bench.analysis.intervals import Floats
from bench.model.cases import case_text
from bench.model.numbers import count_text, significant, time_text, unit_for
from bench.report.elements.chart import (
    BASELINE_COLOUR,
    CANDIDATE_COLOUR,
    INK,
    SMALL,
    WIDTH_INCHES,
    Chart,
    finish,
    legend,
    log_scale,
    style,
)

AGAIN_COLOUR = "#56b4e9"  # the baseline's second slot; of the same palette
COLOURS = {"baseline": BASELINE_COLOUR, "again": AGAIN_COLOUR, "candidate": CANDIDATE_COLOUR}
PANEL_INCHES = 1.75
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
    with style(name):
        size = (WIDTH_INCHES, PANEL_INCHES * len(panels) + 0.75)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(
            len(panels), 2, squeeze=False, sharey="row", sharex="col", width_ratios=(3, 1)
        )
        beyond = [
            _draw(left, right, panel, history, every)
            for (left, right), panel in zip(axes, panels, strict=True)
        ]
        axes[-1, 0].set_xlabel("reading, in the order of taking")
        axes[-1, 1].set_xlabel("share of readings")
        handles = [
            axes[0, 0].plot([], [], "o", color=COLOURS[one.role], label=names[one.role])[0]
            for one in history.series
        ]
        look: dict[str, Any] = {"color": INK, "markerfacecolor": "none", "markersize": 4}
        handles += axes[0, 0].plot([], [], "o", linestyle="", label="warm-up", **look)
        legend(figure, handles)
        title = f"Readings of {case_text(history.case)}"
        caption = " ".join(
            filter(
                None,
                (
                    f"Shown as {chosen.reason}." if chosen.reason else "",
                    _count_words(history),
                    *(_series_words(one, names) for one in history.series),
                    _drift_words(history),
                    _beyond_words(sum(beyond)),
                    f"Of each slot, 1 in {every} readings is drawn." if every > 1 else "",
                ),
            )
        )
        return finish(name, title, figure, caption, f"{title}. {caption}")


def _draw(left: Axes, right: Axes, panel: Sequence[Series], history: History, every: int) -> int:
    """Draw the slots of a panel; return how many readings lie beyond its axis."""
    counted = np.concatenate([one.counted for one in panel])
    low, high = fences(counted)
    unit, length = unit_for([low])
    log_scale(left, "y", low / length, high / length)
    left.set_ylabel(unit)
    edges = np.array([start - 0.5 for start in history.starts[1:]])
    across = left.get_xaxis_transform()
    ends = np.tile([0.0, 1.0], len(edges))
    left.plot(
        *_segments(np.repeat(edges, 2), ends), color=INK, lw=0.4, alpha=0.35, transform=across
    )
    beyond = 0
    for one in panel:
        times = one.times / length
        outside = (one.times < low) | (one.times > high)
        drawn = (np.arange(len(times)) % every == 0) | outside
        plain = drawn & ~one.warmup & ~outside
        colour = COLOURS[one.role]
        x, y = (np.repeat(values[plain], 2) for values in (one.places, times))
        left.plot(*_segments(x, y), color=colour, linewidth=2.4, solid_capstyle="round", alpha=0.8)
        clipped = np.clip(times, low / length, high / length)
        hollow: dict[str, Any] = {"color": colour, "linestyle": "", "markerfacecolor": "none"}
        warm = drawn & one.warmup
        left.plot(one.places[warm], clipped[warm], "o", markersize=2.6, mew=0.7, **hollow)
        far = outside & ~one.warmup
        for which, marker in ((one.times > high, "^"), (one.times < low, "v")):
            at = far & which
            left.plot(one.places[at], clipped[at], marker, color=colour, ms=4)
        beyond += int(far.sum())
        right.plot(*_steps(one.counted / length), color=colour, linewidth=1.2)
    left.set_xlim(-1, history.count)
    right.set(xlim=(0, 1), xticks=(0, 0.5, 1))
    right.set_xticklabels(("0", "½", "1"), fontsize=SMALL)
    right.tick_params(axis="y", length=0, labelleft=False)
    left.grid(axis="y")
    right.grid()
    return beyond


def _segments(x: Any, y: Any) -> tuple[Floats, Floats]:
    """Part a line that goes through pairs of points into one line for each pair."""
    gaps = np.full(len(x) // 2, np.nan)
    parted = [
        np.column_stack([v[::2], v[1::2], gaps]).ravel() for v in (np.asarray(x), np.asarray(y))
    ]
    return parted[0], parted[1]


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
