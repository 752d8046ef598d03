"""A stored run -> report.html, report.md, results.csv and charts/*.svg, beside its raw data.

Reads only what is stored, and writes the same bytes for the same input. What is said is made in
`bench.report.run.page`; here are files and escaping: a run may come from a stranger.
"""

from __future__ import annotations

from pathlib import Path

from bench.analysis.run_analysis import RunAnalysis, analyse_stored
from bench.model.errors import StoreError
from bench.report.charts.breakdown import breakdown_charts
from bench.report.charts.overview import curve_chart, loss_chart, speedup_chart, time_chart
from bench.report.charts.speedup_map import map_chart
from bench.report.elements.case_rows import case_rows
from bench.report.elements.chart import Chart
from bench.report.elements.files import (
    ReportPaths,
    csv_text,
    markdown_text,
    script_of,
    templates_for,
    write_pages,
)
from bench.report.elements.sentences import slot_names
from bench.report.run.page import FILES, make_page
from bench.storage import runs as store


def build(run_dir: Path, analysis: RunAnalysis | None = None) -> ReportPaths:
    """Make the report of a run from its stored data, again each time.

    Args:
        run_dir: The folder of the run, such as `results/reference`.
        analysis: The run, where it was read already.

    Raises:
        StoreError: The run is missing, damaged or from a newer version, or the folder cannot be
            written.
    """
    analysis = analysis or analyse_stored(store.load(run_dir))
    files = {name for name, _ in FILES if (run_dir / name).exists()} | {"results.csv"}
    by_name = {chart.name: chart for chart in make_charts(analysis.of_main)}
    page = make_page(analysis, by_name, files)
    for section in (*page.overview, *page.more):
        by_name |= {chart.name: chart for chart in (*section.charts, *section.folded)}
    paths = ReportPaths(run_dir / "report.html", run_dir / "report.md")
    for_html, for_markdown = templates_for(None), templates_for(markdown_text)
    script, script_hash = script_of(for_html)
    # All is made before the first file is written: what fails leaves the report that is there.
    made = {
        run_dir / "results.csv": csv_text(case_rows(analysis.run, analysis.results)),
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


def make_charts(analysis: RunAnalysis) -> list[Chart]:
    """Draw every chart of two sides that the data of a run allows."""
    run, training = analysis.run, analysis.training
    names = slot_names(run)
    kinds = {"baseline": run.baseline.implementation, "candidate": run.main.implementation}

    def of_both(what: str) -> dict[str, store.Array]:
        return {
            role: training[f"{kind}/{what}"]
            for role, kind in kinds.items()
            if f"{kind}/{what}" in training
        }

    kept = {"X": "X", "y": "y", f"{kinds['baseline']}/grid": "grid"}
    curves = {kept[key]: array for key, array in training.items() if key in kept}
    rows = case_rows(run, analysis.results)
    charts = (
        map_chart(run, rows, *names),
        speedup_chart(rows, *names),
        time_chart(rows, *names),
        loss_chart(of_both("training_loss"), run.plan.request.training_epochs, *names),
        curve_chart(curves | of_both("curve"), *names),
    )
    return [chart for chart in (*charts, *breakdown_charts(analysis)) if chart is not None]
