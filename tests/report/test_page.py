"""The page as a file: its script, the keys and columns of its table, its size."""

from __future__ import annotations

import math
import re
import shutil
import time

import pandas as pd
from sample_run import Truth, problems, write_run
from test_report import MIXED, TEMPLATES, Page

from bench.model.records import PHASES
from bench.report.run.build import build


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
