"""The Python object `Network`: its layout, and its life from `__init__` to the last reference."""
from std.ffi import external_call
from std.sys import size_of

from extension.core import Core, SessionPointer
from extension.cpython import (
    Object,
    Raised,
    Visit,
    python_type,
    raised,
    release,
)

comptime Deallocate = def(Object) thin abi("C") -> None
"""What ends an object."""
comptime Traverse = def(Object, Visit, Object) thin abi("C") -> Int32
"""What shows an object's references: the object, what to call on each, what to pass on."""
comptime Clear = def(Object) thin abi("C") -> Int32
"""What drops an object's references."""


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
    var gradients: Object
    """What `backprop` returned last, to be filled again once nobody can see it, or NULL."""
    var older_gradients: Object
    """What it returned before that, or NULL."""


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
    """Let go of the arrays of the last `forward` and `backprop`; Python code may run.

    Args:
        object: The object.
    """
    var held = object[]
    object[].X = 0
    object[].y_hat = 0
    object[].gradients = 0
    object[].older_gradients = 0
    for other in [
        held.X,
        held.y_hat,
        held.gradients,
        held.older_gradients,
    ]:
        release(other)


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
    for other in [
        held.type,
        held.X,
        held.y_hat,
        held.gradients,
        held.older_gradients,
    ]:
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
