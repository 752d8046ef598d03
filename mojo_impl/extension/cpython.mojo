"""The part of CPython's C API that the extension uses, without the words that C needs.

An object is its address. A function that raises `Raised` has set a Python exception; whoever called
from Python then returns NULL. References: a function returns a new one unless it says `borrowed`.
"""
from std.collections import Array
from std.collections.string.string_span import get_static_string
from std.ffi import external_call

comptime Object = Int
"""Address of a Python object; 0 is C's NULL."""
comptime Words = Pointer[Int, MutUntrackedOrigin]
"""Memory of machine words that belongs to Python, or to no one."""

comptime Arguments = Array[Object, 6]
"""The arguments of a call, borrowed; NULL beyond the last."""
comptime FastCall = def(Object, Words, Int, Object) thin abi("C") -> Object
"""METH_FASTCALL | METH_KEYWORDS: self, arguments, how many by place, names of the others."""
comptime OneCall = def(Object, Object) thin abi("C") -> Object
"""METH_O: self, the argument."""
comptime Getter = def(Object, Object) thin abi("C") -> Object
"""A getter: self, closure."""
comptime Setter = def(Object, Object, Object) thin abi("C") -> Int32
"""A setter: self, value (NULL to delete), closure."""
comptime Visit = def(Object, Object) thin abi("C") -> Int32
"""What the garbage collector calls on every object that another one holds."""


@fieldwise_init
struct Raised(ImplicitlyCopyable):
    """A Python exception is set and on its way to the caller."""

    pass


def c[text: StaticString]() -> Int:
    """Return the address of a text as C wants it, for ever.

    Parameters:
        text: The text.

    Returns:
        The address of its first byte; a zero byte ends it.
    """
    return Int(get_static_string[text, "\0"]().unsafe_ptr())


def words(address: Int) -> Words:
    """Look at memory as words.

    Args:
        address: Where it begins.

    Returns:
        A pointer to the first word.
    """
    return Words(unsafe_from_address=address)


def zeroed_words(count: Int) raises Raised -> Words:
    """Allocate words that stay for the life of the process.

    Args:
        count: How many.

    Returns:
        The first; all are 0.

    Raises:
        MemoryError.
    """
    var address = external_call["calloc", Int](count, 8)
    if address == 0:
        raise raised["MemoryError"]("no memory to begin with")
    return words(address)


def raised[kind: StaticString](text: Some[Writable]) -> Raised:
    """Set a Python exception, to be raised by the caller.

    Parameters:
        kind: Name of a built-in exception.

    Args:
        text: What happened.

    Returns:
        What to raise.
    """
    try:
        var type = imported["builtins", kind]()
        var ended = String(text, "\0")
        external_call["PyErr_SetString", NoneType](type, ended.unsafe_ptr())
        release(type)
    except no_such_name:  # which has set an exception as well
        return no_such_name
    return Raised()


def checked(object: Object) raises Raised -> Object:
    """Pass an object on, or the exception that came in its place.

    Args:
        object: What a C function returned.

    Returns:
        The same.

    Raises:
        When it is NULL.
    """
    if object == 0:
        raise Raised()
    return object


def retain(object: Object) -> Object:
    """Take one more reference.

    Args:
        object: Any object, or NULL.

    Returns:
        The same.
    """
    external_call["Py_IncRef", NoneType](object)
    return object


def release(object: Object):
    """Give a reference back; the object may be gone afterwards, and Python code may have run.

    Args:
        object: Any object, or NULL.
    """
    external_call["Py_DecRef", NoneType](object)


def python_type(object: Object) -> Object:
    """Return the type of an object.

    Args:
        object: Any object.

    Returns:
        Its type, borrowed.
    """
    return words(object)[unsafe_offset=1]


def is_held_once(object: Object) -> Bool:
    """Tell whether there is no other reference to an object than the one the caller knows of.

    Args:
        object: Any object.

    Returns:
        Whether its count is 1; in doubt not, as a new Python keeps flags in the same word.
    """
    return words(object)[] == 1


def attribute[name: StaticString](object: Object) raises Raised -> Object:
    """Read an attribute.

    Parameters:
        name: Its name.

    Args:
        object: Any object.

    Returns:
        Its value.

    Raises:
        What Python raises.
    """
    return checked(
        external_call["PyObject_GetAttrString", Object](object, c[name]())
    )


