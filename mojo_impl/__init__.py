"""The multi-layer perceptron in Mojo, compiled to a Python extension: the candidate.

The first use of a name below compiles the library if it is not there yet; `import mojo_impl` alone
does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mojo_impl.machine import (
        describe,
        get_threads,
        nothing,
        set_threads,
        time_phase,
        time_probe,
    )
    from mojo_impl.network import MLP, History

__all__ = [
    "MLP",
    "History",
    "describe",
    "get_threads",
    "nothing",
    "set_threads",
    "time_phase",
    "time_probe",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module("mojo_impl.network" if name in ("MLP", "History") else "mojo_impl.machine")
    globals()[name] = getattr(home, name)  # so that the next look finds it at once
    return globals()[name]
