"""Estimates by hand, by property and by simulation; verdicts by each rule of docs/method.md."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_truth import (
    FORWARD,
    SLOTS,
    SMALL,
    WIDE,
    agreed,
    from_list,
    judge,
    make_run,
    make_samples,
    spread_around,
    verdict,
)
from scipy import stats as scipy_stats

from bench.analysis.intervals import holm, p_value, t_interval, trend_p_value
from bench.analysis.run_analysis import analyse
from bench.analysis.verdicts import drifts, noise_floor
from bench.model.cases import case_id, problem_id
from bench.model.presets import cases_of
from bench.model.records import Case, Fault, ParityResult, Sample

# By hand


def test_the_worked_example_of_the_method() -> None:
    run = make_run(FORWARD, invocations=4)
    ratios = (2.00, 2.10, 1.95, 2.05)
    samples = make_samples(run, lambda _, label, i, __: 1e9 / (ratios[i] if label == "mojo" else 1))
    (result,) = analyse(run, samples, agreed(run), []).results
    assert result.ratio is not None
    estimate = result.ratio.estimate
    assert (round(estimate.point, 2), estimate.count) == (2.02, 4)
    assert (round(estimate.low, 2), round(estimate.high, 2)) == (1.92, 2.13)
    assert result.verdict is not None
    assert result.verdict.reason == "only 4 invocations; a verdict needs 10"


def test_within_an_invocation_the_median_over_rounds_of_paired_ratios_counts() -> None:
    run = make_run(FORWARD, invocations=1, rounds=3)
    baseline, candidate = (100, 200, 900), (50, 50, 100)  # ratios 2, 4, 9

    def time(_: Case, label: str, __: int, turn: int) -> float:
        return (candidate if label == "mojo" else baseline)[turn - 1]

    (result,) = analyse(run, make_samples(run, time), agreed(run), []).results
    assert result.ratio is not None
    assert result.ratio.estimate.point == pytest.approx(4)
    assert math.isnan(result.ratio.estimate.low)
    assert math.isnan(result.ratio.estimate.high)


def test_a_time_is_the_median_with_its_interval_and_the_minimum_stands_beside() -> None:
    run = make_run(FORWARD, invocations=2, rounds=2)
    readings = {(0, 1): 100, (0, 2): 300, (1, 1): 400, (1, 2): 400}  # medians 200 and 400

    def time(_: Case, label: str, invocation: int, turn: int) -> float:
        return readings.get((invocation, turn), 1)

    (result,) = analyse(run, make_samples(run, time), agreed(run), []).results
    found = result.times["mojo"]
    assert found.minimum_ns == 100
    assert found.median_ns.point == pytest.approx(math.sqrt(200 * 400))
    half = 12.706 * math.log(2) / 2  # t for one degree of freedom, times s / sqrt(2)
    assert math.log(found.median_ns.high / found.median_ns.point) == pytest.approx(half, rel=1e-4)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_student_by_hand() -> None:
    values = np.array([1.0, 2.0, 3.0])  # mean 2, standard error 1/sqrt(3), t(2) = 4.3027
    mean, low, high = t_interval(values)
    assert (mean, low, high) == pytest.approx((2, 2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), 1e-4)
    assert p_value(values) == pytest.approx(0.0742, abs=1e-4)
    assert p_value(np.zeros(3)) == 1
    assert p_value(np.ones(3)) == 0


def test_the_noise_floor_is_the_far_end_of_the_again_interval() -> None:
    again = judge(spread_around(2, floor=1))[0].again
    assert again is not None
    expected = max(again.estimate.high, 1 / again.estimate.low) - 1
    assert noise_floor(again) == pytest.approx(expected)
    assert math.isnan(noise_floor(None))


def test_drift_is_a_trend_that_leaves_the_band() -> None:
    rising = np.linspace(0, 0.1, 8)
    assert drifts(rising)
    assert not drifts(rising / 10)  # inside the band
    assert not drifts(np.array([0.1, 0, 0.1, 0, 0.1, 0, 0.1, 0]))  # no trend
    assert not drifts(rising[:4])  # four rounds cannot tell
    assert not drifts(np.zeros(8))


def test_drifting_invocations_are_marked_and_kept() -> None:
    run = make_run(FORWARD, rounds=8)

    def time(case: Case, label: str, invocation: int, turn: int) -> float:
        warming = 1 + 0.5 / turn if label == "mojo" and invocation < 3 and turn else 1.0
        return spread_around(2)(case, label, invocation, turn) * warming

    (result,) = analyse(run, make_samples(run, time), agreed(run), []).results
    assert result.drifting == 3
    assert result.ratio is not None
    assert result.ratio.estimate.count == 10


def test_the_geometric_mean_goes_over_the_cells_of_a_phase() -> None:
    cases = (FORWARD, Case("forward", WIDE), Case("epoch", SMALL))
    run = make_run(*cases)
    speed = {FORWARD: 2.0, cases[1]: 8.0, cases[2]: 3.0}

    def time(case: Case, label: str, invocation: int, turn: int) -> float:
        return spread_around(speed[case])(case, label, invocation, turn)

    samples = make_samples(run, time)
    (mean,) = analyse(run, samples, agreed(run), []).means  # one epoch has no mean
    assert (mean.case, mean.candidate) == ("forward", "mojo")
    assert mean.estimate.point == pytest.approx(4, rel=1e-6)
    # Both cells move together from invocation to invocation, so the mean moves as each does.
    (cell, *_) = analyse(run, samples, agreed(run), []).results
    assert cell.ratio is not None
    assert mean.estimate.high / mean.estimate.point == pytest.approx(
        cell.ratio.estimate.high / cell.ratio.estimate.point, rel=1e-6
    )
    fault = Fault(case_id(FORWARD), "mojo", 0, "died")
    assert analyse(run, samples, agreed(run), [fault]).means == ()


# By property

times_of_runs = st.lists(
    st.tuples(*[st.integers(10**3, 10**9) for _ in SLOTS]), min_size=20, max_size=20
)


@given(times_of_runs)
def test_swapping_baseline_and_candidate_inverts_the_ratio(
    readings: list[tuple[int, ...]],
) -> None:
    forth = judge(from_list(readings))[0].ratio
    back = judge(from_list([(c, a, b) for b, a, c in readings]))[0].ratio
    assert forth is not None
    assert back is not None
    assert forth.estimate.point * back.estimate.point == pytest.approx(1)
    assert forth.estimate.low * back.estimate.high == pytest.approx(1)


@given(times_of_runs, st.integers(2, 1000))
def test_a_ratio_does_not_depend_on_the_unit_of_time(
    readings: list[tuple[int, ...]], factor: int
) -> None:
    one = judge(from_list(readings))[0]
    other = judge(from_list([(a * factor, b * factor, c * factor) for a, b, c in readings]))[0]
    assert one.ratio is not None
    assert other.ratio is not None
    assert other.ratio.estimate.point == pytest.approx(one.ratio.estimate.point)
    assert other.times["mojo"].median_ns.high == pytest.approx(
        one.times["mojo"].median_ns.high * factor
    )
    assert other.verdict == one.verdict


@given(times_of_runs, st.integers(0, 10**6))
def test_the_order_of_samples_does_not_matter(readings: list[tuple[int, ...]], seed: int) -> None:
    run = make_run(FORWARD)
    samples = make_samples(run, from_list(readings))
    mixed = Random(seed).sample(samples, len(samples))
    assert (
        analyse(run, mixed, agreed(run), []).results
        == analyse(run, samples, agreed(run), []).results
    )


@given(times_of_runs)
def test_every_interval_holds_its_point_and_every_verdict_its_interval(
    readings: list[tuple[int, ...]],
) -> None:
    (result,) = judge(from_list(readings))
    assert result.ratio is not None
    assert result.verdict is not None
    estimate = result.ratio.estimate
    assert estimate.low <= estimate.point <= estimate.high
    if result.verdict.kind == "FASTER":
        assert estimate.low > 1
        assert estimate.point - 1 > noise_floor(result.again)
    if result.verdict.kind == "SLOWER":
        assert estimate.high < 1
    if result.verdict.kind == "EQUIVALENT":
        assert estimate.high <= 1.02 * (1 + 1e-12)
        assert estimate.low >= 1 / 1.02 * (1 - 1e-12)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_only_raises_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    assert all(a <= 1 for a in adjusted)
    pairs = sorted(zip(p_values, adjusted, strict=True))
    assert [a for _, a in pairs] == sorted(a for _, a in pairs)


# By simulation


@pytest.mark.parametrize(("process", "reading"), [(0.02, 0.01), (0.02, 0.05), (0.0, 0.03)])
def test_the_interval_covers_the_truth_as_often_as_it_says(process: float, reading: float) -> None:
    random = np.random.default_rng(20261103)
    trials, invocations, rounds, truth = 4000, 10, 8, math.log(1.7)
    each = truth + process * random.standard_normal((trials, invocations, 1))
    logs = each + reading * random.standard_normal((trials, invocations, rounds))
    _, low, high = t_interval(np.median(logs, axis=-1))
    covered = np.mean((low <= truth) & (truth <= high))
    assert abs(covered - 0.95) <= 0.025


def test_one_implementation_against_itself_is_rarely_called_different() -> None:
    random = np.random.default_rng(7)
    wrong = 0
    for _ in range(100):
        speeds = np.exp(0.02 * random.standard_normal((10, len(SLOTS))))
        readings = [
            tuple(int(1e8 * s * math.exp(0.01 * random.standard_normal())) for s in speeds[i // 2])
            for i in range(20)
        ]
        wrong += verdict(from_list(readings))[0] in ("FASTER", "SLOWER")
    assert wrong <= 5


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=60).filter(lambda one: len(set(one)) > 1))
def test_the_test_of_a_trend_is_that_of_scipy(values: list[int]) -> None:
    series = np.array(values, float)
    known = scipy_stats.kendalltau(np.arange(len(series)), series).pvalue
    assert trend_p_value(series) == pytest.approx(known, rel=1e-9, abs=1e-12)
    distinct = series + np.arange(len(series)) / 100  # no ties: counted up to 33 values
    known = scipy_stats.kendalltau(np.arange(len(series)), distinct).pvalue
    assert trend_p_value(distinct) == pytest.approx(known, rel=1e-9, abs=1e-12)


# Verdicts


def test_faster_slower_and_equivalent() -> None:
    assert verdict(spread_around(2))[0] == "FASTER"
    assert verdict(spread_around(0.5))[0] == "SLOWER"
    assert verdict(spread_around(1))[0] == "EQUIVALENT"


def test_a_difference_inside_the_band_is_equivalent_even_when_the_interval_excludes_1() -> None:
    found = judge(spread_around(1.01, spread=0.1))[0]
    assert found.ratio is not None
    assert found.ratio.estimate.low > 1
    assert found.verdict is not None
    assert found.verdict.kind == "EQUIVALENT"
    assert found.verdict.reason.endswith("lies inside the band of ±2%")


def test_an_interval_around_1_that_leaves_the_band_is_unresolved_with_an_outlook() -> None:
    kind, reason = verdict(spread_around(1, spread=3))
    assert kind == "UNRESOLVED"
    # s = 3 * 0.01291; t * s / sqrt(n) is 0.0199 for n = 17 and 0.0193 for 18; log(1.02) = 0.0198
    assert reason.endswith("includes 1; about 8 more invocations would settle it")


def test_a_difference_below_the_noise_floor_is_unresolved() -> None:
    kind, reason = verdict(spread_around(1.04, floor=6))
    assert kind == "UNRESOLVED"
    # t * s / sqrt(n) = 2.262 * 6 * 0.01291 / sqrt(10) = 0.0554, and exp of that is 1.057
    assert reason.startswith("the difference of 4.0% is below the noise floor of 5.7%")


def test_nothing_is_equivalent_where_the_noise_floor_is_wider_than_the_band() -> None:
    kind, reason = verdict(spread_around(1, floor=6))
    assert kind == "UNRESOLVED"
    assert reason.startswith("the noise floor of 5.7% is wider than the band of ±2%")


def test_a_floor_that_stays_above_the_difference_is_never_settled() -> None:
    def time(case: Case, label: str, invocation: int, turn: int) -> float:
        biased = 1.5 if label == "numpy-again" else 1.0  # no number of invocations averages it out
        return biased * spread_around(1.04)(case, label, invocation, turn)

    kind, reason = verdict(time)
    assert kind == "UNRESOLVED"
    assert reason.endswith("; even 1000 invocations would not settle it")


def test_holm_takes_verdicts_away_that_stand_alone() -> None:
    # Mean 0.02225, s = 2 * 0.01291: t = 2.72 and p = 0.024, below 0.05 alone, not three times.
    time = spread_around(1.0225, spread=2)
    assert verdict(time)[0] == "FASTER"
    cases = (FORWARD, Case("backprop", SMALL), Case("epoch", SMALL))
    found = judge(time, *cases)
    for result in found:
        assert result.verdict is not None
        assert result.verdict.kind == "UNRESOLVED"
        assert "not after Holm's correction over 3 cells" in result.verdict.reason


@pytest.mark.parametrize(
    ("invocations", "reason"),
    [
        (0, "no complete invocation; a verdict needs 10"),
        (1, "only 1 invocation; a verdict needs 10"),
        (9, "only 9 invocations; a verdict needs 10"),
    ],
)
def test_fewer_than_ten_invocations_give_no_verdict(invocations: int, reason: str) -> None:
    assert verdict(spread_around(2), invocations=invocations) == ("UNRESOLVED", reason)


def test_failed_parity_is_invalid_and_has_no_ratio() -> None:
    run = make_run(FORWARD, Case("forward", WIDE))
    parity = [
        ParityResult(problem_id(SMALL), "numpy", "mojo", (), "grads_w[0] differs"),
        ParityResult(problem_id(WIDE), "numpy", "mojo", ()),
    ]
    failed, fine = analyse(run, make_samples(run, spread_around(2)), parity, []).results
    assert (failed.ratio, failed.again) == (None, None)
    assert failed.verdict is not None
    assert (failed.verdict.kind, failed.verdict.reason) == ("INVALID", "grads_w[0] differs")
    assert fine.verdict is not None
    assert fine.verdict.kind == "FASTER"


def test_without_a_parity_check_nothing_is_said() -> None:
    run = make_run(FORWARD)
    (result,) = analyse(run, make_samples(run, spread_around(2)), [], []).results
    assert result.ratio is None
    assert result.verdict is not None
    assert (result.verdict.kind, result.verdict.reason) == ("INVALID", "parity was not checked")


def test_a_fault_is_invalid_with_its_reason() -> None:
    fault = Fault(case_id(FORWARD), "mojo", 3, "died during sample (signal SIGSEGV)")
    result, other = judge(spread_around(2), FORWARD, Case("epoch", SMALL), faults=[fault])
    assert result.verdict is not None
    assert result.verdict.kind == "INVALID"
    assert result.verdict.reason == "mojo: died during sample (signal SIGSEGV)"
    assert result.ratio is None
    assert other.verdict is not None
    assert other.verdict.kind == "FASTER"


def test_incomplete_invocations_are_left_out_and_counted() -> None:
    run = make_run(FORWARD, invocations=11)
    samples = make_samples(run, spread_around(2))
    cut = [s for s in samples if not (s.invocation == 4 and s.worker == "mojo" and s.round == 2)]
    (whole,) = analyse(run, samples, agreed(run), []).results
    (result,) = analyse(run, cut, agreed(run), []).results
    assert (whole.incomplete, result.incomplete) == (0, 1)
    assert result.ratio is not None
    assert result.ratio.estimate.count == 10
    assert result.verdict is not None
    assert result.verdict.kind == "FASTER"


def test_floors_have_times_only() -> None:
    cases = cases_of([SMALL])
    found = {r.case.phase: r for r in judge(spread_around(2), *cases)}
    for phase in ("call", "timer"):
        assert found[phase].times.keys() == {"numpy", "numpy-again", "mojo"}
        assert (found[phase].ratio, found[phase].again, found[phase].verdict) == (None, None, None)


def test_an_imported_run_has_ratios_of_medians_and_no_verdict() -> None:
    run = replace(make_run(FORWARD, invocations=1, rounds=2), source="pytest-benchmark")
    run = replace(run, plan=replace(run.plan.of(workers=(SLOTS[0], SLOTS[2])), rounds={}))
    name = case_id(FORWARD)
    times = {"numpy": (100, 200, 600), "mojo": (50, 150)}
    samples = [
        Sample(name, label, 0, turn, 0, 1, elapsed, 0)
        for label, readings in times.items()
        for turn, elapsed in enumerate(readings)
    ]
    (result,) = analyse(run, samples, [], []).results
    assert result.ratio is not None
    assert result.ratio.estimate.point == pytest.approx(200 / 100)
    assert math.isnan(result.ratio.estimate.low)
    assert (result.again, result.verdict, result.drifting) == (None, None, 0)
