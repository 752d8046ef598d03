"""Every variant that is installed passes the gate: parity in both dtypes and the fairness contract.

By real worker processes, as a run has them, so that versions, threads and subnormal numbers are
confirmed where they count. A variant that is not installed is skipped and says what it lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretence import NOW, SMALL, WIDE, Event, World, dies

from bench.analysis.run_analysis import analyse, analyse_stored
from bench.cli.app import build_mojo, workers_of
from bench.measuring.preconditions import check_parity
from bench.measuring.run_state import Edges
from bench.measuring.runner import measure, resume
from bench.model.presets import cases_of
from bench.model.records import PHASES, Case, Problem, Request
from bench.model.registry import VARIANTS, missing
from bench.model.slots import slots_of
from bench.storage.runs import Stored, load
from bench.workers.datasets import data_for
from bench.workers.implementations.drivers import implementation
from bench.workers.parity import demanded
from bench.workers.tensors import phases_of

OTHERS = [name for name in VARIANTS if name not in ("numpy", "mojo")]
"""The two that every other test is about are left to them."""
SHAPES: tuple[tuple[tuple[int, ...], int, int], ...] = (
    ((1, *[20] * 4, 1), 20, 100),  # as the seed network is
    ((7, 17, 3), 19, 60),  # odd widths, and rows that are left over
)
PROBLEMS = [Problem(*shape, dtype, 1) for shape in SHAPES for dtype in ("float64", "float32")]


CLASSES = [name for name in OTHERS if not VARIANTS[name].program]
"""One that is a program is held to the same in test_mojo_exe.py."""


@pytest.fixture(params=OTHERS)
def variant(request: pytest.FixtureRequest) -> str:
    """The name of a variant that is installed."""
    name: str = request.param
    if words := missing(VARIANTS[name]):
        pytest.skip(words)
    return name


def test_it_passes_the_gate(variant: str, tmp_path: Path) -> None:
    order = Request("quick", cases_of(PROBLEMS), workers_of([variant]))
    build_mojo(workers=order.workers)
    found, faults = check_parity(order, World(tmp_path), Edges())
    assert [fault.reason for fault in faults] == []
    assert [result.reason for result in found] == [""] * len(PROBLEMS)
    for result, problem in zip(found, PROBLEMS, strict=True):
        layers = len(problem.layer_sizes) - 1
        names = {check.name for check in result.tensors}
        assert {f"initial weights[{place}]" for place in range(layers)} <= names
        if "epoch" in VARIANTS[variant].phases:
            assert {"training_loss", "validation_loss", "timed: weights[0]"} <= names
        if "backprop" in VARIANTS[variant].phases:
            assert {"grads_w[0]", "timed: grads_b[0]", "another seed: stepped biases[0]"} <= names
        assert all(demanded(name, variant) for name in names)


# PyTorch imports what it has itself marked as old.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("variant", CLASSES, indirect=True)
def test_it_offers_what_the_table_says(variant: str) -> None:
    mine = implementation(variant)
    assert mine.name == variant
    assert set(phases_of(mine)) == set(VARIANTS[variant].phases)
    said: dict[str, Any] = mine.describe()
    assert said["denormals"] == ("flushed" if VARIANTS[variant].flushes else "kept")
    assert said["threads"] == 1
    for package in VARIANTS[variant].needs:
        assert any(package.startswith(name) for name in said["versions"]), said["versions"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("variant", CLASSES, indirect=True)
def test_its_results_are_arrays_of_numpy_and_survive_what_is_asked_next(variant: str) -> None:
    problem = Problem((3, 5, 2), 4, 8, "float32", 1)
    data = {name: array.astype("float32") for name, array in data_for(problem).arrays().items()}
    network = implementation(variant).create(problem, max_epochs=2, seed=3)
    reference = implementation("numpy").create(problem, max_epochs=2, seed=3)
    names = ("X", "y", "X_val", "y_val")
    histories = [one.fit(*(data[name] for name in names)) for one in (network, reference)]
    np.testing.assert_allclose(histories[0].training_loss, histories[1].training_loss, rtol=1e-4)
    for array in (*network.weights, *network.biases, network.predict(data["X"])):
        assert type(array) is np.ndarray
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
    before = [w.copy() for w in network.weights]
    network.reset()
    assert any((a != b).any() for a, b in zip(before, network.weights, strict=True))
    network.fit(*(data[name] for name in names))
    for a, b in zip(before, network.weights, strict=True):
        np.testing.assert_array_equal(a, b)  # the same stream again


@pytest.mark.alone
@pytest.mark.long
def test_several_variants_take_turns(tmp_path: Path) -> None:
    """One small run with processes: every slot once in every round, and a result for each."""
    names = ["mojo", "numpy-tuned", "python"]
    names += [name for name in ("numba",) if not missing(VARIANTS[name])]
    problem = Problem((2, 24, 2), 16, 64, "float64", 1)
    cases = tuple(Case(phase, problem) for phase in PHASES)
    order = Request("smoke", cases, workers_of(names), invocations=1, seconds=0.0)
    build_mojo(workers=order.workers)
    measure(order, tmp_path / "run", NOW, World(tmp_path), Edges())
    stored = load(tmp_path / "run")
    assert [fault.reason for fault in stored.faults] == []
    assert {result.candidate for result in stored.parity} == set(names)
    labels = {spec.label for spec in order.workers}
    taken = {(one.case, one.round, one.position): one.worker for one in stored.samples}
    assert len(taken) == len(stored.samples) == len(cases) * 3 * len(labels)
    for case in stored.run.plan.rounds:
        for turn in range(3):
            slots = [taken[case, turn, place] for place in range(len(labels))]
            assert set(slots) == labels
    found = analyse_stored(stored).results
    expected = [(case, name) for case in cases for name in names]
    assert [(result.case, result.candidate) for result in found] == expected
    for result in found:
        assert result.ratio is not None
        assert result.ratio.candidate == result.candidate


def test_who_has_no_slot_has_no_turn_no_parity_and_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sklearn` trains and no more; `python` stays with small networks."""
    monkeypatch.setitem(VARIANTS, "python", replace(VARIANTS["python"], most_flops=1000))
    names = ["mojo", "python", "sklearn"]
    world = World(
        tmp_path,
        each_ns=dict.fromkeys(("numpy", *names), 300_000),
        y_hat=dict.fromkeys(("numpy", *names), 1.0),
    )
    workers = workers_of(names)
    order = Request("quick", cases_of([SMALL, WIDE]), workers, invocations=2, training_epochs=100)
    run, stored = world.run(order)
    assert stored.faults == ()
    compared = [(result.problem, result.candidate) for result in stored.parity]
    assert ("1-8-1/b5/n20/f64/t1", "python") not in compared
    assert len(compared) == 5
    turns = {(one.case.split("/")[0], one.case.split("/")[1], one.worker) for one in stored.samples}
    assert ("epoch", "1-4-1", "sklearn") in turns
    assert ("forward", "1-4-1", "sklearn") not in turns
    assert ("forward", "1-4-1", "python") in turns
    assert not any(shape == "1-8-1" and who == "python" for _, shape, who in turns)
    found = analyse(run, stored.samples, stored.parity, stored.faults).results
    pairs = {(one.case, one.candidate) for one in found}
    slots = {(case, slot.label) for case in order.cases for slot in slots_of(case, workers[2:])}
    assert pairs == slots
    assert all(one.incomplete == 0 for one in found)
    assert all(len(one.times) == len(slots_of(one.case, workers)) for one in found)
    # Of a hundred epochs of the seed network plain Python would be minutes behind.
    assert {event.worker for event in world.asked("train")} == {"numpy", "mojo", "sklearn"}


