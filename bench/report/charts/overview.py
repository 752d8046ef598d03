"""Tables and losses -> charts: speed-up, times, losses, parity. No files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.model.numbers import interval, significant, unit_for
from bench.model.records import PHASES
from bench.report.elements import chart as c
from bench.report.elements.case_names import CaseNames
from bench.report.elements.case_rows import CaseRow
from bench.report.elements.chart import Chart
from bench.workers.datasets import true_sinc

MOST_ROWS = 40
"""Networks of a panel; of more, so many from the smallest to the largest are drawn."""


def speedup_chart(cases: Sequence[CaseRow], baseline: str, candidate: str) -> Chart | None:
    """Draw the ratio of every case with its interval, a panel per phase, small networks first.

    Args:
        cases: Small networks first.
        baseline: Display name.
        candidate: Display name.

    Returns:
        The chart, or None where no case has a ratio with an interval.
    """
    panels = _panels(cases)
    if not panels or not any(math.isfinite(row.ratio_low) for row in cases):
        return None
    low, high = c.ends_of(
        end
        for row in cases
        for end in (row.ratio, row.ratio_low, row.ratio_high, row.again_low, row.again_high)
    )
    with c.style("speedup"):
        figure, axes = c.stack([len(rows) for _, rows in panels])
        for ax, (phase, rows) in zip(axes, panels, strict=True):
            c.label_rows(ax, phase, _labels(rows))
            ax.axvline(1, color=c.INK, linewidth=0.9, zorder=1)
            for place, row in enumerate(rows):
                _draw_ratio(ax, place, row)
            c.log_scale(ax, "x", min(low, 0.97), max(high, 1.03))
        (point,) = axes[0].plot([], [], "o-", color=c.INK, label="ratio, 95 % interval")
        floor = axes[0].fill_between([], [], color=c.INK, alpha=0.2, linewidth=0, label="A/A floor")
        c.legend(figure, (point, floor))
        middle = f"{baseline} time / {candidate} time"
        axes[-1].set_xlabel(c.GAP.join((f"← {baseline} faster", middle, f"{candidate} faster →")))
        title = f"Speed-up of {candidate} over {baseline}, by phase and network"
        caption = (
            f"Right of the line at 1 {candidate} is faster, left of it {baseline}. Bars are 95 % "
            "intervals (where none is seen it is narrower than the point); grey is "
            f"{baseline} against itself, the A/A floor. Networks are in the order of their "
            f"arithmetic per batch.{_left_out(cases)}"
        )
        words = [
            f"{phase}: " + ", ".join(f"{r.network} {r.dtype} {_ratio_words(r)}" for r in rows)
            for phase, rows in panels
        ]
        return c.finish("speedup", title, figure, caption, f"{title}. {'. '.join(words)}.")


def time_chart(cases: Sequence[CaseRow], baseline: str, candidate: str) -> Chart | None:
    """Draw the time of one repetition of both, a panel per phase, on log axes.

    Args:
        cases: Small networks first.
        baseline: Display name.
        candidate: Display name.

    Returns:
        The chart, or None where nothing was timed.
    """
    panels = _panels(
        [row for row in cases if not (math.isnan(row.baseline_ns) and math.isnan(row.candidate_ns))]
    )
    if not panels:
        return None
    words = []
    sides: tuple[tuple[str, str, dict[str, Any]], ...] = (
        # both markers are seen where they coincide
        ("baseline", baseline, {"color": c.BASELINE_COLOUR, "marker": "o", "markersize": 7.5}),
        ("candidate", candidate, {"color": c.CANDIDATE_COLOUR, "marker": "D", "markersize": 4}),
    )
    with c.style("times"):
        figure, axes = c.stack([len(rows) for _, rows in panels])
        for ax, (phase, rows) in zip(axes, panels, strict=True):
            times = {role: np.array([row.times(role) for row in rows]) for role, *_ in sides}
            unit, length = unit_for([end for of in times.values() for end in of[:, 0]])
            c.label_rows(ax, phase, _labels(rows))
            places = np.arange(len(rows))
            ours, theirs = (of[:, 0] / length for of in times.values())
            ax.hlines(places, ours, theirs, color=c.INK, alpha=0.3, linewidth=1)
            for role, name, look in sides:
                point, low, high = (times[role] / length).T
                ax.hlines(places, low, high, color=look["color"], linewidth=2)
                ax.plot(point, places, linestyle="", label=name, **look)
            c.log_scale(ax, "x", *c.ends_of(np.array([*times.values()]).ravel() / length))
            ax.set_xlabel(f"time of one repetition, {unit} (log scale)")
            words += [_time_words(row, unit, length, baseline, candidate) for row in rows]
        c.legend(figure, axes[0].get_legend_handles_labels()[0])
        title = f"Times of {baseline} and {candidate}, by phase and network"
        bars = "with 95 %" if any(math.isfinite(r.baseline_low_ns) for r in cases) else "without"
        caption = (
            f"Medians {bars} intervals; to the left is faster. Each phase has its own axis."
            f"{_left_out(cases)}"
        )
        return c.finish("times", title, figure, caption, f"{title}. {'; '.join(words)}.")


def loss_chart(
    training: Mapping[str, NDArray[Any]], epochs: int, baseline: str, candidate: str
) -> Chart | None:
    """Draw the training loss of both on top of each other, and how far they are apart.

    Args:
        training: `baseline` and `candidate`: loss of every batch, shape (epochs * batches,).
        epochs: How many epochs that is.
        baseline: Display name.
        candidate: Display name.

    Returns:
        The chart, or None where a loss is missing or the two are not of the same training.
    """
    found = [np.ravel(training.get(role, np.empty(0))) for role in ("baseline", "candidate")]
    size = len(found[0])
    if epochs < 1 or not size or size % epochs or len(found[1]) != size:
        return None
    losses = [np.asarray(loss, np.float64).reshape(epochs, -1) for loss in found]
    with np.errstate(all="ignore"):  # a loss may run away, and a file may hold anything
        means = [loss.mean(axis=1) for loss in losses]
        apart = (np.abs(losses[1] - losses[0]) / np.abs(losses[0])).max(axis=1)
    shown = np.where(np.isfinite(apart) & (apart > 0), apart, np.nan)
    worst = significant(float(apart.max()), 2)
    at = np.arange(1, epochs + 1)
    with c.style("loss"):
        figure = Figure(figsize=(c.WIDTH_INCHES, 4.2), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        top.set_title("training loss, mean over each epoch")
        _twins(top, at, means, baseline, candidate)
        if (np.isfinite(means) & (np.array(means) > 0)).any():
            c.log_scale(top, "y", *c.ends_of(np.ravel(means)))
        top.legend()
        bottom.set_title("largest relative difference in an epoch")
        if np.isfinite(shown).any():
            bottom.plot(at, shown, ".", color=c.INK, markersize=2.5)
            c.log_scale(bottom, "y", *c.ends_of(shown))
        else:
            text = "none at all" if not apart.any() else "not finite"
            bottom.text(0.5, 0.5, text, ha="center", transform=bottom.transAxes)
            bottom.set_yticks([])
        bottom.set_xlabel("epoch")
        top.grid()
        bottom.grid()
        title = f"Loss of {baseline} and {candidate} in training"
        caption = (
            f"{epochs} epochs from the same seed, on the same batches in the same order: the lines "
            "should lie on each other. Below: how far apart they are, for rounding may differ from "
            f"the first batch on and training amplifies it. Largest relative difference: {worst}."
        )
        ends = [f"{significant(mean[0])} to {significant(mean[-1])}" for mean in means]
        alt = (
            f"{title}, {epochs} epochs: {baseline} from {ends[0]}, {candidate} from {ends[1]}; "
            f"largest relative difference of a batch {worst}."
        )
        return c.finish("loss", title, figure, caption, alt)


def curve_chart(
    training: Mapping[str, NDArray[Any]], baseline: str, candidate: str
) -> Chart | None:
    """Draw what both networks learned of the sinc over the data they learned it from.

    Args:
        training: `X`, `y`: the data, shape (n, 1); `grid`, and the two curves on it, `baseline`
            and `candidate`, shape (m, 1).
        baseline: Display name.
        candidate: Display name.

    Returns:
        The chart, or None where a part is missing or the data is not of one input and output.
    """
    parts = ("X", "y", "grid", "baseline", "candidate")
    if not training.keys() >= set(parts):
        return None
    X, y, grid, *curves = (np.asarray(training[part], np.float64).ravel() for part in parts)
    if X.size != y.size or {curve.size for curve in curves} != {grid.size}:
        return None
    truth = true_sinc(grid)
    apart = _farthest(curves[1], curves[0])
    with c.style("curve"):
        figure = Figure(figsize=(c.WIDTH_INCHES, 3.2), layout="constrained")
        ax = figure.subplots()
        ax.plot(X, y, ".", color=c.INK, alpha=0.25, markersize=3, label="training data")
        ax.plot(grid, truth, color=c.TRUTH_COLOUR, linewidth=1, label="true curve")
        _twins(ax, grid, curves, baseline, candidate)
        ax.set(xlabel="x", ylabel="y")
        ax.legend(fontsize=c.SMALL)
        ax.grid()
        title = f"What {baseline} and {candidate} learned"
        caption = (
            f"Dots: the {len(X)} training points. Both curves should lie on each other; how well "
            "they fit is a matter of the training, which is the same for both. Largest distance "
            f"between them: {apart}."
        )
        alt = (
            f"{title}: both curves over {len(X)} training points and the true curve. They are at "
            f"most {apart} apart; from the true curve {baseline} is at most "
            f"{_farthest(curves[0], truth)} away, {candidate} {_farthest(curves[1], truth)}."
        )
        return c.finish("curve", title, figure, caption, alt)


def _panels(cases: Sequence[CaseRow]) -> list[tuple[str, list[CaseRow]]]:
    """Part cases by phase; of many take some, evenly in their order, and both ends."""
    parts = [(phase, [row for row in cases if row.phase == phase]) for phase in PHASES]
    return [
        (phase, [rows[place] for place in np.linspace(0, len(rows) - 1, count).round().astype(int)])
        for phase, rows in parts
        if (count := min(len(rows), MOST_ROWS))
    ]


def _left_out(cases: Sequence[CaseRow]) -> str:
    """Say that not every case is drawn, if so."""
    most = max(sum(row.phase == phase for row in cases) for phase in PHASES)
    if most <= MOST_ROWS:
        return ""
    return (
        f" Of {most} cases of a phase {MOST_ROWS} are drawn, evenly from the smallest to the "
        "largest; the table has all."
    )


def _labels(rows: Sequence[CaseRow]) -> list[str]:
    """Name the networks of a panel on two lines; what all rows share is left out."""
    names = CaseNames.of_settings((row.dtype, row.threads) for row in rows)
    return [
        " · ".join([row.network, *names.setting(row.dtype, row.threads)]).replace(
            " batch", "\nbatch"
        )
        for row in rows
    ]


def _draw_ratio(ax: Axes, place: int, row: CaseRow) -> None:
    if math.isfinite(row.again_low) and math.isfinite(row.again_high):
        height = [place - 0.38, place + 0.38]
        ax.fill_betweenx(height, row.again_low, row.again_high, color=c.INK, alpha=0.2, linewidth=0)
    colour = {"FASTER": c.CANDIDATE_COLOUR, "SLOWER": c.BASELINE_COLOUR}.get(row.verdict, c.INK)
    if math.isfinite(row.ratio):
        ax.plot([row.ratio_low, row.ratio_high], [place, place], color=colour, linewidth=2)
        ax.plot(row.ratio, place, "o", color=colour, markersize=5.5)
    beside = ax.get_yaxis_transform()
    ax.text(1.02, place, _ratio_words(row), fontsize=c.SMALL, va="center", transform=beside)


def _ratio_words(row: CaseRow) -> str:
    value = significant(row.ratio) if math.isfinite(row.ratio) else ""
    return f"{value} {row.verdict.lower()}".strip() or "no ratio"


def _time_words(row: CaseRow, unit: str, length: float, baseline: str, candidate: str) -> str:
    times = [
        f"{name} {interval(point, low, high, length)[0]} {unit}"
        for name, (point, low, high) in (
            (baseline, row.times("baseline")),
            (candidate, row.times("candidate")),
        )
    ]
    return f"{row.phase} {row.network} {row.dtype}: {', '.join(times)}"


def _twins(
    ax: Axes, x: NDArray[Any], lines: Sequence[NDArray[Any]], baseline: str, candidate: str
) -> None:
    """Draw two lines that may lie on each other so that both are seen."""
    ax.plot(x, lines[0], color=c.BASELINE_COLOUR, linewidth=4, alpha=0.65, label=baseline)
    ax.plot(x, lines[1], "--", color=c.CANDIDATE_COLOUR, linewidth=1.2, label=candidate)


def _farthest(one: NDArray[Any], other: NDArray[Any]) -> str:
    return significant(float(np.abs(one - other).max()), 2)
