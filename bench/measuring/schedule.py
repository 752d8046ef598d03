"""Plans a run: whose turn it is, how often a sample repeats its work, how many rounds a case gets.

Pure: no clocks, no processes; what the pilot measured comes in as numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from bench.model.records import BREAKDOWN, OVERHEADS, PROBES, Case, Phase, Plan
from bench.model.slots import compared

Slot = TypeVar("Slot")

SAMPLE_NS = 2_000_000
"""A sample lasts at least this long in the fastest worker: ten thousand times the clock's
resolution and a hundred times the pipe between runner and worker, yet short against the drift of
a machine."""
SLOW_NS, SLOWER_BY = 50 * SAMPLE_NS, 5
"""A sample that would last longer takes a fifth of that, by fewer repetitions than the others."""
LONGEST_BREAKDOWN_NS, SHORTEST_BREAKDOWN_NS = 10_000_000, 20_000
"""Of what is timed for the breakdown and compared with nobody, a sample need not last as long in
the fastest
worker: there it may be two hundred times as fast."""
PHASE_ORDER: tuple[Phase, ...] = (
    "epoch",
    "forward",
    "backprop",
    "peak",
    *OVERHEADS,
    *BREAKDOWN,
    "cache",
    "memory",
)
LEAST_ROUNDS, MOST_ROUNDS = 2, 40
"""Two let the turns balance; beyond forty the median of an invocation hardly gains, since what
differs from process to process stays."""
FEW_ROUNDS: dict[Phase, int] = {
    **dict.fromkeys(BREAKDOWN, LEAST_ROUNDS),
    **dict.fromkeys(PROBES, 2 * LEAST_ROUNDS),
    "memory": LEAST_ROUNDS,
}
"""Of what needs no verdict, however much time there is. The arrays of `memory` take a tenth of a
second to make, ten times as long as to use."""


def turns(slots: Sequence[Slot], invocation: int, rounds: int) -> list[tuple[Slot, ...]]:
    """Return the order of the slots in each round of one case in one invocation.

    Each order is followed by its mirror image (two slots: ABBA), so that what drifts in a line
    cancels over every pair of rounds. The pairs walk through the rows of a Latin square and go on
    in the next invocation where they stopped: over a whole walk each slot goes equally often in
    each position and right after each other slot. (The square of E. J. Williams, Australian
    Journal of Scientific Research A 2, 1949.)

    Args:
        slots: In any order.
        invocation: Number of the invocation, from 0.
        rounds: Rounds of the case in each invocation; even.
    """
    count = len(slots)
    zigzag = [(place + 1) // 2 * (-1) ** (place + 1) for place in range(count)]  # 0 1 -1 2 -2 ...
    # For an even count the second half of the square is the mirror image of the first.
    rows = count if count % 2 else count // 2
    orders = []
    for pair in range(invocation * rounds // 2, (invocation + 1) * rounds // 2):
        order = tuple(slots[(pair % rows + step) % count] for step in zigzag)
        orders += [order, order[::-1]]
    return orders


def by_problem(cases: Iterable[Case]) -> list[list[Case]]:
    """Return the cases of each problem together, always in the same order of phases.

    What only probes the machine, on so many threads, is together too.

    Each problem gets workers of its own, and in them the epoch comes first: a process then has
    the past of a program that trains this network. What ran before decides how the system's
    allocator hands out memory, and so how fast NumPy is (docs/method.md has figures).
    """
    cases = sorted(cases, key=lambda case: PHASE_ORDER.index(case.phase))
    networks = set(compared(cases))
    groups: dict[object, list[Case]] = {}
    for case in cases:
        problem = case.problem
        groups.setdefault(problem if problem in networks else problem.threads, []).append(case)
    return list(groups.values())


def shuffled(cases: Iterable[Case], random: Random) -> list[list[Case]]:
    """Return what `by_problem` does, with the problems in random order."""
    groups = sorted(by_problem(cases), key=repr)
    random.shuffle(groups)
    return groups


def calibrate(time: Callable[[int], int], target_ns: int = SAMPLE_NS) -> float:
    """Estimate the nanoseconds of one repetition by doubling the count until a trial is long.

    The first trial pays for cold caches and first touches and is not used. A trial of half the
    target is long enough, since the target is not sharp.

    Args:
        time: Runs a number of repetitions and returns their nanoseconds together.
        target_ns: How long a sample should be.
    """
    time(1)
    loops = 1
    while (elapsed_ns := time(loops)) < target_ns / 2:
        loops *= 2
    return elapsed_ns / loops


def common_loops(each_ns: Iterable[float], target_ns: int = SAMPLE_NS) -> int:
    """Return the smallest count for which the fastest worker's sample lasts as long as the target.

    One count for all: if each side had its own, the start-up costs of a sample would be spread
    over more repetitions on the faster side, which biases the ratio by about one percent. The
    fastest side decides, because its sample is the shortest.

    Args:
        each_ns: Nanoseconds of one repetition, of each worker.
        target_ns: How long a sample should be at least.
    """
    return max(1, math.ceil(target_ns / min(each_ns)))


def fewer_loops(loops: int, each_ns: Mapping[str, float]) -> dict[str, int]:
    """Return how often workers repeat the work that would take fifty times as long as needed.

    The one percent that a count of their own may cost them (see `common_loops`) is nothing beside
    such a ratio, and with the common count a run would consist of waiting for them.

    Args:
        loops: The common count.
        each_ns: Nanoseconds of one repetition, by label.
    """
    return {
        label: max(1, math.ceil(SLOW_NS / SLOWER_BY / nanoseconds))
        for label, nanoseconds in each_ns.items()
        if loops > 1 and loops * nanoseconds > SLOW_NS
    }


def breakdown_loops(each_ns: Collection[float]) -> int:
    """Return a common count for the breakdown: short samples where workers lie far apart.

    Args:
        each_ns: Nanoseconds of one repetition, of each worker.
    """
    most = math.ceil(LONGEST_BREAKDOWN_NS / max(each_ns))
    least = common_loops(each_ns, SHORTEST_BREAKDOWN_NS)
    return min(common_loops(each_ns), max(most, least))


def share_rounds(round_ns: Mapping[str, float], budget_ns: float) -> dict[str, int]:
    """Divide the time of one invocation among cases: an even number of rounds for each.

    Every case gets the least number, whatever the budget. What is left goes, two rounds at a
    time, to the case that has had the least time so far: each gets the same time, up to the most
    rounds. The warm-up round counts as time.

    Args:
        round_ns: Nanoseconds of one round, all workers together, by case id.
        budget_ns: Nanoseconds of an invocation that are there for rounds.
    """
    rounds = dict.fromkeys(round_ns, LEAST_ROUNDS)
    left_ns = budget_ns - rounds_ns(round_ns, rounds)
    growing = list(round_ns)
    while growing:
        name = min(growing, key=lambda one: rounds[one] * round_ns[one])
        if rounds[name] + 2 > MOST_ROUNDS or 2 * round_ns[name] > left_ns:
            growing.remove(name)
        else:
            rounds[name] += 2
            left_ns -= 2 * round_ns[name]
    return rounds


@dataclass(frozen=True, slots=True)
class Cost:
    """What is known of a case after its first invocations."""

    spread: float  # standard deviation of the logarithm of its ratio, over invocations
    invocations: int  # so far
    seconds: float  # of one more

    def half_width(self, invocations: int) -> float:
        """Estimate half the interval after so many, as a logarithm: t of the first ones."""
        return self._quantile() * self.spread / math.sqrt(invocations)

    def wanted(self, target: float) -> int:
        """Return how many invocations bring the interval down to the target."""
        return math.ceil((self._quantile() * self.spread / math.log1p(target)) ** 2)

    def _quantile(self) -> float:
        from bench.analysis.intervals import (  # heavy; `bench.lock` needs none of it
            CONFIDENCE,
            quantile,
        )

        return float(quantile(max(2, self.invocations), CONFIDENCE))


def invocation_s(plan: Plan, name: str) -> float:
    """Estimate what one more invocation of a case by itself takes, in seconds; 0 if not known."""
    if name not in plan.pilot:
        return 0.0
    return (plan.group_ns + (plan.rounds[name] + 1) * plan.pilot[name].round_ns) / 1e9


def invocations_to_add(costs: Mapping[str, Cost], target: float, budget_s: float) -> dict[str, int]:
    """Divide a budget among cases that have not reached a target: invocations to add, by case id.

    One at a time to the case whose interval it narrows most for its time, until each is to reach
    the target or no time is left.

    Args:
        costs: What is known, by case id.
        target: Half the width of the interval that is wanted, as a share of the ratio.
        budget_s: Seconds that are there.
    """
    more: dict[str, int] = {}
    open_cases = {
        name: cost for name, cost in costs.items() if cost.wanted(target) > cost.invocations
    }
    while open_cases:

        def gain(name: str) -> float:
            cost = open_cases[name]
            count = cost.invocations + more.get(name, 0)
            return (cost.half_width(count) - cost.half_width(count + 1)) / cost.seconds

        best = max(open_cases, key=gain)
        cost = open_cases[best]
        if cost.seconds > budget_s:
            del open_cases[best]
            continue
        more[best] = more.get(best, 0) + 1
        budget_s -= cost.seconds
        if cost.invocations + more[best] >= cost.wanted(target):
            del open_cases[best]
    return more


def rounds_ns(round_ns: Mapping[str, float], rounds: Mapping[str, int]) -> float:
    """Return the nanoseconds that all rounds of one invocation take, warm-up rounds included."""
    return sum(round_ns[name] * (count + 1) for name, count in rounds.items())
