"""A fleet -> everything its page and the page of each machine say, as plain text. No files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from bench.model.numbers import DASH, count_text, significant, time_text
from bench.model.tables import Table
from bench.report.elements.section import Section
from bench.report.elements.sentences import MARKS, VERDICTS, counts_text, implementation_name
from bench.report.fleet.charts import fact_charts, size_text
from bench.report.fleet.machines import Fleet, Machine, Record, cell_of_row
from bench.report.multi_run.cells import Cell, Row, grid, marks_text, namer
from bench.report.multi_run.layout import Page

MOST_RUNS = 20
"""Of a machine's page."""
ASK = "left out; bench query shows all"


def fleet_page(fleet: Fleet) -> Page:
    """Say what many machines show, each of its own ratios."""
    count = count_text(len(fleet.machines), "machine")
    charts = fact_charts(fleet)
    facts = Section("facts", "What goes with it", "Which facts go with the ratio", charts=charts)
    return Page(
        title=f"{fleet.baseline} vs {fleet.candidate}: {count}",
        conclusion=f"On {count}, {verdicts_text(fleet, fleet.cells)}",
        sections=[
            Section(
                "over",
                "Over machines",
                "Over machines",
                [
                    "Machines are counted here and their ratios put in order; no ratio is made of "
                    "two machines. Least, middle and largest are of machines that could tell."
                ],
                tables=[over_machines(fleet)],
            ),
            *([facts] if charts else []),
            Section(
                "machines",
                "Machines",
                "Machines",
                grid=grid(
                    "Machines: each cell is that machine's own ratio",
                    "machine",
                    fleet.columns,
                    [_row(machine) for machine in fleet.machines],
                    facts=("L2 of a core", "vectors", "cores"),
                ),
            ),
        ],
        notices=notices(fleet),
        how_to_read=[
            f"The ratio is {fleet.baseline}'s time over {fleet.candidate}'s on that machine, both "
            f"from one run: above 1 {fleet.candidate} is faster, below 1 {fleet.baseline} is. "
            "Below it is its 95 % interval. No ratio is formed between machines or runs.",
            f"{marks_text()}: the verdict of that run alone. Hatched: the machine could not tell; "
            "crossed: parity failed or a worker died, and there is no ratio. Orange is faster and "
            "blue is slower, stronger the farther from 1. A dash: not measured there.",
            "Each row is a machine by its newest run that has the case, named by a hash of its "
            "facts. Two machines of one kind with the same settings have the same facts and share "
            "a row. What differs between two rows may be the processor, the system or the "
            "versions: nothing here says which.",
        ],
    )


def machine_page(
    fleet: Fleet,
    machine: Machine,
    results: Mapping[str, Sequence[Record]],
    reports: Mapping[str, str],
) -> Page:
    """Say what is known of one machine.

    Args:
        fleet: All machines.
        machine: This one.
        results: Rows of the results, by run.
        reports: Links to the reports of runs that are at hand, by run.
    """
    shown = machine.runs[:MOST_RUNS]
    left = len(machine.runs) - len(shown)
    facts = Table(("fact", "value"), _fact_rows(machine.facts), "Machine, by its newest run")
    return Page(
        title=f"{machine.cpu}, machine {machine.name}",
        conclusion=verdicts_text(fleet, list(machine.cells.values())),
        sections=[
            *(_run(run, results.get(run["run"], ()), reports.get(run["run"], "")) for run in shown),
            Section("machine", "Machine", "Machine", tables=[facts]),
        ],
        notices=[f"{count_text(left, 'older run')} {ASK}."] if left else [],
        back=("../fleet.html", "All machines"),
    )


def verdicts_text(fleet: Fleet, cells: Sequence[Cell]) -> str:
    """Count the verdicts of cells, in words."""
    found = Counter(kind for kind in VERDICTS for cell in cells if cell.verdict == kind)
    told = counts_text(found) if found else "judged in no case"
    return f"{fleet.candidate} compared with {fleet.baseline} was {told}"


