"""Does the parts of a phase one by one, to tell where its time goes, and times them.

Memory for the results is there before the clock starts, and no part changes the parameters: the
update has a rate of 0, for repeated with the same data they would run away. The shuffle moves the
random stream. Parts do what the phases do, by the same products; only the last delta is filled
without the loss that an epoch sums on the way, as the loss is a part of its own.

Shapes: n rows of a batch.
"""
from std.benchmark import keep
from std.time import perf_counter_ns

from mlp.backward import are_small, fill_all_gradients, update_all
from mlp.data import DataSet
from mlp.loops import differences, gather, loss
from mlp.network import Network
from mlp.passes import fill_delta_below, fill_weight_gradient, forward
from mlp.runtime.memory import Buffer, OutOfMemory, Plan, Ptr
from mlp.runtime.threads import Team
from mlp.timing.phases import Gradients

comptime FORWARD_PRODUCTS = 0
"""The products of all layers, each from the true output of the layer below."""
comptime FORWARD_WORK = 1
"""The same with biases and ReLU."""
comptime BACKPROP_PRODUCTS = 2
"""The gradient of every layer's weights, and the delta below all but the first, without masks."""
comptime BACKPROP_WORK = 3
"""The same with the last delta, masks, and gradients of the biases."""
comptime STEP_WORK = 4
"""The deltas, and the update as an epoch makes it: in the product, without storing gradients."""
comptime LOSS = 5
"""The loss of the batch."""
comptime SHUFFLE = 6
"""A permutation of the rows, and the gathering of all batches in its order."""
comptime PART_COUNT = 7
"""How many parts there are, from 0 on."""


