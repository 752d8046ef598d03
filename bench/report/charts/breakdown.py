"""Draws where the time of each phase goes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.analysis.breakdown import (
    ELEMENTWISE,
    LOSS,
    NAMES,
    PRODUCTS,
    REST,
    SHUFFLE,
    UPDATE,
    Split,
)
from bench.analysis.run_analysis import RunAnalysis
from bench.model.numbers import DASH, NARROW_SPACE, listing, significant, time_text
from bench.model.records import PHASES, Case, Phase
from bench.report.elements import chart as c
from bench.report.elements.case_names import CaseNames, cut
from bench.report.elements.case_rows import size_of
from bench.report.elements.chart import Chart
from bench.report.elements.sentences import slot_names

ANCHOR = "where"
# Okabe and Ito's colours; a pattern each as well, so that colour does not carry it alone.
LOOKS: Mapping[str, tuple[str, str]] = {
    PRODUCTS: ("#0072b2", ""),
    ELEMENTWISE: ("#e69f00", "////"),
    LOSS: ("#cc79a7", "xxxx"),
    UPDATE: ("#009e73", "...."),
    SHUFFLE: ("#56b4e9", "||||"),
    REST: ("#b8bcc0", r"\\\\"),
}
LONGEST_SLOT = 14
LEAST_SHARE = 1e-4
"""A smaller one is told as smaller."""
PAIR = 3.2
"""Height of the two bars of a network and of its name above them, in bars."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One phase of one network, taken apart on both sides."""

    case: Case
    baseline: Split
    candidate: Split

    @property
    def sides(self) -> tuple[Split, Split]:
        """Return both."""
        return self.baseline, self.candidate

    @property
    def saved_ns(self) -> float:
        """How much less the candidate takes; below 0 where it takes more."""
        return self.baseline.total_ns.point - self.candidate.total_ns.point

    @property
    def makes_the_difference(self) -> list[tuple[str, float]]:
        """Name the parts and their shares of `saved_ns`, the largest first; none if that is 0."""
        if not self.saved_ns:
            return []
        saved = {name: self.baseline.part_ns(name) - self.candidate.part_ns(name) for name in NAMES}
        shares = [(name, part_ns / self.saved_ns) for name, part_ns in saved.items()]
        return sorted(shares, key=lambda pair: -pair[1])


def pairs_of(analysis: RunAnalysis) -> tuple[Pair, ...]:
    """Take apart what was timed on both sides, small networks first."""
    run = analysis.run
    baseline, candidate = run.baseline.label, run.candidates[0].label
    found: dict[Case, dict[str, Split]] = {}
    for split in analysis.splits:
        found.setdefault(split.case, {})[split.worker] = split
    pairs = [
        Pair(case, of[baseline], of[candidate])
        for case, of in found.items()
        if baseline in of and candidate in of
    ]
    return tuple(
        sorted(pairs, key=lambda pair: (PHASES.index(pair.case.phase), *size_of(pair.case)))
    )


def breakdown_charts(analysis: RunAnalysis) -> list[Chart]:
    """Draw a chart for each phase that was taken apart."""
    pairs = pairs_of(analysis)
    names = slot_names(analysis.run)
    return [
        _chart(phase, mine, *names)
        for phase in PHASES
        if (mine := [pair for pair in pairs if pair.case.phase == phase])
    ]


def chart_name(phase: Phase) -> str:
    """Name the chart of a phase."""
    return f"{ANCHOR}-{phase}"


def percent_text(share: float) -> str:
    """Write a part of a time in percent."""
    if not math.isfinite(share):
        return f"{DASH} %"
    if 0 < share < LEAST_SHARE:
        return f"<{100 * LEAST_SHARE:g}{NARROW_SPACE}%"
    return f"{significant(100 * share, 2 if abs(share) < 0.995 else 3)}{NARROW_SPACE}%"


