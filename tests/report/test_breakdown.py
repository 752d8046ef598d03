"""Where the time goes: parts from known times, and what a page says of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from known_truth import SLOTS, agreed, make_run
from sample_run import SMALL, Truth, write_run

from bench.analysis.breakdown import (
    ELEMENTWISE,
    LOSS,
    NAMES,
    PRODUCTS,
    REST,
    SHUFFLE,
    UPDATE,
    Split,
    sums_of,
)
from bench.analysis.run_analysis import RunAnalysis, analyse, analyse_stored
from bench.model.cases import case_id
from bench.model.presets import cases_of
from bench.model.records import PHASES, Case, Fault, ParityResult, Phase, Problem, Run, Sample
from bench.model.slots import slots_of
from bench.report.charts.breakdown import breakdown_charts, pairs_of
from bench.report.elements.case_rows import case_rows
from bench.report.sections.breakdown import breakdown_section, not_above_0
from bench.report.sections.provenance import environment_facts, roofline_of
from bench.storage import runs as store

TINY = Problem((3, 4, 2), 5, 23, "float64", 1)  # four batches
CASES = cases_of((TINY,), parts=True)
NUMPY = {
    "forward": 100, "forward-products": 30, "forward-work": 70, "forward-floor": 20,
    "backprop": 200, "backprop-products": 60, "backprop-work": 120, "backprop-floor": 40,
    "epoch": 2000, "step-work": 150, "loss": 10, "shuffle": 300, "epoch-floor": 400,
    "call": 5, "timer": 5,
}  # fmt: skip
MOJO = {
    **NUMPY,
    **{"forward": 40, "forward-products": 39, "forward-work": 38, "step-work": 110, "epoch": 1500},
}
"""Nanoseconds; what the candidate fuses costs less than nothing."""


def read_run(
    run: Run,
    noise: Callable[[str, int], float] = lambda phase, invocation: 0.0,
    left_out: tuple[Phase, int] | None = None,
) -> list[Sample]:
    """Readings of those times, plus some noise by phase and invocation."""
    return [
        Sample(
            case_id(case), slot.label, invocation, turn, 0, 4,
            round(4 * ((MOJO if slot.label == "mojo" else NUMPY)[case.phase]
                       + noise(case.phase, invocation))),
            0,
        )
        for case in run.plan.cases
        for invocation in range(run.plan.invocations)
        for turn in (1, 2)
        for slot in slots_of(case, run.plan.workers)
        if (case.phase, invocation) != left_out
    ]  # fmt: skip


def taken_apart(run: Run | None = None, **changes: object) -> dict[tuple[str, str], Split]:
    run = run or make_run(*CASES)
    recorded = {"samples": read_run(run), "parity": agreed(run), "faults": []} | changes
    found = analyse(run, recorded["samples"], recorded["parity"], recorded["faults"]).splits  # type: ignore[arg-type]
    return {(split.case.phase, split.worker): split for split in found}


def points(split: Split) -> dict[str, float]:
    return {part.name: pytest.approx(part.time_ns.point) for part in split.parts}


def test_parts_are_differences_of_what_was_timed_aside() -> None:
    found = taken_apart()
    assert list(found) == [(phase, worker) for phase in PHASES for worker in ("numpy", "mojo")]
    assert points(found["forward", "numpy"]) == {PRODUCTS: 30, ELEMENTWISE: 40, REST: 30}
    assert points(found["backprop", "numpy"]) == {PRODUCTS: 60, ELEMENTWISE: 60, REST: 80}
    assert points(found["epoch", "numpy"]) == {
        PRODUCTS: 4 * 90, ELEMENTWISE: 4 * 100, LOSS: 40, UPDATE: 120, SHUFFLE: 300, REST: 780,
    }  # fmt: skip
    floor = found["epoch", "numpy"].one_wide_ns
    assert floor is not None
    assert floor.point == pytest.approx(400)


def test_work_that_is_fused_may_cost_less_than_nothing() -> None:
    found = taken_apart()
    assert points(found["forward", "mojo"]) == {PRODUCTS: 39, ELEMENTWISE: -1, REST: 2}
    assert found["epoch", "mojo"].part_ns(UPDATE) == pytest.approx(4 * (110 - 120))
    assert found["forward", "mojo"].part_ns(UPDATE) == 0


@pytest.mark.parametrize("phase", PHASES)
def test_the_parts_of_a_phase_are_together_the_phase_once(phase: Phase) -> None:
    together: dict[Phase, int] = {}
    for terms in sums_of(phase, 7).values():
        for name, count in terms.items():
            together[name] = together.get(name, 0) + count
    assert {name: count for name, count in together.items() if count} == {phase: 1}
    for split in taken_apart().values():
        assert sum(part.time_ns.point for part in split.parts) == pytest.approx(
            split.total_ns.point
        )
        assert {part.name for part in split.parts} <= set(NAMES)


def test_what_moves_both_times_of_a_difference_cancels_and_the_interval_is_students() -> None:
    run = make_run(*CASES, invocations=4)
    together = taken_apart(run, samples=read_run(run, lambda phase, number: 10.0 * number))
    for part in together["forward", "numpy"].parts[1:]:
        assert part.time_ns.high - part.time_ns.low == pytest.approx(0, abs=1e-9)
    moves = [10.0, -10.0, 5.0, -5.0]
    apart = taken_apart(
        run, samples=read_run(run, lambda phase, i: moves[i] if phase == "forward-work" else 0)
    )
    part = apart["forward", "numpy"].parts[1]
    assert part.name == ELEMENTWISE
    half = 3.182446 * (250 / 3) ** 0.5 / 2
    assert part.time_ns.low == pytest.approx(40 - half, rel=1e-5)
    assert part.time_ns.high == pytest.approx(40 + half, rel=1e-5)


def test_only_invocations_in_which_all_is_complete_count() -> None:
    run = make_run(*CASES, invocations=4)
    found = taken_apart(run, samples=read_run(run, left_out=("forward-work", 2)))
    counts = {key: split.total_ns.count for key, split in found.items()}
    assert counts["forward", "numpy"] == counts["epoch", "mojo"] == 3
    assert counts["backprop", "numpy"] == 4


def test_what_is_not_known_is_left_out() -> None:
    assert taken_apart(make_run(*cases_of((TINY,)))) == {}
    run = make_run(*CASES)
    failed = [ParityResult(one.problem, "numpy", "mojo", (), "y_hat") for one in agreed(run)]
    assert taken_apart(run, parity=failed) == {}
    fault = Fault(case_id(Case("loss", TINY)), "mojo", 0, "died")
    assert {phase for phase, _ in taken_apart(run, faults=[fault])} == {"forward", "backprop"}
    fault = replace(fault, case=case_id(Case("forward-floor", TINY)))
    assert taken_apart(run, faults=[fault])["forward", "mojo"].one_wide_ns is None


def test_parts_have_times_and_no_verdict_and_do_not_change_what_is_said_of_phases() -> None:
    run = make_run(*CASES)
    without = make_run(*cases_of((TINY,)))
    found = analyse(run, read_run(run), agreed(run), []).results
    plain = analyse(without, read_run(without), agreed(without), []).results
    assert [one for one in found if one.case in without.plan.cases] == list(plain)
    for result in found:
        if result.case.phase in ("call", "timer", *PHASES):
            continue
        assert result.verdict is result.ratio is None
        assert result.times.keys() == {SLOTS[0].label, "mojo"}


def analysis_of(folder: Path, **truth: Any) -> RunAnalysis:
    return analyse_stored(store.load(write_run(folder / "run", Truth(parts=True, **truth))))


def test_the_page_has_a_chart_and_a_table_for_each_phase(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, probes=True)
    charts = {chart.name: chart for chart in breakdown_charts(analysis)}
    section = breakdown_section(analysis, charts)
    assert section is not None
    assert [chart.name for chart in section.charts] == [f"where-{phase}" for phase in PHASES]
    assert [table.name for table in section.tables] == [f"Parts of {phase}" for phase in PHASES]
    for chart in section.charts:
        tree = ElementTree.fromstring(chart.svg)
        assert {ELEMENTWISE, REST} <= set(re.findall("|".join(NAMES), chart.alt))
        assert len(list(tree.iter("{http://www.w3.org/2000/svg}pattern"))) >= 2
        # Each side's network one wide takes a twentieth of its own time.
        shares = re.findall(r"(?:NumPy|Mojo) [^,;]+, ([\d.]+)[^;]*? of its own time", chart.caption)
        assert [float(share) for share in shares] == pytest.approx([5, 5], abs=0.2)
    for pair in pairs_of(analysis):
        if pair.case == Case("forward", SMALL):  # half as long, nearly all of it products
            assert pair.candidate.largest.name == PRODUCTS
            share = pair.candidate.part_ns(PRODUCTS) / pair.candidate.total_ns.point
            assert share == pytest.approx(0.95, abs=0.02)
    limits = roofline_of(analysis).limits
    names = ("peak, float64", "peak, float32", "triad in memory", "second-level cache")
    for what, threads in product(names, ("1 thread", "2 threads")):
        assert any(f"{what}, {threads}: " in limit for limit in limits), (what, threads)
    rows = case_rows(analysis.run, analysis.results)
    assert not any(row.network.startswith("1x2") for row in rows if row.phase in PHASES)


def test_without_parts_there_is_no_section(tmp_path: Path) -> None:
    analysis = analyse_stored(store.load(write_run(tmp_path / "run", Truth())))
    assert breakdown_charts(analysis) == []
    assert breakdown_section(analysis, {}) is None
    assert pairs_of(analysis) == ()


@pytest.mark.parametrize("ratio", [0.01, 0.4, 1.0, 300.0])
def test_what_is_said_holds_whoever_is_ahead(tmp_path: Path, ratio: float) -> None:
    analysis = analysis_of(tmp_path, problems=(SMALL,), ratio=ratio, invocations=3)
    for pair in pairs_of(analysis):
        if ratio != 1:
            assert (pair.saved_ns > 0) == (ratio > 1)
        shares = [share for _, share in pair.makes_the_difference]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1 if pair.saved_ns else 0)
    section = breakdown_section(analysis, {})
    assert section is not None
    text = " ".join(section.text)
    ahead = {"NumPy is ahead of Mojo": ratio < 1, "Mojo is ahead of NumPy": ratio > 1}
    assert ratio == 1 or {words: words in text for words in ahead} == ahead
    assert text.count("In an epoch of") == 1  # the smallest network is the largest


def test_parts_whose_interval_reaches_down_to_0_are_counted(tmp_path: Path) -> None:
    pairs = pairs_of(analysis_of(tmp_path))
    counts = dict(not_above_0([pair.candidate for pair in pairs]))
    assert ELEMENTWISE in counts  # the candidate fuses it
    assert all(0 < hits <= of <= len(pairs) for hits, of in counts.values())


def test_one_invocation_has_no_interval_and_a_section_all_the_same(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, invocations=1, rounds=2, training_epochs=0)
    section = breakdown_section(analysis, {})
    assert section is not None
    assert "no interval" in section.tables[0].rows[0][1]
    assert len(breakdown_charts(analysis)) == 3


def test_a_worker_with_other_threads_is_not_said_to_differ() -> None:
    told = {
        "numpy": {"threads": 1, "denormals": "kept"},
        "mojo": {"threads": 1, "denormals": "kept"},
        "mojo, 2 threads": {"threads": 2, "denormals": "kept"},
    }

    def marked(workers: dict[str, dict[str, object]]) -> list[str]:
        run = make_run(*CASES)
        run = replace(run, environment=replace(run.environment, workers=workers))
        (table,) = (one for one in environment_facts(run) if one.name.startswith("Workers"))
        return [row[0].split()[0] for row in table.rows if "differs" in row[0]]

    assert marked(told) == []
    assert marked(told | {"mojo": {"threads": 2, "denormals": "kept"}}) == ["threads"]
    flushed: dict[str, dict[str, object]] = {"numpy, 2 threads": {"denormals": "flushed"}}
    assert marked(told | flushed) == ["threads", "denormals"]
