"""The runner when all goes well: who is asked what, in which order, and what is on disk.

One test at the end has real workers.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pretence import EACH_NS, NOW, SLOTS, SMALL, START_NS, WIDE, World, request_of

from bench.analysis.run_analysis import analyse
from bench.measuring.preconditions import check_parity
from bench.measuring.run_state import SETTLE_S, Edges
from bench.measuring.runner import measure
from bench.measuring.worker_group import ROUSE_ALONE_NS, ROUSE_NS
from bench.model.cases import case_id, problem_id
from bench.model.presets import cases_of
from bench.model.records import PROBES, Case, DType, Phase, Problem, Request, WorkerSpec
from bench.storage.runs import load
from bench.workers.datasets import data_folder


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_run_goes_from_parity_to_training_and_all_of_it_is_stored(world: World) -> None:
    order = request_of(SMALL, phases=("forward", "epoch"), floors=True, training_epochs=6)
    run, stored = world.run(order)
    assert world.stages == ["parity", "pilot", "timing", "training"]
    assert stored.run == run
    assert (run.status, run.started, run.name) == ("finished", "2026-11-03T10:00:00+00:00", "run")
    assert run.environment_after is not None
    assert [result.problem for result in stored.parity] == [problem_id(SMALL)]
    assert stored.faults == ()
    assert stored.training.keys() == {"X", "y", "numpy/training_loss", "mojo/training_loss"}
    assert len(stored.training["mojo/training_loss"]) == 6
    assert run.environment.workers.keys() == {"numpy", "numpy-again", "mojo"}
    assert len(run.environment.data) == 2  # of the problem, and of the training
    # 2 ms at 0.2 ms in the fastest worker; the least rounds, as there are no seconds to spend.
    assert set(run.plan.loops.values()) == {10}
    assert set(run.plan.rounds.values()) == {2}
    assert len(stored.samples) == 4 * 3 * 3 * (2 + 1)
    assert all(slot.ended for slot in world.slots)


def test_a_run_keeps_how_long_it_took_and_how_much_of_that_went_into_samples(
    world: World,
) -> None:
    run, stored = world.run(request_of(SMALL, phases=("forward", "epoch"), training_epochs=6))
    assert run.spent is not None
    # Only starts and samples move the clock of this world.
    asked = sum(
        e.fields["loops"] * EACH_NS[e.worker.removesuffix("-again")] for e in world.asked("sample")
    )
    assert run.spent.sampling_ns == asked > sum(s.elapsed_ns for s in stored.samples)
    assert run.spent.wall_ns == asked + START_NS * len(world.slots)


def test_the_protocol_of_one_case_exactly(world: World) -> None:
    world.run(request_of(SMALL, invocations=2))
    groups = {slot.spec.label: slot.number for slot in world.slots}
    assert groups == {"numpy": 3, "numpy-again": 2, "mojo": 3}  # parity, pilot, two invocations
    last = [e for e in world.events if e.group == groups[e.worker]]
    assert [(e.op, e.worker) for e in last] == [
        *(("describe", slot.label) for slot in SLOTS),
        *(("prepare", slot.label) for slot in SLOTS),
        # The warm-up; before it an epoch, as none was asked for, and back to fresh weights.
        *(
            (op, label)
            for label in ("numpy-again", "mojo", "numpy")
            for op in ("sample", "reset", "sample")
        ),
        *(("sample", label) for label in ("numpy-again", "mojo", "numpy")),
        *(("sample", label) for label in ("numpy", "mojo", "numpy-again")),
    ]
    fields = [e.fields for e in last if e.op == "sample"]
    assert fields[0:6:2] == [{"phase": "epoch", "loops": 1}] * 3
    sample = {"phase": "forward", "loops": 10, "rouse_ns": ROUSE_ALONE_NS}
    assert fields[1:6:2] + fields[6:] == [sample] * 9


def test_turns_go_on_over_invocations_until_all_orders_were_had(world: World) -> None:
    _, stored = world.run(request_of(SMALL, invocations=3))
    timed = [sample for sample in stored.samples if not sample.warmup]
    places = Counter((sample.worker, sample.position) for sample in timed)
    assert set(places.values()) == {2}
    assert len(places) == 9
    at = [sample.at_ns for sample in stored.samples]
    assert at == sorted(at)
    assert [s.round for s in stored.samples[:9]] == [0] * 3 + [1] * 3 + [2] * 3
    assert [s.warmup for s in stored.samples[:9]] == [True] * 3 + [False] * 6


def test_weights_are_drawn_before_every_phase_and_before_parts_only_where_they_moved(
    world: World,
) -> None:
    aside: tuple[Phase, ...] = ("shuffle", "loss", "forward-floor")
    cases = (*cases_of((SMALL,), ("epoch", "backprop")), *(Case(phase, SMALL) for phase in aside))
    world.run(replace(request_of(SMALL, invocations=1), cases=cases))
    fresh: dict[tuple[str, int], bool] = {}
    drawn: dict[tuple[str, int], bool] = {}  # whether the reset before this had a reason
    before: dict[tuple[str, int], str] = {}
    last: dict[tuple[str, int], str] = {}  # phase of the sample before
    for event in world.events:
        slot = event.worker, event.group
        if event.op == "prepare":
            fresh[slot] = drawn[slot] = True
        elif event.op == "reset":
            drawn[slot] = not fresh[slot]
            fresh[slot] = True
        elif event.op == "sample":
            phase = event.fields["phase"]
            # The rounds of a shuffle go on in the random stream; a probe asks no network.
            assert fresh[slot] or phase in ("shuffle", *PROBES)
            fresh[slot] = fresh[slot] and phase not in ("epoch", "shuffle")
            if before[slot] == "reset" and phase in aside:
                assert drawn[slot]
            if phase == "backprop" and last.get(slot) != phase:
                assert before[slot] == "reset"
            last[slot] = last.get(slot, "") if phase in PROBES else phase
        before[slot] = event.op
    assert {e.fields["phase"] for e in world.asked("sample")} >= {"epoch", "backprop", *aside}
    assert world.asked("reset")


def test_cases_come_in_another_order_in_each_invocation_and_the_seed_fixes_it(
    tmp_path: Path,
) -> None:
    problems = [Problem((1, width, 1), 5, 20, "float64", 1) for width in range(2, 8)]

    def case_orders(name: str, seed: int) -> list[tuple[str, ...]]:
        world = World(tmp_path / name)
        _, stored = world.run(request_of(*problems, phases=("forward", "epoch"), seed=seed))
        return [
            tuple(dict.fromkeys(s.case for s in stored.samples if s.invocation == invocation))
            for invocation in range(3)
        ]

    orders = case_orders("a", 1)
    assert len(set(orders)) == 3
    assert {frozenset(order) for order in orders} == {frozenset(orders[0])}
    assert case_orders("b", 1) == orders
    assert case_orders("c", 2) != orders


def test_no_worker_times_two_problems(world: World) -> None:
    # What one problem leaves behind in a process, its allocator above all, is not the other's.
    world.run(request_of(SMALL, WIDE, phases=("forward", "epoch"), invocations=2))
    timed: dict[tuple[str, int], set[str]] = {}
    prepared: dict[tuple[str, int], str] = {}
    for event in world.events:
        slot = (event.worker, event.group)
        if event.op == "prepare":
            prepared[slot] = str(event.fields["problem"])
        elif event.op == "sample":
            timed.setdefault(slot, set()).add(prepared[slot])
    assert all(len(problems) == 1 for problems in timed.values())
    # Of each problem: two slots in the pilot (one of the baseline is enough), three in each of two
    # invocations.
    assert len(timed) == 2 * (2 + 2 * 3)


def test_the_count_is_common_and_the_seconds_are_spent_on_rounds(world: World) -> None:
    run, _ = world.run(request_of(SMALL, WIDE, seconds=1.0, invocations=2))
    # A round: 10 * (0.4 + 0.4 + 0.2) ms and 3 * (0.5 + 1) ms for turning and rousing; half a second
    # for each invocation is 34 rounds of 14.5 ms, less 2 warm-ups, shared by two cases in pairs.
    assert run.plan.rounds == {case_id(Case("forward", p)): 16 for p in (SMALL, WIDE)}
    assert world.notes == ["cases: 2, invocations: 2, workers: 3; timing takes about 1 s"]


def test_a_plan_that_cannot_fit_its_seconds_says_so(world: World) -> None:
    world.each_ns = {"numpy": 10**9, "mojo": 10**9}
    world.run(request_of(SMALL, seconds=5, invocations=1))
    assert world.notes == [
        "cases: 1, invocations: 1, workers: 3; timing takes about 9 s, not 5 s: "
        "fewer rounds would not balance"
    ]


def test_with_several_threads_workers_settle_before_every_sample(world: World) -> None:
    two = Problem((1, 4, 1), 5, 20, "float64", 2)
    run, stored = world.run(request_of(SMALL, two, invocations=1))
    of_two = [sample for sample in stored.samples if sample.case.endswith("t2")]
    on_trial = 2  # each worker's times, before anything counts
    assert world.pauses == [SETTLE_S] * (on_trial + len(of_two)) == [SETTLE_S] * 11
    roused = {(e.fields["phase"], e.fields.get("rouse_ns")) for e in world.asked("sample")}
    assert roused == {
        ("epoch", None),  # of a worker that has not trained yet; not timed
        *((phase, rouse) for phase in ("forward", "peak") for rouse in (ROUSE_ALONE_NS, ROUSE_NS)),
    }
    assert {slot.threads for slot in world.slots} == {1, 2}
    assert [*run.environment.workers] == [
        "numpy", "numpy-again", "mojo",
        "numpy, 2 threads", "numpy-again, 2 threads", "mojo, 2 threads",
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_float32_is_judged_by_the_baseline_in_float64(world: World, dtype: DType) -> None:
    parity, _ = check_parity(request_of(Problem((1, 4, 1), 5, 20, dtype, 1)), world, world.edges())
    assert [result.ok for result in parity] == [True]
    prepared = [(e.worker, e.fields["problem"]["dtype"]) for e in world.asked("prepare")]
    extra = [("numpy", "float64")] if dtype == "float32" else []
    sides = [("numpy", dtype), *extra, ("mojo", dtype)]
    assert prepared == [side for side in sides for _ in range(2)]
    seeds = [event.fields["seed"] for event in world.asked("prepare")]
    assert seeds == [0, 1] * len(sides)
    assert len(world.asked("tensors")) == len(prepared)


# The real thing


@pytest.mark.alone
def test_real_workers_of_numpy_make_a_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    slots = (*SLOTS[:2], WorkerSpec("numpy-too", "numpy", "candidate"))
    cases = cases_of([Problem((1, 4, 1), 5, 20, "float32", 1)])
    order = Request("smoke", cases, slots, invocations=1, seconds=0.1, training_epochs=1)
    edges = Edges(data_folder=lambda problem: data_folder(problem, tmp_path / "data"))
    run = measure(order, tmp_path / "run", NOW, World(tmp_path), edges)
    stored = load(tmp_path / "run")
    assert (run.status, stored.faults) == ("finished", ())
    assert [result.ok for result in stored.parity] == [True]
    assert {check.error for check in stored.parity[0].tensors} == {0.0}
    for result in analyse(run, stored.samples, stored.parity, stored.faults).results:
        assert result.times.keys() == {"numpy", "numpy-again", "numpy-too"}
    assert {worker["threads"] for worker in run.environment.workers.values()} == {1}
    assert np.array_equal(stored.training["numpy/curve"].shape, (601, 1))
    assert capfd.readouterr() == ("", "")
    assert sys.modules.get("mojo_impl.bindings") is None
