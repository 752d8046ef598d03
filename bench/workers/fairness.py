"""The fairness contract: what must hold of every worker before its first sample counts.

Pure: judges what the workers said and what their samples took; `bench.measuring.runner` asks them.
Each line becomes a `FairnessCheck` that is stored with the run, kept or broken; a broken one makes
its cases INVALID in words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.model.instruction_sets import other_than
from bench.model.records import FairnessCheck, ParityResult
from bench.workers.messages import TensorsWritten

CLAUSES = {
    "threads": "as many on each side as asked for: set before the start, counted inside it",
    "subnormals": "numbers below the smallest normal one are kept on all sides, or flushed on all",
    "instruction set": "the one named, where one is: Mojo's target and the kernels of the BLAS",
    "rounding": "every processor rounds to nearest",
    "inputs": "the same data on all sides, by a checksum taken inside each worker",
    "layout": "data and parameters are dense, in C order, aligned, in the machine's byte order",
    "results": "every tensor agrees in name, shape, dtype and value, those of the timed code too",
    "cores": "no more processor time than the threads allow",
    "clock": "an implementation's own clock and the worker's pass at the same rate",
    "repetitions": "three times the repetitions take about three times as long",
    "rate": "not faster than this machine multiplies, by a probe in the same minute",
}
"""The lines by name, in the order in which they are checked."""

CLOCKS_APART = 0.1
"""Share by which the implementation's time may differ from the worker's, set-up cancelled."""
LEAST_GROWTH, MOST_GROWTH = 1.8, 5.0
"""Three times the work takes 3 times as long; what is below or above is no noise of three tries."""
SPARE_CORES = 0.2
"""Share of a core that a process may use beside its threads, by the system's accounting."""
ABOVE_PEAK = 1.15
"""The clock of a core moves within a minute; a rate above the peak by more than this is a fault."""
MOST_LOOPS = 1 << 24
"""So many repetitions within a millisecond would be a tenth of a nanosecond each."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One sample with all that the worker's meters said."""

    loops: int
    elapsed_ns: int  # by the implementation's clock
    wall_ns: int  # by the worker's, around it
    cpu_ns: int  # of all threads of the process


def of_workers(
    subject: str,
    descriptions: Mapping[str, Mapping[str, Any]],
    threads: int,
    isa: str = "",
    flushing: Collection[str] = (),
) -> list[FairnessCheck]:
    """Judge what workers said of themselves.

    Of subnormal numbers, a worker whose implementation cannot help flushing them must say that it
    does, and the line says so too: nothing of the benchmark's data is subnormal.

    Args:
        subject: Problem id.
        descriptions: Answers to `describe` by label, the baseline's first.
        threads: How many each was started with.
        isa: The instruction set of all, by `bench.model.instruction_sets`; empty: each its own.
        flushing: Labels of those that cannot keep subnormal numbers, by `bench.model.registry`.
    """
    wanted = {
        "threads": ("threads", threads),
        "subnormals": ("denormals", next(iter(descriptions.values())).get("denormals")),
        "rounding": ("rounding", "to nearest"),
    }
    fairness_checks = []
    for name, (key, value) in wanted.items():
        known = [*flushing] if name == "subnormals" else []
        needed = {label: "flushed" if label in known else value for label in descriptions}
        odd = [label for label, said in descriptions.items() if said.get(key) != needed[label]]
        broken = (
            f"{odd[0]} has {key} {descriptions[odd[0]].get(key)!r} where {needed[odd[0]]!r} is "
            "needed"
            if odd
            else ""
        )
        found = f"{value}; flushed by {', '.join(known)}, which cannot do otherwise"
        fairness_checks.append(FairnessCheck(subject, name, found if known else str(value), broken))
    if isa:
        odd_facts = {
            label: words
            for label, said in descriptions.items()
            if (words := other_than(isa, said.get("facts", {})))
        }
        broken = next((f"{label}: {words}" for label, words in odd_facts.items()), "")
        fairness_checks.append(FairnessCheck(subject, "instruction set", isa, broken))
    return fairness_checks


