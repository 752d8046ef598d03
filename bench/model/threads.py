"""How many threads there may be, and the variables that fix their number.

A leaf, as those must be set before NumPy is imported.
"""

from __future__ import annotations

import os


def cores() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that fix the threads of every implementation before it starts."""
    names = (
        "OPENBLAS_NUM_THREADS",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "MOJO_IMPL_THREADS",
    )
    return dict.fromkeys(names, str(threads))


def threads_asked() -> int:
    """Tell how many threads `thread_environment` allows this process; 1 where it did not say."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) else 1
