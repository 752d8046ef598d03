"""Wrong and unfair implementations, made on purpose: `bench validate` shows that each is refused.

Each is NumPy's with one fault. `FAULTS` says by which words of which check it must be refused; the
twin without a fault must pass. No benchmark uses them.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.model.records import PHASES, DType, Phase, Problem
from bench.workers.implementations.drivers import Array, Network, NumPy
from python_impl import MLP

HELPERS = 15
"""Threads that an unfair implementation starts beside its own: enough to get more than a core also
where other processes want the cores."""


def problem_of(dtype: DType = "float64") -> Problem:
    """Return the problem on which faults are shown: square in the middle, an epoch of 5 batches."""
    return Problem((16, 64, 64, 4), 32, 160, dtype, 1)


class Faulty(NumPy):
    """NumPy with another class of network."""

    network: type[MLP] = MLP

    def create(self, problem: Problem, *, max_epochs: int = 1, seed: int = 1) -> Network:
        """Make a network with fresh weights from the seed."""
        return self.network(
            problem.layer_sizes,
            max_epochs=max_epochs,
            batch_size=problem.batch_size,
            seed=seed,
            dtype=problem.dtype,
        )


class Twin(Faulty):
    """Has no fault."""


class _Transposed(MLP):
    def backprop(self, y: Array) -> tuple[list[Array], list[Array]]:
        grads_w, grads_b = super().backprop(y)
        return [g.T.copy() if g.shape[0] == g.shape[1] else g for g in grads_w], grads_b


class TransposedGradient(Faulty):
    """Returns the gradients of square layers transposed."""

    network = _Transposed


class _NoBias(MLP):
    def backprop(self, y: Array) -> tuple[list[Array], list[Array]]:
        grads_w, grads_b = super().backprop(y)
        return grads_w, [np.zeros_like(g) for g in grads_b]


class MissingBiasGradient(Faulty):
    """Leaves out the gradients of the biases."""

    network = _NoBias


class _Swallowing(MLP):
    def forward(self, X: Array) -> Array:
        return super().forward(np.nan_to_num(X))


class SwallowedNaN(Faulty):
    """Takes NaN for 0 and infinity for a large number."""

    network = _Swallowing


class _Leaking(MLP):
    @property
    def activations(self) -> tuple[Array, ...]:
        first, *others = super().activations
        return first, *(a * np.float64(1) for a in others)


class Float64Leak(Faulty):
    """Lets one careless scalar turn float32 into float64."""

    network = _Leaking


class _Open(MLP):
    def forward(self, X: Array) -> Array:
        y_hat = super().forward(X)
        # `>= 0` of what the ReLU let through, where `> 0` of what came in was meant.
        self._pre_activations = [np.ones_like(z) for z in self._pre_activations]
        return y_hat


class WrongDerivative(Faulty):
    """Takes the derivative of the ReLU for 1 everywhere."""

    network = _Open


class _Short(MLP):
    def _epoch(self, X: Array, y: Array, validation: Any, training: Any, check: Any) -> None:
        training[-1] = 0
        super()._epoch(X, y, validation, training[:-1], check)


class SkippedLastBatch(Faulty):
    """Leaves out the last batch of every epoch."""

    network = _Short


class _Ordered(MLP):
    def _epoch(self, *arguments: Any) -> None:
        kept, self._random = self._random, _NoRandom()  # type: ignore[assignment]
        super()._epoch(*arguments)
        self._random = kept


class _NoRandom:
    def shuffle(self, order: Array) -> None:
        """Leave the order as it is."""


class NoShuffle(Faulty):
    """Takes the rows in the order in which they come."""

    network = _Ordered


class _OneMore(MLP):
    def _epoch(self, X: Array, y: Array, *arguments: Any) -> None:
        super()._epoch(X, y, *arguments)
        self.forward(X[: self.batch_size])
        self.step(*self.backprop(y[: self.batch_size]))
        self._activations = []


class OneExtraStep(Faulty):
    """Takes one step more at the end of every epoch."""

    network = _OneMore


class _Stale(MLP):
    def reset(self) -> None:
        super().reset()
        self._first = [w.copy() for w in self._weights]

    def backprop(self, y: Array) -> tuple[list[Array], list[Array]]:
        now, self._weights = self._weights, self._first
        gradients = super().backprop(y)
        self._weights = now
        return gradients


class StaleWeights(Faulty):
    """Goes backwards through the weights as they were at first."""

    network = _Stale


class _Flushing(MLP):
    def forward(self, X: Array) -> Array:
        tiny = np.abs(X) < np.finfo(X.dtype).smallest_normal
        return super().forward(np.where(tiny, X.dtype.type(0), X))


class FlushedSubnormals(Faulty):
    """Takes numbers below the smallest normal one for 0, as compilers' fast modes do."""

    network = _Flushing


class _Known(MLP):
    def forward(self, X: Array) -> Array:
        y_hat = super().forward(X)
        fresh = MLP(self.layer_sizes, seed=1, batch_size=self.batch_size, dtype=self.dtype.name)
        untrained = not any(b.any() for b in self._biases)
        if untrained and len(X) == self.batch_size:
            y_hat = fresh.forward(X)
            self._activations, self._pre_activations = fresh._activations, fresh._pre_activations
        return y_hat