def _chart(phase: Phase, pairs: Sequence[Pair], baseline: str, candidate: str) -> Chart:
    """Draw the bars of both for every network, as parts of the baseline's time."""
    names_of = CaseNames.of(pair.case for pair in pairs)
    with c.style(chart_name(phase)):
        height = c.ROW_INCHES * 0.62 * PAIR * len(pairs) + 1.25
        figure = Figure(figsize=(c.WIDTH_INCHES, height), layout="constrained")
        ax = figure.subplots()
        ax.set_title(phase)
        farthest = 1.0
        for place, pair in enumerate(pairs):
            top = place * PAIR
            ax.text(
                0, top - 0.8, names_of.network(pair.case.problem), fontsize=c.SMALL, va="center"
            )
            for row, split in enumerate(pair.sides):
                whole = pair.baseline.total_ns.point
                farthest = max(farthest, _draw(ax, top + row, split, whole))
        names = [part.name for part in pairs[0].baseline.parts]
        handles: list[Any] = [_patch(name) for name in names]
        handles += ax.plot([], [], "D", color=c.INK, markersize=3.5, label="one wide")
        c.legend(figure, handles, columns=2)
        places = [place * PAIR + row for place in range(len(pairs)) for row in (0, 1)]
        ax.set_yticks(
            places,
            [cut(name, LONGEST_SLOT) for name in (baseline, candidate)] * len(pairs),
            fontsize=c.SMALL,
        )
        ax.set_ylim(len(pairs) * PAIR - 1.6, -1.4)
        ax.set_xlim(0, 102 * farthest)
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: c.number_on_axis(tick)))
        ax.set_xlabel(f"percent of {baseline}'s time for the same network")
        ax.grid(axis="x")
        title = f"Where the time of {phase} goes, {baseline} and {candidate}"
        caption = (
            f"Both bars of a network are parts of {baseline}'s time, which is 100 %; the outline "
            "is the time of the phase itself. A part that is not above 0 is drawn as nothing, and "
            f"the parts then reach beyond the outline. {_one_wide(pairs, baseline, candidate)}"
        )
        words = [
            f"{names_of.network(pair.case.problem)}: "
            + "; ".join(
                _words(name, split, pair.baseline.total_ns.point)
                for name, split in zip((baseline, candidate), pair.sides, strict=True)
            )
            for pair in pairs
        ]
        return c.finish(chart_name(phase), title, figure, caption, f"{title}. {'. '.join(words)}.")


def _one_wide(pairs: Sequence[Pair], baseline: str, candidate: str) -> str:
    """Say what the grey bar is, and where the marks lie."""
    told = []
    for name, splits_ in (
        (baseline, [pair.baseline for pair in pairs]),
        (candidate, [pair.candidate for pair in pairs]),
    ):
        known = [(one.one_wide_ns.point, one.total_ns.point) for one in splits_ if one.one_wide_ns]
        if known:
            shares = [one_wide / total for one_wide, total in known]
            ends = list(dict.fromkeys(map(percent_text, (min(shares), max(shares)))))
            times = list(dict.fromkeys(time_text(end) for end in (min(known)[0], max(known)[0])))
            told.append(f"{name} {' to '.join(times)}, {' to '.join(ends)} of its own time")
    made = (
        f"{REST[0].upper()}{REST[1:]} is what is left of the phase: statements between the calls, "
        "checks, results made anew, colder caches."
    )
    if not told:
        return made
    return (
        f"{made} The mark is the same phase of a network as deep and one wide: {'; '.join(told)}."
    )


def _draw(ax: Axes, y: float, split: Split, whole_ns: float) -> float:
    """Draw one bar and return how far it reaches, as a part of the whole."""
    left = 0.0
    for part in split.parts:
        width = 100 * max(0.0, part.time_ns.point) / whole_ns
        colour, hatch = LOOKS[part.name]
        ax.barh(y, width, 0.8, left, color=colour, hatch=hatch, edgecolor=c.INK, linewidth=0.3)
        left += width
    total = split.total_ns.point / whole_ns
    ax.barh(y, 100 * total, 0.8, fill=False, edgecolor=c.INK, linewidth=0.9)
    reach = [total, left / 100]
    if split.one_wide_ns is not None:
        ax.plot(100 * split.one_wide_ns.point / whole_ns, y, "D", color=c.INK, markersize=3.5)
        reach.append(split.one_wide_ns.point / whole_ns)
    ax.text(
        1.02,
        y,
        f"{percent_text(total)} · {time_text(split.total_ns.point)}",
        fontsize=c.SMALL,
        va="center",
        transform=ax.get_yaxis_transform(),
    )
    return max(reach)


def _patch(name: str) -> Patch:
    colour, hatch = LOOKS[name]
    return Patch(facecolor=colour, hatch=hatch, edgecolor=c.INK, linewidth=0.3, label=name)


def _words(name: str, split: Split, whole_ns: float) -> str:
    parts = [f"{part.name} {percent_text(part.time_ns.point / whole_ns)}" for part in split.parts]
    return f"{name} {percent_text(split.total_ns.point / whole_ns)}, of it {listing(parts)}"
