"""Says what this machine can tell about speed and what it cannot: a verdict and advice per fact.

The facts are read in `bench.measuring.environment` and in the workers; the noise is that of a short
run of the harness. `findings` judges them and is pure; `examine` takes them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from bench.analysis.run_analysis import analyse_stored
from bench.analysis.verdicts import noise_floor
from bench.measuring.run_state import Progress
from bench.measuring.runner import measure
from bench.model.cases import NETWORKS, case_text
from bench.model.presets import cases_of
from bench.model.records import PHASES, Environment, Problem, Request, WorkerSpec
from bench.storage import runs as store

Grade = Literal["good", "note", "bad"]

QUIET_LOAD = 0.5
"""A load above it is another process at work: an idle machine with a person at it has less."""
QUIET_PRESSURE = 1.0
"""Percent of the last ten seconds in which something waited for a core."""
QUIET_STEAL = 0.01
"""Share of one core that the host may take without being heard."""
FINE_FLOOR, COARSE_FLOOR = 0.01, 0.05
"""Below the first, differences of a percent can be told; above the second, not even large ones."""
COARSE_TIMER_NS = 1000
"""A sample works for two milliseconds: a step of the clock above this would be seen in it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact, what it means here, and what to do about it."""

    name: str
    value: str
    grade: Grade
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a look at the machine at work gave."""

    seconds: float  # between the two readings of the environment
    timer_ns: int  # smallest step of the clock that was seen
    floors: Mapping[str, float]  # by case: the baseline against itself, 0.01 is one percent


def findings(
    before: Environment, after: Environment, measured: Measured, workers: Mapping[str, Any]
) -> list[Finding]:
    """Judge a machine.

    Args:
        before: Its facts before the short run.
        after: Its facts after it.
        measured: What that run gave.
        workers: What the implementations say of themselves, by name.
    """
    return [
        *_machine(before.machine),
        *_quiet(before.machine, after.machine, measured.seconds),
        *_software(workers),
        *_measured(measured),
    ]


def worst(found: Iterable[Finding]) -> Grade:
    """Tell the worst grade of all."""
    grades = {finding.grade for finding in found}
    return "bad" if "bad" in grades else "note" if "note" in grades else "good"


