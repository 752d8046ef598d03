"""Tells the size of the cache that blocks of a product are cut to fit.

Uses the C library alone, so that the extension needs no Mojo runtime.
"""
from std.collections import Array
from std.ffi import external_call
from std.sys import CompilationTarget, size_of

comptime _UNKNOWN = 1024 * 1024  # of most machines today; too small costs little
comptime _MOST = 2 * 1024 * 1024  # larger ones serve several cores


def l2_bytes() -> Int:
    """Ask the machine for the size of the second-level cache of its first core.

    Returns:
        The size in bytes, at most 2 MiB; 1 MiB when the machine does not tell.
    """
    var size: Int
    comptime if CompilationTarget.is_macos():
        size = _sysctl("hw.perflevel0.l2cachesize\0")
    else:
        # Linux lists the caches of a core in order: two of the first level, then this one.
        size = _number_in("/sys/devices/system/cpu/cpu0/cache/index2/size\0")
    return min(size, _MOST) if size > 0 else _UNKNOWN


def _number_in(path: StaticString) -> Int:
    """Read the number or size in a file; 0 when there is none."""
    var text = Array[UInt8, 32](fill=0)
    var file = external_call["fopen", Int](_c(path), _c("r\0"))
    if file == 0:
        return 0
    # In bounds: one byte is left as it is, 0, and ends the text.
    _ = external_call["fread", Int](Pointer(to=text), Int(1), Int(31), file)
    _ = external_call["fclose", Int32](file)
    return parse_size(text)


def parse_size(text: Array[UInt8, 32]) -> Int:
    """Read a size like `1024K`, `2M` or `64`.

    Args:
        text: Digits, perhaps a unit, and a zero byte somewhere.

    Returns:
        The size in bytes; 0 when there are no digits.
    """
    comptime zero = UInt8(ord("0"))
    var size = 0
    var place = 0
    while zero <= text[place] < zero + 10:
        size = size * 10 + Int(text[place] - zero)
        place += 1
    if text[place] == UInt8(ord("K")):
        return size * 1024
    if text[place] == UInt8(ord("M")):
        return size * 1024 * 1024
    return size


def _sysctl(name: StaticString) -> Int:
    """Ask macOS for a number; 0 when it does not tell."""
    var size = Int(0)
    var length = size_of[Int]()
    var failed = external_call["sysctlbyname", Int32](
        _c(name),
        Pointer(to=size),
        Pointer(to=length),
        Int(0),
        Int(0),
    )
    return size if failed == 0 else 0


def _c(text: StaticString) -> Int:
    """Address of a text that ends with a zero byte."""
    return Int(text.unsafe_ptr())
