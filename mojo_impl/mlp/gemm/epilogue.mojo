"""Says what becomes of a complete sum, and does it to a tile of sums that lie in registers.
"""
from std.collections import Array
from std.math import iota
from std.sys import CompilationTarget, simd_width_of
from std.sys.intrinsics import masked_load, masked_store

from mlp.runtime.memory import Ptr

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


comptime _STORES_BY_MASK = CompilationTarget.has_avx512f()
"""Whether stores with a mask are fast; those of AVX cost a Zen 4 two percent of a backprop."""


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


@always_inline
def _store_first[
    dt: DType, width: Int, //
](v: SIMD[dt, width], place: Ptr[dt], lanes: Int):
    """Store the first lanes of a vector, as a whole half of it, a whole quarter, and so on."""
    comptime if width == 1:
        if lanes == 1:
            place.unsafe_store(0, v)
    else:
        comptime half = width // 2
        if lanes >= half:
            place.unsafe_store(0, v.slice[half]())
            _store_first(
                v.slice[half, offset=half](),
                place.unsafe_offset(half),
                lanes - half,
            )
        else:
            _store_first(v.slice[half](), place, lanes)


@no_inline
def finish_masked[
    dt: DType, rows: Int, vectors: Int
](
    mut sums: Array[SIMD[dt, simd_width_of[dt]()], rows * vectors],
    lanes: Int,
    result: Result[dt],
):
    """Do what `finish` does with a mask: rare, so its code stays out of the tile's.

    Parameters:
        dt: Type of the elements.
        rows: Rows of the tile.
        vectors: Vectors of a row.

    Args:
        sums: The tile, vector by vector and row by row.
        lanes: How many lanes of the last vector of a row belong to C.
        result: Where the tile goes.
    """
    finish[dt, rows, vectors, True](sums, lanes, result)


@always_inline
def finish[
    dt: DType, rows: Int, vectors: Int, masked: Bool
](
    mut sums: Array[SIMD[dt, simd_width_of[dt]()], rows * vectors],
    lanes: Int,
    result: Result[dt],
):
    """Apply the epilogue to a tile and write it.

    Parameters:
        dt: Type of the elements.
        rows: Rows of the tile.
        vectors: Vectors of a row.
        masked: Whether only some lanes of the last vector of a row belong to C.

    Args:
        sums: The tile, vector by vector and row by row; lost.
        lanes: How many lanes those are.
        result: Where the tile goes.
    """
    comptime W = simd_width_of[dt]()
    comptime V = SIMD[dt, W]
    var mask = first_lanes[W](lanes)

    @always_inline
    def load[j: Int](row: Ptr[dt]) {imm mask} -> V:
        comptime if masked and j == vectors - 1:
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
            comptime if masked and j == vectors - 1:
                comptime if _STORES_BY_MASK:
                    masked_store[W](v, row.unsafe_offset(j * W), mask)
                else:
                    _store_first(v, row.unsafe_offset(j * W), lanes)
            else:
                row.unsafe_store(j * W, v)
