"""A fleet -> everything its page and the page of each machine say, as plain text. No files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.model.numbers import DASH, count_text, interval, significant, time_text
from bench.model.records import PHASES
from bench.model.tables import Table
from bench.report.charts.speedup_map import LEAST_FARTHEST
from bench.report.elements.chart import Chart
from bench.report.elements.sentences import MARKS, counts_text, implementation_name
from bench.report.fleet.charts import fact_charts, size_text
from bench.report.fleet.summary import Cell, Fleet, Machine, Network, counts_of, spread_of

SHADES = 8
"""Steps of colour from a ratio beside 1 to the farthest."""
MOST_RUNS = 20
"""Of a machine's page."""


@dataclass(frozen=True, slots=True)
class ShownCell:
    """A cell as it is drawn: the class of its ground, and its words."""

    look: str  # `f0` to `f7` faster, `s0` to `s7` slower, `eq`, `un`, `in`, or empty
    mark: str
    ratio: str
    ends: str
    words: str  # the verdict, for who cannot see the ground


@dataclass(frozen=True, slots=True)
class ShownMachine:
    """A row: the machine, its facts, its cells."""

    name: str
    cpu: str
    facts: Sequence[str]
    cells: Sequence[ShownCell]


@dataclass(frozen=True, slots=True)
class FleetPage:
    """All that the page of a fleet says, top to bottom."""

    title: str
    conclusion: str
    notices: Sequence[str]
    how_to_read: Sequence[str]
    over: Table  # verdicts and spread, a case a row
    facts: Sequence[str]  # heads of the facts of a machine
    phases: Sequence[tuple[str, int]]  # and how many columns each has
    networks: Sequence[str]  # a head for each column
    machines: Sequence[ShownMachine]
    charts: Sequence[Chart]


@dataclass(frozen=True, slots=True)
class MachineRun:
    """A run on the page of its machine."""

    title: str
    text: str
    table: Table
    report: str = ""  # link to the run's own report, where it is at hand


@dataclass(frozen=True, slots=True)
class MachinePage:
    """What the page of a machine says."""

    title: str
    conclusion: str
    facts: Table
    runs: Sequence[MachineRun]
    more: str  # what was left out


def fleet_page(fleet: Fleet, *, whole: bool = True) -> FleetPage:
    """Say what many machines show, each of its own ratios.

    Args:
        fleet: The machines.
        whole: With a row for each of them, and charts.
    """
    name = namer([column.network for column in fleet.columns])
    cells = fleet.cells
    counts = counts_of(cells)
    told = counts_text(counts) if counts else "judged in no case"  # type: ignore[arg-type]
    return FleetPage(
        title=f"{fleet.baseline} vs {fleet.candidate}: "
        f"{count_text(len(fleet.machines), 'machine')}",
        conclusion=f"On {count_text(len(fleet.machines), 'machine')}, {fleet.candidate} compared "
        f"with {fleet.baseline} was {told}",
        notices=_notices(fleet),
        how_to_read=_how_to_read(fleet),
        over=_over(fleet, name),
        facts=("L2 of a core", "vectors", "cores"),
        phases=[
            (phase, count)
            for phase in PHASES
            if (count := sum(column.phase == phase for column in fleet.columns))
        ],
        networks=[name(column.network) for column in fleet.columns],
        machines=_shown(fleet) if whole else (),
        charts=fact_charts(fleet, name) if whole else (),
    )


def machine_page(
    fleet: Fleet,
    machine: Machine,
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    reports: Mapping[str, str],
) -> MachinePage:
    """Say what is known of one machine.

    Args:
        fleet: All machines.
        machine: This one.
        results: Rows of the results, by run.
        reports: Links to the reports of runs that are at hand, by run.
    """
    counts = counts_of(list(machine.cells.values()))
    told = counts_text(counts) if counts else "judged in no case"  # type: ignore[arg-type]
    shown = machine.runs[:MOST_RUNS]
    left = len(machine.runs) - len(shown)
    return MachinePage(
        title=f"{_cpu(machine)}, machine {machine.name}",
        conclusion=f"{fleet.candidate} compared with {fleet.baseline} was {told}",
        facts=Table(("fact", "value"), _fact_rows(machine.facts), "Machine, by its newest run"),
        runs=[_run(run, results.get(run["run"], ()), reports.get(run["run"], "")) for run in shown],
        more=f"{count_text(left, 'older run')} left out; the store has them." if left else "",
    )


