"""Multiplies by a few columns as dot products: what is left of a width beyond whole vectors.

50 columns are six vectors of eight and two columns; as a seventh vector the two would cost as much
as eight. A column that lies along memory is multiplied with rows of A vector by vector, and the
lanes of several rows are summed together.
"""
from std.collections import Array
from std.sys import simd_width_of
from std.sys.intrinsics import masked_load

from mlp.epilogue import BIAS, BIAS_RELU, RELU_MASK, Ptr, Result, first_lanes


def dot_products[
    dt: DType, //
](
    m: Int,
    n: Int,
    k: Int,
    a: Ptr[dt],
    lda: Int,
    b: Ptr[dt],
    ldb: Int,
    result: Result[dt],
):
    """Compute C = A B^T on this thread, one column after the other.

    An element is summed in one order, whatever rows are computed with it.

    Parameters:
        dt: Type of the elements.

    Args:
        m: Rows of A and C.
        n: Columns of C; a few.
        k: Length of the sums.
        a: The left operand, (m, k).
        lda: Elements from row to row of `a`.
        b: The right operand, transposed, (n, k).
        ldb: Elements from row to row of `b`.
        result: Where the product goes, and one of the epilogues STORE to RELU_MASK.
    """
    comptime W = simd_width_of[dt]()
    for j in range(n):
        var column = b.unsafe_offset(j * ldb)
        var i = 0
        comptime for turn in range(3):
            comptime rows = W if turn == 0 else (4 if turn == 1 else 1)
            comptime if turn != 1 or W > 4:
                while i + rows <= m:
                    _rows[dt, rows](
                        k,
                        a.unsafe_offset(i * lda),
                        lda,
                        column,
                        result.at(i, j),
                    )
                    i += rows


@no_inline
def _rows[
    dt: DType, rows: Int
](k: Int, a: Ptr[dt], lda: Int, b: Ptr[dt], result: Result[dt]):
    """Compute some elements of a column."""
    comptime W = simd_width_of[dt]()
    comptime V = SIMD[dt, W]
    var sums = Array[V, rows](fill=V(0))
    for p in range(0, k // W * W, W):
        var bv = b.unsafe_load[width=W](p)
        comptime for r in range(rows):
            sums[r] = a.unsafe_load[width=W](r * lda + p).fma(bv, sums[r])
    if k % W > 0:
        # What lies beyond a row may be anything, NaN too, and is not read as a number.
        var mask = first_lanes[W](k % W)
        var p = k // W * W
        var bv = masked_load[W](b.unsafe_offset(p), mask, V(0))
        comptime for r in range(rows):
            var av = masked_load[W](a.unsafe_offset(r * lda + p), mask, V(0))
            sums[r] = av.fma(bv, sums[r])
    var values = _lane_sums[dt, rows](sums)
    if result.epilogue == BIAS or result.epilogue == BIAS_RELU:
        values += V(result.aux[])
    if result.epilogue == BIAS_RELU:
        values = values.lt(V(0)).select(V(0), values)
    # By way of memory, which is cheaper than taking lanes out of a vector one by one.
    var lanes = Array[Scalar[dt], W](uninitialized=True)
    var first = Pointer(to=lanes[0])
    first.unsafe_store(0, values)
    comptime for r in range(rows):
        var v = lanes[r]
        if result.epilogue == RELU_MASK:
            var on = result.aux[unsafe_offset=r * result.ldaux] > 0
            v *= Scalar[dt](1) if on else Scalar[dt](0)
        result.c[unsafe_offset=r * result.ldc] = v


@always_inline
def _lane_sums[
    dt: DType, rows: Int
](sums: Array[SIMD[dt, simd_width_of[dt]()], rows]) -> SIMD[
    dt, simd_width_of[dt]()
]:
    """Sum the lanes of each vector: lane r of the result belongs to vector r.

    The upper half of the lanes is added to the lower, then the halves of that: one order for any
    number of rows.
    """
    comptime W = simd_width_of[dt]()
    var v = sums.copy()
    # Interleaving vectors r and r + count/2 and adding the halves of the outcome halves both and
    # puts them into one vector; at the end lane r, and r + rows, ..., belong to vector r.
    comptime for turn in range(6):
        comptime count = rows >> turn
        comptime if count > 1:
            comptime for r in range(count // 2):
                var pair = v[r].interleave(v[r + count // 2])
                v[r] = pair.slice[W]() + pair.slice[W, offset=W]()
    var result = v[0]
    comptime for turn in range(6):
        comptime half = W >> (turn + 1)
        comptime if half >= rows:
            result += result.rotate_left[half]()
    return result
