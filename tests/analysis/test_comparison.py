"""Two runs compared: Welch's interval by hand, and what may be said of a change."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_truth import FORWARD, SMALL, Time, agreed, make_run, make_samples, spread_around
from scipy import stats as scipy_stats

from bench.analysis.comparison import Change, changes, welch
from bench.analysis.run_analysis import RunAnalysis, analyse
from bench.model.cases import case_id
from bench.model.presets import cases_of
from bench.model.records import Case, Fault, Run

HALF = 0.012130
"""Half the interval of a change where both runs have `SPREAD`: its standard deviation is 0.01291,
so the standard error is 0.01291 * sqrt(2 / 10) = 0.0057735, times 2.1009, t for 18 degrees."""


def side_of(
    time: Time, *cases: Case, invocations: int = 10, faults: tuple[Fault, ...] = ()
) -> RunAnalysis:
    run = make_run(*(cases or (FORWARD,)), invocations=invocations)
    return analyse(run, make_samples(run, time), agreed(run), faults)


def compared(before: Time, after: Time, *cases: Case) -> tuple[Change, ...]:
    return changes(side_of(before, *cases), side_of(after, *cases))


def verdict(before: Time, after: Time, *cases: Case) -> tuple[str, str]:
    found = compared(before, after, *cases)[0].verdict
    assert found is not None
    return found.kind, found.reason


# Welch


def test_welch_by_hand() -> None:
    # Variances 0.0002 and 0.0004, of 2 and 3 values: 0.0001 + 0.00013333 = 0.015275 squared;
    # degrees (7 / 3)^2 / (1^2 / 1 + (4 / 3)^2 / 2) = 49 / 17.
    shift = welch(np.array([0.0, 0.02]), np.array([0.10, 0.12, 0.14]))
    assert shift.mean == pytest.approx(0.11)
    assert shift.error == pytest.approx(0.0152753, abs=1e-7)
    assert shift.freedom == pytest.approx(49 / 17)


def test_welch_of_groups_that_do_not_vary() -> None:
    same = welch(np.full(10, 0.5), np.full(10, 0.5))
    assert (same.low, same.high, same.p_value()) == (0, 0, 1)
    apart = welch(np.full(10, 0.5), np.full(10, 0.75))
    assert (apart.low, apart.high, apart.p_value()) == (0.25, 0.25, 0)
    one = welch(np.zeros(10), np.linspace(0, 0.09, 10))
    assert one.freedom == pytest.approx(9)


def test_welch_of_a_single_value_has_no_interval() -> None:
    shift = welch(np.array([0.5]), np.linspace(0, 1, 10))
    assert math.isnan(shift.low)
    assert math.isnan(shift.p_value())


numbers = st.lists(st.floats(-2, 2, width=32), min_size=2, max_size=12).filter(
    lambda values: np.ptp(values) > 1e-3
)


@given(numbers, numbers)
def test_welch_is_that_of_scipy(a: list[float], b: list[float]) -> None:
    shift = welch(np.array(a), np.array(b))
    known = scipy_stats.ttest_ind(b, a, equal_var=False)
    low, high = known.confidence_interval(0.95)
    assert shift.p_value() == pytest.approx(known.pvalue, rel=1e-6, abs=1e-12)
    assert (shift.low, shift.high) == pytest.approx((low, high), rel=1e-6, abs=1e-9)
    assert (shift.p_value(0.3) < 0.05) == (not shift.low <= 0.3 <= shift.high)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    held = 0
    for _ in range(1000):
        shift = welch(random.normal(0, 0.01, 10), random.normal(0.05, 0.04, 14))
        held += shift.low <= 0.05 <= shift.high
    assert 0.93 <= held / 1000 <= 0.97


# Changes


def test_a_change_by_hand() -> None:
    (change,) = compared(spread_around(2), spread_around(2.1))
    assert change.estimate is not None
    assert change.estimate.point == pytest.approx(1.05)
    assert change.estimate.low == pytest.approx(1.05 * math.exp(-HALF), abs=1e-5)
    assert change.estimate.high == pytest.approx(1.05 * math.exp(HALF), abs=1e-5)
    assert change.estimate.count == 10
    assert change.floor == pytest.approx(0.1 * HALF, abs=1e-6)
    assert change.a is not None
    assert change.b is not None
    assert (change.a.point, change.b.point) == (pytest.approx(2), pytest.approx(2.1))
    assert change.candidate == "mojo"


@given(st.floats(0.5, 4), st.floats(0.5, 4), st.floats(0.1, 10))
def test_a_machine_that_was_faster_for_a_whole_run_changes_nothing(
    before: float, after: float, drift: float
) -> None:
    def drifted(case: Case, label: str, invocation: int, turn: int) -> float:
        return drift * spread_around(after)(case, label, invocation, turn)

    (steady,) = compared(spread_around(before), spread_around(after))
    (moved,) = compared(spread_around(before), drifted)
    assert steady.estimate is not None
    assert moved.estimate is not None
    assert moved.estimate.point == pytest.approx(steady.estimate.point, rel=1e-6)
    assert moved.estimate.low == pytest.approx(steady.estimate.low, rel=1e-6)
    assert moved.verdict is not None
    assert steady.verdict is not None
    assert moved.verdict.kind == steady.verdict.kind


@given(st.floats(0.5, 4), st.floats(0.5, 4), st.floats(0.2, 3), st.floats(0.2, 3))
def test_to_swap_the_runs_turns_the_change_round(
    before: float, after: float, spread_a: float, spread_b: float
) -> None:
    a, b = spread_around(before, spread_a), spread_around(after, spread_b)
    (one,), (other,) = compared(a, b), compared(b, a)
    assert one.estimate is not None
    assert other.estimate is not None
    assert one.estimate.point == pytest.approx(1 / other.estimate.point)
    assert one.estimate.low == pytest.approx(1 / other.estimate.high)
    turned = {"FASTER": "SLOWER", "SLOWER": "FASTER"}
    assert one.verdict is not None
    assert other.verdict is not None
    assert turned.get(one.verdict.kind, one.verdict.kind) == other.verdict.kind


# Verdicts


def test_faster_slower_and_equivalent() -> None:
    assert verdict(spread_around(2), spread_around(2.2))[0] == "FASTER"
    assert verdict(spread_around(2), spread_around(1.8))[0] == "SLOWER"
    # 1.005 with 0.0121 to each side ends at 1.0173, inside the band.
    assert verdict(spread_around(2), spread_around(2.01))[0] == "EQUIVALENT"


def test_an_interval_that_leaves_the_band_and_includes_1_is_unresolved() -> None:
    kind, reason = verdict(spread_around(2, spread=3), spread_around(2, spread=3))
    assert (kind, reason) == ("UNRESOLVED", "the interval 0.9643 to 1.037 includes 1")


def test_a_change_below_the_noise_floor_is_unresolved() -> None:
    kind, reason = verdict(spread_around(2, floor=6), spread_around(2.1, floor=6))
    assert kind == "UNRESOLVED"
    # 6 * 0.01213 = 0.0728, and exp of that is 1.0755
    assert reason == "the change of 5.0% is below the noise floor of 7.5%"


def test_nothing_is_equivalent_where_the_noise_floor_is_wider_than_the_band() -> None:
    kind, reason = verdict(spread_around(2, floor=6), spread_around(2, floor=6))
    assert kind == "UNRESOLVED"
    assert reason == "the noise floor of 7.5% is wider than the band of ±2%"


def test_holm_takes_verdicts_away_that_stand_alone() -> None:
    # A change of 2.35 standard errors: p = 0.030 alone, times three 0.091.
    a, b = spread_around(2, 2.0), spread_around(2 * math.exp(2.35 * 2 * 0.0057735), 2.0)
    assert verdict(a, b)[0] == "FASTER"
    kind, reason = verdict(a, b, *(Case(p, SMALL) for p in ("forward", "backprop", "epoch")))
    assert kind == "UNRESOLVED"
    assert reason.endswith("excludes 1, but not after Holm's correction over 3 cells")


def test_too_few_invocations_in_either_run_give_no_verdict() -> None:
    whole, short = side_of(spread_around(2)), side_of(spread_around(2.2), invocations=9)
    reasons = [changes(*pair)[0].verdict for pair in ((whole, short), (short, whole))]
    assert [found.reason for found in reasons if found] == [
        "only 9 invocations in B; a verdict needs 10 in each run",
        "only 9 invocations in A; a verdict needs 10 in each run",
    ]
    none = side_of(spread_around(2), invocations=0)
    (change,) = changes(whole, none)
    assert change.estimate is None
    assert change.verdict is not None
    assert change.verdict.reason.startswith("no complete invocation in B")


def test_a_case_that_is_invalid_in_either_run_is_invalid() -> None:
    fault = Fault(case_id(FORWARD), "mojo", 0, "died")
    whole, broken = side_of(spread_around(2)), side_of(spread_around(2), faults=(fault,))
    for pair, letter in (((whole, broken), "B"), ((broken, whole), "A")):
        (change,) = changes(*pair)
        assert (change.estimate, change.a, change.b) == (None, None, None)
        assert change.verdict is not None
        assert (change.verdict.kind, change.verdict.reason) == ("INVALID", f"{letter}: mojo: died")


def test_without_an_again_pair_in_both_runs_there_is_no_verdict() -> None:
    whole = side_of(spread_around(2))
    slots = tuple(slot for slot in whole.run.plan.workers if slot.role != "again")
    bare = replace(whole, run=replace(whole.run, plan=whole.run.plan.of(workers=slots)))
    (change,) = changes(whole, bare)
    assert change.estimate is not None
    assert change.verdict is not None
    assert change.verdict.reason.startswith("not both runs have an A/A pair")


def test_runs_of_another_kind_have_changes_and_no_verdicts() -> None:
    def imported(run: Run) -> Run:
        return replace(run, source="pytest-benchmark")

    sides = [side_of(spread_around(ratio), invocations=1) for ratio in (2, 2.2)]
    (change,) = changes(*(replace(one, run=imported(one.run)) for one in sides))
    assert change.verdict is None
    assert change.estimate is not None
    assert change.estimate.point == pytest.approx(1.1)
    assert math.isnan(change.estimate.low)


def test_only_what_both_runs_have_is_compared_and_floors_are_not() -> None:
    a = side_of(spread_around(2), FORWARD)
    b = side_of(spread_around(2), *cases_of([SMALL]))
    assert [change.case for change in changes(a, b)] == [FORWARD]
    assert [change.case for change in changes(b, a)] == [FORWARD]
