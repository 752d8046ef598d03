"""Draws the map of speed-ups: a row per network, a column per phase, a cell per ratio. No files.

A cell's ground is a tint over the page, light enough in the light and dark enough in the dark for
the page's own ink (tests/report/charts/test_map.py computes the contrast). Colour never tells
alone: the sign of the verdict stands in each cell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.model.arithmetic import flops
from bench.model.cases import case_id, network_text
from bench.model.numbers import count_text, interval, listing, significant
from bench.model.records import PHASES, Case, DType, Phase, Problem, Run
from bench.report.elements import chart as c
from bench.report.elements.case_names import CaseNames, cut
from bench.report.elements.case_rows import CaseRow
from bench.report.elements.chart import Chart
from bench.report.elements.sentences import MARKS, VERDICTS

FAINTEST, STRONGEST = 0.1, 0.55
"""Opacity of a cell's colour: of a ratio beside 1, and of the farthest one."""
LEAST_FARTHEST = 2.0
"""The ratio, or its inverse, that has the strongest colour where none lies farther from 1."""
MOST_WITH_INTERVALS = 4
"""Columns that are wide enough for an interval."""
ROW_INCHES, FLAT_ROW_INCHES = 0.4, 0.24
HEAD_INCHES, HEAD_LINE_INCHES, KEY_INCHES = 0.12, 0.13, 0.72
LEFT, RIGHT = 0.27, 0.97
"""Where the cells begin and end, as parts of the width; the names of the networks stand before."""
LONGEST_LABEL = 20
"""Characters of a line of a network's name."""
MOST_COLUMNS = 6
"""Of more, dtype and threads tell rows apart in place of columns."""
MOST_ROWS = 240

Setting = tuple[DType, int] | None
"""Dtype and threads; None where they are told in the other direction of the map."""
Row = tuple[Problem, Setting]
Column = tuple[Phase, Setting]


def map_chart(run: Run, cases: Sequence[CaseRow], baseline: str, candidate: str) -> Chart | None:
    """Draw every verdict and ratio of a run at once.

    Args:
        run: Its plan names the cases.
        cases: Small networks first.
        baseline: Display name.
        candidate: Display name.

    Returns:
        The chart, or None where no case has a verdict.
    """
    known = {case_id(case): case for case in run.plan.cases if case.phase in PHASES}
    verdicts = {
        known[row.case]: row
        for row in reversed(cases)  # of several candidates the first counts
        if row.case in known and row.verdict
    }
    if not verdicts:
        return None
    across = len({_column(case, across=True) for case in verdicts}) <= MOST_COLUMNS
    order = {
        _row(case.problem, across=across): flops(Case("forward", case.problem)) for case in verdicts
    }
    rows = sorted(order, key=lambda row: (order[row], network_text(row[0]), _rank(row[1])))[
        :MOST_ROWS
    ]
    columns = sorted({_column(case, across=across) for case in verdicts}, key=_place)
    cells = {
        (_row(case.problem, across=across), _column(case, across=across)): cell
        for case, cell in verdicts.items()
    }
    farthest = max(
        (abs(math.log(cell.ratio)) for cell in cells.values() if _is_coloured(cell)),
        default=0.0,
    )
    farthest = max(farthest, math.log(LEAST_FARTHEST))
    with c.style("map"):
        small = len(columns) <= MOST_WITH_INTERVALS
        each = ROW_INCHES if small else FLAT_ROW_INCHES
        lines = max(len(_column_text(column, columns).split()) for column in columns)
        head = HEAD_INCHES + HEAD_LINE_INCHES * lines
        figure = Figure(figsize=(c.WIDTH_INCHES, head + KEY_INCHES + each * len(rows)))
        _draw_cells(figure, rows, columns, cells, farthest, each, with_intervals=small)
        _draw_key(figure, farthest, baseline, candidate)
        title = f"Map of speed-ups of {candidate} over {baseline}"
        counts = {kind: sum(cell.verdict == kind for cell in cells.values()) for kind in VERDICTS}
        told = listing([f"{count} {kind.lower()}" for kind, count in counts.items() if count])
        caption = (
            f"{count_text(len(cells), 'case')}: {told}. Each cell is {baseline}'s time over "
            f"{candidate}'s{' with its 95 % interval' if small else ''}: orange and above 1 where "
            f"{candidate} is faster, blue and below 1 where {baseline} is; stronger the farther "
            "from 1, on a logarithmic scale. No colour: = is equivalent, hatched with ? is not "
            "resolved, crossed with ✕ is invalid and has no ratio. Small networks first, by "
            f"their arithmetic per batch.{_left_out(len(order))}"
        )
        words = [
            f"{_row_text(row, rows)}: "
            + ", ".join(
                f"{_column_text(column, columns)} {_words(cells[row, column])}"
                for column in columns
                if (row, column) in cells
            )
            for row in rows
        ]
        return c.finish("map", title, figure, caption, f"{title}. {'. '.join(words)}.")


