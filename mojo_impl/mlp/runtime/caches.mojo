"""Tells the sizes of the caches that blocks of a product are cut to fit.

Uses the C library alone, so that the extension needs no Mojo runtime.
"""
from std.collections import Array
from std.ffi import external_call
from std.sys import CompilationTarget, size_of

# Of most machines today; too small costs little.
comptime _UNKNOWN_L1 = 32 * 1024
comptime _UNKNOWN_L2 = 1024 * 1024
# Larger ones serve several cores.
comptime _MOST_L1 = 192 * 1024
comptime _MOST_L2 = 2 * 1024 * 1024


@fieldwise_init
struct Caches(ImplicitlyCopyable):
    """Sizes of the caches of one core."""

    var l1_bytes: Int
    """Size of the first-level cache of data."""
    var l2_bytes: Int
    """Size of the second-level cache."""

    @staticmethod
    def of_machine() -> Self:
        """Ask the machine for the caches of its first core.

        Returns:
            The sizes, at most 192 KiB and 2 MiB; 32 KiB and 1 MiB when the machine does not tell.
        """
        var l1: Int
        var l2: Int
        comptime if CompilationTarget.is_macos():
            l1 = _sysctl("hw.perflevel0.l1dcachesize\0")
            l2 = _sysctl("hw.perflevel0.l2cachesize\0")
        else:
            # Linux lists the caches of a core in order: data, instructions, the second level.
            l1 = _number_in("/sys/devices/system/cpu/cpu0/cache/index0/size\0")
            l2 = _number_in("/sys/devices/system/cpu/cpu0/cache/index2/size\0")
        return Self(
            min(l1, _MOST_L1) if l1 > 0 else _UNKNOWN_L1,
            min(l2, _MOST_L2) if l2 > 0 else _UNKNOWN_L2,
        )


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
