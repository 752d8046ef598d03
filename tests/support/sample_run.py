"""Makes a run from known truth, as if it had been measured: for tests of what is made from runs.

The noise has the two levels of a real machine: each process has its own speed, each reading some
more. Written by the file formats of docs/design.md, not by the code under test.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.model.arithmetic import flops, triad_bytes
from bench.model.cases import case_id, problem_id
from bench.model.presets import cases_of
from bench.model.records import (
    BREAKDOWN,
    OVERHEADS,
    PHASES,
    PROBES,
    Case,
    Cost,
    DType,
    Environment,
    FairnessCheck,
    Fault,
    ParityResult,
    Phase,
    Plan,
    Problem,
    Request,
    Run,
    Sample,
    TensorCheck,
    WorkerSpec,
)
from bench.model.slots import slots_of

SEED_NETWORK = Problem((1, *[50] * 9, 1), 20, 500, "float64", 1)
SMALL = Problem((64, 128, 128, 10), 32, 2048, "float64", 1)
LARGE = Problem((784, 512, 512, 10), 128, 4096, "float64", 1)
NETWORKS = (
    ((1, *[50] * 9, 1), 20, 500),
    ((1, *[150] * 9, 1), 20, 500),
    ((64, 128, 128, 10), 32, 2048),
    ((784, 512, 512, 10), 128, 4096),
    ((1024, 1024, 1024, 1024), 256, 2048),
)
TENSORS = (
    "initial weights[0]",
    "initial biases[0]",
    "activations[0]",
    "activations[1]",
    "y_hat",
    "loss",
    "grads_w[0]",
    "grads_b[0]",
    "stepped weights[0]",
    "stepped biases[0]",
    "training_loss",
)
SLOTS = (
    WorkerSpec("numpy", "numpy", "baseline"),
    WorkerSpec("numpy-again", "numpy", "again"),
    WorkerSpec("mojo", "mojo", "candidate"),
)


def problems(*dtypes: DType) -> tuple[Problem, ...]:
    """All networks in these dtypes."""
    return tuple(Problem(*network, dtype, 1) for network in NETWORKS for dtype in dtypes)


@dataclass(frozen=True)
class Truth:
    """What a run is to show."""

    problems: Sequence[Problem] = (SEED_NETWORK, SMALL)
    ratios: Mapping[str, float] = field(default_factory=dict)  # by case id
    ratio: float = 2.0  # of all other cases
    process_spread: float = 0.004
    reading_spread: float = 0.01
    invocations: int = 12
    rounds: int = 4
    failed: Sequence[Problem] = ()  # parity
    faults: Sequence[Fault] = ()
    training_epochs: int = 60
    training_apart: float = 1e-13
    costs: Sequence[Cost] = ()
    meters: bool = False  # whether the system was asked what it did meanwhile
    parts: bool = False  # whether parts of phases were timed; the candidate fuses its own
    probes: bool = False  # whether the machine was probed, on one thread and on two
    name: str = "sample"
    command: str = "bench run --preset quick"
    machine: Mapping[str, Any] = field(
        default_factory=lambda: {"cpu": "Example CPU 9000", "cores": 2, "system": "Linux 6.1"}
    )
    changes: Mapping[str, Any] = field(default_factory=dict)  # of fields of Run
    variants: Mapping[str, float] = field(
        default_factory=dict
    )  # ratio by candidate, if not mojo only
    gaps: Collection[tuple[str, str]] = ()  # candidate and id of a case in which it takes no part


def slots_in(truth: Truth, case: Case | None = None) -> tuple[WorkerSpec, ...]:
    """Who took part in the run, or in one case of it."""
    variants = tuple(WorkerSpec(name, name, "candidate") for name in truth.variants)
    slots = (*SLOTS[:2], *variants) if variants else SLOTS
    if case is None:
        return slots
    name = case_id(case)
    return tuple(
        slot for slot in slots_of(case, slots) if (slot.implementation, name) not in truth.gaps
    )


def cases_in(truth: Truth) -> tuple[Case, ...]:
    """What the run measured."""
    return cases_of(truth.problems, probes=truth.probes, cores=2, parts=truth.parts)


LADDER = Truth(
    problems=(SEED_NETWORK, SMALL, LARGE),
    variants={
        **{"python": 0.004, "numpy-tuned": 1.2, "mojo-port": 0.3, "mojo-simd": 1.0, "mojo": 2.0},
        **{"mojo-max": 1.8, "mojo-exe": 2.02, "numba": 1.1, "jax": 0.8, "torch": 0.7},
        **{"torch-autograd": 0.4, "torch-compile": 0.5, "sklearn": 0.2},
    },
    gaps={
        *(("python", case_id(Case(phase, one))) for phase in PHASES for one in (SMALL, LARGE)),
        *(("mojo-port", case_id(Case(phase, LARGE))) for phase in PHASES),
        *(("sklearn", case_id(Case(phase, one)))
          for phase in PHASES[:2] for one in (SEED_NETWORK, SMALL, LARGE)),
    },
    name="ladder",
    training_epochs=20,
)  # fmt: skip
"""Every variant: two stop at some size, and one has an epoch only."""


def make_run(truth: Truth) -> Run:
    """Plan and environment of the run."""
    cases = cases_in(truth)
    request = Request(
        preset="quick",
        cases=cases,
        workers=slots_in(truth),
        invocations=truth.invocations,
        training_epochs=truth.training_epochs,
    )
    names = [case_id(case) for case in cases]
    plan = Plan(request, dict.fromkeys(names, truth.rounds), dict.fromkeys(names, 10))
    described = {
        slot.label: {
            "implementation": slot.implementation,
            "language": "Mojo" if slot.implementation.startswith("mojo") else "Python",
            "versions": {"mojo": "1.2.0"}
            if slot.implementation.startswith("mojo")
            else {"python": "3.11.9", "numpy": "2.4.6"},
            "threads": 1,
            "denormals": "kept",
            "facts": {"target cpu": "example"}
            if slot.implementation.startswith("mojo")
            else {"blas": "openblas 0.3.30", "blas core type": "Example"},
        }
        for slot in slots_in(truth)
    }
    environment = Environment(
        dict(truth.machine), {"python": "3.11.9", "numpy": "2.4.6"}, described, {"sinc-n500": "ab"}
    )
    fields = {
        "name": truth.name,
        "started": "2026-11-03T10:00:00Z",
        "command": truth.command,
        "plan": plan,
        "environment": environment,
        "environment_after": environment,
        "status": "finished",
    }
    return Run(**(fields | dict(truth.changes)))


def make_samples(truth: Truth) -> list[Sample]:
    """Readings with the truth's ratios under two levels of noise."""
    random = np.random.default_rng(7)
    samples = []
    for invocation in range(truth.invocations):
        for case in cases_in(truth):
            slots = slots_in(truth, case)
            speeds = np.exp(random.normal(0, truth.process_spread, len(slots)))
            for turn in range(truth.rounds + 1):
                for position, slot in enumerate(slots):
                    noise = np.exp(abs(random.normal(0, truth.reading_spread)))
                    elapsed = time_ns(truth, case, slot) * speeds[position] * noise
                    at_ns = len(samples) * 1000
                    reading = position, 10, round(10 * elapsed), at_ns, turn == 0
                    lost = turn == 1 and invocation < 2
                    said = round(10 * elapsed * (0.9 if lost else 1)), int(lost), 20
                    meters = said if truth.meters else (None, None, None)
                    name = case_id(case)
                    samples.append(Sample(name, slot.label, invocation, turn, *reading, *meters))
    return samples


