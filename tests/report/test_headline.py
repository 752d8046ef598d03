"""What would change the verdicts: the sentences hold for any run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sample_run import SEED_NETWORK, SMALL, Truth, problems, write_run

from bench.analysis.run_analysis import analyse_stored
from bench.model.cases import case_id
from bench.model.numbers import NARROW_SPACE
from bench.model.records import PHASES, Case
from bench.report.sections.conclusion import would_change
from bench.storage.runs import load


def said(folder: Path, truth: Truth) -> str:
    stored = load(write_run(folder / "run", truth))
    return ". ".join(would_change(analyse_stored(stored)))


def test_the_nearest_difference_and_the_scope(tmp_path: Path) -> None:
    nearest = case_id(Case("backprop", SMALL))
    text = said(tmp_path, Truth(ratios={nearest: 1.2}))
    assert "nearest to none is backprop · 64,128x2,10 batch 32 · float64 · 1 thread, at 1.2" in text
    assert "there NumPy would have to become 20% faster to draw level" in text
    assert "hold for networks of 804 kFLOP to 1.65 MFLOP" in text.replace(NARROW_SPACE, " ")
    assert "NumPy with openblas 0.3.30; not measured: float32 and more threads" in text
    assert "Not settled" not in text
    assert "INVALID" not in text


def test_where_the_candidate_loses_it_is_the_one_to_gain(tmp_path: Path) -> None:
    ratios = {case_id(Case(phase, SEED_NETWORK)): 0.5 for phase in PHASES}
    text = said(tmp_path, Truth(problems=[SEED_NETWORK], ratios=ratios))
    assert "there Mojo would have to become 99% faster to draw level" in text


def test_what_is_not_settled_says_what_would_settle_it(tmp_path: Path) -> None:
    text = said(tmp_path, Truth(invocations=5))
    assert text.startswith("Not settled (?): forward · 1,50x9,1 batch 20")
    assert "and 3 more; of the first, only 5 invocations; a verdict needs 10" in text
    assert "Verdicts hold" not in text


def test_what_is_invalid_is_counted(tmp_path: Path) -> None:
    text = said(tmp_path, Truth(failed=[SMALL]))
    assert "3 cases say nothing (✕ INVALID) until their faults are mended" in text
    nothing = said(tmp_path / "all", Truth(problems=[SMALL], failed=[SMALL]))
    assert nothing == "3 cases say nothing (✕ INVALID) until their faults are mended"


def test_all_that_was_measured_is_not_called_missing(tmp_path: Path) -> None:
    both = problems("float64", "float32")
    text = said(tmp_path, Truth(problems=[*both, *(replace(one, threads=2) for one in both)]))
    assert "not measured" not in text


def test_nothing_measured_nothing_said(tmp_path: Path) -> None:
    stored = load(write_run(tmp_path / "run", Truth(problems=[])))
    assert would_change(analyse_stored(stored)) == []
