"""Measures epochs with all threads against one, with free cores and with a busy neighbour.

    mojo build -I mojo_impl tests/mojo_impl/instruments/busy_neighbour.mojo -o build/neighbour
    build/neighbour [threads [work_per_thread]]

The neighbour is a process that does nothing but turn. Epochs of one thread and of all threads take
turns. For each network and dtype, medians in microseconds: one thread and all threads with free
cores, the same with the neighbour; then two ratios to one thread with free cores: of all threads
with free cores (below 1: threads pay) and of all threads with the neighbour (the goal on a
two-core machine: at most 1.5). Look at the load of the machine first: it is to be idle.
"""
from std.ffi import external_call
from std.sys import argv

from mlp.network import DataSet, Network
from mlp.runtime.memory import Buffer
from mlp.runtime.threads import Team
from mlp.timing.phases import time_epoch

comptime TURNS = 7
comptime TURN_NS = 10_000_000  # a turn repeats the epoch for about as long


def median(mut numbers: List[Int]) -> Int:
    sort(numbers)
    return numbers[len(numbers) // 2]


struct Setting[dt: DType](Movable):
    """A network, its data, and how often a turn repeats the epoch."""

    var network: Network[Self.dt]
    var X: Buffer[Scalar[Self.dt]]
    var y: Buffer[Scalar[Self.dt]]
    var rows: Int
    var batch: Int
    var loops: Int

    def __init__(
        out self, sizes: List[Int], batch: Int, rows: Int, mut team: Team
    ) raises:
        self.network = Network[Self.dt](sizes, 1)
        self.X = Buffer[Scalar[Self.dt]](rows * self.network.width_in)
        self.y = Buffer[Scalar[Self.dt]](rows * self.network.width_out)
        for place in range(self.X.count):
            self.X[place] = Scalar[Self.dt](place % 17) / 17
        self.rows = rows
        self.batch = batch
        self.loops = 1
        _ = self.epoch(team)
        self.loops = max(1, TURN_NS // self.epoch(team))

    def epoch(mut self, mut team: Team) raises -> Int:
        """Nanoseconds of an epoch, the mean of one turn."""
        var data = DataSet(self.X.start, self.y.start, self.rows)
        # A rate that is not 0 and changes next to nothing: weights stay ordinary numbers.
        var rate = Scalar[Self.dt](1e-12)
        var time = time_epoch(
            self.network, team, data, self.batch, rate, self.loops
        )
        return time // self.loops


def take_turns[
    dt: DType
](mut setting: Setting[dt], mut alone: Team, mut team: Team) raises -> Tuple[
    Int, Int
]:
    """Median epochs of one thread and of all."""
    var one = List[Int]()
    var all = List[Int]()
    for _ in range(TURNS):
        one.append(setting.epoch(alone))
        all.append(setting.epoch(team))
    return (median(one), median(all))


def start_neighbour() -> Int32:
    """Start a process that turns until it is killed."""
    var child = external_call["fork", Int32]()
    if child == 0:
        _ = external_call["alarm", UInt32](UInt32(120))  # not for ever
        while True:
            _ = external_call["getppid", Int32]()
    return child


def end_neighbour(child: Int32):
    _ = external_call["kill", Int32](child, Int32(9))
    _ = external_call["waitpid", Int32](child, Int(0), Int32(0))


def compare[
    dt: DType
](
    name: String,
    sizes: List[Int],
    batch: Int,
    rows: Int,
    mut alone: Team,
    mut team: Team,
) raises:
    """Print the line of a network."""
    var setting = Setting[dt](sizes, batch, rows, alone)
    var free = take_turns(setting, alone, team)
    var child = start_neighbour()
    var busy = take_turns(setting, alone, team)
    end_neighbour(child)
    print(name, dt, sep="\t", end="")
    for time in [free[0], free[1], busy[0], busy[1]]:
        print("\t", Float64(time) / 1000, sep="", end="")
    for time in [free[1], busy[1]]:
        print("\t", Float64(time) / Float64(free[0]), sep="", end="")
    print()


def compare_all[dt: DType](mut alone: Team, mut team: Team) raises:
    var seed: List[Int] = [1, 50, 50, 50, 50, 50, 50, 50, 50, 50, 1]
    compare[dt]("1,50x9,1 b20", seed, 20, 500, alone, team)
    compare[dt]("64,128x2,10 b32", [64, 128, 128, 10], 32, 2048, alone, team)
    compare[dt](
        "784,512x2,10 b128", [784, 512, 512, 10], 128, 4096, alone, team
    )
    compare[dt]("1024x4 b256", [1024, 1024, 1024, 1024], 256, 2048, alone, team)


def main() raises:
    var arguments = argv()
    var alone = Team(1)
    var team = Team(Int(arguments[1]) if len(arguments) > 1 else 2)
    if len(arguments) > 2:
        team.work_per_thread = Int(arguments[2])
    compare_all[DType.float64](alone, team)
    compare_all[DType.float32](alone, team)
