"""Computes one register tile of a product: a few rows by a few vectors of C, summed over k.

The innermost layer: no blocking, no packing, no threads. A packed operand is to this layer just
another matrix with short rows, so one kernel serves operands in place and packed.
"""
from std.collections import Array
from std.math import iota
from std.sys import CompilationTarget, simd_width_of
from std.sys.intrinsics import masked_load, masked_store

comptime Ptr[dt: DType] = Pointer[Scalar[dt], MutUntrackedOrigin]
"""Memory of elements, owned by someone else.

Parameters:
    dt: Type of the elements.
"""

comptime STORE = 0
"""Epilogue: c = v."""
comptime BIAS = 1
"""Epilogue: c = v + aux[j]."""
comptime BIAS_RELU = 2
"""Epilogue: c = max(v + aux[j], 0), NaN kept."""
comptime RELU_MASK = 3
"""Epilogue: c = v * (1 if aux[i, j] > 0 else 0), a product."""
comptime SGD = 4
"""Epilogue: c = c - alpha * v."""

# AVX-512 and NEON have 32 vector registers: 24 sums, 3 or 4 vectors of B, the rest for A. Older
# x86 has 16: 12 sums, 3 vectors of B, 1 for A. Enough sums in flight hide the latency of fma.
comptime _MANY_REGISTERS = (
    CompilationTarget.has_avx512f() or CompilationTarget.has_neon()
)
comptime TILE_ROWS = 8 if _MANY_REGISTERS else 4
"""Most rows of a tile."""
comptime TILE_VECTORS = 3
"""Vectors of a tile where there are many columns."""
comptime WIDEST_TILE = 4 if _MANY_REGISTERS else 3
"""Most vectors of a tile when they hold all columns: one panel of 4 beats two of 2."""
comptime _UNROLL = 4  # k steps per turn: the loop's own work fades, the code stays in its cache


