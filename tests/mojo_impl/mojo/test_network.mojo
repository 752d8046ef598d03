"""Tests of `mlp.network` by itself; the Python suites compare it with NumPy.

Memory that is handed over by its address is kept to the end of a test by `_ = buffer^`: a value
dies after its last use, and a pointer into it is not one.
"""
from std.math import isnan
from std.testing import TestSuite, assert_almost_equal, assert_equal
from std.testing import assert_raises, assert_true

from mlp.backward import are_small, update_all
from mlp.loops import differences, loss
from mlp.network import PREDICT_ROWS, DataSet, Network
from mlp.passes import fill_delta_below, update
from mlp.random import RandomState
from mlp.runtime.memory import Buffer
from mlp.runtime.threads import Team
from mlp.timing.phases import Gradients

comptime f64 = DType.float64


def make[dt: DType](var sizes: List[Int]) raises -> Network[dt]:
    return Network[dt](sizes, 3)


def draw[dt: DType](count: Int, seed: Int) raises -> Buffer[Scalar[dt]]:
    var stream = RandomState(UInt32(seed))
    var values = Buffer[Scalar[dt]](count)
    for i in range(count):
        values[i] = Scalar[dt](stream.randn())
    return values^


def test_forward_of_a_network_done_by_hand() raises:
    var network = make[f64]([1, 2, 1])
    var first = network.layers[0]
    first.weight(0, 0)[] = 2
    first.weight(0, 1)[] = -3
    first.biases[unsafe_offset=0] = 1
    first.biases[unsafe_offset=1] = 0.5
    var second = network.layers[1]
    second.weight(0, 0)[] = 10
    second.weight(1, 0)[] = 100
    second.biases[unsafe_offset=0] = 7
    var team = Team(1)
    var X = Buffer[Float64](2)
    var y_hat = Buffer[Float64](2)
    X[0] = 1  # 2 * 1 + 1 = 3, and -3 + 0.5 is cut off
    X[1] = -1  # -2 + 1 is cut off, and 3 + 0.5 = 3.5
    network.forward(team, X.start, 2, y_hat.start)
    assert_equal(y_hat[0], 37)
    assert_equal(y_hat[1], 357)
    assert_equal(network.rows, 2)
    _ = X^


def test_gradients_match_finite_differences() raises:
    var network = make[f64]([3, 5, 4, 2])
    var team = Team(1)
    comptime n = 7
    var X = draw[f64](n * 3, 11)
    var y = draw[f64](n * 2, 12)
    var y_hat = Buffer[Float64](n * 2)
    var gradients = Gradients(network)
    network.forward(team, X.start, n, y_hat.start)
    network.backprop(
        team,
        X.start,
        y_hat.start,
        y.start,
        gradients.w.start,
        gradients.b.start,
    )
    comptime h = 1e-6
    for place in range(network.depth):
        var layer = network.layers[place]
        var weights = layer.width_in * layer.width_out
        for i in range(weights + layer.width_out):
            var is_weight = i < weights
            var at = i if is_weight else i - weights
            var parameter = layer.biases.unsafe_offset(at)
            if is_weight:
                parameter = layer.weight(
                    at // layer.width_out, at % layer.width_out
                )
            var gradient = gradients.w[place] if is_weight else gradients.b[
                place
            ]
            var kept = parameter[]
            # The gradient belongs to half the sum of the squared errors.
            parameter[] = kept + h
            network.predict(team, X.start, n, y_hat.start)
            var above = loss(y.start, y_hat.start, n * 2) * n
            parameter[] = kept - h
            network.predict(team, X.start, n, y_hat.start)
            var below = loss(y.start, y_hat.start, n * 2) * n
            parameter[] = kept
            assert_almost_equal(
                gradient[unsafe_offset=at], (above - below) / (2 * h), atol=1e-6
            )
    _ = (X^, y^, y_hat^, gradients^)


