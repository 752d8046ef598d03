"""Target and budget: how many invocations are added where, and what a run says of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from pretence import SMALL, WIDE, Actor, World, request_of

from bench.analysis.intervals import CONFIDENCE, quantile
from bench.analysis.run_analysis import analyse
from bench.analysis.verdicts import spreads
from bench.cli.options import parse_duration
from bench.measuring.pilot import eta_s, plan_only
from bench.measuring.runner import measure
from bench.measuring.schedule import Cost, invocations_to_add
from bench.model.cases import case_id
from bench.model.records import Case
from bench.report.sections.diagnostics import shortfalls
from bench.storage.runs import load


def test_what_a_target_takes_by_hand() -> None:
    cost = Cost(spread=0.05, invocations=10, seconds=2)
    # t of 9 degrees of freedom is 2.2622; (2.2622 * 0.05 / log(1.02))^2 = 32.6
    assert cost.wanted(0.02) == 33
    assert cost.half_width(10) == pytest.approx(2.2622 * 0.05 / math.sqrt(10), rel=1e-4)
    assert Cost(0.0, 10, 1).wanted(0.01) == 0


def test_more_goes_where_it_is_needed_and_no_further_than_the_target() -> None:
    costs = {"steady": Cost(0.01, 10, 1), "wild": Cost(0.05, 10, 1)}
    assert invocations_to_add(costs, 0.02, 1e9) == {"wild": 23}


def test_a_budget_is_kept_and_goes_where_it_narrows_most() -> None:
    costs = {"wild": Cost(0.1, 10, 1), "wild and slow": Cost(0.1, 10, 10)}
    more = invocations_to_add(costs, 0.001, 30)
    assert sum(costs[name].seconds * count for name, count in more.items()) <= 30
    assert more["wild"] > more.get("wild and slow", 0)
    assert invocations_to_add(costs, 0.001, 0.5) == {}


@given(
    st.lists(st.tuples(st.floats(0, 0.3), st.floats(0.1, 20)), min_size=1, max_size=5),
    st.floats(0.005, 0.1),
    st.floats(0, 200),
)
def test_what_is_added_fits_and_is_never_too_much(
    kinds: list[tuple[float, float]], target: float, budget_s: float
) -> None:
    costs = {str(n): Cost(spread, 10, seconds) for n, (spread, seconds) in enumerate(kinds)}
    more = invocations_to_add(costs, target, budget_s)
    assert sum(costs[name].seconds * count for name, count in more.items()) <= budget_s + 1e-6
    for name, count in more.items():
        assert 10 + count <= costs[name].wanted(target)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), (" 1.5h ", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5m", "0", "5 days", "nan", "inf"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="write 90s, 5m or 1h"):
        parse_duration(text)


class Wavering(Actor):
    """The candidate of the wide problem is fast in one process and slow in the next."""

    def ask(self, op, timeout_s, **fields):  # type: ignore[no-untyped-def]
        answer = super().ask(op, timeout_s, **fields)
        if op == "prepare":
            self.wide = (
                fields["problem"]["layer_sizes"] == list(WIDE.layer_sizes)
                or fields["problem"]["layer_sizes"] == WIDE.layer_sizes
            )
        if op == "sample" and self.spec.label == "mojo" and self.wide and self.number % 2:
            for key in ("elapsed_ns", "wall_ns", "cpu_ns"):
                answer[key] = answer[key] * 11 // 10
        return answer


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_run_adds_invocations_to_what_varies(world: World, tmp_path: Path) -> None:
    order = replace(request_of(SMALL, WIDE, invocations=10, seconds=10), target=0.03)
    edges = replace(world.edges(), start=lambda spec, more: Wavering(world, spec, more))
    run = measure(order, tmp_path / "run", __import__("pretence").NOW, world, edges)
    small, wide = (case_id(Case("forward", problem)) for problem in (SMALL, WIDE))
    assert [*run.plan.more] == [wide]
    assert run.plan.spreads[wide].between == pytest.approx(math.log(1.1) / 2, rel=0.1)
    assert run.plan.spreads[small].between == 0
    stored = load(tmp_path / "run")
    analysis = analyse(run, stored.samples, stored.parity, ())
    found = {case_id(result.case): result for result in analysis.results}
    counts = {name: r.ratio.estimate.count for name, r in found.items() if r.ratio}
    assert counts == {small: 10, wide: 10 + run.plan.more[wide]}
    assert any(note.startswith("target ±3.0%: ") for note in world.notes)
    assert shortfalls(analysis) == []
    half = float(quantile(counts[wide], CONFIDENCE)) * math.log(1.1) / 2 / math.sqrt(counts[wide])
    assert half < math.log1p(0.03)


def test_what_missed_the_target_is_said_with_what_it_would_take(
    world: World, tmp_path: Path
) -> None:
    order = replace(request_of(SMALL, WIDE, invocations=10), target=0.03, budget_s=0.001)
    edges = replace(world.edges(), start=lambda spec, more: Wavering(world, spec, more))
    run = measure(order, tmp_path / "run", __import__("pretence").NOW, world, edges)
    assert run.plan.more == {}
    stored = load(tmp_path / "run")
    (line,) = shortfalls(analyse(run, stored.samples, stored.parity, ()))
    assert line.startswith("forward · 1,8,1 batch 5, 20 rows · float64 · 1 thread: ±3.")
    assert "not ±3.0%; about " in line
    assert line.endswith("would do")
    assert any("1 case will not reach it" in note for note in world.notes)


def test_spreads_tell_the_levels_apart(world: World) -> None:
    run, stored = world.run(request_of(SMALL, invocations=3))
    found = spreads(run, analyse(run, stored.samples, stored.parity, stored.faults).each)
    assert {(one.within, one.between) for one in found.values()} == {(0.0, 0.0)}


def test_a_plan_is_made_by_the_pilot_alone(world: World) -> None:
    order = request_of(SMALL, WIDE, floors=True, invocations=4, seconds=4, training_epochs=10)
    plan, faults = plan_only(order, world, world.edges())
    assert faults == []
    assert {event.op for event in world.events} <= {"describe", "prepare", "reset", "sample"}
    assert plan.rounds.keys() == plan.loops.keys() == plan.pilot.keys()
    parts = eta_s(plan)
    assert parts["timing"] == pytest.approx(4, rel=0.3)
    assert parts["training"] == pytest.approx(0.06)