def tint(ratio: float, farthest: float) -> tuple[str, float]:
    """Choose colour and opacity of a ratio's cell; `farthest` is the log of the strongest."""
    part = min(1.0, abs(math.log(ratio)) / farthest)
    colour = c.CANDIDATE_COLOUR if ratio >= 1 else c.BASELINE_COLOUR
    return colour, FAINTEST + (STRONGEST - FAINTEST) * part


def _row(problem: Problem, *, across: bool) -> Row:
    setting = None if across else (problem.dtype, problem.threads)
    return replace(problem, dtype="float64", threads=1), setting


def _column(case: Case, *, across: bool) -> Column:
    return case.phase, (case.problem.dtype, case.problem.threads) if across else None


def _rank(setting: Setting) -> tuple[bool, int]:
    return (setting[0] != "float64", setting[1]) if setting else (False, 0)


def _place(column: Column) -> tuple[tuple[bool, int], int]:
    return _rank(column[1]), PHASES.index(column[0])


def _left_out(count: int) -> str:
    left = count - MOST_ROWS
    return f" {left} more of its rows are not drawn; the table has them." if left > 0 else ""


def _row_text(row: Row, among: Sequence[Row]) -> str:
    """Name a network, with what tells it from others."""
    return " · ".join([network_text(row[0]), *_setting_texts(row, among)])


def _setting_texts(one: Row | Column, among: Sequence[Row] | Sequence[Column]) -> list[str]:
    """Name dtype and threads of a row or column, as far as they are not the same all over."""
    names = CaseNames.of_settings(setting for _, setting in among if setting)
    return names.setting(*one[1]) if one[1] else []


def _label(name: str, *, two_lines: bool) -> str:
    """Write a network's name beside its row, in short on one line; cut where it is long."""
    for word, letters in ((" · float", " f"), (" threads", "t"), (" thread", "t"), (" · ", " ")):
        name = name.replace(word, letters)
    short = name.replace(" batch ", " b").replace(" rows", "")
    parts = name.replace(" batch", "\nbatch").split("\n") if two_lines else [short]
    return "\n".join(cut(part, LONGEST_LABEL) for part in parts)


def _column_text(column: Column, among: Sequence[Column]) -> str:
    """Name a phase, with dtype and threads where columns do not share them."""
    return " ".join([column[0], *_setting_texts(column, among)])


def _is_coloured(cell: CaseRow) -> bool:
    return cell.verdict in ("FASTER", "SLOWER") and math.isfinite(cell.ratio)


def _draw_cells(
    figure: Figure,
    rows: Sequence[Row],
    columns: Sequence[Column],
    cells: Mapping[tuple[Row, Column], CaseRow],
    farthest: float,
    each: float,
    *,
    with_intervals: bool,
) -> None:
    height = figure.get_figheight()
    bottom = KEY_INCHES / height
    ax = figure.add_axes((LEFT, bottom, RIGHT - LEFT, each * len(rows) / height))
    ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    for spine in ax.spines.values():
        spine.set_visible(False)
    names = [_label(_row_text(row, rows), two_lines=each > FLAT_ROW_INCHES) for row in rows]
    ax.set_yticks([place + 0.5 for place in range(len(rows))], names, fontsize=c.SMALL)
    heads = [_column_text(column, columns).replace(" ", "\n") for column in columns]
    ax.set_xticks([place + 0.5 for place in range(len(columns))], heads, fontsize=c.SMALL)
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            if (row, column) in cells:
                _draw_cell(ax, x, y, cells[row, column], farthest, with_intervals=with_intervals)


