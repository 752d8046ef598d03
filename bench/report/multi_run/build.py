"""Several stored runs -> multi_run.html, multi_run.md and their charts in a folder. Files only.

Each run is read as `bench.report.run.build` reads it, and nothing in it becomes a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.model.errors import StoreError, UsageError
from bench.report.elements.files import ReportPaths
from bench.report.multi_run.layout import Renderer
from bench.report.multi_run.page import multi_run_page
from bench.report.multi_run.runs import Group, groups_of, judged
from bench.storage import runs as store


def build_multi_run(runs: Sequence[Path], out: Path) -> tuple[list[Group], ReportPaths]:
    """Make the page of several runs.

    Args:
        runs: Their folders.
        out: The folder of the two pages, and of `charts` for the Markdown; made if missing.

    Returns:
        The runs by machine, and the pages.

    Raises:
        UsageError: A run is given twice.
        StoreError: A run is missing or damaged, or the folder cannot be written.
    """
    seen: set[Path] = set()
    for run in runs:
        if run.resolve() in seen:
            raise UsageError(f"{run} is given twice; give each run once")
        seen.add(run.resolve())
    # One after the other: only what is derived stays in memory.
    groups = groups_of([judged(store.load(run)) for run in runs])
    paths = ReportPaths(out / "multi_run.html", out / "multi_run.md")
    try:
        out.mkdir(parents=True, exist_ok=True)
        Renderer().write(multi_run_page(groups), paths, of_old="history-*.svg")
    except OSError as error:
        raise StoreError(
            f"cannot write the page into {out}: {error.strerror}; choose another --out"
        ) from error
    return groups, paths