NAMES = ("mojo", "numpy-tuned", "torch")


def world_of(folder: Path, trouble: Callable[[Event], object]) -> World:
    names = ("numpy", *NAMES)
    return World(
        folder,
        trouble=trouble,
        each_ns=dict.fromkeys(names, 300_000),
        y_hat=dict.fromkeys(names, 1.0),
    )


def order_of_three() -> Request:
    cases = tuple(Case(phase, SMALL) for phase in PHASES)
    return Request("quick", cases, workers_of(NAMES), invocations=3, seconds=0.0)


def complete(stored: Stored) -> dict[str, set[str]]:
    """Name by candidate the phases in which it has a ratio of all three invocations."""
    found: dict[str, set[str]] = {name: set() for name in NAMES}
    for one in analyse_stored(stored).results:
        if one.ratio and one.ratio.estimate.count == 3:
            found[one.candidate].add(one.case.phase)
    return found


@pytest.mark.parametrize("op", ["describe", "prepare", "tensors"])
def test_a_variant_that_does_not_work_leaves_the_others_alone(op: str, tmp_path: Path) -> None:
    def trouble(event: Event) -> None:
        if event.worker == "torch" and event.op == op:
            dies(event)

    run, stored = world_of(tmp_path, trouble).run(order_of_three())
    assert run.status == "finished"
    assert {fault.worker for fault in stored.faults} == {"torch"}
    assert {fault.case.split("/")[0] for fault in stored.faults} == set(PHASES)
    assert {result.candidate for result in stored.parity} == {"mojo", "numpy-tuned"}
    everything = set(PHASES)
    assert complete(stored) == {"mojo": everything, "numpy-tuned": everything, "torch": set()}
    invalid = [
        one for one in analyse_stored(stored).results
        if one.verdict and one.verdict.kind == "INVALID"
    ]  # fmt: skip
    assert {one.candidate for one in invalid} == {"torch"}
    assert len(invalid) == len(PHASES)


