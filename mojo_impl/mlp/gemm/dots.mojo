"""Multiplies by a few columns as dot products: what is left of a width beyond whole vectors.

50 columns are six vectors of eight and two columns; as a seventh vector the two would cost as much
as eight. A column that lies along memory is multiplied with rows of A vector by vector, and the
lanes of several sums are added up together.
"""
from std.collections import Array
from std.sys import simd_width_of
from std.sys.intrinsics import masked_load

from mlp.gemm.epilogue import BIAS, BIAS_RELU, RELU_MASK, Result, first_lanes
from mlp.gemm.lanes import LANE, every_other_lane, interleaved
from mlp.gemm.tiles import TILE_ROWS
from mlp.runtime.memory import Ptr


@fieldwise_init
struct Columns[dt: DType](ImplicitlyCopyable):
    """A few columns that lie along memory.

    Parameters:
        dt: Type of the elements.
    """

    var start: Ptr[Self.dt]
    """The first element of the first."""
    var stride: Int
    """Elements from column to column."""
    var count: Int
    """How many there are."""


def dot_products[
    dt: DType, //
](m: Int, k: Int, a: Ptr[dt], lda: Int, b: Columns[dt], result: Result[dt],):
    """Multiply A with a few columns on this thread.

    Parameters:
        dt: Type of the elements.

    Args:
        m: Rows of A and C.
        k: Length of the sums.
        a: The left operand, (m, k).
        lda: Elements from row to row of `a`.
        b: The columns, (count, k).
        result: Where the product goes, and one of the epilogues STORE to RELU_MASK.
    """
    for i in range(0, m, TILE_ROWS):
        comptime for rows in range(1, TILE_ROWS + 1):
            if min(TILE_ROWS, m - i) == rows:
                dot_rows[rows](
                    k, a.unsafe_offset(i * lda), lda, b, result.at(i, 0)
                )


@always_inline
def dot_rows[
    dt: DType, //, rows: Int
](k: Int, a: Ptr[dt], lda: Int, b: Columns[dt], result: Result[dt]):
    """Multiply a few rows of A with a few columns.

    An element is summed in one order, whatever rows and columns are computed with it.

    Parameters:
        dt: Type of the elements.
        rows: Rows of A, at most TILE_ROWS.

    Args:
        k: Length of the sums.
        a: The rows, (rows, k).
        lda: Elements from row to row of `a`.
        b: The columns, (count, k).
        result: Where the product goes, and one of the epilogues STORE to RELU_MASK.
    """
    for j in range(0, b.count, 2):
        var column = b.start.unsafe_offset(j * b.stride)
        if b.count - j > 1:
            _rows[dt, rows, 2](k, a, lda, column, b.stride, result.at(0, j))
        else:
            _rows[dt, rows, 1](k, a, lda, column, b.stride, result.at(0, j))


@no_inline
def _rows[
    dt: DType, rows: Int, columns: Int
](k: Int, a: Ptr[dt], lda: Int, b: Ptr[dt], ldb: Int, result: Result[dt]):
    """Compute the elements of some rows and of one column or two."""
    comptime W = simd_width_of[dt]()
    comptime V = SIMD[dt, W]
    comptime groups = (
        rows * columns + W - 1
    ) // W  # of sums that fill a vector
    var sums = Array[V, groups * W](fill=V(0))
    for p in range(0, k // W * W, W):
        comptime for r in range(rows):
            var av = a.unsafe_load[width=W](r * lda + p)
            comptime for c in range(columns):
                comptime s = r * columns + c
                sums[s] = av.fma(b.unsafe_load[width=W](c * ldb + p), sums[s])
    if k % W > 0:
        # What lies beyond a row may be anything, NaN too, and is not read as a number.
        var mask = first_lanes[W](k % W)
        var p = k // W * W
        comptime for r in range(rows):
            var av = masked_load[W](a.unsafe_offset(r * lda + p), mask, V(0))
            comptime for c in range(columns):
                comptime s = r * columns + c
                var bv = masked_load[W](
                    b.unsafe_offset(c * ldb + p), mask, V(0)
                )
                sums[s] = av.fma(bv, sums[s])
    # By way of memory, which is cheaper than taking lanes out of a vector one by one.
    var values = Array[Scalar[dt], groups * W](uninitialized=True)
    var first = Pointer(to=values[0])
    comptime for group in range(groups):
        var v = _lane_sums[dt, group * W, groups * W](sums)
        if result.epilogue == BIAS or result.epilogue == BIAS_RELU:
            comptime if columns == 1:
                v += V(result.aux[])
            else:
                v += (
                    V(result.aux[])
                    .interleave(V(result.aux[unsafe_offset=1]))
                    .slice[W]()
                )
        if result.epilogue == BIAS_RELU:
            v = v.lt(V(0)).select(V(0), v)
        first.unsafe_store(group * W, v)
    comptime for r in range(rows):
        var v = first.unsafe_load[width=columns](r * columns)
        if result.epilogue == RELU_MASK:
            var on = result.aux.unsafe_load[width=columns](r * result.ldaux).gt(
                0
            )
            v *= on.select(SIMD[dt, columns](1), SIMD[dt, columns](0))
        result.c.unsafe_store(r * result.ldc, v)


@always_inline
def _lane_sums[
    dt: DType, first: Int, count: Int
](sums: Array[SIMD[dt, simd_width_of[dt]()], count]) -> SIMD[
    dt, simd_width_of[dt]()
]:
    """Add up the elements of each of as many vectors as a vector has elements, from `first` on.

    Element r of the outcome belongs to vector r. Two vectors become one by adding what lies half a
    lane apart, until each has one sum a lane; then by adding what lies a lane apart. This is one
    order for every vector.
    """
    comptime W = simd_width_of[dt]()
    var v = Array[SIMD[dt, W], W](uninitialized=True)
    comptime for r in range(W):
        v[r] = sums[first + r]
    comptime for turn in range(6):
        comptime apart = 1 << turn
        comptime if apart < W:
            comptime for r in range(W // apart // 2):
                var x = v[2 * r]
                var y = v[2 * r + 1]
                comptime if apart < LANE[dt]:
                    comptime lower = interleaved[dt, W, apart, upper=False]()
                    comptime upper = interleaved[dt, W, apart, upper=True]()
                    v[r] = x.shuffle[mask=lower](y) + x.shuffle[mask=upper](y)
                else:
                    comptime even = every_other_lane[dt, W, odd=False]()
                    comptime odd = every_other_lane[dt, W, odd=True]()
                    v[r] = x.shuffle[mask=even](y) + x.shuffle[mask=odd](y)
    return v[0]
