"""The way from a call in Python into a method: sort the arguments, keep others out, catch.

A second caller is turned away: while the first one computes without Python's lock, or while a
check runs Python code, nothing may change under its feet.
"""
from std.ffi import external_call

from extension.core import Core
from extension.cpython import Arguments, Object, Raised, Words, is_text, raised
from extension.object import ObjectPointer, busy, network_object

comptime Body[dt: DType] = def(
    ObjectPointer, mut Core[dt], Arguments
) thin raises Raised -> Object
"""What a method does with the object, its core and the arguments.

Parameters:
    dt: Type of the network's elements.
"""


def named_arguments[
    function: StaticString, *names: StaticString
](given: Words, count: Int, given_names: Object) raises Raised -> Arguments:
    """Sort the arguments of a call, given by place or by name.

    Parameters:
        function: What is called.
        names: Their names, all needed.

    Args:
        given: Those given by place, then those given by name.
        count: How many were given by place.
        given_names: The names of the others, a tuple, or NULL.

    Returns:
        The arguments, borrowed, in the order of the names.

    Raises:
        TypeError: One is missing, given twice, unknown, or too many.
    """
    comptime wanted = len(names)
    var found = Arguments(fill=0)
    var others = 0
    if given_names != 0:
        others = external_call["PyTuple_Size", Int](given_names)
    var fits = count + others == wanted
    for i in range(min(count, wanted)):
        found[i] = given[unsafe_offset=i]
    for i in range(others if fits else 0):
        var name = external_call["PyTuple_GetItem", Object](given_names, i)
        comptime for place in range(wanted):
            if is_text[names[place]](name) and found[place] == 0:
                found[place] = given[unsafe_offset=count + i]
    comptime for place in range(wanted):
        fits = fits and found[place] != 0
    if not fits:
        var wish = String()
        comptime for place in range(wanted):
            wish += (", " if place else "") + String(names[place])
        raise raised["TypeError"](t"the arguments of {function} are ({wish})")
    return found^


def method[
    name: StaticString,
    wide: Body[DType.float64],
    narrow: Body[DType.float32],
    *names: StaticString,
](object: Object, given: Words, count: Int, given_names: Object) abi(
    "C"
) -> Object:
    """Call a method from Python.

    Parameters:
        name: Its name.
        wide: What it does in float64.
        narrow: What it does in float32.
        names: Names of its arguments.

    Args:
        object: The object.
        given: The arguments given by place, then those given by name.
        count: How many were given by place.
        given_names: The names of the others, or NULL.

    Returns:
        What the method returns, or NULL with an exception set.
    """
    try:
        return entered[wide, narrow](
            network_object(object),
            named_arguments[name, *names](given, count, given_names),
        )
    except:
        return 0


def getter[
    wide: Body[DType.float64], narrow: Body[DType.float32]
](object: Object, closure: Object) abi("C") -> Object:
    """Read an attribute from Python.

    Parameters:
        wide: What returns it in float64.
        narrow: What returns it in float32.

    Args:
        object: The object.
        closure: Unused.

    Returns:
        The value, or NULL with an exception set.
    """
    try:
        return entered[wide, narrow](network_object(object), Arguments(fill=0))
    except:
        return 0


def setter[
    name: StaticString,
    wide: Body[DType.float64],
    narrow: Body[DType.float32],
](object: Object, value: Object, closure: Object) abi("C") -> Int32:
    """Set an attribute from Python.

    Parameters:
        name: Its name.
        wide: What sets it in float64; it returns NULL.
        narrow: What sets it in float32; it returns NULL.

    Args:
        object: The object.
        value: The value; NULL to delete the attribute.
        closure: Unused.

    Returns:
        0, or -1 with an exception set.
    """
    try:
        if value == 0:
            raise raised["AttributeError"](t"{name} can be set but not deleted")
        var arguments = Arguments(fill=0)
        arguments[0] = value
        _ = entered[wide, narrow](network_object(object), arguments)
        return 0
    except:
        return -1


def entered[
    wide: Body[DType.float64], narrow: Body[DType.float32]
](object: ObjectPointer, arguments: Arguments) raises Raised -> Object:
    """Do something with a network that no one else is busy with.

    Parameters:
        wide: What to do in float64.
        narrow: What to do in float32.

    Args:
        object: The object.
        arguments: Its arguments.

    Returns:
        What it returns.

    Raises:
        RuntimeError: The object is busy, or `__init__` was never called; and what it raises.
    """
    if object[].core == 0:
        raise raised["RuntimeError"](
            "the network is empty: __init__ was not called"
        )
    if object[].busy:
        raise busy()
    object[].busy = True
    try:
        if object[].is_float64:
            return run[DType.float64, wide](object, arguments)
        return run[DType.float32, narrow](object, arguments)
    finally:
        object[].busy = False


def run[
    dt: DType, body: Body[dt]
](object: ObjectPointer, arguments: Arguments) raises Raised -> Object:
    """Do something with a core of this type, then let go of what it kept alive.

    Parameters:
        dt: Type of its elements.
        body: What to do.

    Args:
        object: The object.
        arguments: Its arguments.

    Returns:
        What it returns.

    Raises:
        What it raises.
    """
    ref core = Pointer[Core[dt], MutUntrackedOrigin](
        unsafe_from_address=object[].core
    )[]
    try:
        return body(object, core, arguments)
    finally:
        core.let_go()
