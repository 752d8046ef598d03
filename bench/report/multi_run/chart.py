"""Ratios of one machine's runs over time -> charts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.model.numbers import ratio_text
from bench.model.records import Case, Estimate
from bench.report.elements.case_names import CaseNames
from bench.report.elements.chart import (
    BASELINE_COLOUR,
    CANDIDATE_COLOUR,
    INK,
    SMALL,
    WIDTH_INCHES,
    Chart,
    finish,
    log_scale,
    style,
)
from bench.report.multi_run.runs import Group, cases_of, shared_slots
from bench.storage.dates import date_text

PANEL_INCHES, LABEL_INCHES = 1.15, 1.1
UPRIGHT = 4
"""More labels than these stand upright."""
MOST_LABELS = 16
LONGEST_LABEL = 16


def history_chart(group: Group, number: int, phase: str) -> Chart | None:
    """Draw the ratio of every network over the runs of a machine, a panel per network.

    Args:
        group: The runs.
        number: Of the group, for the name of the chart.
        phase: Which phase.

    Returns:
        The chart, or None where fewer than two runs have a ratio with an interval in one case.
    """
    panels = []
    for case in (case for case in cases_of(group.runs) if case.phase == phase):
        points = _points(group, case)
        if sum(math.isfinite(estimate.low) for _, estimate, _ in points) > 1:
            panels.append((case, points))
    if not panels:
        return None
    name = f"history-{number}-{phase}"
    baseline, candidate = shared_slots(group.runs)
    names = CaseNames.of(case for case, _ in panels)
    with style(name):
        height = PANEL_INCHES * len(panels) + LABEL_INCHES
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
        for ax, (case, points) in zip(axes, panels, strict=True):
            ax.set_title(names.network(case.problem))
            _draw(ax, points)
        _label_runs(axes[-1], group)
        figure.supylabel(f"{baseline} time / {candidate} time", fontsize=SMALL)
        title = f"{phase}: the ratio over {len(group.runs)} runs of one machine"
        caption = (
            f"Above 1 {candidate} is faster. Each run's own ratio with its 95 % interval (where "
            "none is seen it is narrower than the point), the oldest run first; runs are evenly "
            "spaced, whatever time lay between them. Every network has its own axis."
        )
        words = [
            f"{names.network(case.problem)}: "
            + ", ".join(f"{label} {ratio_text(estimate)}" for _, estimate, label in points)
            for case, points in panels
        ]
        return finish(name, title, figure, caption, f"{title}. {'; '.join(words)}.")


def run_label(name: str) -> str:
    """Shorten the name of a run for an axis, on one line."""
    text = " ".join(name.split())
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _points(group: Group, case: Case) -> list[tuple[int, Estimate, str]]:
    """List the ratios of a case: place of the run, ratio, and how the run is called."""
    found = []
    for place, one in enumerate(group.runs):
        result = next((r for r in one.results.values() if r.case == case), None)
        if result and result.ratio and math.isfinite(result.ratio.estimate.point):
            found.append((place, result.ratio.estimate, run_label(one.run.name)))
    return found


def _draw(ax: Axes, points: Sequence[tuple[int, Estimate, str]]) -> None:
    places = [place for place, _, _ in points]
    ax.plot(places, [e.point for _, e, _ in points], color=INK, alpha=0.25, linewidth=1)
    ends = [e.point for _, e, _ in points]
    for place, estimate, _ in points:
        above = estimate.low > 1
        colour = CANDIDATE_COLOUR if above else BASELINE_COLOUR if estimate.high < 1 else INK
        if math.isfinite(estimate.low) and math.isfinite(estimate.high):
            ax.plot([place] * 2, [estimate.low, estimate.high], color=colour, linewidth=2)
            ends += [estimate.low, estimate.high]
        ax.plot(place, estimate.point, "o", color=colour, markersize=4.5)
    log_scale(ax, "y", min(ends), max(ends))
    low, high = ax.get_ylim()
    if low < 1 < high:
        ax.axhline(1, color=INK, linewidth=0.9, zorder=1)
    ax.grid(axis="y")


def _label_runs(ax: Axes, group: Group) -> None:
    count = len(group.runs)
    every = math.ceil(count / MOST_LABELS)
    shown: list[Any] = list(range(0, count, every))
    labels = [
        f"{date_text(group.runs[place].run)}\n{run_label(group.runs[place].run.name)}"
        for place in shown
    ]
    ax.set_xticks(shown, labels, fontsize=SMALL, rotation=90 if len(shown) > UPRIGHT else 0)
    ax.set_xlim(-0.5, count - 0.5)
