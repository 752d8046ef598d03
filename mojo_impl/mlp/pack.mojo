"""Copies blocks of the operands into the order in which the kernel reads them.

Packed B: a panel of a few vectors, (k, vectors), zeros beyond its columns. Packed A: the tiles of
a block one after the other, each (k, rows of the tile). Both are read from front to back.
"""
from std.collections import Array
from std.sys import simd_width_of
from std.sys.intrinsics import masked_load

from mlp.kernel import Ptr, TILE_ROWS, first_lanes, part


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
    for v in range(vectors):
        var columns = lanes if v == vectors - 1 else W
        var to = packed.unsafe_offset(v * W)
        comptime if transpose_b:
            var rows = b.unsafe_offset(v * W * ldb)
            for p in range(0, k, W):
                _transpose[dt, W](
                    columns,
                    min(W, k - p),
                    rows.unsafe_offset(p),
                    ldb,
                    to.unsafe_offset(p * stride),
                    stride,
                )
        else:
            _copy[dt, W](k, columns, b.unsafe_offset(v * W), ldb, to, stride)


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
