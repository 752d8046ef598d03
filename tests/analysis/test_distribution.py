"""The readings themselves: all of them, in order, counted in words, within a size."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_run import (
    SEED_NETWORK,
    SMALL,
    Truth,
    make_parity,
    make_run,
    make_samples,
    problems,
    write_run,
)

from bench.analysis.distribution import fences, in_order_of_telling
from bench.analysis.run_analysis import analyse_stored
from bench.model.cases import case_id, case_text
from bench.model.records import PHASES, Case, Fault, Sample
from bench.report.charts.distribution import distribution_chart, names_of
from bench.report.elements.chart import BASELINE_COLOUR, CANDIDATE_COLOUR
from bench.report.run.build import build
from bench.report.sections import distribution as section_module
from bench.report.sections.distribution import distribution_section
from bench.storage.runs import Stored

FORWARD = Case("forward", SEED_NETWORK)
NAMES = names_of("NumPy", "Mojo")


def stored_of(truth: Truth, samples: list[Sample] | None = None) -> Stored:
    samples = make_samples(truth) if samples is None else samples
    run, parity = make_run(truth), tuple(make_parity(truth))
    return Stored(Path("run"), run, tuple(samples), parity, tuple(truth.faults), {})


def histories(stored: Stored):
    return analyse_stored(stored).histories


def section_of(stored: Stored, **changes):
    return distribution_section(analyse_stored(stored), **changes)


def test_every_reading_is_there_in_the_order_of_taking():
    truth = Truth(problems=(SEED_NETWORK,))
    samples = make_samples(truth)
    shuffled = [samples[place] for place in np.random.default_rng(1).permutation(len(samples))]
    first = histories(stored_of(truth, shuffled))[0]
    mine = [sample for sample in samples if sample.case == case_id(FORWARD)]
    assert first.case == FORWARD
    assert first.count == len(mine) == truth.invocations * (truth.rounds + 1) * 3
    seen = {}
    for series in first.series:
        label = {"baseline": "numpy", "again": "numpy-again", "candidate": "mojo"}[series.role]
        for place, time, warmup in zip(series.places, series.times, series.warmup, strict=True):
            seen[int(place)] = (label, float(time), bool(warmup))
    expected = [(one.worker, one.elapsed_ns / one.loops, one.warmup) for one in mine]
    assert [seen[place] for place in range(len(mine))] == expected
    assert list(first.starts) == [number * 15 for number in range(truth.invocations)]


def test_the_caption_counts_what_there_is():
    stored = stored_of(Truth(problems=(SEED_NETWORK,)))
    chosen = in_order_of_telling(histories(stored))[0]
    chart = distribution_chart("distribution_0", chosen, NAMES)
    assert "180 readings of 12 invocations" in chart.caption
    assert "36 warm-ups among them" in chart.caption
    for series in chosen.history.series:
        words = re.search(
            rf"{NAMES[series.role]}: 48 readings, median ([\d.]+)\s(\w+), "
            r"the largest ([\d.]+) times that",
            chart.caption,
        )
        assert words
        length = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}[words[2]]
        middle = float(np.median(series.counted))
        assert float(words[1]) * length == pytest.approx(middle, rel=0.006)
        assert float(words[3]) == pytest.approx(series.counted.max() / middle, abs=0.006)
    assert chart.caption in chart.alt


def dots_of(svg: str, colour: str) -> int:
    paths = re.findall(rf'<path d="([^"]*)"[^>]*stroke: {colour}[^>]*stroke-linecap: round', svg)
    return sum(path.count("h0") for path in paths)


def test_a_point_is_drawn_for_each_reading_and_is_short():
    truth = Truth(problems=(SEED_NETWORK,), invocations=20, rounds=24)
    chosen = in_order_of_telling(histories(stored_of(truth)))[0]
    svg = distribution_chart("distribution_0", chosen, NAMES).svg
    far = svg.count(f"fill: {BASELINE_COLOUR}; stroke: {BASELINE_COLOUR}")
    assert abs(dots_of(svg, BASELINE_COLOUR) - 20 * 24) <= far
    assert dots_of(svg, CANDIDATE_COLOUR) >= 20 * 24 - 3
    assert len(svg) < 70_000
    ElementTree.fromstring(svg)


def test_outliers_stand_at_the_edge_and_are_counted():
    truth = Truth(problems=(SEED_NETWORK,))
    samples = make_samples(truth)
    wild = [
        replace(sample, elapsed_ns=sample.elapsed_ns * 50)
        if (sample.case, sample.invocation, sample.round) == (case_id(FORWARD), 3, 2)
        else sample
        for sample in samples
    ]
    first = histories(stored_of(truth, wild))[0]
    for series in first.series:
        low, high = fences(series.counted)
        assert low == series.counted.min()
        assert high < 3 * np.median(series.counted)
        assert (series.counted > high).sum() == 1
    chart = distribution_chart("d", in_order_of_telling([first])[0], NAMES)
    assert "3 readings lie beyond the axis and stand as triangles at its edge." in chart.caption


@given(st.lists(st.floats(1e-3, 1e18), min_size=1, max_size=50))
def test_fences_lie_within_the_readings(times: list[float]) -> None:
    low, high = fences(np.array(times))
    assert min(times) <= low <= high <= max(times)


def test_what_tells_most_comes_first_with_the_reason():
    truth = Truth(problems=problems("float64"))
    all_ = histories(stored_of(truth))
    drifting = replace(all_[7], result=replace(all_[7].result, drifting=4))
    changed = [*all_[:7], drifting, *all_[8:]]
    order = in_order_of_telling(changed)
    assert sorted(case_id(one.history.case) for one in order) == sorted(
        case_id(one.case) for one in changed
    )
    widths = {
        one.case: math.log(one.result.ratio.estimate.high / one.result.ratio.estimate.low)
        for one in changed
    }
    assert order[0].history.case == max(widths, key=lambda case: widths[case])
    assert "the widest interval" in order[0].reason
    assert order[1].history.case == drifting.case
    assert "drifting" in order[1].reason
    for phase in PHASES:
        mine = {
            one.case: np.median(one.series[0].counted) for one in changed if one.case.phase == phase
        }
        for word, case in (
            ("shortest", min(mine, key=lambda case: mine[case])),
            ("longest", max(mine, key=lambda case: mine[case])),
        ):
            found = next(one for one in order if one.history.case == case)
            assert f"the {word} {phase}" in found.reason
    rest = [one.history.case for one in order if not one.reason]
    assert rest == [one.case for one in changed if one.case in rest]


def test_all_cases_where_there_is_room_and_none_is_left_out():
    stored = stored_of(Truth())
    section = section_of(stored)
    assert [chart.title for chart in section.folded] == [
        f"Readings of {case_text(case)}" for case in stored.run.plan.cases if case.phase in PHASES
    ]
    assert "Left out" not in " ".join(section.text)
    assert section_of(stored) == section


def test_charts_stop_at_their_size_and_the_rest_is_named(monkeypatch):
    stored = stored_of(Truth(problems=problems("float64")))
    full = section_of(stored)
    sizes = [len(chart.svg) for chart in full.folded]
    monkeypatch.setattr(section_module, "MOST_CHARACTERS", sum(sizes) // 2)
    half = section_of(stored)
    assert 0 < sum(len(chart.svg) for chart in half.folded) <= sum(sizes) // 2
    text = " ".join(half.text)
    assert f"{len(half.folded)} cases of 15 are shown" in text
    assert "samples.jsonl has their readings" in text
    shown = {chart.title.removeprefix("Readings of ") for chart in half.folded}
    named = text.partition("Left out: ")[2]
    for case in stored.run.plan.cases:
        if case.phase in PHASES:
            assert (case_text(case) in named) == (case_text(case) not in shown)


def test_a_page_full_of_other_charts_leaves_no_room():
    section = section_of(stored_of(Truth()), taken=3_000_000)
    assert section.folded == []
    assert "0 cases of 6 are shown" in " ".join(section.text)


def test_invalid_cases_and_cut_invocations_are_shown_too():
    truth = Truth(faults=(Fault(case_id(FORWARD), "mojo", 3, "died"),))
    samples = [
        sample
        for sample in make_samples(truth)
        if not (sample.case == case_id(FORWARD) and sample.invocation == 3 and sample.round > 1)
    ]
    first = histories(stored_of(truth, samples))[0]
    assert first.case == FORWARD
    assert first.count == 12 * 15 - 9


def test_no_readings_no_section():
    assert section_of(stored_of(Truth(problems=()))) is None
    warm = [sample for sample in make_samples(Truth()) if sample.warmup]
    assert section_of(stored_of(Truth(), warm)) is None


def test_a_slot_without_readings_is_left_out():
    truth = Truth(problems=(SMALL,))
    alone = [sample for sample in make_samples(truth) if sample.worker == "mojo"]
    section = section_of(stored_of(truth, alone))
    assert section
    for chart in section.folded:
        ElementTree.fromstring(chart.svg)
        assert "NumPy" not in chart.caption


def test_of_very_many_readings_a_part_is_drawn_and_it_says_so():
    truth = Truth(problems=(SMALL,), invocations=60, rounds=40)
    section = section_of(stored_of(truth))
    assert "1 in 2 readings is drawn" in section.folded[0].caption
    assert len(section.folded[0].svg) < 160_000


@settings(max_examples=15, deadline=None)
@given(
    scale=st.sampled_from([1e-6, 1.0, 1e9]),
    spread=st.sampled_from([0.0, 0.01, 3.0]),
    invocations=st.sampled_from([1, 2, 5]),
    rounds=st.sampled_from([1, 2, 7]),
)
def test_any_readings_are_drawn(scale: float, spread: float, invocations: int, rounds: int) -> None:
    truth = Truth(problems=(SMALL,), reading_spread=spread, invocations=invocations, rounds=rounds)
    samples = [
        replace(sample, elapsed_ns=max(1, round(sample.elapsed_ns * scale)))
        for sample in make_samples(truth)
    ]
    section = section_of(stored_of(truth, samples))
    assert section
    for chart in section.folded:
        ElementTree.fromstring(chart.svg)
        assert not re.search(r"\bnan\b|\binf\b", chart.caption)


def test_a_page_of_many_readings_stays_under_three_megabytes(tmp_path):
    truth = Truth(
        problems=problems("float64", "float32"), invocations=20, rounds=20, training_epochs=1000
    )
    paths = build(write_run(tmp_path / "run", truth))
    assert paths.html.stat().st_size < 3_000_000
