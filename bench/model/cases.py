"""The matrix: networks, presets, and a case's id, display text and file name in one place.

Pure: no files, no clocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from bench.model.errors import UsageError
from bench.model.records import (
    BREAKDOWN,
    PHASES,
    Case,
    Phase,
    Problem,
)

Network = tuple[tuple[int, ...], int, int]
"""Layer sizes, batch size, training rows."""

# The seed network first, then wider ones.
NETWORKS: tuple[Network, ...] = (
    ((1, *[50] * 9, 1), 20, 500),
    ((1, *[150] * 9, 1), 20, 500),
    ((64, 128, 128, 10), 32, 2048),
    ((784, 512, 512, 10), 128, 4096),
    ((1024, 1024, 1024, 1024), 256, 2048),
    ((1024, 4096, 4096, 1024), 256, 1024),
)


def format_layers(sizes: Sequence[int]) -> str:
    """Write layer sizes the short way: `1,50x9,1`."""
    parts = []
    for size, run in groupby(sizes):
        count = len(list(run))
        parts.append(f"{size}x{count}" if count > 1 else str(size))
    return ",".join(parts)


def parse_layers(text: str) -> tuple[int, ...]:
    """Read layer sizes as `format_layers` writes them.

    Raises:
        UsageError: for anything but two or more sizes of 1 and above.
    """
    sizes: list[int] = []
    for part in text.replace(" ", "").split(","):
        size, _, count = part.partition("x")
        if not (size.isdecimal() and (count.isdecimal() or "x" not in part)):
            raise UsageError(f"layer sizes {text!r}: {part!r} is not a size; write 1,50x9,1")
        sizes.extend([int(size)] * (int(count) if count else 1))
    if len(sizes) < 2 or min(sizes) < 1:
        raise UsageError(f"layer sizes {text!r}: two or more sizes of at least 1 are needed")
    return tuple(sizes)


_OF_A_NETWORK: tuple[Phase, ...] = (*PHASES, "peak", *BREAKDOWN)  # `peak` is taken beside each


def problem_id(problem: Problem) -> str:
    """Name a problem: `1-50x9-1/b20/n500/f64/t1`."""
    layers = format_layers(problem.layer_sizes).replace(",", "-")
    bits = problem.dtype.removeprefix("float")
    return f"{layers}/b{problem.batch_size}/n{problem.rows}/f{bits}/t{problem.threads}"


def case_id(case: Case) -> str:
    """Name a case: `epoch/1-50x9-1/b20/n500/f64/t1`; what no network is needed for, `call/t1`."""
    if case.phase not in _OF_A_NETWORK:
        return f"{case.phase}/t{case.problem.threads}"
    return f"{case.phase}/{problem_id(case.problem)}"


def network_text(problem: Problem) -> str:
    """Say which network, for people: `1,50x9,1 batch 20`; rows where they are not usual."""
    name = f"{format_layers(problem.layer_sizes)} batch {problem.batch_size}"
    usual = _usual(problem.layer_sizes, problem.batch_size)[2]
    return name if problem.rows == usual else f"{name}, {problem.rows} rows"


def _usual(sizes: tuple[int, ...], batch_size: int) -> Network:
    """Return the network of the matrix with these sizes, or what others get."""
    known = {network[0]: network for network in NETWORKS}
    return known.get(sizes, (sizes, batch_size, 25 * max(20, batch_size)))


def case_text(case: Case) -> str:
    """Say which case, for people: `epoch · 1,50x9,1 batch 20 · float64 · 1 thread`."""
    threads = case.problem.threads
    end = f"{threads} thread{'s' if threads != 1 else ''}"
    if case.phase not in _OF_A_NETWORK:
        return f"{case.phase} · {end}"
    return f"{case.phase} · {network_text(case.problem)} · {case.problem.dtype} · {end}"


def file_stem(identifier: str) -> str:
    """Turn an id into a file name without its ending."""
    return identifier.replace("/", "_")