def namer(networks: Sequence[Network]) -> Callable[[Network], str]:
    """Choose how to name networks: with rows, dtype and threads only where they are not the same.

    `1,50x9,1 b20`, and where needed ` n500 f32 2t`.
    """
    distinct = set(networks)
    rows = len({one[:2] for one in distinct}) < len({one[:3] for one in distinct})
    dtypes, threads = ({one[place] for one in distinct} for place in (3, 4))

    def name(network: Network) -> str:
        layers, batch, data_rows, dtype, count = network
        parts = [layers if len(layers) <= 40 else f"{layers[:39]}…", f"b{batch}"]
        parts += [f"n{data_rows}"] if rows else []
        parts += [dtype.replace("float", "f")] if len(dtypes) > 1 else []
        parts += [f"{count}t"] if len(threads) > 1 else []
        return " ".join(parts)

    return name


def cell_text(cell: Cell | None) -> str:
    """Write a cell on one line: `▲ 1.83 (1.80–1.86)`."""
    shown = _cell(cell, math.log(LEAST_FARTHEST))
    ends = f"({shown.ends})" if shown.ends else ""
    return " ".join(filter(None, (shown.mark, shown.ratio, ends))) or DASH


def _shown(fleet: Fleet) -> list[ShownMachine]:
    far = [
        abs(math.log(cell.ratio))
        for cell in fleet.cells
        if cell.verdict in ("FASTER", "SLOWER") and math.isfinite(cell.ratio)
    ]
    farthest = max([math.log(LEAST_FARTHEST), *far])
    return [
        ShownMachine(
            machine.name,
            _cpu(machine),
            _short_facts(machine.facts),
            [_cell(machine.cells.get(column), farthest) for column in fleet.columns],
        )
        for machine in fleet.machines
    ]


def _cell(cell: Cell | None, farthest: float) -> ShownCell:
    if cell is None:
        return ShownCell("", "", "", "", "")
    mark = MARKS.get(cell.verdict, "")
    if cell.verdict == "INVALID":
        return ShownCell("in", mark, "", "", "invalid")
    if not math.isfinite(cell.ratio):
        return ShownCell("un", mark, "", "", cell.verdict.lower())
    ratio, ends = interval(cell.ratio, cell.low, cell.high, apart=1)
    look = {"EQUIVALENT": "eq", "FASTER": "f", "SLOWER": "s"}.get(cell.verdict, "un")
    if look in ("f", "s"):
        part = min(1.0, abs(math.log(cell.ratio)) / farthest)
        look += str(round(part * (SHADES - 1)))
    return ShownCell(look, mark, ratio, ends, cell.verdict.lower())


def _over(fleet: Fleet, name: Callable[[Network], str]) -> Table:
    """Count over machines, and tell between which ratios they lie."""
    kinds = list(counts_of(fleet.cells))
    rows = []
    for column in fleet.columns:
        cells = [one.cells[column] for one in fleet.machines if column in one.cells]
        counts = counts_of(cells)
        least, middle, largest = spread_of(cells)
        rows.append(
            (
                f"{column.phase} · {name(column.network)}",
                str(len(cells)),
                *(str(counts[kind] or DASH) for kind in kinds),
                *(significant(value) for value in (least, middle, largest)),
            )
        )
    marks = [f"{MARKS[kind]} {kind.lower()}" for kind in kinds]
    heads = ("case", "machines", *marks, "least ratio", "middle machine", "largest ratio")
    return Table(heads, rows, "Over machines, in counts")


