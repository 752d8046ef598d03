"""Which implementations exist and how each is driven: prepare, compute, time. No policy.

A worker process holds one `Implementation`. `numpy` is timed by Python's clock around Python
calls, `mojo` by Mojo's clock around Mojo calls: each in its own language.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bench.cases import PEAK_FLOPS, TRIAD_ELEMENTS
from bench.entry_points import registered
from bench.errors import UsageError
from bench.records import PARTS, PROBES, WIDTH_ONE, Phase, Problem

Array = NDArray[Any]


class Network(Protocol):
    """The class that every implementation offers; `python_impl.MLP` documents it."""

    weights: Any
    biases: Any

    @property
    def activations(self) -> tuple[Array, ...]: ...  # noqa: D102
    def reset(self) -> None: ...  # noqa: D102
    def forward(self, X: Array) -> Array: ...  # noqa: D102
    def backprop(self, y: Array) -> tuple[list[Array], list[Array]]: ...  # noqa: D102
    def step(self, grads_w: list[Array], grads_b: list[Array]) -> None: ...  # noqa: D102
    def loss(self, y: Array, y_hat: Array) -> float: ...  # noqa: D102
    def predict(self, X: Array) -> Array: ...  # noqa: D102
    def fit(self, *data: Any, **options: Any) -> Any: ...  # noqa: D102


class Implementation(Protocol):
    """What a worker drives."""

    name: str
    language: str

    def create(self, problem: Problem, *, max_epochs: int = 1, seed: int = 1) -> Network:
        """Make a network with fresh weights from the seed."""
        ...

    def time(
        self,
        phase: Phase,
        loops: int,
        network: Network,
        X: Array,
        y: Array,
        batch_size: int,
        result: Array | None = None,
    ) -> int:
        """Repeat a phase `loops` times and return the nanoseconds of all of them together.

        What the last repetition computed goes to `result` where one is given: of `forward` the
        outputs, of `backprop` the gradients, weights and bias of the first layer, of the second,
        and so on, in one dimension. An epoch leaves its result in the weights.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Tell versions, confirmed threads, denormal mode and other facts that must match."""
        ...


BLAS_VARIABLES = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "OPENBLAS_BLOCK_FACTOR",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR",
    "BLIS_ARCH_TYPE",
)
"""What makes a BLAS use other kernels or blocks than it would choose for this machine."""


class NumPy:
    """The baseline: `python_impl`, idiomatic NumPy."""

    name = "numpy"
    language = "Python"

    def load(self) -> None:
        """Import all that is needed; NumPy itself is there, as every worker needs it."""
        import python_impl.network  # noqa: F401  # to load it is all

    def create(self, problem: Problem, *, max_epochs: int = 1, seed: int = 1) -> Network:
        """Make a network with fresh weights from the seed."""
        from python_impl import MLP

        return _create(MLP, problem, max_epochs, seed)

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
            return _time_floor(self, phase, loops, network, X, y, batch_size)
        if phase in PARTS:
            return _time_part(phase, loops, network, X, y, batch_size)
        X_batch, y_batch = X[:batch_size], y[:batch_size]
        clock = time.perf_counter_ns
        turns = range(loops)
        if phase == "forward":
            # Every result is dropped before the next is made, as by a caller in a loop; the last
            # one is kept past the clock.
            start = clock()
            for _ in range(loops - 1):
                network.forward(X_batch)
            y_hat = network.forward(X_batch)
            elapsed_ns = clock() - start
            if result is not None:
                result[:] = y_hat.ravel()
            return elapsed_ns
        if phase == "backprop":
            network.forward(X_batch)
            start = clock()
            for _ in range(loops - 1):
                network.backprop(y_batch)
            gradients = network.backprop(y_batch)
            elapsed_ns = clock() - start
            if result is not None:
                result[:] = np.concatenate([g.ravel() for pair in zip(*gradients) for g in pair])  # noqa: B905
            return elapsed_ns
        if phase == "epoch":
            losses, none = np.empty(len(X) // batch_size), np.empty(0)
            start = clock()
            for _ in turns:
                network._epoch(X, y, None, losses, none)
            return clock() - start
        if phase == "call":
            return _time_calls(_nothing, X_batch, loops)
        start = clock()
        for _ in turns:
            clock()
            clock()
        return clock() - start

    def describe(self) -> dict[str, Any]:
        """Tell the BLAS that NumPy loaded, its core type, what changes it, and its threads."""
        import threadpoolctl

        np.ones((2, 2)) @ np.ones((2, 2))  # loads the BLAS
        pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        tiny = np.array([5e-324]) * 1.0
        facts = {
            "blas": ", ".join(
                f"{pool['internal_api']} {pool.get('version', '')}".strip() for pool in pools
            )
            or "unavailable (none found by threadpoolctl)",
            "blas core type": ", ".join(str(pool.get("architecture", "unknown")) for pool in pools)
            or "unavailable (none found by threadpoolctl)",
            "blas changed by": ", ".join(
                f"{name}={os.environ[name]}" for name in BLAS_VARIABLES if os.environ.get(name)
            )
            or "nothing",
            "allocation": "idiomatic: NumPy allocates each result",
        }
        return {
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
            "threads": max((pool["num_threads"] for pool in pools), default=1),
            "denormals": "kept" if tiny[0] > 0 else "flushed",
            "facts": facts,
        }


class Mojo:
    """The candidate: `mojo_impl`, compiled Mojo."""

    name = "mojo"
    language = "Mojo"

    def load(self) -> None:
        """Import all that is needed; the compiled library is part of it."""
        import mojo_impl.machine
        import mojo_impl.network  # noqa: F401  # to load it is all

    def create(self, problem: Problem, *, max_epochs: int = 1, seed: int = 1) -> Network:
        """Make a network with fresh weights from the seed."""
        from mojo_impl import MLP

        return _create(MLP, problem, max_epochs, seed)

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
        """Repeat a phase `loops` times by Mojo's monotonic clock; `call` crosses from Python."""
        import mojo_impl

        if phase == "call":
            return _time_calls(mojo_impl.nothing, X[:batch_size], loops)
        if phase in PROBES:
            amount = TRIAD_ELEMENTS.get(phase, PEAK_FLOPS)
            return mojo_impl.time_probe(phase, network.dtype.name, amount, loops)
        if phase in WIDTH_ONE:
            return _time_floor(self, phase, loops, network, X, y, batch_size)
        return mojo_impl.time_phase(network, phase, loops, X, y, result)

    def describe(self) -> dict[str, Any]:
        """Tell what the library was compiled for and how."""
        import mojo_impl

        return dict(mojo_impl.describe())


