"""Computes one register tile of a product: a few rows by a few vectors of C, summed over k.

The innermost layer: no blocking, no packing, no threads. A packed operand is to this layer just
another matrix with short rows, so one kernel serves operands in place and packed.
"""
from std.collections import Array
from std.sys import simd_width_of
from std.sys.intrinsics import PrefetchOptions, prefetch

from mlp.gemm.dots import Columns, dot_rows
from mlp.gemm.epilogue import Result, finish, finish_masked
from mlp.gemm.tiles import (
    TILE_ROWS,
    TILE_VECTORS,
    WIDEST_TILE,
    part,
    tallest_tile,
)
from mlp.runtime.memory import Ptr

comptime _STREAM_AHEAD = 16  # rows of B, when it comes from afar
comptime _UNROLL = 4  # k steps per turn: the loop's own work fades, the code stays in its cache


@fieldwise_init
struct Panel[dt: DType](ImplicitlyCopyable):
    """A few columns of op(B) with all the k of a sum; all its vectors can be read whole.

    Parameters:
        dt: Type of the elements.
    """

    var b: Ptr[Self.dt]
    """The panel, (k, columns)."""
    var ldb: Int
    """Elements from row to row, unless packed."""
    var lanes: Int
    """Columns of C that belong to the last vector; what is beyond is neither read nor written."""
    var beside: Columns[Self.dt]
    """Columns of op(B) right of the panel, which each tile takes along as dot products while its
    rows of A are at hand; only where A is neither packed nor transposed."""


@fieldwise_init
struct Ahead[dt: DType](ImplicitlyCopyable):
    """Where the panel that will be packed next lies: fetched into the second-level cache while
    the tiles of this one are computed, a little by each, so that packing finds it there.

    It is walked in blocks of as many k as a vector has lanes, each in as many turns.

    Parameters:
        dt: Type of the elements.
    """

    var start: Ptr[Self.dt]
    """Where it starts."""
    var blocks: Int
    """How many blocks of k it has; 0: there is none."""
    var block_stride: Int
    """Elements from block to block."""
    var turn_stride: Int
    """Elements from turn to turn of a block."""
    var vector_stride: Int
    """Elements from vector to vector of a turn."""

    @staticmethod
    def nothing(anywhere: Ptr[Self.dt]) -> Self:
        """Have nothing to fetch.

        Args:
            anywhere: Any pointer.

        Returns:
            No blocks.
        """
        return Self(anywhere, 0, 0, 0, 0)

    def share(self, parts: Int, index: Int) -> Self:
        """Cut out the share of one tile.

        Args:
            parts: How many tiles share it.
            index: Which one.

        Returns:
            Some of the blocks.
        """
        var first = part(self.blocks, parts, index)
        var share = self
        share.start = self.start.unsafe_offset(first * self.block_stride)
        share.blocks = part(self.blocks, parts, index + 1) - first
        return share


def multiply_panel[
    dt: DType, vectors: Int, transpose_a: Bool, packed: Bool, streams: Bool
](
    m: Int,
    k: Int,
    a: Ptr[dt],
    lda: Int,
    panel: Panel[dt],
    result: Result[dt],
    ahead: Ahead[dt],
):
    """Multiply A with one panel of B.

    Parameters:
        dt: Type of the elements.
        vectors: Vectors of the panel, at most WIDEST_TILE; TILE_VECTORS when packed.
        transpose_a: Whether `a` holds A transposed, (k, m).
        packed: Whether `a` holds A as `pack_a` leaves it, and the panel is packed as well.
        streams: Whether the panel is too far away to be read without asking for it early.

    Args:
        m: Rows of A.
        k: Length of the sums.
        a: The left operand.
        lda: Elements from row to row of `a`, unless packed.
        panel: The right operand.
        result: Where the product goes.
        ahead: The panel that will be packed next; used only when packed.
    """
    comptime tallest = TILE_ROWS if packed else tallest_tile(vectors)
    var tiles = (m + tallest - 1) // tallest
    # Almost equal tiles, the taller first, by one division: a small tile takes little longer.
    var least = m // tiles if tiles > 0 else 0
    var i = 0
    for t in range(tiles):
        var rows = least + Int(t < m - least * tiles)
        comptime for r in range(1, tallest + 1):
            if rows == r:
                comptime if packed:
                    # A packed tile is a transposed matrix of its own, (k, r).
                    _tile[dt, r, vectors, True, True, False](
                        k,
                        a.unsafe_offset(i * k),
                        r,
                        panel,
                        i,
                        result,
                        ahead.share(tiles, t),
                    )
                else:
                    var rows_of_a = a.unsafe_offset(
                        i if transpose_a else i * lda
                    )
                    _tile[dt, r, vectors, transpose_a, False, streams](
                        k, rows_of_a, lda, panel, i, result, ahead
                    )
                    comptime if not transpose_a:
                        if panel.beside.count > 0:
                            comptime W = simd_width_of[dt]()
                            dot_rows[r](
                                k,
                                rows_of_a,
                                lda,
                                panel.beside,
                                result.at(i, (vectors - 1) * W + panel.lanes),
                            )
        i += rows


