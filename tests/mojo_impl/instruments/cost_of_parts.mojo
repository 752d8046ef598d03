"""Measures what an epoch of small layers consists of: tiles, transposing, dot products, the rest.

    mojo build -I mojo_impl tests/mojo_impl/instruments/cost_of_parts.mojo -o build/parts && build/parts

For each network one thread does all products of a batch, then only the register tiles of them, and
so on, in turns; beside them the time that the multiply-adds would take at the machine's peak, from
the probe of the peak. Prints, from medians, nanoseconds a batch and the share of an epoch, in which
all of it is done and batches are drawn and judged as well. `the rest of the products` is what a
product takes beside its parts: choosing blocks and panels. Look at the load first: the machine is
to be idle.
"""
from epoch_parts import BIASES, COUNT, DELTA_TILES, DOTS, EPOCH, FORWARD
from epoch_parts import FORWARD_TILES, PEAK, PROBE_FLOPS, Setting, STEP, STRIP
from epoch_parts import TRANSPOSING, UPDATE_TILES, median, percent
from mlp.runtime.threads import Team

comptime TURNS = 41


def tell[dt: DType](name: String, sizes: List[Int], n: Int, rows: Int) raises:
    """Print the table of a network."""
    var team = Team(1)
    var setting = Setting[dt](sizes, n, rows, team)
    var times = List[List[Int]]()
    for _ in range(COUNT):
        times.append(List[Int]())
    for turn in range(TURNS + 1):
        comptime for part in range(COUNT):
            var time = setting.time[part](team)
            if turn > 0:
                times[part].append(time)
    var ns = List[Float64]()
    for part in range(COUNT):
        ns.append(Float64(median(times[part])))
    var ideal = ns[PEAK] * Float64(setting.flops()) / PROBE_FLOPS
    var products = ns[FORWARD] + ns[STEP]
    var all_tiles = ns[FORWARD_TILES] + ns[DELTA_TILES] + ns[UPDATE_TILES]
    var small = ns[TRANSPOSING] + ns[DOTS] + ns[STRIP] + ns[BIASES]
    var epoch = ns[EPOCH]
    print(
        "\n", name, " ", dt, ": epoch ", epoch, " ns a batch, ", sep="", end=""
    )
    print(percent(ideal, epoch), "% of the peak")
    print("| part | ns a batch | share of the epoch, % |\n|---|--:|--:|")
    row("multiply-adds at the peak", ideal, epoch)
    row("register tiles", all_tiles, epoch)
    row("· of forward", ns[FORWARD_TILES], epoch)
    row("· of the deltas below", ns[DELTA_TILES], epoch)
    row("· of the updates", ns[UPDATE_TILES], epoch)
    row("transposing weights for the deltas below", ns[TRANSPOSING], epoch)
    row("columns beyond whole vectors, as dot products", ns[DOTS], epoch)
    row("rows of the update for those columns", ns[STRIP], epoch)
    row("bias sums", ns[BIASES], epoch)
    row("the rest of the products", products - all_tiles - small, epoch)
    row("loss, gathering, shuffle and the rest", epoch - products, epoch)


def row(name: String, ns: Float64, epoch: Float64):
    print(
        "| ",
        name,
        " | ",
        Int(ns + 0.5),
        " | ",
        percent(ns, epoch),
        " |",
        sep="",
    )


def main() raises:
    var seed: List[Int] = [1, 50, 50, 50, 50, 50, 50, 50, 50, 50, 1]
    tell[DType.float64]("1,50x9,1 b20", seed, 20, 500)
    tell[DType.float32]("1,50x9,1 b20", seed, 20, 500)
    tell[DType.float64]("64,128x2,10 b32", [64, 128, 128, 10], 32, 2048)
    tell[DType.float32]("64,128x2,10 b32", [64, 128, 128, 10], 32, 2048)
