"""Reads and writes .npy files: dense tables of float64 or float32, as `numpy.save` writes them.

A file may come from anyone. Its header is read with a bound, every number in it is held against the
size of the file before memory is taken, and what is not read is refused by name.
"""
from std.sys import size_of

from mlp.runtime.memory import Buffer, Ptr
from .files import InputFile, OutputFile, shown
from .npy_header import Header

comptime _MAGIC = 6  # bytes: \x93NUMPY
comptime _MOST_HEADER = 10_000
"""NumPy's own limit for a header that it trusts."""
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
        var header = Header(path, text^)
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
    var shape: List[Int] = [table.rows, table.columns]
    write_array(path, shape, table.memory, lasting=True)


def write_array[
    dt: DType, //
](
    path: String,
    shape: List[Int],
    numbers: Buffer[Scalar[dt]],
    *,
    lasting: Bool,
) raises:
    """Write an array of any shape as `numpy.save` does, in version 1.0.

    Parameters:
        dt: Type of the elements, float32 or float64.

    Args:
        path: Where to.
        shape: Size of each dimension; none for one number.
        numbers: The elements, dense, in C order; what is beyond the shape is left out.
        lasting: Whether to wait until it is on the disk.

    Raises:
        When the file cannot be written.
    """
    comptime size = size_of[Scalar[dt]]()
    var header = String(
        t"{{'descr': '<f{size}', 'fortran_order': False, 'shape':"
        t" {_text(shape)}, }}"
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
    var count = 1
    for width in shape:
        count *= width
    debug_assert(count <= numbers.count, "fewer numbers than the shape has")
    var file = OutputFile(path)
    file.write_bytes(Span(beginning))
    file.write_string(header)
    file.write_bytes(
        Span(
            unsafe_ptr=numbers.start.unsafe_bitcast[UInt8](),
            length=count * size,
        )
    )
    file.finish(lasting=lasting)


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