def check_epoch_is_its_parts[dt: DType](rows: Int, batch: Int) raises:
    """Train one epoch fused, and by forward, backprop and step: the same numbers to rounding."""
    var fused = make[dt]([3, 17, 2])
    var parts = make[dt]([3, 17, 2])
    var team = Team(1)
    var X = draw[dt](rows * 3, 1)
    var y = draw[dt](rows * 2, 2)
    var batches = rows // batch
    var losses = Buffer[Float64](batches)
    comptime rate = Scalar[dt](0.01)
    fused.begin_epoch(rows, batch)
    fused.train_batches(
        team,
        DataSet(X.start, y.start, rows),
        DataSet(X.start, y.start, 0),
        batch,
        rate,
        0,
        batches,
        losses.start,
        losses.start,
    )
    assert_equal(fused.rows, 0)

    var order = Buffer[Int](rows)
    for i in range(rows):
        order[i] = i
    parts.random.shuffle(order.start, rows)
    var X_batch = Buffer[Scalar[dt]](batch * 3)
    var y_batch = Buffer[Scalar[dt]](batch * 2)
    var y_hat = Buffer[Scalar[dt]](batch * 2)
    var gradients = Gradients(parts)
    for place in range(batches):
        for row in range(batch):
            for i in range(3):
                X_batch[row * 3 + i] = X[order[place * batch + row] * 3 + i]
            for i in range(2):
                y_batch[row * 2 + i] = y[order[place * batch + row] * 2 + i]
        parts.forward(team, X_batch.start, batch, y_hat.start)
        assert_almost_equal(
            losses[place],
            loss(y_batch.start, y_hat.start, batch * 2),
            rtol=1e-5 if dt == DType.float32 else 1e-13,
        )
        parts.backprop(
            team,
            X_batch.start,
            y_hat.start,
            y_batch.start,
            gradients.w.start,
            gradients.b.start,
        )
        parts.step(gradients.w.start, gradients.b.start, rate)
    for place in range(parts.depth):
        var one = fused.layers[place]
        var other = parts.layers[place]
        comptime near = 1e-5 if dt == DType.float32 else 1e-14
        for j in range(one.width_out):
            assert_almost_equal(
                one.biases[unsafe_offset=j],
                other.biases[unsafe_offset=j],
                atol=near,
            )
            # Not the memory as it lies: the ends of its rows never matter.
            for i in range(one.width_in):
                assert_almost_equal(
                    one.weight(i, j)[], other.weight(i, j)[], atol=near
                )
    _ = (fused^, parts^, X_batch^, y_batch^, y_hat^, gradients^)


def test_epoch_is_its_parts() raises:
    check_epoch_is_its_parts[DType.float64](23, 5)
    check_epoch_is_its_parts[DType.float32](23, 5)
    check_epoch_is_its_parts[DType.float64](4, 1)


def pass_through[
    dt: DType
](
    mut network: Network[dt], X: Buffer[Scalar[dt]], y: Buffer[Scalar[dt]]
) raises:
    """Take 7 rows through the network, to the last delta."""
    var team = Team(1)
    var y_hat = Buffer[Scalar[dt]](y.count)
    network.forward(team, X.start, 7, y_hat.start)
    var delta = network.layers[network.depth - 1].delta
    differences(y.start, y_hat.start, delta, y.count)
    _ = y_hat^


def check_order_of_products_does_not_matter[dt: DType]() raises:
    """Take all deltas and then all updates, and both in turns: the same bits."""
    var deltas_first = make[dt]([16, 50, 50, 18, 3])
    var in_turns = make[dt]([16, 50, 50, 18, 3])
    assert_true(are_small(deltas_first.layers))
    # An epoch's rows of 16 are the caller's: they end with a cache line.
    assert_equal(deltas_first.layers[0].input.stride, 16)
    var team = Team(1)
    var X = draw[dt](7 * 16, 1)
    var y = draw[dt](7 * 3, 2)
    comptime rate = Scalar[dt](0.01)
    pass_through(deltas_first, X, y)
    pass_through(in_turns, X, y)
    update_all(deltas_first.layers, team, X.start, 7, rate)
    for place in reversed(range(in_turns.depth)):
        var layer = in_turns.layers[place]
        var inputs = X.start
        if place > 0:
            var below = in_turns.layers[place - 1]
            fill_delta_below(layer, team, 7, below)
            inputs = below.output
        update(layer, team, inputs, layer.input.stride, 7, rate)
    var moved = 0
    var before = make[dt]([16, 50, 50, 18, 3])
    for place in range(in_turns.depth):
        var one = deltas_first.layers[place]
        var other = in_turns.layers[place]
        for j in range(one.width_out):
            assert_equal(
                one.biases[unsafe_offset=j], other.biases[unsafe_offset=j]
            )
            for i in range(one.width_in):
                assert_equal(one.weight(i, j)[], other.weight(i, j)[])
                var start = before.layers[place].weight(i, j)[]
                moved += Int(one.weight(i, j)[] != start)
    assert_true(moved > 1000)
    _ = (deltas_first^, in_turns^, before^, X^, y^)