def _draw_cell(
    ax: Axes, x: int, y: int, cell: CaseRow, farthest: float, *, with_intervals: bool
) -> None:
    """Draw one cell: its ground by verdict and ratio, its sign and number, its interval."""
    ground: dict[str, Any] = {
        "facecolor": "none",
        "edgecolor": c.INK,
        "linewidth": 0.4,
        "alpha": 0.3,
    }
    if _is_coloured(cell):
        colour, strength = tint(cell.ratio, farthest)
        ground = {"facecolor": colour, "alpha": strength, "linewidth": 0}
    _add_box(ax, x, y, **ground)
    if cell.verdict == "UNRESOLVED":
        # Opacity counts twice, for the pattern and for the box that it fills.
        _add_box(ax, x, y, facecolor="none", edgecolor=c.INK, linewidth=0, alpha=0.4, hatch="///")
    if cell.verdict == "INVALID":
        for ends in ((0.06, 0.94), (0.94, 0.06)):
            ax.plot([x + 0.03, x + 0.97], [y + end for end in ends], color=c.INK, lw=0.4, alpha=0.4)
    value, ends_text = _number(cell)
    value = value if with_intervals or not value else significant(cell.ratio)
    sign = MARKS.get(cell.verdict, "")
    two = with_intervals and bool(ends_text)
    where: dict[str, Any] = {"ha": "center", "va": "center"}
    ax.text(
        x + 0.5,
        y + (0.34 if two else 0.5),
        f"{sign} {value}".strip(),
        fontsize=9 if with_intervals else c.SMALL,
        fontweight="bold" if with_intervals else "normal",
        **where,
    )
    if two:
        ax.text(x + 0.5, y + 0.72, ends_text, fontsize=6.5, **where)


def _add_box(ax: Axes, x: int, y: int, **look: Any) -> None:
    ax.add_patch(Rectangle((x + 0.02, y + 0.04), 0.96, 0.92, **look))


def _number(cell: CaseRow) -> tuple[str, str]:
    """Write a cell's ratio and its interval; nothing where no ratio may be formed."""
    if cell.verdict == "INVALID" or not math.isfinite(cell.ratio):
        return "", ""
    if not (math.isfinite(cell.ratio_low) and math.isfinite(cell.ratio_high)):
        return significant(cell.ratio), ""
    return interval(cell.ratio, cell.ratio_low, cell.ratio_high, apart=1)


def _words(cell: CaseRow) -> str:
    value, ends = _number(cell)
    return " ".join(filter(None, (cell.verdict.lower(), value, f"({ends})" if ends else "")))


def _draw_key(figure: Figure, farthest: float, baseline: str, candidate: str) -> None:
    """Draw what the colours mean: a strip from the one side's strongest to the other's."""
    height = figure.get_figheight()
    ax = figure.add_axes((LEFT, 0.46 / height, RIGHT - LEFT, 0.13 / height))
    steps = 8
    for step in range(-steps, steps):
        middle = (step + 0.5) / steps * farthest
        colour, strength = tint(math.exp(middle), farthest)
        ax.add_patch(Rectangle((step / steps, 0), 1 / steps, 1, facecolor=colour, alpha=strength))
    ax.set(xlim=(-1, 1), ylim=(0, 1), yticks=[])
    ends = (-1, -0.5, 0, 0.5, 1)
    texts = [
        significant(math.exp(end * farthest), 2) if end else c.number_on_axis(1) for end in ends
    ]
    ax.set_xticks(ends, texts, fontsize=c.SMALL)
    for spine in ax.spines.values():
        spine.set_visible(False)
    for side, name, place in (
        ("left", f"← {baseline} faster", -1),
        ("right", f"{candidate} faster →", 1),
    ):
        ax.text(place, -3.1, name, fontsize=c.SMALL, ha=side, va="center")
