"""The page as a file: its script, the keys and columns of its table, its size."""

from __future__ import annotations

import math
import re
import shutil
import time
from pathlib import Path

import pandas as pd
from page_runs import write_named
from sample_run import Truth, problems, write_run
from test_report import MIXED, TEMPLATES, Page

from bench.analysis.run_analysis import analyse_stored
from bench.model.numbers import DASH
from bench.model.records import PHASES
from bench.report.run.build import build, make_charts
from bench.report.run.page import Page as RunPage
from bench.report.run.page import make_page
from bench.storage.runs import load


def test_the_script_asks_for_nothing_and_makes_no_code():
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    assert len(script.splitlines()) <= 120
    assert not re.search(
        r"\b(?:eval|Function|fetch|import|XMLHttp\w+|innerHTML|\w+Storage)\b", script
    )
    assert not re.search(r"</script|<!--|https?:", script)


def test_rows_can_be_sorted_by_their_numbers_in_full(tmp_path):
    run_dir = write_run(tmp_path / "run", MIXED)
    page = Page(build(run_dir).html.read_text(encoding="utf-8"))
    table = pd.read_csv(run_dir / "results.csv")
    table = table[table["phase"].isin(PHASES)]
    cells = [found for tag, found in page.elements if "data-sort" in found]
    for column, label in (("ratio", "ratio"), ("again", "NumPy against itself")):
        keys = [found["data-sort"] for found in cells if found["data-label"] == label]
        truth = {value for value in table[column] if math.isfinite(value)}
        assert {float(key) for key in keys if key} == truth
        assert keys.count("") == table[column].isna().sum() == 1


def test_a_full_run_makes_a_page_soon_and_of_a_size_to_send(tmp_path):
    """Limits far above what is usual (two seconds, half a megabyte): they find an order more."""
    run_dir = tmp_path / "run"
    shutil.copytree(TEMPLATES.parents[2] / "results" / "reference", run_dir)
    started = time.process_time()
    paths = build(run_dir)
    assert time.process_time() - started < 10
    assert paths.html.stat().st_size < 3_000_000


def test_a_column_stands_for_what_the_cases_do_not_share(tmp_path):
    truth = Truth(problems=problems("float64", "float32")[:4], training_epochs=0)
    paths = build(write_run(tmp_path / "run", truth))
    page = Page(paths.html.read_text(encoding="utf-8"))
    heads = [found["data-key"] for tag, found in page.elements if "data-key" in found]
    assert heads == [
        *("phase", "network", "dtype", "baseline", "candidate", "ratio", "verdict", "again")
    ]
    rows = [cells for cells in page.cells.values() if "ratio" in cells]
    assert {cells["dtype"] for cells in rows} == {"float64", "float32"}
    assert "batch\N{NO-BREAK SPACE}20 · float32 |" in paths.markdown.read_text(encoding="utf-8")


def facts_of(folder: Path, name: str) -> RunPage:
    analysis = analyse_stored(load(write_named(folder / "run", name)))
    charts = {chart.name: chart for chart in make_charts(analysis.of_main)}
    return make_page(analysis, charts, ())


def test_a_page_where_all_is_invalid_has_times_and_no_ratio(tmp_path: Path) -> None:
    page = facts_of(tmp_path, "invalid")
    rows = page.results.rows
    assert len(rows) == 6
    assert {(row.verdict, row.ratio.value, row.again.value) for row in rows} == {
        ("INVALID", DASH, DASH)
    }
    assert all(row.baseline.ends and row.candidate.ends for row in rows)
    assert [len(failure.tensors.rows) for failure in page.parity.failures] == [1, 1]
    (overview,) = page.overview
    assert [chart.name for chart in overview.charts] == ["map", "times"]
    assert [section.anchor for section in page.more] == ["distribution"]
    assert len(page.changes) == len(page.notices) == 1
    assert [row[2] for row in page.diagnostics.fairness.rows] == ["2 of 2", "0 of 2", "2 of 2"]


def test_a_page_of_one_case_has_what_one_case_can_show(tmp_path: Path) -> None:
    page = facts_of(tmp_path, "one")
    (row,) = page.results.rows
    assert (row.phase, row.verdict, list(row.differs)) == ("epoch", "FASTER", [])
    assert (page.results.dtypes, page.results.threads, page.results.several) == (False,) * 3
    assert not page.results.overheads.rows
    assert page.results.phases[0].mean == ""  # one cell has no geometric mean
    assert [section.anchor for section in page.more] == ["distribution"]
    assert not page.same
    assert len(page.conclusion_by_phase) == 1
