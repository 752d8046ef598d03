"""Which implementations exist and how each is driven: prepare, compute, time. No policy.

A worker process holds one `Implementation`. `numpy` is timed by Python's clock around Python
calls, `mojo` by Mojo's clock around Mojo calls: each in its own language.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bench.model.arithmetic import PEAK_FLOPS, TRIAD_ELEMENTS
from bench.model.errors import UsageError
from bench.model.records import PARTS, PROBES, WIDTH_ONE, Phase, Problem
from bench.model.registry import VARIANTS, missing
from bench.workers.implementations.names import registered
from bench.workers.implementations.python_clock import (
    TimedByPython,
    time_calls,
    time_overhead,
    time_repeated,
)

if TYPE_CHECKING:  # to import it is part of what `load` does
    from python_impl.parts import Parts

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


class NumPy(TimedByPython):
    """The baseline: `python_impl`, idiomatic NumPy."""

    name = "numpy"

    _parts: Parts | None = None  # of the network whose parts were timed last, while they are

    def mlp(self) -> Callable[..., Network]:
        """Return the class of the network; NumPy is there, as every worker needs it."""
        from python_impl import MLP

        return MLP

    def time(self, phase: Phase, *rest: Any) -> int:
        """Repeat a phase `loops` times; parts keep their memory until something else is timed."""
        if phase not in PARTS:
            self._parts = None
        return super().time(phase, *rest)

    def time_part(
        self, phase: Phase, loops: int, network: Any, X: Array, y: Array, batch_size: int
    ) -> int:
        """Time a part of a phase, in memory that stays until something else is timed."""
        from python_impl.parts import Parts

        if self._parts is None or not self._parts.are_of(network, X, y, batch_size):
            self._parts = Parts(network, X, y, batch_size)
        return time_repeated(self._parts.by_name()[phase], loops)

    def describe(self) -> dict[str, Any]:
        """Tell the BLAS that NumPy loaded, its core type, what changes it, and its threads."""
        np.ones((2, 2)) @ np.ones((2, 2))  # loads the BLAS
        facts, threads = blas_facts()
        return {
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
            "threads": threads,
            "denormals": denormals(),
            "facts": {**facts, "allocation": "idiomatic: NumPy allocates each result"},
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

        network: Network = MLP(
            problem.layer_sizes,
            max_epochs=max_epochs,
            batch_size=problem.batch_size,
            seed=seed,
            dtype=problem.dtype,
        )
        return network

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
            return time_calls(mojo_impl.nothing, X[:batch_size], loops)
        if phase in PROBES:
            amount = TRIAD_ELEMENTS.get(phase, PEAK_FLOPS)
            return mojo_impl.time_probe(phase, network.dtype.name, amount, loops)
        if phase in WIDTH_ONE:
            return time_overhead(self, phase, loops, network, X, y, batch_size)
        return mojo_impl.time_phase(network, phase, loops, X, y, result)

    def describe(self) -> dict[str, Any]:
        """Tell what the library was compiled for and how."""
        import mojo_impl

        return dict(mojo_impl.describe())


def blas_facts() -> tuple[dict[str, str], int]:
    """Tell which BLAS this process has loaded, what changes it, and the most threads of any."""
    import threadpoolctl

    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    pools.sort(key=lambda pool: str(pool["filepath"]))  # the order of loading is not the same twice
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
    }
    return facts, max((pool["num_threads"] for pool in pools), default=1)


def denormals(times: Callable[[Array, float], Any] = lambda tiny, one: tiny * one) -> str:
    """Say what becomes of the smallest number: "kept" or "flushed".

    Args:
        times: Multiplies an array by a number, as the implementation does.
    """
    return "kept" if np.asarray(times(np.array([5e-324]), 1.0))[0] > 0 else "flushed"


IMPLEMENTATIONS: dict[str, Callable[[], Implementation]] = {"numpy": NumPy, "mojo": Mojo}
"""The two that every copy of the project can run; `bench.model.registry` has all variants."""


def implementation(name: str) -> Implementation:
    """Return an implementation by name, or by where its class is: `package.module:Class`.

    The names are ours, and those of the entry points that other packages bring.

    Raises:
        UsageError: There is none of this name, it lacks a package, or there is no such class.
    """
    if name not in known() and ":" not in name:
        there = ", ".join(known())
        raise UsageError(f"no implementation is called {name!r}; there are: {there}")
    variant = VARIANTS.get(name)
    if variant is not None and (words := missing(variant)):
        raise UsageError(words)
    if variant is not None and variant.program:
        raise UsageError(f"{name} is a program and no class: it takes part as a worker only")
    point = None if variant or ":" in name else registered()[name]
    try:
        if point is not None:
            return cast("Implementation", point.load()())
        module, _, attribute = (variant.where if variant else name).partition(":")
        return cast("Implementation", getattr(import_module(module), attribute)())
    except (ImportError, ValueError, AttributeError) as error:
        how = f" is registered as {point.value} and" if point is not None else ""
        raise UsageError(f"implementation {name!r}{how} cannot be made: {error}") from None


def known() -> tuple[str, ...]:
    """Name all implementations: ours, and those that other packages register."""
    return tuple(dict.fromkeys((*VARIANTS, *registered())))


def thread_count() -> int:
    """Count the threads of this process as the system sees them; 0 where it does not say."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208
    except OSError:
        return 0
