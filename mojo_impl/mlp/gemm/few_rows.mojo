"""Multiplies a few rows of A with a large B as it lies, several rows of B at a time along them.

An element of B serves few sums, so what counts is how fast B comes. It comes fastest in long
stretches, a few side by side, which the processor fetches ahead by itself; meanwhile the sums wait
in the first-level cache. Tiles, which keep sums in registers, would read a little of each row of
B and then of the next, in another page.
"""
from std.collections import Array
from std.sys import simd_width_of

from mlp.gemm.epilogue import Result, finish, finish_masked
from mlp.runtime.memory import Ptr

comptime MOST_FEW_ROWS = 6
"""More rows read the sums more often than B: tiles are faster."""

comptime _ROWS_OF_B = 8
"""Read side by side: of float64 half as many take longer, and twice as many with two rows of A."""


def multiply_few_rows[
    dt: DType, //
](
    m: Int,
    n: Int,
    k: Int,
    a: Ptr[dt],
    lda: Int,
    b: Ptr[dt],
    ldb: Int,
    is_whole: Bool,
    result: Result[dt],
    scratch: Ptr[dt],
):
    """Multiply on this thread.

    Parameters:
        dt: Type of the elements.

    Args:
        m: Rows of A and C, at most MOST_FEW_ROWS.
        n: Columns of B and C; m times n elements are to fit the first-level cache.
        k: Length of the sums.
        a: The left operand, (m, k).
        lda: Elements from row to row of `a`.
        b: The right operand, (k, n).
        ldb: Elements from row to row of `b`.
        is_whole: Whether the last row of `b` may be read to the end of its last vector.
        result: Where the product goes.
        scratch: `room_of_few_rows` elements that no other thread uses.
    """
    comptime for rows in range(1, MOST_FEW_ROWS + 1):
        if m == rows:
            _multiply[dt, rows](n, k, a, lda, b, ldb, is_whole, result, scratch)


def room_of_few_rows[dt: DType](m: Int, n: Int) -> Int:
    """Say how much scratch `multiply_few_rows` needs.

    Parameters:
        dt: Type of the elements.

    Args:
        m: Rows of C.
        n: Columns of C.

    Returns:
        So many elements: the sums, and a row of B.
    """
    comptime W = simd_width_of[dt]()
    return (m + 1) * ((n + W - 1) // W * W)


def _multiply[
    dt: DType, rows: Int
](
    n: Int,
    k: Int,
    a: Ptr[dt],
    lda: Int,
    b: Ptr[dt],
    ldb: Int,
    is_whole: Bool,
    result: Result[dt],
    scratch: Ptr[dt],
):
    comptime W = simd_width_of[dt]()
    var padded = (n + W - 1) // W * W
    for j in range(0, rows * padded, W):
        scratch.unsafe_store[width=W](j, 0)
    var readable = k
    if not is_whole:
        # The vector behind a row ends in the next, or, where they are narrow, in a later one.
        readable -= min(k, (padded - n + ldb - 1) // ldb)
    var p = 0
    while p < readable:
        var pa = a.unsafe_offset(p)
        var pb = b.unsafe_offset(p * ldb)
        if readable - p >= _ROWS_OF_B:
            _add[dt, rows, _ROWS_OF_B](padded, pa, lda, pb, ldb, scratch)
            p += _ROWS_OF_B
        else:
            _add[dt, rows, 1](padded, pa, lda, pb, ldb, scratch)
            p += 1
    for p in range(readable, k):
        var copy = scratch.unsafe_offset(rows * padded)
        for j in range(n):
            copy[unsafe_offset=j] = b[unsafe_offset=p * ldb + j]
        _add[dt, rows, 1](padded, a.unsafe_offset(p), lda, copy, 0, scratch)
    for j in range(0, padded, W):
        var sums = Array[SIMD[dt, W], rows](uninitialized=True)
        comptime for i in range(rows):
            sums[i] = scratch.unsafe_load[width=W](i * padded + j)
        if n - j >= W:
            finish[dt, rows, 1, False](sums, W, result.at(0, j))
        else:
            finish_masked[dt, rows, 1](sums, n - j, result.at(0, j))


@no_inline
def _add[
    dt: DType, rows: Int, rows_of_b: Int
](n: Int, a: Ptr[dt], lda: Int, b: Ptr[dt], ldb: Int, sums: Ptr[dt]):
    """Add to the sums, (rows, n), what a few k give; n is a multiple of the vector."""
    comptime W = simd_width_of[dt]()
    comptime V = SIMD[dt, W]
    var factors = Array[V, rows * rows_of_b](uninitialized=True)
    comptime for i in range(rows):
        comptime for r in range(rows_of_b):
            factors[i * rows_of_b + r] = V(a[unsafe_offset=i * lda + r])
    for j in range(0, n, W):
        var added = Array[V, rows](uninitialized=True)
        comptime for i in range(rows):
            added[i] = sums.unsafe_load[width=W](i * n + j)
        comptime for r in range(rows_of_b):
            var bv = b.unsafe_load[width=W](r * ldb + j)
            comptime for i in range(rows):
                added[i] = factors[i * rows_of_b + r].fma(bv, added[i])
        comptime for i in range(rows):
            sums.unsafe_store[width=W](i * n + j, added[i])
