"""What is specific to this network, for all who plan, measure, judge and show: the seam.

The runner, the statistics, the store and the report ask here, and in `bench.model.cases` for names
and arithmetic; they know nothing of layers and batches themselves (`tests/model/test_workload.py`
holds this). Another workload would bring its own of these, of the data (`bench.workers.datasets`),
of the tensors that are compared (`bench.workers.tensor_files`, `bench.workers.tensors`,
`bench.workers.parity`) and of the worker. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from bench.model.cases import format_layers
from bench.model.records import Problem

Axis = Literal["width", "depth", "batch", "rows"]
AXES: tuple[Axis, ...] = ("width", "depth", "batch", "rows")
"""What can be swept by itself; the first two over hidden layers that are all alike."""

Check = Callable[[str, int, int], None]


def batches_of(problem: Problem) -> int:
    """Count the steps of training in one epoch: its full batches."""
    return problem.rows // problem.batch_size


def problem_label(problem: Problem) -> str:
    """Name a problem in as few letters as tell it from others of its dtype: `1,50x9,1 b20`."""
    return f"{format_layers(problem.layer_sizes)} b{problem.batch_size}"


def columns_of(problem: Problem) -> dict[str, Any]:
    """Return a problem as columns of a table, beside dtype and threads; units in their names."""
    return {
        "layer_sizes": ",".join(map(str, problem.layer_sizes)),
        "batch_size_rows": problem.batch_size,
        "data_rows": problem.rows,
    }


def check_problem(problem: Problem, check: Check) -> None:
    """Hold the numbers of a problem from a file to what they may be.

    Args:
        problem: Whose.
        check: Raises if a number is not what it may be; takes its name, it, and the least.
    """
    check("layers", len(problem.layer_sizes), 2)
    for size in problem.layer_sizes:
        check("layer_sizes", size, 1)
    check("batch_size", problem.batch_size, 1)
    check("rows", problem.rows, problem.batch_size)
    check("threads", problem.threads, 1)


def along(axis: Axis, problem: Problem) -> tuple[int, Problem]:
    """Return where a problem lies on an axis, 0 for nowhere, and what it is apart from that."""
    return _ALONG[axis](problem)


def rest_text(axis: Axis, rest: Problem) -> str:
    """Say what the problems of a sweep share, besides dtype and threads.

    Args:
        axis: What was swept.
        rest: The second of what `along` returns.
    """
    first, *hidden, last = rest.layer_sizes
    layers = f"{len(hidden)} hidden layer{'s' if len(hidden) != 1 else ''}"
    shape = {
        "width": f"{layers}, {first} in and {last} out",
        "depth": f"hidden layers of {hidden[0] if hidden else 0}, {first} in and {last} out",
    }.get(axis, format_layers(rest.layer_sizes))
    parts = [shape]
    parts += [f"batch {rest.batch_size}"] if rest.batch_size else []
    parts += [f"{rest.rows} row{'s' if rest.rows != 1 else ''}"] if rest.rows else []
    return ", ".join(parts)


def _by_width(problem: Problem) -> tuple[int, Problem]:
    first, *hidden, last = problem.layer_sizes
    width = hidden[0] if len(set(hidden)) == 1 else 0
    return width, replace(problem, layer_sizes=(first, *(0 for _ in hidden), last))


def _by_depth(problem: Problem) -> tuple[int, Problem]:
    first, *hidden, last = problem.layer_sizes
    if len(set(hidden)) != 1:
        return 0, problem
    return len(hidden), replace(problem, layer_sizes=(first, hidden[0], last))


def _by_batch(problem: Problem) -> tuple[int, Problem]:
    return problem.batch_size, replace(problem, batch_size=0)


def _by_rows(problem: Problem) -> tuple[int, Problem]:
    return problem.rows, replace(problem, rows=0)


_ALONG: dict[Axis, Callable[[Problem], tuple[int, Problem]]] = {
    "width": _by_width,
    "depth": _by_depth,
    "batch": _by_batch,
    "rows": _by_rows,
}
