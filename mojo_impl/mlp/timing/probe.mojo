"""Probes of the machine: how fast its threads multiply and add, and how fast they move memory.

They know nothing of networks. A repetition is a fixed amount of work for each thread, whatever the
machine, so that amount over time is a rate. The clock stands around the repetitions only, each of
them one region of the team.
"""
from std.benchmark import black_box, clobber_memory, keep
from std.collections import Array
from std.ffi import external_call
from std.sys import CompilationTarget, simd_width_of, size_of
from std.time import perf_counter_ns

from mlp.runtime.memory import CACHE_LINE, Buffer, OutOfMemory, Ptr
from mlp.runtime.threads import Team

comptime _F64 = DType.float64

# Chains of dependent multiply-adds, enough to fill every unit while each waits for its last
# result (8 on most machines of today, 16 where there are four units), and few enough to stay in
# registers together with the two factors: x86 without AVX-512 has 16 of them, NEON has 32.
comptime _CHAINS = 24 if CompilationTarget.has_neon() else 12

# Elements between two arrays of a triad: 17 cache lines, so that no two of them start at the same
# place of a page, where a load would wait for an unrelated store.
comptime _APART = 17 * CACHE_LINE // size_of[Float64]()


@fieldwise_init
struct _Chains[dt: DType]:
    """What the threads of the arithmetic probe share."""

    var turns: Int
    var sums: Ptr[Self.dt]  # one for each thread, a cache line apart


@fieldwise_init
struct _Triads:
    """What the threads of the memory probe share."""

    var start: Ptr[_F64]  # of the arrays of thread 0
    var count: Int  # elements of an array
    var passes: Int

    def array(self, thread: Int, which: Int) -> Ptr[_F64]:
        """Return one of the three arrays of a thread."""
        return self.start.unsafe_offset(
            (3 * thread + which) * (self.count + _APART)
        )


def time_peak[
    dt: DType
](mut team: Team, flops: Int, loops: Int) raises OutOfMemory -> Int:
    """Time multiply-adds that touch registers only: every thread its own, all at once.

    Parameters:
        dt: Float64 or float32.

    Args:
        team: The threads; all of them take part.
        flops: Of one thread in one repetition, two for a multiply-add of one lane; a multiple of 3
            * 2**17, so that any vector width divides it.
        loops: How many repetitions.

    Returns:
        Nanoseconds of all of them together.

    Raises:
        When memory runs out.
    """
    comptime line = CACHE_LINE // size_of[Scalar[dt]]()
    var sums = Buffer[Scalar[dt]](team.threads * line)
    var turns = flops // (2 * simd_width_of[dt]() * _CHAINS)
    var chains = _Chains[dt](turns, sums.start)
    team.run[_multiply_add[dt], each_its_own=True](
        chains, team.threads
    )  # wakes the threads
    var start = perf_counter_ns()
    for _ in range(loops):
        team.run[_multiply_add[dt], each_its_own=True](chains, team.threads)
    var elapsed = perf_counter_ns() - start
    for thread in range(team.threads):
        keep(sums[thread * line])
    return Int(elapsed)


def _multiply_add[dt: DType](chains: _Chains[dt], thread: Int):
    """Go from each start towards 1 by x = x / 2 + 1 / 2: normal numbers all the way."""
    comptime line = CACHE_LINE // size_of[Scalar[dt]]()
    comptime Vector = SIMD[dt, simd_width_of[dt]()]
    # Unknown to the compiler, so that it can neither compute ahead nor merge chains.
    var half = black_box(Vector(0.5))
    var x = Array[Vector, _CHAINS](fill=half)
    comptime for chain in range(_CHAINS):
        x[chain] = black_box(Vector(chain + 2))
    for _ in range(chains.turns):
        comptime for chain in range(_CHAINS):
            x[chain] = x[chain].fma(half, half)
    var sum = Vector(0)
    comptime for chain in range(_CHAINS):
        sum += x[chain]
    chains.sums[unsafe_offset=thread * line] = sum.reduce_add()


def time_triad(
    mut team: Team, count: Int, passes: Int, loops: Int
) raises OutOfMemory -> Int:
    """Time `a[i] = b[i] + s * c[i]` in float64: every thread on arrays of its own, all at once.

    Each thread is the first to touch its arrays, so that they lie in memory near to it.

    Args:
        team: The threads; all of them take part.
        count: Elements of an array; a multiple of 64.
        passes: How often a thread goes through its arrays in one repetition.
        loops: How many repetitions.

    Returns:
        Nanoseconds of all of them together.

    Raises:
        When memory runs out.
    """
    var bytes = 3 * team.threads * (count + _APART) * size_of[Float64]()
    # Not a `Buffer`, which the caller alone would touch by filling it with zeros.
    var address = external_call["aligned_alloc", Int](CACHE_LINE, bytes)
    if address == 0:
        raise OutOfMemory(bytes)
    var triads = _Triads(Ptr[_F64](unsafe_from_address=address), count, passes)
    team.run[_fill, each_its_own=True](triads, team.threads)
    team.run[_triad, each_its_own=True](triads, team.threads)
    var start = perf_counter_ns()
    for _ in range(loops):
        team.run[_triad, each_its_own=True](triads, team.threads)
    var elapsed = perf_counter_ns() - start
    for thread in range(team.threads):
        keep(triads.array(thread, 0)[])
    external_call["free", NoneType](address)
    return Int(elapsed)


def cached_count(l2_bytes: Int) -> Int:
    """Choose how long arrays must be for a triad to run in the second-level cache.

    Args:
        l2_bytes: Size of that cache.

    Returns:
        The largest power of two for which the three arrays take at most half of it, and at least
        64.
    """
    var count = 64
    while 2 * count * 3 * size_of[Float64]() <= l2_bytes // 2:
        count *= 2
    return count


def _fill(triads: _Triads, thread: Int):
    for which in range(3):
        var array = triads.array(thread, which)
        for i in range(triads.count):
            array[unsafe_offset=i] = Float64(which)


def _triad(triads: _Triads, thread: Int):
    comptime width = simd_width_of[_F64]()
    comptime unroll = 4
    var a = triads.array(thread, 0)
    var b = triads.array(thread, 1)
    var c = triads.array(thread, 2)
    var s = SIMD[_F64, width](black_box(Float64(0.5)))
    for _ in range(triads.passes):
        for i in range(0, triads.count, unroll * width):
            # In bounds: unroll * width, at most 32, divides the count.
            comptime for step in range(unroll):
                var place = i + step * width
                a.unsafe_store(
                    place,
                    c.unsafe_load[width=width](place).fma(
                        s, b.unsafe_load[width=width](place)
                    ),
                )
        clobber_memory()
