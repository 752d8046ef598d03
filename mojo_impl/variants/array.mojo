"""What the network of the ladder asks of its arrays: operations that each variant computes.

All arrays have two dimensions, and results are new ones, as in NumPy. Names and signs are
NumPy's where it has them. Shapes fit: who calls has checked them.
"""


trait Array(Copyable, Deinitable):
    """A dense array of two dimensions."""

    comptime dtype: DType
    """Type of the elements."""

    def __init__(out self, rows: Int, columns: Int):
        """Make `numpy.zeros((rows, columns))`."""
        ...

    def rows(self) -> Int:
        """Tell `self.shape[0]`."""
        ...

    def columns(self) -> Int:
        """Tell `self.shape[1]`."""
        ...

    def __getitem__(self, i: Int, j: Int) -> Scalar[Self.dtype]:
        """Return an element."""
        ...

    def __setitem__(mut self, i: Int, j: Int, value: Scalar[Self.dtype]):
        """Change an element."""
        ...

    def __matmul__(self, other: Self) -> Self:
        """Compute `self @ other`."""
        ...

    def transposed_matmul(self, other: Self) -> Self:
        """Compute `self.T @ other`."""
        ...

    def matmul_transposed(self, other: Self) -> Self:
        """Compute `self @ other.T`."""
        ...

    def __add__(self, row: Self) -> Self:
        """Compute `self + row`: the one row is added to every row."""
        ...

    def __sub__(self, other: Self) -> Self:
        """Compute `self - other`."""
        ...

    def __isub__(mut self, other: Self):
        """Compute `self -= other`."""
        ...

    def __mul__(self, other: Self) -> Self:
        """Compute `self * other`, element by element."""
        ...

    def scaled(self, factor: Scalar[Self.dtype]) -> Self:
        """Compute `factor * self`."""
        ...

    def relu(self) -> Self:
        """Compute `numpy.maximum(self, 0)`: NaN stays NaN."""
        ...

    def positive(self) -> Self:
        """Compute `self > 0`, as 1 and 0."""
        ...

    def sum_rows(self) -> Self:
        """Compute `self.sum(axis=0, keepdims=True)`."""
        ...

    def mean_square(self) -> Float64:
        """Compute `numpy.mean(numpy.square(self), dtype=numpy.float64)`."""
        ...

    def take(self, order: List[Int], start: Int, end: Int) -> Self:
        """Compute `self[order[start:end]]`."""
        ...
