"""Finds out how long each case takes, and plans loops, rounds and, for a target, invocations.

The numbers come from live workers and stored readings; what is made of them stands in
`bench.measuring.schedule`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.analysis.run_analysis import analyse_stored
from bench.analysis.verdicts import spread_of_invocations, spreads
from bench.measuring.preconditions import on_trial
from bench.measuring.run_state import SETTLE_S, Edges, Progress, Record, Session, timeout_s
from bench.measuring.schedule import (
    FEW_ROUNDS,
    Cost,
    breakdown_loops,
    by_problem,
    calibrate,
    common_loops,
    fewer_loops,
    invocation_s,
    invocations_to_add,
    rounds_ns,
    share_rounds,
)
from bench.measuring.worker_group import ROUSE_ALONE_NS, ROUSE_NS, WorkerGroup
from bench.model.cases import case_id, case_text
from bench.model.errors import WorkerError
from bench.model.numbers import count_text, duration_text
from bench.model.records import BREAKDOWN, PHASES, Case, Fault, Pilot, Plan, Request
from bench.model.slots import compared
from bench.storage.runs import Stored
from bench.workers import fairness as contract

TURN_NS = 500_000
"""What a turn costs beside its sample: pipe, file, and the next process waking up."""
TRAINING_EPOCH_S, COSTS_ROUND_S, REPORT_S = 0.006, 0.5, 6.0
"""What an epoch of training takes in both implementations together, a fresh process of each, and
charts and report."""
TIMES_OVER = 4
"""Without a budget a target may make the timing so many times as long."""


def plan_only(
    request: Request, progress: Progress, edges: Edges | None = None
) -> tuple[Plan, list[Fault]]:
    """Run the pilot alone: the plan, and what went wrong."""
    records: list[Record] = []
    found = pilot(Session(request, progress, edges or Edges(), records.append))
    return found, [record for record in records if isinstance(record, Fault)]


def pilot(session: Session) -> Plan:
    """Find out how long each case takes, and plan loops and rounds from that."""
    request, clock_ns = session.request, session.edges.clock_ns
    session.progress.stage("pilot", sum(len(session.remaining(t)) for t in session.thread_counts))
    times: dict[str, dict[str, float]] = {}
    preparing_ns: list[int] = []

    def try_out(group: WorkerGroup, case: Case) -> None:
        session.progress.now(case_text(case))
        began_ns = clock_ns()
        session.prepare_case(group, case)
        preparing_ns.append(clock_ns() - began_ns)
        each_ns = {}
        for spec in session.turns(case, session.pair):

            def time(loops: int, label: str = spec.label) -> int:
                if loops > contract.MOST_LOOPS:
                    words = f"repetitions: {loops} take less than a millisecond: it does no work"
                    raise WorkerError(label, words)
                return group.sample(label, case, loops, timeout_s(case, loops)).elapsed_ns

            each_ns[spec.label] = calibrate(time)
        if case.phase in PHASES:
            on_trial(session, group, case, each_ns)
        times[case_id(case)] = each_ns
        session.progress.advance(1)

    for threads in session.thread_counts:
        for group in by_problem(session.remaining(threads)):
            slots = session.group_of(group)
            session.with_group(
                slots, threads, group, lambda case: [case_id(case)], try_out, again=True
            )
    cases = [case for threads in session.thread_counts for case in session.remaining(threads)]
    loops = {
        name: (breakdown_loops if case.phase in BREAKDOWN else common_loops)(times[name].values())
        for case in cases
        for name in [case_id(case)]
    }
    found = {}
    for case in cases:
        name = case_id(case)
        fewer = _fewer(session, case, loops[name], times[name])
        found[name] = Pilot(
            max(times[name].values()),
            _round_ns(session, case, loops[name], fewer, times[name]),
            fewer,
        )
    groups = by_problem(cases)
    starts_ns = [_start_ns(session, group) for group in groups]
    once_ns = sum(preparing_ns) + sum(starts_ns)
    seconds = request.seconds
    if request.budget_s is not None:
        seconds = max(0.0, _left_s(session, request.budget_s))
        if request.target is not None:
            seconds /= 2  # the other half is for what varies most
    round_ns = {name: one.round_ns for name, one in found.items()}
    few = {case_id(case): FEW_ROUNDS[case.phase] for case in cases if case.phase in FEW_ROUNDS}
    few_ns = rounds_ns(round_ns, few)
    networks = compared(cases)
    probing_ns = sum(
        start_ns
        for group, start_ns in zip(groups, starts_ns, strict=True)
        if group[0].problem not in networks
    )
    # What needs no verdict takes no rounds from what does, unless the whole run has a budget.
    beside_ns = few_ns + probing_ns if request.budget_s is None else 0.0
    shared = share_rounds(
        {name: time for name, time in round_ns.items() if name not in few},
        seconds * 1e9 / request.invocations - (once_ns + few_ns - beside_ns),
    )
    rounds = {name: (few | shared)[name] for name in round_ns}
    total_s = request.invocations * (once_ns + rounds_ns(round_ns, rounds)) / 1e9
    text = (
        f"cases: {len(cases)}, invocations: {request.invocations}, "
        f"workers: {len(request.workers)}; timing takes about {duration_text(total_s)}"
    )
    if total_s - request.invocations * beside_ns / 1e9 > 1.2 * seconds + 1:
        text += f", not {duration_text(seconds)}: fewer rounds would not balance"
    session.progress.note(text)
    group_ns = once_ns / max(1, len(groups))
    return Plan(request, rounds, loops, seconds, found, group_ns)


def aim(session: Session, stored: Stored) -> Plan:
    """Keep how much the first invocations varied; with a target, add more where it was too much.

    Looks at how much ratios vary and never at where they lie, and only once: so the interval keeps
    its meaning (C. Stein, Annals of Mathematical Statistics 16, 1945).

    Args:
        session: The run.
        stored: What was read so far.
    """
    each = analyse_stored(stored).each
    plan = replace(stored.run.plan, spreads=spreads(stored.run, each))
    target, budget_s = plan.request.target, plan.request.budget_s
    if target is None:
        return plan
    left_s = TIMES_OVER * plan.seconds
    if budget_s is not None:
        left_s = _left_s(session, budget_s)
    costs = {
        name: Cost(spread, plan.invocations, invocation_s(plan, name))
        for name, spread in spread_of_invocations(stored.run, each).items()
    }
    more = invocations_to_add(costs, target, left_s)
    plan = replace(plan, more=more)
    short = sum(
        one.wanted(target) > one.invocations + more.get(name, 0) for name, one in costs.items()
    )
    took_s = sum(count * costs[name].seconds for name, count in more.items())
    added = count_text(sum(more.values()), "more invocation")
    text = f"target ±{target:.1%}: {added} of {count_text(len(more), 'case')}, about "
    text += duration_text(took_s)
    if short:
        text += f"; {count_text(short, 'case')} will not reach it in the time there is"
    session.progress.note(text)
    return plan


def eta_s(plan: Plan) -> Mapping[str, float]:
    """Estimate what the parts of a run take that come after the pilot, in seconds."""
    groups = len(by_problem(case for case in plan.cases if case_id(case) in plan.rounds))
    round_ns = {name: plan.pilot[name].round_ns for name in plan.rounds}
    once_ns = groups * plan.group_ns
    return {
        "timing": plan.invocations * (once_ns + rounds_ns(round_ns, plan.rounds)) / 1e9,
        "training": plan.request.training_epochs * TRAINING_EPOCH_S,
        "costs": plan.request.cost_rounds * COSTS_ROUND_S,
        "report": REPORT_S,
    }


def _left_s(session: Session, budget_s: float) -> float:
    """Say how much of a budget is left for timing, training and report still to come."""
    passed_s = (session.edges.clock_ns() - session.began_ns) / 1e9
    request = session.request
    after_s = request.training_epochs * TRAINING_EPOCH_S + request.cost_rounds * COSTS_ROUND_S
    return budget_s - passed_s - after_s - REPORT_S


def _start_ns(session: Session, group: Sequence[Case]) -> float:
    """Tell what it took to start the workers of these cases, or, if not known, any workers."""
    started = session.start_ns
    slots = session.group_of(group)
    longest = max(started.values(), default=0)
    return started.get((group[0].problem.threads, len(slots)), longest)


def _fewer(
    session: Session, case: Case, loops: int, each_ns: Mapping[str, float]
) -> dict[str, int]:
    """Choose the candidates that are so slow that they repeat less; never the baseline."""
    if case.phase not in PHASES:
        return {}
    baseline = session.pair[0].label
    return fewer_loops(loops, {who: time for who, time in each_ns.items() if who != baseline})


def _round_ns(
    session: Session,
    case: Case,
    loops: int,
    fewer: Mapping[str, int],
    each_ns: Mapping[str, float],
) -> float:
    """Estimate what one round of all workers takes."""
    workers = session.turns(case)
    again_ns = each_ns.get(session.pair[0].label, 0.0)
    samples_ns = sum(
        fewer.get(spec.label, loops) * each_ns.get(spec.label, again_ns) for spec in workers
    )
    several = case.problem.threads > 1
    alone = case.problem not in compared(session.request.cases)
    rouse_ns = ROUSE_NS if several else ROUSE_ALONE_NS
    settle_ns = SETTLE_S * 1e9 if several and not alone else 0.0
    return samples_ns + len(workers) * (TURN_NS + rouse_ns + settle_ns)
