"""Reads and writes .npy files: dense tables of float64 or float32, as `numpy.save` writes them.

A file may come from anyone. Its header is read with a bound, every number in it is held against the
size of the file before memory is taken, and what is not read is refused by name.
"""
from std.sys import size_of

from mlp.epilogue import Ptr
from mlp.memory import Buffer
from standalone.files import InputFile, OutputFile, shown

comptime _MAGIC = 6  # bytes: \x93NUMPY
comptime _MOST_HEADER = 10_000
"""NumPy's own limit for a header that it trusts."""
comptime _MOST_DIGITS = 18  # a number of that many is below 2**63
comptime _MOST_DIMENSIONS = 64  # NumPy's limit
comptime _LINE = 64  # a header and what is before it fill whole lines


struct Table[dt: DType](Movable):
    """Rows of numbers, dense, in memory of their own.

    Parameters:
        dt: Type of every element, float32 or float64.
    """

    var memory: Buffer[Scalar[Self.dt]]
    """The elements, row by row."""
    var rows: Int
    """How many rows; at least 1."""
    var columns: Int
    """How many columns; at least 1."""

    def __init__(out self, rows: Int, columns: Int) raises:
        """Make a table of zeros.

        Args:
            rows: How many rows; rows times columns must be known not to overflow.
            columns: How many columns.

        Raises:
            When memory runs out.
        """
        self.memory = Buffer[Scalar[Self.dt]](rows * columns)
        self.rows = rows
        self.columns = columns

    def start(self) -> Ptr[Self.dt]:
        """Tell where the first element is.

        Returns:
            The place.
        """
        return self.memory.start


struct NpyFile(Movable):
    """A .npy file, open, with what its header says."""

    var descr: String
    """NumPy's name of the dtype, such as `<f8`; empty for one with fields."""
    var fortran: Bool
    """Whether columns lie together, not rows."""
    var shape: List[Int]
    """Size of each dimension."""
    var _file: InputFile
    var _data: Int  # where the elements begin

    def __init__(out self, path: String) raises:
        """Open a file and read its header.

        Args:
            path: Where it is.

        Raises:
            When it is no .npy file of version 1, 2 or 3 with a header as NumPy writes it.
        """
        self._file = InputFile(path)
        var beginning = Buffer[UInt8](12)
        var known = min(self._file.size, 12)
        self._file.read(beginning.start, known)
        comptime magic = StaticString("NUMPY")
        var is_npy = known >= _MAGIC and beginning[0] == 0x93
        for place in range(1, _MAGIC):
            is_npy = is_npy and beginning[place] == magic.as_bytes()[place - 1]
        if not is_npy:
            raise Error(
                shown(path),
                ": is not a .npy file; numpy.save(path, array) writes one",
            )
        if known < 10:
            raise _short(path)
        var version = Int(beginning[6])
        if not 1 <= version <= 3 or beginning[7] != 0:
            raise Error(
                t"{shown(path)}: is .npy of version {version}.{beginning[7]};"
                t" 1.0, 2.0 and 3.0 are read"
            )
        var length = Int(beginning[8]) | Int(beginning[9]) << 8
        self._data = 10
        if version > 1:
            if known < 12:
                raise _short(path)
            length |= Int(beginning[10]) << 16 | Int(beginning[11]) << 24
            self._data = 12
        if length > _MOST_HEADER:
            raise Error(
                t"{shown(path)}: its header would have {length} bytes, more"
                t" than the {_MOST_HEADER} that are read"
            )
        if length > self._file.size - self._data:
            raise _short(path)
        var text = Buffer[UInt8](length)
        self._file.seek(self._data)
        self._file.read(text.start, length)
        self._data += length
        var header = _Header(path, text^)
        header.read()
        self.descr = header.descr
        self.fortran = header.fortran
        self.shape = header.shape.copy()

    def is_float64(self) raises -> Bool:
        """Tell which of the two dtypes the elements have.

        Returns:
            Whether they are float64; else they are float32.

        Raises:
            When they are anything else; names it.
        """
        if self.descr == "<f8":
            return True
        if self.descr == "<f4":
            return False
        raise Error(
            shown(self._file.path),
            ": holds ",
            _kind(self.descr),
            "; only little-endian float64 and float32 are read: numpy.save(path,"
            " array.astype('<f8'))",
        )

    def read[dt: DType](self, columns: Int, rows: Int) raises -> Table[dt]:
        """Read the elements.

        Parameters:
            dt: What they must be, float32 or float64.

        Args:
            columns: How many columns there must be.
            rows: How many rows there must be; 0 for any number but none.

        Returns:
            The table.

        Raises:
            When dtype, order, shape or length are others, or memory runs out.
        """
        var path = shown(self._file.path)
        comptime name = "float64" if dt == DType.float64 else "float32"
        if self.is_float64() != (dt == DType.float64):
            comptime other = "float32" if dt == DType.float64 else "float64"
            raise Error(
                t"{path}: holds {other}, and the network is of {name}; give"
                t" --dtype {other}, or convert it: array.astype('{name}')"
            )
        if len(self.shape) != 2:
            raise Error(
                t"{path}: has the shape {_text(self.shape)}; two dimensions are"
                t" needed, (rows, {columns}): array.reshape(-1, {columns})"
            )
        if self.shape[0] == 0 or self.shape[1] == 0:
            raise Error(t"{path}: is empty: its shape is {_text(self.shape)}")
        if self.shape[1] != columns or (rows != 0 and self.shape[0] != rows):
            var wanted = String(rows) if rows != 0 else "rows"
            raise Error(
                t"{path}: has the shape {_text(self.shape)}; ({wanted},"
                t" {columns}) is needed"
            )
        if self.fortran:
            raise Error(
                t"{path}: is in Fortran order; write it in C order:"
                t" numpy.save(path, numpy.ascontiguousarray(array))"
            )
        comptime size = size_of[Scalar[dt]]()
        # Divided, not multiplied: a header may say anything.
        var there = self._file.size - self._data
        var elements = there // size
        var fits = self.shape[0] <= elements // self.shape[1]
        if not fits or self.shape[0] * self.shape[1] * size != there:
            var less = "fewer" if not fits else "more"
            raise Error(
                t"{path}: has {there} bytes of data, {less} than its shape"
                t" {_text(self.shape)} says; write it again"
            )
        var table = Table[dt](self.shape[0], self.shape[1])
        self._file.seek(self._data)
        self._file.read(table.start().unsafe_bitcast[UInt8](), there)
        return table^


