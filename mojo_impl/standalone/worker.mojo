"""Serves the benchmark: prepares a problem, repeats a phase, tells how long that took.

The lines are those of docs/design.md, "A worker's life"; data is a folder of X.npy and y.npy. What
is served so far: describe, prepare, sample of the phases of a network and of its parts, reset.
"""
from std.benchmark import black_box
from std.collections import Array, Optional
from std.ffi import external_call
from std.sys import CompilationTarget, simd_width_of
from std.time import perf_counter_ns

from mlp.data import DataSet
from mlp.memory import Buffer
from mlp.network import Network
from mlp.parts import PART_COUNT, time_part
from mlp.threads import Team
from mlp.timing import (
    Gradients,
    time_backprop,
    time_clock,
    time_epoch,
    time_forward,
)
from standalone.files import shown
from standalone.json import Request, json_text
from standalone.lines import Lines, environment
from standalone.npy import NpyFile, Table

comptime RATE = 0.01
"""Learning rate of all problems of the benchmark."""
comptime PARTS = (
    "forward-products",
    "forward-work",
    "backprop-products",
    "backprop-work",
    "step-work",
    "loss",
    "shuffle",
)
"""Names of the parts, in the order of their numbers in `mlp.parts`."""


struct Prepared[dt: DType](Movable):
    """What `prepare` leaves behind: data, and a network with fresh weights.

    Parameters:
        dt: Type of every element.
    """

    var X: Table[Self.dt]
    """Inputs."""
    var y: Table[Self.dt]
    """Targets."""
    var batch_size: Int
    """Rows of a batch."""
    var network: Network[Self.dt]
    """The network."""
    var team: Team
    """The threads that compute."""

    def __init__(out self, request: Request) raises:
        """Read the data and make the network.

        Args:
            request: A `prepare` of this dtype.

        Raises:
            When something is missing or wrong.
        """
        var sizes = List[Int]()
        while request.has(String(t"problem.layer_sizes.{len(sizes)}")):
            sizes.append(
                request.whole(String(t"problem.layer_sizes.{len(sizes)}"), 1)
            )
        if len(sizes) < 2:
            raise Error("problem.layer_sizes must hold two or more numbers")
        self.batch_size = request.whole("problem.batch_size", 1)
        var seed = request.whole("seed", 0) if request.has("seed") else 1
        if seed > Int(UInt32.MAX):
            raise Error("seed must be at most ", UInt32.MAX)
        var folder = request.text("data")
        self.X = NpyFile(folder + "/X.npy").read[Self.dt](sizes[0], 0)
        self.y = NpyFile(folder + "/y.npy").read[Self.dt](
            sizes[len(sizes) - 1], self.X.rows
        )
        if self.batch_size > self.X.rows:
            raise Error("problem.batch_size is more than the rows of the data")
        self.network = Network[Self.dt](sizes, UInt32(seed))
        self.team = Team(thread_count())

    def time(mut self, phase: String, loops: Int) raises -> Int:
        """Repeat a phase.

        Args:
            phase: Its name.
            loops: How often.

        Returns:
            Nanoseconds of all repetitions.

        Raises:
            When there is no such phase, or memory runs out.
        """
        var all = DataSet(self.X.start(), self.y.start(), self.X.rows)
        var rate = Scalar[Self.dt](RATE / Float64(self.batch_size))
        var elapsed_ns: Int
        if phase == "timer":
            return time_clock(loops)
        if phase == "forward":
            var y_hat = Buffer[Scalar[Self.dt]](
                self.batch_size * self.network.width_out
            )
            elapsed_ns = time_forward(
                self.network, self.team, all.X, self.batch_size, loops, y_hat
            )
        elif phase == "backprop":
            var gradients = Gradients(self.network)
            elapsed_ns = time_backprop(
                self.network,
                self.team,
                DataSet(all.X, all.y, self.batch_size),
                loops,
                gradients,
            )
        elif phase == "epoch":
            elapsed_ns = time_epoch(
                self.network, self.team, all, self.batch_size, rate, loops
            )
        else:
            elapsed_ns = time_part(
                self.network,
                self.team,
                _part(phase),
                all,
                self.batch_size,
                loops,
            )
        self.network.rows = 0
        return elapsed_ns

    def sample(mut self, request: Request) raises -> String:
        """Serve a `sample`.

        Args:
            request: The request.

        Returns:
            What is told of it, as fields of JSON.

        Raises:
            When the request is wrong, or memory runs out.
        """
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
            _ = self.time(rouser, 1)
        var before = _meters()
        var elapsed_ns = self.time(phase, loops)
        var after = _meters()
        var told = ', "elapsed_ns": ' + String(elapsed_ns)
        comptime names = ("preempted", "page_faults", "cpu_ns", "wall_ns")
        comptime for place in range(4):
            told += ', "' + String(names[place]) + '": '
            told += String(after[place] - before[place])
        return told


