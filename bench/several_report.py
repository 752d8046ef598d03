"""Several stored runs -> several.html and several.md in a folder. Files only; nothing is said here.

Each run is read as `bench.report` reads it, and nothing in it becomes a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import store
from bench.errors import StoreError, UsageError
from bench.files import write_whole
from bench.report import ReportPaths, markdown_text, templates_for
from bench.several import Group, groups_of, judged
from bench.several_page import several_page


def build_several(runs: Sequence[Path], out: Path) -> tuple[list[Group], ReportPaths]:
    """Make the page of several runs.

    Args:
        runs: Their folders.
        out: The folder of the two pages; made if missing.

    Returns:
        The runs by machine, and the pages.

    Raises:
        UsageError: A run is given twice.
        StoreError: A run is missing or damaged, or the folder cannot be written.
    """
    seen: dict[Path, Path] = {}
    for run in runs:
        if run.resolve() in seen:
            raise UsageError(f"{run} is given twice; give each run once")
        seen[run.resolve()] = run
    # One after the other: only what is derived stays in memory.
    groups = groups_of([judged(store.load(run)) for run in runs])
    page = several_page(groups)
    paths = ReportPaths(out / "several.html", out / "several.md")
    made = {
        paths.markdown: templates_for(markdown_text).get_template("several.md").render(page=page),
        paths.html: templates_for(None).get_template("several.html").render(page=page),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, text in made.items():
            write_whole(path, text.encode())
    except OSError as error:
        raise StoreError(
            f"cannot write the page into {out}: {error.strerror}; choose another --out"
        ) from error
    return groups, paths
