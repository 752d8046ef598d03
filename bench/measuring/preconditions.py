"""What must hold before a case is timed: parity and the fairness contract, asked of live workers.

`bench.workers.parity` and `bench.workers.fairness` judge; what does not hold is not timed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

import msgspec

from bench.measuring.run_state import (
    SETTLE_S,
    Edges,
    Progress,
    Record,
    Session,
    ask_arrays,
    timeout_s,
)
from bench.measuring.schedule import calibrate, common_loops, fewer_loops
from bench.measuring.worker_group import WorkerGroup
from bench.model.arithmetic import flops
from bench.model.cases import case_id, network_text, problem_id
from bench.model.errors import WorkerError
from bench.model.records import (
    PHASES,
    Case,
    FairnessCheck,
    Fault,
    ParityResult,
    Problem,
    Request,
    WorkerSpec,
)
from bench.model.registry import flushes
from bench.model.slots import compared, slots_of
from bench.workers import fairness as contract
from bench.workers.comparing import Side, compare
from bench.workers.implementations.drivers import Array
from bench.workers.messages import TensorsWritten, read_answer

ATTEMPTS = 3
TRIALS = 3
"""Of the times of each worker in each case, and of each, how many samples: what one shows may be a
disturbance."""


def check_parity(
    request: Request, progress: Progress, edges: Edges | None = None
) -> tuple[list[ParityResult], list[Fault]]:
    """Only compare, problem by problem; faults stand for what could not be compared."""
    records: list[Record] = []
    admit(Session(request, progress, edges or Edges(), records.append))
    return (
        [record for record in records if isinstance(record, ParityResult)],
        [record for record in records if isinstance(record, Fault)],
    )


def admit(session: Session, done: Collection[str] = ()) -> None:
    """Compare every candidate with the baseline; what differs is not timed.

    Args:
        session: The run.
        done: Ids of the problems that were compared before.
    """
    problems = [
        problem for problem in compared(session.request.cases) if problem_id(problem) not in done
    ]
    session.progress.stage("parity", len(problems))

    def compare(group: WorkerGroup, problem: Problem) -> None:
        session.progress.now(network_text(problem))
        results, fairness_checks = _compare(session, group, problem)
        try:
            _keep_to(session, fairness_checks)
        finally:
            candidates = session.slots_of(problem)[1:]
            for result, spec in zip(results, candidates, strict=True):  # last: then all of it is
                session.save(result)
                if not result.ok:
                    session.leave_out(spec.label, session.names_of(problem))
                    session.progress.note(f"parity failed: {result.problem}: {result.reason}")
        session.progress.advance(1)

    for threads in session.thread_counts:
        mine = [problem for problem in problems if problem.threads == threads]
        needed = {spec for problem in mine for spec in session.slots_of(problem)}
        specs = [spec for spec in session.pair if spec in needed]
        session.with_group(specs, threads, mine, session.names_of, compare, again=True)


def _compare(
    session: Session, group: WorkerGroup, problem: Problem
) -> tuple[list[ParityResult], list[FairnessCheck]]:
    """Compare one problem, and check what holds for all of its cases."""
    slots = session.slots_of(problem)
    answers: dict[str, TensorsWritten] = {}

    def side(spec: WorkerSpec) -> Side:
        def compute(problem: Problem, seed: int, epochs: int) -> Mapping[str, Array]:
            group.prepare(spec.label, problem, session.data_of(problem), seed)
            arrays, answer = ask_arrays(group, spec.label, "tensors", problem, epochs)
            try:
                answers.setdefault(spec.label, read_answer(TensorsWritten, answer))
            except msgspec.ValidationError as error:
                raise WorkerError(spec.label, f"answered tensors wrongly: {error}") from None
            return arrays

        return Side(spec.implementation, compute, spec.phases or PHASES)

    baseline, *candidates = map(side, slots)
    results = compare(problem, baseline, candidates, session.request.seed)
    subject = problem_id(problem)
    fairness_checks = [
        *contract.of_workers(
            subject,
            {spec.label: group.descriptions[spec.label] for spec in slots},
            group.threads,
            session.request.isa,
            [spec.label for spec in slots if flushes(spec.implementation)],
        ),
        *contract.of_data(subject, answers),
        *map(contract.of_results, results),
    ]
    return results, fairness_checks


def _keep_to(
    session: Session, fairness_checks: Sequence[FairnessCheck], who: Sequence[str] = ()
) -> None:
    """Save lines of the contract; a broken one is a fault of what was being worked on.

    Args:
        session: The run.
        fairness_checks: The lines.
        who: Whom each is about; where one of several candidates broke it, the fault is its own.

    Raises:
        WorkerError: One is broken, other than by results that differ: these are told by tensor.
    """
    for fairness_check in fairness_checks:
        session.save(fairness_check)
    candidates = [spec.label for spec in session.pair if spec.role == "candidate"]
    for place, fairness_check in enumerate(fairness_checks):
        if fairness_check.name != "results" and (words := contract.first_broken([fairness_check])):
            label = who[place] if who else ""
            own = label in candidates and len(candidates) > 1
            raise WorkerError(label if own else "the contract", words)


def on_trial(session: Session, group: WorkerGroup, case: Case, each_ns: dict[str, float]) -> None:
    """Hold the times of every worker of a group against the machine's peak and its own meters.

    What is broken is looked at again: a fault stays, a disturbance of the machine passes.

    Args:
        session: The run.
        group: Its workers.
        case: What is timed.
        each_ns: Nanoseconds of one repetition, by label.

    Raises:
        WorkerError: A line of the contract is broken.
    """
    peak = _peak(session, group, case)
    rates = [
        contract.of_rate(case_id(case), label, flops(case) / nanoseconds * 1e9, peak)
        for label, nanoseconds in each_ns.items()
        if peak
    ]
    _keep_to(session, rates, [*each_ns])
    for _ in range(ATTEMPTS):
        fairness_checks, who = _tried(session, group, case, each_ns)
        if not contract.first_broken(fairness_checks):
            break
    _keep_to(session, fairness_checks, who)


def _tried(
    session: Session, group: WorkerGroup, case: Case, each_ns: dict[str, float]
) -> tuple[list[FairnessCheck], list[str]]:
    """Take some samples of every worker and judge them; those that tell too little are let pass.

    Returns:
        The lines of the contract, and whom each is about.
    """
    fairness_checks: list[FairnessCheck] = []
    who: list[str] = []
    common = common_loops(each_ns.values())
    fewer = fewer_loops(common, each_ns)
    for spec in session.turns(case, session.pair):
        loops = fewer.get(spec.label, common)
        wait_s = timeout_s(case, 3 * loops)
        if group.threads > 1:
            session.edges.sleep(SETTLE_S)
        pairs = [
            tuple(
                contract.Trial(count, found.elapsed_ns, found.wall_ns, found.cpu_ns)
                for count in (loops, 3 * loops)
                if (found := group.sample(spec.label, case, count, wait_s)).wall_ns is not None
                and found.cpu_ns is not None
            )
            for _ in range(TRIALS)
        ]
        whole = [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
        if whole:
            judged = contract.of_trials(case_id(case), spec.label, whole, group.threads)
            fairness_checks += judged
            who += [spec.label] * len(judged)
    return fairness_checks, who


def _peak(session: Session, group: WorkerGroup, case: Case) -> float:
    """Probe how fast the machine multiplies now, in FLOP/s; 0 where no worker can."""
    probe = replace(case, phase="peak")
    for spec in slots_of(probe, session.turns(case, group.specs)):
        time = partial(_probe, group, spec.label, probe)
        loops = common_loops([calibrate(time)])
        best = min(time(loops) / loops for _ in range(TRIALS))
        return flops(probe) / best * 1e9
    return 0.0


def _probe(group: WorkerGroup, label: str, probe: Case, loops: int) -> int:
    return group.sample(label, probe, loops, timeout_s(probe, loops)).elapsed_ns
