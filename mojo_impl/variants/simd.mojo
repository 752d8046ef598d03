"""The variant `mojo-simd`: the loops of `mojo-port`, their innermost on vectors by `vectorize`.

Products go in the order i-k-j, so that the innermost loop runs along memory. That is all: nothing
is cut into blocks, nothing is fused with its neighbour, every operation makes a new array. How
products are made is a parameter, for `mojo-max` brings its own.
"""
from std.algorithm import vectorize
from std.sys import simd_width_of

from variants.array import Array


trait Products(Copyable, Deinitable):
    """A way to make the three products of the network; the result comes full of zeros."""

    @staticmethod
    def matmul[
        dt: DType, //
    ](a: Matrix[dt, Self], b: Matrix[dt, Self], mut product: Matrix[dt, Self],):
        """Compute `a @ b`."""
        ...

    @staticmethod
    def transposed_matmul[
        dt: DType, //
    ](a: Matrix[dt, Self], b: Matrix[dt, Self], mut product: Matrix[dt, Self],):
        """Compute `a.T @ b`."""
        ...

    @staticmethod
    def matmul_transposed[
        dt: DType, //
    ](a: Matrix[dt, Self], b: Matrix[dt, Self], mut product: Matrix[dt, Self],):
        """Compute `a @ b.T`."""
        ...


struct Loops(Products):
    """Products by loops with vectors along the rows."""

    @staticmethod
    def matmul[
        dt: DType, //
    ](a: Matrix[dt, Self], b: Matrix[dt, Self], mut product: Matrix[dt, Self],):
        """Compute `a @ b`: add to each row of the product the rows of b."""
        for i in range(a.rows()):
            for k in range(a.columns()):
                product.add_to_row(i, a[i, k], b, k)

    @staticmethod
    def transposed_matmul[
        dt: DType, //
    ](a: Matrix[dt, Self], b: Matrix[dt, Self], mut product: Matrix[dt, Self],):
        """Compute `a.T @ b`: add to each row of the product the rows of b."""
        for i in range(a.columns()):
            for k in range(a.rows()):
                product.add_to_row(i, a[k, i], b, k)

    @staticmethod
    def matmul_transposed[
        dt: DType, //
    ](a: Matrix[dt, Self], b: Matrix[dt, Self], mut product: Matrix[dt, Self],):
        """Compute `a @ b.T`: each element is a row of a times a row of b."""
        for i in range(a.rows()):
            for j in range(b.rows()):
                product[i, j] = a.dot_rows(i, b, j)


