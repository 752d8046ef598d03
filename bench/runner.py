"""Runs a benchmark: parity, pilot, invocations in turns, training; every record saved at once.

Measures, and draws no conclusions. A worker that fails costs its case and no more (see
`bench.session`); a person who ends the run early keeps what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import contract
from bench.admission import admit, on_trial
from bench.cases import (
    NETWORKS,
    case_id,
    case_text,
    seats_of,
)
from bench.crew import PATIENCE_S, ROUSE_ALONE_NS, ROUSE_NS, Crew
from bench.errors import WorkerError
from bench.records import (
    PHASES,
    Case,
    Plan,
    Problem,
    Run,
    Sample,
    WorkerSpec,
)
from bench.schedule import (
    by_problem,
    calibrate,
    common_loops,
    duration_text,
    rounds_ns,
    share_rounds,
    shuffled,
    turns,
)
from bench.session import (
    SETTLE_S,
    Edges,
    Order,
    Progress,
    Session,
    ask_arrays,
    patience_s,
)
from bench.store import RunWriter

HANGING = 20
"""A worker that takes so many times longer than in the pilot is taken for hanging."""
TURN_NS = 500_000
"""What a turn costs beside its sample: pipe, file, and the next process waking up."""
TRAINING = Problem(*NETWORKS[0], "float64", 1)


@dataclass(frozen=True, slots=True)
class Pilot:
    """What the pilot found: nanoseconds, by case id."""

    each_ns: dict[str, float]  # one repetition in the slowest worker
    round_ns: dict[str, float]  # one round of all workers


def measure(
    order: Order, path: Path, started: datetime, progress: Progress, edges: Edges | None = None
) -> Run:
    """Make a run in a new folder and return it.

    Ctrl-C (KeyboardInterrupt) ends the workers, and the run is `interrupted`; all that was
    measured is on disk either way.

    Args:
        order: What to measure.
        path: The folder to make; its name is the name of the run.
        started: Now.
        progress: Tells a person.
        edges: The world, unless a test has another.

    Raises:
        UsageError: The folder exists already.
        StoreError: It cannot be written.
    """
    edges = edges or Edges()
    plan = _plan(order, {}, {})
    since = started.astimezone(UTC).isoformat(timespec="seconds")
    run = Run(path.name, since, order.command, plan, edges.environment())
    with RunWriter(path, run) as writer:
        session = Session(order, progress, edges, writer.add)
        try:
            admit(session)
            plan, pilot = _pilot(session)
            run = replace(run, plan=plan, environment=session.describe(run.environment))
            writer.update(run)
            _take_turns(session, plan, pilot)
            if training := _train(session):
                writer.add_training(training)
            run = replace(run, status="finished")
        except KeyboardInterrupt:
            progress.note("interrupted: what was measured so far is kept")
            run = replace(run, status="interrupted")
        # Described again: training may have brought more data.
        environment, after = session.describe(run.environment), edges.environment()
        run = replace(run, environment=environment, environment_after=after)
        writer.update(run)
    return run


def _pilot(session: Session) -> tuple[Plan, Pilot]:
    """Find out how long each case takes, and plan loops and rounds from that."""
    order, clock_ns = session.order, session.edges.clock_ns
    session.progress.stage("pilot", sum(len(session.remaining(t)) for t in session.thread_counts))
    times: dict[str, dict[str, float]] = {}
    preparing_ns: list[int] = []

    def try_out(crew: Crew, case: Case) -> None:
        session.progress.now(case_text(case))
        began_ns = clock_ns()
        session.prepare(crew, case.problem)
        preparing_ns.append(clock_ns() - began_ns)
        each_ns = {}
        for spec in seats_of(case, session.pair):

            def time(loops: int, label: str = spec.label) -> int:
                if loops > contract.MOST_LOOPS:
                    words = f"repetitions: {loops} take less than a millisecond: it does no work"
                    raise WorkerError(label, words)
                return crew.sample(label, case, loops, patience_s(case, loops)).elapsed_ns

            each_ns[spec.label] = calibrate(time)
        if case.phase in PHASES:
            on_trial(session, crew, case, each_ns)
        times[case_id(case)] = each_ns
        session.progress.advance(1)

    for threads in session.thread_counts:
        for group in by_problem(session.remaining(threads)):
            session.with_crew(order.workers, threads, group, _name_of, try_out)
    cases = [case for threads in session.thread_counts for case in session.remaining(threads)]
    loops = {case_id(case): common_loops(times[case_id(case)].values()) for case in cases}
    pilot = Pilot(
        {name: max(times[name].values()) for name in loops},
        {case_id(case): _round_ns(session, case, loops, times) for case in cases},
    )
    crews = by_problem(cases)
    once_ns = sum(preparing_ns) + sum(session.start_ns[crew[0].problem.threads] for crew in crews)
    rounds = share_rounds(pilot.round_ns, order.seconds * 1e9 / order.invocations - once_ns)
    total_s = order.invocations * (once_ns + rounds_ns(pilot.round_ns, rounds)) / 1e9
    text = (
        f"cases: {len(cases)}, invocations: {order.invocations}, workers: {len(order.workers)}; "
        f"timing takes about {duration_text(total_s)}"
    )
    if total_s > 1.2 * order.seconds + 1:
        text += f", not {duration_text(order.seconds)}: fewer rounds would not balance"
    session.progress.note(text)
    return _plan(order, rounds, loops), pilot


def _round_ns(
    session: Session, case: Case, loops: dict[str, int], times: dict[str, dict[str, float]]
) -> float:
    """Estimate what one round of all workers takes."""
    name, workers = case_id(case), seats_of(case, session.order.workers)
    again_ns = times[name].get(session.pair[0].label, 0.0)
    samples_ns = sum(loops[name] * times[name].get(spec.label, again_ns) for spec in workers)
    several = case.problem.threads > 1
    settle_ns = SETTLE_S * 1e9 + ROUSE_NS if several else ROUSE_ALONE_NS
    return samples_ns + len(workers) * (TURN_NS + settle_ns)


def _take_turns(session: Session, plan: Plan, pilot: Pilot) -> None:
    """Take all samples: per invocation and problem fresh workers, all in random order."""
    total_ns = plan.invocations * rounds_ns(pilot.round_ns, plan.rounds)
    session.progress.stage("timing", total_ns)
    for invocation in range(plan.invocations):

        def take_rounds(crew: Crew, case: Case, invocation: int = invocation) -> None:
            name = case_id(case)
            loops = plan.loops[name]
            wait_s = max(PATIENCE_S, HANGING * loops * pilot.each_ns[name] / 1e9)
            session.progress.now(case_text(case))
            session.prepare(crew, case.problem)
            orders = turns(seats_of(case, crew.specs), invocation, plan.rounds[name])
            for number, order in enumerate([orders[0], *orders]):  # round 0 is a warm-up
                for position, spec in enumerate(order):
                    if crew.threads > 1:
                        session.edges.sleep(SETTLE_S)
                    found = crew.sample(spec.label, case, loops, wait_s)
                    at_ns = session.edges.clock_ns() - session.began_ns
                    turn = (name, spec.label, invocation, number, position)
                    meters = (found.cpu_ns, found.preempted, found.page_faults)
                    session.save(
                        Sample(*turn, loops, found.elapsed_ns, at_ns, number == 0, *meters)
                    )
                session.progress.advance(pilot.round_ns[name])

        groups = session.random.sample(session.thread_counts, len(session.thread_counts))
        for threads in groups:
            for cases in shuffled(session.remaining(threads), session.random):
                session.with_crew(plan.workers, threads, cases, _name_of, take_rounds, invocation)


def _train(session: Session) -> dict[str, Any]:
    """Train each implementation on the seed network; return the arrays of training.npz."""
    epochs = session.order.training_epochs
    if not epochs:
        return {}
    session.progress.stage("training", len(session.pair))
    found: dict[str, Any] = {}

    def train(crew: Crew, spec: WorkerSpec) -> None:
        session.progress.now(f"{spec.label}, {epochs} epochs")
        session.prepare(crew, TRAINING)
        arrays, _ = ask_arrays(crew, spec.label, "train", TRAINING, epochs)
        found.update({f"{spec.implementation}/{name}": array for name, array in arrays.items()})
        session.progress.advance(1)

    for spec in session.pair:  # each alone, so that a fault of one leaves the other's curve
        session.with_crew([spec], TRAINING.threads, [spec], lambda _: ["training"], train)
    with np.load(session.data_of(TRAINING), allow_pickle=False) as data:
        return {"X": data["X"], "y": data["y"], **found}


def _name_of(case: Case) -> Sequence[str]:
    return [case_id(case)]


def _plan(order: Order, rounds: dict[str, int], loops: dict[str, int]) -> Plan:
    return Plan(
        order.preset,
        order.cases,
        order.workers,
        order.invocations,
        rounds,
        loops,
        order.training_epochs,
        order.seed,
    )
