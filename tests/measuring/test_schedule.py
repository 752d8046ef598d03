"""Plans of a run: balanced turns, common counts, shares of time. No clock runs here."""

from __future__ import annotations

from collections import Counter
from itertools import chain, pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pretence import SMALL, World

from bench.analysis.run_analysis import analyse
from bench.cli.app import workers_of
from bench.measuring.schedule import (
    LEAST_ROUNDS,
    MOST_ROUNDS,
    calibrate,
    common_loops,
    fewer_loops,
    rounds_ns,
    share_rounds,
    shuffled,
    turns,
)
from bench.model.cases import case_id
from bench.model.numbers import duration_text
from bench.model.presets import PRESETS, cases_of, preset_problems
from bench.model.records import Request


def walk(count: int) -> int:
    """Rounds until a plan of turns starts again."""
    return 2 * count if count % 2 else count


def test_two_slots_take_turns_abba() -> None:
    assert turns("AB", 0, 4) == [("A", "B"), ("B", "A"), ("A", "B"), ("B", "A")]


def test_three_slots_walk_through_all_six_orders_over_invocations() -> None:
    orders = [order for invocation in range(3) for order in turns("ABC", invocation, 2)]
    assert ["".join(order) for order in orders] == ["ABC", "CBA", "BCA", "ACB", "CAB", "BAC"]


@given(count=st.integers(1, 7), walks=st.integers(1, 3), rounds=st.sampled_from([2, 4, 6]))
def test_over_whole_walks_every_position_and_neighbour_is_equally_frequent(
    count: int, walks: int, rounds: int
) -> None:
    invocations = walk(count) * walks  # so that the rounds are a whole number of walks
    orders = [order for i in range(invocations) for order in turns(range(count), i, rounds)]
    places = Counter((place, slot) for order in orders for place, slot in enumerate(order))
    assert set(places.values()) == {len(orders) // count}
    assert len(places) == count**2
    neighbours = Counter(pair for order in orders for pair in pairwise(order))
    assert len(neighbours) == count * (count - 1)
    assert len(set(neighbours.values())) <= 1


@given(st.integers(1, 7), st.integers(0, 9), st.sampled_from([2, 4, 10]))
def test_every_slot_goes_once_a_round_and_a_linear_drift_cancels(
    count: int, invocation: int, rounds: int
) -> None:
    orders = turns(range(count), invocation, rounds)
    assert len(orders) == rounds
    assert all(sorted(order) == list(range(count)) for order in orders)
    for first, second in zip(orders[::2], orders[1::2], strict=True):
        assert first == second[::-1]  # so each slot's two times have the same mean


def test_problems_and_their_cases_are_shuffled_and_stay_together() -> None:
    cases = cases_of(preset_problems(PRESETS["full"]))
    orders = [shuffled(cases, Random(seed)) for seed in range(20)]
    for order in orders:
        assert Counter(chain.from_iterable(order)) == Counter(cases)
        assert all(len({case.problem for case in group}) == 1 for group in order)
        assert len(order) == len({case.problem for case in cases})
        assert all(
            [c.phase for c in group][:3] == ["epoch", "forward", "backprop"] for group in order
        )
    assert len({tuple(chain.from_iterable(order)) for order in orders}) == 20
    assert shuffled(cases, Random(3)) == shuffled(reversed(cases), Random(3))


def test_calibration_doubles_until_a_trial_is_long_enough_and_skips_the_cold_one() -> None:
    asked: list[int] = []

    def time(loops: int) -> int:
        asked.append(loops)
        return 5_000_000 if len(asked) == 1 else 300 * loops

    assert calibrate(time, target_ns=2000) == 300
    assert asked == [1, 1, 2, 4]


@given(st.lists(st.floats(1, 1e10), min_size=1, max_size=4))
def test_the_count_is_the_least_with_which_the_fastest_lasts_long_enough(
    each_ns: list[float],
) -> None:
    loops = common_loops(each_ns, 1000)
    fastest = min(each_ns)
    assert loops * fastest >= 1000 * (1 - 1e-12)
    assert loops == 1 or (loops - 1) * fastest < 1000


def test_time_is_shared_equally_and_the_cheap_stop_at_the_most() -> None:
    # 100 units: the least rounds take 3 * 11 = 33. Of what is left, `cheap` can use 38 only;
    # with 29 left `dear` gets one pair for 20, and 9 are not enough for another.
    assert share_rounds({"cheap": 1, "dear": 10}, 100) == {"cheap": MOST_ROUNDS, "dear": 4}


def test_every_case_gets_the_least_rounds_even_without_time() -> None:
    assert share_rounds({"a": 5, "b": 7}, -1) == {"a": LEAST_ROUNDS, "b": LEAST_ROUNDS}
    assert share_rounds({}, 100) == {}


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.floats(1, 1e9), min_size=1), st.floats(0, 1e11)
)
def test_shares_are_even_fit_the_budget_and_leave_no_room(
    round_ns: dict[str, float], budget_ns: float
) -> None:
    rounds = share_rounds(round_ns, budget_ns)
    assert all(LEAST_ROUNDS <= count <= MOST_ROUNDS for count in rounds.values())
    assert all(count % 2 == 0 for count in rounds.values())
    used_ns = rounds_ns(round_ns, rounds)
    if any(count > LEAST_ROUNDS for count in rounds.values()):
        assert used_ns <= budget_ns * (1 + 1e-9)
    for name, count in rounds.items():
        room = budget_ns - used_ns
        assert count == MOST_ROUNDS or 2 * round_ns[name] > room * (1 - 1e-9)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (40, "40 s"), (59.6, "1 min 0 s"), (150, "2 min 30 s")]
)
def test_durations_are_written_in_minutes_and_seconds(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_who_is_much_slower_repeats_less_and_nobody_else() -> None:
    each_ns = {"mojo": 7_000.0, "numpy": 36_000.0, "port": 120_000.0, "python": 20_000_000.0}
    loops = common_loops(each_ns.values())
    assert loops == 286
    assert fewer_loops(loops, each_ns) == {"python": 1}
    assert fewer_loops(loops, {**each_ns, "python": 400_000.0}) == {"python": 50}  # 20 ms of work
    assert fewer_loops(1, {"python": 1e10}) == {}
    assert fewer_loops(100, {"a": 1_000_000.0}) == {}  # fifty times as long is not yet too long


def test_a_much_slower_candidate_repeats_less_in_a_run(tmp_path: Path) -> None:
    each_ns = {"numpy": 100_000, "mojo": 20_000_000, "quick": 10_000}
    world = World(tmp_path, each_ns=each_ns, y_hat=dict.fromkeys(each_ns, 1.0))
    workers = workers_of(["mojo", "quick"])
    run, stored = world.run(Request("quick", cases_of([SMALL], ("forward",)), workers))
    name = case_id(run.plan.cases[0])
    assert run.plan.loops[name] == 200
    assert run.plan.pilot[name].fewer == {"mojo": 1}
    loops = {one.worker: one.loops for one in stored.samples if one.case == name}
    assert loops == {"numpy": 200, "numpy-again": 200, "mojo": 1, "quick": 200}
    found = analyse(run, stored.samples, stored.parity, stored.faults).results
    ratios = {one.candidate: one.ratio for one in found if one.case.phase == "forward"}
    assert ratios["mojo"]
    assert ratios["mojo"].estimate.point == pytest.approx(1 / 200, rel=0.05)
