"""What the extension measures of the machine: the way from `machine.py` to the probes.
"""
from extension.core import compute, new_team
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
from mlp.timing.probe import cached_count, time_peak, time_triad

comptime UNIT = 3 << 17
"""The amount of arithmetic must be a multiple of this: any vector width divides it."""


def time_probe(arguments: Arguments, threads: Int) raises Raised -> Object:
    """Repeat a probe on a team of its own and measure how long all repetitions take.

    Args:
        arguments: The probe, dtype, amount and loops.
        threads: How many take part.

    Returns:
        Nanoseconds, an int.

    Raises:
        What a wrong argument raises; MemoryError; RuntimeError: the system refuses a thread.
    """
    check_text(arguments[0])
    check_text(arguments[1])
    var amount = to_integer(arguments[2])
    var loops = to_integer(arguments[3])
    var is_peak = is_text["peak"](arguments[0])
    var is_memory = is_text["memory"](arguments[0])
    if not (is_peak or is_memory or is_text["cache"](arguments[0])):
        raise raised["ValueError"]("probe must be 'peak', 'memory' or 'cache'")
    var is_float64 = is_text["float64"](arguments[1])
    if not (is_float64 or is_text["float32"](arguments[1])):
        raise raised["ValueError"]("dtype must be 'float64' or 'float32'")
    var team = new_team(threads)
    var count = amount if is_memory else cached_count(team.caches.l2_bytes)
    var unit = UNIT if is_peak else (64 if is_memory else count)
    if amount < unit or amount % unit != 0:
        raise raised["ValueError"](
            t"amount must be a multiple of {unit}; got {amount}"
        )
    var passes = amount // count
    var elapsed_ns = 0

    def work() raises {
        mut team,
        mut elapsed_ns,
        var is_peak,
        var is_float64,
        var amount,
        var count,
        var passes,
        var loops,
    }:
        if not is_peak:
            elapsed_ns = time_triad(team, count, passes, loops)
        elif is_float64:
            elapsed_ns = time_peak[DType.float64](team, amount, loops)
        else:
            elapsed_ns = time_peak[DType.float32](team, amount, loops)

    # With Python's lock: a benchmark has no other threads, and none may join in.
    compute(work, long=False)
    return integer(elapsed_ns)