def tallest_tile(vectors: Int) -> Int:
    """Say how many rows a tile of some vectors may have.

    Args:
        vectors: Vectors of the tile, at most WIDEST_TILE.

    Returns:
        The most rows whose sums fit the registers.
    """
    return min(TILE_ROWS, TILE_ROWS * TILE_VECTORS // vectors)


@always_inline
def part(total: Int, parts: Int, index: Int) -> Int:
    """Cut a total in almost equal parts, the longer first.

    Args:
        total: What is cut.
        parts: In how many parts.
        index: Which part; `parts` gives the total.

    Returns:
        Where the part starts.
    """
    return index * (total // parts) + min(index, total % parts)


@always_inline
def first_lanes[width: Int](count: Int) -> SIMD[DType.bool, width]:
    """Make a mask of the first lanes of a vector.

    Parameters:
        width: Lanes of the vector.

    Args:
        count: How many lanes are set.

    Returns:
        The mask.
    """
    return iota[DType.int32, width]().lt(SIMD[DType.int32, width](count))


@fieldwise_init
struct Result[dt: DType](ImplicitlyCopyable):
    """Where a part of the product goes and what becomes of it there.

    Parameters:
        dt: Type of the elements.
    """

    var c: Ptr[Self.dt]
    """The part of C."""
    var ldc: Int
    """Elements from row to row of C."""
    var epilogue: Int
    """What becomes of a complete sum. Chosen at run time, once per tile: as a parameter it would
    compile every kernel five times."""
    var aux: Ptr[Self.dt]
    """The part of the bias or mask that belongs to this part of C."""
    var ldaux: Int
    """Elements from row to row of a mask; 0 for a bias."""
    var alpha: Scalar[Self.dt]
    """The factor of SGD."""
    var adds: Bool
    """Whether C holds the sum over the earlier k, to be added to."""

    @always_inline
    def at(self, i: Int, j: Int) -> Self:
        """Leave out the first rows and columns.

        Args:
            i: How many rows.
            j: How many columns.

        Returns:
            The rest.
        """
        var inner = self
        inner.c = self.c.unsafe_offset(i * self.ldc + j)
        inner.aux = self.aux.unsafe_offset(i * self.ldaux + j)
        return inner


@fieldwise_init
struct Panel[dt: DType](ImplicitlyCopyable):
    """A few columns of op(B) with all the k of a sum.

    Parameters:
        dt: Type of the elements.
    """

    var b: Ptr[Self.dt]
    """The panel, (k, columns)."""
    var ldb: Int
    """Elements from row to row."""
    var lanes: Int
    """Columns in the last vector."""
    var safe_k: Int
    """Rows, from the first, that may be read to the end of the last vector."""


def multiply_panel[
    dt: DType, vectors: Int, transpose_a: Bool, packed_a: Bool
](m: Int, k: Int, a: Ptr[dt], lda: Int, panel: Panel[dt], result: Result[dt]):
    """Multiply A with one panel of B.

    Parameters:
        dt: Type of the elements.
        vectors: Vectors of the panel, at most WIDEST_TILE; TILE_VECTORS when A is packed.
        transpose_a: Whether `a` holds A transposed, (k, m).
        packed_a: Whether `a` holds A as `pack_a` leaves it.

    Args:
        m: Rows of A.
        k: Length of the sums.
        a: The left operand.
        lda: Elements from row to row of `a`, unless packed.
        panel: The right operand.
        result: Where the product goes.
    """
    comptime tallest = tallest_tile(vectors)
    var tiles = (m + tallest - 1) // tallest
    for t in range(tiles):
        var i = part(m, tiles, t)
        var rows = part(m, tiles, t + 1) - i
        comptime for r in range(1, tallest + 1):
            if rows == r:
                comptime if packed_a:
                    # A packed tile is a transposed matrix of its own, (k, r).
                    _tile[dt, r, vectors, True](
                        k, a.unsafe_offset(i * k), r, panel, result.at(i, 0)
                    )
                else:
                    var rows_of_a = a.unsafe_offset(
                        i if transpose_a else i * lda
                    )
                    _tile[dt, r, vectors, transpose_a](
                        k, rows_of_a, lda, panel, result.at(i, 0)
                    )


@no_inline
def _tile[
    dt: DType, rows: Int, vectors: Int, transpose_a: Bool
](k: Int, a: Ptr[dt], lda: Int, panel: Panel[dt], result: Result[dt]):
    """Compute a tile of C: its sums stay in registers from the first k to the epilogue."""
    comptime W = simd_width_of[dt]()
    comptime V = SIMD[dt, W]
    var sums = Array[V, rows * vectors](fill=V(0))
    var mask = first_lanes[W](panel.lanes)
    var row_stride = 1 if transpose_a else lda
    var k_stride = lda if transpose_a else 1
    var pa = a
    var pb = panel.b
    var ldb = panel.ldb

    @always_inline
    def step[
        u: Int, masked: Bool
    ]() {
        mut sums,
        imm pa,
        imm pb,
        imm mask,
        var row_stride,
        var k_stride,
        var ldb,
    }:
        # In bounds: `pb` is a row of the panel; its last vector is masked from row safe_k on.
        var bv = Array[V, vectors](uninitialized=True)
        comptime for j in range(vectors):
            comptime if masked and j == vectors - 1:
                bv[j] = masked_load[W](
                    pb.unsafe_offset(u * ldb + j * W), mask, V(0)
                )
            else:
                bv[j] = pb.unsafe_load[width=W](u * ldb + j * W)
        comptime for i in range(rows):
            var av = V(pa[unsafe_offset=u * k_stride + i * row_stride])
            comptime for j in range(vectors):
                sums[i * vectors + j] = av.fma(bv[j], sums[i * vectors + j])

    for _ in range(panel.safe_k // _UNROLL):
        comptime for u in range(_UNROLL):
            step[u, False]()
        pa = pa.unsafe_offset(_UNROLL * k_stride)
        pb = pb.unsafe_offset(_UNROLL * ldb)
    for _ in range(panel.safe_k // _UNROLL * _UNROLL, k):
        step[0, True]()
        pa = pa.unsafe_offset(k_stride)
        pb = pb.unsafe_offset(ldb)
    _finish[dt, rows, vectors](sums, mask, result)


@always_inline
def _finish[
    dt: DType, rows: Int, vectors: Int
](
    mut sums: Array[SIMD[dt, simd_width_of[dt]()], rows * vectors],
    mask: SIMD[DType.bool, simd_width_of[dt]()],
    result: Result[dt],
):
    """Apply the epilogue to a tile and write it; only lanes of the mask in the last vector."""
    comptime W = simd_width_of[dt]()
    comptime V = SIMD[dt, W]

    @always_inline
    def load[j: Int](row: Ptr[dt]) {imm mask} -> V:
        comptime if j == vectors - 1:
            return masked_load[W](row.unsafe_offset(j * W), mask, V(0))
        else:
            return row.unsafe_load[width=W](j * W)

    # In bounds: the tile lies within C and, where used, aux; what is beyond is masked.
    if result.epilogue == SGD:
        # Linear, so the parts of a sum over several blocks of k may be subtracted one by one.
        comptime for i in range(rows):
            var row = result.c.unsafe_offset(i * result.ldc)
            comptime for j in range(vectors):
                comptime s = i * vectors + j
                sums[s] = V(-result.alpha).fma(sums[s], load[j](row))
    elif result.adds:
        comptime for i in range(rows):
            var row = result.c.unsafe_offset(i * result.ldc)
            comptime for j in range(vectors):
                sums[i * vectors + j] += load[j](row)
    if result.epilogue == BIAS or result.epilogue == BIAS_RELU:
        comptime for j in range(vectors):
            var bias = load[j](result.aux)
            comptime for i in range(rows):
                sums[i * vectors + j] += bias
    if result.epilogue == BIAS_RELU:
        comptime for s in range(rows * vectors):
            sums[s] = sums[s].lt(V(0)).select(V(0), sums[s])
    elif result.epilogue == RELU_MASK:
        comptime for i in range(rows):
            var row = result.aux.unsafe_offset(i * result.ldaux)
            comptime for j in range(vectors):
                var on = load[j](row).gt(V(0))
                sums[i * vectors + j] *= on.select(V(1), V(0))
    comptime for i in range(rows):
        var row = result.c.unsafe_offset(i * result.ldc)
        comptime for j in range(vectors):
            var v = sums[i * vectors + j]
            comptime if j == vectors - 1:
                masked_store[W](v, row.unsafe_offset(j * W), mask)
            else:
                row.unsafe_store(j * W, v)