def test_order_of_products_does_not_matter() raises:
    check_order_of_products_does_not_matter[DType.float64]()
    check_order_of_products_does_not_matter[DType.float32]()


def test_validation_loss_on_what_is_there() raises:
    var network = make[f64]([1, 4, 1])
    var team = Team(1)
    var X = draw[f64](9, 1)
    var y = draw[f64](9, 2)
    var training = Buffer[Float64](3)
    var validation = Buffer[Float64](3)
    network.begin_epoch(9, 3)
    network.train_batches(
        team,
        DataSet(X.start, y.start, 9),
        DataSet(X.start, y.start, 4),
        3,
        0,
        0,
        3,
        training.start,
        validation.start,
    )
    var y_hat = Buffer[Float64](9)
    network.predict(team, X.start, 9, y_hat.start)
    # At rate 0 the weights stay: rows 0 to 2, then row 3 alone, then none.
    assert_equal(validation[0], loss(y.start, y_hat.start, 3))
    assert_equal(
        validation[1],
        loss(y.start.unsafe_offset(3), y_hat.start.unsafe_offset(3), 1),
    )
    assert_true(isnan(validation[2]))
    _ = (X^, y^, y_hat^, training^, validation^)


def test_predict_is_forward_and_leaves_its_cache() raises:
    comptime n = PREDICT_ROWS + 3
    var network = make[f64]([2, 9, 9, 3])
    var team = Team(1)
    var X = draw[f64](n * 2, 1)
    var forward = Buffer[Float64](n * 3)
    var predicted = Buffer[Float64](n * 3)
    network.forward(team, X.start, n, forward.start)
    var kept = Buffer[Float64](n * 9)
    network.layers[1].read_output(n, kept.start)
    network.predict(team, X.start, n, predicted.start)
    for i in range(n * 3):
        assert_almost_equal(forward[i], predicted[i], atol=1e-14)
    assert_equal(network.rows, n)
    var after = Buffer[Float64](n * 9)
    network.layers[1].read_output(n, after.start)
    for i in range(n * 9):
        assert_equal(after[i], kept[i])
    _ = X^


def test_nan_passes_through_relu() raises:
    var network = make[f64]([1, 3, 1])
    var team = Team(1)
    var X = Buffer[Float64](1)
    var y_hat = Buffer[Float64](1)
    X[0] = Float64.MAX * 2 - Float64.MAX * 2  # Inf - Inf
    network.forward(team, X.start, 1, y_hat.start)
    assert_true(isnan(y_hat[0]))
    _ = X^


def test_reset_draws_the_same_weights_and_order() raises:
    var network = make[f64]([2, 3, 1])
    var fresh = network.layers[0].weight(1, 2)[]
    network.begin_epoch(10, 2)
    var first = network._order[0] + 10 * network._order[1]
    network.layers[0].weight(1, 2)[] = 0
    network.layers[1].biases[unsafe_offset=0] = 1
    network.reset()
    assert_equal(network.layers[0].weight(1, 2)[], fresh)
    assert_equal(network.layers[1].biases[unsafe_offset=0], 0)
    network.begin_epoch(10, 2)
    assert_equal(network._order[0] + 10 * network._order[1], first)


def test_memory_that_cannot_be_had_is_an_error() raises:
    with assert_raises(contains="out of memory"):
        _ = make[f64]([2**40, 2**40])
    with assert_raises(contains="out of memory"):
        _ = make[f64]([1, 2**59, 2**59, 2**59, 2**59, 1])
    var network = make[f64]([1, 2**20, 1])
    with assert_raises(contains="out of memory"):
        network.begin_epoch(4, 2**45)
    # 2**45 rows of 2**20 columns are more elements than an Int counts.
    var flat = make[f64]([1, 2**20])
    with assert_raises(contains="out of memory"):
        flat.begin_epoch(4, 2**45)
    assert_equal(flat._capacity, 0)


def main() raises:
    TestSuite.discover_tests[__functions_in_module()]().run()
