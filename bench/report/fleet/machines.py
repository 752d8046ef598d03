"""The tables of a store -> machines, and of each machine one cell for each case. Pure.

A cell is the result of the newest run of the machine that measured the case.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.model.records import PHASES
from bench.report.elements.sentences import implementation_name
from bench.report.multi_run.cells import Cell, Column

MOST_COLUMNS = 24
MOST_MACHINES = 2000
"""What a page has room for; the store has all, and `bench query` shows it."""
FEWEST = 0.1
"""A case is shown if this share of the machines that measured the commonest case measured it."""

Record = Mapping[str, Any]
"""A row of the runs or of the results of a store."""


@dataclass(slots=True, eq=False)
class Machine:
    """A machine: its id, its runs, the newest first, and its cells."""

    name: str
    runs: list[Record]
    cells: dict[Column, Cell] = field(default_factory=dict)

    @property
    def facts(self) -> Record:
        """Its facts, by its newest run."""
        return self.runs[0]

    @property
    def cpu(self) -> str:
        """Its processor."""
        return str(self.facts["cpu"] or "an unnamed processor")


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Everything that the pages of a store show."""

    baseline: str  # for people
    candidate: str
    machines: Sequence[Machine]  # by processor
    columns: Sequence[Column]  # by phase, networks from the quickest on
    machines_in_all: int
    columns_in_all: int
    other_pairs: int  # results of other implementations

    @property
    def cells(self) -> list[Cell]:
        """All cells that are shown."""
        return [cell for column in self.columns for cell in self.of(column)]

    def of(self, column: Column) -> list[Cell]:
        """The cells of one case."""
        return [one.cells[column] for one in self.machines if column in one.cells]


def fleet_of(runs: Sequence[Record], results: Sequence[Record]) -> Fleet:
    """Sort the rows of a store by machine.

    Args:
        runs: As `bench.storage.archive.store.RUNS`.
        results: As `bench.storage.archive.store.RESULTS`.
    """
    machines: dict[str, Machine] = {}
    newest_first = sorted(
        runs, key=lambda row: (row["date"], row["started"], row["run"]), reverse=True
    )
    for row in newest_first:
        machines.setdefault(row["machine"], Machine(row["machine"], [])).runs.append(row)
    places = {
        row["run"]: (place, machines[row["machine"]]) for place, row in enumerate(newest_first)
    }
    rows = [row for row in results if row["phase"] in PHASES and row["run"] in places]
    pair = _commonest_pair(rows)
    mine = [row for row in rows if (row["baseline"], row["candidate"]) == pair]
    seen: dict[Column, list[float]] = defaultdict(list)
    for row in sorted(mine, key=lambda row: places[row["run"]][0]):
        network = tuple(row[name] for name in NETWORK)
        column = Column(row["phase"], network)
        places[row["run"]][1].cells.setdefault(column, cell_of_row(row))
        seen[column].append(row["baseline_ns"] or math.inf)

    def order(column: Column) -> tuple[Any, ...]:
        return PHASES.index(column.phase), median(seen[column]), column.network

    # Where many machines are, the networks that most of them measured.
    counts = Counter(column for one in machines.values() for column in one.cells)
    enough = FEWEST * max(counts.values(), default=0)
    common = sorted(
        (column for column in seen if counts[column] >= enough),
        key=lambda one: (-counts[one], order(one)),
    )
    most = sorted(machines.values(), key=lambda one: (-len(one.cells), one.cpu, one.name))
    baseline, candidate = map(implementation_name, pair)
    return Fleet(
        baseline,
        candidate,
        machines=sorted(most[:MOST_MACHINES], key=lambda one: (one.cpu, one.name)),
        columns=sorted(common[:MOST_COLUMNS], key=order),
        machines_in_all=len(machines),
        columns_in_all=len(seen),
        other_pairs=len(rows) - len(mine),
    )


NETWORK = ("layer_sizes", "batch_size", "data_rows", "dtype", "threads")


def cell_of_row(row: Record) -> Cell:
    """Take what a row of the results says."""
    values = [row[name] for name in ("ratio", "ratio_low", "ratio_high")]
    ratio, low, high = (value if value is not None and value > 0 else math.nan for value in values)
    return Cell(ratio, low, high, row["verdict"] or "")


def _commonest_pair(rows: Sequence[Record]) -> tuple[str, str]:
    """Choose the baseline and the candidate that most machines have."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        found[row["baseline"], row["candidate"]].add(row["machine"])
    nothing = ("baseline", "candidate")
    return min(found, key=lambda one: (-len(found[one]), one), default=nothing)