def write_npy[dt: DType](path: String, table: Table[dt]) raises:
    """Write a table as `numpy.save` does, in version 1.0.

    Parameters:
        dt: Type of the elements, float32 or float64.

    Args:
        path: Where to.
        table: The table.

    Raises:
        When the file cannot be written.
    """
    comptime size = size_of[Scalar[dt]]()
    var header = String(
        t"{{'descr': '<f{size}', 'fortran_order': False, 'shape':"
        t" ({table.rows}, {table.columns}), }}"
    )
    while (10 + header.byte_length() + 1) % _LINE != 0:
        header += " "
    header += "\n"
    var length = header.byte_length()
    var beginning: List[UInt8] = [0x93]
    for byte in StaticString("NUMPY\1\0").as_bytes():
        beginning.append(byte)
    beginning.append(UInt8(length & 0xFF))
    beginning.append(UInt8(length >> 8))
    var file = OutputFile(path)
    file.write_bytes(Span(beginning))
    file.write_string(header)
    file.write_bytes(
        Span(
            unsafe_ptr=table.start().unsafe_bitcast[UInt8](),
            length=table.memory.count * size,
        )
    )
    file.finish()


struct _Header:
    """Reads the dictionary of a header: three known names, no value but text, truth, numbers."""

    var descr: String
    var fortran: Bool
    var shape: List[Int]
    var path: String
    var text: Buffer[UInt8]
    var place: Int

    def __init__(out self, path: String, var text: Buffer[UInt8]):
        """Begin before the first byte."""
        self.descr = ""
        self.fortran = False
        self.shape = List[Int]()
        self.path = path
        self.text = text^
        self.place = 0

    def read(mut self) raises:
        """Read all of it: dtype, order and shape."""
        var seen = SIMD[DType.bool, 4](fill=False)
        self.take("{")
        while not self.takes("}"):
            var name = self.quoted()
            self.take(":")
            var which: Int
            if name == "descr":
                which = 0
                # One with fields is a list; which they are does not matter.
                self.descr = (
                    self.quoted() if self.peek() != "[" else self.fields()
                )
            elif name == "fortran_order":
                which = 1
                self.fortran = self.truth()
            elif name == "shape":
                which = 2
                self.shape = self.sizes()
            else:
                raise self.damaged()
            if seen[which]:
                raise self.damaged()
            seen[which] = True
            if not self.takes(","):
                self.take("}")
                break
        if not (seen[0] and seen[1] and seen[2]) or self.peek() != "":
            raise self.damaged()

    def peek(mut self) -> String:
        """Return the next letter that is no space, without taking it; empty at the end."""
        while self.place < self.text.count:
            var byte = self.text[self.place]
            if byte != UInt8(ord(" ")) and byte != UInt8(ord("\n")):
                return chr(Int(byte))
            self.place += 1
        return ""

    def takes(mut self, letter: String) -> Bool:
        """Take a letter if it is the next one."""
        if self.peek() != letter:
            return False
        self.place += 1
        return True

    def take(mut self, letter: String) raises:
        """Take a letter that must be the next one."""
        if not self.takes(letter):
            raise self.damaged()

    def quoted(mut self) raises -> String:
        """Take a text in quotes."""
        var quote = self.peek()
        if quote != "'" and quote != '"':
            raise self.damaged()
        self.place += 1
        var found = String()
        while self.place < self.text.count:
            var letter = chr(Int(self.text[self.place]))
            self.place += 1
            if letter == quote:
                return found
            if letter == "\\":
                raise self.damaged()
            found += letter
        raise self.damaged()

    def word(mut self) -> String:
        """Take letters of the alphabet."""
        _ = self.peek()
        var found = String()
        while self.place < self.text.count:
            var byte = Int(self.text[self.place])
            if not (
                ord("a") <= byte <= ord("z") or ord("A") <= byte <= ord("Z")
            ):
                break
            found += chr(byte)
            self.place += 1
        return found

    def truth(mut self) raises -> Bool:
        """Take True or False."""
        var word = self.word()
        if word != "True" and word != "False":
            raise self.damaged()
        return word == "True"

    def sizes(mut self) raises -> List[Int]:
        """Take a tuple of numbers."""
        var found = List[Int]()
        self.take("(")
        while not self.takes(")"):
            found.append(self.number())
            if len(found) > _MOST_DIMENSIONS:
                raise self.damaged()
            if not self.takes(","):
                self.take(")")
                break
        return found^

    def number(mut self) raises -> Int:
        """Take a number from 0."""
        _ = self.peek()
        var value = 0
        var digits = 0
        while self.place < self.text.count:
            var digit = Int(self.text[self.place]) - ord("0")
            if not 0 <= digit <= 9:
                break
            digits += 1
            if digits > _MOST_DIGITS:
                raise self.damaged()
            value = value * 10 + digit
            self.place += 1
        if digits == 0:
            raise self.damaged()
        return value

    def fields(mut self) raises -> String:
        """Pass over a list, lists within it included; its brackets are all that is looked at."""
        var depth = 0
        while self.place < self.text.count:
            var letter = self.peek()
            self.place += 1
            if letter == "[":
                depth += 1
            elif letter == "]":
                depth -= 1
                if depth == 0:
                    return ""
        raise self.damaged()

    def damaged(self) -> Error:
        """Say that the header is none of NumPy's."""
        return Error(
            t"{shown(self.path)}: its header is damaged at byte {self.place} of"
            t" {self.text.count}; write it again with numpy.save(path, array)"
        )


