"""What a benchmark asks of a network: to repeat a phase and to say how long that took."""
from extension.arrays import WRITEABLE, look, numbers, rows_of
from extension.calls import entered
from extension.core import Core, compute
from extension.cpython import (
    Arguments,
    Object,
    Raised,
    check_text,
    integer,
    is_text,
    raised,
    to_integer,
)
from extension.object import ObjectPointer, forget
from extension.training import Epoch
from mlp.network import DataSet
from mlp.runtime.memory import Buffer, Ptr
from mlp.timing.parts import PART_COUNT, Parts, time_part
from mlp.timing.phases import (
    Gradients,
    time_backprop,
    time_clock,
    time_epoch,
    time_forward,
)


def _time_phase[
    dt: DType
](
    object: ObjectPointer, mut core: Core[dt], arguments: Arguments
) raises Raised -> Object:
    """Repeat a phase and measure how long all repetitions take."""
    check_text(arguments[0])
    var loops = to_integer(arguments[1])
    if is_text["timer"](arguments[0]):
        return integer(time_clock(loops))
    var data = Epoch(object, core, arguments[2], arguments[3])
    var is_forward = is_text["forward"](arguments[0])
    var is_backprop = is_text["backprop"](arguments[0])
    var is_epoch = is_text["epoch"](arguments[0])
    var part = _part(arguments[0])
    if not (is_forward or is_backprop or is_epoch or part < PART_COUNT):
        raise raised["ValueError"](
            "phase must be 'forward', 'backprop', 'epoch' or 'timer', or a part"
            " of one, such as 'forward-products'"
        )
    core.set_threads()
    var seen = data.view(core)
    var size = data.batch_size
    var rate = data.rate
    var elapsed_ns = 0
    var wants_result = arguments[4] != core.session[].none
    var result = seen.X  # not written to
    if wants_result:
        result = _result(core, arguments[4], is_forward, is_backprop, size)

    def work() raises {
        mut core,
        mut elapsed_ns,
        var seen,
        var size,
        var rate,
        var loops,
        var is_forward,
        var is_backprop,
        var part,
        var wants_result,
        var result,
    }:
        if part < PART_COUNT:
            # Kept for the next part: to make them costs more than most.
            if not core.parts or not core.parts.value().are_of(seen):
                core.parts = Parts(core.network, core.team, seen, size)
            elapsed_ns = time_part(
                core.parts.value(), core.network, core.team, part, loops
            )
            return
        core.parts = None
        if is_forward:
            var y_hat = Buffer[Scalar[dt]](size * core.network.width_out)
            elapsed_ns = time_forward(
                core.network, core.team, seen.X, size, loops, y_hat
            )
            if wants_result:
                for i in range(y_hat.count):
                    result[unsafe_offset=i] = y_hat[i]
        elif is_backprop:
            var batch = DataSet(seen.X, seen.y, size)
            var gradients = Gradients(core.network)
            elapsed_ns = time_backprop(
                core.network, core.team, batch, loops, gradients
            )
            if wants_result:
                gradients.copy_to(core.network, result)
        else:
            elapsed_ns = time_epoch(
                core.network, core.team, seen, size, rate, loops
            )

    # With Python's lock: a benchmark has no other threads, and none may join in.
    compute(work, long=False)
    core.network.rows = 0
    forget(object)
    return integer(elapsed_ns)


def _part(text: Object) -> Int:
    """Tell which part of a phase a str names; PART_COUNT where it names none."""
    comptime names = (
        "forward-products",
        "forward-work",
        "backprop-products",
        "backprop-work",
        "step-work",
        "loss",
        "shuffle",
    )
    comptime for place in range(PART_COUNT):
        if is_text[names[place]](text):
            return place
    return PART_COUNT


def _result[
    dt: DType
](
    core: Core[dt],
    array: Object,
    is_forward: Bool,
    is_backprop: Bool,
    rows: Int,
) raises Raised -> Ptr[dt]:
    """Look at an array for the result of the last repetition; runs no Python code."""
    if not (is_forward or is_backprop):
        raise raised["ValueError"](
            "only 'forward' and 'backprop' give a result; an epoch leaves it in"
            " the weights"
        )
    var count = rows * core.network.width_out
    if is_backprop:
        count = core.weights
        for place in range(core.network.depth):
            count += core.network.layers[place].width_out
    comptime needed = Int32(WRITEABLE)
    if (
        not core.session[].numpy.is_array[dt](array, 1)
        or look(array).flags & needed == 0
        or rows_of(array) != count
    ):
        raise raised["ValueError"](
            t"result must be a dense, writable array of the network's dtype"
            t" with {count} elements in one dimension"
        )
    return numbers[dt](array)


def time_phase(
    network: ObjectPointer, arguments: Arguments
) raises Raised -> Object:
    """Repeat a phase and measure how long all repetitions take.

    Args:
        network: The network's object.
        arguments: The phase, loops, X, y, and an array for the result or None.

    Returns:
        Nanoseconds, an int.

    Raises:
        What a wrong argument raises.
    """
    return entered[_time_phase[DType.float64], _time_phase[DType.float32]](
        network, arguments
    )
