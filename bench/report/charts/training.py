"""A training of both sides -> one figure: what they learned, their losses, their wall times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.model.numbers import significant
from bench.report.elements import chart as c
from bench.report.elements.chart import Chart
from bench.training.datasets import Task
from bench.training.train import (
    Settings,
    Side,
    accuracy,
    grid_of,
    is_curve,
    mean_error,
    smoothed,
    unscaled,
)
from bench.workers.datasets import true_sinc

Array = NDArray[Any]

SIZE_INCHES = (9.0, 6.6)
COLOURS = (c.BASELINE_COLOUR, c.CANDIDATE_COLOUR)
# The first is wide and the second thin and dashed, so that both are seen where they coincide.
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": c.BASELINE_COLOUR, "linewidth": 3.5, "alpha": 0.65},
    {"color": c.CANDIDATE_COLOUR, "linewidth": 1.2, "linestyle": "--"},
)


def training_chart(task: Task, settings: Settings, sides: Sequence[Side]) -> Chart:
    """Draw both trainings, also where one ran away."""
    with c.style("training"), np.errstate(all="ignore"):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        axes = figure.subplot_mosaic(
            [["fit", "training"], ["fit", "validation"], ["time", "time"]],
            height_ratios=[3, 3, 1.3],
        )
        fit = _draw_fit(axes["fit"], task, sides)
        losses = [(side.name, side.training_loss) for side in sides]
        ends = _draw_losses(
            axes["training"], "training loss: mean, range of batches", losses, settings.epochs
        )
        losses = [(side.name, side.validation_loss) for side in sides]
        held = _draw_losses(
            axes["validation"], "validation loss: mean, range of batches", losses, settings.epochs
        )
        axes["training"].legend(fontsize=c.SMALL)
        axes["validation"].set_xlabel("epoch")
        _draw_times(axes["time"], sides)
        names = " and ".join(side.name for side in sides)
        title = f"{names} trained on {task.title}"
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        caption = (
            f"{settings.epochs} epochs, batches of {settings.batch_size}, learning rate "
            f"{settings.rate:g}, seed {settings.seed}, {task.data.X.dtype.name}, "
            f"threads: {settings.threads}. Lines of loss are means, bands reach from the least to "
            "the largest loss of a single batch. Wall times are of this one training, one side "
            "after the other: bench run measures."
        )
        alt = f"{title}. {fit}. Training loss: {ends}. Validation loss: {held}. {times(sides)}."
        return c.finish("training", title, figure, caption, alt)


def outcome(task: Task, side: Side) -> str:
    """Say how well a side does on the test rows, which no training saw."""
    # The targets as they were before they were scaled.
    targets = unscaled(task.data.y_test, task.scaling)
    if not np.isfinite(side.predictions).all():
        return "not finite"
    if task.classes:
        return f"{accuracy(side.predictions, targets):.1%} right"
    return f"mean error {significant(mean_error(side.predictions, targets))}"


def times(sides: Sequence[Side]) -> str:
    """Say the wall times in a sentence, without a verdict: they are one reading each."""
    return "Wall time: " + ", ".join(f"{side.name} {significant(side.seconds)} s" for side in sides)


def _draw_fit(ax: Axes, task: Task, sides: Sequence[Side]) -> str:
    """Draw what was learned; say it in words."""
    if is_curve(task):
        return _draw_curves(ax, task, sides)
    targets = unscaled(task.data.y_test, task.scaling)
    if task.classes:
        return _draw_classes(ax, targets, task, sides)
    return _draw_predictions(ax, targets, task, sides)


def _draw_curves(ax: Axes, task: Task, sides: Sequence[Side]) -> str:
    """Draw data, the true curve and both fits."""
    grid = grid_of(sides).astype(np.float64).ravel()
    truth = true_sinc(grid)
    ax.set_title("data, true curve and both fits")
    X, y = task.data.X.ravel(), task.data.y.ravel()
    ax.plot(X, y, ".", color=c.INK, alpha=0.25, markersize=3, label="training data")
    ax.plot(grid, truth, color=c.TRUTH_COLOUR, linewidth=1, label="true curve")
    for side, look in zip(sides, LOOKS, strict=True):
        curve = _shown(side.curve.ravel())
        ax.plot(grid, curve, label=side.name, **look)
    ax.set(xlabel="x", ylabel="y")
    ax.legend(fontsize=c.SMALL)
    ax.grid()
    words = [
        f"{side.name} is at most {_farthest(side.curve.ravel(), truth)} from the true curve"
        for side in sides
    ]
    return "; ".join(words)


def _draw_classes(ax: Axes, targets: Array, task: Task, sides: Sequence[Side]) -> str:
    """Draw the share of test rows that each side gets right, class by class."""
    classes = targets.shape[1]
    truth = targets.argmax(axis=1)
    ax.set_title(f"right on {len(targets)} test rows, by digit")
    height = 0.38
    for place, (side, colour) in enumerate(zip(sides, COLOURS, strict=True)):
        right = side.predictions.argmax(axis=1) == truth
        shares = [float(np.mean(right[truth == one])) if (truth == one).any() else 0.0
                  for one in range(classes)]  # fmt: skip
        rows = np.arange(classes) + (place - 0.5) * height
        label = f"{side.name}: {outcome(task, side)}"
        ax.barh(rows, shares, height, color=colour, label=label)
    ax.set(yticks=range(classes), xlim=(0, 1), ylim=(classes + 0.9, -0.6))
    ax.set(xlabel="share of rows", ylabel="digit")
    ax.legend(fontsize=c.SMALL, loc="lower left")
    ax.grid(axis="x")
    return "; ".join(f"{side.name}: {outcome(task, side)}" for side in sides)


def _draw_predictions(ax: Axes, targets: Array, task: Task, sides: Sequence[Side]) -> str:
    """Draw what each side predicts of the test rows over what was true."""
    ax.set_title(f"{len(targets)} test rows")
    ends = [float(targets.min()), float(targets.max())]
    ax.plot(ends, ends, color=c.TRUTH_COLOUR, linewidth=1, label="as it was")
    looks: tuple[dict[str, Any], ...] = (
        {"color": c.BASELINE_COLOUR, "marker": "o", "markersize": 6, "alpha": 0.65},
        {"color": c.CANDIDATE_COLOUR, "marker": "D", "markersize": 2.5},
    )
    for side, look in zip(sides, looks, strict=True):
        label = f"{side.name}: {outcome(task, side)}"
        shown = _shown(side.predictions.ravel())
        ax.plot(targets.ravel(), shown, linestyle="", label=label, **look)
    ax.set(xlabel="true", ylabel="predicted")
    ax.legend(fontsize=c.SMALL)
    ax.grid()
    return "; ".join(f"{side.name}: {outcome(task, side)}" for side in sides)


def _draw_losses(ax: Axes, title: str, losses: Sequence[tuple[str, Array]], epochs: int) -> str:
    """Draw the losses of both, smoothed over the range of single batches; say their ends."""
    ax.set_title(title)
    ends = []
    drawn: list[Array] = []
    for (name, loss), look in zip(losses, LOOKS, strict=True):
        if not epochs or not loss.size:
            continue
        epoch, mean, low, high = smoothed(loss, epochs)
        mean, low, high = (np.where(line > 0, line, np.nan) for line in (mean, low, high))
        drawn += [mean, low, high]
        colour = look["color"]
        ax.fill_between(epoch, low, high, color=colour, alpha=0.18, linewidth=0)
        ax.plot(epoch, mean, label=name, **look)
        ends.append(f"{name} from {significant(float(mean[0]))} to {significant(float(mean[-1]))}")
    numbers = np.concatenate(drawn) if drawn else np.empty(0)
    numbers = numbers[np.isfinite(numbers)]
    if numbers.size:
        c.log_scale(ax, "y", float(numbers.min()), float(numbers.max()))
    else:
        ax.text(0.5, 0.5, "none that can be drawn", ha="center", transform=ax.transAxes)
        ax.set_yticks([])
    ax.grid()
    return ", ".join(ends) or "none"


def _draw_times(ax: Axes, sides: Sequence[Side]) -> None:
    """Draw the wall time of each."""
    ax.set_title("wall time of this training")
    longest = max(side.seconds for side in sides) or 1.0
    for place, (side, colour) in enumerate(zip(sides, COLOURS, strict=True)):
        ax.barh(place, side.seconds, 0.6, color=colour)
        text = f"{significant(side.seconds)} s"
        ax.text(side.seconds + longest / 100, place, text, va="center", fontsize=c.SMALL)
    ax.set_yticks(range(len(sides)), [side.name for side in sides])
    ax.set(xlim=(0, longest * 1.12), ylim=(len(sides) - 0.5, -0.5), xlabel="seconds")
    ax.grid(axis="x")


def _shown(values: Array) -> Array:
    """Leave out what no axis can hold."""
    values = values.astype(np.float64)
    return np.where(np.abs(values) < 1e100, values, np.nan)


def _farthest(one: Array, other: Array) -> str:
    return significant(float(np.abs(one.astype(np.float64) - other).max()), 2)
