"""What a worker has prepared: data, a network with fresh weights, and the clock around its phases."""
from std.collections import Optional

from mlp.data import DataSet
from mlp.network import Network
from mlp.runtime.memory import Buffer
from mlp.runtime.threads import Team
from mlp.timing.parts import PART_COUNT, Parts, time_part
from mlp.timing.phases import (
    Gradients,
    time_backprop,
    time_clock,
    time_epoch,
    time_forward,
)
from standalone.files.files import shown
from standalone.files.npy import NpyFile, Table
from .json import Request
from .system import thread_count

comptime RATE = 0.01
"""Learning rate of all problems of the benchmark."""
comptime PHASE_COUNT = 3
"""How many phases of a network there are."""
comptime PHASES = ("forward", "backprop", "epoch")
"""Their names."""
comptime PARTS = (
    "forward-products",
    "forward-work",
    "backprop-products",
    "backprop-work",
    "step-work",
    "loss",
    "shuffle",
)
"""Names of the parts, in the order of their numbers in `mlp.timing.parts`."""


struct Prepared[dt: DType](Movable):
    """What `prepare` leaves behind: data, and a network with fresh weights.

    Parameters:
        dt: Type of every element.
    """

    var X: Table[Self.dt]
    """Inputs."""
    var y: Table[Self.dt]
    """Targets."""
    var X_val: Table[Self.dt]
    """Inputs of the validation loss."""
    var y_val: Table[Self.dt]
    """Targets of it."""
    var batch_size: Int
    """Rows of a batch."""
    var network: Network[Self.dt]
    """The network."""
    var team: Team
    """The threads that compute."""
    var _parts: Optional[Parts[Self.dt]]  # kept until something else is timed

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
        var rows = request.whole("problem.rows", 1)
        if self.batch_size > rows:
            raise Error("problem.batch_size is more than the rows of the data")
        var folder = request.text("data")
        var width_out = sizes[len(sizes) - 1]
        self.X = NpyFile(folder + "/X.npy").read[Self.dt](sizes[0], rows)
        self.y = NpyFile(folder + "/y.npy").read[Self.dt](width_out, rows)
        self.X_val = NpyFile(folder + "/X_val.npy").read[Self.dt](
            sizes[0], rows
        )
        self.y_val = NpyFile(folder + "/y_val.npy").read[Self.dt](
            width_out, rows
        )
        self.network = Network[Self.dt](sizes, UInt32(seed))
        self.team = Team(thread_count())
        self._parts = None

    def training(self) -> DataSet[Self.dt]:
        """Look at the data.

        Returns:
            All of it, good as long as this value lives.
        """
        return DataSet(self.X.start(), self.y.start(), self.X.rows)

    def validation(self) -> DataSet[Self.dt]:
        """Look at the data of the validation loss.

        Returns:
            All of it, good as long as this value lives.
        """
        return DataSet(self.X_val.start(), self.y_val.start(), self.X_val.rows)

    def batch(self) -> DataSet[Self.dt]:
        """Look at the first batch of the data.

        Returns:
            The batch, good as long as this value lives.
        """
        return DataSet(self.X.start(), self.y.start(), self.batch_size)

    def rate(self) -> Scalar[Self.dt]:
        """Compute the learning rate over the batch size, in float64, then rounded.

        Returns:
            That rate.
        """
        return Scalar[Self.dt](RATE / Float64(self.batch_size))

    def reset(mut self):
        """Bring weights and random stream back to where `prepare` left them."""
        self._parts = None
        self.network.reset()

    def time(mut self, phase: String, loops: Int) raises -> Int:
        """Repeat a phase; the network holds no batch then.

        Args:
            phase: Its name.
            loops: How often.

        Returns:
            Nanoseconds of all repetitions.

        Raises:
            When there is no such phase, or memory runs out.
        """
        if phase == "timer":
            return time_clock(loops)
        for part in range(PART_COUNT):
            if phase == _part_name(part):
                return self._time_part(part, loops)
        self._parts = None
        var all = self.training()
        for place in range(PHASE_COUNT):
            if phase == _phase_name(place):
                return _time_phase(
                    place,
                    self.network,
                    self.team,
                    all,
                    self.batch_size,
                    self.rate(),
                    loops,
                )
            if phase == _phase_name(place) + "-floor":
                return self._time_floor(place, loops)
        raise Error("there is no phase '", shown(phase), "' here")

    def _time_part(mut self, part: Int, loops: Int) raises -> Int:
        """Time a part, in memory that stays until something else is timed."""
        if not self._parts:
            self._parts = Parts(
                self.network, self.team, self.training(), self.batch_size
            )
        return time_part(
            self._parts.value(), self.network, self.team, part, loops
        )

    def _time_floor(mut self, place: Int, loops: Int) raises -> Int:
        """Time a phase of a network as deep and one wide, on as many batches of one row each.

        It learns nothing, at a rate of 0: no number runs away.
        """
        var sizes = List[Int](length=self.network.depth + 1, fill=1)
        var narrow = Network[Self.dt](sizes, 1)
        var batches = self.X.rows // self.batch_size
        var X = Table[Self.dt](batches, 1)
        var y = Table[Self.dt](batches, 1)
        for row in range(batches):
            X.memory[row] = self.X.memory[row * self.X.columns]
            y.memory[row] = self.y.memory[row * self.y.columns]
        var elapsed_ns = _time_phase(
            place,
            narrow,
            self.team,
            DataSet(X.start(), y.start(), batches),
            1,
            0,
            loops,
        )
        _ = X^
        _ = y^
        return elapsed_ns


def _time_phase[
    dt: DType, //
](
    place: Int,
    mut network: Network[dt],
    mut team: Team,
    all: DataSet[dt],
    batch_size: Int,
    rate: Scalar[dt],
    loops: Int,
) raises -> Int:
    """Time a phase of a network by its number."""
    var elapsed_ns: Int
    if place == 0:
        var y_hat = Buffer[Scalar[dt]](batch_size * network.width_out)
        elapsed_ns = time_forward(
            network, team, all.X, batch_size, loops, y_hat
        )
    elif place == 1:
        var gradients = Gradients(network)
        elapsed_ns = time_backprop(
            network, team, DataSet(all.X, all.y, batch_size), loops, gradients
        )
    else:
        elapsed_ns = time_epoch(network, team, all, batch_size, rate, loops)
    network.rows = 0
    return elapsed_ns


def _phase_name(place: Int) -> String:
    """Return the name of a phase of a network by its number."""
    comptime for known in range(PHASE_COUNT):
        if place == known:
            return String(PHASES[known])
    return ""


def _part_name(place: Int) -> String:
    """Return the name of a part by its number in `mlp.timing.parts`."""
    comptime for known in range(PART_COUNT):
        if place == known:
            return String(PARTS[known])
    return ""


def offered() -> String:
    """List all that can be timed.

    Returns:
        Names in quotes, with commas between them.
    """
    var told = String('"timer"')
    comptime for place in range(PHASE_COUNT):
        told += ', "' + String(PHASES[place]) + '"'
        told += ', "' + String(PHASES[place]) + '-floor"'
    comptime for place in range(PART_COUNT):
        told += ', "' + String(PARTS[place]) + '"'
    return told
