"""The variables that fix thread counts: a leaf, as they must be set before NumPy is imported."""

from __future__ import annotations


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that fix the threads of every implementation before it starts."""
    names = (
        "OPENBLAS_NUM_THREADS",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "MOJO_IMPL_THREADS",
    )
    return dict.fromkeys(names, str(threads))
