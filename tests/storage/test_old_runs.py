"""Runs of every older version still load, and give the figures they gave.

`old_runs/version-N` are real runs of that version, cut to a few cases, rounds and epochs. Their
`expected.csv` was written when they were cut.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from bench.analysis.run_analysis import analyse_stored
from bench.cli.terminal.results import show_run
from bench.model.records import BREAKDOWN, PROBES, SCHEMA_VERSION
from bench.report.run.build import build
from bench.storage.runs import load

OLD_RUNS = Path(__file__).parent / "old_runs"
FIGURES = ["baseline_ns", "candidate_ns", "candidate_low_ns", "ratio", "ratio_low", "ratio_high"]


@pytest.fixture(params=range(1, SCHEMA_VERSION), ids=lambda number: f"version {number}")
def run_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    copied = tmp_path / "run"
    shutil.copytree(OLD_RUNS / f"version-{request.param}", copied)
    assert load(copied).run.schema == request.param
    return copied


def test_an_old_run_loads_and_what_it_lacks_is_not_known(run_dir: Path) -> None:
    stored = load(run_dir)
    request, version = stored.run.plan.request, stored.run.schema
    assert stored.notes == stored.run.resumed == ()
    assert request.budget_s is None
    assert request.target == (0.05 if version == 4 else None)
    assert bool(stored.costs) == bool(request.cost_rounds) == (version > 3)
    assert bool(stored.contract) == (version > 2)
    assert all((sample.cpu_ns is not None) == (version > 2) for sample in stored.samples)
    has_parts = bool({case.phase for case in stored.run.plan.cases} & {*BREAKDOWN})
    assert has_parts == (version > 3)
    has_probes = any(case.phase in PROBES for case in stored.run.plan.cases)
    assert has_probes == (version == 2)


def test_an_old_run_gives_the_figures_it_gave(run_dir: Path) -> None:
    stored = load(run_dir)
    found = analyse_stored(stored).results
    assert not [result for result in found if result.verdict and result.verdict.kind == "INVALID"]
    build(run_dir)
    table = pd.read_csv(run_dir / "results.csv").set_index("case")
    expected = pd.read_csv(run_dir / "expected.csv").set_index("case")
    pd.testing.assert_frame_equal(table[FIGURES], expected[FIGURES], rtol=1e-9)
    assert list(table["verdict"].fillna("")) == list(expected["verdict"].fillna(""))


def test_an_old_run_gives_the_same_report_each_time_and_a_summary(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []
    for _ in range(2):
        build(run_dir)
        made.append({path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()})
    assert made[0] == made[1]
    assert {path.name for path in made[0]} >= {"report.html", "report.md", "speedup.svg"}
    assert not show_run(run_dir)
    assert f"Report: {run_dir / 'report.html'}" in capsys.readouterr().out
