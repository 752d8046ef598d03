"""Goes over elements one by one: what is neither a matrix product nor random.

Arguments that share a name share a shape; nothing here allocates or knows where an array ends.
"""
from std.algorithm import vectorize
from std.collections import Array
from std.sys import simd_width_of

from mlp.runtime.memory import Ptr


def loss[dt: DType, //](y: Ptr[dt], y_hat: Ptr[dt], count: Int) -> Float64:
    """Return the mean of the squared errors, summed in float64.

    Args:
        y: Targets.
        y_hat: Outputs.
        count: How many there are of each; at least 1.

    Returns:
        The loss.
    """
    return squared_errors[store=False](y, y_hat, y, count) / Float64(count)


def squared_errors[
    dt: DType, //, store: Bool
](y: Ptr[dt], y_hat: Ptr[dt], errors: Ptr[dt], count: Int) -> Float64:
    """Sum (y_hat - y)**2: differences and squares in dtype, the sum in float64.

    Parameters:
        dt: Type of the elements.
        store: Whether to keep the differences.

    Args:
        y: Targets.
        y_hat: Outputs.
        errors: Where y_hat - y goes; unused without `store`.
        count: How many there are of each.

    Returns:
        The sum.
    """
    comptime lanes = simd_width_of[dt]()
    var sums = SIMD[DType.float64, lanes](0)

    def add[width: Int](i: Int) {mut sums, var y, var y_hat, var errors}:
        var difference = y_hat.unsafe_load[width=width](i) - y.unsafe_load[
            width=width
        ](i)
        comptime if store:
            errors.unsafe_store(i, difference)
        var squares = (difference * difference).cast[DType.float64]()
        comptime if width == lanes:
            sums += rebind[SIMD[DType.float64, lanes]](squares)
        else:
            sums[0] += squares.reduce_add()

    vectorize[lanes](count, add)
    return sums.reduce_add()


def differences[
    dt: DType, //
](y: Ptr[dt], y_hat: Ptr[dt], errors: Ptr[dt], count: Int):
    """Compute y_hat - y.

    Args:
        y: Targets.
        y_hat: Outputs.
        errors: Where the differences go.
        count: How many there are of each.
    """

    def subtract[width: Int](i: Int) {var y, var y_hat, var errors}:
        errors.unsafe_store(
            i,
            y_hat.unsafe_load[width=width](i) - y.unsafe_load[width=width](i),
        )

    vectorize[simd_width_of[dt]()](count, subtract)


def column_sums[
    dt: DType, //, subtract: Bool
](
    rows: Ptr[dt],
    n: Int,
    stride: Int,
    width: Int,
    sums: Ptr[dt],
    rate: Scalar[dt],
):
    """Sum n rows, from the first to the last as NumPy does.

    Parameters:
        dt: Type of the elements.
        subtract: Whether to subtract the sums from `sums`, times `rate`, or to store them there.

    Args:
        rows: What to sum, (n, width).
        n: How many rows.
        stride: Elements from row to row.
        width: How many columns.
        sums: Where the sums go, (1, width).
        rate: The factor; unused without `subtract`.
    """
    comptime W = simd_width_of[dt]()

    @always_inline
    def columns[
        lanes: Int, vectors: Int
    ](j: Int) {var rows, var n, var stride, var sums, var rate}:
        comptime V = SIMD[dt, lanes]
        var totals = Array[V, vectors](fill=V(0))
        for row in range(n):
            comptime for v in range(vectors):
                totals[v] += rows.unsafe_load[width=lanes](
                    row * stride + j + v * lanes
                )
        comptime for v in range(vectors):
            var at = j + v * lanes
            comptime if subtract:
                totals[v] = sums.unsafe_load[width=lanes](at) - rate * totals[v]
            sums.unsafe_store(at, totals[v])

    # Several vectors at a time: an addition waits for the one before it.
    var j = 0
    while width - j >= W:
        var vectors = min((width - j) // W, 8)
        comptime for v in range(1, 9):
            if vectors == v:
                columns[W, v](j)
        j += vectors * W
    while j < width:
        columns[1, 1](j)
        j += 1


def descend[
    dt: DType, //
](parameters: Ptr[dt], gradients: Ptr[dt], count: Int, rate: Scalar[dt]):
    """Subtract `rate` times the gradients from the parameters.

    Args:
        parameters: What moves.
        gradients: Where from.
        count: How many there are of each.
        rate: The factor.
    """

    def move[width: Int](i: Int) {var parameters, var gradients, var rate}:
        parameters.unsafe_store(
            i,
            parameters.unsafe_load[width=width](i)
            - rate * gradients.unsafe_load[width=width](i),
        )

    vectorize[simd_width_of[dt]()](count, move)


def copy[dt: DType, //](source: Ptr[dt], target: Ptr[dt], count: Int):
    """Copy elements to memory that does not overlap.

    Args:
        source: Where from.
        target: Where to.
        count: How many.
    """

    def move[width: Int](i: Int) {var source, var target}:
        target.unsafe_store(i, source.unsafe_load[width=width](i))

    vectorize[simd_width_of[dt]()](count, move)


def copy_rows[
    dt: DType, //
](
    source: Ptr[dt],
    source_stride: Int,
    target: Ptr[dt],
    target_stride: Int,
    n: Int,
    width: Int,
):
    """Copy rows to memory that does not overlap.

    Args:
        source: Where from, (n, width).
        source_stride: Elements from row to row of it.
        target: Where to, (n, width).
        target_stride: Elements from row to row of it.
        n: How many rows.
        width: How many columns.
    """
    for row in range(n):
        copy(
            source.unsafe_offset(row * source_stride),
            target.unsafe_offset(row * target_stride),
            width,
        )


def gather[
    dt: DType, //
](
    source: Ptr[dt],
    rows: Pointer[Int, MutUntrackedOrigin],
    n: Int,
    width: Int,
    target: Ptr[dt],
    stride: Int,
):
    """Copy n rows, picked by their numbers, to memory that does not overlap.

    Args:
        source: Where from, any number of rows of `width`.
        rows: The numbers.
        n: How many.
        width: How many columns.
        target: Where to, (n, width).
        stride: Elements from row to row of the target.
    """
    if width == 1:
        for row in range(n):
            target[unsafe_offset=row * stride] = source[
                unsafe_offset=rows[unsafe_offset=row]
            ]
        return
    for row in range(n):
        copy(
            source.unsafe_offset(rows[unsafe_offset=row] * width),
            target.unsafe_offset(row * stride),
            width,
        )
