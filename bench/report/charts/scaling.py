"""Draws time against work, and against one axis of a network at a time. No statistics, no files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from bench.analysis.scaling import Fitted, Measured, Setting, Sweep
from bench.model.arithmetic import flops
from bench.model.numbers import count_text, interval, time_text, unit_for
from bench.model.records import Case, Estimate
from bench.model.workload import Axis, rest_text
from bench.report.elements import chart as c
from bench.report.elements.chart import Chart
from bench.report.elements.scaling_text import flop_unit, slope_text

PANEL_INCHES = 2.1
MOST_MARKED = 30
"""Points of a panel that are drawn at full size."""
MOST_TICKS = 7
NEAR = 0.01
"""An empty call is drawn where it is at least this part of the shortest time of its panel."""
NEAR_WIDE = 0.1
"""The same for the times of networks one wide, of which there is one for each network."""
AXIS_LABELS: dict[Axis, str] = {
    "width": "width of the hidden layers",
    "depth": "hidden layers",
    "batch": "batch size",
    "rows": "training rows",
}
ROLES = ("baseline", "candidate")
LOOKS: dict[str, dict[str, Any]] = {  # both markers are seen where they coincide
    "baseline": {"color": c.BASELINE_COLOUR, "marker": "o", "markersize": 6},
    "candidate": {"color": c.CANDIDATE_COLOUR, "marker": "D", "markersize": 3.5},
}
Names = Mapping[str, str]
"""Display name by role."""
Calls = Mapping[str, float]
"""Nanoseconds of an empty call by role, as far as they are known."""
OneWide = Mapping[str, Mapping[Case, float]]
"""Nanoseconds of the phase of a case in a network as deep and one wide, by role, where known."""


def scaling_chart(
    name: str,
    settings: Sequence[tuple[Setting, Fitted]],
    names: Names,
    labels: Names,
    calls: Calls,
    one_wide: OneWide,
    peak: float | None,
) -> Chart:
    """Draw time over arithmetic of both, a panel per phase, of one dtype and number of threads.

    Args:
        name: Stem of the chart's file.
        settings: At least one, with at least one case each, and how time grows in it.
        names: Display name by role.
        labels: Label of the slot by role.
        calls: What an empty call takes, by role.
        one_wide: What a case takes where every layer is one wide: dispatch, whatever the size.
        peak: What the machine can do, in FLOP per nanosecond; None if it was not measured.

    Returns:
        The chart, with each exponent in its caption's words.
    """
    first = settings[0][0]
    with c.style(name):
        figure, axes = _panels(len(settings))
        words = []
        handles: dict[str, Any] = {}
        drawn: set[str] = set()
        for ax, (setting, fit) in zip(axes, settings, strict=True):
            sizes = np.array([flops(one.case) for one in setting.cases], np.float64)
            ax.set_title(setting.phase)
            handles |= _draw(ax, sizes, setting.cases, fit, names, labels)
            if peak:
                ends = np.array([sizes.min(), sizes.max()])
                (handles["at the measured peak"],) = ax.plot(
                    ends, ends / peak, ":", color=c.INK, linewidth=1.2
                )
            shortest = min(_times(setting.cases, labels, "low"), default=math.nan)
            for role, call_ns in calls.items():
                if call_ns >= NEAR * shortest:
                    line = ax.axhline(
                        call_ns, color=LOOKS[role]["color"], linewidth=1, linestyle="-."
                    )
                    handles[f"{names[role]}, empty call"] = line
                    shortest = min(shortest, call_ns)
                    drawn.add(role)
            for role, times in one_wide.items():
                known = [times.get(one.case, math.nan) for one in setting.cases]
                least = float(np.nanmin([math.inf, *known]))
                if NEAR_WIDE * shortest <= least < math.inf:
                    (handles[f"{names[role]}, one wide"],) = ax.plot(
                        sizes, known, "-.", color=LOOKS[role]["color"], linewidth=1
                    )
                    shortest = min(shortest, least)
            longest = max(_times(setting.cases, labels, "high"), default=math.nan)
            _time_axis(ax, shortest, longest)
            c.log_scale(ax, "x", float(sizes.min()), float(sizes.max()))
            ax.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: _flop_tick(tick)))
            words.append(f"{setting.phase}: {_growth(fit, names)}")
        axes[-1].set_xlabel("FLOP of one repetition (log scale)")
        _legend(figure, handles)
        where = f"{first.dtype}, {count_text(first.threads, 'thread')}"
        title = f"Time against work, {where}"
        caption = (
            "Medians of one repetition with 95 % intervals, against the arithmetic of its matrix "
            f"products. {_dashed(words)}"
            f"{_call_words(calls, names, drawn)}{_one_wide_words(settings, one_wide, names)}"
            + (
                f" The dotted line is the same work at the measured peak of {peak:.3g} GFLOP/s."
                if peak
                else ""
            )
        )
        ranges = "; ".join(
            f"{setting.phase}: {_range_words(setting, names, labels)}" for setting, _ in settings
        )
        return c.finish(
            name, title, figure, caption, f"{title}. {ranges}. Exponents: {'; '.join(words)}."
        )


def sweep_chart(name: str, sweeps: Sequence[Sweep], names: Names, labels: Names) -> Chart:
    """Draw time over one axis of a network of both, a panel per phase.

    Args:
        name: Stem of the chart's file.
        sweeps: At least one: along the same axis, of the same rest, a phase each.
        names: Display name by role.
        labels: Label of the slot by role.

    Returns:
        The chart, with each exponent in its caption's words.
    """
    first = sweeps[0]
    with c.style(name):
        figure, axes = _panels(len(sweeps))
        words = []
        handles: dict[str, Any] = {}
        for ax, sweep in zip(axes, sweeps, strict=True):
            cases = sweep.setting.cases
            values = np.array(sweep.values, np.float64)
            ax.set_title(sweep.setting.phase)
            handles |= _draw(ax, values, cases, sweep.fitted, names, labels)
            low = min(_times(cases, labels, "low"), default=math.nan)
            high = max(_times(cases, labels, "high"), default=math.nan)
            _time_axis(ax, low, high)
            c.log_scale(ax, "x", float(values.min()), float(values.max()))
            if len(values) <= MOST_TICKS:
                ax.xaxis.set_major_locator(FixedLocator(list(values)))
            ax.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: c.number_on_axis(tick)))
            words.append(f"{sweep.setting.phase}: {_growth(sweep.fitted, names)}")
        label = AXIS_LABELS[first.axis]
        axes[-1].set_xlabel(f"{label} (log scale)")
        _legend(figure, handles)
        where = f"{rest_text(first.axis, first.rest)}, {first.setting.dtype}"
        threads = first.setting.threads
        where += f", {count_text(threads, 'thread')}" if threads != 1 else ""
        title = f"Time against {label}"
        caption = (
            f"Only the {label} differ{'' if first.axis in ('depth', 'rows') else 's'}: {where}. "
            f"Medians with 95 % intervals. {_dashed(words)}"
        )
        ranges = "; ".join(
            f"{one.setting.phase} at {', '.join(map(str, one.values))}: "
            f"{_range_words(one.setting, names, labels)}"
            for one in sweeps
        )
        return c.finish(
            name,
            title,
            figure,
            caption,
            f"{title}: {where}. {ranges}. Exponents: {'; '.join(words)}.",
        )


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(c.WIDTH_INCHES, PANEL_INCHES * count + 0.7), layout="constrained")
    return figure, list(figure.subplots(count, 1, squeeze=False)[:, 0])


def _draw(
    ax: Axes, x: Any, cases: Sequence[Measured], fit: Fitted, names: Names, labels: Names
) -> dict[str, Any]:
    """Draw both sides: points with their intervals, a band between them, the fitted line."""
    handles = {}
    for role, exponent in zip(ROLES, (fit.baseline, fit.candidate), strict=True):
        look = dict(LOOKS[role])
        found = [_time(one, labels[role]) for one in cases]
        point, low, high = (
            np.array([getattr(one, end) for one in found]) for end in ("point", "low", "high")
        )
        if len(cases) > MOST_MARKED:
            look["markersize"] /= 2
        if len(set(x)) == len(x):
            ax.fill_between(x, low, high, color=look["color"], alpha=0.25, linewidth=0)
        ax.vlines(x, low, high, color=look["color"], linewidth=2)
        (handles[names[role]],) = ax.plot(x, point, linestyle="", **look)
        if exponent:
            ends = np.array([exponent.low, exponent.high])
            line = np.exp(exponent.start + exponent.slope.point * np.log(ends))
            ax.plot(ends, line, "--", color=look["color"], linewidth=0.9)
    ax.grid()
    return handles


def _time_axis(ax: Axes, low: float, high: float) -> None:
    c.log_scale(ax, "y", low, high)
    ax.set_ylabel("one repetition")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: _time_tick(tick)))


def _times(cases: Sequence[Measured], labels: Names, end: str) -> list[float]:
    """List the times of both sides, or the ends of their intervals where there are any."""
    found = [_time(one, labels[role]) for one in cases for role in ROLES]
    values = [getattr(one, end) for one in found]
    return [
        value if math.isfinite(value) else one.point
        for value, one in zip(values, found, strict=True)
    ]


def _time(one: Measured, label: str) -> Estimate:
    return one.result.times[label].median_ns


def _time_tick(value: float) -> str:
    """Write a time on an axis: `100 µs`, `1 ms`."""
    unit, length = unit_for([value])
    return f"{c.number_on_axis(value / length)} {unit}"


def _flop_tick(value: float) -> str:
    """Write an amount on an axis: `100 k`, `1 M`."""
    unit, size = flop_unit(value)
    return f"{value / size:g} {unit.removesuffix('FLOP')}".strip()


def _legend(figure: Figure, handles: Mapping[str, Any]) -> None:
    for label, handle in handles.items():
        handle.set_label(label)
    c.legend(figure, handles.values())


def _growth(fit: Fitted, names: Names) -> str:
    """Say how time grows: `NumPy 0.94 (0.93–0.95), Mojo 0.99 (0.98–1.00)`."""
    parts = [
        f"{names[role]} {slope_text(exponent)}"
        for role, exponent in zip(ROLES, (fit.baseline, fit.candidate), strict=True)
        if exponent
    ]
    return ", ".join(parts) or "too few sizes to fit a line"


def _dashed(words: Sequence[str]) -> str:
    return f"Dashed lines by least squares, with their exponents: {'; '.join(words)}."


def _call_words(calls: Calls, names: Names, drawn: set[str]) -> str:
    """Say what an empty call costs, and where its line is not drawn."""
    if not calls:
        return ""
    told = ", ".join(f"{names[role]} {time_text(call_ns)}" for role, call_ns in calls.items())
    text = f" An empty call from Python takes {told}"
    if not drawn:
        return f"{text}: less than {NEAR:.0%} of every time here, and not drawn."
    return f"{text}: dash-dotted where it is at least {NEAR:.0%} of the shortest time."


def _one_wide_words(
    settings: Sequence[tuple[Setting, Fitted]], one_wide: OneWide, names: Names
) -> str:
    """Say what networks one wide take: the dispatch that no size gets below."""
    parts = []
    for setting, _ in settings:
        for role, times in one_wide.items():
            known = [times[one.case] for one in setting.cases if one.case in times]
            ends = list(dict.fromkeys(map(time_text, sorted(known)[:: max(1, len(known) - 1)])))
            parts += [f"{setting.phase} {names[role]} {' to '.join(ends)}"] if ends else []
    if not parts:
        return ""
    return (
        f" Networks as deep and one wide, which is dispatch alone, take: {', '.join(parts)}; "
        f"dash-dotted where it is at least {NEAR_WIDE:.0%} of the shortest time."
    )


def _range_words(setting: Setting, names: Names, labels: Names) -> str:
    """Say the times of the smallest and the largest case of both."""
    ends = [setting.cases[0], setting.cases[-1]]
    return ", ".join(
        f"{names[role]} {' to '.join(_time_words(_time(one, labels[role])) for one in ends)}"
        for role in ROLES
    )


def _time_words(estimate: Estimate) -> str:
    unit, length = unit_for([estimate.point])
    return f"{interval(estimate.point, estimate.low, estimate.high, length)[0]} {unit}"