def serve() raises:
    """Answer requests until `quit` or the end of the input.

    Raises:
        When a line is longer than any request, or memory runs out at the start.
    """
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
                request = _serve[DType.float64](lines, request.take())
            else:
                request = _serve[DType.float32](lines, request.take())
            continue
        _answer_without_problem(lines, request.value())
        request = _next(lines)


def _serve[
    dt: DType
](mut lines: Lines, var first: Request) raises -> Optional[Request]:
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
                lines.answer(prepared.sample(request.value()))
            elif op == "reset":
                prepared.network.reset()
                lines.answer("")
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
            lines.answer(_description())
        elif op == "sample" or op == "reset":
            raise Error("nothing is prepared; send prepare first")
        else:
            raise Error(
                "there is no operation '",
                shown(op),
                "'; there are: describe, prepare, sample, reset, quit",
            )
    except error:
        lines.refuse(String(error))


def thread_count() raises -> Int:
    """Read how many threads compute: MOJO_IMPL_THREADS, or 1.

    Returns:
        The number.

    Raises:
        When it is no number.
    """
    var text = environment("MOJO_IMPL_THREADS")
    return atol(text) if text != "" else 1


@fieldwise_init
struct _Look:
    """What each thread tells of itself."""

    var ids: Pointer[Int, MutUntrackedOrigin]
    var halves: Pointer[Float64, MutUntrackedOrigin]


def _look(context: _Look, thread: Int):
    """Tell who computes here, and whether half of the smallest normal number is kept."""
    context.ids[unsafe_offset=thread] = external_call["pthread_self", Int]()
    context.halves[unsafe_offset=thread] = black_box(Float64(0.5)) * black_box(
        Float64(2.2250738585072014e-308)
    )


def _description() raises -> String:
    """Tell what must be known to compare this side with another."""
    var threads = thread_count()
    var team = Team(threads)
    var ids = Buffer[Int](threads)
    var halves = Buffer[Float64](threads)
    team.run[_look, each_its_own=True](_Look(ids.start, halves.start), threads)
    var different = 0
    var kept = 0
    for thread in range(threads):
        var is_new = True
        for other in range(thread):
            is_new = is_new and ids[other] != ids[thread]
        different += Int(is_new)
        kept += Int(halves[thread] > 0.0)
    var half = black_box(Float64(1.1102230246251565e-16))
    var even = 1.0 + half / 2 == 1.0 and 1.0 + 3 * half > 1.0 + 2 * half
    var denormals = "kept" if kept == threads else "flushed"
    var rounding = "to nearest" if even else "not to nearest"
    var told = String(', "implementation": "mojo-exe", "language": "Mojo"')
    told += ', "versions": {}, "threads": ' + String(different)
    told += ', "denormals": ' + json_text(denormals)
    told += ', "rounding": ' + json_text(rounding)
    told += ', "facts": {"simd width float64": '
    return told + json_text(String(simd_width_of[DType.float64]())) + "}"


def _part(phase: String) raises -> Int:
    """Return the number of a part."""
    comptime for place in range(PART_COUNT):
        if phase == PARTS[place]:
            return place
    raise Error("there is no phase '", shown(phase), "' here")


def _meters() -> Array[Int, 4]:
    """Read what the system says of this process: preempted, page faults, processor time, clock."""
    # A struct rusage: two times of two words, then fourteen words.
    var usage = Array[Int, 32](fill=0)
    _ = external_call["getrusage", Int32](Int32(0), Pointer(to=usage))
    comptime of_process = 12 if CompilationTarget.is_macos() else 2
    var time = Array[Int, 2](fill=0)
    _ = external_call["clock_gettime", Int32](
        Int32(of_process), Pointer(to=time)
    )
    var found = Array[Int, 4](fill=0)
    found[0] = usage[17]
    found[1] = usage[8] + usage[9]
    found[2] = time[0] * 1_000_000_000 + time[1]
    found[3] = Int(perf_counter_ns())
    return found^
