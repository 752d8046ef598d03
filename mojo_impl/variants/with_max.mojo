"""The variant `mojo-max`: `mojo-simd` with its products made by MAX, Modular's library.

`linalg.matmul` cuts products into blocks and packs them, as `mojo` does by itself. Here it gets one
thread. It takes a transposed right factor as it is, and no transposed left one, of which a copy is
made first. Where the product is one column, it leaves that to `gemv`, which takes as many threads as
there are; so `gemv` is asked directly, for one. MAX takes subnormal numbers for zero in its tasks,
one thread or more, and leaves no choice: this variant says so in `facts`.
"""
from std.os import abort

from layout import Coord, TileTensor, row_major
from linalg.gemv import gemv
from linalg.matmul.cpu import matmul
from variants.simd import Matrix, Products


struct Max(Products):
    """Products by MAX."""

    @staticmethod
    def matmul[
        dt: DType, //
    ](a: Matrix[dt, Self], b: Matrix[dt, Self], mut product: Matrix[dt, Self],):
        """Compute `a @ b`."""
        _multiply[transpose_b=False](a, b, product)

    @staticmethod
    def transposed_matmul[
        dt: DType, //
    ](a: Matrix[dt, Self], b: Matrix[dt, Self], mut product: Matrix[dt, Self],):
        """Compute `a.T @ b`."""
        var transposed = Matrix[dt, Self](a.columns(), a.rows())
        for i in range(a.rows()):
            for j in range(a.columns()):
                transposed[j, i] = a[i, j]
        _multiply[transpose_b=False](transposed, b, product)

    @staticmethod
    def matmul_transposed[
        dt: DType, //
    ](a: Matrix[dt, Self], b: Matrix[dt, Self], mut product: Matrix[dt, Self],):
        """Compute `a @ b.T`."""
        _multiply[transpose_b=True](a, b, product)


def _multiply[
    dt: DType, //, transpose_b: Bool
](a: Matrix[dt, Max], b: Matrix[dt, Max], mut product: Matrix[dt, Max]):
    """Compute `a @ b`, or `a @ b.T`."""
    var left = a.numbers.unsafe_ptr()
    var right = b.numbers.unsafe_ptr()
    var result = product.numbers.unsafe_ptr()
    var rows = product.rows()
    var columns = product.columns()
    var A = TileTensor(left, row_major(Coord(rows, a.columns())))
    try:
        if columns == 1:
            var vector = TileTensor(right, row_major(Coord(a.columns())))
            var sums = TileTensor(result, row_major(Coord(rows)))
            gemv[parallelize=False](sums, A, vector)
        else:
            var B = TileTensor(right, row_major(Coord(b.rows(), b.columns())))
            var C = TileTensor(result, row_major(Coord(rows, columns)))
            matmul[transpose_b=transpose_b](
                C, A, B, kernel_type_m=0, num_threads=1
            )
    except failure:
        abort(String(failure))
