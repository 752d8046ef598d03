"""Copies blocks of the operands into the order in which the kernel reads them.

Packed B: a panel of a few vectors, (k, vectors), zeros beyond its columns. Packed A: the tiles of
a block one after the other, each (k, rows of the tile). Both are read from front to back.
"""
from std.collections import Array
from std.sys import simd_width_of, size_of
from std.sys.intrinsics import masked_load

from mlp.epilogue import Ptr, first_lanes
from mlp.kernel import TILE_ROWS, part

comptime _SQUARE_BYTES = 32  # of a row of a square that is transposed at a time


def pack_b[
    dt: DType, transpose_b: Bool
](k: Int, vectors: Int, lanes: Int, b: Ptr[dt], ldb: Int, packed: Ptr[dt]):
    """Pack a panel of B into `k * vectors` vectors, zeros beyond its columns.

    Parameters:
        dt: Type of the elements.
        transpose_b: Whether the panel lies transposed in B, (columns, k).

    Args:
        k: Rows of the panel.
        vectors: Vectors of the panel.
        lanes: Columns of the last of them.
        b: The panel in B.
        ldb: Elements from row to row of B.
        packed: Room for the packed panel.
    """
    comptime W = simd_width_of[dt]()
    var stride = vectors * W
    comptime if transpose_b:
        comptime S = min(W, _SQUARE_BYTES // size_of[Scalar[dt]]())
        var columns = (vectors - 1) * W + lanes
        for j in range(0, stride, S):
            var rows = b.unsafe_offset(j * ldb)
            for p in range(0, k, S):
                _transpose[dt, S](
                    max(0, min(S, columns - j)),
                    min(S, k - p),
                    rows.unsafe_offset(p),
                    ldb,
                    packed.unsafe_offset(p * stride + j),
                    stride,
                )
    else:
        for v in range(vectors):
            _copy[dt, W](
                k,
                lanes if v == vectors - 1 else W,
                b.unsafe_offset(v * W),
                ldb,
                packed.unsafe_offset(v * W),
                stride,
            )


def pack_a[
    dt: DType, transpose_a: Bool
](m: Int, k: Int, a: Ptr[dt], lda: Int, packed: Ptr[dt]):
    """Pack a block of A into `m * k` elements; may write TILE_ROWS more.

    Parameters:
        dt: Type of the elements.
        transpose_a: Whether `a` holds A transposed, (k, m).

    Args:
        m: Rows of the block.
        k: Columns of the block.
        a: The block in A.
        lda: Elements from row to row of `a`.
        packed: Room for the packed block.
    """
    var tiles = (m + TILE_ROWS - 1) // TILE_ROWS
    for t in range(tiles):
        var i = part(m, tiles, t)
        var rows = part(m, tiles, t + 1) - i
        var to = packed.unsafe_offset(i * k)
        # Vectors of TILE_ROWS are written `rows` apart, each over the end of the one before.
        comptime if transpose_a:
            _copy[dt, TILE_ROWS](k, rows, a.unsafe_offset(i), lda, to, rows)
        else:
            var tile = a.unsafe_offset(i * lda)
            for p in range(0, k, TILE_ROWS):
                _transpose[dt, TILE_ROWS](
                    rows,
                    min(TILE_ROWS, k - p),
                    tile.unsafe_offset(p),
                    lda,
                    to.unsafe_offset(p * rows),
                    rows,
                )


@always_inline
def _copy[
    dt: DType, width: Int
](
    rows: Int,
    lanes: Int,
    source: Ptr[dt],
    source_stride: Int,
    target: Ptr[dt],
    target_stride: Int,
):
    """Copy rows of up to `width` elements as rows of `width` elements, zeros in the rest.

    In bounds: reads `rows` rows of `lanes` elements and no more.
    """
    if lanes == width:
        for i in range(rows):
            target.unsafe_store(
                i * target_stride,
                source.unsafe_load[width=width](i * source_stride),
            )
        return
    var mask = first_lanes[width](lanes)
    for i in range(rows):
        target.unsafe_store(
            i * target_stride,
            masked_load[width](
                source.unsafe_offset(i * source_stride),
                mask,
                SIMD[dt, width](0),
            ),
        )


@always_inline
def _transpose[
    dt: DType, size: Int
](
    rows: Int,
    columns: Int,
    source: Ptr[dt],
    source_stride: Int,
    target: Ptr[dt],
    target_stride: Int,
):
    """Write up to `size` columns as rows of `size` elements, zeros where rows are missing.

    In bounds: reads `rows` rows of `columns` elements and no more.
    """
    comptime V = SIMD[dt, size]
    comptime if size * size_of[Scalar[dt]]() == _SQUARE_BYTES:
        if rows == size and columns == size:
            _transpose_square[dt, size](
                source, source_stride, target, target_stride
            )
            return
    var r = Array[V, size](fill=V(0))
    if rows == size and columns == size:
        comptime for i in range(size):
            r[i] = source.unsafe_load[width=size](i * source_stride)
    else:
        var mask = first_lanes[size](columns)
        comptime for i in range(size):
            if i < rows:
                r[i] = masked_load[size](
                    source.unsafe_offset(i * source_stride), mask, V(0)
                )
    # Interleaving rows i and i + size/2 is a perfect shuffle of the whole block; log2(size) of
    # them move element (i, j) to (j, i).
    comptime for turn in range(4):
        comptime if 1 << turn < size:
            var s = Array[V, size](uninitialized=True)
            comptime for i in range(size // 2):
                var pair = r[i].interleave(r[i + size // 2])
                s[2 * i] = pair.slice[size]()
                s[2 * i + 1] = pair.slice[size, offset=size]()
            r = s^
    comptime for j in range(size):
        if j < columns:
            target.unsafe_store(j * target_stride, r[j])


@always_inline
def _transpose_square[
    dt: DType, size: Int
](source: Ptr[dt], source_stride: Int, target: Ptr[dt], target_stride: Int):
    """Write a square of vectors of 32 bytes transposed.

    Half vectors of rows i and i + size/2 are joined while they are loaded, so that what is left
    to do stays within halves: the cheap kind of shuffle.
    """
    comptime half = size // 2
    comptime V = SIMD[dt, size]
    comptime for side in range(2):
        var r = Array[V, half](uninitialized=True)
        comptime for i in range(half):
            var row = source.unsafe_offset(i * source_stride + side * half)
            r[i] = rebind[V](
                row.unsafe_load[width=half]().join(
                    row.unsafe_load[width=half](half * source_stride)
                )
            )
        var to = target.unsafe_offset(side * half * target_stride)
        comptime if half == 2:
            var x = rebind[SIMD[dt, 4]](r[0])
            var y = rebind[SIMD[dt, 4]](r[1])
            to.unsafe_store(0, x.shuffle[0, 4, 2, 6](y))
            to.unsafe_store(target_stride, x.shuffle[1, 5, 3, 7](y))
        else:
            comptime for pair in range(2):
                var x = _pairs[dt, pair](r[0], r[1])
                var y = _pairs[dt, pair](r[2], r[3])
                var at = 2 * pair * target_stride
                to.unsafe_store(at, x.shuffle[0, 1, 8, 9, 4, 5, 12, 13](y))
                to.unsafe_store(
                    at + target_stride, x.shuffle[2, 3, 10, 11, 6, 7, 14, 15](y)
                )


@always_inline
def _pairs[
    dt: DType, upper: Int, size: Int
](x: SIMD[dt, size], y: SIMD[dt, size]) -> SIMD[dt, 8]:
    """Interleave the lower or the upper pair of each half of two vectors of eight."""
    var a = rebind[SIMD[dt, 8]](x)
    var b = rebind[SIMD[dt, 8]](y)
    comptime if upper == 1:
        return a.shuffle[2, 10, 3, 11, 6, 14, 7, 15](b)
    else:
        return a.shuffle[0, 8, 1, 9, 4, 12, 5, 13](b)