def of_data(subject: str, answers: Mapping[str, TensorsWritten]) -> list[FairnessCheck]:
    """Judge what workers said of their arrays.

    Args:
        subject: Problem id.
        answers: Answers to `tensors` by label, the baseline's first.
    """
    first, *others = answers
    digest = answers[first].inputs
    different = [label for label in others if answers[label].inputs != digest]
    layouts = {label: said.layout for label, said in answers.items()}
    odd = [label for label, layout in layouts.items() if layout != "dense, C order"]
    return [
        FairnessCheck(
            subject,
            "inputs",
            f"CRC-32 {digest}",
            f"{different[0]} holds other data than {first}" if different else "",
        ),
        FairnessCheck(
            subject,
            "layout",
            layouts[first],
            f"arrays of {odd[0]} are {layouts[odd[0]]}" if odd else "",
        ),
    ]


def of_results(result: ParityResult) -> FairnessCheck:
    """Sum up the parity of a problem as a line of the contract."""
    return FairnessCheck(
        result.problem, "results", f"{len(result.tensors)} tensors agree", result.reason
    )


def of_trials(
    subject: str, label: str, trials: Iterable[tuple[Trial, Trial]], threads: int
) -> list[FairnessCheck]:
    """Judge the times of one worker in one case.

    Args:
        subject: Case id.
        label: The worker.
        trials: Pairs of a short sample and one of three times its loops.
        threads: How many threads it has.
    """
    pairs = list(trials)
    apart = min(abs(_rate_of_clocks(*pair) - 1) for pair in pairs)
    # A disturbance only ever adds time: the least of each is nearest to the truth.
    shortest = min(short.elapsed_ns for short, _ in pairs)
    growth = min(long.elapsed_ns for _, long in pairs) / max(1, shortest)
    why = ""
    if growth < LEAST_GROWTH:
        why = "it does not repeat the work"
    elif growth > MOST_GROWTH:
        why = "its work grows, or the machine is too busy to tell"
    # And no disturbance gives a process more than its threads can use. In all samples together, as
    # the system counts what running threads used by its tick: some milliseconds too much in one,
    # too few in the next.
    both = [trial for pair in pairs for trial in pair]
    cores = sum(trial.cpu_ns for trial in both) / max(1, sum(trial.wall_ns for trial in both))
    return [
        FairnessCheck(
            subject,
            "cores",
            f"{label}: {cores:.2f}",
            f"{label} keeps {cores:.2g} cores busy with {threads} allowed: it has more threads "
            "than it says"
            if cores > threads + SPARE_CORES
            else "",
        ),
        FairnessCheck(
            subject,
            "clock",
            f"{label}: {apart:.1%} apart",
            f"the clock of {label} and the worker's are {apart:.0%} apart"
            if apart > CLOCKS_APART
            else "",
        ),
        FairnessCheck(
            subject,
            "repetitions",
            f"{label}: {growth:.2f} times",
            f"three times the repetitions take {label} {growth:.2g} times as long: {why}"
            if why
            else "",
        ),
    ]


def of_rate(subject: str, label: str, rate: float, peak: float) -> FairnessCheck:
    """Judge how fast a worker computes against what the machine can do, both in FLOP/s."""
    found = f"{label}: {rate / 1e9:.3g} GFLOP/s of {peak / 1e9:.3g}"
    broken = ""
    if rate > ABOVE_PEAK * peak:
        broken = (
            f"{label} would compute {rate / 1e9:.3g} GFLOP/s, and this machine multiplies no more "
            f"than {peak / 1e9:.3g}: it does not do the work"
        )
    return FairnessCheck(subject, "rate", found, broken)


def first_broken(fairness_checks: Iterable[FairnessCheck]) -> str:
    """Say what is broken first, in words; empty if all are kept."""
    return next((f"{one.name}: {one.broken}" for one in fairness_checks if not one.ok), "")


def _rate_of_clocks(short: Trial, long: Trial) -> float:
    """Return how fast one clock passes by the other; what is outside the repetitions cancels."""
    wall_ns = long.wall_ns - short.wall_ns
    return (long.elapsed_ns - short.elapsed_ns) / wall_ns if wall_ns > 0 else 1.0
