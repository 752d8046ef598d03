"""Numbers and sentences for people, in one place: screen, page and Markdown use the same.

Pure: takes records and numbers, returns plain text. Escaping is the business of the page.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from bench.analysis.verdicts import BAND, LEAST_FOR_VERDICT
from bench.model.cases import network_text
from bench.model.numbers import count_text, listing, ratio_text
from bench.model.records import (
    PHASES,
    Case,
    Estimate,
    Phase,
    Problem,
    Result,
    Run,
    VerdictKind,
)

VERDICTS: tuple[VerdictKind, ...] = get_args(VerdictKind)
MARKS: dict[str, str] = {
    "FASTER": "▲",
    "SLOWER": "▼",
    "EQUIVALENT": "=",
    "UNRESOLVED": "?",
    "INVALID": "✕",
}
"""One sign per verdict, so that colour never carries it alone."""


PHASE_TEXTS = {
    "forward": "forward: the output of one batch",
    "backprop": "backprop: the gradients of one batch, after its forward",
    "epoch": "epoch: shuffle, then forward, loss, backprop and step of every batch",
    "call": "call: the overhead of an empty call from Python with one array",
    "timer": "timer: the overhead of two readings of the clock",
}

GLOSSARY = (
    ("case", "One phase of one network with one batch size, dtype and number of threads."),
    (
        "round",
        "One turn of every worker on one case, in balanced order; workers never run at the same "
        "time.",
    ),
    (
        "invocation",
        "One fresh set of worker processes for each network. Where a process lies in memory shifts "
        "its speed for as long as it lives, so the invocation, not the reading, is what the "
        "statistics count.",
    ),
    (
        "ratio",
        "The baseline's time over the candidate's, both from the same round: above 1 the "
        "candidate is faster.",
    ),
    (
        "interval",
        "In parentheses: where the value lies with 95 % confidence, by Student's t over "
        "invocations.",
    ),
    (
        "A/A floor",
        "The baseline against itself, as a second worker in the same invocations. It shows what "
        "this machine cannot tell apart; a smaller difference is not a result.",
    ),
    ("minimum", "The shortest sample. It is not used in comparisons."),
    (
        "FASTER, SLOWER",
        "The interval excludes 1, also after Holm's correction over all cases of the run, and the "
        "difference is larger than the band and the A/A floor.",
    ),
    ("EQUIVALENT", f"The interval lies inside the band of ±{BAND * 100:g} %."),
    (
        "UNRESOLVED",
        f"The readings do not settle it, or are of fewer than {LEAST_FOR_VERDICT} invocations; the "
        "reason says what would help.",
    ),
    (
        "INVALID",
        "The results differ, a worker failed, or the comparison was not fair: there is no ratio.",
    ),
    (
        "error/tolerance",
        "How far a tensor of one implementation lies from the other's, as a part of what is "
        "allowed: 0 is no difference, above 1 a failure.",
    ),
)

HOW_TO_READ = (
    "The ratio is {baseline}'s time over {candidate}'s: above 1 {candidate} is faster, below 1 "
    "{baseline} is.",
    "In parentheses stands the 95 % interval, over fresh processes. A verdict is given only where "
    "the interval supports one and the difference is larger than what {baseline} shows against "
    "itself (the A/A floor).",
    "Both do the same work from the same data, weights and order of batches, in turns; where they "
    "do not compute the same numbers there is no ratio. A verdict holds for this machine, these "
    "versions and these sizes.",
)

HOW_TO_READ_IMPORTED = (
    "Times are medians over the rounds of one process. They carry no interval, for nothing is "
    "known of how they would differ in another process.",
    "The ratio is {baseline}'s time over {candidate}'s. Without an interval it is not a result.",
    "Both were checked to compute the same numbers before they were timed. The epoch is a call of "
    "fit for one epoch, from Python.",
)

IMPORTED_NOTICE = (
    "This page was made from a file of pytest-benchmark and holds times, but no verdicts: there "
    "one implementation is timed after the other, in a single process, so a drift of the machine "
    "or the luck of one process's memory layout cannot be told from a difference. "
    "The command bench run measures in turns and in fresh processes; docs/method.md says why."
)

NAMES = {"numpy": "NumPy", "mojo": "Mojo"}


def implementation_name(name: str) -> str:
    """Write an implementation's name as people do: of a class or a program its own name alone."""
    return NAMES.get(name, name.rpartition(":")[2] or name)


def slot_names(run: Run) -> tuple[str, str]:
    """Name baseline and candidate of a run for people; of several, the main one."""
    return implementation_name(run.baseline.implementation), implementation_name(
        run.main.implementation
    )


def setting_text(cases: Iterable[Case]) -> str:
    """Say which dtypes and threads cases have: `float64, 1 thread each`."""
    problems = [case.problem for case in cases]
    dtypes = sorted({problem.dtype for problem in problems}, reverse=True)
    threads = sorted({problem.threads for problem in problems})
    counts = " or ".join(map(str, threads))
    plural = "thread" if threads == [1] else "threads"
    return f"{listing(dtypes)}, {counts} {plural} each" if problems else "no cases"


