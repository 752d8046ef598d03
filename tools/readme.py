"""Puts the results of stored runs into README.md and docs/performance.md: `python -m tools.readme`.

Their figures are made here from stored readings and never by hand; a test holds them together.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median

from bench.analysis.run_analysis import RunAnalysis, analyse_stored
from bench.model.errors import BenchError, StoreError, UsageError
from bench.model.numbers import interval
from bench.model.paths import PROJECT
from bench.model.records import PHASES, Run
from bench.model.tables import Table, markdown_lines
from bench.report.elements.case_names import CaseNames
from bench.report.elements.case_rows import CaseRow, case_rows
from bench.report.elements.sentences import MARKS, conclude, machine_text, slot_names
from bench.report.sections.provenance import roofline_of
from bench.storage import runs as store
from bench.storage.archive.machine_facts import machine_facts
from bench.storage.atomic_files import write_whole

REFERENCE = PROJECT / "results" / "reference"
PERFORMANCE = tuple(PROJECT / "results" / name for name in ("roofline", "roofline-avx2", "awkward"))
ODD_SIZES = PERFORMANCE[2]
GOALS = {
    "1,50x9,1 batch 20": (75, 75, None),
    "64,128x2,10 batch 32": (82, 83, None),
    "784,512x2,10 batch 128": (82, 84, 80),
    "1024x4 batch 256": (85, 87, 85),
    "1024,4096x2,1024 batch 256": (85, 86, 88),
}
"""Percent of the peak for Mojo's epoch: float64 and float32 on one thread, either on two."""
BEGIN = "<!-- reference: made by `python -m tools.readme`"
END = "<!-- reference: end -->"


