"""What the system and the compiler say of this process: threads, arithmetic, memory, meters."""
from std.benchmark import black_box
from std.collections import Array
from std.ffi import external_call
from std.sys import CompilationTarget, get_defined_string, simd_width_of
from std.time import perf_counter_ns

from mlp.runtime.memory import Buffer
from mlp.runtime.threads import Team
from .json import json_text
from .lines import environment

comptime VERSION = get_defined_string["MOJO_IMPL_VERSION", "unknown"]()
"""Of the compiler, as it was told when it compiled this."""
comptime FLAGS = get_defined_string["MOJO_IMPL_FLAGS", "unknown"]()
"""What the compiler was told besides."""


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


def description() raises -> String:
    """Tell what must be known to compare this side with another.

    Returns:
        Threads, arithmetic and how this program was compiled, as fields of JSON.

    Raises:
        When the threads cannot be had.
    """
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
    told += ', "threads": ' + String(different)
    told += ', "denormals": ' + json_text(denormals)
    told += ', "rounding": ' + json_text(rounding)
    told += ', "versions": {"mojo": ' + json_text(VERSION)
    told += '}, "facts": {"mojo target cpu": '
    told += json_text(String(CompilationTarget._arch()))
    told += ', "flags": ' + json_text(FLAGS)
    told += ', "simd width float64": '
    return told + json_text(String(simd_width_of[DType.float64]())) + "}"


def meters() -> Array[Int, 4]:
    """Read what the system says of this process.

    Returns:
        How often it was preempted, its page faults, nanoseconds of processor time of all its
        threads, and the clock in nanoseconds.
    """
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


def peak_memory() -> Int:
    """Read the most memory that this process has held.

    Returns:
        Bytes: what Linux calls VmHWM, as `ru_maxrss` begins with that of the process that started
        this one; on macOS `ru_maxrss`.
    """
    comptime if CompilationTarget.is_macos():
        var usage = Array[Int, 32](fill=0)
        _ = external_call["getrusage", Int32](Int32(0), Pointer(to=usage))
        return usage[4]
    var name = String("/proc/self/status\0")
    var handle = external_call["open", Int32](name.unsafe_ptr(), Int32(0))
    var text = Array[UInt8, 4096](fill=0)
    var length = external_call["read", Int](handle, Pointer(to=text), Int(4095))
    _ = external_call["close", Int32](handle)
    comptime wanted = StaticString("VmHWM:")
    for place in range(length - wanted.byte_length()):
        var matches = True
        for offset in range(wanted.byte_length()):
            matches = (
                matches and text[place + offset] == wanted.as_bytes()[offset]
            )
        if matches:
            return _number_after(text, place + wanted.byte_length()) * 1024
    return 0


def _number_after(text: Array[UInt8, 4096], start: Int) -> Int:
    """Read digits after spaces; the text ends with a zero."""
    var place = start
    while text[place] == 32 or text[place] == 9:
        place += 1
    var value = 0
    while True:
        var digit = Int(text[place]) - ord("0")
        if not 0 <= digit <= 9:
            return value
        value = value * 10 + digit
        place += 1