def _machine(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge what does not change from minute to minute."""
    yield Finding("processor", str(facts.get("cpu")), "good")
    cores = facts.get("cores allowed")
    few = isinstance(cores, int) and cores < 2
    yield Finding(
        "cores allowed",
        str(cores),
        "bad" if few else "good",
        "the runner and what it times share the one core: allow two" if few else "",
    )
    yield _quota(str(facts.get("core quota")), cores)
    logical, physical = facts.get("logical cores"), facts.get("physical cores")
    if isinstance(logical, int) and isinstance(physical, int) and physical < logical:
        advice = "two threads may get one core: for figures of several threads switch SMT off"
        yield Finding("cores", f"{physical} cores as {logical}", "note", advice)
    governor = str(facts.get("governor"))
    if not _unavailable(governor):
        slow = governor != "performance"
        advice = "the clock follows the load: `cpupower frequency-set -g performance`"
        yield Finding("governor", governor, "bad" if slow else "good", advice if slow else "")
    if str(facts.get("turbo")) == "on":
        advice = "the clock falls with heat and busy cores: trust ratios, less the times"
        yield Finding("turbo", "on", "note", advice)
    if str(facts.get("hypervisor")) == "present":
        advice = "other guests share caches and memory: trust ratios, less the times"
        yield Finding("virtual machine", "yes", "note", advice)
    hidden = [
        name
        for name in ("governor", "turbo", "steal", "cpu pressure", "caches", "physical cores")
        if _unavailable(str(facts.get(name)))
    ]
    if hidden:
        yield Finding("cannot be read here", ", ".join(hidden), "note", "watch the noise instead")


def _quota(text: str, cores: Any) -> Finding:
    """Judge `cpu.max`: microseconds of processor time in a period, and the period."""
    found = re.fullmatch(r"(\d+) (\d+)", text)
    if not found or int(found[2]) == 0:
        return Finding("core quota", "none", "good")  # `max`, or no group that sets one
    quota = int(found[1]) / int(found[2])
    enough = isinstance(cores, int) and quota >= cores
    advice = "the system stops what uses it up in mid-sample: raise it to all cores, or lift it"
    return Finding(
        "core quota", f"{quota:g} cores", "good" if enough else "bad", "" if enough else advice
    )


def _quiet(
    before: Mapping[str, Any], after: Mapping[str, Any], seconds: float
) -> Iterator[Finding]:
    """Judge whether the machine is left alone."""
    load = _number(r"([\d.]+)", before.get("load"))
    if load is not None:
        busy = load > QUIET_LOAD
        advice = "something else is running: see `top`, end it or wait"
        yield Finding(
            "load before", f"{load:.2f}", "bad" if busy else "good", advice if busy else ""
        )
    pressure = _number(r"some avg10=([\d.]+)", before.get("cpu pressure"))
    if pressure is not None:
        busy = pressure > QUIET_PRESSURE
        advice = "processes wait for cores: see `top`, end some or wait"
        yield Finding(
            "cpu pressure before",
            f"{pressure:.1f} %",
            "bad" if busy else "good",
            advice if busy else "",
        )
    steal = [_number(r"([\d.]+) s", facts.get("steal")) for facts in (before, after)]
    if steal[0] is not None and steal[1] is not None and seconds > 0:
        share = max(0.0, steal[1] - steal[0]) / seconds
        robbed = share > QUIET_STEAL
        advice = "the host gives the cores to others: take another hour or another machine"
        yield Finding(
            "steal", f"{share:.1%}", "bad" if robbed else "good", advice if robbed else ""
        )


def _software(workers: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge what the implementations say of themselves."""
    seen: list[Any] = []
    for name, worker in workers.items():
        said = worker.get("facts", {})
        if said in seen:  # the second slot of the baseline
            continue
        seen.append(said)
        if "blas core type" in said:
            changed = said.get("blas changed by", "nothing")
            value = f"{said.get('blas')}, {said['blas core type']}"
            if changed == "nothing":
                yield Finding(f"BLAS of {name}", value, "good")
            else:
                advice = f"unset {', '.join(part.split('=')[0] for part in changed.split(', '))}"
                yield Finding(f"BLAS of {name}", f"{value}, changed by {changed}", "bad", advice)
        if "target cpu" in said:
            yield Finding(f"target of {name}", str(said["target cpu"]), "good")


def _measured(measured: Measured) -> Iterator[Finding]:
    """Judge the clock and the noise."""
    coarse = measured.timer_ns > COARSE_TIMER_NS
    advice = "the clock is too coarse for samples of two milliseconds"
    yield Finding(
        "clock step",
        f"{measured.timer_ns} ns",
        "bad" if coarse else "good",
        advice if coarse else "",
    )
    for case, floor in measured.floors.items():
        name = f"noise of {case}"
        if floor != floor:
            yield Finding(name, "not read", "bad", "run `bench doctor` again; see what it says")
            continue
        grade: Grade = "good"
        advice = ""
        if floor > COARSE_FLOOR:
            grade, advice = "bad", "NumPy differs so much from itself: leave the machine alone"
        elif floor > FINE_FLOOR:
            grade, advice = "note", "smaller differences take more invocations to be told"
        yield Finding(name, f"±{floor:.1%}", grade, advice)


def _unavailable(text: str) -> bool:
    return text.startswith("unavailable") or text == "None"


def _number(pattern: str, value: Any) -> float | None:
    found = re.match(pattern, str(value))
    return float(found[1]) if found else None


CASES = cases_of([Problem(*NETWORKS[0], "float64", 1)], ("forward", "epoch"))
CLOCK_READINGS = 10_000


def examine(
    workers: Sequence[WorkerSpec], progress: Progress, *, invocations: int, seconds: float
) -> list[Finding]:
    """Time the smallest network for a few seconds and judge what that and the machine say.

    Args:
        workers: The slots of a run, the baseline twice.
        progress: Tells a person.
        invocations: Fresh sets of processes.
        seconds: Time for taking samples.
    """
    request = Request("doctor", CASES, tuple(workers), invocations, seconds)
    began = time.perf_counter()
    with TemporaryDirectory() as folder:
        run = measure(request, Path(folder) / "doctor", datetime.now(UTC), progress)
        stored = store.load(Path(folder) / "doctor")
    measured = Measured(
        time.perf_counter() - began,
        clock_step_ns(),
        {
            case_text(result.case): noise_floor(result.again)
            for result in analyse_stored(stored).results
            if result.case.phase in PHASES
        },
    )
    before = run.environment
    return findings(before, run.environment_after or before, measured, before.workers)


def clock_step_ns() -> int:
    """Return the smallest step of Python's clock that readings in a row show."""
    readings = [time.perf_counter_ns() for _ in range(CLOCK_READINGS)]
    return min((b - a for a, b in pairwise(readings) if b > a), default=0)