def _how_to_read(fleet: Fleet) -> list[str]:
    return [
        f"The ratio is {fleet.baseline}'s time over {fleet.candidate}'s on that machine, both from "
        f"one run: above 1 {fleet.candidate} is faster, below 1 {fleet.baseline} is. Below it "
        "stands its 95 % interval. No ratio is formed between machines or runs.",
        f"{', '.join(f'{mark} {kind}' for kind, mark in MARKS.items())}: the verdict of that run "
        "alone. Hatched: the machine could not tell; crossed: parity failed or a worker died, and "
        "there is no ratio. Orange is faster and blue is slower, stronger the farther from 1. "
        "A dash: not measured there.",
        "Each row is a machine by its newest run that has the case, named by a hash of its facts. "
        "Two machines of one kind, set alike, have the same facts and share a row. What differs "
        "between two rows may be the processor, the system or the versions: nothing here says "
        "which.",
    ]


def _notices(fleet: Fleet) -> list[str]:
    notices = []
    hidden = fleet.machines_in_all - len(fleet.machines)
    if hidden:
        notices.append(f"{count_text(hidden, 'machine')} left out, those with fewest cases; ask "
                       "the store by bench query.")  # fmt: skip
    columns = fleet.columns_in_all - len(fleet.columns)
    if columns:
        notices.append(
            f"{count_text(columns, 'case')} left out, those that fewest machines measured; ask "
            "the store by bench query."
        )
    if fleet.other_pairs:
        notices.append(
            f"{count_text(fleet.other_pairs, 'result')} of other implementations than "
            f"{fleet.baseline} and {fleet.candidate} left out; ask the store by bench query."
        )
    unfinished = sum(
        run["status"] in ("running", "interrupted")
        for machine in fleet.machines
        for run in machine.runs
    )
    if unfinished:
        notices.append(
            f"{count_text(unfinished, 'run')} did not finish, and was judged by what is complete."
            if unfinished == 1
            else f"{unfinished} runs did not finish, and were judged by what is complete."
        )
    return notices


def _cpu(machine: Machine) -> str:
    return str(machine.facts["cpu"] or "an unnamed processor")


def _short_facts(facts: Mapping[str, Any]) -> list[str]:
    l2, bits, cores = (facts[name] for name in ("l2_bytes", "vector_bits", "physical_cores"))
    return [
        size_text(l2) if l2 else DASH,
        str(bits) if bits else DASH,
        str(cores) if cores else DASH,
    ]


def _fact_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    left_out = ("run", "machine", "date", "name", "started", "status", "content", "samples")
    rows = []
    for name, value in facts.items():
        if value is not None and name not in left_out:
            text = size_text(value) if name.endswith("_bytes") else str(value)
            rows.append((name.removesuffix("_bytes").replace("_", " "), text))
    return rows


def _run(run: Mapping[str, Any], results: Sequence[Mapping[str, Any]], report: str) -> MachineRun:
    heads = ("case", "baseline", "candidate", "ratio (95 %)", "A/A", "verdict", "why")
    return MachineRun(
        title=f"Run {run['name']}, {run['date']}",
        text=f"Begun {run['started']}, {run['status']}, "
        f"{count_text(run['samples'], 'reading')}; kept as {run['run']}.",
        table=Table(heads, [_result_row(row) for row in results], f"Results of {run['name']}"),
        report=report,
    )


def _result_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    values = [row[name] for name in ("ratio", "ratio_low", "ratio_high")]
    ratio, low, high = (math.nan if value is None or value <= 0 else value for value in values)
    cell = Cell(row["run"], ratio, low, high, row["verdict"] or "")
    floor = row["noise_floor"]
    return (
        row["case_id"],
        *(_time(row, side) for side in ("baseline", "candidate")),
        cell_text(cell),
        DASH if floor is None or not math.isfinite(floor) else f"±{floor:.1%}",
        row["verdict"] or DASH,
        row["reason"] or DASH,
    )


def _time(row: Mapping[str, Any], side: str) -> str:
    value = row[f"{side}_ns"]
    known = value is not None and math.isfinite(value)
    return f"{implementation_name(row[side])}: {time_text(value) if known else DASH}"