def block(run_dir: Path) -> str:
    """Write what the README says of a run: conclusion, ratios by network and phase, chart.

    Args:
        run_dir: The folder of the run.
    """
    analysis = analyse_stored(store.load(run_dir))
    where = f"results/{run_dir.name}"
    return "\n".join(
        (
            str(conclude(analysis.run, analysis.of_main.results)),
            "",
            *_ratio_lines(analysis),
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
    analysis = analyse_stored(store.load(run_dir))
    run, found = analysis.run, roofline_of(analysis)
    bits = machine_facts(run)["vector_bits"]
    heads = (*found.table.heads, "goal, %")
    rows = [(*row, _goal(row[0])) for row in found.table.rows]
    vectors = f"Vectors of {bits // 8} bytes" if bits else "Vectors of unknown width"
    return "\n".join(
        (
            f"### {vectors}",
            "",
            f"On {machine_text(run)}. {found.text}",
            "",
            *markdown_lines(Table(heads, rows), numbers=True),
            "",
            *(f"- {line}" for line in (*found.limits, *found.errors)),
            "",
            _source(run, run_dir),
        )
    )


def odd_sizes_block(run_dir: Path) -> str:
    """Write what docs/performance.md says of a run of odd sizes: where the ratios are lowest.

    Args:
        run_dir: The folder of the run.
    """
    analysis = analyse_stored(store.load(run_dir))
    run = analysis.run
    measured = [row for row in case_rows(run, analysis.results) if row.phase in PHASES]
    timed = [row for row in measured if not math.isnan(row.ratio)]
    baseline, candidate = slot_names(run)
    below, sure = (sum(row.ratio < 1 for row in timed), sum(row.ratio_high < 1 for row in timed))
    groups: dict[tuple[str, str], list[CaseRow]] = {}
    for row in timed:
        groups.setdefault((row.phase, row.dtype), []).append(row)
    rows = []
    for (phase, dtype), cells in groups.items():
        slowest = min(cells, key=lambda row: row.ratio)
        value, ends = interval(slowest.ratio, slowest.ratio_low, slowest.ratio_high, apart=1)
        rows.append(
            (
                f"{phase}, {dtype}",
                str(len(cells)),
                str(sum(row.ratio < 1 for row in cells)),
                f"{median(row.ratio for row in cells):.3g}",
                f"{value} ({ends})",
                slowest.network,
            )
        )
    heads = ("phase", "cells", "below 1", "median", "lowest", "where")
    return "\n".join(
        (
            "### Odd widths and batches",
            "",
            f"On {machine_text(run)}. {baseline}'s time over {candidate}'s in {len(timed)} "
            f"cells with a ratio, of {len(measured)}: below 1 in {below}, by the whole interval in "
            f"{sure}.",
            "",
            *markdown_lines(Table(heads, rows), numbers=True),
            "",
            _source(run, run_dir),
        )
    )


def performance_block(run_dirs: Iterable[Path]) -> str:
    """Write all that docs/performance.md says of runs.

    Args:
        run_dirs: The folders of the runs; that of odd sizes is told from the others by its name.
    """
    return "\n\n".join(
        (odd_sizes_block if run_dir.name == ODD_SIZES.name else roofline_block)(run_dir)
        for run_dir in run_dirs
    )


def _source(run: Run, run_dir: Path) -> str:
    commit = str(run.environment.software.get("commit", "unknown"))
    where = f"results/{run_dir.name}"
    return (
        f"Measured by `{run.command}` at commit `{commit[:7]}`; the whole report: "
        f"[{where}/report.md](../{where}/report.md)."
    )


def _goal(label: str) -> str:
    """Tell the goal of a case by its label, `NETWORK · DTYPE[ · 2 threads] · PHASE`."""
    network, dtype, *threads, phase = label.split(" · ")
    if phase != "epoch" or network not in GOALS:
        return ""
    one_float64, one_float32, two = GOALS[network]
    goal = two if threads else one_float64 if dtype == "float64" else one_float32
    return "" if goal is None else str(goal)


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
    """Rewrite the pages in place, each from its runs; one that is not there changes nothing."""
    _rewrite(PROJECT / "README.md", [REFERENCE], lambda dirs: block(dirs[0]))
    _rewrite(PROJECT / "docs" / "performance.md", PERFORMANCE, performance_block)


def _rewrite(page: Path, run_dirs: Sequence[Path], write: Callable[[Sequence[Path]], str]) -> None:
    there = [run_dir for run_dir in run_dirs if run_dir.exists()]
    if not there:
        return
    text = insert(page.read_text(encoding="utf-8"), write(there))
    try:
        write_whole(page, text.encode())
    except OSError as error:
        raise StoreError(f"cannot write {page}: {error.strerror}") from error
    names = ", ".join(f"results/{run_dir.name}" for run_dir in there)
    sys.stdout.write(f"{page.name} shows {names}\n")


def _ratio_lines(analysis: RunAnalysis) -> list[str]:
    baseline, candidate = slot_names(analysis.run)
    timed = [row for row in case_rows(analysis.run, analysis.results) if row.phase in PHASES]
    phases = [phase for phase in PHASES if any(row.phase == phase for row in timed)]
    names = CaseNames.of_settings((row.dtype, row.threads) for row in timed)
    cells: dict[str, dict[str, str]] = {}
    for row in timed:
        name = " · ".join([row.network, *names.setting(row.dtype, row.threads)])
        cells.setdefault(name, {})[row.phase] = _cell(row)
    rows = [(name, *(of.get(phase, "") for phase in phases)) for name, of in cells.items()]
    signs = ", ".join(
        f"{sign} {kind}"
        for kind, sign in MARKS.items()
        if any(row.verdict == kind for row in timed)
    )
    return [
        f"{baseline} time / {candidate} time, with its 95 % interval:",
        "",
        *markdown_lines(Table(("network", *phases), rows)),
        "",
        f"Verdicts: {signs}. Above 1 {candidate} is faster.",
    ]


def _cell(row: CaseRow) -> str:
    value, ends = interval(row.ratio, row.ratio_low, row.ratio_high, apart=1)
    return f"{MARKS.get(row.verdict, '')} {value} ({ends})" if ends else MARKS.get(row.verdict, "")


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")
