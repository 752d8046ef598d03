"""Finds the page of a run: of the one that is named, or of the one begun last."""

from __future__ import annotations

from pathlib import Path

from bench.model.errors import StoreError, UsageError
from bench.storage import runs as store
from bench.storage.dates import NEVER, when


def report_page(run: Path | None, runs: Path) -> Path:
    """Return the page of a run.

    Args:
        run: Its folder; None: the one of all runs that was begun last.
        runs: The folder of all runs.

    Raises:
        UsageError: There is no run, or it has no page; says what to do.
        StoreError: What is named is no run, or damaged.
    """
    if run is None:
        run = latest(runs)
    else:
        store.load_run(run)
    page = run / "report.html"
    if not page.is_file():
        raise UsageError(f"{run} has no report yet; `bench report {run}` makes it")
    return page


def latest(runs: Path) -> Path:
    """Return the folder of the run that was begun last; what is no run, or damaged, is passed over.

    Raises:
        UsageError: There is none.
    """
    found = []
    for path in sorted(runs.glob("*/run.json")):
        try:
            moment = when(store.load_run(path.parent))
        except StoreError:
            continue
        found.append((moment != NEVER, moment, path.parent))  # without a date: before all others
    if not found:
        raise UsageError(f"there is no run in {runs}; `bench run` makes one, --out says where else")
    return max(found)[2]