@pytest.mark.parametrize("first", [True, False])
def test_a_variant_that_fails_in_one_case_stays_in_the_others(first: bool, tmp_path: Path) -> None:
    """In the pilot, or after it had an invocation: the others have all of theirs."""
    seen: list[str] = []

    def trouble(event: Event) -> None:
        if event.worker == "torch" and event.fields.get("phase") == "backprop":
            seen.append(event.worker)
            if first or len(seen) > 16:
                dies(event)

    _, stored = world_of(tmp_path, trouble).run(order_of_three())
    assert [(fault.case.split("/")[0], fault.worker) for fault in stored.faults] == [
        ("backprop", "torch")
    ]
    found = complete(stored)
    assert found["mojo"] == found["numpy-tuned"] == set(PHASES)
    assert found["torch"] == {"forward", "epoch"}
    keys = [(one.case, one.worker, one.invocation, one.round) for one in stored.samples]
    assert len(keys) == len(set(keys))


def test_a_variant_that_computes_something_else_is_alone_in_that(tmp_path: Path) -> None:
    world = world_of(tmp_path, lambda event: None)
    world.y_hat = {**world.y_hat, "torch": 2.0}
    _, stored = world.run(order_of_three())
    assert stored.faults == ()
    assert {one.candidate for one in stored.parity if not one.ok} == {"torch"}
    found = complete(stored)
    assert found["mojo"] == found["numpy-tuned"] == set(PHASES)
    assert found["torch"] == set()
    assert "torch" not in {one.worker for one in stored.samples}


def test_a_variant_with_a_false_clock_is_alone_in_that(tmp_path: Path) -> None:
    def trouble(event: Event) -> None:
        if event.worker == "torch" and event.op == "sample":
            event.answer["wall_ns"] = 3 * 300_000 * event.fields["loops"]

    _, stored = world_of(tmp_path, trouble).run(order_of_three())
    assert {(one.worker, one.reason.split(":")[0]) for one in stored.faults} == {("torch", "clock")}
    assert complete(stored)["mojo"] == set(PHASES)


def test_a_run_that_goes_on_leaves_out_who_failed_before(tmp_path: Path) -> None:
    def trouble(event: Event) -> None:
        if event.worker == "torch" and event.fields.get("phase") == "backprop":
            dies(event)
        if event.worker == "mojo" and event.op == "sample" and world.stages[-1] == "timing":
            raise KeyboardInterrupt

    world = world_of(tmp_path, trouble)
    run, _ = world.run(order_of_three())
    assert run.status == "interrupted"
    again = world_of(tmp_path, lambda event: None)
    assert resume(tmp_path / "run", NOW, again, again.edges()).status == "finished"
    stored = load(tmp_path / "run")
    assert again.asked("tensors") == []
    assert complete(stored)["mojo"] == set(PHASES)
    assert complete(stored)["torch"] == {"forward", "epoch"}
