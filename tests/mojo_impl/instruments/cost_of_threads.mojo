"""Measures what a team of threads costs: regions, waking, idling, and when it pays.

    mojo build -I mojo_impl tests/mojo_impl/instruments/cost_of_threads.mojo -o build/cost && build/cost [threads]

Prints medians in nanoseconds. Needs as many free cores as threads (2 unless given): look at the
load first. Two threads against one on products tells where a second thread begins to pay.
"""
from std.collections import Array
from std.ffi import external_call
from std.sys import CompilationTarget, argv
from std.time import perf_counter_ns

from mlp.gemm.matmul import BIAS, matmul
from mlp.runtime.memory import Buffer
from mlp.runtime.threads import Team

comptime REGIONS = 20_000
comptime WAKES = 100
comptime REPEATS = 31


@fieldwise_init
struct Nothing(ImplicitlyCopyable):
    """A context for a task that needs none."""

    var unused: Int


def nothing(context: Nothing, share: Int):
    pass


def median(mut numbers: List[Int]) -> Int:
    sort(numbers)
    return numbers[len(numbers) // 2]


def cpu_ns() -> Int:
    """Processor time of all threads of this process."""
    comptime process_clock = Int32(
        2 if CompilationTarget.is_linux() else 12
    )  # CLOCK_PROCESS_CPUTIME_ID
    var time = Array[Int, 2](fill=0)
    _ = external_call["clock_gettime", Int32](process_clock, Pointer(to=time))
    return time[0] * 1_000_000_000 + time[1]


def region[each_its_own: Bool](mut team: Team) -> Int:
    """Median time of an empty region in a quick succession of them."""
    var times = List[Int]()
    for _ in range(REGIONS):
        var start = perf_counter_ns()
        team.run[nothing, each_its_own=each_its_own](Nothing(0), team.threads)
        times.append(Int(perf_counter_ns() - start))
    return median(times)


def waking[each_its_own: Bool](mut team: Team) -> Int:
    """Median time of an empty region when the threads sleep."""
    var times = List[Int]()
    for _ in range(WAKES):
        _ = external_call["usleep", Int32](Int32(2000))
        var start = perf_counter_ns()
        team.run[nothing, each_its_own=each_its_own](Nothing(0), team.threads)
        times.append(Int(perf_counter_ns() - start))
    return median(times)


def product[dt: DType](mut team: Team, m: Int, n: Int, k: Int) raises -> Int:
    """Median time of a product (m, k) by (k, n) with warm threads and caches."""
    var a = Buffer[Scalar[dt]](m * k)
    var b = Buffer[Scalar[dt]](k * n)
    var c = Buffer[Scalar[dt]](m * n)
    var bias = Buffer[Scalar[dt]](n)
    var times = List[Int]()
    for turn in range(REPEATS + 3):
        comptime loops = 8
        var start = perf_counter_ns()
        for _ in range(loops):
            matmul[dt, False, False, BIAS](
                team,
                m,
                n,
                k,
                a.start,
                k,
                (b.start, n),
                c.start,
                n,
                bias.start,
                0,
                0,
            )
        if turn >= 3:
            times.append(Int(perf_counter_ns() - start) // loops)
    return median(times)


def compare[dt: DType](mut team: Team, mut alone: Team) raises:
    """Print one thread over all threads for products of many sizes."""
    team.work_per_thread = 1
    print("\n", dt, ": multiply-adds, one thread [ns], ratio", sep="")
    for m in [20, 32, 64, 128, 256]:
        for width in [50, 64, 96, 128, 192, 256, 384, 512]:
            var work = m * width * width
            if work > 8 << 20:
                continue
            var one = product[dt](alone, m, width, width)
            var all = product[dt](team, m, width, width)
            print(
                m,
                " x ",
                width,
                " x ",
                width,
                "\t",
                work,
                "\t",
                one,
                "\t",
                Float64(one) / Float64(all),
                sep="",
            )


def main() raises:
    var threads = Int(argv()[1]) if len(argv()) > 1 else 2
    var team = Team(threads)
    print("region, every thread takes part:", region[True](team), "ns")
    print("region, late shares taken over:", region[False](team), "ns")
    print("region after sleep, every thread takes part:", waking[True](team))
    print("region after sleep, late shares taken over:", waking[False](team))
    _ = external_call["usleep", Int32](Int32(2000))
    var before = cpu_ns()
    _ = external_call["usleep", Int32](Int32(900_000))
    print("processor time of 0.9 s without work:", cpu_ns() - before, "ns")
    var alone = Team(1)
    compare[DType.float64](team, alone)
    compare[DType.float32](team, alone)
