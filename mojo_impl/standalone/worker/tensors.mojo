"""Writes what a network computes to files, by the names of docs/protocol.md: what parity compares.

All from fresh weights. What is named `timed` is left behind by the very code that is timed.
"""
from std.collections import Array
from std.sys import size_of
from std.utils.numerics import inf, nan

from mlp.loops import loss
from mlp.runtime.memory import Buffer, Plan
from mlp.timing.phases import Gradients, time_backprop, time_epoch, time_forward
from standalone.files.npy import Table, write_array
from .prepared import Prepared

comptime REPETITIONS = 2
"""Of the code that is timed, before its results are written."""
comptime EXTREME_ROWS = 3
"""Rows of a batch of numbers that are no ordinary ones."""
comptime GRID_POINTS = 601
"""Points of the curve of a network with one input."""
comptime GRID_END = 6.0
"""From minus this to this it goes."""


def write_tensors[
    dt: DType, //
](mut prepared: Prepared[dt], folder: String, epochs: Int) raises -> String:
    """Serve `tensors`; the weights are fresh afterwards.

    Parameters:
        dt: Type of every element.

    Args:
        prepared: The problem.
        folder: Where to.
        epochs: Of the losses; 0: only what comes of one batch and one step.

    Returns:
        What is told of it, as fields of JSON.

    Raises:
        When a file cannot be written, or memory runs out.
    """
    try:
        prepared.reset()
        _write_batch(prepared, folder)
        if epochs > 0:
            prepared.reset()
            _write_losses(prepared, folder, epochs)
            prepared.reset()
            _write_timed(prepared, folder)
            prepared.reset()
            _write_extreme(prepared, folder)
    except error:
        prepared.reset()
        raise error^
    prepared.reset()
    var told = ', "inputs": "' + _hexadecimal(_checksum(prepared))
    return told + '", "layout": "dense, C order"'


def write_training[
    dt: DType, //
](mut prepared: Prepared[dt], folder: String, epochs: Int) raises:
    """Serve `train`; the weights are fresh afterwards.

    Parameters:
        dt: Type of every element.

    Args:
        prepared: The problem.
        folder: Where to.
        epochs: How many.

    Raises:
        When a file cannot be written, or memory runs out.
    """
    try:
        prepared.reset()
        _write_losses(prepared, folder, epochs)
        if prepared.network.width_in == 1:
            _write_curve(prepared, folder)
    except error:
        prepared.reset()
        raise error^
    prepared.reset()


def _write[
    dt: DType, //
](
    folder: String,
    name: String,
    rows: Int,
    columns: Int,
    numbers: Buffer[Scalar[dt]],
) raises:
    """Write an array of two dimensions, or of one where there are no columns."""
    var shape: List[Int] = [rows]
    if columns > 0:
        shape.append(columns)
    var path = String(t"{folder}/{name}.npy")
    write_array(path, shape, numbers, lasting=False)


def _write_parameters[
    dt: DType, //
](prepared: Prepared[dt], folder: String, name: String) raises:
    """Write all weights and biases."""
    for place in range(prepared.network.depth):
        var layer = prepared.network.layers[place]
        var rows = layer.width_in
        var columns = layer.width_out
        var weights = Buffer[Scalar[dt]](rows * columns)
        layer.read_weights(weights.start)
        _write(
            folder, String(t"{name}-weights-{place}"), rows, columns, weights
        )
        var biases = Buffer[Scalar[dt]](columns)
        layer.read_biases(biases.start)
        _write(folder, String(t"{name}-biases-{place}"), 1, columns, biases)


def _write_gradients[
    dt: DType, //
](
    prepared: Prepared[dt],
    folder: String,
    before: String,
    gradients: Gradients[dt],
) raises:
    """Write all gradients."""
    for place in range(prepared.network.depth):
        var layer = prepared.network.layers[place]
        var rows = layer.width_in
        var columns = layer.width_out
        var weights = _copy(gradients.w[place], rows * columns)
        var biases = _copy(gradients.b[place], columns)
        _write(
            folder, String(t"{before}grads_w-{place}"), rows, columns, weights
        )
        _write(folder, String(t"{before}grads_b-{place}"), 1, columns, biases)


