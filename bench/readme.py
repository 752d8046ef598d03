"""Puts the result of the reference run into README.md: `python -m bench.readme`.

The README's figures are made here from stored readings and never by hand; a test holds the two
together.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from bench import stats, store
from bench.environment import PROJECT
from bench.errors import UsageError
from bench.records import PHASES, Run
from bench.report import conclusion
from bench.tables import result_table, rows_of
from bench.wording import MARKS, interval, seat_names

REFERENCE = PROJECT / "results" / "reference"
BEGIN = "<!-- reference: made by `python -m bench.readme`"
END = "<!-- reference: end -->"


def block(run_dir: Path) -> str:
    """Write what the README says of a run: conclusion, ratios by network and phase, chart.

    Args:
        run_dir: The folder of the run.
    """
    stored = store.load(run_dir)
    results = stats.results(stored.run, stored.samples, stored.parity, stored.faults)
    table = result_table(stored.run, results)
    where = f"results/{run_dir.name}"
    return "\n".join(
        (
            conclusion(stored, results),
            "",
            *_ratio_lines(stored.run, table),
            "",
            f"![Speed-up by phase and network]({where}/charts/speedup.svg)",
            "",
            f"The whole report, with times, parity and raw data: [{where}/report.md]"
            f"({where}/report.md).",
        )
    )


def insert(readme: str, text: str) -> str:
    """Put a text between the README's markers.

    Raises:
        UsageError: The markers are missing.
    """
    head, begin, rest = readme.partition(BEGIN)
    comment, arrow, rest = rest.partition("-->")
    _, end, tail = rest.partition(END)
    if not (begin and arrow and end):
        raise UsageError(f"README.md has lost its markers {BEGIN} ... --> and {END}")
    return f"{head}{begin}{comment}{arrow}\n\n{text}\n\n{end}{tail}"


def main() -> None:
    """Rewrite README.md in place."""
    readme = PROJECT / "README.md"
    old = readme.read_text(encoding="utf-8")
    readme.write_text(insert(old, block(REFERENCE)), encoding="utf-8", newline="\n")
    sys.stdout.write("README.md shows results/reference\n")


def _ratio_lines(run: Run, table: pd.DataFrame) -> list[str]:
    baseline, candidate = seat_names(run)
    phases = [phase for phase in PHASES if (table["phase"] == phase).any()]
    several = {column for column in ("dtype", "threads") if table[column].nunique() > 1}
    lines = [
        f"{baseline} time / {candidate} time, with its 95 % interval:",
        "",
        f"| network | {' | '.join(phases)} |",
        f"|---|{'---|' * len(phases)}",
    ]
    timed = table[table["phase"].isin(phases)]
    for (network, dtype, threads), rows in timed.groupby(
        ["network", "dtype", "threads"], sort=False
    ):
        name = str(network)
        name += f" · {dtype}" if "dtype" in several else ""
        name += f" · threads: {threads}" if "threads" in several else ""
        cells = {row.phase: _cell(row) for row in rows_of(rows)}
        lines.append(f"| {name} | {' | '.join(cells.get(phase, '') for phase in phases)} |")
    signs = ", ".join(
        f"{sign} {kind}" for kind, sign in MARKS.items() if (timed["verdict"] == kind).any()
    )
    return [*lines, "", f"Verdicts: {signs}. Above 1 {candidate} is faster."]


def _cell(row: pd.Series) -> str:
    value, ends = interval(row.ratio, row.ratio_low, row.ratio_high, apart=1)
    return f"{MARKS.get(row.verdict, '')} {value} ({ends})" if ends else MARKS.get(row.verdict, "")


if __name__ == "__main__":
    main()
