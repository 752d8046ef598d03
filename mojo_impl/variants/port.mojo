"""The variant `mojo-port`: python_impl/network.py ported line by line by a Python programmer.

`MLP` has the names, the order and the array operations of the original. `Matrix` is what it needs
of NumPy's arrays, each operation the plainest loop that computes it. The other variants keep this
`MLP` and bring a faster `Matrix`.
"""
from std.math import sqrt
from std.utils.numerics import nan

from mlp.random import RandomState
from variants.array import Array


struct MLP[Matrix: Array](Movable):
    """A network of dense layers, ReLU between them, trained by minibatch SGD."""

    var layer_sizes: List[Int]
    var seed: UInt32
    var random: RandomState
    var weights: List[Self.Matrix]
    var biases: List[Self.Matrix]
    var activations: List[Self.Matrix]
    var pre_activations: List[Self.Matrix]

    def __init__(out self, var layer_sizes: List[Int], seed: UInt32):
        """Make a network with fresh weights."""
        self.layer_sizes = layer_sizes^
        self.seed = seed
        self.random = RandomState(seed)
        self.weights = []
        self.biases = []
        self.activations = []
        self.pre_activations = []
        self.reset()

    def reset(mut self):
        """Go back to the initial weights and to the start of the random stream."""
        self.random = RandomState(self.seed)
        self.weights = []
        self.biases = []
        for layer in range(len(self.layer_sizes) - 1):
            var width_in = self.layer_sizes[layer]
            var width_out = self.layer_sizes[layer + 1]
            var scale = sqrt(4.0 / Float64(width_in + width_out))
            var w = Self.Matrix(width_in, width_out)
            for i in range(width_in):
                for j in range(width_out):
                    w[i, j] = Scalar[Self.Matrix.dtype](
                        self.random.randn() * scale
                    )
            self.weights.append(w^)
            self.biases.append(Self.Matrix(1, width_out))
        self.activations = []
        self.pre_activations = []

    def forward(mut self, X: Self.Matrix) -> Self.Matrix:
        """Compute the output for a batch and keep what `backprop` needs."""
        self.activations = []
        self.activations.append(X.copy())
        self.pre_activations = []
        for layer in range(len(self.weights)):
            var z = (
                self.activations[layer] @ self.weights[layer]
                + self.biases[layer]
            )
            if layer < len(self.weights) - 1:
                self.activations.append(z.relu())
            else:
                self.activations.append(z.copy())
            self.pre_activations.append(z^)
        return self.activations[len(self.weights)].copy()

    def backprop(
        self, y: Self.Matrix
    ) -> Tuple[List[Self.Matrix], List[Self.Matrix]]:
        """Compute the gradients for the batch that `forward` saw last."""
        var grads_w: List[Self.Matrix] = []
        var grads_b: List[Self.Matrix] = []
        var delta = self.activations[len(self.weights)] - y
        for layer in reversed(range(len(self.weights))):
            grads_w.append(self.activations[layer].transposed_matmul(delta))
            grads_b.append(delta.sum_rows())
            if layer > 0:
                delta = (
                    delta.matmul_transposed(self.weights[layer])
                    * self.pre_activations[layer - 1].positive()
                )
        grads_w.reverse()
        grads_b.reverse()
        return grads_w^, grads_b^

    def step(
        mut self,
        grads_w: List[Self.Matrix],
        grads_b: List[Self.Matrix],
        rate: Scalar[Self.Matrix.dtype],
    ):
        """Move every parameter by -rate * gradient."""
        for layer in range(len(self.weights)):
            self.weights[layer] -= grads_w[layer].scaled(rate)
            self.biases[layer] -= grads_b[layer].scaled(rate)

    def loss(self, y: Self.Matrix, y_hat: Self.Matrix) -> Float64:
        """Return the mean of the squared errors over all elements, summed in float64."""
        return (y_hat - y).mean_square()

    def predict(self, var X: Self.Matrix) -> Self.Matrix:
        """Compute the output for X without touching the cache of `forward`."""
        var last = len(self.weights) - 1
        for layer in range(last):
            X = (X @ self.weights[layer] + self.biases[layer]).relu()
        return X @ self.weights[last] + self.biases[last]

    def epoch(
        mut self,
        X: Self.Matrix,
        y: Self.Matrix,
        X_val: Self.Matrix,
        y_val: Self.Matrix,
        batch_size: Int,
        rate: Scalar[Self.Matrix.dtype],
        mut training_loss: List[Float64],
        mut validation_loss: List[Float64],
    ):
        """Train one epoch and fill in the losses of its batches; `X_val` may have no rows."""
        var in_order = [i for i in range(max(X.rows(), X_val.rows()))]
        var order = in_order.copy()
        self.random.shuffle(
            order.unsafe_ptr().unsafe_origin_cast[MutUntrackedOrigin](),
            X.rows(),
        )
        for batch in range(len(training_loss)):
            var start = batch * batch_size
            var end = start + batch_size
            var X_batch = X.take(order, start, end)
            var y_batch = y.take(order, start, end)
            training_loss[batch] = self.loss(y_batch, self.forward(X_batch))
            var gradients = self.backprop(y_batch)
            self.step(gradients[0], gradients[1], rate)
            if len(validation_loss) > 0:
                end = min(end, X_val.rows())
                if start < end:
                    validation_loss[batch] = self.loss(
                        y_val.take(in_order, start, end),
                        self.predict(X_val.take(in_order, start, end)),
                    )
                else:
                    validation_loss[batch] = nan[DType.float64]()
        self.activations = []
        self.pre_activations = []