def time_ns(truth: Truth, case: Case, slot: WorkerSpec) -> float:
    """True time of one repetition."""
    if case.phase in OVERHEADS:
        return {"call": 90.0, "timer": 45.0}[case.phase]
    if case.phase in PROBES:
        return flops(case) / 100 / case.problem.threads or triad_bytes(case) / 20
    if case.phase in BREAKDOWN:
        return time_breakdown_ns(truth, case, slot)
    time = 20_000 + flops(case) / (20 if case.problem.dtype == "float64" else 40)
    if slot.role == "candidate":
        ratio = truth.variants.get(slot.implementation, truth.ratio)
        time /= truth.ratios.get(case_id(case), ratio)
    return time


def time_breakdown_ns(truth: Truth, case: Case, slot: WorkerSpec) -> float:
    """True time of a part: shares of the phase for the baseline, next to nothing if fused."""
    if case.phase in ("loss", "shuffle"):
        return {"loss": 400.0, "shuffle": 6000.0}[case.phase]
    fused = slot.role == "candidate"
    phase, _, part = case.phase.partition("-")
    of: Phase = "epoch" if phase == "epoch" else "backprop" if phase != "forward" else "forward"
    whole = time_ns(truth, Case(of, case.problem), slot)
    if phase == "step":
        return whole * (0.94 if fused else 0.95)
    share = {"products": 0.95 if fused else 0.5, "work": 0.95 if fused else 0.8, "floor": 0.05}
    return whole * share[part]


