"""Verdicts: each rule of docs/method.md, and what is left out, marked or refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from known_truth import (
    FORWARD,
    SLOTS,
    SMALL,
    WIDE,
    agreed,
    judge,
    make_run,
    make_samples,
    spread_around,
    verdict,
)

from bench.analysis.run_analysis import analyse
from bench.model.cases import case_id, problem_id
from bench.model.presets import cases_of
from bench.model.records import Case, Fault, ParityResult, Sample


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