struct Matrix[dt: DType](Array):
    """Numbers in a list, row after row, and a loop for every operation."""

    comptime dtype = Self.dt

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

    def __matmul__(self, other: Self) -> Self:
        """Compute `self @ other`."""
        var product = Self(self.rows(), other.columns())
        for i in range(self.rows()):
            for j in range(other.columns()):
                var sum: Scalar[Self.dt] = 0
                for k in range(self.columns()):
                    sum += self[i, k] * other[k, j]
                product[i, j] = sum
        return product^

    def transposed_matmul(self, other: Self) -> Self:
        """Compute `self.T @ other`."""
        var product = Self(self.columns(), other.columns())
        for i in range(self.columns()):
            for j in range(other.columns()):
                var sum: Scalar[Self.dt] = 0
                for k in range(self.rows()):
                    sum += self[k, i] * other[k, j]
                product[i, j] = sum
        return product^

    def matmul_transposed(self, other: Self) -> Self:
        """Compute `self @ other.T`."""
        var product = Self(self.rows(), other.rows())
        for i in range(self.rows()):
            for j in range(other.rows()):
                var sum: Scalar[Self.dt] = 0
                for k in range(self.columns()):
                    sum += self[i, k] * other[j, k]
                product[i, j] = sum
        return product^

    def __add__(self, row: Self) -> Self:
        """Add one row to every row."""
        var result = Self(self.rows(), self.columns())
        for i in range(self.rows()):
            for j in range(self.columns()):
                result[i, j] = self[i, j] + row[0, j]
        return result^

    def __sub__(self, other: Self) -> Self:
        """Subtract element by element."""
        var result = Self(self.rows(), self.columns())
        for i in range(self.rows()):
            for j in range(self.columns()):
                result[i, j] = self[i, j] - other[i, j]
        return result^

    def __isub__(mut self, other: Self):
        """Subtract element by element, in place."""
        for i in range(self.rows()):
            for j in range(self.columns()):
                self[i, j] -= other[i, j]

    def __mul__(self, other: Self) -> Self:
        """Multiply element by element."""
        var result = Self(self.rows(), self.columns())
        for i in range(self.rows()):
            for j in range(self.columns()):
                result[i, j] = self[i, j] * other[i, j]
        return result^

    def scaled(self, factor: Scalar[Self.dt]) -> Self:
        """Multiply every element by a number."""
        var result = Self(self.rows(), self.columns())
        for i in range(self.rows()):
            for j in range(self.columns()):
                result[i, j] = factor * self[i, j]
        return result^

    def relu(self) -> Self:
        """Put 0 for what is below 0; NaN, as in NumPy, stays NaN."""
        var result = Self(self.rows(), self.columns())
        for i in range(self.rows()):
            for j in range(self.columns()):
                result[i, j] = 0 if self[i, j] < 0 else self[i, j]
        return result^

    def positive(self) -> Self:
        """Put 1 for what is above 0, and 0 for all else."""
        var result = Self(self.rows(), self.columns())
        for i in range(self.rows()):
            for j in range(self.columns()):
                result[i, j] = 1 if self[i, j] > 0 else 0
        return result^

    def sum_rows(self) -> Self:
        """Sum all rows to one."""
        var sums = Self(1, self.columns())
        for i in range(self.rows()):
            for j in range(self.columns()):
                sums[0, j] += self[i, j]
        return sums^

    def mean_square(self) -> Float64:
        """Average the squares, summed in float64."""
        var sum = 0.0
        for i in range(self.rows()):
            for j in range(self.columns()):
                sum += Float64(self[i, j] * self[i, j])
        return sum / Float64(self.rows() * self.columns())

    def take(self, order: List[Int], start: Int, end: Int) -> Self:
        """Copy the rows that `order` names from place `start` to before place `end`."""
        var result = Self(end - start, self.columns())
        for i in range(end - start):
            for j in range(self.columns()):
                result[i, j] = self[order[start + i], j]
        return result^
