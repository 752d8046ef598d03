"""What the extension does with whole data sets: one epoch for `fit`, and the random stream."""
from std.ffi import external_call

from extension.arrays import WRITEABLE, look, numbers, rows_of
from extension.core import LONG, Core, compute
from extension.cpython import (
    Arguments,
    Object,
    Raised,
    attribute,
    checked,
    python_type,
    raised,
    release,
    retain,
    to_integer,
)
from extension.methods import rate_of
from extension.object import ObjectPointer, forget
from extension.tables import Members
from mlp.network import DataSet
from mlp.random import WORDS
from mlp.runtime.memory import Ptr

comptime PATIENCE = 1_000_000_000
"""Multiply-adds between two looks for Ctrl-C: well below a second of work."""


struct Epoch[dt: DType]:
    """The checked arguments of an epoch.

    Parameters:
        dt: Type of every element.
    """

    var batch_size: Int
    """Rows of a batch."""
    var rate: Scalar[Self.dt]
    """Learning rate over batch size."""
    var X: Object
    """Inputs, borrowed, as are the others."""
    var y: Object
    """Targets."""
    var n: Int
    """Their rows, at least a batch."""

    def __init__(
        out self,
        object: ObjectPointer,
        mut core: Core[Self.dt],
        X: Object,
        y: Object,
    ) raises Raised:
        """Check the data; may run Python code.

        Args:
            object: The network's object.
            core: Its core.
            X: Inputs.
            y: Targets.

        Raises:
            What a wrong array raises; ValueError: there is less than one batch.
        """
        var batch_size = attribute["batch_size"](Int(object))
        try:
            self.batch_size = to_integer(batch_size)
        finally:
            release(batch_size)
        self.rate = Scalar[Self.dt](rate_of(object))
        self.X = core.plain["X"](X, core.network.width_in, 0)
        self.n = rows_of(self.X)
        self.y = core.plain["y"](y, core.network.width_out, self.n)
        if self.batch_size < 1 or self.batch_size > self.n:
            raise raised["ValueError"](
                t"batch_size is {self.batch_size} but X has {self.n} rows"
            )

    def view(self, core: Core[Self.dt]) raises Raised -> DataSet[Self.dt]:
        """Look at the data; runs no Python code.

        Args:
            core: The network's core.

        Returns:
            The data, good until Python code runs.

        Raises:
            RuntimeError: It is no longer what it was.
        """
        return DataSet(
            core.view(self.X, core.network.width_in, self.n),
            core.view(self.y, core.network.width_out, self.n),
            self.n,
        )


