"""Transposes small matrices in registers."""
from std.collections import Array
from std.sys.intrinsics import masked_load

from mlp.gemm.epilogue import first_lanes
from mlp.gemm.lanes import LANE, every_other_lane, interleaved
from mlp.runtime.memory import Ptr


@always_inline
def transpose[
    dt: DType, size: Int
](
    rows: Int,
    columns: Int,
    source: Ptr[dt],
    source_stride: Int,
    target: Ptr[dt],
    target_stride: Int,
):
    """Write columns of up to `size` elements as rows of `size` elements, zeros where rows are missing.

    Parameters:
        dt: Type of the elements.
        size: Elements of a row that is written.

    Args:
        rows: Rows to read, at most `size`.
        columns: Columns to read; `rows` rows of them and no more.
        source: Where from.
        source_stride: Elements from row to row of it.
        target: Where to, (columns, size).
        target_stride: Elements from row to row of it.
    """
    comptime step = _columns_at_once[dt, size]()
    var j = 0
    if rows == size:
        while columns - j >= step:
            _transpose_lanes[dt, size](
                source.unsafe_offset(j),
                source_stride,
                target.unsafe_offset(j * target_stride),
                target_stride,
            )
            j += step
    while j < columns:
        _transpose_square[dt, size](
            rows,
            min(size, columns - j),
            source.unsafe_offset(j),
            source_stride,
            target.unsafe_offset(j * target_stride),
            target_stride,
        )
        j += size


def _columns_at_once[dt: DType, size: Int]() -> Int:
    """Say how many columns `_transpose_lanes` takes: those of two lanes, if a vector has two."""
    return min(size, 2 * LANE[dt])


@always_inline
def _transpose_lanes[
    dt: DType, size: Int
](source: Ptr[dt], source_stride: Int, target: Ptr[dt], target_stride: Int):
    """Write two lanes of columns of `size` rows as rows.

    Two lanes of a row are loaded at once, and those of several rows joined to a vector while
    loading, so that most of what is left to do stays within lanes, the cheap kind of shuffle: the
    squares of a lane are transposed there, and then the even lanes of two vectors form a row of
    the outcome, the odd lanes another.
    """
    comptime lane = LANE[dt]
    comptime groups = min(2, size // lane)  # of vectors that share columns
    var r = Array[SIMD[dt, size], groups * lane](uninitialized=True)
    comptime for i in range(groups * lane):
        comptime row = i // lane * size // 2 + i % lane
        r[i] = _load_rows[dt, size](
            source.unsafe_offset(row * source_stride), source_stride
        )
    # Interleaving pairs of vectors, first element by element, then by twos.
    comptime for turn in range(2):
        comptime count = 1 << turn
        comptime if count < lane:
            var s = Array[SIMD[dt, size], groups * lane](uninitialized=True)
            comptime for i in range(groups * lane // 2):
                comptime x = i % count + i // count * 2 * count
                comptime for upper in range(2):
                    s[x + upper * count] = r[x].shuffle[
                        mask=interleaved[dt, size, count, upper=upper == 1]()
                    ](r[x + count])
            r = s^
    comptime for j in range(lane):
        # Where an element of a lane has gone: its place with the bits reversed.
        comptime place = j if lane < 4 else (j >> 1) | (j & 1) << 1
        comptime if groups == 1:
            target.unsafe_store(j * target_stride, r[place])
        else:
            comptime for odd in range(2):
                target.unsafe_store(
                    (j + odd * lane) * target_stride,
                    r[place].shuffle[
                        mask=every_other_lane[dt, size, odd=odd == 1]()
                    ](r[lane + place]),
                )


@always_inline
def _load_rows[
    dt: DType, size: Int
](start: Ptr[dt], stride: Int) -> SIMD[dt, size]:
    """Load two lanes from each of some rows that are as many apart as a lane has elements."""
    comptime if size <= _columns_at_once[dt, size]():
        return start.unsafe_load[width=size](0)
    else:
        comptime half = size // 2
        comptime apart = half // 2
        return rebind[SIMD[dt, size]](
            _load_rows[dt, half](start, stride).join(
                _load_rows[dt, half](
                    start.unsafe_offset(apart * stride), stride
                )
            )
        )


@always_inline
def _transpose_square[
    dt: DType, size: Int
](
    rows: Int,
    columns: Int,
    source: Ptr[dt],
    source_stride: Int,
    target: Ptr[dt],
    target_stride: Int,
):
    """Write up to `size` columns as rows of `size` elements, zeros where rows are missing."""
    comptime V = SIMD[dt, size]
    var r = Array[V, size](fill=V(0))
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
