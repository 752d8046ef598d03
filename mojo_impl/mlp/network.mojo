"""A multilayer perceptron in Mojo: dense layers, ReLU, linear output, squared error, SGD.

The twin of `python_impl/network.py`, with its names and the order of its arithmetic. Arrays of the
caller are dense and row-major, and the caller has checked them: nothing here knows their ends.
Shapes: n rows of a batch, width `in` or `out` of a layer. X and y_hat of a batch stay with the
caller; the network keeps what lies between.
"""
from std.math import sqrt
from std.utils.numerics import nan

from mlp.backward import fill_all_gradients, update_all
from mlp.data import Arrays, DataSet
from mlp.layer import Layer
from mlp.loops import gather, loss, squared_errors
from mlp.passes import forward
from mlp.random import RandomState
from mlp.runtime.memory import Buffer, OutOfMemory, Plan, Ptr
from mlp.runtime.threads import Team

comptime PREDICT_ROWS = 256
"""Rows that `predict` takes through the layers at a time, so that they stay in the cache."""


struct Network[dt: DType](Movable):
    """Layers, their parameters, the memory to run a batch, and the random stream.

    Parameters:
        dt: Type of every element, float32 or float64.
    """

    var depth: Int
    """How many layers there are."""
    var width_in: Int
    """Columns of X."""
    var width_out: Int
    """Columns of y."""
    var layers: Buffer[Layer[Self.dt]]
    """From the input to the output."""
    var seed: UInt32
    """Where the random stream starts."""
    var random: RandomState
    """The stream: first the weights, then one shuffle an epoch."""
    var rows: Int
    """Rows of the batch that `forward` saw last; 0 when there is nothing for `backprop`."""
    var _parameters: Buffer[Scalar[Self.dt]]
    var _activity: Buffer[Scalar[Self.dt]]  # outputs and deltas of all layers
    var _capacity: Int  # rows that fit in there
    var _passing: Buffer[Scalar[Self.dt]]  # two outputs of the widest layer
    var _batch: Buffer[Scalar[Self.dt]]  # X, y, y_hat of a batch of an epoch
    var _y: Int  # where y begins in there
    var _y_hat: Int
    var _order: Buffer[Int]

    def __init__(
        out self,
        layer_sizes: ImmSpan[Int, _],
        seed: UInt32,
    ) raises OutOfMemory:
        """Make a network with fresh weights.

        Args:
            layer_sizes: Width of the input, of each hidden layer, and of the output; two or
                more, from 1.
            seed: Where the random stream starts.

        Raises:
            When memory runs out.
        """
        self.depth = len(layer_sizes) - 1
        self.width_in = layer_sizes[0]
        self.width_out = layer_sizes[self.depth]
        self.layers = Buffer[Layer[Self.dt]](self.depth)
        self.seed = seed
        self.random = RandomState(seed)
        self.rows = 0
        self._activity = Buffer[Scalar[Self.dt]](0)
        self._capacity = 0
        self._passing = Buffer[Scalar[Self.dt]](0)
        self._batch = Buffer[Scalar[Self.dt]](0)
        self._y, self._y_hat = 0, 0
        self._order = Buffer[Int](0)
        var plan = Plan[Scalar[Self.dt]]()
        for place in range(self.depth):
            # Only to know how much memory they take together.
            var anywhere = self._activity.start
            _ = Layer(
                layer_sizes[place], layer_sizes[place + 1], plan, anywhere
            )
        self._parameters = Buffer[Scalar[Self.dt]](plan.count)
        plan = Plan[Scalar[Self.dt]]()
        for place in range(self.depth):
            var start = self._parameters.start
            self.layers[place] = Layer(
                layer_sizes[place], layer_sizes[place + 1], plan, start
            )
        self.reset()

    def reset(mut self):
        """Go back to the initial weights and to the start of the random stream."""
        self.random = RandomState(self.seed)
        self.rows = 0
        for place in range(self.depth):
            var layer = self.layers[place]
            var scale = sqrt(
                4.0 / (Float64(layer.width_in) + Float64(layer.width_out))
            )
            for i in range(layer.width_in):
                for j in range(layer.width_out):
                    layer.weight(i, j)[] = Scalar[Self.dt](
                        self.random.randn() * scale
                    )
            for i in range(layer.width_out):
                layer.biases[unsafe_offset=i] = 0

    def forward(
        mut self, mut team: Team, X: Ptr[Self.dt], n: Int, y_hat: Ptr[Self.dt]
    ) raises:
        """Compute the output for a batch and keep what `backprop` needs.

        Args:
            team: The threads to use.
            X: Inputs, (n, in).
            n: Rows, at least 1.
            y_hat: Where the output goes, (n, out).

        Raises:
            When memory runs out; there is nothing for `backprop` then.
        """
        self._reserve(n)
        self.rows = 0
        self._pass[keep=True](team, X, self.width_in, n, y_hat, 0)
        self.rows = n

    def _pass[
        keep: Bool
    ](
        self,
        mut team: Team,
        X: Ptr[Self.dt],
        ld_X: Int,
        n: Int,
        y_hat: Ptr[Self.dt],
        half: Int,
    ) raises:
        """Take rows of X, `ld_X` elements apart, through the layers; what lies between stays with
        them to `keep`, else passes through the two halves of `_passing`."""
        var inputs = X
        var ld_inputs = ld_X
        for place in range(self.depth - 1):
            var layer = self.layers[place]
            var spare = self._passing.start.unsafe_offset(place % 2 * half)
            var output = layer.output if keep else spare
            forward[relu=True](
                layer, team, inputs, ld_inputs, n, output, layer.out.stride
            )
            inputs = output
            ld_inputs = layer.out.stride
        var last = self.layers[self.depth - 1]
        forward[relu=False](
            last, team, inputs, ld_inputs, n, y_hat, self.width_out
        )

    def backprop(
        mut self,
        mut team: Team,
        X: Ptr[Self.dt],
        y_hat: Ptr[Self.dt],
        y: Ptr[Self.dt],
        grads_w: Arrays[Self.dt],
        grads_b: Arrays[Self.dt],
    ) raises:
        """Compute the gradients for the batch that `forward` saw last, summed over it.

        Args:
            team: The threads to use.
            X: The inputs that `forward` got, (rows, in).
            y_hat: The output that it gave, (rows, out).
            y: Targets, (rows, out).
            grads_w: Where the gradients of the weights go, one (in, out) per layer.
            grads_b: Where those of the biases go, one (1, out) per layer.

        Raises:
            When memory runs out.
        """
        _ = self._fill_last_delta(y_hat, y)
        fill_all_gradients(self.layers, team, X, self.rows, grads_w, grads_b)

    def step(
        mut self,
        grads_w: Arrays[Self.dt],
        grads_b: Arrays[Self.dt],
        rate: Scalar[Self.dt],
    ):
        """Move every parameter by -rate * gradient.

        Args:
            grads_w: Gradients of the weights, one (in, out) per layer.
            grads_b: Gradients of the biases, one (1, out) per layer.
            rate: Learning rate over batch size.
        """
        for place in range(self.depth):
            self.layers[place].step(
                grads_w[unsafe_offset=place], grads_b[unsafe_offset=place], rate
            )

    def predict(
        mut self, mut team: Team, X: Ptr[Self.dt], n: Int, y_hat: Ptr[Self.dt]
    ) raises:
        """Compute the output for X without touching what `forward` kept.

        Args:
            team: The threads to use.
            X: Inputs, (n, in).
            n: Rows.
            y_hat: Where the output goes, (n, out).

        Raises:
            When memory runs out.
        """
        var widest = 0
        for place in range(self.depth - 1):
            widest = max(widest, self.layers[place].out.stride)
        var plan = Plan[Scalar[Self.dt]]()
        _ = plan.add(min(n, PREDICT_ROWS), widest)
        var half = plan.add(min(n, PREDICT_ROWS), widest)
        if plan.count > self._passing.count:
            self._passing = Buffer[Scalar[Self.dt]](plan.count)
        for start in range(0, n, PREDICT_ROWS):
            var rows = min(n - start, PREDICT_ROWS)
            self._pass[keep=False](
                team,
                X.unsafe_offset(start * self.width_in),
                self.width_in,
                rows,
                y_hat.unsafe_offset(start * self.width_out),
                half,
            )

    def begin_epoch(mut self, rows: Int, batch_size: Int) raises:
        """Draw the order of the next epoch and make room for its batches.

        Args:
            rows: Rows of the data.
            batch_size: Rows of a batch.

        Raises:
            When memory runs out; the stream is untouched then.
        """
        self._reserve(batch_size)
        var plan = Plan[Scalar[Self.dt]]()
        _ = plan.add(batch_size, self.layers[0].input.stride)
        self._y = plan.add(batch_size, self.width_out)
        self._y_hat = plan.add(batch_size, self.width_out)
        if plan.count > self._batch.count:
            self._batch = Buffer[Scalar[Self.dt]](plan.count)
        if rows > self._order.count:
            self._order = Buffer[Int](rows)
        for i in range(rows):
            self._order[i] = i
        self.random.shuffle(self._order.start, rows)

    def train_batches(
        mut self,
        mut team: Team,
        data: DataSet[Self.dt],
        validation: DataSet[Self.dt],
        batch_size: Int,
        rate: Scalar[Self.dt],
        first: Int,
        last: Int,
        training_loss: Ptr[DType.float64],
        validation_loss: Ptr[DType.float64],
    ) raises:
        """Train on batches `first` to `last` - 1 of the epoch that `begin_epoch` began.

        Each batch: forward, its loss, backprop, step; then, with validation data, the loss on its
        rows start:end, the same numbers as the batch's place. `backprop` has nothing afterwards.

        Args:
            team: The threads to use.
            data: What to train on.
            validation: Data of the validation loss, or none.
            batch_size: Rows of a batch.
            rate: Learning rate over batch size.
            first: The first batch.
            last: One beyond the last batch; the data has that many full batches.
            training_loss: Where the loss of every batch of the epoch goes.
            validation_loss: The same for the validation loss; unused where there is none.

        Raises:
            When memory runs out.
        """
        var X = self._batch.start
        var y = X.unsafe_offset(self._y)
        var y_hat = X.unsafe_offset(self._y_hat)
        for batch in range(first, last):
            var start = batch * batch_size
            var rows = self._order.start.unsafe_offset(start)
            gather(
                data.X,
                rows,
                batch_size,
                self.width_in,
                X,
                self.layers[0].input.stride,
            )
            gather(data.y, rows, batch_size, self.width_out, y, self.width_out)
            training_loss[unsafe_offset=batch] = self._train_batch(
                team, X, y, batch_size, y_hat, rate
            )
            if validation.rows > 0:
                validation_loss[unsafe_offset=batch] = self._loss_on(
                    team, validation, start, batch_size, y_hat
                )
        self.rows = 0

    def _train_batch(
        mut self,
        mut team: Team,
        X: Ptr[Self.dt],
        y: Ptr[Self.dt],
        n: Int,
        y_hat: Ptr[Self.dt],
        rate: Scalar[Self.dt],
    ) raises -> Float64:
        """Make one step of SGD and return the loss before it."""
        self._pass[keep=True](team, X, self.layers[0].input.stride, n, y_hat, 0)
        self.rows = n
        var loss = self._fill_last_delta(y_hat, y)
        update_all(self.layers, team, X, n, rate)
        return loss

    def _loss_on(
        mut self,
        mut team: Team,
        data: DataSet[Self.dt],
        start: Int,
        batch_size: Int,
        y_hat: Ptr[Self.dt],
    ) raises -> Float64:
        """Return the loss on rows from `start` on; NaN where there are none."""
        var rows = min(data.rows - start, batch_size)
        if rows <= 0:
            return nan[DType.float64]()
        self.predict(
            team, data.X.unsafe_offset(start * self.width_in), rows, y_hat
        )
        var y = data.y.unsafe_offset(start * self.width_out)
        return loss(y, y_hat, rows * self.width_out)

    def _fill_last_delta(
        mut self, y_hat: Ptr[Self.dt], y: Ptr[Self.dt]
    ) -> Float64:
        """Fill the delta of the last layer, y_hat - y, and return the loss."""
        var count = self.rows * self.width_out
        var delta = self.layers[self.depth - 1].delta
        var sum = squared_errors[store=True](y, y_hat, delta, count)
        return sum / Float64(count)

    def _reserve(mut self, n: Int) raises OutOfMemory:
        """Make room for the outputs and deltas of n rows."""
        if n <= self._capacity:
            return
        var plan = Plan[Scalar[Self.dt]]()
        var last = self.depth - 1
        for place in range(self.depth):
            var layer = self.layers[
                place
            ]  # a copy: only to know how much memory they take
            layer.place_activity(n, place == last, plan, self._activity.start)
        self._activity = Buffer[Scalar[Self.dt]](plan.count)
        self._capacity = n
        plan = Plan[Scalar[Self.dt]]()
        for place in range(self.depth):
            self.layers[place].place_activity(
                n, place == last, plan, self._activity.start
            )