@no_inline
def _tile[
    dt: DType,
    rows: Int,
    vectors: Int,
    transpose_a: Bool,
    packed: Bool,
    streams: Bool,
](
    k: Int,
    a: Ptr[dt],
    lda: Int,
    panel: Panel[dt],
    i: Int,
    whole: Result[dt],
    ahead: Ahead[dt],
):
    """Compute a tile of C, from row i on: its sums stay in registers from the first k to the epilogue."""
    comptime W = simd_width_of[dt]()
    comptime V = SIMD[dt, W]
    var sums = Array[V, rows * vectors](fill=V(0))
    var result = whole.at(i, 0)
    var row_stride = 1 if transpose_a else lda
    var k_stride = rows if packed else (lda if transpose_a else 1)
    var ldb = vectors * W if packed else panel.ldb
    var pa = a
    var pb = panel.b

    @always_inline
    def step[
        u: Int
    ]() {mut sums, imm pa, imm pb, var row_stride, var k_stride, var ldb,}:
        var bv = Array[V, vectors](uninitialized=True)
        comptime for j in range(vectors):
            comptime if streams:
                _fetch[read=True, level=1](
                    pb.unsafe_offset((u + _STREAM_AHEAD) * ldb + j * W)
                )
            bv[j] = pb.unsafe_load[width=W](u * ldb + j * W)
        comptime for i in range(rows):
            var av = V(pa[unsafe_offset=u * k_stride + i * row_stride])
            comptime for j in range(vectors):
                sums[i * vectors + j] = av.fma(bv[j], sums[i * vectors + j])

    var turns = k // _UNROLL
    comptime if packed:
        # What the epilogue will need, then what will be packed next: spread over the turns, as
        # many fetches at once would stall. Each phase has a loop of its own, unrolled by the
        # compiler: a loop around loops makes it spill the sums.
        comptime for phase in range(2):
            var fetches = min(turns, rows if phase == 0 else ahead.blocks * W)
            turns -= fetches
            for turn in range(fetches):
                comptime for j in range(vectors):
                    comptime if phase == 0:
                        _fetch[read=False, level=1](
                            result.c.unsafe_offset(turn * result.ldc + j * W)
                        )
                        _fetch[read=True, level=2](
                            result.aux.unsafe_offset(
                                turn * result.ldaux + j * W
                            )
                        )
                    else:
                        _fetch[read=True, level=2](
                            ahead.start.unsafe_offset(
                                turn // W * ahead.block_stride
                                + turn % W * ahead.turn_stride
                                + j * ahead.vector_stride
                            )
                        )
                comptime for u in range(_UNROLL):
                    step[u]()
                pa = pa.unsafe_offset(_UNROLL * k_stride)
                pb = pb.unsafe_offset(_UNROLL * ldb)
    for _ in range(turns):
        comptime for u in range(_UNROLL):
            step[u]()
        pa = pa.unsafe_offset(_UNROLL * k_stride)
        pb = pb.unsafe_offset(_UNROLL * ldb)
    for _ in range(k % _UNROLL):
        step[0]()
        pa = pa.unsafe_offset(k_stride)
        pb = pb.unsafe_offset(ldb)
    if panel.lanes == W:
        finish[dt, rows, vectors, False](sums, panel.lanes, result)
    else:
        # A copy: with an address taken, the sums themselves would not stay in registers.
        var copies = Array[V, rows * vectors](uninitialized=True)
        comptime for s in range(rows * vectors):
            copies[s] = sums[s]
        finish_masked[dt, rows, vectors](copies, panel.lanes, result)


@always_inline
def _fetch[dt: DType, //, read: Bool, level: Int](place: Ptr[dt]):
    """Ask for the cache line of a place in a level of the caches; harmless wherever it is."""
    comptime if not read:
        prefetch[PrefetchOptions().for_write().high_locality().to_data_cache()](
            place
        )
    elif level == 1:
        prefetch[PrefetchOptions().for_read().high_locality().to_data_cache()](
            place
        )
    else:
        prefetch[
            PrefetchOptions().for_read().medium_locality().to_data_cache()
        ](place)
