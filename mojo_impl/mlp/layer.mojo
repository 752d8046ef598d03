"""One dense layer: where it lies in the memory of its network, and its four matrix products.

Shapes: n rows of a batch, width `in` or `out`. Inside a network every row starts on a cache line
and can be read and written to the end of its last vector; what stands there never matters. The few
columns of a narrow layer beyond whole vectors, its tail, are kept apart and transposed: the product
of whole vectors then wastes no lanes, and the tail is done as dot products.
"""
from std.sys import simd_width_of, size_of

from mlp.dots import dot_products
from mlp.kernel import Result
from mlp.loops import column_sums, copy, copy_rows, descend
from mlp.matmul import (
    BIAS,
    BIAS_RELU,
    RELU_MASK,
    SGD,
    STORE,
    Ptr,
    Right,
    matmul,
)
from mlp.memory import CACHE_LINE, OutOfMemory, Plan
from mlp.threads import Team

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
        self.width_in = width_in
        self.width_out = width_out
        self.input = Width[Self.dt](width_in)
        self.out = Width[Self.dt](width_out)
        # Whole vectors of rows as well, as the product for the delta below takes rows in vectors.
        self.weights = start.unsafe_offset(
            plan.add(self.input.padded, self.out.stride)
        )
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
        # A row more than there is, as the last may be read to the end of its last vector.
        self.delta = start.unsafe_offset(
            plan.add(n, self.delta_stride) if not is_last else plan.add(
                1, n * self.delta_stride + self.out.stride
            )
        )

    def forward[
        relu: Bool
    ](
        self,
        mut team: Team,
        inputs: Ptr[Self.dt],
        ld_inputs: Int,
        n: Int,
        output: Ptr[Self.dt],
        ld_output: Int,
    ) raises:
        """Compute inputs @ weights + biases.

        Parameters:
            relu: Whether the output goes through ReLU, to rows of this layer's own stride;
                else to rows that end with their last column.

        Args:
            team: The threads to use.
            inputs: Inputs, (n, in).
            ld_inputs: Elements from row to row of `inputs`.
            n: Rows.
            output: Where the output goes, (n, out).
            ld_output: Elements from row to row of `output`.

        Raises:
            When memory runs out.
        """
        comptime epilogue = BIAS_RELU if relu else BIAS
        matmul[Self.dt, False, False, epilogue](
            team,
            n,
            self.out.main if relu else min(self.out.main, self.width_out),
            self.width_in,
            inputs,
            ld_inputs,
            Right(self.weights, self.out.stride, whole=True),
            output,
            ld_output,
            self.biases,
            0,
            0,
        )
        dot_products(
            n,
            self.out.tail,
            self.width_in,
            inputs,
            ld_inputs,
            self.tail,
            self.input.stride,
            Result[Self.dt](
                output, ld_output, epilogue, self.biases, 0, 0, False
            ).at(0, self.out.main),
        )

    def fill_delta_below(self, mut team: Team, n: Int, below: Self) raises:
        """Fill the delta of the layer below: delta @ weights.T, where ReLU let something through.

        Args:
            team: The threads to use.
            n: Rows.
            below: The layer whose output came into this one.

        Raises:
            When memory runs out.
        """
        matmul[Self.dt, False, True, RELU_MASK](
            team,
            n,
            self.input.main,
            self.width_out,
            self.delta,
            self.delta_stride,
            Right(
                self.weights,
                self.out.stride,
                tail=self.tail,
                tail_rows=self.out.tail,
                ld_tail=self.input.stride,
            ),
            below.delta,
            below.delta_stride,
            below.output,
            below.out.stride,
            0,
        )
        for row in range(self.input.tail):
            var whole = self.spare.unsafe_offset(row * self.out.stride)
            var i = self.input.main + row
            copy(
                self.weights.unsafe_offset(i * self.out.stride),
                whole,
                min(self.out.main, self.width_out),
            )
            for j in range(self.out.tail):
                whole[unsafe_offset=self.out.main + j] = self.tail[
                    unsafe_offset=j * self.input.stride + i
                ]
        dot_products(
            n,
            self.input.tail,
            self.width_out,
            self.delta,
            self.delta_stride,
            self.spare,
            self.out.stride,
            Result[Self.dt](
                below.delta,
                below.delta_stride,
                RELU_MASK,
                below.output,
                below.out.stride,
                0,
                False,
            ).at(0, self.input.main),
        )

    def gradients(
        self,
        mut team: Team,
        inputs: Ptr[Self.dt],
        ld_inputs: Int,
        n: Int,
        grad_w: Ptr[Self.dt],
        grad_b: Ptr[Self.dt],
    ) raises:
        """Compute the gradients from the delta: inputs.T @ delta, and the sum of its rows.

        Args:
            team: The threads to use.
            inputs: What came in, (n, in); only rows of `input.stride` are read beyond their end.
            ld_inputs: Elements from row to row of `inputs`.
            n: Rows.
            grad_w: Where the gradient of the weights goes, dense (in, out).
            grad_b: Where that of the biases goes, (1, out).

        Raises:
            When memory runs out.
        """
        self._multiply_inputs[STORE](
            team,
            inputs,
            ld_inputs,
            n,
            grad_w,
            self.width_out,
            self.spare,
            0,
        )
        for j in range(self.out.tail):
            for i in range(self.width_in):
                grad_w[
                    unsafe_offset=i * self.width_out + self.out.main + j
                ] = self.spare[unsafe_offset=j * self.input.stride + i]
        column_sums[subtract=False](
            self.delta, n, self.delta_stride, self.width_out, grad_b, 1
        )

    def update(
        self,
        mut team: Team,
        inputs: Ptr[Self.dt],
        ld_inputs: Int,
        n: Int,
        rate: Scalar[Self.dt],
    ) raises:
        """Subtract `rate` times the gradients from the parameters, without storing gradients.

        Args:
            team: The threads to use.
            inputs: What came in, (n, in); only rows of `input.stride` are read beyond their end.
            ld_inputs: Elements from row to row of `inputs`.
            n: Rows.
            rate: Learning rate over batch size.

        Raises:
            When memory runs out.
        """
        self._multiply_inputs[SGD](
            team,
            inputs,
            ld_inputs,
            n,
            self.weights,
            self.out.stride,
            self.tail,
            rate,
        )
        column_sums[subtract=True](
            self.delta,
            n,
            self.delta_stride,
            min(self.delta_stride, self.out.padded),
            self.biases,
            rate,
        )

    def _multiply_inputs[
        epilogue: Int
    ](
        self,
        mut team: Team,
        inputs: Ptr[Self.dt],
        ld_inputs: Int,
        n: Int,
        c: Ptr[Self.dt],
        ldc: Int,
        c_tail: Ptr[Self.dt],
        rate: Scalar[Self.dt],
    ) raises:
        """Compute inputs.T @ delta: (in, out) to `c`, the tail transposed to `c_tail`."""
        matmul[Self.dt, True, False, epilogue](
            team,
            self.width_in,
            # Own rows may be written to the end of their last vector.
            self.out.main if ldc
            >= self.out.main else min(self.out.main, self.width_out),
            n,
            inputs,
            ld_inputs,
            Right(self.delta, self.delta_stride, whole=True),
            c,
            ldc,
            c,
            0,
            rate,
        )
        if self.out.tail > 0:
            var own = ld_inputs == self.input.stride
            matmul[Self.dt, True, False, epilogue](
                team,
                self.out.tail,
                self.input.padded if own else self.width_in,
                n,
                self.delta.unsafe_offset(self.out.main),
                self.delta_stride,
                Right(inputs, ld_inputs, whole=own),
                c_tail,
                self.input.stride,
                c_tail,
                0,
                rate,
            )

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
