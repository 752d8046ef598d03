"""What a layer does with a batch: its four matrix products, and what goes with them.

Shapes: n rows of a batch, width `in` or `out`.
"""
from std.sys import simd_width_of

from mlp.gemm.dots import Columns
from mlp.gemm.epilogue import BIAS, BIAS_RELU, RELU_MASK, SGD, STORE, Result
from mlp.gemm.kernel import Ahead, Panel, multiply_panel
from mlp.gemm.matmul import matmul
from mlp.gemm.product import Right
from mlp.gemm.tiles import WIDEST_TILE
from mlp.layer import Layer
from mlp.loops import column_sums, copy
from mlp.runtime.memory import Ptr
from mlp.runtime.threads import Team


def forward[
    dt: DType, //, relu: Bool, plain: Bool = False
](
    layer: Layer[dt],
    mut team: Team,
    inputs: Ptr[dt],
    ld_inputs: Int,
    n: Int,
    output: Ptr[dt],
    ld_output: Int,
) raises:
    """Compute inputs @ weights + biases.

    Parameters:
        dt: Type of every element.
        relu: Whether the output goes through ReLU, to rows of this layer's own stride;
            else to rows that end with their last column.
        plain: Whether to leave out biases and ReLU: the product alone.

    Args:
        layer: The layer.
        team: The threads to use.
        inputs: Inputs, (n, in).
        ld_inputs: Elements from row to row of `inputs`.
        n: Rows.
        output: Where the output goes, (n, out).
        ld_output: Elements from row to row of `output`.

    Raises:
        When memory runs out.
    """
    comptime epilogue = STORE if plain else BIAS_RELU if relu else BIAS
    matmul[dt, False, False, epilogue](
        team,
        n,
        layer.out.main if relu else min(layer.out.main, layer.width_out),
        layer.width_in,
        inputs,
        ld_inputs,
        Right(
            layer.weights,
            layer.out.stride,
            beside=Columns(layer.tail, layer.input.stride, layer.out.tail),
        ),
        output,
        ld_output,
        layer.biases,
        0,
        0,
    )


def fill_delta_below[
    dt: DType, //, plain: Bool = False
](layer: Layer[dt], mut team: Team, n: Int, below: Layer[dt]) raises:
    """Fill the delta of the layer below: delta @ weights.T, where ReLU let something through.

    Parameters:
        dt: Type of every element.
        plain: Whether to leave out the mask: the product alone.

    Args:
        layer: The layer.
        team: The threads to use.
        n: Rows.
        below: The layer whose output came into this one.

    Raises:
        When memory runs out.
    """
    for row in range(layer.input.tail):
        var whole = layer.spare.unsafe_offset(row * layer.out.stride)
        var i = layer.input.main + row
        copy(
            layer.weights.unsafe_offset(i * layer.out.stride),
            whole,
            min(layer.out.main, layer.width_out),
        )
        for j in range(layer.out.tail):
            whole[unsafe_offset=layer.out.main + j] = layer.tail[
                unsafe_offset=j * layer.input.stride + i
            ]
    matmul[dt, False, True, STORE if plain else RELU_MASK](
        team,
        n,
        layer.input.main,
        layer.width_out,
        layer.delta,
        layer.delta_stride,
        Right(
            layer.weights,
            layer.out.stride,
            tail=layer.tail,
            tail_rows=layer.out.tail,
            ld_tail=layer.input.stride,
            beside=Columns(layer.spare, layer.out.stride, layer.input.tail),
        ),
        below.delta,
        below.delta_stride,
        below.output,
        below.out.stride,
        0,
    )


def fill_gradients[
    dt: DType, //
](
    layer: Layer[dt],
    mut team: Team,
    inputs: Ptr[dt],
    ld_inputs: Int,
    n: Int,
    grad_w: Ptr[dt],
    grad_b: Ptr[dt],
) raises:
    """Compute the gradients from the delta: inputs.T @ delta, and the sum of its rows.

    Parameters:
        dt: Type of every element.

    Args:
        layer: The layer.
        team: The threads to use.
        inputs: What came in, (n, in); only rows of `input.stride` are read beyond their end.
        ld_inputs: Elements from row to row of `inputs`.
        n: Rows.
        grad_w: Where the gradient of the weights goes, dense (in, out).
        grad_b: Where that of the biases goes, (1, out).

    Raises:
        When memory runs out.
    """
    fill_weight_gradient(layer, team, inputs, ld_inputs, n, grad_w)
    column_sums[subtract=False](
        layer.delta, n, layer.delta_stride, layer.width_out, grad_b, 1
    )


