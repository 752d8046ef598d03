"""Serves the benchmark by the lines of docs/protocol.md, all of them.

`prepared` holds what is timed, `tensors` writes what is compared, `system` tells of the process.
"""
from std.collections import Optional
from std.time import perf_counter_ns

from standalone.files.files import shown
from .json import Request
from .lines import Lines
from .prepared import Prepared, offered
from .system import description, meters, peak_memory
from .tensors import write_tensors, write_training

comptime PROTOCOL = 1
"""The version of the lines."""
comptime NEEDING = ("tensors", "sample", "reset", "train", "costs")
"""Operations that need a problem."""


def serve() raises:
    """Answer requests until `quit` or the end of the input.

    Raises:
        When a line is longer than any request, or memory runs out at the start.
    """
    var memory = peak_memory()
    var lines = Lines()
    var request = _next(lines)
    while request:
        if request.value().text("op") == "prepare":
            var dtype: String
            try:
                dtype = request.value().text("problem.dtype")
                if dtype != "float64" and dtype != "float32":
                    raise Error("problem.dtype must be float64 or float32")
            except error:
                lines.refuse(String(error))
                request = _next(lines)
                continue
            if dtype == "float64":
                request = _serve[DType.float64](lines, request.take(), memory)
            else:
                request = _serve[DType.float32](lines, request.take(), memory)
            continue
        _answer_without_problem(lines, request.value())
        request = _next(lines)


def _serve[
    dt: DType
](mut lines: Lines, var first: Request, memory: Int) raises -> Optional[
    Request
]:
    """Serve a problem until another `prepare` comes, which is returned; none at the end."""
    var prepared: Prepared[dt]
    try:
        prepared = Prepared[dt](first)
    except error:
        lines.refuse(String(error))
        return _next(lines)
    lines.answer("")
    while True:
        var request = _next(lines)
        if not request or request.value().text("op") == "prepare":
            return request^
        var op = request.value().text("op")
        try:
            if op == "sample":
                lines.answer(_sample(prepared, request.value()))
            elif op == "reset":
                prepared.reset()
                lines.answer("")
            elif op == "tensors":
                var folder = request.value().text("folder")
                var epochs = request.value().whole("epochs", 0)
                lines.answer(write_tensors(prepared, folder, epochs))
            elif op == "train":
                var folder = request.value().text("folder")
                var epochs = request.value().whole("epochs", 1)
                write_training(prepared, folder, epochs)
                lines.answer("")
            elif op == "costs":
                lines.answer(_costs(prepared, memory))
            else:
                _answer_without_problem(lines, request.value())
        except error:
            lines.refuse(String(error))


def _next(mut lines: Lines) raises -> Optional[Request]:
    """Wait for a request that has an "op"; none at `quit` and at the end."""
    while True:
        var line = lines.next()
        if not line:
            return None
        try:
            var request = Request(line.take())
            if not request.has("op"):
                raise Error('a request is an object with an "op"')
            if request.text("op") == "quit":
                return None
            return request^
        except error:
            lines.refuse(String(error))


def _answer_without_problem(lines: Lines, request: Request) raises:
    """Serve what needs nothing prepared."""
    try:
        var op = request.text("op")
        if op == "describe":
            lines.answer(
                String(t', "protocol": {PROTOCOL}, "phases": [')
                + offered()
                + "]"
                + description()
            )
            return
        comptime for place in range(len(NEEDING)):
            if op == NEEDING[place]:
                raise Error("nothing is prepared; send prepare first")
        raise Error(
            "there is no operation '",
            shown(op),
            "'; there are: describe, prepare, tensors, sample, reset, train,"
            " costs, quit",
        )
    except error:
        lines.refuse(String(error))


def _sample[
    dt: DType, //
](mut prepared: Prepared[dt], request: Request) raises -> String:
    """Serve a `sample`; return what is told of it, as fields of JSON."""
    var phase = request.text("phase")
    var loops = request.whole("loops", 1)
    var rouse_ns = 0
    if request.has("rouse_ns"):
        rouse_ns = request.whole("rouse_ns", 0)
    # Leaves the weights as they are, and keeps the same threads at work.
    var is_phase = phase == "backprop" or phase == "epoch"
    var rouser = String("forward") if is_phase else phase
    var roused_ns = Int(perf_counter_ns()) + rouse_ns
    while Int(perf_counter_ns()) < roused_ns:
        _ = prepared.time(rouser, 1)
    var before = meters()
    var elapsed_ns = prepared.time(phase, loops)
    var after = meters()
    var told = ', "elapsed_ns": ' + String(elapsed_ns)
    comptime names = ("preempted", "page_faults", "cpu_ns", "wall_ns")
    comptime for place in range(4):
        told += ', "' + String(names[place]) + '": '
        told += String(after[place] - before[place])
    return told


def _costs[
    dt: DType, //
](mut prepared: Prepared[dt], memory: Int) raises -> String:
    """Serve `costs`; return them as fields of JSON.

    Nothing is imported, so no time of that is told; `memory` is what the process took until then.
    """
    var first_ns = prepared.time("forward", 1)
    var second_ns = prepared.time("forward", 1)
    var told = ', "first call": ' + String(first_ns)
    told += ', "second call": ' + String(second_ns)
    told += ', "page faults": ' + String(meters()[1])
    told += ', "memory after import": ' + String(memory)
    return told + ', "peak memory": ' + String(peak_memory())