def _epoch[
    dt: DType
](
    object: ObjectPointer, mut core: Core[dt], arguments: Arguments
) raises Raised -> Object:
    """Train one epoch and fill in the losses of its batches.

    Between batches it looks for Ctrl-C now and then."""
    var data = Epoch(object, core, arguments[0], arguments[1])
    var batches = data.n // data.batch_size
    var X_val = Object(0)
    var y_val = Object(0)
    var n_val = 0
    if arguments[2] != core.session[].none:
        if (
            python_type(arguments[2]) != core.session[].tuple_type
            or external_call["PyTuple_Size", Int](arguments[2]) != 2
        ):
            raise raised["TypeError"]("validation must be None or a pair")
        X_val = core.plain["X_val"](
            external_call["PyTuple_GetItem", Object](arguments[2], 0),
            core.network.width_in,
            0,
        )
        n_val = rows_of(X_val)
        y_val = core.plain["y_val"](
            external_call["PyTuple_GetItem", Object](arguments[2], 1),
            core.network.width_out,
            n_val,
        )
    _ = _losses(core, arguments[3], batches)
    _ = _losses(core, arguments[4], batches if n_val > 0 else 0)
    core.set_threads()
    core.network.rows = 0
    forget(object)
    try:
        core.network.begin_epoch(data.n, data.batch_size)
    except shortage:
        raise raised["MemoryError"](shortage)
    # Three products of the size of `forward`.
    var effort = 3 * data.batch_size * core.weights
    var stride = max(1, PATIENCE // max(1, effort))
    for first in range(0, batches, stride):
        var last = min(first + stride, batches)
        var training = data.view(core)
        var validation = DataSet(training.X, training.y, 0)
        if n_val > 0:
            validation = DataSet(
                core.view(X_val, core.network.width_in, n_val),
                core.view(y_val, core.network.width_out, n_val),
                n_val,
            )
        var training_loss = _losses(core, arguments[3], batches)
        var validation_loss = _losses(
            core, arguments[4], batches if n_val > 0 else 0
        )
        var size = data.batch_size
        var rate = data.rate

        def work() raises {
            mut core,
            var training,
            var validation,
            var size,
            var rate,
            var first,
            var last,
            var training_loss,
            var validation_loss,
        }:
            core.network.train_batches(
                core.team,
                training,
                validation,
                size,
                rate,
                first,
                last,
                training_loss,
                validation_loss,
            )

        compute(work, long=(last - first) * effort > LONG)
        if external_call["PyErr_CheckSignals", Int32]() != 0:
            raise Raised()
    return retain(core.session[].none)


def _losses[
    dt: DType
](core: Core[dt], array: Object, count: Int) raises Raised -> Ptr[
    DType.float64
]:
    """Look at an array of losses; runs no Python code."""
    comptime needed = Int32(WRITEABLE)
    if (
        not core.session[].numpy.is_array[DType.float64](array, 1)
        or look(array).flags & needed == 0
    ):
        raise raised["TypeError"](
            "losses go to a dense, writable float64 array"
        )
    if rows_of(array) != count:
        raise raised["ValueError"](
            t"there are {count} losses but room for {rows_of(array)}"
        )
    return numbers[DType.float64](array)


comptime STREAM_BYTES = WORDS * 4 + 24
"""Bytes of a stored stream: the words, then position, has_gauss and gauss of 8 bytes each."""


def _get_stream[
    dt: DType
](
    object: ObjectPointer, mut core: Core[dt], arguments: Arguments
) raises Raised -> Object:
    """Copy where the random stream is."""
    var state = checked(
        external_call["PyBytes_FromStringAndSize", Object](0, STREAM_BYTES)
    )
    var start = external_call["PyBytes_AsString", Int](state)
    ref random = core.network.random
    var key = Ptr[DType.uint32](unsafe_from_address=start)
    for i in range(WORDS):
        key[unsafe_offset=i] = random.key[i]
    var rest = Ptr[DType.int64](unsafe_from_address=start + WORDS * 4)
    rest[unsafe_offset=0] = Int64(random.position)
    rest[unsafe_offset=1] = Int64(Int(random.has_gauss))
    rest.unsafe_bitcast[Float64]()[unsafe_offset=2] = random.gauss
    return state


def _set_stream[
    dt: DType
](
    object: ObjectPointer, mut core: Core[dt], arguments: Arguments
) raises Raised -> Object:
    """Go to another place in a random stream."""
    var start = external_call["PyBytes_AsString", Int](arguments[0])
    if start == 0:
        raise Raised()
    var size = external_call["PyBytes_Size", Int](arguments[0])
    var rest = Ptr[DType.int64](unsafe_from_address=start + WORDS * 4)
    if size != STREAM_BYTES or UInt64(rest[unsafe_offset=0]) > WORDS:
        raise raised["ValueError"]("these bytes are not a stored stream")
    ref random = core.network.random
    var key = Ptr[DType.uint32](unsafe_from_address=start)
    for i in range(WORDS):
        random.key[i] = key[unsafe_offset=i]
    random.position = Int(rest[unsafe_offset=0])
    random.has_gauss = rest[unsafe_offset=1] != 0
    random.gauss = rest.unsafe_bitcast[Float64]()[unsafe_offset=2]
    return 0


def add_training(mut members: Members) raises Raised:
    """Add what `fit` and pickling need.

    Args:
        members: Where to.

    Raises:
        What `Members` raises.
    """
    comptime f64 = DType.float64
    comptime f32 = DType.float32
    members.method[
        "_epoch",
        _epoch[f64],
        _epoch[f32],
        "X",
        "y",
        "validation",
        "training_loss",
        "validation_loss",
    ]()
    members.attribute[
        "_stream",
        _get_stream[f64],
        _get_stream[f32],
        _set_stream[f64],
        _set_stream[f32],
    ]()
