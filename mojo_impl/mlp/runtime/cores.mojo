"""What threads tell the cores they run on, and the system about them.

Keeps a thread that is about to wake off the core of the one that wakes it. Left alone, Linux in a virtual machine often wakes a thread on the core of its waker: a core that
idles there looks taken, as the host runs something else on it. Both then share one core for
milliseconds, which is as long as a whole product. Other systems do not let one say where a thread
runs, and nothing is done there.
"""
from std.collections import Array
from std.ffi import external_call
from std.sys import CompilationTarget, size_of
from std.sys.intrinsics import inlined_assembly

comptime _WORDS = 16  # of a cpu_set_t of Linux: 1024 cores
comptime _BITS = 64


def keep_off_this_core(thread: Int):
    """Let a thread run wherever the caller may run but on the core where the caller is now.

    Where the caller has one core only, the thread has the same; where the system does not tell,
    nothing changes.

    Args:
        thread: A pthread_t of this process.
    """
    comptime if CompilationTarget.is_linux():
        comptime size = _WORDS * size_of[UInt64]()
        var cores = Array[UInt64, _WORDS](fill=0)
        var here = Int(external_call["sched_getcpu", Int32]())
        var failed = external_call["sched_getaffinity", Int32](
            Int32(0), size, Pointer(to=cores)
        )
        if failed != 0 or not 0 <= here < _WORDS * _BITS:
            return
        var mine = cores[here // _BITS]
        cores[here // _BITS] = mine & ~(UInt64(1) << UInt64(here % _BITS))
        var others = UInt64(0)
        for word in range(_WORDS):
            others |= cores[word]
        if others == 0:
            cores[here // _BITS] = mine
        _ = external_call["pthread_setaffinity_np", Int32](
            thread, size, Pointer(to=cores)
        )


@always_inline
def pause():
    """Tell the core that this is a spin loop."""
    comptime if CompilationTarget.is_x86():
        inlined_assembly["pause", NoneType, constraints=""]()
    elif CompilationTarget.has_neon():
        inlined_assembly["yield", NoneType, constraints=""]()
