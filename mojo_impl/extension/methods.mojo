"""What the methods of `Network` do: check, make, look, compute; the contracts are `python_impl`'s.
"""
from std.ffi import external_call

from extension.arrays import numbers, rows_of
from extension.core import LONG, Core, compute
from extension.cpython import (
    Arguments,
    Object,
    Raised,
    Sequence,
    attribute,
    checked,
    raised,
    release,
    retain,
)
from extension.gradients import room_for_gradients
from extension.object import ObjectPointer, forget
from extension.tables import Members
from mlp.loops import copy, loss as mean_squared_error


def _forward[
    dt: DType
](
    object: ObjectPointer, mut core: Core[dt], arguments: Arguments
) raises Raised -> Object:
    """Compute the output for a batch and keep what `backprop` needs."""
    var X = core.plain["X"](arguments[0], core.network.width_in, 0)
    var y_hat = _output[keep=True](core, X)
    var old = object[]
    object[].X = retain(X)
    object[].y_hat = retain(y_hat)
    release(old.X)
    release(old.y_hat)
    return y_hat


def _predict[
    dt: DType
](
    object: ObjectPointer, mut core: Core[dt], arguments: Arguments
) raises Raised -> Object:
    """Compute the output for X without touching the cache of `forward`."""
    var X = core.plain["X"](arguments[0], core.network.width_in, 0)
    return _output[keep=False](core, X)


def _output[
    dt: DType, //, keep: Bool
](mut core: Core[dt], X: Object) raises Raised -> Object:
    """Make the array y_hat for a plain X; keep what lies between if `keep`."""
    var n = rows_of(X)
    var y_hat = core.session[].numpy.empty[dt](n, core.network.width_out)
    try:
        core.set_threads()
        var inputs = core.view(X, core.network.width_in, n)
        var output = numbers[dt](y_hat)

        def work() raises {mut core, var inputs, var n, var output}:
            comptime if keep:
                core.network.forward(core.team, inputs, n, output)
            else:
                core.network.predict(core.team, inputs, n, output)

        compute(work, long=n * core.weights > LONG)
    except failure:
        release(y_hat)
        raise failure
    return y_hat


def _backprop[
    dt: DType
](
    object: ObjectPointer, mut core: Core[dt], arguments: Arguments
) raises Raised -> Object:
    """Compute the gradients for the batch that `forward` saw last."""
    var n = core.network.rows
    if n == 0:
        raise raised["RuntimeError"](
            "backprop needs a forward first: call forward(X), then backprop(y)"
        )
    var width_out = core.network.width_out
    var y = core.plain["y"](arguments[0], width_out, n)
    core.set_threads()
    var gradients = room_for_gradients(object, core)
    try:
        var inputs = core.view(object[].X, core.network.width_in, n)
        var outputs = core.view(object[].y_hat, width_out, n)
        var targets = core.view(y, width_out, n)

        def work() raises {mut core, var inputs, var outputs, var targets}:
            core.network.backprop(
                core.team,
                inputs,
                outputs,
                targets,
                core.w.start,
                core.b.start,
            )

        compute(work, long=2 * n * core.weights > LONG)
    except failure:
        release(gradients)
        raise failure
    return gradients


def _step[
    dt: DType
](
    object: ObjectPointer, mut core: Core[dt], arguments: Arguments
) raises Raised -> Object:
    """Move every parameter by -learning_rate * gradient / batch_size."""
    var grads_w = core.plain_list["grads_w", biases=False](arguments[0])
    var grads_b = core.plain_list["grads_b", biases=True](arguments[1])
    var rate = rate_of(object)
    core.network.step(
        core.view_list[biases=False](grads_w),
        core.view_list[biases=True](grads_b),
        Scalar[dt](rate),
    )
    return retain(core.session[].none)


def _loss[
    dt: DType
](
    object: ObjectPointer, mut core: Core[dt], arguments: Arguments
) raises Raised -> Object:
    """Return the mean of the squared errors."""
    var width = core.network.width_out
    var y = core.plain["y"](arguments[0], width, 0)
    var n = rows_of(y)
    var y_hat = core.plain["y_hat"](arguments[1], width, n)
    var value = mean_squared_error(
        core.view(y, width, n), core.view(y_hat, width, n), n * width
    )
    return checked(external_call["PyFloat_FromDouble", Object](value))


