"""Who takes part in a case. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.model.arithmetic import flops
from bench.model.records import BREAKDOWN, PROBES, Case, Phase, Problem, Run, WorkerSpec
from bench.model.registry import offers

PROBER = "mojo"
"""The implementation that holds the probes of the machine."""


def compared(cases: Iterable[Case]) -> tuple[Problem, ...]:
    """List the problems that stand for a network: all but those that only probe the machine."""
    return tuple(dict.fromkeys(case.problem for case in cases if case.phase not in PROBES))


def slots_of(case: Case, workers: Iterable[WorkerSpec]) -> tuple[WorkerSpec, ...]:
    """Choose the workers that take turns in a case: the one place that says so.

    All that offer it, by what their slots say and by `bench.model.registry`; for what is timed
    aside, those without the second slot of the baseline; for a probe the one that holds it.
    """
    workers = [worker for worker in workers if has_phase(worker, case.phase)]
    if case.phase in PROBES:
        return tuple(worker for worker in workers if worker.implementation == PROBER)[:1]
    epoch, threads = flops(replace(case, phase="epoch")), case.problem.threads
    return tuple(
        worker
        for worker in workers
        if offers(worker.implementation, epoch, threads)
        and not (case.phase in BREAKDOWN and worker.role == "again")
    )


def slots_compared(
    problem: Problem, cases: Iterable[Case], workers: Sequence[WorkerSpec]
) -> tuple[WorkerSpec, ...]:
    """Choose the workers whose tensors are compared: those with a turn in a case of the problem."""
    mine = [case for case in cases if case.problem == problem and case.phase not in PROBES]
    return group_of(mine, workers)


def has_phase(worker: WorkerSpec, phase: Phase) -> bool:
    """Tell whether a worker has a phase."""
    return not worker.phases or phase in worker.phases


def group_of(cases: Iterable[Case], workers: Sequence[WorkerSpec]) -> tuple[WorkerSpec, ...]:
    """Choose the workers that have a turn in any of these cases."""
    needed = {worker for case in cases for worker in slots_of(case, workers)}
    return tuple(worker for worker in workers if worker in needed)


def narrowed(run: Run, candidate: WorkerSpec) -> Run:
    """Leave one candidate in a run, beside both slots of its baseline."""
    workers = tuple(
        spec for spec in run.plan.workers if spec.role != "candidate" or spec == candidate
    )
    return replace(run, plan=run.plan.of(workers=workers))