struct Parts[dt: DType](Movable):
    """Memory for the parts of one network on the first batch of its data.

    Parameters:
        dt: Type of every element.
    """

    var data: DataSet[Self.dt]
    """The whole data; memory of the caller."""
    var n: Int
    """Rows of a batch."""
    var gradients: Gradients[Self.dt]
    """What the parts of backprop compute."""
    var y_hat: Buffer[Scalar[Self.dt]]
    """The output of the batch, (n, out)."""
    var products: Buffer[Ptr[Self.dt]]
    """Where products without an epilogue go, one (n, out) per layer, rows as in the layer."""
    var loss: Float64
    """What the last `LOSS` computed."""
    var _room: Buffer[Scalar[Self.dt]]
    var _X: Buffer[
        Scalar[Self.dt]
    ]  # a batch as an epoch keeps it: (n, in), own stride
    var _y: Buffer[Scalar[Self.dt]]
    var _order: Buffer[Int]

    def __init__(
        out self,
        mut network: Network[Self.dt],
        mut team: Team,
        data: DataSet[Self.dt],
        n: Int,
    ) raises:
        """Make room, and run the batch through the network once.

        Args:
            network: The network; what it holds of the batch afterwards is what parts work on.
            team: The threads to use.
            data: What to train on.
            n: Rows of a batch; as many as the data has, or fewer.

        Raises:
            When memory runs out.
        """
        self.data = data
        self.n = n
        self.gradients = Gradients(network)
        self.y_hat = Buffer[Scalar[Self.dt]](n * network.width_out)
        self.products = Buffer[Ptr[Self.dt]](network.depth)
        self.loss = 0
        var plan = Plan[Scalar[Self.dt]]()
        for place in range(network.depth):
            _ = plan.add(n, network.layers[place].out.stride)
        self._room = Buffer[Scalar[Self.dt]](plan.count)
        plan = Plan[Scalar[Self.dt]]()
        for place in range(network.depth):
            self.products[place] = self._room.start.unsafe_offset(
                plan.add(n, network.layers[place].out.stride)
            )
        plan = Plan[Scalar[Self.dt]]()
        _ = plan.add(n, network.layers[0].input.stride)
        self._X = Buffer[Scalar[Self.dt]](plan.count)
        self._y = Buffer[Scalar[Self.dt]](n * network.width_out)
        self._order = Buffer[Int](data.rows)
        for i in range(data.rows):
            self._order[i] = i
        self._gather(network, 0)
        network.forward(team, data.X, n, self.y_hat.start)
        network.backprop(
            team,
            data.X,
            self.y_hat.start,
            data.y,
            self.gradients.w.start,
            self.gradients.b.start,
        )

    def are_of(self, data: DataSet[Self.dt]) -> Bool:
        """Tell whether these are the parts of the first batch of this data.

        Args:
            data: Any data.

        Returns:
            Whether it lies in the same place.
        """
        return (
            self.data.X == data.X
            and self.data.y == data.y
            and self.data.rows == data.rows
        )

    def run(
        mut self,
        part: Int,
        mut network: Network[Self.dt],
        mut team: Team,
        rate: Scalar[Self.dt],
    ) raises:
        """Do a part once.

        Args:
            part: Which one.
            network: The network.
            team: The threads to use.
            rate: Of the update.

        Raises:
            When memory runs out.
        """
        if part == FORWARD_PRODUCTS:
            self._forward_products(network, team)
        elif part == FORWARD_WORK:
            network.forward(team, self.data.X, self.n, self.y_hat.start)
        elif part == BACKPROP_PRODUCTS:
            self._backprop_products(network, team)
        elif part == BACKPROP_WORK:
            self._backprop_work(network, team)
        elif part == STEP_WORK:
            self._step_work(network, team, rate)
        elif part == LOSS:
            var count = self.n * network.width_out
            self.loss = loss(self.data.y, self.y_hat.start, count)
        elif part == SHUFFLE:
            for i in range(self.data.rows):
                self._order[i] = i
            network.random.shuffle(self._order.start, self.data.rows)
            for batch in range(self.data.rows // self.n):
                self._gather(network, batch)

    def _forward_products(
        self, network: Network[Self.dt], mut team: Team
    ) raises:
        var last = network.depth - 1
        for place in range(last):
            var layer = network.layers[place]
            forward[relu=True, plain=True](
                layer,
                team,
                self._inputs(network, place),
                self._ld_inputs(network, place),
                self.n,
                self.products[place],
                layer.out.stride,
            )
        forward[relu=False, plain=True](
            network.layers[last],
            team,
            self._inputs(network, last),
            self._ld_inputs(network, last),
            self.n,
            self.products[last],
            network.width_out,
        )

    def _backprop_products(
        self, network: Network[Self.dt], mut team: Team
    ) raises:
        var deltas_first = are_small(network.layers)
        if deltas_first:
            for place in reversed(range(1, network.depth)):
                self._delta_product(network, team, place)
        for place in reversed(range(network.depth)):
            fill_weight_gradient(
                network.layers[place],
                team,
                self._inputs(network, place),
                self._ld_inputs(network, place),
                self.n,
                self.gradients.w[place],
            )
            if place > 0 and not deltas_first:
                self._delta_product(network, team, place)

    def _delta_product(
        self, network: Network[Self.dt], mut team: Team, place: Int
    ) raises:
        # To another place: the next product needs the true delta.
        var below = network.layers[place - 1]
        below.delta = self.products[place - 1]
        fill_delta_below[plain=True](network.layers[place], team, self.n, below)

    def _backprop_work(self, network: Network[Self.dt], mut team: Team) raises:
        self._fill_last_delta(network, self.data.y)
        fill_all_gradients(
            network.layers,
            team,
            self.data.X,
            self.n,
            self.gradients.w.start,
            self.gradients.b.start,
        )

    def _step_work(
        self, network: Network[Self.dt], mut team: Team, rate: Scalar[Self.dt]
    ) raises:
        self._fill_last_delta(network, self._y.start)
        update_all(network.layers, team, self._X.start, self.n, rate)

    def _fill_last_delta(self, network: Network[Self.dt], y: Ptr[Self.dt]):
        var delta = network.layers[network.depth - 1].delta
        differences(y, self.y_hat.start, delta, self.n * network.width_out)

    def _gather(self, network: Network[Self.dt], batch: Int):
        var rows = self._order.start.unsafe_offset(batch * self.n)
        var stride = network.layers[0].input.stride
        var X = self._X.start
        gather(self.data.X, rows, self.n, network.width_in, X, stride)
        var width = network.width_out
        gather(self.data.y, rows, self.n, width, self._y.start, width)

    def _inputs(self, network: Network[Self.dt], place: Int) -> Ptr[Self.dt]:
        return self.data.X if place == 0 else network.layers[place - 1].output

    def _ld_inputs(self, network: Network[Self.dt], place: Int) -> Int:
        var stride = network.layers[place].input.stride
        return network.width_in if place == 0 else stride


def time_part[
    dt: DType, //
](
    mut parts: Parts[dt],
    mut network: Network[dt],
    mut team: Team,
    part: Int,
    loops: Int,
) raises -> Int:
    """Time a part.

    Args:
        parts: Those of the network.
        network: The network; its parameters stay as they are.
        team: The threads to use.
        part: Which one.
        loops: How many repetitions.

    Returns:
        Nanoseconds of all of them together.

    Raises:
        When memory runs out.
    """
    var start = perf_counter_ns()
    for _ in range(loops):
        parts.run(part, network, team, 0)
    var elapsed = perf_counter_ns() - start
    keep(parts.loss)
    keep(parts.y_hat[0])
    keep(network.layers[0].weights[])
    for place in range(network.depth):
        keep(parts.gradients.w[place][])
        keep(parts.products[place][])
    keep(parts._X[0])
    return Int(elapsed)
