"""Parts of phases: they do what the phases do, leave the network alone, and run for any network."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretence import SLOTS, World, request_of
from pretence import SMALL as PRETENDED
from shapes import PROBLEMS, name

import mojo_impl
from bench.measuring.schedule import FEW_ROUNDS, PHASE_ORDER, breakdown_loops, by_problem
from bench.model.arithmetic import flops
from bench.model.cases import case_id
from bench.model.presets import PARTS_OF, cases_of
from bench.model.records import (
    BREAKDOWN,
    OVERHEADS,
    PARTS,
    PHASES,
    PROBES,
    WIDTH_ONE,
    Case,
    Problem,
)
from bench.model.slots import compared, group_of, slots_of
from bench.workers.datasets import data_for
from bench.workers.implementations.drivers import Mojo, NumPy
from python_impl import MLP
from python_impl.parts import Parts

SMALL = Problem((3, 17, 5, 2), 5, 23, "float64", 1)


def made(problem: Problem, rate: float = 0.0) -> tuple[MLP, Parts, dict[str, Any]]:
    """Make a network with biases that are not zero, and its parts."""
    data = data_for(problem).arrays()
    network = NumPy().create(problem)
    assert isinstance(network, MLP)
    network.biases = [np.full_like(b, 0.1 * place) for place, b in enumerate(network.biases)]
    return network, Parts(network, data["X"], data["y"], problem.batch_size, rate), data


@pytest.mark.parametrize("problem", PROBLEMS, ids=name)
def test_parts_in_numpy_compute_what_the_methods_compute(problem: Problem) -> None:
    network, parts, data = made(problem)
    X, y = data["X"][: problem.batch_size], data["y"][: problem.batch_size]
    parts.forward_products()
    parts.forward_work()
    y_hat = network.forward(X)
    np.testing.assert_array_equal(parts.outputs[-1], y_hat)
    for mine, theirs in zip(parts.activations, network.activations, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for layer, b in enumerate(network.biases):
        np.testing.assert_array_equal(parts.products[layer] + b, parts.outputs[layer])
    grads_w, grads_b = network.backprop(y)
    for part in (parts.backprop_products, parts.backprop_work):
        for grad in parts.grads_w:
            grad[:] = np.nan
        part()
        for mine, theirs in zip(parts.grads_w, grads_w, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(parts.grads_b, grads_b, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    parts.loss()
    assert parts.last_loss == network.loss(y, y_hat)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_step_of_the_parts_is_a_step(dtype: Any) -> None:
    problem = replace(SMALL, dtype=dtype)
    network, parts, _ = made(problem, rate=0.01 / problem.batch_size)
    other, _, data = made(problem)
    other.forward(data["X"][: problem.batch_size])
    other.step(*other.backprop(data["y"][: problem.batch_size]))
    parts.step_work()
    for mine, theirs in zip(
        (*network.weights, *network.biases), (*other.weights, *other.biases), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_a_shuffle_draws_the_order_of_an_epoch_and_gathers_its_batches() -> None:
    network, parts, data = made(SMALL)
    twin = np.random.RandomState()
    twin.set_state(network._random.get_state())
    order = np.arange(SMALL.rows)
    twin.shuffle(order)
    parts.shuffle()
    last = order[15:20]  # the fourth of four full batches of 23 rows
    np.testing.assert_array_equal(parts.X_batch, data["X"][last])
    np.testing.assert_array_equal(parts.y_batch, data["y"][last])


@pytest.mark.parametrize("problem", PROBLEMS, ids=name)
def test_every_part_runs_in_both_languages_and_leaves_the_parameters(problem: Problem) -> None:
    data = data_for(problem).arrays()
    for mine in (NumPy(), Mojo()):
        network = mine.create(problem)
        network.biases = [np.full_like(b, 0.1) for b in network.biases]
        before = [np.array(array) for array in (*network.weights, *network.biases)]
        for phase in BREAKDOWN:
            elapsed_ns = mine.time(phase, 2, network, data["X"], data["y"], problem.batch_size)
            assert elapsed_ns > 0, phase
        for one, other in zip(before, (*network.weights, *network.biases), strict=True):
            np.testing.assert_array_equal(one, other)
        y_hat = network.forward(data["X"][: problem.batch_size])
        assert np.isfinite(y_hat).all()


def test_parts_in_numpy_are_made_once_until_something_else_is_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[Any, ...]] = []

    class Watched(Parts):
        def __init__(self, *given: Any) -> None:
            made.append(given)
            super().__init__(*given)

    monkeypatch.setattr("python_impl.parts.Parts", Watched)
    data, mine = data_for(SMALL).arrays(), NumPy()
    network, other = mine.create(SMALL), mine.create(SMALL)
    X, y, n = data["X"], data["y"], SMALL.batch_size

    def makes(phase: Any, network: Any, X: Any = X, n: int = n) -> int:
        before = len(made)
        mine.time(phase, 1, network, X, y, n)
        return len(made) - before

    assert [makes(part, network) for part in PARTS] == [1, 0, 0, 0, 0, 0, 0]
    assert makes("forward-floor", network) == 0
    assert makes("loss", network) == 1  # the floor was timed in between
    assert makes("loss", other) == 1
    assert makes("loss", other, X.copy()) == 1
    assert makes("loss", other, X, n + 1) == 1
    assert makes("loss", other, X, n + 1) == 0
    other.reset()
    assert makes("loss", other, X, n + 1) == 1
    for phase in ("forward", "backprop", "epoch", "call", "timer"):
        assert makes(phase, other) == 0
        assert makes("loss", other) == 1, phase


def test_kept_parts_of_mojo_follow_the_data_and_other_work_in_between() -> None:
    # A part of memory that is gone, or of another size, would crash or be found by valgrind.
    network = mojo_impl.MLP([3, 5, 2], batch_size=4)
    for rows in (4, 9, 40):
        X, y = np.ones((rows, 3)), np.ones((rows, 2))
        for part in PARTS:
            assert mojo_impl.time_phase(network, part, 2, X, y) > 0
        network.forward(np.ones((7 * rows, 3)))  # takes more room than the parts' batch
        network.reset()
        for part in PARTS:
            assert mojo_impl.time_phase(network, part, 2, X, y) > 0
        for phase in ("forward", "backprop", "epoch"):
            assert mojo_impl.time_phase(network, phase, 1, X, y) > 0


def test_parts_of_mojo_give_no_result_and_a_wrong_name_is_refused() -> None:
    network = mojo_impl.MLP([2, 3, 1], batch_size=2)
    X, y = np.ones((4, 2)), np.ones((4, 1))
    with pytest.raises(ValueError, match="only 'forward' and 'backprop' give a result"):
        mojo_impl.time_phase(network, "loss", 1, X, y, np.empty(2))
    for wrong in ("forward-floor", "forward-", "loss ", ""):
        with pytest.raises(ValueError, match="or a part of one, such as 'forward-products'"):
            mojo_impl.time_phase(network, wrong, 1, X, y)
    for part in PARTS:
        assert mojo_impl.time_phase(network, part, 3, X, y) > 0
    with pytest.raises(RuntimeError, match="forward first"):
        network.backprop(y[:2])


def test_the_floor_is_of_a_network_as_deep_on_as_many_batches() -> None:
    seen = []

    class Watched(NumPy):
        def time(self, phase: Any, loops: int, network: Any, X: Any, y: Any, *more: Any) -> int:
            seen.append((phase, network.layer_sizes, X.shape, y.shape, more[0]))
            return super().time(phase, loops, network, X, y, *more)

    data = data_for(SMALL).arrays()
    network = Watched().create(SMALL)
    for phase in WIDTH_ONE:
        Watched().time(phase, 2, network, data["X"], data["y"], SMALL.batch_size)
    assert seen[1::2] == [
        (phase, (1, 1, 1, 1), (4, 1), (4, 1), 1) for phase in ("forward", "backprop", "epoch")
    ]


def test_the_planned_parts_are_those_of_the_phases_that_were_asked_for() -> None:
    two = replace(SMALL, threads=2)
    cases = cases_of((SMALL, two), parts=True)
    assert {case.phase for case in cases if case.problem == SMALL} == {
        *PHASES,
        *OVERHEADS,
        *BREAKDOWN,
    }
    assert {case.phase for case in cases if case.problem == two} == {*PHASES, *OVERHEADS}
    assert len({case_id(case) for case in cases}) == len(cases)
    forward = set(cases_of((SMALL,), ("forward",), parts=True))
    aside = {case.phase for case in forward - set(cases_of((SMALL,), ("forward",)))}
    assert aside == set(PARTS_OF["forward"])
    assert {part for parts in PARTS_OF.values() for part in parts} == set(BREAKDOWN)
    assert not any(case.phase in BREAKDOWN for case in cases_of((SMALL,)))


def test_parts_count_the_arithmetic_of_the_products_they_hold() -> None:
    for phase in ("forward", "backprop"):
        expected = flops(Case(phase, SMALL))
        for part in PARTS_OF[phase][:2]:
            assert flops(Case(part, SMALL)) == expected > 0
    pairs = list(pairwise(SMALL.layer_sizes))
    assert flops(Case("step-work", SMALL)) == 10 * sum(
        a * b * (1 if place == 0 else 2) for place, (a, b) in enumerate(pairs)
    )


def test_aside_the_second_slot_of_the_baseline_has_no_turn(tmp_path: Path) -> None:
    world = World(tmp_path)
    cases = cases_of((PRETENDED,), parts=True)
    run, stored = world.run(replace(request_of(PRETENDED), cases=cases, seconds=1.0))
    assert run.status == "finished"
    assert not stored.faults
    for case in cases:
        taken = [sample for sample in stored.samples if sample.case == case_id(case)]
        labels = {slot.label for slot in SLOTS} - (
            {"numpy-again"} if case.phase in BREAKDOWN else set()
        )
        assert {sample.worker for sample in taken} == labels
        assert len(taken) == 3 * len(labels) * (run.plan.rounds[case_id(case)] + 1)
    # They take no rounds from the phases, and stay few.
    alone = World(tmp_path / "alone")
    without, _ = alone.run(
        replace(request_of(PRETENDED, floors=True), cases=cases_of((PRETENDED,)), seconds=1.0)
    )
    phases = {case_id(Case(phase, PRETENDED)) for phase in PHASES}
    assert {run.plan.rounds[name] for name in phases} == {
        without.plan.rounds[name] for name in phases
    }
    assert min(run.plan.rounds[name] for name in phases) > 2
    for phase in BREAKDOWN:
        assert run.plan.rounds[case_id(Case(phase, PRETENDED))] == FEW_ROUNDS[phase] == 2
    asked = [event.fields["phase"] for event in world.asked("sample") if event.worker == "mojo"]
    order = list(dict.fromkeys(asked))
    assert order.index("epoch") < order.index("backprop") < min(map(order.index, BREAKDOWN))


def test_what_differs_in_parity_has_no_parts_taken(tmp_path: Path) -> None:
    world = World(tmp_path, y_hat={"numpy": 1.0, "mojo": 2.0})
    _, stored = world.run(replace(request_of(PRETENDED), cases=cases_of((PRETENDED,), parts=True)))
    assert {sample.case for sample in stored.samples} == {"call/t1", "timer/t1"}


def test_problems_that_only_probe_are_neither_compared_nor_timed(tmp_path: Path) -> None:
    world = World(tmp_path)
    cases = cases_of((PRETENDED,), ("forward",), probes=True, cores=2)
    peaks = {(c.problem.dtype, c.problem.threads) for c in cases if c.phase == "peak"}
    assert peaks == {(dtype, count) for dtype in ("float64", "float32") for count in (1, 2)}
    assert {c.problem.threads for c in cases if c.phase in ("memory", "cache")} == {1, 2}
    assert len({case_id(case) for case in cases}) == len(cases)
    assert compared(cases) == (PRETENDED,)
    run, stored = world.run(replace(request_of(PRETENDED), cases=cases))
    assert run.status == "finished"
    assert [result.problem for result in stored.parity] == ["1-4-1/b5/n20/f64/t1"]
    probes = [sample for sample in stored.samples if sample.case.startswith(PROBES)]
    assert {sample.case for sample in stored.samples} == {case_id(case) for case in cases}
    assert {sample.worker for sample in probes} == {"mojo"}
    # With nobody else to wait for, no pause; and only the prober is started.
    assert world.pauses == []
    assert {slot.spec.label for slot in world.slots if slot.threads == 2} == {"mojo"}
    rounds = {(one.case.split("/")[0], run.plan.rounds[one.case]) for one in probes}
    assert rounds == {("peak", 4), ("cache", 4), ("memory", 2)}


def test_where_a_problem_has_both_dtypes_and_threads_nothing_is_probed_twice() -> None:
    problems = tuple(
        replace(SMALL, dtype=dtype, threads=count)
        for dtype in ("float64", "float32")
        for count in (1, 2)
    )
    assert cases_of(problems, probes=True, cores=2) == cases_of(problems, probes=True)


def test_groups_slots_and_order_of_what_is_taken_aside() -> None:
    cases = cases_of((SMALL,), probes=True, cores=2, parts=True)
    assert {case.phase for case in cases} == set(PHASE_ORDER)
    groups = by_problem(cases)
    assert [{case.problem.threads for case in group} for group in groups] == [{1}, {1}, {2}]
    assert [len(group_of(group, SLOTS)) for group in groups] == [3, 1, 1]
    assert [slot.label for slot in slots_of(Case("loss", SMALL), SLOTS)] == ["numpy", "mojo"]


def test_loops_aside_are_those_of_phases_unless_workers_lie_far_apart() -> None:
    assert breakdown_loops([1000, 2000]) == 2000
    assert breakdown_loops([10, 5000]) == 2000  # 20 µs in the fastest, 10 ms in the slowest
    assert breakdown_loops([1e9, 2e9]) == 1
