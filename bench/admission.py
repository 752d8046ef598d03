"""What must hold before a case is timed: parity and the fairness contract, asked of live workers.

`bench.parity` and `bench.contract` judge; what does not hold is not timed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bench import contract, parity
from bench.cases import case_id, compared, flops, network_text, problem_id, seats_of
from bench.crew import Crew
from bench.errors import WorkerError
from bench.exchange import needed
from bench.records import PHASES, Case, Clause, Fault, ParityResult, Problem
from bench.registry import flushes
from bench.schedule import calibrate, common_loops
from bench.session import SETTLE_S, Edges, Order, Progress, Record, Session, ask_arrays, patience_s

PARITY_EPOCHS = 2
ATTEMPTS = 3
TRIALS = 3
"""Of the times of each worker in each case, and of each, how many samples: what one shows may be a
disturbance."""


def check_parity(
    order: Order, progress: Progress, edges: Edges | None = None
) -> tuple[list[ParityResult], list[Fault]]:
    """Only compare, problem by problem; faults stand for what could not be compared."""
    records: list[Record] = []
    admit(Session(order, progress, edges or Edges(), records.append))
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
        problem for problem in compared(session.order.cases) if problem_id(problem) not in done
    ]
    session.progress.stage("parity", len(problems))

    def compare(crew: Crew, problem: Problem) -> None:
        session.progress.now(network_text(problem))
        results, clauses = _compare(session, crew, problem)
        try:
            _keep_to(session, clauses)
        finally:
            for result in results:  # last: where they are, all of the problem is
                session.save(result)
                if not result.ok:
                    session.exclude(session.names_of(problem))
                    session.progress.note(f"parity failed: {result.problem}: {result.reason}")
        session.progress.advance(1)

    for threads in session.thread_counts:
        group = [problem for problem in problems if problem.threads == threads]
        needed = {spec for problem in group for spec in session.seats_of(problem)}
        crew = [spec for spec in session.pair if spec in needed]
        session.with_crew(crew, threads, group, session.names_of, compare)


def _compare(
    session: Session, crew: Crew, problem: Problem
) -> tuple[list[ParityResult], list[Clause]]:
    """Compare one problem; float32 is judged by the baseline's own distance to float64."""
    seats = session.seats_of(problem)
    baseline, *candidates = seats
    computed: dict[str, dict[str, Any]] = {spec.label: {} for spec in seats}
    exact: dict[str, Any] = {}
    answers: dict[str, dict[str, Any]] = {}
    twin = replace(problem, dtype="float64")
    # Other weights come after the first, and of them one batch will do.
    for prefix, seed, epochs in (("", 0, PARITY_EPOCHS), (parity.ANOTHER_SEED, 1, 0)):
        session.prepare(crew, problem, session.order.seed + seed, seats)
        for label, mine in computed.items():
            arrays, answer = ask_arrays(crew, label, "tensors", problem, epochs)
            mine.update({f"{prefix}{name}": array for name, array in arrays.items()})
            answers.setdefault(label, answer)
        if problem != twin:
            data = session.data_of(twin)
            crew.prepare(baseline.label, twin, data, session.order.seed + seed)
            arrays, _ = ask_arrays(crew, baseline.label, "tensors", twin, epochs)
            exact.update({f"{prefix}{name}": array for name, array in arrays.items()})
    reference = computed[baseline.label]
    results = [
        parity.check(
            problem,
            baseline.implementation,
            spec.implementation,
            needed(reference, spec.phases or PHASES),
            needed(computed[spec.label], spec.phases or PHASES),
            exact or reference,
        )
        for spec in candidates
    ]
    subject = problem_id(problem)
    clauses = [
        *contract.of_workers(
            subject,
            {spec.label: crew.descriptions[spec.label] for spec in seats},
            crew.threads,
            session.order.isa,
            [spec.label for spec in seats if flushes(spec.implementation)],
        ),
        *contract.of_data(subject, answers),
        *map(contract.of_results, results),
    ]
    return results, clauses


def _keep_to(session: Session, clauses: Sequence[Clause]) -> None:
    """Save lines of the contract; a broken one is a fault of what was being worked on.

    Raises:
        WorkerError: One is broken, other than by results that differ: these are told by tensor.
    """
    for clause in clauses:
        session.save(clause)
    if words := contract.first_broken(one for one in clauses if one.name != "results"):
        raise WorkerError("the contract", words)


def on_trial(session: Session, crew: Crew, case: Case, each_ns: dict[str, float]) -> None:
    """Hold the times of every worker of a crew against the machine's peak and its own meters.

    What is broken is looked at again: a fault stays, a disturbance of the machine passes.

    Args:
        session: The run.
        crew: Its workers.
        case: What is timed.
        each_ns: Nanoseconds of one repetition, by label.

    Raises:
        WorkerError: A line of the contract is broken.
    """
    peak = _peak(crew, case)
    rates = [
        contract.of_rate(case_id(case), spec.label, flops(case) / each_ns[spec.label] * 1e9, peak)
        for spec in seats_of(case, session.pair)
        if peak
    ]
    _keep_to(session, rates)
    for _ in range(ATTEMPTS):
        clauses = _tried(session, crew, case, common_loops(each_ns.values()))
        if not contract.first_broken(clauses):
            break
    _keep_to(session, clauses)


def _tried(session: Session, crew: Crew, case: Case, loops: int) -> list[Clause]:
    """Take some samples of every worker and judge them; those that tell too little are let pass."""
    clauses: list[Clause] = []
    for spec in seats_of(case, session.pair):
        wait_s = patience_s(case, 3 * loops)
        if crew.threads > 1:
            session.edges.sleep(SETTLE_S)
        pairs = [
            tuple(
                contract.Trial(count, found.elapsed_ns, found.wall_ns, found.cpu_ns)
                for count in (loops, 3 * loops)
                if (found := crew.sample(spec.label, case, count, wait_s)).wall_ns is not None
                and found.cpu_ns is not None
            )
            for _ in range(TRIALS)
        ]
        whole = [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
        if whole:
            clauses += contract.of_trials(case_id(case), spec.label, whole, crew.threads)
    return clauses


def _peak(crew: Crew, case: Case) -> float:
    """Probe how fast the machine multiplies now, in FLOP/s; 0 where no worker can."""
    probe = replace(case, phase="peak")
    for spec in seats_of(probe, crew.specs):
        time = partial(_probe, crew, spec.label, probe)
        loops = common_loops([calibrate(time)])
        best = min(time(loops) / loops for _ in range(TRIALS))
        return flops(probe) / best * 1e9
    return 0.0


def _probe(crew: Crew, label: str, probe: Case, loops: int) -> int:
    return crew.sample(label, probe, loops, patience_s(probe, loops)).elapsed_ns