def _create(MLP: Callable[..., Network], problem: Problem, max_epochs: int, seed: int) -> Network:
    return MLP(
        problem.layer_sizes,
        max_epochs=max_epochs,
        batch_size=problem.batch_size,
        seed=seed,
        dtype=problem.dtype,
    )


IMPLEMENTATIONS: dict[str, Callable[[], Implementation]] = {"numpy": NumPy, "mojo": Mojo}
BASELINE = "numpy"


def implementation(name: str) -> Implementation:
    """Return an implementation by name, or by where its class is: `package.module:Class`.

    The names are ours, and those of the entry points that other packages bring.

    Raises:
        UsageError: There is none of this name, or no such class.
    """
    module, colon, attribute = name.partition(":")
    if colon:
        try:
            found = getattr(import_module(module), attribute)()
        except (ImportError, ValueError, AttributeError) as error:
            raise UsageError(f"implementation {name!r} cannot be made: {error}") from None
        return cast("Implementation", found)
    if name in IMPLEMENTATIONS:
        return IMPLEMENTATIONS[name]()
    if name not in known():
        there = ", ".join(known())
        raise UsageError(f"no implementation is called {name!r}; there are: {there}")
    point = registered()[name]
    try:
        return cast("Implementation", point.load()())
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"implementation {name!r} is registered as {point.value} and cannot be made: {error}"
        ) from None


def known() -> tuple[str, ...]:
    """Name all implementations: ours, and those that other packages register."""
    return tuple(dict.fromkeys((*IMPLEMENTATIONS, *registered())))


def thread_count() -> int:
    """Count the threads of this process as the system sees them; 0 where it does not say."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208
    except OSError:
        return 0


def _nothing(X: Array) -> None:
    """Take an array and do nothing: the floor of a Python call."""


def _time_part(phase: Phase, loops: int, network: Any, X: Array, y: Array, batch_size: int) -> int:
    """Time a part of a phase of a network in NumPy, its memory made before."""
    from python_impl.parts import Parts

    part = Parts(network, X, y, batch_size).by_name()[phase]
    turns = range(loops)
    start = time.perf_counter_ns()
    for _ in turns:
        part()
    return time.perf_counter_ns() - start


def _time_floor(
    mine: Implementation,
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


def _time_calls(call: Callable[[Array], object], X: Array, loops: int) -> int:
    turns = range(loops)
    start = time.perf_counter_ns()
    for _ in turns:
        call(X)
    return time.perf_counter_ns() - start
