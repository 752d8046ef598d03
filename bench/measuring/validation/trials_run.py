"""Puts the harness itself to the test: false verdicts, coverage, power, seeded faults.

Runs the harness as users do, on what is known beforehand; what it finds is judged against the goals
of `GOALS` and written by `bench.measuring.validation.page`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.analysis.run_analysis import analyse_stored
from bench.analysis.verdicts import LEAST_FOR_VERDICT
from bench.measuring.run_state import Edges, Progress
from bench.measuring.runner import measure
from bench.measuring.validation import other_tools as rivals
from bench.measuring.validation.seeded_faults import FAULTS, TWINS, Seeded, problem_of
from bench.measuring.validation.simulation import MODELS, Model, Share, coverage
from bench.measuring.validation.slowed import HANDICAPS
from bench.measuring.validation.trials import (
    AGAIN,
    BASELINE,
    CASES,
    ITSELF,
    SLOWED,
    Detected,
    FalseClaims,
    detected,
    false_claims,
    trials,
)
from bench.model.errors import UsageError
from bench.model.presets import cases_of
from bench.model.records import Case, Environment, Request, WorkerSpec
from bench.storage import runs as store
from bench.storage.runs import Stored

COMMAND = "bench validate"
PARTS = ("coverage", "faults", "claims", "power")


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is done."""

    simulated: int  # runs of each model
    claims: int  # trials of each size and neighbourhood, A/A
    power: int  # trials of each slowdown
    rivals: int  # trials of each other tool, of each size and neighbourhood
    seconds: float = 0.6  # of an invocation of three slots, their start included


SHORT = Extent(simulated=4_000, claims=10, power=5, rivals=0)
LONG = Extent(simulated=20_000, claims=100, power=40, rivals=4, seconds=0.3)


@dataclass(frozen=True, slots=True)
class Claims:
    """What was claimed of NumPy against itself, in one size and one neighbourhood."""

    size: str  # of `bench.measuring.validation.trials.CASES`
    neighbour: str  # "idle" or "busy"
    ours: FalseClaims
    rivals: dict[str, Share]  # by tool: how often it would have told the two apart


@dataclass(frozen=True, slots=True)
class Refusal:
    """What became of a seeded fault; the twin without one has no words."""

    name: str
    about: str
    words: str  # that the reason must hold
    reason: str  # why its case is INVALID; empty if it is not

    @property
    def ok(self) -> bool:
        """Whether it was refused for the right reason, or rightly not at all."""
        return self.words in self.reason if self.words else not self.reason


