"""Draws each case below the roofs of the machine, and tables the bytes it must move. No files.

A case's intensity is its arithmetic over the bytes that it must move at least once
(`bench.model.arithmetic.least_bytes`); its roof there is what the measured peak and bandwidths
allow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.run_analysis import RunAnalysis
from bench.model.arithmetic import flops, least_bytes
from bench.model.cases import case_text, network_text
from bench.model.numbers import NARROW_SPACE, count_text, interval, listing, significant
from bench.model.records import PHASES, Case, DType, Phase, Rate, Result
from bench.model.tables import Table
from bench.report.elements import chart as c
from bench.report.elements.chart import Chart
from bench.report.elements.sentences import slot_names

HEIGHT_INCHES = 4.0
MOST_CHARTS = 12
"""Of a dtype and number of threads each; the table has all."""
MOST_LABELLED = 12
"""Networks of a chart whose points bear a number."""
MARKERS: dict[str, str] = {"forward": "o", "backprop": "s", "epoch": "^"}
COLOURS = {"baseline": c.BASELINE_COLOUR, "candidate": c.CANDIDATE_COLOUR}
SLOPES: tuple[tuple[Phase, str, str], ...] = (("memory", "memory", "--"), ("cache", "cache", ":"))
"""Roofs that rise with the intensity: probe, name, line."""

BYTES: tuple[tuple[str, float], ...] = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0))


@dataclass(frozen=True, slots=True)
class Roofs:
    """What the machine can do: GFLOP/s, and GB/s by probe, as far as they were measured."""

    peak: float
    slopes: Mapping[str, float]

    def at(self, intensity: float) -> tuple[float, str]:
        """Return the roof of data that lies in memory, in GFLOP/s, and what limits it there."""
        slope = self.slopes.get("memory", math.inf) * intensity
        return min((self.peak, "peak"), (slope, "memory"))


@dataclass(frozen=True, slots=True)
class Point:
    """One case of both sides: FLOP per byte, and GFLOP/s with its interval by role."""

    case: Case
    intensity: float
    rates: Mapping[str, tuple[float, float, float]]

    def bandwidth(self, role: str) -> tuple[float, float, float]:
        """Return GB/s of the bytes that must move at least once, with its interval."""
        point, low, high = (rate / self.intensity for rate in self.rates[role])
        return point, low, high


def rooflines(analysis: RunAnalysis) -> tuple[list[Chart], Table]:
    """Draw and table what a run with probes says; neither has anything without a peak."""
    run = analysis.run
    names = dict(zip(COLOURS, slot_names(run), strict=True))
    labels = {"baseline": run.baseline.label, "candidate": run.candidates[0].label}
    roofs = roofs_of(analysis.rates)
    points = points_of(analysis.results, labels)
    return roofline_charts(points, roofs, names), bytes_table(points, roofs, names)


def points_of(results: Iterable[Result], labels: Mapping[str, str]) -> list[Point]:
    """Place every case that has times and is not INVALID; `labels` names the slot of a role."""
    found: dict[Case, Point] = {}
    for result in results:
        case = result.case
        if case.phase not in PHASES or result.ratio is None or case in found:
            continue
        if labels["candidate"] not in result.times:  # it does not offer this phase
            continue
        amount = flops(case)
        reached = {}
        for role in COLOURS:
            time = result.times[labels[role]].median_ns
            reached[role] = (amount / time.point, amount / time.high, amount / time.low)
        found[case] = Point(case, amount / least_bytes(case), reached)
    return list(found.values())


def roofs_of(found: Iterable[Rate]) -> dict[tuple[DType, int], Roofs]:
    """Sort what the probes found by dtype and threads; a bandwidth is that of every dtype."""
    found = list(found)
    return {
        (peak.dtype, peak.threads): Roofs(
            peak.estimate.point,
            {
                rate.phase: rate.estimate.point
                for rate in found
                if rate.phase != "peak" and rate.threads == peak.threads
            },
        )
        for peak in found
        if peak.phase == "peak"
    }


def roofline_charts(
    points: Sequence[Point], roofs: Mapping[tuple[DType, int], Roofs], names: Mapping[str, str]
) -> list[Chart]:
    """Draw a chart for each dtype and number of threads that has a peak and a case."""
    charts: list[Chart] = []
    for (dtype, threads), roof in roofs.items():
        mine = [
            point
            for point in points
            if (point.case.problem.dtype, point.case.problem.threads) == (dtype, threads)
        ]
        if mine and len(charts) < MOST_CHARTS:
            where = f"{dtype}, {count_text(threads, 'thread')}"
            charts.append(_chart(f"roofline_{dtype}_t{threads}", where, mine, roof, names))
    return charts


def _chart(
    name: str, where: str, points: Sequence[Point], roofs: Roofs, names: Mapping[str, str]
) -> Chart:
    networks = list(dict.fromkeys(network_text(point.case.problem) for point in points))
    numbers = {network: place + 1 for place, network in enumerate(networks)}
    labelled = len(networks) <= MOST_LABELLED
    with c.style(name):
        figure = Figure(figsize=(c.WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
        ax = figure.subplots()
        low, high = _draw_roofs(ax, points, roofs)
        for point in points:
            network = network_text(point.case.problem)
            _draw_point(ax, point, str(numbers[network]) if labelled else "")
        handles = list(ax.get_legend_handles_labels()[0])
        for role, colour in COLOURS.items():
            handles += ax.plot([], [], "o", color=colour, label=names[role])
        phases = {point.case.phase for point in points}
        for phase in (phase for phase in PHASES if phase in phases):
            look: dict[str, Any] = {"color": c.INK, "markerfacecolor": "none", "linestyle": ""}
            handles += ax.plot([], [], marker=MARKERS[phase], label=phase, **look)
        c.legend(figure, handles)
        reached = [rate[0] for point in points for rate in point.rates.values()]
        c.log_scale(ax, "x", low, high)
        c.log_scale(ax, "y", 0.8 * min(reached), max(roofs.peak, *reached))
        ax.set(xlabel="FLOP per byte that must move at least once (log scale)", ylabel="GFLOP/s")
        ax.grid()
        title = f"Roofline, {where}"
        below = [
            f"{names[role]} reaches {min(percent):.0f} to {max(percent):.0f} % of the peak"
            for role in COLOURS
            if (percent := [100 * point.rates[role][0] / roofs.peak for point in points])
        ]
        key = "; ".join(f"{number}: {network}" for network, number in numbers.items())
        caption = (
            f"No point can lie above the measured peak. {_slopes_text(roofs)}{listing(below)}. "
            f"A line joins the two sides of a case.{f' Networks: {key}.' if labelled else ''}"
        )
        words = "; ".join(_words(point, names) for point in points)
        return c.finish(name, title, figure, caption, f"{title}: {'; '.join(below)}. {words}.")


def _draw_roofs(ax: Axes, points: Sequence[Point], roofs: Roofs) -> tuple[float, float]:
    """Draw what limits; return the ends of the axis that show all points and where roofs meet."""
    ridges = [roofs.peak / slope for slope in roofs.slopes.values()]
    xs = [point.intensity for point in points] + ridges
    low, high = min(xs) / 2, max(xs) * 2
    peak = f"peak {significant(roofs.peak)} GFLOP/s"
    ax.plot([low / 2, high * 2], [roofs.peak] * 2, "-", color=c.INK, linewidth=1.2, label=peak)
    for probe, name, line in SLOPES:
        if probe in roofs.slopes:
            slope = roofs.slopes[probe]
            x = np.array([low / 2, roofs.peak / slope])
            label = f"{name} {significant(slope)} GB/s"
            ax.plot(x, x * slope, line, color=c.INK, linewidth=1.2, label=label)
    return low, high


def _slopes_text(roofs: Roofs) -> str:
    names = [name for probe, name, _ in SLOPES if probe in roofs.slopes]
    if not names:
        return ""
    return (
        f"A sloped roof holds for data that comes from the {' or the '.join(names)} each time; "
        "points above it show that data stayed nearer to the core. "
    )


def _draw_point(ax: Axes, point: Point, number: str) -> None:
    """Draw one case: both sides, their intervals, the line between them, its network's number."""
    x, marker = point.intensity, MARKERS[point.case.phase]
    values = [rate[0] for rate in point.rates.values()]
    ax.plot([x, x], [min(values), max(values)], color=c.INK, linewidth=0.6, alpha=0.4)
    for role, (rate, low, high) in point.rates.items():
        ax.plot([x, x], [low, high], color=COLOURS[role], linewidth=2)
        ax.plot(x, rate, marker, color=COLOURS[role], markersize=4.5)
    if number:
        away: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "top"}
        ax.annotate(number, (x, min(values)), (0, -4), fontsize=c.SMALL - 0.5, **away)