class HardCodedAnswer(Faulty):
    """Knows the answer for the weights of one seed, and gives it for any."""

    network = _Known


class _Strided(MLP):
    @property
    def weights(self) -> tuple[Array, ...]:
        return tuple(np.asfortranarray(w) for w in super().weights)

    @weights.setter
    def weights(self, arrays: Any) -> None:
        self._weights = [np.array(w) for w in arrays]


class OtherLayout(Faulty):
    """Keeps its weights column by column."""

    network = _Strided


class UnusedOutput(Faulty):
    """Times nothing: what nobody uses was optimised away; the result is made after the clock."""

    def time(self, phase: Phase, loops: int, *rest: Any) -> int:
        """Time an empty loop in place of `forward`."""
        if phase != "forward":
            return super().time(phase, loops, *rest)
        super().time(phase, 1, *rest)
        start = time.perf_counter_ns()
        for _ in range(loops):
            pass
        return time.perf_counter_ns() - start


class DoneOnce(Faulty):
    """Computes once however often it is asked to: the result is the same."""

    def time(self, phase: Phase, loops: int, *rest: Any) -> int:
        """Time a single repetition of `forward` and `backprop`."""
        loops = loops if phase not in ("forward", "backprop") else 1
        return super().time(phase, loops, *rest)


class SlowClock(Faulty):
    """Has a clock that passes at three fifths of the speed."""

    def time(self, *arguments: Any, **options: Any) -> int:
        """Time a phase, and understate it."""
        return super().time(*arguments, **options) * 3 // 5


class TimedWithoutBiases(Faulty):
    """Leaves the biases as they are where it is timed; where it is looked at all is well."""

    def time(self, phase: Phase, loops: int, network: Any, *rest: Any) -> int:
        """Time a phase; put the biases back after an epoch."""
        biases = network.biases
        elapsed = super().time(phase, loops, network, *rest)
        if phase == "epoch":
            network.biases = list(biases)
        return elapsed


class ExtraThreads(Faulty):
    """Keeps other threads at work while it is timed, where one is allowed."""

    def time(self, *arguments: Any, **options: Any) -> int:
        """Time a phase beside threads that compute."""
        going, block = True, bytes(1 << 22)

        def work() -> None:
            while going:
                hashlib.sha256(block)  # without Python's lock

        helpers = [threading.Thread(target=work) for _ in range(HELPERS)]
        for helper in helpers:
            helper.start()
        try:
            return super().time(*arguments, **options)
        finally:
            going = False
            for helper in helpers:
                helper.join()


class MoreThreads(Faulty):
    """Has two threads where one was asked for."""

    def describe(self) -> dict[str, Any]:
        """Tell so."""
        return {**super().describe(), "threads": 2}


class OtherRounding(Faulty):
    """Sets the processor to round towards zero."""

    def describe(self) -> dict[str, Any]:
        """Change the mode, as a library may when it is loaded."""
        towards_zero = 0xC00 if platform.machine() in ("x86_64", "AMD64") else 0xC00000
        ctypes.CDLL(None).fesetround(towards_zero)
        return super().describe()


@dataclass(frozen=True, slots=True)
class Seeded:
    """A fault and what must be said of it."""

    make: Callable[[], Faulty]
    phase: Phase  # in which it would count
    words: str  # that stand in the reason
    dtype: DType = "float64"

    @property
    def name(self) -> str:
        """Name of the class."""
        return getattr(self.make, "__name__", "")


TWINS = tuple(Seeded(Twin, phase, "") for phase in PHASES)
"""What must pass."""
FAULTS = (
    Seeded(TransposedGradient, "backprop", "grads_w[1] of"),
    Seeded(MissingBiasGradient, "backprop", "grads_b[0] of"),
    Seeded(WrongDerivative, "backprop", "grads_w[0] of"),
    Seeded(SwallowedNaN, "forward", "has NaN in other places"),
    Seeded(Float64Leak, "forward", "is float64, not float32", "float32"),
    Seeded(FlushedSubnormals, "forward", "subnormal"),
    Seeded(HardCodedAnswer, "forward", "another seed: "),
    Seeded(SkippedLastBatch, "epoch", "training_loss of"),
    Seeded(NoShuffle, "epoch", "training_loss[0] of"),
    Seeded(OneExtraStep, "epoch", "training_loss of"),
    Seeded(StaleWeights, "epoch", "training_loss of"),
    Seeded(TimedWithoutBiases, "epoch", "timed: biases[0] of"),
    Seeded(OtherLayout, "forward", "layout: "),
    Seeded(UnusedOutput, "forward", "rate: "),
    Seeded(DoneOnce, "forward", "repetitions: "),
    Seeded(SlowClock, "forward", "clock: "),
    Seeded(ExtraThreads, "epoch", "cores: "),
    Seeded(MoreThreads, "forward", "was started with 1 threads and has 2"),
    Seeded(OtherRounding, "forward", "rounding: "),
)
"""Every fault, by the words that refuse it."""
