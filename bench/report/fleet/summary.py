"""The tables of a store -> machines, and of each machine one cell for each case. Pure.

A cell is one run's own result, that of the newest run of the machine that measured the case. No
number here is made of two runs: where machines are told together, they are counted, and ratios put
in order.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.model.records import PHASES
from bench.report.elements.sentences import VERDICTS, implementation_name

MOST_COLUMNS = 24
MOST_MACHINES = 2000
"""What a page has room for; the store has all, and `bench query` shows it."""
FEWEST = 0.1
"""A case is shown that was measured by this share of the machines that measured the commonest."""
Network = tuple[str, int, int, str, int]
"""Layer sizes as text, batch, rows, dtype, threads."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one run says of one case; NaN where it says no number."""

    run: str
    ratio: float
    low: float
    high: float
    verdict: str  # empty: none was given


@dataclass(frozen=True, slots=True)
class Column:
    """A case, as far as runs of several machines share it."""

    phase: str
    network: Network


@dataclass(slots=True, eq=False)
class Machine:
    """A machine: its facts by its newest run, its runs, its cells."""

    name: str  # its id
    facts: Mapping[str, Any]  # a row of the runs
    runs: list[Mapping[str, Any]]  # the newest first
    cells: dict[Column, Cell] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Everything that the pages of a store show."""

    baseline: str  # for people
    candidate: str
    machines: Sequence[Machine]  # by processor
    columns: Sequence[Column]  # by phase, networks from the quickest on
    runs: int  # in the store
    samples: int
    machines_in_all: int
    columns_in_all: int
    other_pairs: int  # results of other implementations

    @property
    def cells(self) -> list[Cell]:
        """All cells that are shown."""
        return [
            machine.cells[column]
            for machine in self.machines
            for column in self.columns
            if column in machine.cells
        ]


def fleet_of(runs: Any, results: Any) -> Fleet:
    """Sort the tables of a store.

    Args:
        runs: As `bench.storage.archive.store.RUNS`.
        results: As `bench.storage.archive.store.RESULTS`.
    """
    machines = _machines(runs)
    newest = {row["run"]: place for one in machines.values() for place, row in enumerate(one.runs)}
    rows = _rows(results)
    pair, other_pairs = _pair(rows)
    seen: dict[Column, list[float]] = defaultdict(list)
    taken: dict[tuple[str, Column], int] = {}
    for row in rows:
        if (row["baseline"], row["candidate"]) != pair or row["machine"] not in machines:
            continue
        column = Column(row["phase"], _network(row))
        here = row["machine"], column
        place = newest.get(row["run"], len(newest))
        if here not in taken or place < taken[here]:
            taken[here] = place
            machines[row["machine"]].cells[column] = _cell(row)
        seen[column].append(row["baseline_ns"] or math.inf)
    # Where many machines are, the networks that most of them measured.
    counts = Counter(column for one in machines.values() for column in one.cells)
    enough = FEWEST * max(counts.values(), default=0)
    common = sorted(
        (column for column in seen if counts[column] >= enough),
        key=lambda one: (-counts[one], _order(one, seen)),
    )[:MOST_COLUMNS]
    shown = sorted(
        machines.values(), key=lambda one: (-len(one.cells), str(one.facts["cpu"]), one.name)
    )[:MOST_MACHINES]
    baseline, candidate = map(implementation_name, pair)
    return Fleet(
        baseline,
        candidate,
        machines=sorted(shown, key=lambda one: (str(one.facts["cpu"]), one.name)),
        columns=sorted(common, key=lambda one: _order(one, seen)),
        runs=runs.num_rows,
        samples=sum(value or 0 for value in runs["samples"].to_pylist()),
        machines_in_all=len(machines),
        columns_in_all=len(seen),
        other_pairs=other_pairs,
    )


def widest(fleet: Fleet) -> Network | None:
    """Choose the network that most machines measured; of several the quickest."""
    counts = Counter(
        column.network
        for machine in fleet.machines
        for column in fleet.columns
        if column in machine.cells
    )
    order = list(dict.fromkeys(column.network for column in fleet.columns))
    return min(order, key=lambda one: (-counts[one], order.index(one)), default=None)


def counts_of(cells: Sequence[Cell]) -> Counter[str]:
    """Count verdicts, in the order of `VERDICTS`."""
    found = Counter(cell.verdict for cell in cells)
    return Counter({kind: found[kind] for kind in VERDICTS if found[kind]})


def spread_of(cells: Sequence[Cell]) -> tuple[float, float, float]:
    """Tell the least, the middle and the largest ratio of machines that could tell; NaN of none."""
    ratios = sorted(
        cell.ratio
        for cell in cells
        if cell.verdict in ("FASTER", "SLOWER", "EQUIVALENT") and math.isfinite(cell.ratio)
    )
    return (ratios[0], median(ratios), ratios[-1]) if ratios else (math.nan,) * 3


NETWORK = ("layer_sizes", "batch_size", "data_rows", "dtype", "threads")
OF_RESULTS = (
    *("run", "machine", "phase", *NETWORK, "baseline", "candidate"),
    *("ratio", "ratio_low", "ratio_high", "verdict", "baseline_ns"),
)


def _rows(results: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = results.select(OF_RESULTS).to_pylist()
    return [row for row in rows if row["phase"] in PHASES]


def _machines(runs: Any) -> dict[str, Machine]:
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in runs.to_pylist():
        found[row["machine"]].append(row)
    machines = {}
    for name, mine in found.items():
        mine.sort(key=lambda row: (row["date"], row["started"], row["run"]), reverse=True)
        machines[name] = Machine(name, mine[0], mine)
    return machines


def _pair(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], int]:
    """Choose the baseline and the candidate that most machines have; count the other results."""
    counts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        counts[row["baseline"], row["candidate"]].add(row["machine"])
    if not counts:
        return ("baseline", "candidate"), 0
    pair = min(counts, key=lambda one: (-len(counts[one]), one))
    return pair, sum((row["baseline"], row["candidate"]) != pair for row in rows)


def _network(row: Mapping[str, Any]) -> Network:
    layers, batch, rows, dtype, threads = (row[name] for name in NETWORK)
    return layers, batch, rows, dtype, threads


def _cell(row: Mapping[str, Any]) -> Cell:
    values = [row[name] for name in ("ratio", "ratio_low", "ratio_high")]
    ratio, low, high = (value if value is not None and value > 0 else math.nan for value in values)
    return Cell(row["run"], ratio, low, high, row["verdict"] or "")


def _order(column: Column, seen: Mapping[Column, Sequence[float]]) -> tuple[Any, ...]:
    """Put phases in their order, networks by the baseline's time for that phase."""
    return PHASES.index(column.phase), median(seen[column]), column.network
