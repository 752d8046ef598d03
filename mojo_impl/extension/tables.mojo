"""Makes the tables in which CPython finds the methods and attributes of a type.

Their documentation is that of the twin, `python_impl.MLP`, so that both sides always promise the
same. What is made here stays for the life of the process.
"""
from std.ffi import external_call

from extension.calls import Body, getter, method, setter
from extension.cpython import (
    FastCall,
    Getter,
    Object,
    Raised,
    Setter,
    Words,
    attribute,
    c,
    imported,
    raised,
    release,
    zeroed_words,
)

comptime FAST = 0x82
"""METH_FASTCALL | METH_KEYWORDS."""


struct Table[columns: Int]:
    """Rows of words, ended by a row of zeros, as C wants it.

    Parameters:
        columns: Words of a row.
    """

    var start: Words
    """The first row."""
    var _rows: Int
    var _room: Int

    def __init__(out self, room: Int) raises Raised:
        """Make an empty table.

        Args:
            room: How many rows it can hold.

        Raises:
            MemoryError.
        """
        self.start = zeroed_words((room + 1) * Self.columns)
        self._rows = 0
        self._room = room

    def add(mut self, *row: Int) raises Raised:
        """Add a row.

        Args:
            row: Its words, as many as there are columns or fewer.

        Raises:
            RuntimeError: There is no room left.
        """
        if self._rows == self._room:
            raise raised["RuntimeError"]("a table has no room for another row")
        var place = self._rows * Self.columns
        for column in range(len(row)):
            self.start[unsafe_offset=place + column] = row[column]
        self._rows += 1


struct Members:
    """The methods and attributes of `Network`."""

    var methods: Table[4]
    """PyMethodDef: name, function, flags, documentation."""
    var attributes: Table[5]
    """PyGetSetDef: name, getter, setter, documentation, closure."""
    var _twin: Object

    def __init__(out self) raises Raised:
        """Begin with none.

        Raises:
            What importing the twin raises.
        """
        self.methods = Table[4](16)
        self.attributes = Table[5](8)
        self._twin = imported["python_impl.network", "MLP"]()

    def method[
        name: StaticString,
        wide: Body[DType.float64],
        narrow: Body[DType.float32],
        *names: StaticString,
    ](mut self) raises Raised:
        """Add a method.

        Parameters:
            name: Its name.
            wide: What it does in float64.
            narrow: What it does in float32.
            names: Names of its arguments.

        Raises:
            MemoryError.
        """
        var function: FastCall = method[name, wide, narrow, *names]
        var signature = String(name, "($self, /")
        comptime for place in range(len(names)):
            signature += String(", ", names[place])
        signature += ")\n--\n\n"
        self.methods.add(
            c[name](),
            address_of(function),
            FAST,
            self._documentation[name](signature),
        )

    def attribute[
        name: StaticString,
        get_wide: Body[DType.float64],
        get_narrow: Body[DType.float32],
    ](mut self) raises Raised:
        """Add an attribute that can only be read.

        Parameters:
            name: Its name.
            get_wide: What reads it in float64.
            get_narrow: What reads it in float32.

        Raises:
            MemoryError.
        """
        var get: Getter = getter[get_wide, get_narrow]
        self.attributes.add(
            c[name](), address_of(get), 0, self._documentation[name]("")
        )

    def attribute[
        name: StaticString,
        get_wide: Body[DType.float64],
        get_narrow: Body[DType.float32],
        set_wide: Body[DType.float64],
        set_narrow: Body[DType.float32],
    ](mut self) raises Raised:
        """Add an attribute that can be read and set.

        Parameters:
            name: Its name.
            get_wide: What reads it in float64.
            get_narrow: What reads it in float32.
            set_wide: What sets it in float64.
            set_narrow: What sets it in float32.

        Raises:
            MemoryError.
        """
        var get: Getter = getter[get_wide, get_narrow]
        var set: Setter = setter[name, set_wide, set_narrow]
        self.attributes.add(
            c[name](),
            address_of(get),
            address_of(set),
            self._documentation[name](""),
        )

    def _documentation[
        name: StaticString
    ](self, var head: String) raises Raised -> Int:
        """Return the address of `head` and the twin's docstring, as C wants it; NULL if the twin
        has no such member."""
        var docstring: Object
        try:
            var member = attribute[name](self._twin)
            try:
                docstring = attribute["__doc__"](member)
            finally:
                release(member)
        except:
            external_call["PyErr_Clear", NoneType]()
            return 0
        var utf8 = external_call["PyUnicode_AsUTF8", Int](docstring)
        if utf8 == 0:  # python -OO has dropped it
            external_call["PyErr_Clear", NoneType]()
            utf8 = c[""]()
        head += "\0"
        var whole = external_call["malloc", Int](
            head.byte_length() + external_call["strlen", Int](utf8)
        )
        if whole != 0:
            _ = external_call["strcpy", Int](whole, head.unsafe_ptr())
            _ = external_call["strcat", Int](whole, utf8)
        release(docstring)
        return whole


def address_of[F: TrivialRegisterPassable](function: F) -> Int:
    """Return the address of a function.

    Parameters:
        F: The type of a pointer to it.

    Args:
        function: A pointer to it.

    Returns:
        The address.
    """
    return Pointer(to=function).unsafe_bitcast[Int]()[]
