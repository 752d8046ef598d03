"""Copies blocks of the operands into the order in which the kernel reads them.

Packed B: a panel of a few vectors, (k, vectors), zeros beyond its columns. Packed A: the tiles of
a block one after the other, each (k, rows of the tile). Both are read from front to back.
"""
from std.sys import simd_width_of
from std.sys.intrinsics import masked_load

from mlp.gemm.epilogue import first_lanes
from mlp.gemm.tiles import TILE_ROWS, part
from mlp.gemm.transpose import transpose
from mlp.runtime.memory import Ptr


def pack_b[
    dt: DType, transpose_b: Bool, vectors: Int
](k: Int, lanes: Int, b: Ptr[dt], ldb: Int, packed: Ptr[dt]):
    """Pack a panel of B into `k * vectors` vectors, zeros beyond its columns.

    Parameters:
        dt: Type of the elements.
        transpose_b: Whether the panel lies transposed in B, (columns, k).
        vectors: Vectors of the panel.

    Args:
        k: Rows of the panel.
        lanes: Columns of the last of them.
        b: The panel in B.
        ldb: Elements from row to row of B.
        packed: Room for the packed panel.
    """
    comptime W = simd_width_of[dt]()
    comptime stride = vectors * W
    comptime if transpose_b:
        var columns = (vectors - 1) * W + lanes
        for j in range(0, stride, W):
            transpose[dt, W](
                max(0, min(W, columns - j)),
                k,
                b.unsafe_offset(j * ldb),
                ldb,
                packed.unsafe_offset(j),
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
            transpose[dt, TILE_ROWS](
                rows, k, a.unsafe_offset(i * lda), lda, to, rows
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