struct Matrix[dt: DType, Multiply: Products = Loops](Array):
    """Numbers in a list, row after row, and a loop over vectors for every operation."""

    comptime dtype = Self.dt
    comptime lanes = simd_width_of[Self.dt]()

    var row_count: Int
    var column_count: Int
    var numbers: List[Scalar[Self.dt]]

    def __init__(out self, rows: Int, columns: Int):
        """Make a matrix of zeros."""
        self.row_count = rows
        self.column_count = columns
        self.numbers = List[Scalar[Self.dt]](length=rows * columns, fill=0)

    def rows(self) -> Int:
        """Tell how many rows there are."""
        return self.row_count

    def columns(self) -> Int:
        """Tell how many columns there are."""
        return self.column_count

    def __getitem__(self, i: Int, j: Int) -> Scalar[Self.dt]:
        """Return an element."""
        return self.numbers[i * self.column_count + j]

    def __setitem__(mut self, i: Int, j: Int, value: Scalar[Self.dt]):
        """Change an element."""
        self.numbers[i * self.column_count + j] = value

    def load[width: Int](self, at: Int) -> SIMD[Self.dt, width]:
        """Return `width` elements from place `at` of the list on."""
        return self.numbers.unsafe_ptr().unsafe_load[width=width](at)

    def store[width: Int](mut self, at: Int, values: SIMD[Self.dt, width]):
        """Change `width` elements from place `at` of the list on."""
        self.numbers.unsafe_ptr().unsafe_store(at, values)

    def add_to_row(
        mut self, i: Int, factor: Scalar[Self.dt], other: Self, k: Int
    ):
        """Compute `self[i] += factor * other[k]`."""
        var mine = i * self.columns()
        var theirs = k * other.columns()

        def add[width: Int](j: Int) {mut self, imm}:
            var values = other.load[width](theirs + j)
            var sums = self.load[width](mine + j)
            self.store(mine + j, values.fma(SIMD[Self.dt, width](factor), sums))

        vectorize[Self.lanes](self.columns(), add)

    def dot_rows(self, i: Int, other: Self, j: Int) -> Scalar[Self.dt]:
        """Compute `self[i] @ other[j]`."""
        var mine = i * self.columns()
        var theirs = j * other.columns()
        var sums = SIMD[Self.dt, Self.lanes](0)

        def add[width: Int](k: Int) {mut sums, imm}:
            var left = self.load[width](mine + k)
            var right = other.load[width](theirs + k)
            comptime if width == Self.lanes:
                sums = rebind[type_of(sums)](left).fma(
                    rebind[type_of(sums)](right), sums
                )
            else:
                sums[0] += (left * right).reduce_add()

        vectorize[Self.lanes](self.columns(), add)
        return sums.reduce_add()

    def __matmul__(self, other: Self) -> Self:
        """Compute `self @ other`."""
        var product = Self(self.rows(), other.columns())
        Self.Multiply.matmul(self, other, product)
        return product^

    def transposed_matmul(self, other: Self) -> Self:
        """Compute `self.T @ other`."""
        var product = Self(self.columns(), other.columns())
        Self.Multiply.transposed_matmul(self, other, product)
        return product^

    def matmul_transposed(self, other: Self) -> Self:
        """Compute `self @ other.T`."""
        var product = Self(self.rows(), other.rows())
        Self.Multiply.matmul_transposed(self, other, product)
        return product^

    def __add__(self, row: Self) -> Self:
        """Add one row to every row."""
        var result = self.copy()
        for i in range(self.rows()):
            result.add_to_row(i, 1, row, 0)
        return result^

    def __sub__(self, other: Self) -> Self:
        """Subtract element by element."""
        var result = Self(self.rows(), self.columns())

        def subtract[width: Int](at: Int) {mut result, imm}:
            result.store(at, self.load[width](at) - other.load[width](at))

        vectorize[Self.lanes](len(self.numbers), subtract)
        return result^

    def __isub__(mut self, other: Self):
        """Subtract element by element, in place."""

        def subtract[width: Int](at: Int) {mut self, imm}:
            self.store(at, self.load[width](at) - other.load[width](at))

        vectorize[Self.lanes](len(self.numbers), subtract)

    def __mul__(self, other: Self) -> Self:
        """Multiply element by element."""
        var result = Self(self.rows(), self.columns())

        def multiply[width: Int](at: Int) {mut result, imm}:
            result.store(at, self.load[width](at) * other.load[width](at))

        vectorize[Self.lanes](len(self.numbers), multiply)
        return result^

    def scaled(self, factor: Scalar[Self.dt]) -> Self:
        """Multiply every element by a number."""
        var result = Self(self.rows(), self.columns())

        def scale[width: Int](at: Int) {mut result, imm}:
            result.store(at, factor * self.load[width](at))

        vectorize[Self.lanes](len(self.numbers), scale)
        return result^

    def relu(self) -> Self:
        """Put 0 for what is below 0; NaN, as in NumPy, stays NaN."""
        var result = Self(self.rows(), self.columns())

        def cut[width: Int](at: Int) {mut result, imm}:
            var values = self.load[width](at)
            var zeros = SIMD[Self.dt, width](0)
            result.store(at, values.lt(zeros).select(zeros, values))

        vectorize[Self.lanes](len(self.numbers), cut)
        return result^

    def positive(self) -> Self:
        """Put 1 for what is above 0, and 0 for all else."""
        var result = Self(self.rows(), self.columns())

        def compare[width: Int](at: Int) {mut result, imm}:
            result.store(at, self.load[width](at).gt(0).cast[Self.dt]())

        vectorize[Self.lanes](len(self.numbers), compare)
        return result^

    def sum_rows(self) -> Self:
        """Sum all rows to one."""
        var sums = Self(1, self.columns())
        for i in range(self.rows()):
            sums.add_to_row(0, 1, self, i)
        return sums^

    def mean_square(self) -> Float64:
        """Average the squares, summed in float64."""
        var sums = SIMD[DType.float64, Self.lanes](0)

        def add[width: Int](at: Int) {mut sums, imm}:
            var values = self.load[width](at)
            var squares = (values * values).cast[DType.float64]()
            comptime if width == Self.lanes:
                sums += rebind[type_of(sums)](squares)
            else:
                sums[0] += squares.reduce_add()

        vectorize[Self.lanes](len(self.numbers), add)
        return sums.reduce_add() / Float64(len(self.numbers))

    def take(self, order: List[Int], start: Int, end: Int) -> Self:
        """Copy the rows that `order` names from place `start` to before place `end`."""
        var result = Self(end - start, self.columns())
        for i in range(end - start):
            var source = order[start + i] * self.columns()
            var target = i * self.columns()

            def move[width: Int](j: Int) {mut result, imm}:
                result.store(target + j, self.load[width](source + j))

            vectorize[Self.lanes](self.columns(), move)
        return result^
