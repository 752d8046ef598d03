"""Reads and writes files through the C library, and says in words what went wrong.

A file that is read is a plain one of known size. A file that is written stands beside its place
until it is whole.
"""
from std.collections import Array
from std.ffi import external_call
from std.sys import CompilationTarget

comptime _SHOWN = 100  # bytes of a text that comes from a file or a command
comptime _THERE = 17  # EEXIST on Linux and macOS


struct InputFile(Movable):
    """A plain file, open for reading, closed with the value."""

    var path: String
    """Where it is, as the user wrote it."""
    var size: Int
    """Its size in bytes when it was opened."""
    var _handle: Int32

    def __init__(out self, path: String) raises:
        """Open a file.

        Args:
            path: Where it is.

        Raises:
            When it cannot be opened, or is no plain file.
        """
        # A pipe that nobody writes would otherwise be waited for.
        comptime without_waiting = 0x4 if CompilationTarget.is_macos() else 0x800
        comptime from_the_end = Int32(2)
        self.path = path
        self.size = 0
        var name = path + "\0"
        self._handle = external_call["open", Int32](
            name.unsafe_ptr(), Int32(without_waiting)
        )
        if self._handle < 0:
            raise Error(shown(path), ": cannot be read: ", reason())
        # A folder has an end of its own making, or none.
        var probe = UInt8(0)
        var found = external_call["read", Int](
            self._handle, Pointer(to=probe), Int(1)
        )
        if found < 0:
            raise Error(shown(path), ": cannot be read: ", reason())
        self.size = external_call["lseek", Int](
            self._handle, Int(0), from_the_end
        )
        if (
            self.size < found
        ):  # a pipe has no end, a device such as /dev/zero one before its bytes
            raise Error(shown(path), ": is not a plain file; copy it into one")
        self.seek(0)

    def __deinit__(deinit self):
        """Close the file."""
        if self._handle >= 0:
            _ = external_call["close", Int32](self._handle)

    def seek(self, place: Int):
        """Go to a place.

        Args:
            place: Bytes from the beginning.
        """
        _ = external_call["lseek", Int](self._handle, place, Int32(0))

    def read(
        self, target: Pointer[UInt8, MutUntrackedOrigin], count: Int
    ) raises:
        """Read so many bytes.

        Args:
            target: Where they go.
            count: How many.

        Raises:
            When the system refuses, or the file ends before.
        """
        var done = 0
        while done < count:
            var found = external_call["read", Int](
                self._handle, target.unsafe_offset(done), count - done
            )
            if found < 0:
                raise Error(shown(self.path), ": cannot be read: ", reason())
            if found == 0:
                raise Error(
                    shown(self.path), ": became shorter while it was read"
                )
            done += found


struct OutputFile(Movable, Writer):
    """A file that takes its name when `finish` has made sure that all of it is on the disk."""

    var path: String
    """Where it will be."""
    var _file: Int  # a FILE* of the C library
    var _failed: Bool

    def __init__(out self, path: String) raises:
        """Begin a file beside its place.

        Args:
            path: Where it will be; what is there is replaced in the end.

        Raises:
            When it cannot be made.
        """
        self.path = path
        self._failed = False
        var name = _unfinished(path) + "\0"
        _ = external_call["unlink", Int32](name.unsafe_ptr())
        var mode = String("wx\0")
        # Addresses as integers, as elsewhere: one program knows one signature of a function.
        self._file = external_call["fopen", Int](
            Int(name.unsafe_ptr()), Int(mode.unsafe_ptr())
        )
        _ = name^
        _ = mode^
        if self._file == 0:
            raise Error(shown(path), ": cannot be written: ", reason())

    def __deinit__(deinit self):
        """Close the file and take away what is not finished."""
        if self._file != 0:
            _ = external_call["fclose", Int32](self._file)
            var name = _unfinished(self.path) + "\0"
            _ = external_call["unlink", Int32](name.unsafe_ptr())

    def write_string(mut self, string: StringSlice):
        """Add a text; that it fails is told by `finish`.

        Args:
            string: The text.
        """
        self.write_bytes(string.as_bytes())

    def write_bytes(mut self, bytes: ImmSpan[UInt8, _]):
        """Add bytes; that it fails is told by `finish`.

        Args:
            bytes: The bytes.
        """
        var written = external_call["fwrite", Int](
            bytes.unsafe_ptr(), Int(1), len(bytes), self._file
        )
        self._failed |= written != len(bytes)

    def finish(mut self, *, lasting: Bool = True) raises:
        """Put the file in its place.

        Args:
            lasting: Whether to wait until it is on the disk.

        Raises:
            When not all of it could be written; what was there before still is then.
        """
        var flushed = external_call["fflush", Int32](self._file)
        var number = external_call["fileno", Int32](self._file)
        var kept = external_call["fsync", Int32](number) if lasting else 0
        if self._failed or flushed != 0 or kept != 0:
            raise Error(shown(self.path), ": cannot be written: ", reason())
        _ = external_call["fclose", Int32](self._file)
        self._file = 0
        var old = _unfinished(self.path) + "\0"
        var new = self.path + "\0"
        var moved = external_call["rename", Int32](
            old.unsafe_ptr(), new.unsafe_ptr()
        )
        if moved != 0:
            var why = reason()
            _ = external_call["unlink", Int32](old.unsafe_ptr())
            raise Error(shown(self.path), ": cannot be written: ", why)


