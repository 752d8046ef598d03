"""A stored run -> report.html, report.md, results.csv and charts/*.svg, beside its raw data.

Reads only what is stored, and writes the same bytes for the same input. What is said is made in
`bench.report.run.page`; here are files and escaping: a run may come from a stranger.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis import verdicts as stats
from bench.model.errors import StoreError
from bench.model.records import Result
from bench.model.slots import main_results
from bench.report.charts.breakdown import where_charts
from bench.report.charts.overview import curve_chart, loss_chart, speedup_chart, time_chart
from bench.report.charts.speedup_map import map_chart
from bench.report.elements import sentences as wording
from bench.report.elements.chart import Chart
from bench.report.elements.files import (
    ReportPaths,
    csv_text,
    markdown_text,
    script_of,
    templates_for,
    write_pages,
)
from bench.report.elements.focus import focused
from bench.report.elements.result_table import result_table
from bench.report.run.page import FILES, make_page
from bench.storage import runs as store


def build(run_dir: Path) -> ReportPaths:
    """Make the report of a run from its stored data, again each time.

    Args:
        run_dir: The folder of the run, such as `results/reference`.

    Raises:
        StoreError: The run is missing, damaged or from a newer version, or the folder cannot be
            written.
    """
    stored = store.load(run_dir)
    readings = stored.run, stored.samples, stored.parity, stored.faults
    results = stats.results(*readings)
    table = result_table(stored.run, results)
    # What compares two sides speaks of one candidate; the table and the ladder have all.
    one, mine = focused(stored), main_results(stored.run, results)
    charts = make_charts(one, result_table(one.run, mine))
    files = {name for name, _ in FILES if (run_dir / name).exists()} | {"results.csv"}
    by_name = {chart.name: chart for chart in charts}
    page = make_page(stored, results, table, stats.geometric_means(*readings), by_name, files)
    for section in (*page.overview, *page.more):
        by_name |= {chart.name: chart for chart in (*section.charts, *section.folded)}
    paths = ReportPaths(run_dir / "report.html", run_dir / "report.md")
    for_html, for_markdown = templates_for(None), templates_for(markdown_text)
    script, script_hash = script_of(for_html)
    # All is made before the first file is written: what fails leaves the report that is there.
    made = {
        run_dir / "results.csv": csv_text(table),
        paths.markdown: for_markdown.get_template("report.md").render(page=page),
        paths.html: for_html.get_template("report.html").render(
            page=page, script=script, script_hash=script_hash
        ),
    }
    try:
        write_pages(run_dir, made, by_name.values())
    except OSError as error:
        raise StoreError(
            f"cannot write the report into {run_dir}: {error.strerror}; "
            "make the folder writable or copy the run elsewhere"
        ) from error
    return paths


def conclusion(stored: store.Stored, results: Sequence[Result]) -> str:
    """Say in one sentence what the results of a run support."""
    return wording.conclusion(stored.run, results)


def make_charts(stored: store.Stored, table: pd.DataFrame) -> list[Chart]:
    """Draw every chart that the data of a run allows."""
    names = wording.slot_names(stored.run)
    slots = {
        worker.role: worker.implementation
        for worker in stored.run.plan.workers
        if worker.role != "again"
    }

    def of_both(kind: str) -> dict[str, Any]:
        return {
            role: stored.training[f"{implementation}/{kind}"]
            for role, implementation in slots.items()
            if f"{implementation}/{kind}" in stored.training
        }

    kept = {"X": "X", "y": "y", f"{slots['baseline']}/grid": "grid"}
    curves = {kept[key]: array for key, array in stored.training.items() if key in kept}
    charts = (
        map_chart(stored.run, table, *names),
        speedup_chart(table, *names),
        time_chart(table, *names),
        loss_chart(of_both("training_loss"), stored.run.plan.request.training_epochs, *names),
        curve_chart(curves | of_both("curve"), *names),
    )
    return [chart for chart in (*charts, *where_charts(stored)) if chart is not None]
