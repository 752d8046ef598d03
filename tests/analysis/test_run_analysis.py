"""One analysis of a run: each thing is derived once, and nothing is looked for in a list again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from known_truth import FORWARD, SMALL, agreed, make_run, make_samples, spread_around
from sample_run import LADDER, Truth, write_run

from bench.analysis import comparison, readings, run_analysis, verdicts
from bench.analysis.comparison import changes
from bench.analysis.run_analysis import analyse
from bench.model.records import Case, WorkerSpec

Bench = Callable[..., tuple[int, str, str]]


def counted(monkeypatch: pytest.MonkeyPatch, name: str, *modules: Any) -> Callable[[], int]:
    """Count the calls of a function under the name that these modules know it by."""
    calls: Counter[str] = Counter()
    for module in modules:
        original = getattr(module, name)

        def call(*given: Any, original: Any = original, **more: Any) -> Any:
            calls[name] += 1
            return original(*given, **more)

        monkeypatch.setattr(module, name, call)
    return lambda: calls[name]


@pytest.mark.parametrize(
    "truth", [Truth(parts=True, probes=True, meters=True), replace(LADDER, training_epochs=0)]
)
def test_one_report_sorts_the_readings_once(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: Truth
) -> None:
    run_dir = write_run(tmp_path / "run", truth)
    calls = counted(monkeypatch, "sort_samples", run_analysis)
    code, out, _ = bench("report", run_dir)
    assert (code, calls()) == (0, 1)
    assert "Report: " in out


def calls_of_a_comparison(monkeypatch: pytest.MonkeyPatch, cells: int) -> int:
    cases = [Case("forward", replace(SMALL, rows=10 + cell)) for cell in range(cells)]
    run = make_run(*cases, invocations=1, rounds=1)
    samples = make_samples(run, spread_around(2))
    sides = [analyse(run, samples, agreed(run), []) for _ in range(2)]
    with monkeypatch.context() as patch:
        calls = counted(patch, "case_id", run_analysis, readings, verdicts, comparison)
        assert len(changes(*sides)) == cells
        return calls()


def test_a_comparison_is_linear_in_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (calls_of_a_comparison(monkeypatch, cells) for cells in (50, 500))
    assert 0 < many <= 10 * few


def test_a_run_knows_its_slots() -> None:
    run = make_run(FORWARD)
    assert (run.baseline.label, run.main.label) == ("numpy", "mojo")
    assert run.again is not None
    assert run.again.label == "numpy-again"
    others = tuple(WorkerSpec(name, name, "candidate") for name in ("numba", "jax"))
    request = replace(run.plan.request, workers=(run.baseline, *others))
    several = replace(run, plan=replace(run.plan, request=request))
    assert (several.again, several.main, several.candidates) == (None, others[0], others)
