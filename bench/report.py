"""A stored run -> report.html, report.md, results.csv and charts/*.svg, beside its raw data.

Reads only what is stored, and writes the same bytes for the same input. What is said is made in
`bench.page`; here are files and escaping: a run may come from a stranger.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench import stats, store, wording
from bench.candidates import main_results
from bench.charts import curve_chart, loss_chart, speedup_chart, time_chart
from bench.drawing import Chart
from bench.errors import StoreError
from bench.files import write_whole
from bench.focus import focused
from bench.page import FILES, make_page
from bench.records import Result
from bench.speedup_map import map_chart
from bench.tables import result_table
from bench.where import where_charts

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that a spreadsheet takes for a formula; the last four are their wide forms."""
LIVE_IN_MARKDOWN = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")

LIVE_AT_THE_START = re.compile(r"^\s*(?:\d{1,9}(?=[.)](?:\s|$))|(?=(?:[+-]|#{1,6})(?:\s|$)))")
"""What would make a line a heading or an item of a list; `-0.5` is none."""


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """The two pages of a report."""

    html: Path
    markdown: Path


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


def write_pages(
    folder: Path, pages: Mapping[Path, str], charts: Iterable[Chart], of_old: str = "*.svg"
) -> None:
    """Write pages, and their charts below them; charts of another day go.

    Args:
        folder: Where the pages are.
        pages: Text by path.
        charts: For the folder `charts`.
        of_old: Which files in it go if they are none of these.

    Raises:
        StoreError: The folder of the charts is a link.
        OSError: Something cannot be written.
    """
    drawings = folder / "charts"
    if drawings.is_symlink():
        raise StoreError(
            f"cannot write the report into {folder}: {drawings.name} is a link that leads "
            "elsewhere; remove it"
        )
    drawings.mkdir(exist_ok=True)
    drawn = {drawings / f"{chart.name}.svg": chart.svg for chart in charts}
    for path, text in {**drawn, **pages}.items():
        write_whole(path, text.encode())
    for old in drawings.glob(of_old):
        if old not in drawn:
            old.unlink()


def csv_text(table: pd.DataFrame) -> str:
    """Write the results with all digits; no cell of text is a formula to who opens it.

    A spreadsheet computes text that begins with one of = + - @, which a stranger may have put into
    a run: an apostrophe before it says that it is text. Numbers stay numbers.
    """

    def inert(cell: Any) -> Any:
        return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell

    return table.map(inert).to_csv(index=False, lineterminator="\n")


def conclusion(stored: store.Stored, results: Sequence[Result]) -> str:
    """Say in one sentence what the results of a run support."""
    return wording.conclusion(stored.run, results)


def make_charts(stored: store.Stored, table: pd.DataFrame) -> list[Chart]:
    """Draw every chart that the data of a run allows."""
    names = wording.seat_names(stored.run)
    seats = {
        worker.role: worker.implementation
        for worker in stored.run.plan.workers
        if worker.role != "again"
    }

    def of_both(kind: str) -> dict[str, Any]:
        return {
            role: stored.training[f"{implementation}/{kind}"]
            for role, implementation in seats.items()
            if f"{implementation}/{kind}" in stored.training
        }

    kept = {"X": "X", "y": "y", f"{seats['baseline']}/grid": "grid"}
    curves = {kept[key]: array for key, array in stored.training.items() if key in kept}
    charts = (
        map_chart(stored.run, table, *names),
        speedup_chart(table, *names),
        time_chart(table, *names),
        loss_chart(of_both("training_loss"), stored.run.plan.training_epochs, *names),
        curve_chart(curves | of_both("curve"), *names),
    )
    return [chart for chart in (*charts, *where_charts(stored)) if chart is not None]


def markdown_text(value: Any) -> Any:
    """Write a value so that Markdown shows it as it is: no markup, no table cell, no HTML in it."""
    if isinstance(value, Markup):
        return value
    text = LIVE_IN_MARKDOWN.sub(r"\\\g<0>", _one_line(str(value)))
    text = LIVE_AT_THE_START.sub(r"\g<0>\\", text)
    return Markup(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def markdown_code(value: str) -> Markup:
    """Write a command as inline code, whatever it holds."""
    text = _one_line(value)
    fence = "`" * (max((len(ticks) for ticks in re.findall("`+", text)), default=0) + 1)
    return Markup(f"{fence}{text}{fence}")


def script_of(environment: Environment) -> tuple[Markup, Markup]:
    """Return the script of the page, and the hash by which its policy allows this one alone."""
    assert environment.loader is not None
    text = environment.loader.get_source(environment, "report.js")[0]
    digest = b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), Markup(f"sha256-{digest}")


def _one_line(text: str) -> str:
    return re.sub(r"[\n\r\t\v\f\x1c-\x1e\x85\u2028\u2029]+", " ", text)


def templates_for(finalize: Any) -> Environment:
    """Make jinja2 escape every value: for HTML by itself, for Markdown by `finalize`."""
    environment = Environment(
        loader=PackageLoader("bench"),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = markdown_code
    return environment
