"""Tells the size of the cache that blocks of a product are cut to fit."""
from std.ffi import external_call
from std.sys import CompilationTarget, size_of

comptime _UNKNOWN = 1024 * 1024  # of most machines today; too small costs little


def l2_bytes() -> Int:
    """Ask the machine for the size of the second-level cache of its first core.

    Returns:
        The size in bytes; 1 MiB when the machine does not tell.
    """
    try:
        comptime if CompilationTarget.is_macos():
            return _from_sysctl("hw.perflevel0.l2cachesize")
        else:
            return _from_sysfs("/sys/devices/system/cpu/cpu0/cache/index")
    except:
        return _UNKNOWN


def _from_sysfs(prefix: String) raises -> Int:
    """Look through Linux's list of caches, which ends with an error on its first missing file."""
    var index = 0
    while _line(t"{prefix}{index}/level") != "2":
        index += 1
    return parse_size(_line(t"{prefix}{index}/size"))


def _line(path: Some[Writable]) raises -> String:
    with open(String(path), "r") as file:
        return String(file.read().strip())


def parse_size(text: String) raises -> Int:
    """Read a size like `1024K` or `2M`.

    Args:
        text: Digits and a unit, or digits alone.

    Returns:
        The size in bytes.

    Raises:
        When the text is not a size above 0.
    """
    var unit = 1
    if text.endswith("K"):
        unit = 1024
    elif text.endswith("M"):
        unit = 1024 * 1024
    var digits = text if unit == 1 else String(
        text[byte = : text.byte_length() - 1]
    )
    var size = Int(digits) * unit
    if size <= 0:
        raise Error(t"not a size: {text}")
    return size


def _from_sysctl(var name: String) raises -> Int:
    """Ask macOS."""
    var size = Int(0)
    var length = size_of[Int]()
    var failed = external_call["sysctlbyname", Int32](
        name.as_c_string_span().ptr(),
        Pointer(to=size),
        Pointer(to=length),
        Int(0),
        Int(0),
    )
    if failed != 0 or size <= 0:
        raise Error(t"no {name}")
    return size
