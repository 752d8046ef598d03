"""Workers that only pretend, and a clock that only they move: for tests of the runner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.measuring.run_state import Edges
from bench.measuring.runner import measure
from bench.model.errors import WorkerError
from bench.model.presets import cases_of
from bench.model.records import Environment, Phase, Problem, Request, Run, WorkerSpec
from bench.storage.runs import Stored, load
from bench.workers.datasets import data_folder
from bench.workers.tensor_files import write

SLOTS = (
    WorkerSpec("numpy", "numpy", "baseline"),
    WorkerSpec("numpy-again", "numpy", "again"),
    WorkerSpec("mojo", "mojo", "candidate"),
)
SMALL = Problem((1, 4, 1), 5, 20, "float64", 1)
WIDE = Problem((1, 8, 1), 5, 20, "float64", 1)
START_NS = 1000
EACH_NS = {"numpy": 400_000, "mojo": 200_000}
NOW = datetime(2026, 11, 3, 10, tzinfo=UTC)


@dataclass
class Event:
    """One request to one worker."""

    worker: str
    group: int  # which start of that slot it was
    op: str
    fields: dict[str, Any]
    answer: dict[str, Any] = field(default_factory=dict)  # what is to be answered otherwise


@dataclass
class World:
    """Workers that pretend, a clock, and a list of all that happened."""

    folder: Path
    trouble: Callable[[Event], object] = lambda event: None
    each_ns: Mapping[str, int] = field(default_factory=lambda: EACH_NS)
    y_hat: Mapping[str, float] = field(default_factory=lambda: {"numpy": 1.0, "mojo": 1.0})
    describes: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    footprint: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    slots: list[Actor] = field(default_factory=list)
    now_ns: int = 0

    def edges(self) -> Edges:
        return Edges(
            start=lambda spec, variables: Actor(self, spec, variables),
            clock_ns=lambda: self.now_ns,
            sleep=self.pauses.append,
            environment=lambda: Environment({"cpu": "pretended"}, {}),
            data_folder=lambda problem: data_folder(problem, self.folder / "data"),
            footprint=lambda name, isa: self.footprint.get(name, {}),
        )

    def run(self, request: Request) -> tuple[Run, Stored]:
        path = self.folder / "run"
        run = measure(request, path, NOW, self, self.edges())
        return run, load(path)

    def asked(self, op: str) -> list[Event]:
        return [event for event in self.events if event.op == op]

    # Progress

    def stage(self, name: str, total: float) -> None:
        self.stages.append(name)

    def now(self, text: str) -> None:
        assert text

    def advance(self, amount: float) -> None:
        assert amount > 0

    def note(self, text: str) -> None:
        self.notes.append(text)


class Actor:
    """A slot that pretends."""

    def __init__(self, world: World, spec: WorkerSpec, variables: Mapping[str, str]) -> None:
        self.world = world
        self.spec = spec
        self.threads = int(variables["MOJO_IMPL_THREADS"])
        self.number = sum(slot.spec == spec for slot in world.slots)
        self.ended = False
        self.dtype = ""
        world.slots.append(self)
        world.now_ns += START_NS

    def ask(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        assert not self.ended
        assert timeout_s >= 60
        event = Event(self.spec.label, self.number, op, fields)
        self.world.events.append(event)
        self.world.trouble(event)
        op = event.op
        answer: dict[str, Any] = {}
        if op == "describe":
            answer = {"threads": self.threads, "denormals": "kept", "facts": {}}
            answer["rounding"] = "to nearest"
            answer |= self.world.describes.get(self.spec.label, {})
        elif op == "sample":
            answer["elapsed_ns"] = fields["loops"] * self.world.each_ns[self.spec.implementation]
            answer |= dict.fromkeys(("wall_ns", "cpu_ns"), answer["elapsed_ns"])
            self.world.now_ns += answer["elapsed_ns"]
        elif op == "prepare":
            self.dtype = fields["problem"]["dtype"]
        elif op == "tensors":
            y_hat = np.full(3, self.world.y_hat[self.spec.implementation], self.dtype)
            write(Path(fields["folder"]), {"y_hat": y_hat})
            answer = {"inputs": "12ab34cd", "layout": "dense, C order"}
        elif op == "train":
            write(Path(fields["folder"]), {"training_loss": np.ones(fields["epochs"])})
        return answer | event.answer

    def end(self) -> None:
        self.ended = True


def request_of(
    *problems: Problem,
    phases: tuple[Phase, ...] = ("forward",),
    floors: bool = False,
    invocations: int = 3,
    seconds: float = 0.0,
    training_epochs: int = 0,
    seed: int = 0,
    cost_rounds: int = 0,
) -> Request:
    cases = cases_of(problems, phases)
    if not floors:
        cases = tuple(case for case in cases if case.phase in phases)
    asked = Request("quick", cases, SLOTS, invocations, seconds, training_epochs, seed)
    return replace(asked, cost_rounds=cost_rounds)


def dies(event: Event) -> None:
    raise WorkerError(event.worker, f"died during {event.op} (signal SIGSEGV)")
