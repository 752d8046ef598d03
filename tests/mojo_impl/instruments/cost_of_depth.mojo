"""Measures what one more layer costs an epoch of small layers, and where a layer alone spends its time.

    mojo build -I mojo_impl tests/mojo_impl/instruments/cost_of_depth.mojo -o build/depth && build/depth

The first table trains 1,50xd,1 with more and more layers: what the last of them added, beside the
time of its multiply-adds at the peak, is what a layer costs where it stands; the rest is what the
narrow ends, the loss and the batches cost. Networks of two or three layers lie in a first-level
cache, deep ones do not. The second does the parts of one inner layer again and again, where they
find everything at hand: the same parts within an epoch are those of `cost_of_parts`. Medians of
turns, beside the probe of the peak. Look at the load first: the machine is to be idle.
"""
from epoch_parts import BIASES, DELTA_TILES, DOTS, EPOCH, FORWARD_TILES, LOOPS
from epoch_parts import PEAK, PROBE_FLOPS, Setting, STRIP, TRANSPOSING
from epoch_parts import UPDATE_TILES, median, percent
from mlp.runtime.threads import Team

comptime TURNS = 41
comptime WIDTH = 50
comptime BATCH = 20
comptime ROWS = 500
comptime DEEPEST = 12
comptime INNER = 4  # a layer with others on both sides


def tell_depths[dt: DType]() raises:
    """Print what an epoch costs by the number of layers of 50."""
    var team = Team(1)
    var settings = List[Setting[dt]]()
    var times = List[List[Int]]()
    var peaks = List[Int]()
    for depth in range(1, DEEPEST + 1):
        var sizes: List[Int] = [1]
        for _ in range(depth):
            sizes.append(WIDTH)
        sizes.append(1)
        settings.append(Setting[dt](sizes, BATCH, ROWS, team))
        times.append(List[Int]())
    for turn in range(TURNS + 1):
        for depth in range(1, DEEPEST + 1):
            var peak = settings[0].time[PEAK](team)
            var time = settings[depth - 1].time[EPOCH](team)
            if turn > 0:
                peaks.append(peak)
                times[depth - 1].append(time)
    var peak = Float64(median(peaks)) / PROBE_FLOPS
    print("\n1,50xd,1 b20 ", dt, sep="")
    print("| d | ns a batch | of the peak, % | one more, ns | of the peak, % |")
    print("|--:|--:|--:|--:|--:|")
    var before = Float64(0)
    for depth in range(1, DEEPEST + 1):
        var time = Float64(median(times[depth - 1]))
        var ideal = peak * Float64(settings[depth - 1].flops())
        print("| ", depth, " | ", Int(time), " | ", sep="", end="")
        print(percent(ideal, time), end="")
        if depth > 1:
            var layer = peak * Float64(6 * BATCH * WIDTH * WIDTH)
            var more = time - before
            print(" | ", Int(more), " | ", percent(layer, more), " |", sep="")
        else:
            print(" | | |")
        before = time


def tell_layer[dt: DType]() raises:
    """Print what the parts of an inner layer take where all is at hand."""
    var team = Team(1)
    var sizes: List[Int] = [1]
    for _ in range(9):
        sizes.append(WIDTH)
    sizes.append(1)
    var setting = Setting[dt](sizes, BATCH, ROWS, team)
    var layer = setting.network.layers[INNER]
    var main = layer.out.main
    var inner = layer.input.main
    print("\none layer of 50 by 50 again and again, ", dt, sep="")
    print("| part | ns | at the peak, ns |")
    print("|---|--:|--:|")
    var all = 2 * BATCH * WIDTH
    row[FORWARD_TILES](setting, team, "tiles of forward", all * main)
    row[DELTA_TILES](setting, team, "tiles of the delta below", all * inner)
    row[UPDATE_TILES](setting, team, "tiles of the update", all * main)
    row[TRANSPOSING](setting, team, "transposing weights", 0)
    var tails = layer.out.tail + layer.input.tail
    row[DOTS](setting, team, "columns as dot products", all * tails)
    row[STRIP](setting, team, "rows of the update", all * layer.out.tail)
    row[BIASES](setting, team, "bias sums", 0)


def row[
    part: Int, dt: DType
](mut setting: Setting[dt], mut team: Team, name: String, flops: Int) raises:
    """Print one part, beside the time of its arithmetic."""
    var times = List[Int]()
    var peaks = List[Int]()
    for turn in range(TURNS + 1):
        var peak = setting.time[PEAK](team)
        var time = setting.time_layer[part](team, INNER)
        if turn > 0:
            peaks.append(peak)
            times.append(time)
    var time = (median(times) + LOOPS // 2) // LOOPS
    var ideal = Float64(median(peaks)) * Float64(flops) / PROBE_FLOPS
    print("| ", name, " | ", time, " | ", Int(ideal + 0.5), " |", sep="")


def main() raises:
    tell_depths[DType.float64]()
    tell_depths[DType.float32]()
    tell_layer[DType.float64]()
    tell_layer[DType.float32]()
