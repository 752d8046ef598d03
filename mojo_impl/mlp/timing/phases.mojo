"""Times the phases of a network by Mojo's monotonic clock, around the repetitions only.

What a repetition needs is made outside the clock and used again by every repetition. Results go to
memory that `keep` shows to the outside after the clock, so that no work can be optimised away.
"""
from std.benchmark import keep
from std.time import perf_counter_ns

from mlp.network import DataSet, Network
from mlp.runtime.memory import Buffer, OutOfMemory, Plan, Ptr
from mlp.runtime.threads import Team


struct Gradients[dt: DType](Movable):
    """Room for the gradients of a network.

    Parameters:
        dt: Type of every element.
    """

    var w: Buffer[Ptr[Self.dt]]
    """Where those of the weights go, one (in, out) per layer."""
    var b: Buffer[Ptr[Self.dt]]
    """Where those of the biases go, one (1, out) per layer."""
    var _numbers: Buffer[Scalar[Self.dt]]

    def __init__(out self, network: Network[Self.dt]) raises OutOfMemory:
        """Make room.

        Args:
            network: Whose gradients.

        Raises:
            When memory runs out.
        """
        self.w = Buffer[Ptr[Self.dt]](network.depth)
        self.b = Buffer[Ptr[Self.dt]](network.depth)
        var plan = Plan[Scalar[Self.dt]]()
        for place in range(network.depth):
            var layer = network.layers[place]
            _ = plan.add(layer.width_in, layer.width_out)
            _ = plan.add(1, layer.width_out)
        self._numbers = Buffer[Scalar[Self.dt]](plan.count)
        var start = self._numbers.start
        plan = Plan[Scalar[Self.dt]]()
        for place in range(network.depth):
            var layer = network.layers[place]
            self.w[place] = start.unsafe_offset(
                plan.add(layer.width_in, layer.width_out)
            )
            self.b[place] = start.unsafe_offset(plan.add(1, layer.width_out))

    def copy_to(self, network: Network[Self.dt], target: Ptr[Self.dt]):
        """Copy them dense: weights and biases of the first layer, of the second, and so on.

        Args:
            network: Whose gradients they are.
            target: Room for as many numbers as the network has parameters.
        """
        var at = target
        for place in range(network.depth):
            var layer = network.layers[place]
            var count = layer.width_in * layer.width_out
            for i in range(count):
                at[unsafe_offset=i] = self.w[place][unsafe_offset=i]
            at = at.unsafe_offset(count)
            for i in range(layer.width_out):
                at[unsafe_offset=i] = self.b[place][unsafe_offset=i]
            at = at.unsafe_offset(layer.width_out)


def time_forward[
    dt: DType, //
](
    mut network: Network[dt],
    mut team: Team,
    X: Ptr[dt],
    n: Int,
    loops: Int,
    y_hat: Buffer[Scalar[dt]],
) raises -> Int:
    """Time `forward` on one batch.

    Args:
        network: The network.
        team: The threads to use.
        X: Inputs, (n, in).
        n: Rows.
        loops: How many repetitions.
        y_hat: Gets the outputs of each, (n, out).

    Returns:
        Nanoseconds of all of them together.

    Raises:
        When memory runs out.
    """
    var start = perf_counter_ns()
    for _ in range(loops):
        network.forward(team, X, n, y_hat.start)
    var elapsed = perf_counter_ns() - start
    keep(y_hat[0])
    return Int(elapsed)


def time_backprop[
    dt: DType, //
](
    mut network: Network[dt],
    mut team: Team,
    batch: DataSet[dt],
    loops: Int,
    gradients: Gradients[dt],
) raises -> Int:
    """Time `backprop` on one batch, after one `forward` outside the clock.

    Args:
        network: The network.
        team: The threads to use.
        batch: Inputs and targets.
        loops: How many repetitions.
        gradients: Gets those of each.

    Returns:
        Nanoseconds of all of them together.

    Raises:
        When memory runs out.
    """
    var y_hat = Buffer[Scalar[dt]](batch.rows * network.width_out)
    network.forward(team, batch.X, batch.rows, y_hat.start)
    var start = perf_counter_ns()
    for _ in range(loops):
        network.backprop(
            team,
            batch.X,
            y_hat.start,
            batch.y,
            gradients.w.start,
            gradients.b.start,
        )
    var elapsed = perf_counter_ns() - start
    keep(y_hat[0])
    for place in range(network.depth):
        keep(gradients.w[place][])
        keep(gradients.b[place][])
    return Int(elapsed)


def time_epoch[
    dt: DType, //
](
    mut network: Network[dt],
    mut team: Team,
    data: DataSet[dt],
    batch_size: Int,
    rate: Scalar[dt],
    loops: Int,
) raises -> Int:
    """Time epochs: the shuffle and all batches, losses recorded, no validation.

    Args:
        network: The network.
        team: The threads to use.
        data: What to train on.
        batch_size: Rows of a batch; as many as the data has, or fewer.
        rate: Learning rate over batch size.
        loops: How many epochs.

    Returns:
        Nanoseconds of all of them together.

    Raises:
        When memory runs out.
    """
    var batches = data.rows // batch_size
    var losses = Buffer[Float64](batches)
    var none = DataSet(data.X, data.y, 0)
    var start = perf_counter_ns()
    for _ in range(loops):
        network.begin_epoch(data.rows, batch_size)
        network.train_batches(
            team,
            data,
            none,
            batch_size,
            rate,
            0,
            batches,
            losses.start,
            losses.start,
        )
    var elapsed = perf_counter_ns() - start
    for batch in range(batches):
        keep(losses[batch])
    keep(network.layers[0].weights[])
    return Int(elapsed)


def time_clock(loops: Int) -> Int:
    """Time two readings of the clock: the floor of every other time.

    Args:
        loops: How many repetitions.

    Returns:
        Nanoseconds of all of them together.
    """
    var start = perf_counter_ns()
    for _ in range(loops):
        keep(perf_counter_ns())
        keep(perf_counter_ns())
    return Int(perf_counter_ns() - start)