def _copy[
    dt: DType, //
](
    numbers: Pointer[Scalar[dt], MutUntrackedOrigin], count: Int
) raises -> Buffer[Scalar[dt]]:
    """Copy so many numbers."""
    var found = Buffer[Scalar[dt]](count)
    for i in range(count):
        found[i] = numbers[unsafe_offset=i]
    return found^


def _write_batch[
    dt: DType, //
](mut prepared: Prepared[dt], folder: String) raises:
    """Write all that the first batch makes, from fresh weights to those after one step."""
    var n = prepared.batch_size
    var batch = prepared.batch()
    var width_out = prepared.network.width_out
    var last = prepared.network.depth
    _write_parameters(prepared, folder, "initial")
    var y_hat = Buffer[Scalar[dt]](n * width_out)
    prepared.network.forward(prepared.team, batch.X, n, y_hat.start)
    _write(
        folder,
        "activations-0",
        n,
        prepared.network.width_in,
        prepared.X.memory,
    )
    for place in range(last - 1):
        var layer = prepared.network.layers[place]
        var output = Buffer[Scalar[dt]](n * layer.width_out)
        layer.read_output(n, output.start)
        _write(
            folder,
            String(t"activations-{place + 1}"),
            n,
            layer.width_out,
            output,
        )
    _write(folder, String(t"activations-{last}"), n, width_out, y_hat)
    _write(folder, "y_hat", n, width_out, y_hat)
    var mean = Buffer[Float64](1)
    mean[0] = loss(batch.y, y_hat.start, n * width_out)
    write_array(folder + "/loss.npy", List[Int](), mean, lasting=False)
    var gradients = Gradients(prepared.network)
    prepared.network.backprop(
        prepared.team,
        batch.X,
        y_hat.start,
        batch.y,
        gradients.w.start,
        gradients.b.start,
    )
    _ = y_hat^
    _write_gradients(prepared, folder, "", gradients)
    prepared.network.step(gradients.w.start, gradients.b.start, prepared.rate())
    _ = gradients^
    _write_parameters(prepared, folder, "stepped")


def _write_losses[
    dt: DType, //
](mut prepared: Prepared[dt], folder: String, epochs: Int) raises:
    """Train from the weights that are there, and write the loss of every batch."""
    var size = prepared.batch_size
    var batches = prepared.X.rows // size
    var plan = Plan[Float64]()
    _ = plan.add(epochs, batches)
    var training = Buffer[Float64](epochs * batches)
    var validation = Buffer[Float64](epochs * batches)
    for epoch in range(epochs):
        prepared.network.begin_epoch(prepared.X.rows, size)
        prepared.network.train_batches(
            prepared.team,
            prepared.training(),
            prepared.validation(),
            size,
            prepared.rate(),
            0,
            batches,
            training.start.unsafe_offset(epoch * batches),
            validation.start.unsafe_offset(epoch * batches),
        )
    _write(folder, "training_loss", epochs * batches, 0, training)
    _write(folder, "validation_loss", epochs * batches, 0, validation)


def _write_timed[
    dt: DType, //
](mut prepared: Prepared[dt], folder: String) raises:
    """Write what the code that is timed leaves behind."""
    var n = prepared.batch_size
    var batch = prepared.batch()
    var width_out = prepared.network.width_out
    var y_hat = Buffer[Scalar[dt]](n * width_out)
    for i in range(y_hat.count):
        y_hat[i] = nan[dt]()
    _ = time_forward(
        prepared.network, prepared.team, batch.X, n, REPETITIONS, y_hat
    )
    _write(folder, "timed-y_hat", n, width_out, y_hat)
    var gradients = Gradients(prepared.network)
    for place in range(prepared.network.depth):
        var layer = prepared.network.layers[place]
        for i in range(layer.width_in * layer.width_out):
            gradients.w[place][unsafe_offset=i] = nan[dt]()
        for i in range(layer.width_out):
            gradients.b[place][unsafe_offset=i] = nan[dt]()
    _ = time_backprop(
        prepared.network, prepared.team, batch, REPETITIONS, gradients
    )
    _write_gradients(prepared, folder, "timed-", gradients)
    _ = time_epoch(
        prepared.network,
        prepared.team,
        prepared.training(),
        n,
        prepared.rate(),
        REPETITIONS,
    )
    _write_parameters(prepared, folder, "timed")


