"""The rung `mojo-max`: `mojo-simd` with its products made by MAX, Modular's library.

`linalg.matmul` cuts products into blocks and packs them, as `mojo` does by itself. Here it gets one
thread. It takes a transposed right factor as it is, and no transposed left one, of which a copy is
made first. Where the right factor is one column, it leaves the product to `gemv`, which takes as
many threads as there are; so that is asked directly, for one.
"""
from std.os import abort

from layout import Coord, TileTensor, row_major
from linalg.gemv import gemv
from linalg.matmul.cpu import matmul
from simd import Matrix, Products


struct Max(Products):
    """Products by MAX."""

    @staticmethod
    def matmul[
        dt: DType, //
    ](
        a: Matrix[dt, Self],
        b: Matrix[dt, Self],
        mut product: Matrix[dt, Self],
    ):
        """Compute `a @ b`."""
        _multiply[transpose_b=False](a, b, product)

    @staticmethod
    def transposed_matmul[
        dt: DType, //
    ](
        a: Matrix[dt, Self],
        b: Matrix[dt, Self],
        mut product: Matrix[dt, Self],
    ):
        """Compute `a.T @ b`."""
        var transposed = Matrix[dt, Self](a.columns(), a.rows())
        for i in range(a.rows()):
            for j in range(a.columns()):
                transposed[j, i] = a[i, j]
        _multiply[transpose_b=False](transposed, b, product)

    @staticmethod
    def matmul_transposed[
        dt: DType, //
    ](
        a: Matrix[dt, Self],
        b: Matrix[dt, Self],
        mut product: Matrix[dt, Self],
    ):
        """Compute `a @ b.T`."""
        _multiply[transpose_b=True](a, b, product)


def _multiply[
    dt: DType, //, transpose_b: Bool
](a: Matrix[dt, Max], b: Matrix[dt, Max], mut product: Matrix[dt, Max]):
    """Compute `a @ b`, or `a @ b.T`."""
    var left = TileTensor(
        a.numbers.unsafe_ptr(), row_major(Coord(a.rows(), a.columns()))
    )
    try:
        if product.columns() == 1:
            gemv[parallelize=False](
                TileTensor(
                    product.numbers.unsafe_ptr(),
                    row_major(Coord(product.rows())),
                ),
                left,
                TileTensor(
                    b.numbers.unsafe_ptr(), row_major(Coord(a.columns()))
                ),
            )
        else:
            matmul[transpose_b=transpose_b](
                TileTensor(
                    product.numbers.unsafe_ptr(),
                    row_major(Coord(product.rows(), product.columns())),
                ),
                left,
                TileTensor(
                    b.numbers.unsafe_ptr(),
                    row_major(Coord(b.rows(), b.columns())),
                ),
                kernel_type_m=0,
                num_threads=1,
            )
    except failure:
        abort(String(failure))
