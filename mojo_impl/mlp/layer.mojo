"""One dense layer: where it lies in the memory of its network, and ways in and out.

Shapes: n rows of a batch, width `in` or `out`. Inside a network every row starts on a cache line
and can be read and written to the end of its last vector; what stands there never matters. The few
columns of a narrow layer beyond whole vectors, its tail, are kept apart and transposed: the product
of whole vectors then wastes no lanes, and the tail is done as dot products.
"""
from std.sys import simd_width_of, size_of

from mlp.loops import copy, copy_rows, descend
from mlp.runtime.memory import CACHE_LINE, OutOfMemory, Plan, Ptr

comptime _MOST_VECTORS_BESIDE_TAIL = 16
"""A tail as part of one more vector costs a wider layer less than its dot products would."""


@fieldwise_init
struct Width[dt: DType](ImplicitlyCopyable):
    """How the rows of a matrix with so many columns are stored.

    Parameters:
        dt: Type of the elements.
    """

    var columns: Int
    """How many columns there are."""
    var tail: Int
    """How many of them, the last, form the tail."""
    var main: Int
    """Columns of the product of whole vectors: those without the tail, or, where there is none,
    all, rounded up to a vector."""
    var padded: Int
    """All columns, rounded up to a vector."""
    var stride: Int
    """Elements from row to row."""

    def __init__(out self, columns: Int):
        """Choose how to store rows.

        Args:
            columns: How many columns there are; at least 1.
        """
        comptime W = simd_width_of[Self.dt]()
        comptime line = CACHE_LINE // size_of[Scalar[Self.dt]]()
        self.columns = columns
        var beyond = columns % W
        var narrow = columns // W <= _MOST_VECTORS_BESIDE_TAIL
        self.tail = beyond if beyond <= W // 4 and narrow else 0
        self.main = (columns - self.tail + W - 1) // W * W
        self.padded = (columns + W - 1) // W * W
        self.stride = (columns + line - 1) // line * line
        # Rows at a distance of a power of two compete for the same places in the caches.
        if self.stride // line % 2 == 0 and self.stride // line >= 4:
            self.stride += line


