"""Takes the delta of the last layer down through all layers, to their gradients or new parameters.

Shapes: n rows of a batch, width `in` or `out` of a layer.
"""
from std.sys import size_of

from mlp.data import Arrays
from mlp.layer import Layer
from mlp.passes import fill_delta_below, fill_gradients, update
from mlp.runtime.memory import Buffer, Ptr
from mlp.runtime.threads import Team

comptime _SMALL_LAYER = 32 << 10  # bytes of a first-level cache


def fill_all_gradients[
    dt: DType, //
](
    layers: Buffer[Layer[dt]],
    mut team: Team,
    X: Ptr[dt],
    n: Int,
    grads_w: Arrays[dt],
    grads_b: Arrays[dt],
) raises:
    """Take the delta of the last layer down through all of them, and compute their gradients.

    Parameters:
        dt: Type of every element.

    Args:
        layers: From the input to the output; the last one's delta is there.
        team: The threads to use.
        X: Inputs, dense (n, in).
        n: Rows.
        grads_w: Where the gradients of the weights go, one dense (in, out) per layer.
        grads_b: Where those of the biases go, one (1, out) per layer.

    Raises:
        When memory runs out.
    """
    var deltas_first = are_small(layers)
    if deltas_first:
        _fill_all_deltas(layers, team, n)
    for place in reversed(range(layers.count)):
        var layer = layers[place]
        fill_gradients(
            layer,
            team,
            X if place == 0 else layers[place - 1].output,
            layer.width_in if place == 0 else layer.input.stride,
            n,
            grads_w[unsafe_offset=place],
            grads_b[unsafe_offset=place],
        )
        if place > 0 and not deltas_first:
            fill_delta_below(layer, team, n, layers[place - 1])


def update_all[
    dt: DType, //
](
    layers: Buffer[Layer[dt]],
    mut team: Team,
    X: Ptr[dt],
    n: Int,
    rate: Scalar[dt],
) raises:
    """Take the delta of the last layer down through all of them, and update each.

    Parameters:
        dt: Type of every element.

    Args:
        layers: From the input to the output; the last one's delta is there.
        team: The threads to use.
        X: Inputs, (n, in), rows as in the first layer.
        n: Rows.
        rate: Learning rate over batch size.

    Raises:
        When memory runs out.
    """
    var deltas_first = are_small(layers)
    if deltas_first:
        _fill_all_deltas(layers, team, n)
    for place in reversed(range(layers.count)):
        var layer = layers[place]
        if place > 0 and not deltas_first:
            # It needs the weights as they are before the step.
            fill_delta_below(layer, team, n, layers[place - 1])
        update(
            layer,
            team,
            X if place == 0 else layers[place - 1].output,
            layer.input.stride,
            n,
            rate,
        )


def _fill_all_deltas[
    dt: DType, //
](layers: Buffer[Layer[dt]], mut team: Team, n: Int) raises:
    """Take the delta of the last layer down through all of them."""
    for place in reversed(range(1, layers.count)):
        fill_delta_below(layers[place], team, n, layers[place - 1])


def are_small[dt: DType, //](layers: Buffer[Layer[dt]]) -> Bool:
    """Say whether all deltas come before the gradients or updates, instead of taking turns.

    Turns of two kinds of product cost small layers five to ten percent (docs/experiments.md). The
    weights and outputs of larger ones had better be used twice while they are at hand.

    Parameters:
        dt: Type of every element.

    Args:
        layers: From the input to the output.

    Returns:
        Whether the weights of each fit the first-level cache of any machine of today.
    """
    var largest = 0
    for place in range(layers.count):
        ref layer = layers[place]
        largest = max(largest, layer.input.padded * layer.out.stride)
    return largest * size_of[Scalar[dt]]() <= _SMALL_LAYER