def fill_weight_gradient[
    dt: DType, //
](
    layer: Layer[dt],
    mut team: Team,
    inputs: Ptr[dt],
    ld_inputs: Int,
    n: Int,
    grad_w: Ptr[dt],
) raises:
    """Compute the gradient of the weights from the delta: inputs.T @ delta.

    Parameters:
        dt: Type of every element.

    Args:
        layer: The layer.
        team: The threads to use.
        inputs: What came in, (n, in); only rows of `input.stride` are read beyond their end.
        ld_inputs: Elements from row to row of `inputs`.
        n: Rows.
        grad_w: Where it goes, dense (in, out).

    Raises:
        When memory runs out.
    """
    _multiply_inputs[STORE](
        layer,
        team,
        inputs,
        ld_inputs,
        n,
        grad_w,
        layer.width_out,
        layer.spare,
        0,
    )
    for j in range(layer.out.tail):
        for i in range(layer.width_in):
            grad_w[
                unsafe_offset=i * layer.width_out + layer.out.main + j
            ] = layer.spare[unsafe_offset=j * layer.input.stride + i]


def update[
    dt: DType, //
](
    layer: Layer[dt],
    mut team: Team,
    inputs: Ptr[dt],
    ld_inputs: Int,
    n: Int,
    rate: Scalar[dt],
) raises:
    """Subtract `rate` times the gradients from the parameters, without storing gradients.

    Parameters:
        dt: Type of every element.

    Args:
        layer: The layer.
        team: The threads to use.
        inputs: What came in, (n, in); only rows of `input.stride` are read beyond their end.
        ld_inputs: Elements from row to row of `inputs`.
        n: Rows.
        rate: Learning rate over batch size.

    Raises:
        When memory runs out.
    """
    _multiply_inputs[SGD](
        layer,
        team,
        inputs,
        ld_inputs,
        n,
        layer.weights,
        layer.out.stride,
        layer.tail,
        rate,
    )
    column_sums[subtract=True](
        layer.delta,
        n,
        layer.delta_stride,
        min(layer.delta_stride, layer.out.padded),
        layer.biases,
        rate,
    )


def _multiply_inputs[
    dt: DType, //, epilogue: Int
](
    layer: Layer[dt],
    mut team: Team,
    inputs: Ptr[dt],
    ld_inputs: Int,
    n: Int,
    c: Ptr[dt],
    ldc: Int,
    c_tail: Ptr[dt],
    rate: Scalar[dt],
) raises:
    """Compute inputs.T @ delta: (in, out) to `c`, the tail transposed to `c_tail`."""
    matmul[dt, True, False, epilogue](
        team,
        layer.width_in,
        min(
            layer.out.main, ldc
        ),  # own rows are written to the end of their last vector
        n,
        inputs,
        ld_inputs,
        Right(layer.delta, layer.delta_stride, whole=True),
        c,
        ldc,
        c,
        0,
        rate,
    )
    if layer.out.tail == 0:
        return
    if ld_inputs == layer.input.stride:
        _multiply_own_inputs[epilogue](layer, n, inputs, c_tail, rate)
    else:
        matmul[dt, True, False, epilogue](
            team,
            layer.out.tail,
            layer.width_in,
            n,
            layer.delta.unsafe_offset(layer.out.main),
            layer.delta_stride,
            (inputs, ld_inputs),
            c_tail,
            layer.input.stride,
            c_tail,
            0,
            rate,
        )


def _multiply_own_inputs[
    dt: DType, //, epilogue: Int
](
    layer: Layer[dt],
    n: Int,
    inputs: Ptr[dt],
    c_tail: Ptr[dt],
    rate: Scalar[dt],
):
    """Compute the tail of inputs.T @ delta, transposed, from whole vectors of rows of inputs.

    So little work that finding out how to do it in general would take longer than doing it.
    """
    comptime W = simd_width_of[dt]()
    var vectors = layer.input.padded // W
    for v in range(0, vectors, WIDEST_TILE):
        var j = v * W
        comptime for w in range(1, WIDEST_TILE + 1):
            if min(WIDEST_TILE, vectors - v) == w:
                # In bounds: rows of inputs, and of the tail, end with whole vectors.
                multiply_panel[dt, w, True, False, False](
                    layer.out.tail,
                    n,
                    layer.delta.unsafe_offset(layer.out.main),
                    layer.delta_stride,
                    Panel(
                        inputs.unsafe_offset(j),
                        layer.input.stride,
                        W,
                        Columns(inputs, 0, 0),
                    ),
                    Result(
                        c_tail.unsafe_offset(j),
                        layer.input.stride,
                        epilogue,
                        c_tail,
                        0,
                        rate,
                        False,
                    ),
                    Ahead.nothing(inputs),
                )
