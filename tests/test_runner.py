"""The runner with workers that only pretend, and a clock that only they move.

What is checked is the protocol: who is asked what, in which order, and what is on disk after every
kind of trouble. One test at the end has real workers.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cases import case_id, cases_of, problem_id
from bench.datasets import data_file
from bench.errors import WorkerError
from bench.records import Case, DType, Environment, Phase, Problem, Run, WorkerSpec
from bench.runner import SETTLE_S, TRAINING, check_parity, measure
from bench.session import Edges, Order
from bench.stats import results
from bench.store import Stored, load

SEATS = (
    WorkerSpec("numpy", "numpy", "baseline"),
    WorkerSpec("numpy-again", "numpy", "again"),
    WorkerSpec("mojo", "mojo", "candidate"),
)
SMALL = Problem((1, 4, 1), 5, 20, "float64", 1)
WIDE = Problem((1, 8, 1), 5, 20, "float64", 1)
START_NS = 1000
EACH_NS = {"numpy": 400_000, "mojo": 200_000}
NOW = datetime(2026, 11, 3, 10, tzinfo=UTC)


@dataclass
class Event:
    """One request to one worker."""

    worker: str
    crew: int  # which start of that seat it was
    op: str
    fields: dict[str, Any]


@dataclass
class World:
    """Workers that pretend, a clock, and a list of all that happened."""

    folder: Path
    trouble: Callable[[Event], object] = lambda event: None
    each_ns: Mapping[str, int] = field(default_factory=lambda: EACH_NS)
    y_hat: Mapping[str, float] = field(default_factory=lambda: {"numpy": 1.0, "mojo": 1.0})
    describes: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    seats: list[Actor] = field(default_factory=list)
    now_ns: int = 0

    def edges(self) -> Edges:
        return Edges(
            start=lambda spec, variables: Actor(self, spec, variables),
            clock_ns=lambda: self.now_ns,
            sleep=self.pauses.append,
            environment=lambda: Environment({"cpu": "pretended"}, {}),
            data_file=lambda problem: data_file(problem, self.folder / "data"),
        )

    def run(self, order: Order) -> tuple[Run, Stored]:
        path = self.folder / "run"
        run = measure(order, path, NOW, self, self.edges())
        return run, load(path)

    def asked(self, op: str) -> list[Event]:
        return [event for event in self.events if event.op == op]

    # Progress

    def stage(self, name: str, total: float) -> None:
        self.stages.append(name)

    def now(self, text: str) -> None:
        assert text

    def advance(self, amount: float) -> None:
        assert amount > 0

    def note(self, text: str) -> None:
        self.notes.append(text)


class Actor:
    """A seat that pretends."""

    def __init__(self, world: World, spec: WorkerSpec, variables: Mapping[str, str]) -> None:
        self.world = world
        self.spec = spec
        self.threads = int(variables["MOJO_IMPL_THREADS"])
        self.number = sum(seat.spec == spec for seat in world.seats)
        self.ended = False
        self.dtype = ""
        world.seats.append(self)
        world.now_ns += START_NS

    def ask(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        assert not self.ended
        assert timeout_s >= 60
        event = Event(self.spec.label, self.number, op, fields)
        self.world.events.append(event)
        self.world.trouble(event)
        op = event.op
        answer: dict[str, Any] = {}
        if op == "describe":
            answer = {"threads": self.threads, "denormals": "kept", "facts": {}}
            answer |= self.world.describes.get(self.spec.label, {})
        elif op == "sample":
            answer["elapsed_ns"] = fields["loops"] * self.world.each_ns[self.spec.implementation]
            self.world.now_ns += answer["elapsed_ns"]
        elif op == "prepare":
            self.dtype = fields["problem"]["dtype"]
        elif op == "tensors":
            y_hat = np.full(3, self.world.y_hat[self.spec.implementation], self.dtype)
            np.savez(fields["path"], y_hat=y_hat)
        elif op == "train":
            np.savez(fields["path"], training_loss=np.ones(fields["epochs"]))
        return answer

    def end(self) -> None:
        self.ended = True


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def order_of(
    *problems: Problem,
    phases: tuple[Phase, ...] = ("forward",),
    floors: bool = False,
    invocations: int = 3,
    seconds: float = 0.0,
    training_epochs: int = 0,
    seed: int = 0,
) -> Order:
    cases = cases_of(problems, phases)
    if not floors:
        cases = tuple(case for case in cases if case.phase in phases)
    return Order("quick", cases, SEATS, invocations, seconds, training_epochs, "bench run", seed)


def dies(event: Event) -> None:
    raise WorkerError(event.worker, f"died during {event.op} (signal SIGSEGV)")


# A run without trouble


def test_a_run_goes_from_parity_to_training_and_all_of_it_is_stored(world: World) -> None:
    order = order_of(SMALL, phases=("forward", "epoch"), floors=True, training_epochs=6)
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
    assert all(seat.ended for seat in world.seats)


def test_the_protocol_of_one_case_exactly(world: World) -> None:
    world.run(order_of(SMALL, invocations=2))
    crews = {seat.spec.label: seat.number for seat in world.seats}
    assert crews == {"numpy": 3, "numpy-again": 2, "mojo": 3}  # parity, pilot, two invocations
    last = [e for e in world.events if e.crew == crews[e.worker]]
    assert [(e.op, e.worker) for e in last] == [
        *(("describe", seat.label) for seat in SEATS),
        *(("prepare", seat.label) for seat in SEATS),
        *(("sample", label) for label in ("numpy-again", "mojo", "numpy")),  # the warm-up
        *(("sample", label) for label in ("numpy-again", "mojo", "numpy")),
        *(("sample", label) for label in ("numpy", "mojo", "numpy-again")),
    ]
    assert all(e.fields == {"phase": "forward", "loops": 10} for e in last if e.op == "sample")


def test_turns_go_on_over_invocations_until_all_orders_were_had(world: World) -> None:
    _, stored = world.run(order_of(SMALL, invocations=3))
    timed = [sample for sample in stored.samples if not sample.warmup]
    places = Counter((sample.worker, sample.position) for sample in timed)
    assert set(places.values()) == {2}
    assert len(places) == 9
    at = [sample.at_ns for sample in stored.samples]
    assert at == sorted(at)
    assert [s.round for s in stored.samples[:9]] == [0] * 3 + [1] * 3 + [2] * 3
    assert [s.warmup for s in stored.samples[:9]] == [True] * 3 + [False] * 6


def test_weights_are_reset_before_every_epoch_and_never_before_other_samples(world: World) -> None:
    world.run(order_of(SMALL, phases=("epoch", "backprop"), invocations=1))
    before: dict[tuple[str, int], str] = {}
    for event in world.events:
        if event.op == "sample":
            previous = before[event.worker, event.crew]
            if event.fields["phase"] == "epoch":
                assert previous == "reset"
            elif previous == "reset":  # at the start of a case, and only there
                assert event.fields["phase"] == "backprop"
        before[event.worker, event.crew] = event.op
    epochs = [e for e in world.asked("sample") if e.fields["phase"] == "epoch"]
    # And once per worker at the second case of a crew: of the pilot's and of the invocation's.
    assert len(world.asked("reset")) == len(epochs) + 2 * 3


def test_cases_come_in_another_order_in_each_invocation_and_the_seed_fixes_it(
    tmp_path: Path,
) -> None:
    problems = [Problem((1, width, 1), 5, 20, "float64", 1) for width in range(2, 8)]

    def case_orders(name: str, seed: int) -> list[tuple[str, ...]]:
        world = World(tmp_path / name)
        _, stored = world.run(order_of(*problems, phases=("forward", "epoch"), seed=seed))
        return [
            tuple(dict.fromkeys(s.case for s in stored.samples if s.invocation == invocation))
            for invocation in range(3)
        ]

    orders = case_orders("a", 1)
    assert len(set(orders)) == 3
    assert {frozenset(order) for order in orders} == {frozenset(orders[0])}
    assert case_orders("b", 1) == orders
    assert case_orders("c", 2) != orders


def test_the_count_is_common_and_the_seconds_are_spent_on_rounds(world: World) -> None:
    run, _ = world.run(order_of(SMALL, WIDE, seconds=1.0, invocations=2))
    # A round: 10 * (0.4 + 0.4 + 0.2) ms and 3 * 0.5 ms for turning; half a second for each
    # invocation is 43 rounds of 11.5 ms, less 2 warm-ups, shared by two cases in pairs of rounds.
    assert run.plan.rounds == {case_id(Case("forward", p)): 20 for p in (SMALL, WIDE)}
    assert world.notes == ["cases: 2, invocations: 2, workers: 3; timing takes about 1 s"]


def test_a_plan_that_cannot_fit_its_seconds_says_so(world: World) -> None:
    world.each_ns = {"numpy": 10**9, "mojo": 10**9}
    world.run(order_of(SMALL, seconds=5, invocations=1))
    assert world.notes == [
        "cases: 1, invocations: 1, workers: 3; timing takes about 9 s, not 5 s: "
        "fewer rounds would not balance"
    ]


def test_with_several_threads_workers_settle_before_every_sample(world: World) -> None:
    two = Problem((1, 4, 1), 5, 20, "float64", 2)
    run, stored = world.run(order_of(SMALL, two, invocations=1))
    of_two = [sample for sample in stored.samples if sample.case.endswith("t2")]
    assert world.pauses == [SETTLE_S] * len(of_two) == [SETTLE_S] * 9
    assert {seat.threads for seat in world.seats} == {1, 2}
    assert [*run.environment.workers] == [
        "numpy", "numpy-again", "mojo",
        "numpy, 2 threads", "numpy-again, 2 threads", "mojo, 2 threads",
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_float32_is_judged_by_the_baseline_in_float64(world: World, dtype: DType) -> None:
    parity, _ = check_parity(order_of(Problem((1, 4, 1), 5, 20, dtype, 1)), world, world.edges())
    assert [result.ok for result in parity] == [True]
    prepared = [(e.worker, e.fields["problem"]["dtype"]) for e in world.asked("prepare")]
    extra = [("numpy", "float64")] if dtype == "float32" else []
    assert prepared == [("numpy", dtype), ("mojo", dtype), *extra]
    assert len(world.asked("tensors")) == 2 + len(extra)


# Trouble


def test_what_fails_parity_is_not_timed(world: World) -> None:
    world.y_hat = {"numpy": 1.0, "mojo": 1.001}
    _, stored = world.run(order_of(SMALL, floors=True))
    assert not stored.parity[0].ok
    assert {sample.case for sample in stored.samples} == {"call/t1", "timer/t1"}
    assert world.notes[0].startswith(f"parity failed: {problem_id(SMALL)}: y_hat of mojo differs")
    first, *_ = results(stored.run, stored.samples, stored.parity, stored.faults)
    assert first.verdict is not None
    assert first.verdict.kind == "INVALID"
    assert "y_hat" in first.verdict.reason


def test_a_worker_that_dies_costs_its_case_and_no_more(world: World) -> None:
    samples = 0

    def trouble(event: Event) -> None:
        nonlocal samples
        if event.op == "sample" and event.fields["phase"] == "epoch" and event.worker == "mojo":
            samples += 1
            if samples == 7:  # after five in the pilot and the warm-up of the first invocation
                dies(event)

    world.trouble = trouble
    run, stored = world.run(order_of(SMALL, phases=("forward", "epoch"), invocations=3))
    assert run.status == "finished"
    (fault,) = stored.faults
    assert (fault.case, fault.worker) == (case_id(Case("epoch", SMALL)), "mojo")
    assert fault.reason == "died during sample (signal SIGSEGV)"
    assert world.notes[-1] == f"fault in {fault.case}: mojo: died during sample (signal SIGSEGV)"
    by_case = Counter(sample.case for sample in stored.samples)
    assert by_case[case_id(Case("forward", SMALL))] == 3 * 9
    assert 0 < by_case[fault.case] < 9  # nothing after the fault, all before it kept
    assert all(seat.ended for seat in world.seats)
    kinds = {
        result.case.phase: result.verdict.kind
        for result in results(run, stored.samples, stored.parity, stored.faults)
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
    _, stored = world.run(order_of(SMALL, WIDE, phases=("forward", "epoch")))
    failed = {fault.case for fault in stored.faults}
    lost = {SMALL, WIDE} if op == "tensors" else {WIDE}
    assert failed == {case_id(Case(p, x)) for p in ("forward", "epoch") for x in lost}
    assert {sample.case for sample in stored.samples}.isdisjoint(failed)


def test_a_worker_that_writes_no_arrays_costs_its_problem(world: World) -> None:
    def trouble(event: Event) -> None:
        if event.op == "tensors" and event.worker == "mojo":
            Path(event.fields["path"]).write_text("not an archive")
            event.op = "told"  # so that the pretender writes nothing itself

    world.trouble = trouble
    _, stored = world.run(order_of(SMALL))
    (fault,) = stored.faults
    assert fault.reason == "answered tensors without a readable file: ValueError"
    assert stored.samples == ()


def test_workers_that_do_not_start_cost_all_cases_at_once(world: World) -> None:
    world.describes = {"mojo": {"threads": 4}}
    run, stored = world.run(order_of(SMALL, WIDE, floors=True, training_epochs=3))
    assert run.status == "finished"
    assert stored.samples == ()
    assert {fault.reason for fault in stored.faults} == {"was started with 1 threads and has 4"}
    assert world.notes[0].startswith(
        f"fault in {case_id(Case('forward', SMALL))} and 1 more: mojo: "
    )
    assert [fault.case for fault in stored.faults] == [
        *(case_id(Case("forward", p)) for p in (SMALL, WIDE)), "call/t1", "timer/t1", "training",
    ]  # fmt: skip
    assert sum(seat.spec.label == "mojo" for seat in world.seats) == 3  # parity, pilot, training
    assert stored.training.keys() == {"X", "y", "numpy/training_loss"}


def test_a_library_that_changes_during_a_run_is_noticed(world: World) -> None:
    def trouble(event: Event) -> None:
        if world.stages[-1] == "timing" and event.crew == 3:
            world.describes = {"mojo": {"facts": {"flags": "-O0"}}}

    world.trouble = trouble
    _, stored = world.run(order_of(SMALL, invocations=3))
    (fault,) = stored.faults
    assert fault.worker == "mojo"
    assert fault.reason == "is not what it was when the run began: facts changed"
    assert all(seat.ended for seat in world.seats)


def test_a_fault_in_the_pilot_leaves_the_other_cases(world: World) -> None:
    def trouble(event: Event) -> None:
        if world.stages[-1] == "pilot" and event.fields.get("phase") == "forward":
            dies(event)

    world.trouble = trouble
    run, stored = world.run(order_of(SMALL, phases=("forward", "backprop"), invocations=1))
    name = case_id(Case("backprop", SMALL))
    assert run.plan.rounds == {name: 2}
    assert run.plan.loops == {name: 10}
    assert {sample.case for sample in stored.samples} == {name}


def test_a_fault_in_training_leaves_the_other_curve(world: World) -> None:
    def trouble(event: Event) -> None:
        if event.op == "train" and event.worker == "numpy":
            dies(event)

    world.trouble = trouble
    _, stored = world.run(order_of(SMALL, training_epochs=3))
    assert stored.training.keys() == {"X", "y", "mojo/training_loss"}
    assert [fault.case for fault in stored.faults] == ["training"]
    assert len(stored.training["X"]) == TRAINING.rows


@pytest.mark.parametrize("stage", ["parity", "pilot", "timing", "training"])
def test_ctrl_c_keeps_what_was_measured_and_ends_the_workers(world: World, stage: str) -> None:
    after = 10 if stage == "timing" else 0

    def trouble(event: Event) -> None:
        nonlocal after
        if world.stages[-1] == stage and event.op in ("sample", "tensors", "train"):
            after -= 1
            if after < 0:
                raise KeyboardInterrupt

    world.trouble = trouble
    run, stored = world.run(order_of(SMALL, training_epochs=3))
    assert run.status == stored.run.status == "interrupted"
    assert world.stages[-1] == stage
    assert all(seat.ended for seat in world.seats)
    expected = {"parity": 0, "pilot": 0, "timing": 10, "training": 27}
    assert len(stored.samples) == expected[stage]
    assert stored.training == {}
    assert world.notes[-1] == "interrupted: what was measured so far is kept"
    if stage == "timing":  # one whole invocation, and one sample of the next
        (result,) = results(run, stored.samples, stored.parity, stored.faults)
        assert result.ratio is not None
        assert (result.ratio.estimate.point, result.ratio.estimate.count) == (2.0, 1)


def test_an_error_of_our_own_ends_the_workers_as_well(world: World) -> None:
    def trouble(event: Event) -> None:
        if event.op == "sample":
            raise ZeroDivisionError

    world.trouble = trouble
    with pytest.raises(ZeroDivisionError):
        world.run(order_of(SMALL))
    assert all(seat.ended for seat in world.seats)
    assert load(world.folder / "run").run.status == "running"


# The real thing


def test_real_workers_of_numpy_make_a_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seats = (*SEATS[:2], WorkerSpec("numpy-too", "numpy", "candidate"))
    cases = cases_of([Problem((1, 4, 1), 5, 20, "float32", 1)])
    order = Order("smoke", cases, seats, invocations=1, seconds=0.1, training_epochs=1)
    edges = Edges(data_file=lambda problem: data_file(problem, tmp_path / "data"))
    run = measure(order, tmp_path / "run", NOW, World(tmp_path), edges)
    stored = load(tmp_path / "run")
    assert (run.status, stored.faults) == ("finished", ())
    assert [result.ok for result in stored.parity] == [True]
    assert {check.error for check in stored.parity[0].tensors} == {0.0}
    for result in results(run, stored.samples, stored.parity, stored.faults):
        assert result.times.keys() == {"numpy", "numpy-again", "numpy-too"}
    assert {worker["threads"] for worker in run.environment.workers.values()} == {1}
    assert np.array_equal(stored.training["numpy/curve"].shape, (601, 1))
    assert capfd.readouterr() == ("", "")
    assert sys.modules.get("mojo_impl.bindings") is None