def _words(point: Point, names: Mapping[str, str]) -> str:
    texts = [f"{names[role]} {_rate(point.rates[role])} GFLOP/s" for role in COLOURS]
    text = f"{significant(point.intensity)} FLOP per byte"
    return f"{case_text(point.case)}, {text}: {', '.join(texts)}"


def bytes_table(
    points: Sequence[Point], roofs: Mapping[tuple[DType, int], Roofs], names: Mapping[str, str]
) -> Table:
    """Table what each case must move at least once, how fast it did, and its roof."""
    rows = []
    for point in points:
        case = point.case
        roof = roofs.get((case.problem.dtype, case.problem.threads))
        if roof is None:
            continue
        limit, what = roof.at(point.intensity)
        rows.append(
            (
                case_text(case),
                _bytes_text(least_bytes(case)),
                significant(point.intensity),
                *(_rate(point.bandwidth(role)) for role in COLOURS),
                f"{significant(limit)} ({what})",
                *(f"{100 * point.rates[role][0] / limit:.1f}" for role in COLOURS),
            )
        )
    heads = (
        *("case", "moves at least", "FLOP/byte"),
        *(f"{names[role]}, GB/s" for role in COLOURS),
        "roof from memory, GFLOP/s",
        *(f"{names[role]}, % of it" for role in COLOURS),
    )
    return Table(heads, rows, "Bytes that must move at least once")


def _bytes_text(count: int) -> str:
    unit, size = next((one for one in BYTES if count >= one[1]), BYTES[-1])
    return f"{significant(count / size)}{NARROW_SPACE}{unit}"


def _rate(rate: tuple[float, float, float]) -> str:
    """Write a rate to the digits its interval supports."""
    return interval(*rate)[0]
