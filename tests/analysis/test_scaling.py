"""Scaling: known exponents and crossovers come back, and the edges are told in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import sample_run
from hypothesis import given, settings
from hypothesis import strategies as st
from known_truth import SLOTS, agreed, make_run
from sample_run import NETWORKS

from bench.analysis.run_analysis import analyse_stored
from bench.analysis.scaling import Crossover, Setting, crossover, fitted, sweeps
from bench.model.arithmetic import flops, least_bytes
from bench.model.cases import case_id
from bench.model.presets import PRESETS, SWEPT, cases_of, preset_problems
from bench.model.records import PHASES, Case, Problem, Sample
from bench.report.elements.scaling_text import (
    crossover_line,
    crossover_lines,
    crossover_text,
    flop_text,
)
from bench.report.sections.scaling import COMMAND, scaling_section
from bench.storage.runs import Stored, load

ALL = tuple(Problem(*network, "float64", 1) for network in NETWORKS)
SWEEPS = tuple(Problem(*network, "float64", 1) for network in SWEPT)
Truth = Callable[[Case], float]


def made(
    problems: tuple[Problem, ...],
    ratio: Truth,
    time: Truth = lambda case: 1e5 + flops(case) / 20,
    *,
    invocations: int = 12,
    spread: float = 0.0,
    failed: tuple[Problem, ...] = (),
    phases: tuple[str, ...] = ("epoch",),
) -> Stored:
    """A run whose baseline takes `time`, and the candidate that over `ratio`."""
    cases = cases_of(problems, phases)  # type: ignore[arg-type]
    run = make_run(*cases, invocations=invocations)
    random = np.random.default_rng(3)
    samples = []
    for case in cases:
        for number in range(invocations):
            for slot in SLOTS:
                each = 50.0 if case.phase in ("call", "timer") else time(case)
                each /= ratio(case) if slot.role == "candidate" and case.phase in PHASES else 1
                each *= math.exp(random.normal(0, spread))
                for turn in (1, 2):
                    loops = 1000
                    elapsed = max(1, round(each * loops))
                    name = case_id(case)
                    samples.append(Sample(name, slot.label, number, turn, 0, loops, elapsed, 0))
    parity = [
        replace(result, reason="y_hat")
        if any(result.problem in case_id(Case("epoch", p)) for p in failed)
        else result
        for result in agreed(run)
    ]
    return Stored(Path("run"), run, tuple(samples), tuple(parity), (), {})


def settings_in(stored: Stored) -> tuple[Setting, ...]:
    return analyse_stored(stored).settings


def crossover_of(stored: Stored) -> Crossover:
    (found,) = analyse_stored(stored).crossovers
    return found


def falling(at: float, slope: float = 0.3) -> Truth:
    """The candidate is faster below this many FLOP, the baseline above."""
    return lambda case: (flops(case) / at) ** -slope


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0, -0.3])
def test_a_power_law_gives_its_exponent_back(slope: float) -> None:
    stored = made(
        ALL,
        lambda case: (flops(case) / 1e9) ** 0.1,
        lambda case: 1e6 * (flops(case) / 1e8) ** slope,
    )
    fit = fitted(settings_in(stored)[0])
    assert fit.baseline
    assert fit.candidate
    assert fit.baseline.slope.point == pytest.approx(slope, abs=1e-4)
    assert fit.candidate.slope.point == pytest.approx(slope - 0.1, abs=1e-4)
    assert fit.baseline.worst == pytest.approx(1, abs=1e-3)
    sizes = [flops(Case("epoch", problem)) for problem in ALL]
    assert (fit.baseline.low, fit.baseline.high) == (min(sizes), max(sizes))
    at = fit.baseline.start + fit.baseline.slope.point * math.log(1e8)
    assert math.exp(at) == pytest.approx(1e6, rel=1e-3)


def test_the_interval_of_an_exponent_is_students_over_invocations() -> None:
    stored = made(ALL, lambda _: 2.0, invocations=4, spread=0.05)
    (setting,) = settings_in(stored)
    x = np.log([flops(one.case) for one in setting.cases])
    slopes = [
        np.polyfit(x, [one.baseline[number] for one in setting.cases], 1)[0] for number in range(4)
    ]
    fit = fitted(setting).baseline
    assert fit
    half = 3.182446 * np.std(slopes, ddof=1) / 2
    assert fit.slope.point == pytest.approx(np.mean(slopes))
    assert fit.slope.high - fit.slope.point == pytest.approx(half, rel=1e-5)


def test_a_power_law_that_is_none_shows_how_far_it_misses() -> None:
    bent = made(ALL, lambda _: 2.0, lambda case: 1e8 + flops(case) / 20)
    fit = fitted(settings_in(bent)[0]).baseline
    assert fit
    assert fit.worst > 1.2


@pytest.mark.parametrize("at", [1e8, 3.1e8, 4e9])
def test_a_crossover_comes_back(at: float) -> None:
    found = crossover_of(made(ALL, falling(at), spread=0.004))
    (one,) = found.crossings
    assert one.at.point == pytest.approx(at, rel=0.05)
    assert one.at.low < at * 1.02
    assert one.at.high > at * 0.98
    assert one.below < one.at.low < one.at.high < one.above
    assert (one.side, one.outside) == (1, 0)
    text = crossover_line(found, "NumPy", "Mojo")
    assert re.match(
        r"Mojo is faster up to about [\d.]+ \([\d.]+–[\d.]+\)\s[GM]FLOP, NumPy above", text
    )


def test_the_other_way_round() -> None:
    found = crossover_of(made(ALL, lambda case: (flops(case) / 3e8) ** 0.3, spread=0.004))
    assert "NumPy is faster up to about" in crossover_line(found, "NumPy", "Mojo")
    assert crossover_line(found, "NumPy", "Mojo").endswith("Mojo above")


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    (base,) = settings_in(made((ALL[0], ALL[3]), falling(1e9, 0.1)))
    for seed in range(120):
        random = np.random.default_rng(seed)
        cases = [
            replace(one, ratio={n: log + random.normal(0, 0.05) for n, log in one.ratio.items()})
            for one in base.cases
        ]
        (one,) = crossover(replace(base, cases=cases)).crossings
        held += one.at.low <= 1e9 <= one.at.high
    assert 105 <= held <= 120  # 114 are expected; these ends have a chance of 1e-4


def test_an_unresolved_size_in_between_takes_part_and_gives_one_crossing() -> None:
    sizes = sorted(flops(Case("epoch", problem)) for problem in ALL)
    wobbling = dict(zip(sizes, (1.5, 1.2, 0.995, 1.005, 0.6), strict=True))
    found = crossover_of(made(ALL, lambda case: wobbling[flops(case)], spread=0.002))
    (one,) = found.crossings
    assert (one.below, one.above) == (sizes[1], sizes[4])
    assert sizes[1] < one.at.point < sizes[4]
    assert len(found.resolved) == 3


def test_none_where_all_lie_on_one_side() -> None:
    found = crossover_of(made(ALL, lambda _: 2.0, spread=0.004))
    sizes = sorted(flops(Case("epoch", problem)) for problem in ALL)
    ends = f"between {flop_text(sizes[0])} and {flop_text(sizes[-1])}"
    assert found.crossings == []
    assert (
        crossover_line(found, "NumPy", "Mojo")
        == f"no crossover {ends}: Mojo is faster at all 5 sizes"
    )
    assert crossover_text([found], "NumPy", "Mojo") == f"no crossover {ends} in epoch"


def test_sizes_without_a_verdict_are_counted() -> None:
    first = ALL[0]
    found = crossover_of(made(ALL, lambda case: 1.0 if case.problem == first else 2.0))
    assert crossover_line(found, "NumPy", "Mojo").endswith(
        "Mojo is faster at all 4 sizes with a verdict for a side; 1 more have none"
    )


def test_more_than_one_is_said_plainly() -> None:
    sizes = sorted(flops(Case("epoch", problem)) for problem in ALL)
    up_and_down = dict(zip(sizes, (2.0, 0.5, 2.0, 0.5, 0.5), strict=True))
    found = crossover_of(made(ALL, lambda case: up_and_down[flops(case)], spread=0.004))
    text = crossover_line(found, "NumPy", "Mojo")
    assert len(found.crossings) == 3
    assert text.startswith("more than one crossover: the faster side changes 3 times between ")
    assert text.endswith("; Mojo is faster below the first")
    assert text.count("about") == 3
    assert "more than one crossover" in crossover_text([found], "NumPy", "Mojo")


def test_nothing_is_said_without_verdicts() -> None:
    few = crossover_of(made(ALL, falling(1e9), invocations=5))
    assert few.crossings == []
    assert "neither side is faster by verdict at any of 5 sizes" in crossover_line(few, "N", "M")
    assert crossover_text([few], "N", "M") == ""
    one = crossover_of(made(ALL[:1], lambda _: 2.0))
    assert "the only size with a verdict for a side" in crossover_line(one, "N", "M")
    equal = crossover_of(made(ALL[:1], lambda _: 1.0))
    assert "at its one size" in crossover_line(equal, "N", "M")


def test_invalid_cases_take_no_part() -> None:
    stored = made(ALL, falling(3e8), failed=ALL)
    assert settings_in(stored) == ()
    assert scaling_section(analyse_stored(stored)) is None
    part = made(ALL, falling(3e8), failed=ALL[:1])
    assert [len(one.cases) for one in settings_in(part)] == [4]


def test_an_invocation_that_stays_on_one_side_is_counted_and_told() -> None:
    (base,) = settings_in(made((ALL[0], ALL[3]), falling(1e9, 0.1)))
    small, large = base.cases
    bent = replace(small, ratio={**small.ratio, 0: -0.01})
    found = crossover(replace(base, cases=[bent, large]))
    assert found.crossings[0].outside == 1
    assert found.crossings[0].at.low >= found.crossings[0].below


def test_without_a_shared_invocation_the_place_is_between() -> None:
    (base,) = settings_in(made((ALL[0], ALL[3]), falling(1e9, 0.1)))
    small, large = base.cases
    apart = replace(small, ratio={number + 100: log for number, log in small.ratio.items()})
    found = crossover(replace(base, cases=[apart, large]))
    assert math.isnan(found.crossings[0].at.point)
    assert "somewhere between" in crossover_line(found, "N", "M")


def test_cases_of_equal_work_are_one_size() -> None:
    more = tuple(replace(ALL[0], rows=rows) for rows in (500, 510, 519))  # 25 batches each
    found = crossover_of(made((*more, ALL[1]), falling(3e8), spread=0.004))
    assert found.sizes == 2
    assert len(found.crossings) == 1
    fit = fitted(settings_in(made(more, lambda _: 2.0))[0])
    assert fit.baseline is None


def test_the_preset_sweeps_every_axis_and_nothing_is_swept_twice() -> None:
    problems = preset_problems(PRESETS["scaling"])
    assert len(problems) == len(set(problems)) == 17
    assert all(problem.rows % problem.batch_size == 0 for problem in problems)
    found = sweeps(settings_in(made(problems, lambda _: 2.0)))
    assert {sweep.axis: len(sweep.values) for sweep in found} == {
        "width": 5, "depth": 5, "batch": 5, "rows": 5,
    }  # fmt: skip
    for sweep in found:
        assert list(sweep.values) == sorted(sweep.values)
        assert (
            len({replace(one.case.problem, **_without(sweep.axis)) for one in sweep.setting.cases})
            == 1
        )


def _without(axis: str) -> dict[str, object]:
    if axis in ("width", "depth"):
        return {"layer_sizes": ()}
    return {"batch_size": 0} if axis == "batch" else {"rows": 0}


def test_a_sweep_gives_its_exponent_back() -> None:
    def time(case: Case) -> float:
        _, *hidden, _ = case.problem.layer_sizes
        return 10 * hidden[0] ** 1.5 * len(hidden) ** 0.9 * case.problem.rows**1.1

    found = {one.axis: one.fitted for one in sweeps(settings_in(made(SWEEPS, lambda _: 2.0, time)))}
    for axis, truth in (("width", 1.5), ("depth", 0.9), ("rows", 1.1), ("batch", 0.0)):
        fit = found[axis].candidate  # type: ignore[index]
        assert fit
        assert fit.slope.point == pytest.approx(truth, abs=1e-3)


def test_the_section_says_what_the_numbers_say() -> None:
    stored = made(SWEEPS, falling(3e7), spread=0.004, phases=PHASES)
    section = scaling_section(analyse_stored(stored))
    assert section
    assert [chart.name for chart in section.charts] == ["scaling_float64_t1"]
    assert len(section.folded) == 4
    assert COMMAND not in " ".join(section.text)
    (table,) = section.tables
    assert len(table.rows) == 3 * 5
    for setting in settings_in(stored):
        fit = fitted(setting).candidate
        assert fit
        row = next(row for row in table.rows if row[:2] == (setting.phase, "work"))
        assert float(row[5].split(" ")[0]) == pytest.approx(
            fit.slope.point, abs=fit.slope.high - fit.slope.low
        )
        assert row[5] in section.charts[0].caption
    lines = crossover_lines(analyse_stored(stored).crossovers, "NumPy", "Mojo")
    assert list(section.points)[:3] == [f"{line}." for line in lines]
    for chart in (*section.charts, *section.folded):
        ElementTree.fromstring(chart.svg)
        assert "Exponents: " in chart.alt
        assert "#010203" not in chart.svg
    assert scaling_section(analyse_stored(stored)) == section


def test_the_section_names_the_command_for_what_is_missing() -> None:
    stored = made(ALL, falling(3e8))
    section = scaling_section(analyse_stored(stored))
    assert section
    assert any(COMMAND in line and "width, depth, batch and rows" in line for line in section.text)
    assert section.folded == []
    assert scaling_section(analyse_stored(made(ALL[:1], falling(3e8)))) is None


@settings(max_examples=25, deadline=None)
@given(
    exponent=st.floats(-3, 6),
    invocations=st.sampled_from([1, 2, 10]),
    count=st.integers(2, 5),
    scale=st.sampled_from([1e-2, 1.0, 1e9]),
    spread=st.sampled_from([0.0, 0.01, 3.0]),
)
def test_any_times_make_a_section(
    exponent: float, invocations: int, count: int, scale: float, spread: float
) -> None:
    stored = made(
        ALL[:count],
        lambda case: float(np.clip((flops(case) / 1e9) ** exponent, 1e-3, 1e3)),
        lambda case: float(np.clip(scale * flops(case) / 1e6, 1e-2, 1e14)),
        invocations=invocations,
        spread=spread,
    )
    section = scaling_section(analyse_stored(stored))
    assert section
    for chart in section.charts:
        ElementTree.fromstring(chart.svg)
    for found in analyse_stored(stored).crossovers:
        for one in found.crossings:
            assert not one.at.low < one.below
            assert not one.at.high > one.above
    words = " ".join([*section.points, *section.text])
    assert not re.search(r"\bnan\b|\binf\b", words)


def test_the_bytes_are_those_of_each_array_once() -> None:
    problem = Problem((3, 5, 2), 4, 9, "float64", 1)  # two batches
    x, hidden, out, first, second = 4 * 3, 4 * 5, 4 * 2, 3 * 5, 5 * 2
    forward = x + hidden + out + first + second
    backprop = x + hidden + hidden + out + second + first + second
    epoch = 2 * (x + hidden + out + hidden + out + 2 * (first + second))
    for phase, elements in (("forward", forward), ("backprop", backprop), ("epoch", epoch)):
        assert least_bytes(Case(phase, problem)) == 8 * elements  # type: ignore[arg-type]
        single = replace(problem, dtype="float32")
        assert least_bytes(Case(phase, single)) == 4 * elements  # type: ignore[arg-type]
    for phase in ("call", "timer", "peak", "memory"):
        assert least_bytes(Case(phase, problem)) == 0  # type: ignore[arg-type]


def test_a_run_whose_parity_was_never_checked_says_nothing() -> None:
    stored = replace(made(ALL, falling(3e8)), parity=())
    assert settings_in(stored) == ()


@pytest.mark.parametrize("parts", [True, False])
def test_networks_one_wide_are_the_floor_of_dispatch(tmp_path: Path, parts: bool) -> None:
    truth = sample_run.Truth(problems=sample_run.problems("float64"), parts=parts)
    stored = load(sample_run.write_run(tmp_path / "run", truth))
    section = scaling_section(analyse_stored(stored))
    assert section is not None
    (chart,) = section.charts
    told = "Networks as deep and one wide, which is dispatch alone, take: forward NumPy"
    assert (told in chart.caption) == parts