def make_folder(path: String) raises:
    """Make a folder and those above it, where they are missing, and see that it takes files.

    Args:
        path: The folder.

    Raises:
        When it cannot be made or written to.
    """
    var bytes = path.as_bytes()
    for end in range(1, len(bytes) + 1):
        if end < len(bytes) and bytes[end] != UInt8(ord("/")):
            continue
        var name = String(path[byte=0:end]) + "\0"
        var failed = external_call["mkdir", Int32](
            name.unsafe_ptr(), UInt32(0o777)
        )
        if failed != 0 and _error_number() != _THERE and end == len(bytes):
            raise Error(shown(path), ": cannot be made: ", reason())
    # What is there may be a file, or a folder of somebody else.
    var probe = OutputFile(path + "/history.json")
    _ = probe^


def shown(text: String) -> String:
    """Make a text from a file or a command fit for a terminal and a sentence.

    Args:
        text: Any bytes.

    Returns:
        Its printable ASCII and whole letters of other scripts, not too many.
    """
    var bytes = text.as_bytes()
    var kept = List[UInt8]()
    var place = 0
    while place < len(bytes):
        if len(kept) > _SHOWN:
            for _ in range(3):
                kept.append(UInt8(ord(".")))
            break
        var length = _letter(bytes, place)
        if length == 0:
            kept.append(UInt8(ord("?")))
        for offset in range(length):
            kept.append(bytes[place + offset])
        place += max(length, 1)
    return String(unsafe_from_utf8=Span(kept))


def _letter(bytes: ImmSpan[UInt8, _], place: Int) -> Int:
    """Count the bytes of a letter in UTF-8; 0 where there is none that a terminal may get."""
    var first = Int(bytes[place])
    if first < 0x80:
        return 1 if 32 <= first < 127 else 0
    var length = 2 if first < 0xE0 else (3 if first < 0xF0 else 4)
    if not 0xC2 <= first < 0xF5 or place + length > len(bytes):
        return 0
    var code = first & (0xFF >> (length + 1))
    for offset in range(1, length):
        var next = Int(bytes[place + offset])
        if next & 0xC0 != 0x80:
            return 0
        code = code << 6 | next & 0x3F
    # Those that are written in more bytes than they need, halves of pairs, controls, and marks that
    # turn the direction of writing.
    if length == 3 and (code < 0x800 or 0xD800 <= code < 0xE000):
        return 0
    if length == 4 and not 0x10000 <= code < 0x110000:
        return 0
    if code < 0xA0 or 0x200E <= code < 0x2030 or 0x2066 <= code < 0x206A:
        return 0
    return length


def number_text(value: Float64) -> String:
    """Write a number in as few digits as tell it from all others.

    By the C library: `String` of Mojo 1.2 writes some doubles so that another one is read back.

    Args:
        value: The number.

    Returns:
        Its digits, such as `0.1` or `1e+22`; `nan`, `inf` or `-inf` where it is not finite.
    """
    if value != value:
        return "nan"
    var text = Array[UInt8, 40](fill=0)
    var end = Int(0)
    for digits in range(15, 18):
        text = Array[UInt8, 40](fill=0)
        _ = external_call["gcvt", Int](value, Int32(digits), Pointer(to=text))
        var read = external_call["strtod", Float64](
            Pointer(to=text), Pointer(to=end)
        )
        if read == value:
            break
    var result = String()
    for byte in text:
        if byte == 0:
            break
        result += chr(Int(byte))
    return result


def reason() -> String:
    """Say what the system said last.

    Returns:
        Its words.
    """
    var text = external_call["strerror", Pointer[UInt8, MutUntrackedOrigin]](
        Int32(_error_number())
    )
    var words = String()
    var place = 0
    while text[unsafe_offset=place] != 0:
        words += chr(Int(text[unsafe_offset=place]))
        place += 1
    return words


def _error_number() -> Int:
    """Return what the C library calls errno."""
    comptime if CompilationTarget.is_macos():
        return Int(
            external_call["__error", Pointer[Int32, MutUntrackedOrigin]]()[]
        )
    else:
        return Int(
            external_call[
                "__errno_location", Pointer[Int32, MutUntrackedOrigin]
            ]()[]
        )


def _unfinished(path: String) -> String:
    """Name the file that becomes another when it is whole."""
    return path + ".new"
