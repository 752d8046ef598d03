"""Timing by Python's clock around Python calls: shared by all that are called from Python.

Nothing is computed here and nothing decided: an implementation says by `Calls` what is called and
what with, and inherits the rest.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.model.errors import UsageError
from bench.model.records import PARTS, PHASES, PROBES, WIDTH_ONE, Phase, Problem

Array = NDArray[Any]


class Timer(Protocol):
    """What times a phase: an `Implementation` of `bench.implementations`."""

    def time(
        self,
        phase: Phase,
        loops: int,
        network: Any,
        X: Array,
        y: Array,
        batch_size: int,
        result: Array | None = None,
    ) -> int:
        """Repeat a phase `loops` times and return the nanoseconds of all of them together."""
        ...


@dataclass(frozen=True, slots=True)
class Calls:
    """What is called under the clock, and how NumPy's arrays become its own and come back.

    `given` and `taken` are called outside the clock: a library that has arrays of its own is timed
    on them, as its users hold them, and what it returns must be computed by then.
    """

    forward: Callable[[Any], Any]
    backprop: Callable[[Any], Any]  # returns weight gradients and bias gradients, layer by layer
    epoch: Callable[[Any, Any, NDArray[np.float64]], object]  # X, y, the losses to fill in
    given: Callable[[Array], Any] = lambda array: array
    taken: Callable[[Any], Array] = np.asarray


class TimedByPython(ABC):
    """An implementation whose methods Python calls, timed by Python's monotonic clock."""

    name = ""
    language = "Python"
    phases: tuple[Phase, ...] = PHASES
    """Those that it offers; of others parity asks for nothing."""

    @abstractmethod
    def mlp(self) -> Callable[..., Any]:
        """Return the class of the network, importing all that it needs."""

    def load(self) -> None:
        """Import all that is needed."""
        self.mlp()

    def create(self, problem: Problem, *, max_epochs: int = 1, seed: int = 1) -> Any:
        """Make a network with fresh weights from the seed."""
        return self.mlp()(
            problem.layer_sizes,
            max_epochs=max_epochs,
            batch_size=problem.batch_size,
            seed=seed,
            dtype=problem.dtype,
        )

    def calls(self, network: Any) -> Calls:
        """Say what is timed of a network."""
        nothing = np.empty(0)
        return Calls(
            network.forward,
            network.backprop,
            lambda X, y, losses: network._epoch(X, y, None, losses, nothing),
        )

    def crossing(self) -> Callable[[Array], object]:
        """Return what takes an array over and does nothing else: the floor of a call."""
        return _nothing

    def time(
        self,
        phase: Phase,
        loops: int,
        network: Any,
        X: Array,
        y: Array,
        batch_size: int,
        result: Array | None = None,
    ) -> int:
        """Repeat a phase `loops` times by Python's monotonic clock."""
        if phase in PROBES:
            raise UsageError(f"{self.name} has no probe of the machine, so no {phase!r}")
        if phase in WIDTH_ONE:
            return time_overhead(self, phase, loops, network, X, y, batch_size)
        if phase in PARTS:
            return self.time_part(phase, loops, network, X, y, batch_size)
        clock = time.perf_counter_ns
        turns = range(loops)
        if phase == "call":
            return time_calls(self.crossing(), X[:batch_size], loops)
        if phase == "timer":
            start = clock()
            for _ in turns:
                clock()
                clock()
            return clock() - start
        calls = self.calls(network)
        given, taken = calls.given, calls.taken
        if phase == "epoch":
            losses, epoch = np.empty(len(X) // batch_size), calls.epoch
            X, y = given(X), given(y)
            start = clock()
            for _ in turns:
                epoch(X, y, losses)
            return clock() - start
        forward, X_batch = calls.forward, given(X[:batch_size])
        if phase == "forward":
            # Every result is dropped before the next is made, as by a caller in a loop; the last
            # one is kept past the clock.
            start = clock()
            for _ in range(loops - 1):
                forward(X_batch)
            y_hat = forward(X_batch)
            elapsed_ns = clock() - start
            if result is not None:
                result[:] = taken(y_hat).ravel()
            return elapsed_ns
        backprop, y_batch = calls.backprop, given(y[:batch_size])
        forward(X_batch)
        start = clock()
        for _ in range(loops - 1):
            backprop(y_batch)
        gradients = backprop(y_batch)
        elapsed_ns = clock() - start
        if result is not None:
            pairs = zip(*gradients, strict=True)
            result[:] = np.concatenate([taken(g).ravel() for pair in pairs for g in pair])
        return elapsed_ns

    def time_part(
        self, phase: Phase, loops: int, network: Any, X: Array, y: Array, batch_size: int
    ) -> int:
        """Time a part of a phase: of the baseline alone."""
        raise UsageError(f"{self.name} does not time parts of phases, so no {phase!r}")


def time_overhead(
    mine: Timer,
    phase: Phase,
    loops: int,
    network: Any,
    X: Array,
    y: Array,
    batch_size: int,
) -> int:
    """Time a phase of a network as deep and one wide, on as many batches of one row each.

    It learns nothing (a rate of 0): the work is the same, and no number runs away.
    """
    batches = len(X) // batch_size
    narrow = type(network)(
        (1,) * len(network.layer_sizes),
        learning_rate=0.0,
        batch_size=1,
        seed=1,
        dtype=network.dtype.name,
    )
    X, y = (np.ascontiguousarray(array[:batches, :1]) for array in (X, y))
    of: dict[Phase, Phase] = {
        "forward-floor": "forward",
        "backprop-floor": "backprop",
        "epoch-floor": "epoch",
    }
    return mine.time(of[phase], loops, narrow, X, y, 1)


def time_calls(call: Callable[[Array], object], X: Array, loops: int) -> int:
    """Call something with an array so often; return the nanoseconds of all calls together."""
    turns = range(loops)
    start = time.perf_counter_ns()
    for _ in turns:
        call(X)
    return time.perf_counter_ns() - start


def time_repeated(work: Callable[[], object], loops: int) -> int:
    """Do some work so often; return the nanoseconds of all of it together."""
    turns = range(loops)
    start = time.perf_counter_ns()
    for _ in turns:
        work()
    return time.perf_counter_ns() - start


def _nothing(X: Array) -> None:
    """Take an array and do nothing: the floor of a Python call."""
