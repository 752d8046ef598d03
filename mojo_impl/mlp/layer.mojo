"""One dense layer: where it lies in the memory of its network, and its four matrix products.

Shapes: n rows of a batch, width `in` or `out`.
"""
from mlp.loops import column_sums, copy
from mlp.matmul import (
    BIAS,
    BIAS_RELU,
    RELU_MASK,
    SGD,
    STORE,
    Ptr,
    matmul,
)
from mlp.threads import Team


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
    var weights: Ptr[Self.dt]
    """(in, out)."""
    var biases: Ptr[Self.dt]
    """(1, out)."""
    var output: Ptr[Self.dt]
    """(n, out), after ReLU; unused in the last layer, whose output is the caller's y_hat."""
    var delta: Ptr[Self.dt]
    """(n, out), the derivative of the loss by the output before ReLU."""

    def forward[
        relu: Bool
    ](
        self,
        mut team: Team,
        inputs: Ptr[Self.dt],
        n: Int,
        output: Ptr[Self.dt],
    ) raises:
        """Compute inputs @ weights + biases.

        Parameters:
            relu: Whether the output goes through ReLU.

        Args:
            team: The threads to use.
            inputs: Inputs, (n, in).
            n: Rows.
            output: Where the output goes, (n, out).

        Raises:
            When memory runs out.
        """
        matmul[Self.dt, False, False, BIAS_RELU if relu else BIAS](
            team,
            n,
            self.width_out,
            self.width_in,
            inputs,
            self.width_in,
            (self.weights, self.width_out),
            output,
            self.width_out,
            self.biases,
            0,
            0,
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
            self.width_in,
            self.width_out,
            self.delta,
            self.width_out,
            (self.weights, self.width_out),
            below.delta,
            self.width_in,
            below.output,
            self.width_in,
            0,
        )

    def gradients(
        self,
        mut team: Team,
        inputs: Ptr[Self.dt],
        n: Int,
        grad_w: Ptr[Self.dt],
        grad_b: Ptr[Self.dt],
    ) raises:
        """Compute the gradients from the delta: inputs.T @ delta, and the sum of its rows.

        Args:
            team: The threads to use.
            inputs: What came in, (n, in).
            n: Rows.
            grad_w: Where the gradient of the weights goes, (in, out).
            grad_b: Where that of the biases goes, (1, out).

        Raises:
            When memory runs out.
        """
        matmul[Self.dt, True, False, STORE](
            team,
            self.width_in,
            self.width_out,
            n,
            inputs,
            self.width_in,
            (self.delta, self.width_out),
            grad_w,
            self.width_out,
            grad_w,
            0,
            0,
        )
        column_sums[subtract=False](self.delta, n, self.width_out, grad_b, 1)

    def update(
        self,
        mut team: Team,
        inputs: Ptr[Self.dt],
        n: Int,
        rate: Scalar[Self.dt],
    ) raises:
        """Subtract `rate` times the gradients from the parameters, without storing gradients.

        Args:
            team: The threads to use.
            inputs: What came in, (n, in).
            n: Rows.
            rate: Learning rate over batch size.

        Raises:
            When memory runs out.
        """
        matmul[Self.dt, True, False, SGD](
            team,
            self.width_in,
            self.width_out,
            n,
            inputs,
            self.width_in,
            (self.delta, self.width_out),
            self.weights,
            self.width_out,
            self.weights,
            0,
            rate,
        )
        column_sums[subtract=True](
            self.delta, n, self.width_out, self.biases, rate
        )

    def read_weights(self, target: Ptr[Self.dt]):
        """Copy the weights.

        Args:
            target: Where to, dense (in, out).
        """
        copy(self.weights, target, self.width_in * self.width_out)

    def write_weights(self, source: Ptr[Self.dt]):
        """Replace the weights.

        Args:
            source: The new ones, dense (in, out).
        """
        copy(source, self.weights, self.width_in * self.width_out)

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
        copy(self.output, target, n * self.width_out)