def _write_extreme[
    dt: DType, //
](mut prepared: Prepared[dt], folder: String) raises:
    """Write what comes of NaN, of infinity, and of numbers below the smallest normal one."""
    comptime is_double = dt == DType.float64
    comptime smallest = 2.2250738585072014e-308 if is_double else 1.1754943508222875e-38
    comptime below = 0.000244140625 if is_double else 0.0625
    var rows = min(EXTREME_ROWS, prepared.X.rows)
    var columns = prepared.X.columns
    var width_out = prepared.network.width_out
    var X = Table[dt](rows, columns)
    var tiny = Table[dt](rows, columns)
    for i in range(rows * columns):
        X.memory[i] = prepared.X.memory[i]
        tiny.memory[i] = X.memory[i] * Scalar[dt](smallest) * Scalar[dt](below)
    X.memory[0] = nan[dt]()
    if rows > 1:
        X.memory[columns] = inf[dt]()
    var y_hat = Buffer[Scalar[dt]](rows * width_out)
    prepared.network.forward(prepared.team, X.start(), rows, y_hat.start)
    _ = X^
    _write(folder, "extreme-y_hat-of-nan-and-infinity", rows, width_out, y_hat)
    for place in range(prepared.network.depth):
        var layer = prepared.network.layers[place]
        var zeros = Buffer[Scalar[dt]](layer.width_out)
        layer.write_biases(zeros.start)
        _ = zeros^
    prepared.network.forward(prepared.team, tiny.start(), rows, y_hat.start)
    _ = tiny^
    comptime name = "extreme-activations-1-of-subnormal-x"
    if prepared.network.depth == 1:
        _write(folder, name, rows, width_out, y_hat)
        return
    var first = prepared.network.layers[0]
    var output = Buffer[Scalar[dt]](rows * first.width_out)
    first.read_output(rows, output.start)
    _write(folder, name, rows, first.width_out, output)


def _write_curve[
    dt: DType, //
](mut prepared: Prepared[dt], folder: String) raises:
    """Write points from one end to the other, as `numpy.linspace` has them, and the output there."""
    comptime step = 2 * GRID_END / (GRID_POINTS - 1)
    var width_out = prepared.network.width_out
    var grid = Buffer[Scalar[dt]](GRID_POINTS)
    for i in range(GRID_POINTS - 1):
        grid[i] = Scalar[dt](Float64(i) * step - GRID_END)
    grid[GRID_POINTS - 1] = Scalar[dt](GRID_END)
    var curve = Buffer[Scalar[dt]](GRID_POINTS * width_out)
    prepared.network.predict(
        prepared.team, grid.start, GRID_POINTS, curve.start
    )
    _write(folder, "grid", GRID_POINTS, 1, grid)
    _write(folder, "curve", GRID_POINTS, width_out, curve)


def _checksum[dt: DType, //](prepared: Prepared[dt]) -> UInt32:
    """Compute the CRC-32 of all numbers of the data, one table after the other."""
    comptime polynomial = UInt32(0xEDB88320)
    var table = Array[UInt32, 256](fill=0)
    for byte in range(256):
        var rest = UInt32(byte)
        for _ in range(8):
            var odd = rest & 1 == 1
            rest >>= 1
            if odd:
                rest ^= polynomial
        table[byte] = rest
    var whole = ~UInt32(0)
    whole = _add(table, whole, prepared.X)
    whole = _add(table, whole, prepared.y)
    whole = _add(table, whole, prepared.X_val)
    return ~_add(table, whole, prepared.y_val)


def _add[
    dt: DType, //
](table: Array[UInt32, 256], before: UInt32, numbers: Table[dt]) -> UInt32:
    """Go on with a CRC-32 over the bytes of a table."""
    var whole = before
    var bytes = numbers.start().unsafe_bitcast[UInt8]()
    for i in range(numbers.memory.count * size_of[Scalar[dt]]()):
        var place = Int((whole ^ UInt32(bytes[unsafe_offset=i])) & 255)
        whole = table[place] ^ (whole >> 8)
    return whole


def _hexadecimal(number: UInt32) -> String:
    """Write eight digits."""
    comptime digits = StaticString("0123456789abcdef")
    var text = String()
    for place in reversed(range(8)):
        text += chr(
            Int(digits.as_bytes()[Int(number >> UInt32(4 * place)) & 15])
        )
    return text
