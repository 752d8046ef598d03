"""A run's own results as cells, and tables of such cells. Pure.

A cell is one run's own result in one case. No number here is made of two runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.model.cases import format_layers
from bench.model.numbers import DASH, interval
from bench.model.records import Case, Result
from bench.report.elements.section import Grid, GridCell, GridRow
from bench.report.elements.sentences import MARKS

SHADES = 8
"""Steps of colour from a ratio beside 1 to the farthest."""
LEAST_FARTHEST = 2.0
"""The ratio, or its inverse, that has the strongest colour where none is farther from 1."""
LONGEST_LAYERS = 40
Network = tuple[str, int, int, str, int]
"""Layer sizes as text, batch, rows, dtype, threads."""


@dataclass(frozen=True, slots=True)
class Column:
    """A case, as far as several runs share it."""

    phase: str
    network: Network


@dataclass(frozen=True, slots=True)
class Cell:
    """What one run says of one case; NaN where it says no number."""

    ratio: float
    low: float
    high: float
    verdict: str  # empty: none was given

    def __str__(self) -> str:
        return str(shown(self))


@dataclass(frozen=True, slots=True)
class Row:
    """Cells of a run or of a machine, by case."""

    name: str
    note: str
    cells: Mapping[Column, Cell]
    facts: Sequence[str] = ()
    link: str = ""


def column_of(case: Case) -> Column:
    """Say which column a case stands in."""
    problem = case.problem
    layers = format_layers(problem.layer_sizes)
    network = layers, problem.batch_size, problem.rows, problem.dtype, problem.threads
    return Column(case.phase, network)


def cell_of(result: Result) -> Cell:
    """Take what a result says."""
    verdict = result.verdict.kind if result.verdict else ""
    if result.ratio is None:
        return Cell(math.nan, math.nan, math.nan, verdict)
    estimate = result.ratio.estimate
    return Cell(estimate.point, estimate.low, estimate.high, verdict)


def shown(cell: Cell | None, farthest: float = LEAST_FARTHEST) -> GridCell:
    """Write a cell, and choose its ground.

    Args:
        cell: None where nothing was measured.
        farthest: The ratio that has the strongest colour.
    """
    if cell is None:
        return GridCell("", DASH)
    look = {"INVALID": "in", "EQUIVALENT": "eq", "FASTER": "f", "SLOWER": "s"}.get(
        cell.verdict, "un"
    )
    mark = MARKS.get(cell.verdict, "")
    if cell.verdict == "INVALID" or not math.isfinite(cell.ratio):
        return GridCell(look if look == "in" else "un", f"{mark} {cell.verdict}".strip() or DASH)
    if look in ("f", "s"):
        part = min(1.0, abs(math.log(cell.ratio)) / math.log(farthest))
        look += str(round(part * (SHADES - 1)))
    value, ends = interval(cell.ratio, cell.low, cell.high, apart=1)
    return GridCell(look, f"{mark} {value}".strip(), ends)


def grid(
    name: str, what: str, columns: Sequence[Column], rows: Sequence[Row], facts: Sequence[str] = ()
) -> Grid:
    """Make a table of cells: a row for each run or machine, a column for each case."""
    text = namer(columns)
    ratios = [
        max(cell.ratio, 1 / cell.ratio)
        for row in rows
        for column in columns
        if (cell := row.cells.get(column)) and cell.verdict in ("FASTER", "SLOWER")
    ]
    farthest = max([LEAST_FARTHEST, *(ratio for ratio in ratios if math.isfinite(ratio))])
    return Grid(
        name,
        what,
        facts,
        [(column.phase, text(column)) for column in columns],
        [
            GridRow(
                row.name,
                row.note,
                row.facts,
                [shown(row.cells.get(column), farthest) for column in columns],
                row.link,
            )
            for row in rows
        ],
    )


def namer(columns: Sequence[Column]) -> Callable[[Column], str]:
    """Choose how to name networks: with rows, dtype and threads only where they differ.

    `1,50x9,1 b20`, and where needed ` n500 f32 2t`.
    """
    distinct = {column.network for column in columns}
    rows = len({one[:2] for one in distinct}) < len({one[:3] for one in distinct})
    dtypes, threads = ({one[place] for one in distinct} for place in (3, 4))

    def name(column: Column) -> str:
        layers, batch, data_rows, dtype, count = column.network
        long = len(layers) > LONGEST_LAYERS
        parts = [f"{layers[: LONGEST_LAYERS - 1]}…" if long else layers, f"b{batch}"]
        parts += [f"n{data_rows}"] if rows else []
        parts += [dtype.replace("float", "f")] if len(dtypes) > 1 else []
        parts += [f"{count}t"] if len(threads) > 1 else []
        return " ".join(parts)

    return name


def marks_text() -> str:
    """List the marks of the verdicts."""
    return ", ".join(f"{mark} {kind}" for kind, mark in MARKS.items())
