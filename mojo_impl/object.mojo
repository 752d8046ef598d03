"""The Python object `Network`: its layout, its life, and the way into its methods.

A method gets to the core through `method`, which turns a second caller away: while the first one
computes without Python's lock, or while a check runs Python code, nothing changes under its feet.
"""
from std.ffi import external_call
from std.sys import size_of

from core import Core, SessionPointer
from cpython import (
    Arguments,
    Object,
    Raised,
    Visit,
    Words,
    named_arguments,
    python_type,
    raised,
    release,
)
from mlp.network import Network

comptime Deallocate = def(Object) thin abi("C") -> None
"""What ends an object."""
comptime Traverse = def(Object, Visit, Object) thin abi("C") -> Int32
"""What shows an object's references: the object, what to call on each, what to pass on."""
comptime Clear = def(Object) thin abi("C") -> Int32
"""What drops an object's references."""
comptime Body[dt: DType] = def(
    ObjectPointer, mut Core[dt], Arguments
) thin raises Raised -> Object
"""What a method does with the object, its core and the arguments.

Parameters:
    dt: Type of the network's elements.
"""


@fieldwise_init
struct NetworkObject(ImplicitlyCopyable):
    """The layout of a Python object of the type `Network`; all zero when it is new."""

    var references: Int
    """How many there are."""
    var type: Object
    """The type, which may be a subclass."""
    var core: Int
    """Address of a `Core`; 0 until `__init__` has run."""
    var is_float64: Bool
    """Whether the core is one of float64, not float32."""
    var busy: Bool
    """Whether a method is at work."""
    var X: Object
    """The inputs that `forward` saw last, or NULL."""
    var y_hat: Object
    """The output that it gave, or NULL."""


comptime ObjectPointer = Pointer[NetworkObject, MutUntrackedOrigin]
"""A Python object of the type `Network`."""


def network_object(object: Object) -> ObjectPointer:
    """Look behind a Python object.

    Args:
        object: One of the type `Network`.

    Returns:
        A pointer to it.
    """
    return ObjectPointer(unsafe_from_address=object)


def method[
    wide: Body[DType.float64], narrow: Body[DType.float32], *names: StaticString
](object: Object, given: Words, count: Int, given_names: Object) abi(
    "C"
) -> Object:
    """Call a method from Python.

    Parameters:
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
            named_arguments[*names](given, count, given_names),
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
    wide: Body[DType.float64], narrow: Body[DType.float32]
](object: Object, value: Object, closure: Object) abi("C") -> Int32:
    """Set an attribute from Python.

    Parameters:
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
            raise raised["AttributeError"]("it can be set but not deleted")
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


def initialise[
    dt: DType
](
    object: ObjectPointer,
    session: SessionPointer,
    layer_sizes: ImmSpan[Int, _],
    seed: UInt32,
) raises Raised:
    """Give an object a core, in the place of the one it may have had.

    Parameters:
        dt: Type of its elements.

    Args:
        object: The object.
        session: What all networks share.
        layer_sizes: Two widths or more, from 1.
        seed: Where the random stream starts.

    Raises:
        MemoryError: There is not enough for the weights; the object is unchanged.
        RuntimeError: The object is busy, or the system refuses a thread.
    """
    if object[].busy:
        raise busy()
    var core = Core[dt](session, layer_sizes, seed)
    var address = external_call["malloc", Int](size_of[Core[dt]]())
    if address == 0:
        raise raised["MemoryError"]("no memory for a network")
    Pointer[Core[dt], MutUntrackedOrigin](
        unsafe_from_address=address
    ).unsafe_write(core^)
    var old = object[]
    object[].core = address
    object[].is_float64 = dt == DType.float64
    destroy_core(old.core, old.is_float64)
    forget(object)


def destroy_core(address: Int, is_float64: Bool):
    """Free a core.

    Args:
        address: Where it lies; 0 for none.
        is_float64: Whether it is one of float64, not float32.
    """
    if address == 0:
        return
    if is_float64:
        Pointer[Core[DType.float64], MutUntrackedOrigin](
            unsafe_from_address=address
        ).unsafe_deinit_pointee()
    else:
        Pointer[Core[DType.float32], MutUntrackedOrigin](
            unsafe_from_address=address
        ).unsafe_deinit_pointee()
    external_call["free", NoneType](address)


def forget(object: ObjectPointer):
    """Let go of the arrays of the last `forward`; Python code may run.

    Args:
        object: The object.
    """
    var X = object[].X
    var y_hat = object[].y_hat
    object[].X = 0
    object[].y_hat = 0
    release(X)
    release(y_hat)


def busy() -> Raised:
    """Set the exception that turns a second caller away.

    Returns:
        What to raise.
    """
    return raised["RuntimeError"](
        "the network is busy: another thread, or this one further up, is using it"
    )


def deallocate(object: Object) abi("C"):
    """End an object: tp_dealloc.

    Args:
        object: The object; no one else knows it.
    """
    external_call["PyObject_GC_UnTrack", NoneType](object)
    var ended = network_object(object)
    forget(ended)
    destroy_core(ended[].core, ended[].is_float64)
    var type = python_type(object)
    comptime FREE = 74  # Py_tp_free
    var address = external_call["PyType_GetSlot", Int](type, Int32(FREE))
    var free = Pointer(to=address).unsafe_bitcast[
        def(Object) thin abi("C") -> None
    ]()[]
    free(object)
    release(type)  # an object of a type made at run time holds on to it


def traverse(object: Object, visit: Visit, argument: Object) abi("C") -> Int32:
    """Show the garbage collector what an object holds on to: tp_traverse.

    Args:
        object: The object.
        visit: What to call on each.
        argument: What to pass on to it.

    Returns:
        0, or what stopped the visit.
    """
    ref held = network_object(object)[]
    for other in [held.type, held.X, held.y_hat]:
        if other != 0:
            var result = visit(other, argument)
            if result != 0:
                return result
    return 0


def clear(object: Object) abi("C") -> Int32:
    """Break the cycles an object is part of: tp_clear.

    Args:
        object: The object.

    Returns:
        0.
    """
    forget(network_object(object))
    return 0