def make_parity(truth: Truth) -> list[ParityResult]:
    """One result per problem, the second-last gradient wrong where parity is to fail."""
    found = []
    for problem in truth.problems:
        wrong = problem in truth.failed
        checks = tuple(
            TensorCheck(
                name,
                (20, 50),
                0.0 if "initial" in name else 3e-7 if wrong and name == "grads_w[0]" else 2e-14,
                0.0 if "initial" in name else 1e-12,
                ok=not (wrong and name == "grads_w[0]"),
            )
            for name in TENSORS
        )
        reason = "grads_w[0] differs by 3.0e-07, tolerance 1.0e-12" if wrong else ""
        cases = [case for case in cases_of([problem]) if case.phase in PHASES]
        candidates = {
            slot.implementation: 1 for case in cases for slot in slots_in(truth, case)[2:]
        }
        found += [
            ParityResult(problem_id(problem), "numpy", name, checks, reason) for name in candidates
        ]
    return found


def make_contract(truth: Truth) -> list[FairnessCheck]:
    """A few lines that were kept, and a broken one for each problem that failed parity."""
    found = []
    for problem in truth.problems:
        found.append(FairnessCheck(problem_id(problem), "threads", "1"))
        failed = "mojo holds other data than numpy" if problem in truth.failed else ""
        found.append(FairnessCheck(problem_id(problem), "inputs", "sha256 ab12", failed))
    for first in [case_id(case) for case in cases_of(truth.problems)][:1]:
        found += [FairnessCheck(first, "cores", f"{label}: 1.00") for label in ("numpy", "mojo")]
    return found


def make_training(truth: Truth) -> dict[str, np.ndarray[Any, Any]]:
    """Losses that fall, curves near the sinc, the candidate a hair beside the baseline."""
    random = np.random.default_rng(11)
    batches = 25
    steps = np.arange(truth.training_epochs * batches)
    loss = 4 * np.exp(-steps / 200) + 0.01 * np.exp(random.normal(0, 0.4, len(steps)))
    X = random.uniform(-6, 6, (500, 1))
    grid = np.linspace(-6, 6, 241)[:, np.newaxis]
    curve = np.sinc(grid) + 2 + 0.05 * np.sin(5 * grid)
    apart = 1 + truth.training_apart * np.linspace(0, 1, len(steps)) * random.normal(
        size=len(steps)
    )
    return {
        "X": X,
        "y": np.sinc(X) + 2 + random.normal(0, 0.001, X.shape),
        "numpy/training_loss": loss,
        "numpy/validation_loss": loss * 1.1,
        "numpy/grid": grid,
        "numpy/curve": curve,
        "mojo/training_loss": loss * apart,
        "mojo/validation_loss": loss * 1.1 * apart,
        "mojo/grid": grid,
        "mojo/curve": curve + truth.training_apart,
    }


def write_run(folder: Path, truth: Truth | None = None) -> Path:
    """Write the run's files into a folder and return it."""
    truth = truth or Truth()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_bytes(msgspec.json.encode(make_run(truth)))
    for name, records in (
        ("samples", make_samples(truth)),
        ("parity", make_parity(truth)),
        ("contract", make_contract(truth)),
        ("faults", truth.faults),
        ("costs", truth.costs),
    ):
        lines = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
        (folder / f"{name}.jsonl").write_bytes(lines)
    if truth.training_epochs:
        np.savez(folder / "training.npz", **make_training(truth))
    return folder
