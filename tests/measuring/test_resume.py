"""A run that was cut short goes on: killed at any moment, nothing is lost or taken twice."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pretence import NOW, SMALL, WIDE, Actor, Event, World, request_of

from bench.analysis.run_analysis import analyse_stored
from bench.measuring.runner import measure, resume
from bench.model.cases import case_id
from bench.model.errors import StoreError, UsageError
from bench.model.records import SCHEMA_VERSION, Environment
from bench.storage.runs import LINES, RunWriter, Stored, load

KILLS = int(os.environ.get("BENCH_KILLS", "12"))
"""How often a run is killed; fifty by hand (CONTRIBUTING.md)."""
BETWEEN_S = 0.0004
"""What each request takes in the runs that are killed, so that there is time for it."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def order() -> Any:
    return request_of(SMALL, WIDE, phases=("forward", "epoch"), floors=True, invocations=4,
                    training_epochs=3)  # fmt: skip


def cut_short(world: World, after: int) -> Path:
    """Make a run that ends by Ctrl-C after so many samples."""
    left = after

    def trouble(event: Event) -> None:
        nonlocal left
        if world.stages[-1] == "timing" and event.op == "sample":
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

    world.trouble = trouble
    run, _ = world.run(order())
    assert run.status == "interrupted"
    world.trouble = lambda event: None
    return world.folder / "run"


def whole(stored: Stored) -> None:
    """Check that everything planned is there once."""
    plan = stored.run.plan
    keys = Counter((s.case, s.invocation, s.round, s.worker) for s in stored.samples)
    assert max(keys.values()) == 1, "a reading was taken twice"
    found = analyse_stored(stored).results
    for result in found:
        times = result.times.values()
        assert {time.median_ns.count for time in times} == {plan.invocations}, case_id(result.case)
    assert len(stored.parity) == len({result.problem for result in stored.parity}) == 2
    assert stored.training.keys() >= {"X", "y", "numpy/training_loss", "mojo/training_loss"}
    assert stored.run.status == "finished"
    assert stored.faults == ()


@pytest.mark.parametrize("after", [0, 1, 40, 200])
def test_a_run_that_was_interrupted_goes_on(world: World, after: int) -> None:
    path = cut_short(world, after)
    before = {name: (path / name).read_bytes() for name in LINES.values()}
    asked = len(world.asked("tensors"))
    resume(path, NOW, world, world.edges())
    for name, content in before.items():
        assert (path / name).read_bytes().startswith(content), f"{name} changed"
    assert len(world.asked("tensors")) == asked, "parity was checked again"
    stored = load(path)
    whole(stored)
    assert len(stored.run.resumed) == 1
    at_ns = [sample.at_ns for sample in stored.samples]
    assert at_ns == sorted(at_ns)


def test_a_run_of_an_older_version_goes_on_in_this_one(world: World) -> None:
    path = cut_short(world, 50)
    tree = json.loads((path / "run.json").read_bytes())
    plan = tree["plan"]
    old = {**plan.pop("request"), **plan, "crew_ns": plan.pop("group_ns")}
    (path / "run.json").write_text(json.dumps({**tree, "schema": 4, "plan": old}))
    before = load(path).run
    assert before.schema == 4
    resume(path, NOW, world, world.edges())
    whole(load(path))
    after = load(path).run
    assert after.schema == SCHEMA_VERSION
    assert replace(after.plan, spreads={}) == before.plan


def test_a_finished_run_has_nothing_to_go_on_with(world: World) -> None:
    world.run(request_of(SMALL))
    with pytest.raises(UsageError, match="is finished: there is nothing to go on with"):
        resume(world.folder / "run", NOW, world, world.edges())


def test_another_machine_is_refused(world: World) -> None:
    path = cut_short(world, 50)
    before = (path / "samples.jsonl").read_bytes()
    edges = replace(world.edges(), environment=lambda: Environment({"cpu": "other"}, {}))
    with pytest.raises(UsageError, match=r"cannot go on here.*cpu: pretended in A, other in B"):
        resume(path, NOW, world, edges)
    assert (path / "samples.jsonl").read_bytes() == before


def test_another_library_is_a_fault(world: World) -> None:
    path = cut_short(world, 50)
    world.describes = {"mojo": {"facts": {"flags": "-O0"}}}
    resume(path, NOW, world, world.edges())
    reasons = {fault.reason for fault in load(path).faults}
    assert reasons >= {"is not what it was when the run began: facts changed"}


def test_what_was_given_up_stays_so(world: World) -> None:
    path = cut_short(world, 50)
    name = case_id(order().cases[0])
    fault = {"case": name, "worker": "mojo", "invocation": 0, "reason": "died"}
    with (path / "faults.jsonl").open("a") as file:
        file.write(json.dumps(fault) + "\n")
    taken = sum(sample.case == name for sample in load(path).samples)
    resume(path, NOW, world, world.edges())
    stored = load(path)
    assert sum(sample.case == name for sample in stored.samples) == taken
    assert stored.run.status == "finished"


def test_a_torn_line_is_taken_away(world: World) -> None:
    path = cut_short(world, 50)
    samples = (path / "samples.jsonl").read_bytes()
    with (path / "samples.jsonl").open("ab") as file:
        file.write(b'{"case": "forw')
    resume(path, NOW, world, world.edges())
    assert (path / "samples.jsonl").read_bytes().startswith(samples + b"{")
    whole(load(path))


def test_only_one_process_measures_a_run(world: World) -> None:
    path = cut_short(world, 50)
    run = load(path).run
    with (
        RunWriter.reopen(path, run),
        pytest.raises(StoreError, match="is being measured by another process"),
    ):
        resume(path, NOW, world, world.edges())


class Slow(Actor):
    """Takes its time over every request, so that a kill may come at any moment."""

    def ask(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        time.sleep(BETWEEN_S)
        return super().ask(op, timeout_s, **fields)


def in_a_child(folder: Path, kill_after_s: float | None) -> bool:
    """Begin the run or go on with it in a process of its own; tell whether it was killed."""
    child = os.fork()
    if not child:
        try:
            world = World(folder)
            edges = replace(world.edges(), start=lambda spec, more: Slow(world, spec, more))
            if (folder / "run" / "run.json").exists():
                resume(folder / "run", NOW, world, edges)
            else:
                measure(order(), folder / "run", NOW, world, edges)
            os._exit(0)
        finally:
            os._exit(1)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_killed_at_any_moment_a_run_goes_on(tmp_path: Path) -> None:
    random, kills, runs = Random(4), 0, 0
    while kills < KILLS:
        runs += 1
        folder = tmp_path / str(runs)
        folder.mkdir()
        path = folder / "run"
        before: dict[str, bytes] = {}
        while True:
            killed = in_a_child(folder, random.uniform(0.0, 0.5) if kills < KILLS else None)
            kills += killed
            if not (path / "run.json").exists():  # before there was anything to go on with
                assert killed
                for left in path.glob("*"):
                    left.unlink()
                path.rmdir() if path.exists() else None
                continue
            for name, content in before.items():
                assert (path / name).read_bytes().startswith(content), f"{name} changed"
            before = {name: _lines(path / name) for name in LINES.values()}
            # A kill may come after the last write and before the process has ended by itself.
            if not killed or load(path).run.status == "finished":
                break
        whole(load(path))
    assert kills == KILLS


def _lines(file: Path) -> bytes:
    """Read what is whole of a file of lines; nothing where it is not made yet."""
    content = file.read_bytes() if file.exists() else b""
    return content[: content.rfind(b"\n") + 1]
