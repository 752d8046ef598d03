"""Takes what each implementation costs besides its speed: a stage of a run.

Fresh processes, one at a time and in turns, on the seed network. What an implementation does not
tell is stored as not told, and is no fault; a process that dies is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.measuring.run_state import Session
from bench.measuring.worker_group import WorkerGroup
from bench.model.cases import NETWORKS
from bench.model.errors import WorkerRefusalError
from bench.model.records import COSTS, Cost, Problem, WorkerSpec

PROBLEM = Problem(*NETWORKS[0], "float64", 1)
BY_PROCESS = (
    *("start", "import", "first call", "second call"),
    *("memory after import", "peak memory", "page faults", "libraries loaded"),
)
"""What each process tells; all others of `COSTS` are read once."""


def take_costs(session: Session, there: Iterable[Cost] = ()) -> None:
    """Take all costs that are not there yet.

    Args:
        session: The run.
        there: Those that an earlier part of the run has stored. What a process told in part is
            taken again by another one, and only what is missing is stored.
    """
    rounds = session.request.cost_rounds
    have = {(cost.worker, cost.name, cost.round) for cost in there}
    due = [
        (turn, spec)
        for turn in range(rounds)
        for spec in session.pair[:: -1 if turn % 2 else 1]  # going first favours nobody
        if any((spec.label, name, turn) not in have for name in BY_PROCESS)
    ]
    if not rounds:
        return
    session.progress.stage("costs", len(due) + 1)
    gone: set[str] = set()

    def save(spec: WorkerSpec, name: str, value: float | None, turn: int = 0) -> None:
        if (spec.label, name, turn) not in have:
            session.save(Cost(spec.label, name, value, COSTS[name], turn))

    def take(group: WorkerGroup, turn: int, spec: WorkerSpec) -> None:
        start_ns = session.start_ns[PROBLEM.threads, len(group.specs)]
        session.progress.now(f"{spec.label}, process {turn + 1} of {rounds}")
        session.prepare(group, PROBLEM)
        try:
            told = group.ask(spec.label, "costs")
        except WorkerRefusalError:
            told = {}
        told["start"] = start_ns
        for name in BY_PROCESS:
            save(spec, name, _number(told.get(name)), turn)
        gone.discard(spec.label)
        session.progress.advance(1)

    for turn, spec in due:
        if spec.label in gone:  # it died once: the other rounds would only repeat that
            continue
        gone.add(spec.label)
        session.with_group(
            [spec],
            PROBLEM.threads,
            [(turn, spec)],
            lambda _: ["costs"],
            lambda group, item: take(group, *item),
        )
    for spec in session.pair:
        for name, value in session.edges.footprint(
            spec.implementation, session.request.isa
        ).items():
            save(spec, name, value)
    session.progress.advance(1)


def _number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18
    return float(value) if good else None
