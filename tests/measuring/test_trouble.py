"""The runner in every kind of trouble: what it costs, and what is kept."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from pretence import SMALL, WIDE, Event, World, dies, request_of
from test_hostile_files import npy

from bench.analysis.run_analysis import analyse, analyse_stored
from bench.measuring.runner import TRAINING
from bench.model.cases import case_id, problem_id
from bench.model.records import Case
from bench.storage.runs import load


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_fails_parity_is_not_timed(world: World) -> None:
    world.y_hat = {"numpy": 1.0, "mojo": 1.001}
    _, stored = world.run(request_of(SMALL, floors=True))
    assert not stored.parity[0].ok
    assert {sample.case for sample in stored.samples} == {"call/t1", "timer/t1"}
    assert world.notes[0].startswith(f"parity failed: {problem_id(SMALL)}: y_hat of mojo differs")
    first, *_ = analyse_stored(stored).results
    assert first.verdict is not None
    assert first.verdict.kind == "INVALID"
    assert "y_hat" in first.verdict.reason


def test_a_worker_that_dies_costs_its_case_and_no_more(world: World) -> None:
    samples = 0

    def trouble(event: Event) -> None:
        nonlocal samples
        if event.op == "sample" and event.fields["phase"] == "epoch" and event.worker == "mojo":
            samples += 1
            if samples == 13:  # after eleven in the pilot, and the warm-up of the first invocation
                dies(event)

    world.trouble = trouble
    run, stored = world.run(request_of(SMALL, phases=("forward", "epoch"), invocations=3))
    assert run.status == "finished"
    (fault,) = stored.faults
    assert (fault.case, fault.worker) == (case_id(Case("epoch", SMALL)), "mojo")
    assert fault.reason == "died during sample (signal SIGSEGV)"
    assert world.notes[-1] == f"fault in {fault.case}: mojo: died during sample (signal SIGSEGV)"
    by_case = Counter(sample.case for sample in stored.samples)
    assert by_case[case_id(Case("forward", SMALL))] == 3 * 9
    assert 0 < by_case[fault.case] < 9  # nothing after the fault, all before it kept
    assert all(slot.ended for slot in world.slots)
    kinds = {
        result.case.phase: result.verdict.kind
        for result in analyse(run, stored.samples, stored.parity, stored.faults).results
        if result.verdict
    }
    assert kinds == {"forward": "UNRESOLVED", "epoch": "INVALID"}


@pytest.mark.parametrize(("op", "stage"), [("tensors", "parity"), ("prepare", "parity")])
def test_a_fault_in_parity_counts_for_the_cases_of_its_problem(
    world: World, op: str, stage: str
) -> None:
    def trouble(event: Event) -> None:
        wide = event.fields.get("problem", {}).get("layer_sizes") == WIDE.layer_sizes
        if world.stages[-1] == stage and event.op == op and (wide or op == "tensors"):
            dies(event)

    world.trouble = trouble
    _, stored = world.run(request_of(SMALL, WIDE, phases=("forward", "epoch")))
    failed = {fault.case for fault in stored.faults}
    lost = {SMALL, WIDE} if op == "tensors" else {WIDE}
    assert failed == {case_id(Case(p, x)) for p in ("forward", "epoch") for x in lost}
    assert {sample.case for sample in stored.samples}.isdisjoint(failed)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("y_hat.npy", b"not an array", "'y_hat.npy' is no .npy file: "),
        ("y_hat.npy", npy((2,), "|O", b"cos\nsystem\n"), "'y_hat.npy' is of object, not float64"),
        ("y_hat.npy", npy((10**9,), "<f8", b""), "'y_hat.npy' is too short for its shape"),
        ("y_hat.npy", npy((90,), "<f8", bytes(720)), "'y_hat.npy' has "),
        ("y_hat.npy", npy((1,), "<f8", bytes(9)), "'y_hat.npy' has 9 bytes for its shape"),
        ("secret.npy", b"", "'secret.npy' is none of the files that were asked for"),
        ("y_hat.txt", b"", "'y_hat.txt' is none of the files that were asked for"),
        ("y_hat.npy", "link", "Too many levels of symbolic links"),
        ("y_hat.npy", "folder", "Is a directory"),
        ("y_hat.npy", "pipe", "'y_hat.npy' is no plain file"),
    ],
)  # fmt: skip
def test_files_of_a_worker_that_are_not_what_was_asked_for_cost_its_problem(
    world: World, file: str, content: bytes | str, words: str
) -> None:
    def trouble(event: Event) -> None:
        if event.op == "tensors" and event.worker == "mojo":
            path = Path(event.fields["folder"]) / file
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif content == "link":
                path.symlink_to("/etc/passwd")
            elif content == "folder":
                path.mkdir()
            else:
                os.mkfifo(path)
            event.op = "told"  # so that the pretender writes nothing itself

    world.trouble = trouble
    _, stored = world.run(request_of(SMALL))
    (fault,) = stored.faults
    assert fault.reason.startswith(f"answered tensors without files that can be read: {words}")
    assert stored.samples == ()


def test_a_worker_that_writes_nothing_is_told_tensor_by_tensor(world: World) -> None:
    def trouble(event: Event) -> None:
        if event.op == "tensors" and event.worker == "mojo":
            event.op = "told"
            event.answer = {"inputs": "12ab34cd", "layout": "dense, C order"}

    world.trouble = trouble
    _, stored = world.run(request_of(SMALL))
    assert stored.parity[0].reason == "y_hat is missing from mojo (and 1 more)"


def test_another_protocol_is_refused_in_words(world: World) -> None:
    world.describes = {"mojo": {"protocol": 2}}
    _, stored = world.run(request_of(SMALL))
    assert {fault.reason for fault in stored.faults} == {
        "speaks version 2 of the protocol, and this is 1: see docs/protocol.md"
    }


def test_workers_that_do_not_start_cost_all_cases_at_once(world: World) -> None:
    world.describes = {"mojo": {"threads": 4}}
    run, stored = world.run(request_of(SMALL, WIDE, floors=True, training_epochs=3))
    assert run.status == "finished"
    assert stored.samples == ()
    assert {fault.reason for fault in stored.faults} == {"was started with 1 threads and has 4"}
    assert world.notes[0].startswith(
        f"fault in {case_id(Case('forward', SMALL))} and 1 more: mojo: "
    )
    assert [fault.case for fault in stored.faults] == [
        *(case_id(Case("forward", p)) for p in (SMALL, WIDE)), "call/t1", "timer/t1", "training",
    ]  # fmt: skip
    assert sum(slot.spec.label == "mojo" for slot in world.slots) == 3  # parity, pilot, training
    assert stored.training.keys() == {"X", "y", "numpy/training_loss"}


def test_a_library_that_changes_during_a_run_is_noticed(world: World) -> None:
    def trouble(event: Event) -> None:
        if world.stages[-1] == "timing" and event.group == 3:
            world.describes = {"mojo": {"facts": {"flags": "-O0"}}}

    world.trouble = trouble
    _, stored = world.run(request_of(SMALL, invocations=3))
    (fault,) = stored.faults
    assert fault.worker == "mojo"
    assert fault.reason == "is not what it was when the run began: facts changed"
    assert all(slot.ended for slot in world.slots)


def test_a_fault_in_the_pilot_leaves_the_other_cases(world: World) -> None:
    def trouble(event: Event) -> None:
        if world.stages[-1] == "pilot" and event.fields.get("phase") == "forward":
            dies(event)

    world.trouble = trouble
    run, stored = world.run(request_of(SMALL, phases=("forward", "backprop"), invocations=1))
    name = case_id(Case("backprop", SMALL))
    assert run.plan.rounds == {name: 2}
    assert run.plan.loops == {name: 10}
    assert {sample.case for sample in stored.samples} == {name}


def test_a_fault_in_training_leaves_the_other_curve(world: World) -> None:
    def trouble(event: Event) -> None:
        if event.op == "train" and event.worker == "numpy":
            dies(event)

    world.trouble = trouble
    _, stored = world.run(request_of(SMALL, training_epochs=3))
    assert stored.training.keys() == {"X", "y", "mojo/training_loss"}
    assert [fault.case for fault in stored.faults] == ["training"]
    assert len(stored.training["X"]) == TRAINING.rows


@pytest.mark.parametrize("stage", ["parity", "pilot", "timing", "training"])
def test_ctrl_c_keeps_what_was_measured_and_ends_the_workers(world: World, stage: str) -> None:
    # In timing: three epochs to have trained and nine samples in the first invocation, then again
    # an epoch and a sample.
    after = 14 if stage == "timing" else 0

    def trouble(event: Event) -> None:
        nonlocal after
        if world.stages[-1] == stage and event.op in ("sample", "tensors", "train"):
            after -= 1
            if after < 0:
                raise KeyboardInterrupt

    world.trouble = trouble
    run, stored = world.run(request_of(SMALL, training_epochs=3))
    assert run.status == stored.run.status == "interrupted"
    assert world.stages[-1] == stage
    assert all(slot.ended for slot in world.slots)
    expected = {"parity": 0, "pilot": 0, "timing": 10, "training": 27}
    assert len(stored.samples) == expected[stage]
    assert stored.training == {}
    assert world.notes[-1] == "interrupted: what was measured so far is kept"
    if stage == "timing":  # one whole invocation, and one sample of the next
        (result,) = analyse(run, stored.samples, stored.parity, stored.faults).results
        assert result.ratio is not None
        assert (result.ratio.estimate.point, result.ratio.estimate.count) == (2.0, 1)


def test_an_error_of_our_own_ends_the_workers_as_well(world: World) -> None:
    def trouble(event: Event) -> None:
        if event.op == "sample":
            raise ZeroDivisionError

    world.trouble = trouble
    with pytest.raises(ZeroDivisionError):
        world.run(request_of(SMALL))
    assert all(slot.ended for slot in world.slots)
    assert load(world.folder / "run").run.status == "running"
