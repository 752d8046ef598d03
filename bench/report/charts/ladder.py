"""Draws the ladder: every variant's time on one log axis, and its ratio beside it. No files.

One column of a phone's width, a row a variant: as high as it needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.model.numbers import count_text, ratio_text, significant, unit_for
from bench.model.records import Estimate, Phase
from bench.report.elements import chart as c
from bench.report.elements.case_names import cut
from bench.report.elements.chart import Chart
from bench.report.elements.sentences import MARKS

ROW_INCHES, GROUP_INCHES, EDGE_INCHES = 0.17, 0.26, 0.98
LEFT, RIGHT = 0.225, 0.6
"""Where the axis begins and ends, as parts of the width: names stand before, ratios after."""
MOST_ROWS = 120
"""Of a chart; networks beyond are in the table of results."""
LONGEST_NAME, LONGEST_NETWORK, LONGEST_HEAD = 15, 60, 26
FAMILIES: tuple[tuple[str, str, str, str], ...] = (
    ("python", "Python and NumPy", c.BASELINE_COLOUR, "o"),
    ("mojo", "Mojo", c.CANDIDATE_COLOUR, "D"),
    ("other", "others", c.TRUTH_COLOUR, "s"),
)
"""Of implementations: key, name, colour and marker."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One implementation in one case."""

    name: str  # for people
    family: str  # a key of `FAMILIES`
    time_ns: Estimate | None  # of one repetition; None where nothing may be said
    ratio: Estimate | None  # of the baseline's time over its own; None: it is the baseline, or none
    verdict: str  # empty where it is the baseline
    is_baseline: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """The variants of one network, in the order of the ladder."""

    network: str
    variants: Sequence[Variant]


def family_of(implementation: str) -> str:
    """Say to which family an implementation belongs, by its name."""
    first = implementation.partition("-")[0]
    return {"python": "python", "numpy": "python", "mojo": "mojo"}.get(first, "other")


def ladder_chart(phase: Phase, groups: Sequence[Group], baseline: str) -> Chart | None:
    """Draw one phase of all networks.

    Args:
        phase: Which.
        groups: Small networks first.
        baseline: Display name.

    Returns:
        The chart, or None where no variant has a time.
    """
    shown = _that_fit(
        [group for group in groups if any(variant.time_ns for variant in group.variants)]
    )
    times = [
        end
        for group in shown
        for variant in group.variants
        if variant.time_ns
        for end in (variant.time_ns.point, variant.time_ns.low, variant.time_ns.high)
        if math.isfinite(end) and end > 0
    ]
    if not times:
        return None
    unit, length = unit_for([min(times)])
    name = f"ladder-{phase}"
    with c.style(name):
        inches = [ROW_INCHES * len(group.variants) + GROUP_INCHES for group in shown]
        height = sum(inches) + EDGE_INCHES
        figure = Figure(figsize=(c.WIDTH_INCHES, height))
        bottom, top = 0.42 / height, 1 - (EDGE_INCHES - 0.42) / height
        ax = figure.add_axes((LEFT, bottom, RIGHT - LEFT, top - bottom))
        c.log_scale(ax, "x", min(times) / length, max(times) / length)
        handles = _draw(ax, shown, length)
        ax.set_xlabel(f"time of one repetition, {unit} (log scale)")
        beside = cut(f"{baseline} time / its own", LONGEST_HEAD)
        figure.text(RIGHT + 0.02, top, beside, fontsize=c.SMALL, va="bottom")
        _legend(figure, handles, baseline)
        title = f"The ladder: {phase}"
        left = len(groups) - len(shown)
        caption = (
            "Every variant's median time with its 95 % interval (where none is seen it is narrower "
            f"than the mark), one axis for all networks: to the left is faster. The line in each "
            f"group is {baseline}. Beside it {baseline}'s time over the variant's, with interval "
            "and the sign of its verdict. A variant that a network lacks took no part in it."
            + (f" {count_text(left, 'network')} more in the table of results." if left else "")
        )
        words = [
            f"{group.network}: "
            + ", ".join(_words(variant, unit, length) for variant in group.variants)
            for group in shown
        ]
        return c.finish(name, title, figure, caption, f"{title}. {'. '.join(words)}.")


def _that_fit(groups: Sequence[Group]) -> list[Group]:
    """Take the first groups that have room."""
    shown: list[Group] = []
    rows = 0
    for group in groups:
        rows += len(group.variants)
        if shown and rows > MOST_ROWS:
            break
        shown.append(group)
    return shown


def _draw(ax: Axes, groups: Sequence[Group], length: float) -> Mapping[str, object]:
    """Draw the groups from top to bottom; return a handle for each family and the line."""
    handles: dict[str, object] = {}
    looks = {key: (colour, marker) for key, _, colour, marker in FAMILIES}
    step = GROUP_INCHES / ROW_INCHES  # what stands above a group, in rows
    labels, places = [], []
    top = 0.0
    beside = ax.get_yaxis_transform()
    for group in groups:
        network = cut(group.network, LONGEST_NETWORK)
        ax.text(
            -(LEFT - 0.02) / (RIGHT - LEFT), top + 0.6 * step, network, fontsize=c.SMALL,
            fontweight="bold", va="center", transform=beside,
        )  # fmt: skip
        first = top + step
        for place, variant in enumerate(group.variants):
            y = first + place + 0.5
            labels.append(cut(variant.name, LONGEST_NAME))
            places.append(y)
            colour, marker = looks[variant.family]
            time = variant.time_ns
            if time is not None:
                if math.isfinite(time.low) and math.isfinite(time.high):
                    ax.hlines(y, time.low / length, time.high / length, color=colour, linewidth=2)
                (handle,) = ax.plot(
                    time.point / length, y, marker, color=colour, markersize=4.5, linestyle=""
                )
                handles.setdefault(variant.family, handle)
                if variant.is_baseline:
                    ends = [first, first + len(group.variants)]
                    x = [time.point / length] * 2
                    (line,) = ax.plot(x, ends, color=c.INK, linewidth=0.7, alpha=0.5, zorder=1)
                    handles["line"] = line
            ax.text(
                1.03, y, _beside(variant), fontsize=c.SMALL - 0.5, va="center", transform=beside
            )
        top = first + len(group.variants)
    ax.set_yticks(places, labels, fontsize=c.SMALL - 0.5)
    ax.set_ylim(top, 0)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")
    return handles


def _legend(figure: Figure, handles: Mapping[str, object], baseline: str) -> None:
    names = {key: name for key, name, *_ in FAMILIES} | {"line": baseline}
    found = []
    for key, handle in handles.items():
        handle.set_label(names[key])  # type: ignore[attr-defined]
        found.append(handle)
    figure.legend(handles=found, loc="upper left", ncols=4, columnspacing=1.2, handlelength=1.2)


def _beside(variant: Variant) -> str:
    """Write what stands beside a variant: its verdict's sign and its ratio."""
    if variant.is_baseline:
        return "1"
    sign = MARKS.get(variant.verdict, "")
    if variant.verdict == "INVALID":
        return f"{sign} INVALID"
    return f"{sign} {ratio_text(variant.ratio)}".strip() if variant.ratio else sign


def _words(variant: Variant, unit: str, length: float) -> str:
    time = f" {significant(variant.time_ns.point / length)} {unit}" if variant.time_ns else ""
    if variant.is_baseline:
        return f"{variant.name}{time}"
    told = " ".join(
        filter(
            None,
            (significant(variant.ratio.point) if variant.ratio else "", variant.verdict.lower()),
        )
    )
    return f"{variant.name}{time} ({told or 'no ratio'})"
