"""What a class of yours imports to take part: docs/adding-an-implementation.md.

A thin door: everything is defined in `bench.workers.implementations`.
"""

from bench.model.records import Phase, Problem
from bench.model.threads import threads_asked
from bench.workers.implementations.drivers import (
    Implementation,
    Mojo,
    Network,
    NumPy,
    blas_facts,
    denormals,
)
from bench.workers.implementations.python_clock import Array, Calls, TimedByPython

__all__ = [
    "Array",
    "Calls",
    "Implementation",
    "Mojo",
    "Network",
    "NumPy",
    "Phase",
    "Problem",
    "TimedByPython",
    "blas_facts",
    "denormals",
    "threads_asked",
]