def problem_text(problem: Problem) -> str:
    """Say which network and dtype, and how many threads where it is not one."""
    parts = [network_text(problem), problem.dtype]
    parts += [count_text(problem.threads, "thread")] if problem.threads != 1 else []
    return " · ".join(parts)


def machine_text(run: Run) -> str:
    """Name the processor of a run."""
    cpu = str(run.environment.machine.get("cpu", "unavailable"))
    return "an unnamed processor" if cpu.startswith("unavailable") else cpu


def changed_blas_text(run: Run) -> str:
    """Say what made a BLAS other than it would be: a figure against it holds for that one only."""
    if run.plan.request.isa:
        return f", both held to {run.plan.request.isa}"
    described = [worker.get("facts") for worker in run.environment.workers.values()]
    found = {
        str(facts["blas changed by"])
        for facts in described
        if isinstance(facts, dict) and facts.get("blas changed by", "nothing") != "nothing"
    }
    return f", BLAS CHANGED BY {listing(sorted(found))}" if found else ""


@dataclass(frozen=True, slots=True)
class PhaseConclusion:
    """What was found in one phase: verdicts, and the smallest and the largest ratio."""

    phase: Phase
    counts: Counter[VerdictKind]
    ratios: tuple[Estimate, ...]  # at most two, of those with an interval


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the results of a run support, as far as baseline and main candidate are concerned."""

    machine: str
    setting: str  # dtypes, threads, and what changed a BLAS
    baseline: str
    candidate: str
    judged: bool  # whether the kind of run supports verdicts
    phases: tuple[PhaseConclusion, ...]

    @property
    def counts(self) -> Counter[VerdictKind]:
        """The verdicts of all phases."""
        return sum((one.counts for one in self.phases), Counter())

    @property
    def parts(self) -> tuple[str, list[str]]:
        """Say it in parts: of the whole, then of each phase; without final stops."""
        where = f"On {self.machine} ({self.setting})"
        if not self.judged:
            return (
                f"{where}, {self.baseline} and {self.candidate} were timed one after the other in "
                "a single process, which gives times but supports no verdict on which is faster"
            ), []
        if not self.phases:
            return (
                f"{where}, nothing was measured that could tell {self.candidate} from "
                f"{self.baseline}"
            ), []
        what = f"{self.candidate} compared with {self.baseline} was"
        if self.counts.keys() <= {"UNRESOLVED", "INVALID"}:
            what = f"the comparison of {self.candidate} with {self.baseline} is"
        phases = [f"{one.phase} {self._phase_text(one)}" for one in self.phases]
        return f"{where}, {what} {counts_text(self.counts)}", phases

    def __str__(self) -> str:
        """Say it in one sentence."""
        whole, phases = self.parts
        return f"{whole}: {'; '.join(phases)}." if phases else f"{whole}."

    def _phase_text(self, one: PhaseConclusion) -> str:
        alone = one.counts.total() == 1
        verdict = next(iter(one.counts)).lower() if alone else counts_text(one.counts)
        ends = " to ".join(map(ratio_text, one.ratios))
        return f"{verdict}, at {ends} times {self.baseline}'s speed" if ends else verdict


def conclude(run: Run, results: Iterable[Result]) -> Conclusion:
    """Sum up the results of a run's main candidate, whatever they are."""
    timed = [one for one in results if one.case.phase in PHASES]
    judged = [one for one in timed if one.verdict is not None]
    phases = [(phase, [one for one in judged if one.case.phase == phase]) for phase in PHASES]
    return Conclusion(
        machine_text(run),
        setting_text(one.case for one in timed) + changed_blas_text(run),
        *slot_names(run),
        run.source == "bench",
        tuple(_of_phase(phase, mine) for phase, mine in phases if mine),
    )


def _of_phase(phase: Phase, results: Sequence[Result]) -> PhaseConclusion:
    estimates = sorted(
        (r.ratio.estimate for r in results if r.ratio and math.isfinite(r.ratio.estimate.low)),
        key=lambda estimate: estimate.point,
    )
    ends = estimates if len(estimates) < 2 else (estimates[0], estimates[-1])
    counts = Counter(one.verdict.kind for one in results if one.verdict)
    return PhaseConclusion(phase, counts, tuple(ends))


def counts_text(counts: Counter[VerdictKind]) -> str:
    """Count verdicts: `faster in 4 of 6 cases, slower in 1 and unresolved in 1`."""
    total = counts.total()
    parts = [(kind.lower(), counts[kind]) for kind in VERDICTS if counts[kind]]
    if len(parts) == 1:
        ((word, _),) = parts
        quantity = {1: "the one case", 2: "both cases"}.get(total, f"all {total} cases")
        return f"{word} in {quantity}"
    first, *rest = parts
    return listing(
        [f"{first[0]} in {first[1]} of {total} cases", *(f"{w} in {n}" for w, n in rest)]
    )
