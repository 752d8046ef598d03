"""How much work a case is: floating-point operations and bytes. Pure."""

from __future__ import annotations

from itertools import pairwise

from bench.model.records import Case, Phase

PEAK_FLOPS = 3 << 23
"""Arithmetic of each thread in one repetition of `peak`, some 200 microseconds of it."""
TRIAD_ELEMENTS: dict[Phase, int] = {"memory": 1 << 23, "cache": 1 << 20}
"""Elements a[i] of each thread in one repetition of a triad. In memory they are one pass through
three arrays of 64 MiB, in the cache many through arrays of half its size together."""
TRIAD_BYTES = 24
"""Bytes moved per element a[i] = b[i] + s * c[i]: two read and one written, as STREAM counts. That
the machine may read a line before it writes to it (a third more) is not counted."""


def flops(case: Case) -> int:
    """Count the arithmetic of the matrix products of one repetition, 2·M·N·K each.

    Forward: the product of every layer. Backprop: the weight gradient of every layer and the
    delta of all but the first; both the same for their parts that hold them. Epoch: both, times
    the number of full batches. Peak: two for each multiply-add of a lane. Others: 0.
    """
    problem = case.problem
    sizes = problem.layer_sizes
    pairs = [a * b for a, b in pairwise(sizes)]
    forward = 2 * problem.batch_size * sum(pairs)
    backprop = 2 * problem.batch_size * (sum(pairs) + sum(pairs[1:]))
    batches = problem.rows // problem.batch_size
    return {
        **dict.fromkeys(("forward", "forward-products", "forward-work"), forward),
        **dict.fromkeys(("backprop", "backprop-products", "backprop-work", "step-work"), backprop),
        "epoch": batches * (forward + backprop),
        "peak": PEAK_FLOPS * problem.threads,
    }.get(case.phase, 0)


def least_bytes(case: Case) -> int:
    """Count the bytes that the matrix products of one repetition must move at least once.

    Each array that a product reads or writes counts once per batch, in the dtype of the problem,
    as if a cache held all of it in between. Forward: the batch, the weights and the result of
    every layer. Backprop: what each layer was given, the delta of each layer, the weights of all
    but the first, and the weight gradients. Epoch: per batch what forward and backprop move, the
    arrays that both use counted once, and the moved weights in place of their gradients. Biases,
    targets and the gathering of batches are left out, as they are in `flops`. Others: 0.
    """
    problem = case.problem
    sizes = problem.layer_sizes
    weights = [a * b for a, b in pairwise(sizes)]
    given, made = sum(sizes[:-1]), sum(sizes[1:])
    batches = problem.rows // problem.batch_size
    elements = {
        "forward": problem.batch_size * sum(sizes) + sum(weights),
        "backprop": problem.batch_size * (given + made) + sum(weights[1:]) + sum(weights),
        "epoch": batches * (problem.batch_size * (sum(sizes) + made) + 2 * sum(weights)),
    }.get(case.phase, 0)
    return elements * (8 if problem.dtype == "float64" else 4)


def triad_bytes(case: Case) -> int:
    """Count the bytes that all threads move in one repetition of `memory` or `cache`; else 0."""
    return TRIAD_BYTES * TRIAD_ELEMENTS.get(case.phase, 0) * case.problem.threads
