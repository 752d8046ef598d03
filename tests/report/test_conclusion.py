"""What would change the verdicts: facts that hold for any run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from sample_run import SEED_NETWORK, SMALL, Truth, problems, write_run

from bench.analysis.run_analysis import analyse_stored
from bench.model.arithmetic import flops
from bench.model.cases import case_id
from bench.model.records import PHASES, Case
from bench.report.sections.conclusion import (
    Closest,
    Fact,
    Invalid,
    Scope,
    Unresolved,
    would_change,
)
from bench.storage.runs import load


def facts_of(folder: Path, truth: Truth) -> Mapping[type, Fact]:
    stored = load(write_run(folder / "run", truth))
    return {type(fact): fact for fact in would_change(analyse_stored(stored))}


def test_the_closest_difference_and_the_scope(tmp_path: Path) -> None:
    nearest = Case("backprop", SMALL)
    found = facts_of(tmp_path, Truth(ratios={case_id(nearest): 1.2}))
    assert list(found) == [Closest, Scope]
    closest, scope = found.values()
    assert isinstance(closest, Closest)
    assert (closest.case, closest.slower) == (nearest, "NumPy")
    assert closest.ratio.point == pytest.approx(1.2, rel=0.01)
    assert closest.gain == closest.ratio.point - 1
    work = [flops(Case("forward", problem)) for problem in (SMALL, SEED_NETWORK)]
    versions = ["NumPy with openblas 0.3.30"]
    assert scope == Scope((min(work), max(work)), versions, ["float32", "more threads"])
    assert f"{closest.gain:.0%} faster" in str(closest)


def test_where_the_candidate_loses_it_is_the_one_to_gain(tmp_path: Path) -> None:
    ratios = {case_id(Case(phase, SEED_NETWORK)): 0.5 for phase in PHASES}
    closest = facts_of(tmp_path, Truth(problems=[SEED_NETWORK], ratios=ratios))[Closest]
    assert isinstance(closest, Closest)
    assert closest.slower == "Mojo"
    assert closest.gain == pytest.approx(1, abs=0.02)


def test_what_is_not_settled_says_why(tmp_path: Path) -> None:
    found = facts_of(tmp_path, Truth(invocations=5))
    (unresolved,) = found.values()
    assert isinstance(unresolved, Unresolved)
    assert len(unresolved.cases) == 6
    assert unresolved.reason == "only 5 invocations; a verdict needs 10"
    assert " and 3 more; of the first, only 5" in str(unresolved)


def test_what_is_invalid_is_counted(tmp_path: Path) -> None:
    assert facts_of(tmp_path, Truth(failed=[SMALL]))[Invalid] == Invalid(3)
    assert facts_of(tmp_path / "all", Truth(problems=[SMALL], failed=[SMALL])) == {
        Invalid: Invalid(3)
    }


def test_all_that_was_measured_is_not_called_missing(tmp_path: Path) -> None:
    both = problems("float64", "float32")
    truth = Truth(problems=[*both, *(replace(one, threads=2) for one in both)])
    scope = facts_of(tmp_path, truth)[Scope]
    assert isinstance(scope, Scope)
    assert scope.missing == []


def test_nothing_measured_nothing_said(tmp_path: Path) -> None:
    assert facts_of(tmp_path, Truth(problems=[])) == {}