@fieldwise_init
struct Layer[dt: DType](ImplicitlyCopyable):
    """Weights and biases, and what a batch leaves behind on its way through.

    Parameters:
        dt: Type of every element.
    """

    var width_in: Int
    """Columns of what comes in."""
    var width_out: Int
    """Columns of what goes out."""
    var input: Width[Self.dt]
    """How rows of `width_in` columns are stored."""
    var out: Width[Self.dt]
    """How rows of `width_out` columns are stored."""
    var weights: Ptr[Self.dt]
    """(in, out) without the tail of `out`."""
    var tail: Ptr[Self.dt]
    """The rest, transposed: (tail of `out`, in)."""
    var biases: Ptr[Self.dt]
    """(1, out)."""
    var spare: Ptr[Self.dt]
    """Room for the gradient of `tail`, or for the rows of weights of the tail of `in`."""
    var output: Ptr[Self.dt]
    """(n, out), after ReLU; unused in the last layer, whose output is the caller's y_hat."""
    var delta: Ptr[Self.dt]
    """(n, out), the derivative of the loss by the output before ReLU."""
    var delta_stride: Int
    """Elements from row to row of `delta`: `out` in the last layer, like y_hat."""

    def __init__(
        out self,
        width_in: Int,
        width_out: Int,
        mut plan: Plan[Scalar[Self.dt]],
        start: Ptr[Self.dt],
    ) raises OutOfMemory:
        """Take places for the parameters; outputs and deltas get theirs later.

        Args:
            width_in: Columns of what comes in.
            width_out: Columns of what goes out.
            plan: The plan of the memory of all parameters.
            start: That memory.

        Raises:
            When no memory could hold the layer.
        """
        # Refuses what no memory holds while the sizes are as given: rounded up they may overflow.
        var plain = Plan[Scalar[Self.dt]]()
        _ = plain.add(width_in, width_out)
        self.width_in = width_in
        self.width_out = width_out
        self.input = Width[Self.dt](width_in)
        self.out = Width[Self.dt](width_out)
        # Whole vectors of rows as well, as the product for the delta below takes rows in vectors.
        var rows = self.input.padded if self.out.main > 0 else 0
        self.weights = start.unsafe_offset(plan.add(rows, self.out.stride))
        self.tail = start.unsafe_offset(
            plan.add(self.out.tail, self.input.stride)
        )
        self.biases = start.unsafe_offset(plan.add(1, self.out.stride))
        self.spare = start.unsafe_offset(
            plan.add(
                max(self.out.tail, self.input.tail),
                max(self.input.stride, self.out.stride),
            )
        )
        self.output = start
        self.delta = start
        self.delta_stride = self.out.stride

    def place_activity(
        mut self,
        n: Int,
        is_last: Bool,
        mut plan: Plan[Scalar[Self.dt]],
        start: Ptr[Self.dt],
    ) raises OutOfMemory:
        """Take places for the output and the delta of a batch.

        Args:
            n: Rows of the batch.
            is_last: Whether this is the last layer.
            plan: The plan of the memory of all outputs and deltas.
            start: That memory.

        Raises:
            When no memory could hold them.
        """
        self.delta_stride = self.width_out if is_last else self.out.stride
        if not is_last:
            self.output = start.unsafe_offset(plan.add(n, self.out.stride))
        self.delta = start.unsafe_offset(plan.add(n, self.delta_stride))
        if (
            is_last
        ):  # its rows end with their last column, and are read to the end of a vector
            _ = plan.add(1, self.out.stride)

    def weight(self, i: Int, j: Int) -> Ptr[Self.dt]:
        """Tell where a weight is.

        Args:
            i: Its input.
            j: Its output.

        Returns:
            The place.
        """
        if j < self.out.main:
            return self.weights.unsafe_offset(i * self.out.stride + j)
        return self.tail.unsafe_offset(
            (j - self.out.main) * self.input.stride + i
        )

    def step(
        self,
        grad_w: Ptr[Self.dt],
        grad_b: Ptr[Self.dt],
        rate: Scalar[Self.dt],
    ):
        """Subtract `rate` times the gradients from the parameters.

        Args:
            grad_w: The gradient of the weights, dense (in, out).
            grad_b: That of the biases, (1, out).
            rate: Learning rate over batch size.
        """
        var main = min(self.out.main, self.width_out)
        for i in range(self.width_in):
            var row = grad_w.unsafe_offset(i * self.width_out)
            descend(
                self.weights.unsafe_offset(i * self.out.stride), row, main, rate
            )
            for j in range(self.out.tail):
                self.tail[unsafe_offset=j * self.input.stride + i] -= (
                    rate * row[unsafe_offset=main + j]
                )
        descend(self.biases, grad_b, self.width_out, rate)

    def read_weights(self, target: Ptr[Self.dt]):
        """Copy the weights.

        Args:
            target: Where to, dense (in, out).
        """
        var main = min(self.out.main, self.width_out)
        copy_rows(
            self.weights,
            self.out.stride,
            target,
            self.width_out,
            self.width_in,
            main,
        )
        for i in range(self.width_in):
            for j in range(self.out.tail):
                target[unsafe_offset=i * self.width_out + main + j] = self.tail[
                    unsafe_offset=j * self.input.stride + i
                ]

    def write_weights(self, source: Ptr[Self.dt]):
        """Replace the weights.

        Args:
            source: The new ones, dense (in, out).
        """
        var main = min(self.out.main, self.width_out)
        copy_rows(
            source,
            self.width_out,
            self.weights,
            self.out.stride,
            self.width_in,
            main,
        )
        for i in range(self.width_in):
            for j in range(self.out.tail):
                self.tail[unsafe_offset=j * self.input.stride + i] = source[
                    unsafe_offset=i * self.width_out + main + j
                ]

    def read_biases(self, target: Ptr[Self.dt]):
        """Copy the biases.

        Args:
            target: Where to, (1, out).
        """
        copy(self.biases, target, self.width_out)

    def write_biases(self, source: Ptr[Self.dt]):
        """Replace the biases.

        Args:
            source: The new ones, (1, out).
        """
        copy(source, self.biases, self.width_out)

    def read_output(self, n: Int, target: Ptr[Self.dt]):
        """Copy the output after ReLU of the last `forward`; not of the last layer.

        Args:
            n: Its rows.
            target: Where to, dense (n, out).
        """
        copy_rows(
            self.output,
            self.out.stride,
            target,
            self.width_out,
            n,
            self.width_out,
        )
