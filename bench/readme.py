"""Puts the results of stored runs into README.md and docs/performance.md: `python -m bench.readme`.

Their figures are made here from stored readings and never by hand; a test holds them together.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from bench import stats, store
from bench.environment import PROJECT
from bench.errors import BenchError, StoreError, UsageError
from bench.evidence import roofline_of
from bench.files import write_whole
from bench.records import PHASES, Run
from bench.report import conclusion
from bench.tables import result_table, rows_of
from bench.wording import MARKS, interval, machine_text, seat_names

REFERENCE = PROJECT / "results" / "reference"
ROOFLINE = PROJECT / "results" / "roofline"
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


def roofline_block(run_dir: Path) -> str:
    """Write what docs/performance.md says of a run: percent of peak by case, and the probes.

    Args:
        run_dir: The folder of the run.
    """
    stored = store.load(run_dir)
    results = stats.results(stored.run, stored.samples, stored.parity, stored.faults)
    found = roofline_of(stored, results)
    where = f"results/{run_dir.name}"
    return "\n".join(
        (
            f"On {machine_text(stored.run)}. {found.text}",
            "",
            *markdown(found.table.heads, found.table.rows),
            "",
            *(f"- {line}" for line in (*found.limits, *found.errors)),
            "",
            f"Measured by `{stored.run.command}`; the whole report: [{where}/report.md]"
            f"(../{where}/report.md).",
        )
    )


def insert(readme: str, text: str) -> str:
    """Put a text between a page's markers.

    Raises:
        UsageError: The markers are missing.
    """
    head, begin, rest = readme.partition(BEGIN)
    comment, arrow, rest = rest.partition("-->")
    _, end, tail = rest.partition(END)
    if not (begin and arrow and end):
        raise UsageError(f"the page has lost its markers {BEGIN} ... --> and {END}")
    return f"{head}{begin}{comment}{arrow}\n\n{text}\n\n{end}{tail}"


def main() -> None:
    """Rewrite the pages in place, each from its run; a run that is not there changes nothing."""
    for page, run_dir, write in (
        (PROJECT / "README.md", REFERENCE, block),
        (PROJECT / "docs" / "performance.md", ROOFLINE, roofline_block),
    ):
        if run_dir.exists():
            text = insert(page.read_text(encoding="utf-8"), write(run_dir))
            try:
                write_whole(page, text.encode())
            except OSError as error:
                raise StoreError(f"cannot write {page}: {error.strerror}") from error
            sys.stdout.write(f"{page.name} shows results/{run_dir.name}\n")


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Write a table, a line each; all columns but the first to the right."""
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


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
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")
