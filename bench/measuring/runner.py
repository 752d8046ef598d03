"""Runs a benchmark: parity, pilot, turns, training, costs; every record saved at once.

Measures, and draws no conclusions. A worker that fails costs its case and no more (see
`bench.measuring.run_state`); a person who ends the run early keeps what was measured, and a run
that was cut short goes on where it stopped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.analysis.comparable import differences
from bench.analysis.run_analysis import analyse_stored
from bench.measuring.costs import PROBLEM as TRAINING
from bench.measuring.costs import take_costs
from bench.measuring.pilot import aim, pilot
from bench.measuring.preconditions import admit
from bench.measuring.run_state import SETTLE_S, Edges, Progress, Session, ask_arrays
from bench.measuring.schedule import shuffled, turns
from bench.measuring.worker_group import TIMEOUT_S, WorkerGroup
from bench.model.arithmetic import flops
from bench.model.cases import case_id, case_text, problem_id
from bench.model.errors import UsageError
from bench.model.records import (
    SCHEMA_VERSION,
    Case,
    Cost,
    Plan,
    Request,
    Run,
    Sample,
    Spent,
    WorkerSpec,
)
from bench.model.registry import trains
from bench.model.slots import compared, has_phase
from bench.storage import runs as store
from bench.storage.runs import RunWriter, Stored

HANGING = 20
"""A worker that takes so many times longer than in the pilot is taken for hanging."""


@dataclass(frozen=True, slots=True)
class Done:
    """What an earlier part of a run has done already."""

    problems: frozenset[str] = frozenset()  # ids of those that were compared
    invocations: Mapping[str, int] = field(default_factory=dict)  # complete ones, by case id
    next_invocation: int = 0
    trained: bool = False
    costs: tuple[Cost, ...] = ()


def measure(
    request: Request,
    path: Path,
    started: datetime,
    progress: Progress,
    edges: Edges | None = None,
    *,
    command: str = "",
) -> Run:
    """Make a run in a new folder and return it.

    Ctrl-C (KeyboardInterrupt) ends the workers, and the run is `interrupted`; all that was
    measured is on disk either way.

    Args:
        request: What to measure.
        path: The folder to make; its name is the name of the run.
        started: Now.
        progress: Tells a person.
        edges: The world, unless a test has another.
        command: As it would be typed.

    Raises:
        UsageError: The folder exists already.
        StoreError: It cannot be written.
    """
    edges = edges or Edges()
    run = Run(path.name, _time(started), command, Plan(request), edges.environment())
    with RunWriter(path, run) as writer:
        return _go_on(Session(request, progress, edges, writer.add), writer, run, Done())


def resume(path: Path, now: datetime, progress: Progress, edges: Edges | None = None) -> Run:
    """Go on with a run that was cut short, and return it.

    What is whole stays as it is, byte for byte. An invocation of a case that was cut short stays
    too, does not count, and is made up for by another one.

    Args:
        path: Its folder.
        now: Now.
        progress: Tells a person.
        edges: The world, unless a test has another.

    Raises:
        UsageError: It is finished, or this is not the machine and the software it began with.
        StoreError: It cannot be read or written.
    """
    edges = edges or Edges()
    run = store.load(path).run
    if run.status not in ("running", "interrupted") or run.source != "bench":
        raise UsageError(f"{path} is {run.status}: there is nothing to go on with")
    _must_be_same(path, run, replace(run, environment=edges.environment()))
    plan, resumed = run.plan, (*run.resumed, _time(now))
    run = replace(run, schema=SCHEMA_VERSION, status="running", resumed=resumed)
    with RunWriter.reopen(path, run) as writer:
        stored = store.load(path)  # once more, now that nobody else can write it
        session = Session(plan.request, progress, edges, writer.add)
        for fault in stored.faults:
            session.leave_out(fault.worker, [fault.case])
        problems = {problem_id(problem): problem for problem in compared(plan.cases)}
        label_of = {spec.implementation: spec.label for spec in plan.workers}
        for result in stored.parity:
            if not result.ok:
                names = session.names_of(problems[result.problem])
                session.leave_out(label_of[result.candidate], names)
        last_ns = max((sample.at_ns for sample in stored.samples), default=0)
        session.take_up(run.environment, last_ns)
        return _go_on(session, writer, run, _done(stored, session))


def _must_be_same(path: Path, before: Run, now: Run) -> None:
    """Make sure that a run goes on where it began.

    Raises:
        UsageError: It does not; says in what.
    """
    # What the workers say of themselves is compared when they start.
    before = replace(before, environment=replace(before.environment, workers={}, data={}))
    found = differences(before, now)
    reasons = [*found.obstacles, *map(str, found.told)]
    if reasons:
        raise UsageError(
            f"{path} cannot go on here; A is what it began with, B is now: {'; '.join(reasons)}. "
            "Begin another run"
        )


def _done(stored: Stored, session: Session) -> Done:
    """Count what is whole in a run; who failed in a problem is not waited for."""
    had: defaultdict[str, set[str]] = defaultdict(set)
    for result in stored.parity:
        had[result.problem].add(result.candidate)
    due = {
        problem_id(problem): {spec.implementation for spec in session.slots_of(problem)[1:]}
        for problem in compared(stored.run.plan.cases)
    }
    readings = analyse_stored(stored).readings
    return Done(
        frozenset(name for name, found in had.items() if due.get(name, found) <= found),
        {name: len(mine.invocations) for name, mine in readings.items()},
        max((sample.invocation + 1 for sample in stored.samples), default=0),
        bool(stored.training),
        stored.costs,
    )


def _go_on(session: Session, writer: RunWriter, run: Run, done: Done) -> Run:
    """Do what is left of a run."""
    progress, edges = session.progress, session.edges
    try:
        admit(session, done.problems)
        if not run.plan.rounds:
            run = replace(run, plan=pilot(session), environment=session.describe(run.environment))
            writer.update(run)
        plan = run.plan
        owed = {
            name: plan.invocations + plan.more.get(name, 0) - done.invocations.get(name, 0)
            for name in plan.rounds
        }
        number = _take_turns(session, plan, owed, done.next_invocation)
        if not plan.spreads:
            run = replace(run, plan=aim(session, store.load(writer.path)))
            writer.update(run)
            if run.plan.more:
                _take_turns(session, run.plan, dict(run.plan.more), number)
        if not done.trained and (training := _train(session)):
            writer.add_training(training)
        take_costs(session, done.costs)
        run = replace(run, status="finished", spent=_spent(session, run))
    except KeyboardInterrupt:
        progress.note("interrupted: what was measured so far is kept")
        run = replace(run, status="interrupted")
    # Described again: training may have brought more data.
    environment, after = session.describe(run.environment), edges.environment()
    run = replace(run, environment=environment, environment_after=after)
    writer.update(run)
    return run


def _spent(session: Session, run: Run) -> Spent | None:
    """Tell where the time went; not after a run was cut short: nobody knows what it had spent."""
    if run.resumed:
        return None
    return Spent(session.edges.clock_ns() - session.began_ns, session.sampling_ns)


def _take_turns(session: Session, plan: Plan, owed: dict[str, int], number: int) -> int:
    """Take all samples that are owed: per invocation and problem fresh workers, in random order.

    Args:
        session: The run.
        plan: Its plan.
        owed: Invocations by case id; they are counted down.
        number: Of the first invocation.

    Returns:
        The number after the last one.
    """
    whole = {name: (plan.rounds[name] + 1) * one.round_ns for name, one in plan.pilot.items()}
    total_ns = sum(max(0, count) * whole[name] for name, count in owed.items())
    session.progress.stage("timing", total_ns)

    def take_rounds(group: WorkerGroup, case: Case) -> None:
        name = case_id(case)
        common, tried = plan.loops[name], plan.pilot[name]
        wait_s = max(TIMEOUT_S, HANGING * common * tried.each_ns / 1e9)
        session.progress.now(case_text(case))
        session.prepare_case(group, case)
        orders = turns(session.turns(case, group.specs), number, plan.rounds[name])
        for turn, order in enumerate([orders[0], *orders]):  # round 0 is a warm-up
            for position, spec in enumerate(order):
                if group.threads > 1 and len(group.specs) > 1:
                    session.edges.sleep(SETTLE_S)
                loops = tried.fewer.get(spec.label, common)
                found = group.sample(spec.label, case, loops, wait_s)
                at_ns = session.edges.clock_ns() - session.began_ns
                place = (name, spec.label, number, turn, position)
                meters = (found.cpu_ns, found.preempted, found.page_faults)
                session.save(Sample(*place, loops, found.elapsed_ns, at_ns, turn == 0, *meters))
            session.progress.advance(plan.pilot[name].round_ns)
        owed[name] -= 1

    while True:
        due = [
            (threads, case)
            for threads in session.thread_counts
            for case in session.remaining(threads)
            if owed.get(case_id(case), 0) > 0
        ]
        if not due:
            return number
        for threads in session.random.sample(session.thread_counts, len(session.thread_counts)):
            mine = [case for count, case in due if count == threads]
            for cases in shuffled(mine, session.random):
                slots = session.group_of(cases)
                session.with_group(
                    slots, threads, cases, lambda case: [case_id(case)], take_rounds, number
                )
        number += 1


def _train(session: Session) -> dict[str, Any]:
    """Train each implementation on the seed network; return the arrays of training.npz."""
    epochs = session.request.training_epochs
    if not epochs:
        return {}
    arithmetic = epochs * flops(Case("epoch", TRAINING))
    pupils = [
        spec
        for spec in session.pair
        if has_phase(spec, "epoch") and trains(spec.implementation, arithmetic)
    ]
    session.progress.stage("training", len(pupils))
    found: dict[str, Any] = {}

    def train(group: WorkerGroup, spec: WorkerSpec) -> None:
        session.progress.now(f"{spec.label}, {epochs} epochs")
        session.prepare(group, TRAINING)
        arrays, _ = ask_arrays(group, spec.label, "train", TRAINING, epochs)
        found.update({f"{spec.implementation}/{name}": array for name, array in arrays.items()})
        session.progress.advance(1)

    for spec in pupils:  # each alone, so that a fault of one leaves the other's curve
        session.with_group([spec], TRAINING.threads, [spec], lambda _: ["training"], train)
    data = session.data_of(TRAINING)
    return {**{name: np.load(data / f"{name}.npy") for name in ("X", "y")}, **found}


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
