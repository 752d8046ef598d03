"""Tests of `mlp.timing.parts`: each part computes what the phase it belongs to computes.

Memory that is handed over by its address is kept to the end of a test by `_ = buffer^`.
"""
from std.testing import TestSuite, assert_almost_equal, assert_equal
from std.testing import assert_true

from mlp.loops import loss
from mlp.network import DataSet, Network
from mlp.random import RandomState
from mlp.runtime.memory import Buffer
from mlp.runtime.threads import Team
from mlp.timing.parts import (
    BACKPROP_PRODUCTS,
    BACKPROP_WORK,
    FORWARD_PRODUCTS,
    FORWARD_WORK,
    LOSS,
    PART_COUNT,
    SHUFFLE,
    STEP_WORK,
    Parts,
    time_part,
)
from mlp.timing.phases import Gradients


def make[dt: DType](var sizes: List[Int]) raises -> Network[dt]:
    """Make a network with biases that are not zero."""
    var network = Network[dt](sizes, 3)
    for place in range(network.depth):
        var layer = network.layers[place]
        for j in range(layer.width_out):
            layer.biases[unsafe_offset=j] = Scalar[dt](0.1 * Float64(j % 3))
    return network^


def draw[dt: DType](count: Int, seed: Int) raises -> Buffer[Scalar[dt]]:
    var stream = RandomState(UInt32(seed))
    var values = Buffer[Scalar[dt]](count)
    for i in range(count):
        values[i] = Scalar[dt](stream.randn())
    return values^


def check[dt: DType](var sizes: List[Int], rows: Int, n: Int) raises:
    """Run all parts of a network on the first n rows, and compare with its methods."""
    comptime near = 1e-4 if dt == DType.float32 else 1e-12
    var network = make[dt](sizes.copy())
    var other = make[dt](sizes^)
    var team = Team(1)
    var X = draw[dt](rows * network.width_in, 1)
    var y = draw[dt](rows * network.width_out, 2)
    var data = DataSet(X.start, y.start, rows)
    var parts = Parts(network, team, data, n)

    var y_hat = Buffer[Scalar[dt]](n * network.width_out)
    var gradients = Gradients(other)
    other.forward(team, X.start, n, y_hat.start)
    other.backprop(
        team,
        X.start,
        y_hat.start,
        y.start,
        gradients.w.start,
        gradients.b.start,
    )
    parts.run(FORWARD_WORK, network, team, 0)
    for i in range(y_hat.count):
        assert_equal(parts.y_hat[i], y_hat[i])
    parts.run(FORWARD_PRODUCTS, network, team, 0)
    var last = network.depth - 1
    for i in range(n):
        for j in range(network.width_out):
            var at = i * network.width_out + j
            assert_almost_equal(
                parts.products[last][unsafe_offset=at]
                + network.layers[last].biases[unsafe_offset=j],
                y_hat[at],
                atol=near,
            )
    for place in range(last):
        var layer = network.layers[place]
        for i in range(n):
            for j in range(layer.width_out):
                var at = i * layer.out.stride + j
                var sum = parts.products[place][unsafe_offset=at]
                sum += layer.biases[unsafe_offset=j]
                assert_almost_equal(
                    max(sum, 0), layer.output[unsafe_offset=at], atol=near
                )

    for part in [BACKPROP_PRODUCTS, BACKPROP_WORK]:
        for place in range(network.depth):
            parts.gradients.w[place][] = 123
            parts.gradients.b[place][] = 123
        parts.run(part, network, team, 0)
        for place in range(network.depth):
            var layer = network.layers[place]
            for i in range(layer.width_in * layer.width_out):
                assert_equal(
                    parts.gradients.w[place][unsafe_offset=i],
                    gradients.w[place][unsafe_offset=i],
                )
            if part == BACKPROP_PRODUCTS:
                assert_equal(parts.gradients.b[place][], 123)
                continue
            for i in range(layer.width_out):
                assert_equal(
                    parts.gradients.b[place][unsafe_offset=i],
                    gradients.b[place][unsafe_offset=i],
                )
    parts.run(LOSS, network, team, 0)
    assert_equal(parts.loss, loss(y.start, y_hat.start, y_hat.count))

    comptime rate = Scalar[dt](0.01)
    parts.run(STEP_WORK, network, team, 0)
    compare(network, make_like(network), 0)
    parts.run(STEP_WORK, network, team, rate)
    other.step(gradients.w.start, gradients.b.start, rate)
    compare(network, other, near)

    # The stream is where that of the other network is: the first shuffle of an epoch.
    parts.run(SHUFFLE, network, team, 0)
    other.begin_epoch(rows, n)
    for i in range(rows):
        assert_equal(parts._order[i], other._order[i])
    var stride = network.layers[0].input.stride
    var first = rows // n * n - n  # of the last batch
    for i in range(n):
        var row = parts._order[first + i]
        for j in range(network.width_in):
            assert_equal(
                parts._X[i * stride + j], X[row * network.width_in + j]
            )
        for j in range(network.width_out):
            assert_equal(
                parts._y[i * network.width_out + j],
                y[row * network.width_out + j],
            )
    for part in range(PART_COUNT):
        assert_true(time_part(parts, network, team, part, 2) > 0)
    _ = (parts^, X^, y^, y_hat^, gradients^, other^, network^)


def make_like[dt: DType](network: Network[dt]) raises -> Network[dt]:
    """Make the network again as it was at first."""
    var sizes: List[Int] = [network.width_in]
    for place in range(network.depth):
        sizes.append(network.layers[place].width_out)
    return make[dt](sizes^)


def compare[
    dt: DType
](one: Network[dt], other: Network[dt], near: Float64) raises:
    """Compare all parameters."""
    for place in range(one.depth):
        var mine = one.layers[place]
        var its = other.layers[place]
        for j in range(mine.width_out):
            assert_almost_equal(
                mine.biases[unsafe_offset=j],
                its.biases[unsafe_offset=j],
                atol=near,
            )
            for i in range(mine.width_in):
                assert_almost_equal(
                    mine.weight(i, j)[], its.weight(i, j)[], atol=near
                )


def test_parts_of_a_network_with_tails() raises:
    check[DType.float64]([3, 17, 9, 2], 23, 5)
    check[DType.float32]([3, 17, 33, 2], 23, 5)


def test_parts_of_one_layer_and_of_width_one() raises:
    check[DType.float64]([1, 1], 7, 1)
    check[DType.float64]([2, 5], 7, 3)
    check[DType.float32]([1, 1, 1, 1], 9, 2)


def test_parts_of_wide_layers_and_of_a_batch_that_is_all_data() raises:
    check[DType.float64]([65, 127, 130, 10], 33, 33)
    check[DType.float32]([65, 127, 130, 10], 40, 19)


def main() raises:
    TestSuite.discover_tests[__functions_in_module()]().run()