@dataclass(frozen=True, slots=True)
class Validity:
    """All that was found."""

    extent: Extent
    environment: Environment
    minutes: float
    coverage: list[tuple[Model, Share]] = field(default_factory=list)
    claims: list[Claims] = field(default_factory=list)
    power: list[tuple[str, Detected]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def validate(
    extent: Extent,
    progress: Progress,
    edges: Edges | None = None,
    parts: Sequence[str] = PARTS,
) -> Validity:
    """Do everything, or some parts of it.

    Args:
        extent: How much.
        progress: Tells a person.
        edges: The world, unless a test has another.
        parts: Which of `PARTS`.
    """
    edges = edges or Edges()
    began_ns = edges.clock_ns()
    environment = edges.environment()
    covered = _coverage(extent, progress) if "coverage" in parts else []
    refused = refusals(progress, edges, (*TWINS, *FAULTS)) if "faults" in parts else []
    power = _power(extent, progress, edges) if "power" in parts else []
    claims = [
        _claims(extent, size, neighbour, progress, edges)
        for neighbour in ("idle", "busy")
        for size in ("tiny", "middle")
        if "claims" in parts
    ]
    minutes = (edges.clock_ns() - began_ns) / 60e9
    return Validity(extent, environment, minutes, covered, claims, power, refused)


def _coverage(extent: Extent, progress: Progress) -> list[tuple[Model, Share]]:
    progress.stage("coverage, simulated", len(MODELS))
    found = []
    for model in MODELS:
        found.append((model, coverage(model, extent.simulated)))
        progress.advance(1)
    return found


def refusals(progress: Progress, edges: Edges, faults: Sequence[Seeded]) -> list[Refusal]:
    """Run seeded faults, or twins without one, and say what became of each."""
    found = []
    progress.stage("seeded faults", len(faults))
    for fault in faults:
        candidate = WorkerSpec(
            "candidate", f"bench.measuring.validation.seeded_faults:{fault.name}", "candidate"
        )
        # Mojo's worker holds the probe of the machine's peak.
        slots = (BASELINE, AGAIN, candidate, WorkerSpec("mojo", "mojo", "candidate"))
        case = Case(fault.phase, problem_of(fault.dtype))
        stored = run_of(case, slots, 1, 0.05, _Quiet(progress), edges)
        first, *_ = analyse_stored(stored).results
        invalid = first.verdict is not None and first.verdict.kind == "INVALID"
        about = (fault.make.__doc__ or "").strip()
        reason = first.verdict.reason if invalid and first.verdict else ""
        found.append(Refusal(fault.name, about, fault.words, reason))
        progress.advance(1)
    return found


def run_of(
    case: Case,
    slots: tuple[WorkerSpec, ...],
    invocations: int,
    seconds: float,
    progress: Progress,
    edges: Edges,
) -> Stored:
    """Make a run of one case and return it; nothing of it is kept."""
    cases = tuple(one for one in cases_of([case.problem], (case.phase,)) if one == case)
    request = Request("validate", cases, slots, invocations, seconds)
    with TemporaryDirectory() as folder:
        measure(request, Path(folder) / "run", datetime.now(UTC), progress, edges, command=COMMAND)
        return store.load(Path(folder) / "run")


def _sound(stored: Stored) -> Stored:
    """Return a run in which nothing went wrong.

    Raises:
        UsageError: Something did: there is nothing to count.
    """
    for fault in stored.faults:
        raise UsageError(f"cannot be put to the test: {fault.case}: {fault.worker}: {fault.reason}")
    return stored


def _claims(extent: Extent, size: str, neighbour: str, progress: Progress, edges: Edges) -> Claims:
    """Take trials in blocks, and after each block one of every other tool."""
    case, blocks = CASES[size], max(1, extent.rivals)
    parts: list[Stored] = []
    told_apart: dict[str, list[bool]] = {}
    with _neighbour(neighbour == "busy"), TemporaryDirectory() as folder:
        for block in range(blocks):
            progress.stage(f"{size}, {neighbour}, {block + 1} of {blocks}", 1)
            count = (block + 1) * extent.claims // blocks - block * extent.claims // blocks
            invocations = count * LEAST_FOR_VERDICT
            seconds = invocations * extent.seconds
            parts.append(_sound(run_of(case, ITSELF, invocations, seconds, progress, edges)))
            if extent.rivals:
                for name, differs in _rivals().items():
                    progress.now(f"{name} on the same case")
                    told_apart.setdefault(name, []).append(differs(case, Path(folder)))
    found = [result for part in parts for result in trials(part, ITSELF[-1].label)]
    shares = {name: Share(sum(said), len(said)) for name, said in told_apart.items()}
    return Claims(size, neighbour, false_claims(found), shares)


def _rivals() -> dict[str, Callable[[Case, Path], bool]]:
    found: dict[str, Callable[[Case, Path], bool]] = {
        "pytest-benchmark": rivals.pytest_benchmark_differs
    }
    if rivals.has_pyperf():
        found["pyperf"] = rivals.pyperf_differs
    return found


def _power(extent: Extent, progress: Progress, edges: Edges) -> list[tuple[str, Detected]]:
    """Time NumPy against itself slowed by known shares, all in the same invocations."""
    case = CASES["least"]
    progress.stage("power", 1)
    invocations = extent.power * LEAST_FOR_VERDICT
    seconds = 1.5 * invocations * extent.seconds
    stored = _sound(run_of(case, SLOWED, invocations, seconds, progress, edges))
    return [
        ("least", detected(stored.run, trials(stored, kind.__name__), kind.share))
        for kind in HANDICAPS
    ]


@contextmanager
def _neighbour(busy: bool) -> Iterator[None]:
    """Keep one core busy meanwhile, if asked to."""
    if not busy:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


class _Quiet:
    """Hands on what is being done, but no stages and no notes: faults are what is wanted."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def stage(self, name: str, total: float) -> None:
        """Keep it back."""

    def now(self, text: str) -> None:
        """Hand it on."""
        self._progress.now(text)

    def advance(self, amount: float) -> None:
        """Keep it back."""

    def note(self, text: str) -> None:
        """Keep it back."""
