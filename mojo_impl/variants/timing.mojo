"""Times the phases of a network of the ladder by Mojo's monotonic clock, around the repetitions only.

Data comes as arrays that are there before; what a call computes it also allocates, and that is
timed, as it is for NumPy. Every result is dropped before the next is made, and the last is kept past
the clock. `keep` shows each to the outside, so that no work can be optimised away.
"""
from std.benchmark import keep
from std.time import perf_counter_ns

from variants.array import Array
from variants.port import MLP


def time_forward[
    Matrix: Array, //
](mut network: MLP[Matrix], X: Matrix, loops: Int, mut y_hat: Matrix) -> Int:
    """Time `forward` on a batch; the last outputs stay in `y_hat`."""
    var start = perf_counter_ns()
    for _ in range(loops - 1):
        keep(network.forward(X)[0, 0])
    y_hat = network.forward(X)
    var elapsed = perf_counter_ns() - start
    keep(y_hat[0, 0])
    return Int(elapsed)


def time_backprop[
    Matrix: Array, //
](
    mut network: MLP[Matrix],
    X: Matrix,
    y: Matrix,
    loops: Int,
    mut grads_w: List[Matrix],
    mut grads_b: List[Matrix],
) -> Int:
    """Time `backprop` on a batch, after one `forward` outside the clock."""
    _ = network.forward(X)
    var start = perf_counter_ns()
    for _ in range(loops - 1):
        keep(network.backprop(y)[0][0][0, 0])
    var gradients = network.backprop(y)
    var elapsed = perf_counter_ns() - start
    grads_w = gradients[0].copy()
    grads_b = gradients[1].copy()
    keep(grads_w[0][0, 0])
    return Int(elapsed)


def time_epoch[
    Matrix: Array, //
](
    mut network: MLP[Matrix],
    X: Matrix,
    y: Matrix,
    batch_size: Int,
    rate: Scalar[Matrix.dtype],
    loops: Int,
) -> Int:
    """Time epochs: the shuffle and all batches, losses recorded, no validation."""
    var losses = List[Float64](length=X.rows() // batch_size, fill=0)
    var none: List[Float64] = []
    var start = perf_counter_ns()
    for _ in range(loops):
        network.epoch(X, y, X, y, batch_size, rate, losses, none)
    var elapsed = perf_counter_ns() - start
    keep(losses[0])
    keep(network.weights[0][0, 0])
    return Int(elapsed)


def time_clock(loops: Int) -> Int:
    """Time two readings of the clock."""
    var start = perf_counter_ns()
    for _ in range(loops):
        keep(perf_counter_ns())
        keep(perf_counter_ns())
    return Int(perf_counter_ns() - start)
