"""Tells what is not the same in two stored runs, and what of it forbids to compare them. Pure.

Machine and settings must agree: else a change would be theirs. Versions, the commit and compiler
flags are what one usually compares; they are told. Where they make the baseline another one, a
change of the ratio to it is about both sides, and that is told too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.model.records import Run, WorkerSpec
from bench.model.slots import group_of

OF_MACHINE = (
    *("cpu", "architecture", "extensions", "logical cores", "physical cores", "cores allowed"),
    *("core quota", "caches", "hypervisor", "governor", "turbo", "transparent huge pages"),
    "address randomisation",
)
"""What makes it another machine, or the same one set otherwise. Load, steal and pressure are not
here: they never agree, and `bench doctor` judges them."""
TOLD_OF_MACHINE = ("memory", "system")
"""The size of the memory moves a little with the system's version, which is a version."""
OF_WORKERS = ("threads", "denormals")
OF_FACTS = ("blas core type", "blas changed by", "mojo target cpu")
"""Settings that come from outside; all other facts of a worker are told."""

UNKNOWN = "unavailable"
NOT_RECORDED = "not recorded"


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that is not the same in both runs."""

    name: str
    a: str
    b: str

    def __str__(self) -> str:
        return self.text("A", "B")

    def text(self, a: str, b: str) -> str:
        """Tell it of two runs that go by these names."""
        return f"{self.name}: {self.a} in {a}, {self.b} in {b}"


@dataclass(frozen=True, slots=True)
class Differences:
    """What is not the same in both runs, apart from the readings."""

    obstacles: tuple[str, ...]  # why they may not be compared; empty if they may
    told: tuple[Difference, ...]
    of_baseline: tuple[Difference, ...]  # those of `told` that make the baseline another one


def differences(a: Run, b: Run, names: tuple[str, str] = ("A", "B")) -> Differences:
    """Find what is not the same in two runs.

    Args:
        a: The one.
        b: The other.
        names: What they go by in the obstacles.

    A fact that one run knows and the other does not cannot be shown to agree: it counts as not the
    same. One that neither knows counts as the same.
    """
    obstacles: list[Any] = []
    if a.source != b.source:
        obstacles.append(Difference("taken by", a.source, b.source))
    if a.plan.request.seed != b.plan.request.seed:
        seeds = str(a.plan.request.seed), str(b.plan.request.seed)
        obstacles.append(Difference("seed of weights and batches", *seeds))
    data = a.environment.data, b.environment.data
    obstacles += _unlike(*data, [name for name in data[0] if name in data[1]], "checksum of ")
    machines = a.environment.machine, b.environment.machine
    obstacles += _unlike(*machines, OF_MACHINE)
    obstacles += [*_moved(names[0], a), *_moved(names[1], b)]
    obstacles += _slots(a, b)
    told = [Difference("command", a.command, b.command)] if a.command != b.command else []
    told += _unlike(*machines, TOLD_OF_MACHINE)
    told += _unlike(a.environment.software, b.environment.software)
    of_baseline: list[Difference] = []
    baseline = next(spec.label for spec in b.plan.workers if spec.role == "baseline")
    described = _described(a), _described(b)
    for slot in (slot for slot in described[0] if slot in described[1]):
        mine, other = (one[slot] for one in described)
        facts = _part(mine, "facts"), _part(other, "facts")
        prefix = f"{slot[0]}: "
        obstacles += _unlike(mine, other, OF_WORKERS, prefix)
        obstacles += _unlike(*facts, OF_FACTS, prefix)
        own = _unlike(_part(mine, "versions"), _part(other, "versions"), None, prefix)
        own += _unlike(*facts, [n for n in (*facts[0], *facts[1]) if n not in OF_FACTS], prefix)
        told += own
        of_baseline += own if slot[0] == baseline else []
    return Differences(
        tuple(
            dict.fromkeys(
                one.text(*names) if isinstance(one, Difference) else str(one) for one in obstacles
            )
        ),
        tuple(dict.fromkeys(told)),
        tuple(dict.fromkeys(of_baseline)),
    )


def _described(run: Run) -> dict[tuple[str, int], Mapping[str, Any]]:
    """Sort what the workers said of themselves by label and the threads they were to have.

    The second slot of the baseline is left out: the same program, started the same way.
    """
    counts = list(dict.fromkeys(case.problem.threads for case in run.plan.cases))
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    for threads in counts:
        cases = [case for case in run.plan.cases if case.problem.threads == threads]
        for spec in group_of(cases, run.plan.workers):  # a probe starts the prober alone
            if spec.role == "again":
                continue
            more = f", {threads} threads" if threads != counts[0] else ""
            found[spec.label, threads] = run.environment.workers.get(f"{spec.label}{more}", {})
    return found


def _part(described: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = described.get(name)
    return part if isinstance(part, dict) else {}


def _unlike(
    a: Mapping[str, Any], b: Mapping[str, Any], names: Iterable[str] | None = None, prefix: str = ""
) -> list[Difference]:
    """List what differs, among some names or all."""
    found = []
    for name in dict.fromkeys((*a, *b) if names is None else names):
        one, other = (str(side.get(name, NOT_RECORDED)) for side in (a, b))
        if one != other and not (_unknown(one) and _unknown(other)):
            found.append(Difference(f"{prefix}{name}", one, other))
    return found


def _unknown(text: str) -> bool:
    return text == NOT_RECORDED or text.startswith(UNKNOWN)


def _moved(name: str, run: Run) -> list[str]:
    """Say what of the machine changed while a run was measured."""
    if run.environment_after is None:
        return []
    machines = run.environment.machine, run.environment_after.machine
    return [
        f"{one.name} changed while {name} was measured: {one.a} before, {one.b} after"
        for one in _unlike(*machines, OF_MACHINE)
    ]


def _slots(a: Run, b: Run) -> list[Difference]:
    """Find slots that are filled otherwise, and whether a pair to compare is there at all."""
    slots = [{spec.label: spec for spec in run.plan.workers} for run in (a, b)]
    found = [
        Difference(label, *(_who(s[label]) for s in slots))
        for label in slots[0]
        if label in slots[1] and _who(slots[0][label]) != _who(slots[1][label])
    ]
    for role in ("baseline", "candidate"):
        labels = [[spec.label for spec in run.plan.workers if spec.role == role] for run in (a, b)]
        if not set(labels[0]) & set(labels[1]):
            found.append(Difference(f"{role} by its label", *map(", ".join, labels)))
    return found


def _who(spec: WorkerSpec) -> str:
    return f"{spec.implementation} as {spec.role}"