def _reset[
    dt: DType
](
    object: ObjectPointer, mut core: Core[dt], arguments: Arguments
) raises Raised -> Object:
    """Go back to the initial weights and to the start of the random stream."""
    core.network.reset()
    forget(object)
    return retain(core.session[].none)


def _get_parameters[
    dt: DType, biases: Bool
](
    object: ObjectPointer, mut core: Core[dt], arguments: Arguments
) raises Raised -> Object:
    """Copy the weights or the biases."""
    return core.copies[biases]()


def _set_parameters[
    dt: DType, biases: Bool
](
    object: ObjectPointer, mut core: Core[dt], arguments: Arguments
) raises Raised -> Object:
    """Replace the weights or the biases."""
    comptime name = StaticString("biases" if biases else "weights")
    var arrays = core.plain_list[name, biases](arguments[0])
    var sources = core.view_list[biases](arrays)
    for place in range(core.network.depth):
        var layer = core.network.layers[place]
        var source = sources[unsafe_offset=place]
        comptime if biases:
            layer.write_biases(source)
        else:
            layer.write_weights(source)
    return 0


def _get_activations[
    dt: DType
](
    object: ObjectPointer, mut core: Core[dt], arguments: Arguments
) raises Raised -> Object:
    """Copy what the last `forward` kept."""
    ref network = core.network
    ref numpy = core.session[].numpy
    var n = network.rows
    if n == 0:
        var none = Sequence[is_list=False](0)
        return none.take()
    var activations = Sequence[is_list=False](network.depth + 1)
    var X = numpy.empty[dt](n, network.width_in)
    activations.add(X)
    copy(
        core.view(object[].X, network.width_in, n),
        numbers[dt](X),
        n * network.width_in,
    )
    numpy.freeze(X)
    for place in range(network.depth - 1):
        var layer = network.layers[place]
        var output = numpy.empty[dt](n, layer.width_out)
        layer.read_output(n, numbers[dt](output))
        numpy.freeze(output)
        activations.add(output)
    var y_hat = numpy.empty[dt](n, network.width_out)
    activations.add(y_hat)
    copy(
        core.view(object[].y_hat, network.width_out, n),
        numbers[dt](y_hat),
        n * network.width_out,
    )
    numpy.freeze(y_hat)
    return activations.take()


def rate_of(object: ObjectPointer) raises Raised -> Float64:
    """Compute learning_rate / batch_size as Python does, from the object's attributes.

    Args:
        object: The network's object.

    Returns:
        The factor of a gradient in a step.

    Raises:
        What Python raises.
    """
    var learning_rate = attribute["learning_rate"](Int(object))
    var batch_size: Object
    try:
        batch_size = attribute["batch_size"](Int(object))
    except failure:
        release(learning_rate)
        raise failure
    var rate = external_call["PyNumber_TrueDivide", Object](
        learning_rate, batch_size
    )
    release(learning_rate)
    release(batch_size)
    if rate == 0:
        raise Raised()
    var value = external_call["PyFloat_AsDouble", Float64](rate)
    release(rate)
    if value == -1 and external_call["PyErr_Occurred", Object]() != 0:
        raise Raised()
    return value


def add_methods(mut members: Members) raises Raised:
    """Add the methods and attributes that work on one batch, and the parameters.

    Args:
        members: Where to.

    Raises:
        What `Members` raises.
    """
    comptime f64 = DType.float64
    comptime f32 = DType.float32
    members.method["forward", _forward[f64], _forward[f32], "X"]()
    members.method["backprop", _backprop[f64], _backprop[f32], "y"]()
    members.method["step", _step[f64], _step[f32], "grads_w", "grads_b"]()
    members.method["loss", _loss[f64], _loss[f32], "y", "y_hat"]()
    members.method["predict", _predict[f64], _predict[f32], "X"]()
    members.method["reset", _reset[f64], _reset[f32]]()
    members.attribute[
        "weights",
        _get_parameters[f64, False],
        _get_parameters[f32, False],
        _set_parameters[f64, False],
        _set_parameters[f32, False],
    ]()
    members.attribute[
        "biases",
        _get_parameters[f64, True],
        _get_parameters[f32, True],
        _set_parameters[f64, True],
        _set_parameters[f32, True],
    ]()
    members.attribute[
        "activations", _get_activations[f64], _get_activations[f32]
    ]()
