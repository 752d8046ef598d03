"""How long a store takes: `python -m tools.archive_scale` merges and reports simulated runs.

The commands run as a user runs them, in processes of their own. Memory is the most that all
processes of a command held together, sampled twenty times a second.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.model.threads import cores
from bench.storage.atomic_files import write_whole
from tools.simulated_runs import Simulated, write_simulated

MACHINES = (10, 100, 1000)
EACH_S = 0.05
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SQL = "SELECT phase, verdict, count(*), median(ratio) FROM results GROUP BY ALL ORDER BY ALL"
MARKS = ("<!-- scale: made by `python -m tools.archive_scale`; do not edit by hand -->\n",
         "<!-- scale: end -->")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table in Markdown, and write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, nargs="+", default=MACHINES)
    parser.add_argument("--page", type=Path, help="Markdown file with a place for the table")
    options = parser.parse_args(arguments)
    rows = [_row(machines) for machines in options.machines]
    table = "\n".join(
        (
            "| machines | readings | merge | report | query | together | CPU time | peak memory "
            "| store | page |",
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *rows,
        )
    )
    load = os.getloadavg()[0]
    text = f"{table}\n\nOn {cores()} cores; the load of the last minute was {load:.1f} at the end."
    sys.stdout.write(f"{text}\n")
    if options.page:
        old = options.page.read_text()
        place = re.compile(f"{re.escape(MARKS[0])}.*?{re.escape(MARKS[1])}", re.DOTALL)
        made = place.sub(lambda _: f"{MARKS[0]}\n{text}\n\n{MARKS[1]}", old)
        write_whole(options.page, made.encode())


def _row(machines: int) -> str:
    """Measure with a number of machines, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        runs, store = Path(folder) / "runs", Path(folder) / "store"
        with ProcessPoolExecutor(cores()) as pool:
            readings = sum(pool.map(partial(_write, runs), range(machines), chunksize=4))
        merged = _measure("merge", str(runs), "--into", str(store))
        reported = _measure("fleet", str(store))
        asked = _measure("query", SQL, "--store", str(store))
        costs = (merged, reported, asked)
        size = sum(file.stat().st_size for file in store.rglob("*.parquet"))
        page = (store / "report" / "fleet.html").stat().st_size
    cells = (
        f"{machines:,}",
        f"{readings:,}",
        *(f"{cost.wall_s:.1f} s" for cost in costs),
        f"{sum(cost.wall_s for cost in costs):.1f} s",
        f"{sum(cost.cpu_s for cost in costs):.1f} s",
        f"{max(cost.peak_bytes for cost in costs) / 1e9:.2f} GB",
        f"{size / 1e6:.1f} MB",
        f"{page / 1e6:.2f} MB",
    )
    return f"| {' | '.join(cells)} |"


def _write(runs: Path, number: int) -> int:
    return write_simulated(runs / f"{number:05}", Simulated(number))


def _measure(*words: str) -> Cost:
    """Run a command of `bench` and watch it.

    Raises:
        SystemExit: It failed.
    """
    before = os.times()
    start = time.monotonic()
    peak = 0
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *words], stdout=subprocess.DEVNULL, start_new_session=True
    )
    while process.poll() is None:
        peak = max(peak, _memory(process.pid))
        time.sleep(EACH_S)
    wall = time.monotonic() - start
    after = os.times()
    if process.returncode:
        raise SystemExit(f"bench {' '.join(words)} ended with {process.returncode}")
    cpu = after.children_user + after.children_system
    return Cost(wall, cpu - before.children_user - before.children_system, peak)


def _memory(session: int) -> int:
    """Add up what all processes of a session hold in memory; pages that they share count twice."""
    held = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                held += int((folder / "statm").read_text().split()[1]) * PAGE_BYTES
        except (OSError, ValueError, IndexError):
            continue  # it has ended
    return held


if __name__ == "__main__":
    main()
