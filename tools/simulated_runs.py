"""Simulated runs with known ratios, to test and to measure the store of many runs.

The true ratio of a machine in a case is a number for the case, times the effect of its vectors and
its cache, times a factor of its own. Noise has two levels, as on real machines: from process to
process and from reading to reading. Some machines are too noisy for a verdict; some fail parity.
The files are those of docs/design.md, written fast enough for 10,000,000 readings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from bench.model.arithmetic import flops
from bench.model.cases import NETWORKS, Network, case_id, problem_id
from bench.model.presets import cases_of
from bench.model.records import (
    OVERHEADS,
    PHASES,
    Case,
    Environment,
    ParityResult,
    Plan,
    Problem,
    Request,
    Run,
    TensorCheck,
    WorkerSpec,
)

SLOTS = (
    WorkerSpec("numpy", "numpy", "baseline"),
    WorkerSpec("numpy-again", "numpy", "again"),
    WorkerSpec("mojo", "mojo", "candidate"),
)
KINDS: tuple[tuple[str, str, str, int, int, int], ...] = (
    ("Example A", "x86_64", "sse4_2 avx avx2 fma", 256, 8, 4),
    ("Example B", "x86_64", "sse4_2 avx avx2 fma", 512, 16, 8),
    ("Example C", "x86_64", "sse4_2 avx avx2 fma avx512f avx512vl", 1024, 32, 16),
    ("Example D", "x86_64", "sse4_2 avx avx2 fma avx512f avx512vl", 2048, 64, 64),
    ("Example E", "aarch64", "asimd", 1024, 32, 32),
    ("Example F", "x86_64", "sse4_2", 256, 4, 2),
)
"""Processor, architecture, extensions, L2 in KiB, L3 in MiB, cores."""
OF_PHASE = {"forward": 1.3, "backprop": 1.2, "epoch": 1.6}
INVOCATIONS, ROUNDS, FLOOR_ROUNDS = 10, 20, 8
PROCESS_SPREAD, READING_SPREAD, OWN_SPREAD = 0.004, 0.01, 0.05
NOISY_EVERY, NOISY_SPREAD = 25, 0.6
BROKEN_EVERY = 40


@dataclass(frozen=True, slots=True)
class Simulated:
    """A simulated machine and its true ratios."""

    number: int
    networks: tuple[Network, ...] = NETWORKS[:5]
    invocations: int = INVOCATIONS

    @property
    def kind(self) -> tuple[str, str, str, int, int, int]:
        """Processor and the like."""
        return KINDS[self.number % len(KINDS)]

    @property
    def noisy(self) -> bool:
        """Whether it is too noisy for a verdict."""
        return self.number % NOISY_EVERY == NOISY_EVERY - 1

    @property
    def broken(self) -> Problem | None:
        """The problem that fails parity there, if one does."""
        fails = self.number % BROKEN_EVERY == BROKEN_EVERY - 1
        return Problem(*self.networks[0], "float64", 1) if fails else None

    def true_ratio(self, case: Case) -> float:
        """Return the ratio that its readings vary around."""
        if case.phase in OVERHEADS:
            return 1.0
        _, _, extensions, l2_kib, _, _ = self.kind
        of_size = 2.6 * flops(Case("forward", case.problem)) ** -0.06
        of_vectors = 1.15 if "avx512f" in extensions else 1.0
        own = np.random.default_rng((2, self.number)).normal(0, OWN_SPREAD)
        cache = (l2_kib / 512) ** 0.05
        return float(OF_PHASE[case.phase] * of_size * of_vectors * cache * math.exp(own))


def simulated_run(machine: Simulated) -> Run:
    """Make plan and environment of its run."""
    cpu, architecture, extensions, l2_kib, l3_mib, cores = machine.kind
    problems = [Problem(*network, "float64", 1) for network in machine.networks]
    cases = cases_of(problems)
    facts = {
        "cpu": f"{cpu}{machine.number:04}",
        "architecture": architecture,
        "extensions": extensions,
        "logical cores": 2 * cores,
        "physical cores": cores,
        "cores allowed": 2 * cores,
        "caches": f"L1 data 32K, L1 instruction 32K, L2 unified {l2_kib}K, L3 unified {l3_mib}M",
        "memory": f"{4 * cores}.0 GiB",
        "system": "Linux 6.1",
        "load": "0.10 0.20 0.30",
    }
    software = {"python": "CPython 3.12.1", "numpy": "2.4.6", "mojo": "1.2.0"}
    described = {
        slot.label: {
            "implementation": slot.implementation,
            "versions": {slot.implementation: software[slot.implementation]},
            "threads": 1,
            "facts": {"blas": "openblas 0.3.31"} if slot.implementation == "numpy" else {},
        }
        for slot in SLOTS
    }
    minute = machine.number % 1440
    return Run(
        name=f"simulated-{machine.number}",
        started=f"2026-11-{1 + machine.number % 28:02}T{minute // 60:02}:{minute % 60:02}:00+00:00",
        command="python -m tools.archive_scale",
        plan=Plan(
            Request("default", cases, SLOTS, machine.invocations),
            {case_id(c): FLOOR_ROUNDS if c.phase in OVERHEADS else ROUNDS for c in cases},
            {case_id(c): 10 for c in cases},
        ),
        environment=Environment(facts, software, described, {"data": "ab"}),
        status="finished",
    )


def write_simulated(folder: Path, machine: Simulated) -> int:
    """Write the run of a machine; the folder is made. Returns the number of its readings."""
    run = simulated_run(machine)
    folder.mkdir(parents=True)
    (folder / "run.json").write_bytes(msgspec.json.encode(run))
    lines = _lines(run, machine)
    (folder / "samples.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(lines))
    problems = dict.fromkeys(case.problem for case in run.plan.cases)
    parity = [_parity(problem, ok=problem != machine.broken) for problem in problems]
    (folder / "parity.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(parity))
    for name in ("contract.jsonl", "faults.jsonl", "costs.jsonl"):
        (folder / name).touch()
    return len(lines)


def _lines(run: Run, machine: Simulated) -> Sequence[dict[str, object]]:
    random = np.random.default_rng((1, machine.number))
    spread = NOISY_SPREAD if machine.noisy else PROCESS_SPREAD
    lines: list[dict[str, object]] = []
    for invocation in range(run.plan.invocations):
        for case in run.plan.cases:
            name = case_id(case)
            rounds = run.plan.rounds[name] + 1
            each = _time_ns(machine, case) * np.exp(random.normal(0, spread, len(SLOTS)))
            noise = np.exp(np.abs(random.normal(0, READING_SPREAD, (rounds, len(SLOTS)))))
            times = (10 * each * noise).astype(np.int64).tolist()
            lines += [
                {
                    "case": name,
                    "worker": slot.label,
                    "invocation": invocation,
                    "round": turn,
                    "position": position,
                    "loops": 10,
                    "elapsed_ns": times[turn][position],
                    "at_ns": 1_000_000 * (len(lines) + turn),
                    "warmup": turn == 0,
                    "cpu_ns": times[turn][position],
                    "preempted": 0,
                    "page_faults": 0,
                }
                for turn in range(rounds)
                for position, slot in enumerate(SLOTS)
            ]
    return lines


def _time_ns(machine: Simulated, case: Case) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the true time of one repetition by slot."""
    baseline = 90.0 if case.phase in OVERHEADS else 20_000 + flops(case) / 20
    return np.array([baseline, baseline, baseline / machine.true_ratio(case)])


def _parity(problem: Problem, *, ok: bool) -> ParityResult:
    error = 0.1 if ok else 30.0
    check = TensorCheck("y_hat", (problem.batch_size,), error, 1.0, ok)
    reason = "" if ok else "y_hat differs: error 30, tolerance 1"
    return ParityResult(problem_id(problem), "numpy", "mojo", (check,), reason)


def true_ratios(machine: Simulated) -> dict[str, float]:
    """Return the true ratio of every case of its run, by case id."""
    cases = simulated_run(machine).plan.cases
    return {case_id(case): machine.true_ratio(case) for case in cases if case.phase in PHASES}