def over_machines(fleet: Fleet) -> Table:
    """Count over machines, and tell between which ratios they lie; NaN where none could tell."""
    name = namer(fleet.columns)
    kinds = [kind for kind in VERDICTS if any(cell.verdict == kind for cell in fleet.cells)]
    rows = []
    for column in fleet.columns:
        cells = fleet.of(column)
        counts = Counter(cell.verdict for cell in cells)
        told = [
            cell.ratio
            for cell in cells
            if cell.verdict in ("FASTER", "SLOWER", "EQUIVALENT") and math.isfinite(cell.ratio)
        ]
        ends = (min(told), median(told), max(told)) if told else (math.nan,) * 3
        rows.append(
            (
                f"{column.phase} · {name(column)}",
                str(len(cells)),
                *(str(counts[kind] or DASH) for kind in kinds),
                *map(significant, ends),
            )
        )
    marks = [f"{MARKS[kind]} {kind.lower()}" for kind in kinds]
    heads = ("case", "machines", *marks, "least ratio", "middle machine", "largest ratio")
    return Table(heads, rows, "Over machines, in counts")


def notices(fleet: Fleet) -> list[str]:
    """Say what is left out, and which runs did not finish."""
    hidden = fleet.machines_in_all - len(fleet.machines)
    rare = fleet.columns_in_all - len(fleet.columns)
    pair = f"{fleet.baseline} and {fleet.candidate}"
    found = {
        f"{count_text(hidden, 'machine')} with the fewest cases {ASK}.": hidden,
        f"{count_text(rare, 'case')} that the fewest machines measured {ASK}.": rare,
        f"{count_text(fleet.other_pairs, 'result')} of other implementations than {pair} "
        f"{ASK}.": fleet.other_pairs,
    }
    statuses = [run["status"] for machine in fleet.machines for run in machine.runs]
    unfinished = sum(status in ("running", "interrupted") for status in statuses)
    text = f"Not finished, so judged by what is complete: {count_text(unfinished, 'run')}."
    return [text for text, count in (found | {text: unfinished}).items() if count]


def _row(machine: Machine) -> Row:
    l2, bits, cores = (machine.facts[n] for n in ("l2_bytes", "vector_bits", "physical_cores"))
    return Row(
        machine.cpu,
        machine.name[:8],
        machine.cells,
        (size_text(l2) if l2 else DASH, str(bits or DASH), str(cores or DASH)),
        f"machines/{machine.name}.html",
    )


def _fact_rows(facts: Record) -> list[tuple[str, str]]:
    left_out = ("run", "machine", "date", "name", "started", "status", "samples", "recording")
    return [
        (
            name.removesuffix("_bytes").replace("_", " "),
            size_text(value) if name.endswith("_bytes") else str(value),
        )
        for name, value in facts.items()
        if value is not None and name not in (*left_out, "content")
    ]


def _run(run: Record, results: Sequence[Record], report: str) -> Section:
    heads = ("case", "baseline", "candidate", "ratio (95 %)", "A/A", "verdict", "why")
    return Section(
        f"run-{run['run']}",
        f"{run['name']}, {run['date']}",
        f"Run {run['name']}, {run['date']}",
        [
            f"Begun {run['started']}, {run['status']}, {count_text(run['samples'], 'reading')}; "
            f"kept as {run['run']}."
        ],
        links=[(report, "The run's own report")] if report else [],
        tables=[Table(heads, [_result_row(row) for row in results], f"Results of {run['name']}")],
    )


def _result_row(row: Record) -> tuple[str, ...]:
    floor = row["noise_floor"]
    return (
        row["case_id"],
        *(_time(row, side) for side in ("baseline", "candidate")),
        str(cell_of_row(row)),
        DASH if floor is None or not math.isfinite(floor) else f"±{floor:.1%}",
        row["verdict"] or DASH,
        row["reason"] or DASH,
    )


def _time(row: Record, side: str) -> str:
    value = row[f"{side}_ns"]
    known = value is not None and math.isfinite(value)
    return f"{implementation_name(row[side])}: {time_text(value) if known else DASH}"