def _short(path: String) -> Error:
    """Say that a file ends within its header."""
    return Error(
        shown(path), ": is cut short: it ends within its header; write it again"
    )


def _text(shape: List[Int]) -> String:
    """Write a shape as Python does."""
    var text = String("(")
    for place in range(len(shape)):
        if place > 0:
            text += ", "
        text += String(shape[place])
    return text + (",)" if len(shape) == 1 else ")")


def _kind(descr: String) -> String:
    """Say in words what a dtype is."""
    if descr.byte_length() == 0:
        return "records (a dtype with fields)"
    var quoted = String(" (dtype '") + shown(descr) + "')"
    if descr == ">f8" or descr == ">f4":
        return "big-endian numbers" + quoted
    var kind = UInt8(0)
    if descr.byte_length() > 1:
        kind = descr.as_bytes()[1]
    comptime letters = StaticString("OiubcfSUMm")
    var kinds: List[String] = [
        "Python objects",
        "whole numbers",
        "whole numbers",
        "truth values",
        "complex numbers",
        "floating-point numbers of another size",
        "text",
        "text",
        "dates or times",
        "dates or times",
    ]
    for place in range(len(kinds)):
        if letters.as_bytes()[place] == kind:
            return kinds[place] + quoted
    return "something else" + quoted
