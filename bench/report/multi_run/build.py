"""Several stored runs -> several.html, several.md and their charts in a folder. Files only.

Each run is read as `bench.report.run.build` reads it, and nothing in it becomes a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.model.errors import StoreError, UsageError
from bench.report.elements.files import (
    ReportPaths,
    markdown_text,
    script_of,
    templates_for,
    write_pages,
)
from bench.report.multi_run.page import several_page
from bench.report.multi_run.runs import Group, groups_of, judged
from bench.storage import runs as store


def build_several(runs: Sequence[Path], out: Path) -> tuple[list[Group], ReportPaths]:
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
    seen: dict[Path, Path] = {}
    for run in runs:
        if run.resolve() in seen:
            raise UsageError(f"{run} is given twice; give each run once")
        seen[run.resolve()] = run
    # One after the other: only what is derived stays in memory.
    groups = groups_of([judged(store.load(run)) for run in runs])
    page = several_page(groups)
    paths = ReportPaths(out / "several.html", out / "several.md")
    for_html, for_markdown = templates_for(None), templates_for(markdown_text)
    script, script_hash = script_of(for_html)
    made = {
        paths.markdown: for_markdown.get_template("several.md").render(page=page),
        paths.html: for_html.get_template("several.html").render(
            page=page, script=script, script_hash=script_hash
        ),
    }
    charts = [chart for section in page.sections for chart in section.charts]
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_pages(out, made, charts, of_old="history-*.svg")
    except OSError as error:
        raise StoreError(
            f"cannot write the page into {out}: {error.strerror}; choose another --out"
        ) from error
    return groups, paths