def imported[
    module: StaticString, name: StaticString
]() raises Raised -> Object:
    """Import a name from a module.

    Parameters:
        module: The module.
        name: The name.

    Returns:
        What it stands for.

    Raises:
        What Python raises.
    """
    var home = checked(
        external_call["PyImport_ImportModule", Object](c[module]())
    )
    var found = external_call["PyObject_GetAttrString", Object](home, c[name]())
    release(home)
    return checked(found)


def text[value: StaticString]() raises Raised -> Object:
    """Make a string.

    Parameters:
        value: What it says.

    Returns:
        The string.

    Raises:
        MemoryError.
    """
    return checked(external_call["PyUnicode_FromString", Object](c[value]()))


def integer(value: Int) raises Raised -> Object:
    """Make an int.

    Args:
        value: Its value.

    Returns:
        The int.

    Raises:
        MemoryError.
    """
    return checked(external_call["PyLong_FromSsize_t", Object](value))


def to_integer(object: Object) raises Raised -> Int:
    """Read an int, or what stands for one; one too large for a word is cut to the largest.

    Args:
        object: Any object.

    Returns:
        Its value.

    Raises:
        TypeError.
    """
    var value = external_call["PyNumber_AsSsize_t", Int](object, 0)
    if value == -1 and external_call["PyErr_Occurred", Object]() != 0:
        raise Raised()
    return value


def call(function: Object, *arguments: Object) raises Raised -> Object:
    """Call a Python function and give back the references to its arguments.

    Args:
        function: Any callable.
        arguments: Its arguments, at most 6; their references are used up.

    Returns:
        What it returns.

    Raises:
        What it raises.
    """
    var places = Array[Object, 6](fill=0)
    for i in range(len(arguments)):
        places[i] = arguments[i]
    var result = external_call["PyObject_Vectorcall", Object](
        function, Pointer(to=places), len(arguments), 0
    )
    for i in range(len(arguments)):
        release(places[i])
    return checked(result)


def check_text(object: Object) raises Raised:
    """Refuse what is not a str.

    Args:
        object: Any object.

    Raises:
        TypeError.
    """
    release(checked(external_call["PyUnicode_FromObject", Object](object)))


def is_text[value: StaticString](object: Object) -> Bool:
    """Tell whether a str says this.

    Parameters:
        value: ASCII text.

    Args:
        object: A str.

    Returns:
        Whether it is the same.
    """
    return (
        external_call["PyUnicode_CompareWithASCIIString", Int32](
            object, c[value]()
        )
        == 0
    )


@fieldwise_init
struct ListObject(ImplicitlyCopyable):
    """The layout of a list: PyListObject."""

    var references: Int
    """How many there are."""
    var type: Object
    """The type list."""
    var size: Int
    """How many items it has."""
    var items: Words
    """The items."""


struct Sequence[is_list: Bool]:
    """A list or a tuple in the making; what it holds goes with it when something fails.

    Parameters:
        is_list: Whether it is a list, not a tuple.
    """

    var object: Object
    """The list or tuple; 0 once it is taken."""
    var filled: Int
    """How many items it has."""

    def __init__(out self, count: Int) raises Raised:
        """Make one with places for so many items.

        Args:
            count: How many; all must be added before anyone else sees it.

        Raises:
            MemoryError.
        """
        self.filled = 0
        comptime if Self.is_list:
            self.object = checked(external_call["PyList_New", Object](count))
        else:
            self.object = checked(external_call["PyTuple_New", Object](count))

    def __deinit__(deinit self):
        """Give back what was not taken."""
        release(self.object)

    def add(mut self, item: Object):
        """Put an item in the next place.

        Args:
            item: Any object; its reference is used up.
        """
        comptime if Self.is_list:
            _ = external_call["PyList_SetItem", Int32](
                self.object, self.filled, item
            )
        else:
            _ = external_call["PyTuple_SetItem", Int32](
                self.object, self.filled, item
            )
        self.filled += 1

    def take(mut self) -> Object:
        """Return what was made.

        Returns:
            The list or tuple.
        """
        var made = self.object
        self.object = 0
        return made
