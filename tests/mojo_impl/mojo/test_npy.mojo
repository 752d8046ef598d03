"""Tests of `standalone.files.npy` and the texts around it by themselves: thousands of damaged files.

`tests/training/test_train_files.py` holds what is said of them; here all assertions are on, and every file
must end in a table or in an error.
"""
from std.ffi import external_call
from std.testing import TestSuite, assert_equal, assert_true

from mlp.random import RandomState
from mlp.runtime.memory import Buffer
from standalone.files.files import InputFile, OutputFile, number_text, shown
from standalone.files.npy import NpyFile, Table, write_npy
from standalone.sinc import true_sinc


def _folder() raises -> String:
    """Make a folder of our own."""
    # In memory of our own, as the name is written there.
    var name = List[UInt8]()
    for byte in StaticString("/tmp/test_npy_XXXXXX\0").as_bytes():
        name.append(byte)
    var made = external_call["mkdtemp", Int](name.unsafe_ptr())
    assert_true(made != 0)
    return String(unsafe_from_utf8=Span(name)[0 : len(name) - 1])


def _remove(folder: String, *names: StaticString):
    """Take files and their folder away."""
    for name in names:
        var path = folder + "/" + String(name) + "\0"
        _ = external_call["unlink", Int32](path.unsafe_ptr())
    var path = folder + "\0"
    _ = external_call["rmdir", Int32](path.unsafe_ptr())


def _bytes_of(path: String) raises -> List[UInt8]:
    """Read a whole file."""
    var file = InputFile(path)
    var bytes = Buffer[UInt8](file.size)
    file.read(bytes.start, bytes.count)
    var found = List[UInt8]()
    for place in range(bytes.count):
        found.append(bytes[place])
    return found^


def _write(path: String, bytes: List[UInt8]) raises:
    """Write a whole file."""
    var file = OutputFile(path)
    file.write_bytes(Span(bytes))
    file.finish()


def _is_read(path: String) raises -> Bool:
    """Tell whether a file is read; that it was looked at to its end is all that is asked else."""
    try:
        var table = NpyFile(path).read[DType.float32](3, 0)
        return table.rows == 4
    except error:
        assert_true(String(error).startswith(path))
        return False


def test_damaged_files_end_in_words() raises:
    var folder = _folder()
    var path = folder + "/a.npy"
    var table = Table[DType.float32](4, 3)
    for place in range(12):
        table.start()[unsafe_offset=place] = Float32(place)
    write_npy(path, table)
    var whole = _bytes_of(path)
    assert_equal(len(whole), 128 + 48)
    assert_true(_is_read(path))
    for end in range(len(whole)):
        var cut = List[UInt8]()
        for place in range(end):
            cut.append(whole[place])
        _write(path, cut)
        assert_true(not _is_read(path))
    var random = RandomState(5)
    var read = 0
    for _ in range(3000):
        var other = whole.copy()
        for _ in range(random.interval(3) + 1):
            # Most in the part of the header that says something.
            other[random.interval(75)] = UInt8(random.interval(255))
        _write(path, other)
        read += Int(_is_read(path))
    assert_true(read < 300)
    _remove(folder, "a.npy")


def test_numbers_are_read_back_as_they_were() raises:
    var random = RandomState(1)
    for _ in range(20000):
        var bits = UInt64(random.next_word()) << 32 | UInt64(random.next_word())
        var value = Float64(from_bits=bits)
        var text = number_text(value)
        var end = Int(0)
        var read = external_call["strtod", Float64](
            (text + "\0").unsafe_ptr(), Pointer(to=end)
        )
        assert_true(read == value or value != value)
    assert_equal(number_text(0.1), "0.1")
    assert_equal(number_text(-1e22), "-1e+22")
    assert_equal(number_text(5e-324), "4.94065645841247e-324")
    assert_equal(number_text(Float64.MAX), "inf")


def test_shown_lets_no_control_through() raises:
    assert_equal(shown("plain, Ähm 木 🔥"), "plain, Ähm 木 🔥")
    assert_equal(shown("a\x1b[31m\n\t\x7f"), "a?[31m???")
    assert_equal(shown("x" * 200), "x" * 101 + "...")
    assert_equal(shown("a\u202eb"), "a???b")


def test_sinc_is_three_at_zero() raises:
    assert_equal(true_sinc(0.0), 3.0)
    assert_equal(true_sinc(-0.0), 3.0)
    assert_true(abs(true_sinc(1e-9) - 3.0) < 1e-15)
    assert_true(abs(true_sinc(0.5) - (2.0 + 2.0 / 3.141592653589793)) < 1e-15)


def main() raises:
    TestSuite.discover_tests[__functions_in_module()]().run()
