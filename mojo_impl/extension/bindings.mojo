"""The Python extension `mojo_impl._library`: its type, its functions, and how it starts.

Written on CPython's C API and NumPy's, so that every refusal is the right Python exception and a
call costs tens of nanoseconds. `network.py` makes the type `Network` of this file into `MLP`.
"""
from std.benchmark import black_box
from std.ffi import external_call
from std.sys import simd_width_of, size_of

from extension.calls import named_arguments
from extension.core import Session, SessionPointer, new_team
from extension.cpython import (
    FastCall,
    Object,
    OneCall,
    Raised,
    Sequence,
    Words,
    c,
    check_text,
    checked,
    integer,
    is_text,
    python_type,
    raised,
    release,
    retain,
    to_integer,
    words,
)
from extension.methods import add_methods
from extension.object import (
    Clear,
    Deallocate,
    NetworkObject,
    ObjectPointer,
    Traverse,
    clear,
    deallocate,
    initialise,
    network_object,
    traverse,
)
from extension.probes import time_probe
from extension.tables import FAST, Members, Table, address_of
from extension.timed import time_phase
from extension.training import add_training
from mlp.runtime.memory import Buffer

comptime _ONE_ARGUMENT = 0x8  # METH_O
comptime _NO_ARGUMENT = 0x4  # METH_NOARGS
comptime _PYTHON_API = 1013  # PYTHON_API_VERSION of every CPython 3


def _session_of(module: Object) -> SessionPointer:
    """Return the session of this module."""
    var state = external_call["PyModule_GetState", Int](module)
    return SessionPointer(unsafe_from_address=words(state)[])


def _network_argument(
    session: SessionPointer, object: Object
) raises Raised -> ObjectPointer:
    """Check that an argument is a network."""
    var is_one = external_call["PyType_IsSubtype", Int32](
        python_type(object), session[].network_type
    )
    if is_one == 0:
        raise raised["TypeError"]("network must be a mojo_impl.MLP")
    return network_object(object)


def _nothing(module: Object, X: Object) abi("C") -> Object:
    """Take an array and do nothing: the floor of a call from Python."""
    return retain(_session_of(module)[].none)


def _initialise(
    module: Object, given: Words, count: Int, names: Object
) abi("C") -> Object:
    """Give a network object its network: what `MLP.__init__` calls with checked arguments."""
    try:
        var session = _session_of(module)
        var arguments = named_arguments[
            "initialise", "network", "layer_sizes", "seed", "dtype"
        ](given, count, names)
        var object = _network_argument(session, arguments[0])
        if python_type(arguments[1]) != session[].tuple_type:
            raise raised["TypeError"]("layer_sizes must be a tuple")
        var sizes = List[Int]()
        for place in range(external_call["PyTuple_Size", Int](arguments[1])):
            sizes.append(
                to_integer(
                    external_call["PyTuple_GetItem", Object](
                        arguments[1], place
                    )
                )
            )
        for size in sizes:
            if size < 1:
                raise raised["ValueError"]("a size is below 1")
        var seed = to_integer(arguments[2])
        if len(sizes) < 2 or seed < 0 or seed > Int(UInt32.MAX):
            raise raised["ValueError"]("too few sizes, or a seed out of range")
        check_text(arguments[3])
        if is_text["float64"](arguments[3]):
            initialise[DType.float64](object, session, sizes, UInt32(seed))
        elif is_text["float32"](arguments[3]):
            initialise[DType.float32](object, session, sizes, UInt32(seed))
        else:
            raise raised["ValueError"]("dtype must be 'float64' or 'float32'")
        return retain(session[].none)
    except:
        return 0


def _time_phase(
    module: Object, given: Words, count: Int, names: Object
) abi("C") -> Object:
    """Time a phase of a network."""
    try:
        var arguments = named_arguments[
            "time_phase", "network", "phase", "loops", "X", "y", "result"
        ](given, count, names)
        var network = _network_argument(_session_of(module), arguments[0])
        for place in range(5):
            arguments[place] = arguments[place + 1]
        return time_phase(network, arguments)
    except:
        return 0


def _time_probe(
    module: Object, given: Words, count: Int, names: Object
) abi("C") -> Object:
    """Time a probe of the machine."""
    try:
        var arguments = named_arguments[
            "time_probe", "probe", "dtype", "amount", "loops"
        ](given, count, names)
        return time_probe(arguments, _session_of(module)[].threads)
    except:
        return 0


def _set_threads(module: Object, threads: Object) abi("C") -> Object:
    """Set how many threads every network uses from its next call on."""
    try:
        var wanted = to_integer(threads)
        var team = new_team(wanted)  # refuses what cannot be had
        var session = _session_of(module)
        session[].threads = team.threads
        return retain(session[].none)
    except:
        return 0


def _get_threads(module: Object, unused: Object) abi("C") -> Object:
    """Tell how many threads every network uses."""
    try:
        return integer(_session_of(module)[].threads)
    except:
        return 0


@fieldwise_init
struct _Look:
    """What each thread tells of itself."""

    var ids: Pointer[Int, MutUntrackedOrigin]
    var halves: Pointer[Float64, MutUntrackedOrigin]


def _look(context: _Look, thread: Int):
    context.ids[unsafe_offset=thread] = external_call["pthread_self", Int]()
    # Half of the smallest normal number is 0 where subnormals are flushed.
    context.halves[unsafe_offset=thread] = black_box(Float64(0.5)) * black_box(
        Float64(2.2250738585072014e-308)
    )


def _probe(module: Object, unused: Object) abi("C") -> Object:
    """Let every thread of a team tell who it is and whether it keeps subnormal numbers.

    Returns (threads, kept, lanes): how many different threads took part, how many of them kept
    subnormals, and the float64 numbers of a vector.
    """
    try:
        var threads = _session_of(module)[].threads
        var team = new_team(threads)
        var different = 0
        var kept = 0
        try:
            var ids = Buffer[Int](threads)
            var halves = Buffer[Float64](threads)
            team.run[_look, each_its_own=True](
                _Look(ids.start, halves.start), threads
            )
            for thread in range(threads):
                var is_new = True
                for other in range(thread):
                    is_new = is_new and ids[other] != ids[thread]
                different += Int(is_new)
                kept += Int(halves[thread] > 0.0)
        except shortage:
            raise raised["MemoryError"](shortage)
        var facts = Sequence[is_list=False](3)
        facts.add(integer(different))
        facts.add(integer(kept))
        facts.add(integer(simd_width_of[DType.float64]()))
        return facts.take()
    except:
        return 0


def _make_type(module: Object) raises Raised -> Object:
    """Make the type `Network`."""
    var members = Members()
    add_methods(members)
    add_training(members)
    var end: Deallocate = deallocate
    var show: Traverse = traverse
    var let_go: Clear = clear
    var slots = Table[2](5)  # PyType_Slot: which, what
    slots.add(52, address_of(end))  # Py_tp_dealloc
    slots.add(71, address_of(show))  # Py_tp_traverse
    slots.add(51, address_of(let_go))  # Py_tp_clear
    slots.add(64, Int(members.methods.start))  # Py_tp_methods
    slots.add(73, Int(members.attributes.start))  # Py_tp_getset
    comptime BASE_TYPE_AND_GC = (1 << 10) | (1 << 14)
    var spec = Table[4](1)  # PyType_Spec: name, sizes, flags, slots
    spec.add(
        c["mojo_impl._library.Network"](),
        size_of[NetworkObject](),  # and in the upper half the item size, 0
        BASE_TYPE_AND_GC,
        Int(slots.start),
    )
    return checked(
        external_call["PyType_FromModuleAndSpec", Object](module, spec.start, 0)
    )


def _make_module() raises Raised -> Object:
    """Make the module."""
    var nothing: OneCall = _nothing
    var initialise: FastCall = _initialise
    var time_phase: FastCall = _time_phase
    var time_probe: FastCall = _time_probe
    var set_threads: OneCall = _set_threads
    var get_threads: OneCall = _get_threads
    var probe: OneCall = _probe
    var functions = Table[4](7)  # PyMethodDef: name, function, flags, text
    functions.add(
        c["nothing"](),
        address_of(nothing),
        _ONE_ARGUMENT,
        c[
            "nothing($module, X, /)\n--\n\nTake an array and do nothing: the"
            " floor of a call from Python."
        ](),
    )
    functions.add(
        c["initialise"](),
        address_of(initialise),
        FAST,
        c[
            "initialise($module, /, network, layer_sizes, seed, dtype)\n--\n\n"
            "Give a network object fresh weights; the arguments are checked."
        ](),
    )
    functions.add(
        c["time_phase"](),
        address_of(time_phase),
        FAST,
        c[
            "time_phase($module, /, network, phase, loops, X, y, result)\n--\n\n"
            "Repeat a phase and return the nanoseconds of all repetitions,"
            " by Mojo's clock.\n\n"
            "The phases: 'forward' and 'backprop' take the first batch of X and"
            " y, 'epoch' all\nbatches, shuffled; 'timer' reads the clock twice."
            " result is None, or\ngets what the last repetition computed."
        ](),
    )
    functions.add(
        c["time_probe"](),
        address_of(time_probe),
        FAST,
        c[
            "time_probe($module, /, probe, dtype, amount, loops)\n--\n\n"
            "Repeat a probe on all threads and return the nanoseconds of all"
            " repetitions."
        ](),
    )
    functions.add(
        c["set_threads"](),
        address_of(set_threads),
        _ONE_ARGUMENT,
        c[
            "set_threads($module, threads, /)\n--\n\nSet how many threads every"
            " network uses from its next call on."
        ](),
    )
    functions.add(
        c["get_threads"](),
        address_of(get_threads),
        _NO_ARGUMENT,
        c[
            "get_threads($module, /)\n--\n\nTell how many threads every network"
            " uses."
        ](),
    )
    functions.add(
        c["probe"](),
        address_of(probe),
        _NO_ARGUMENT,
        c[
            "probe($module, /)\n--\n\nReturn (threads, kept, lanes): how many"
            " threads took part in a region, how many of\nthem keep subnormal"
            " numbers, and the float64 numbers of a vector."
        ](),
    )
    # PyModuleDef: an object with one reference, three words of Python's own, name, text, size of
    # the state, functions.
    var definition = Table[13](1)
    definition.add(
        1,
        0,
        0,
        0,
        0,
        c["mojo_impl._library"](),
        c["The compiled half of mojo_impl."](),
        size_of[SessionPointer](),
        Int(functions.start),
    )
    var module = checked(
        external_call["PyModule_Create2", Object](
            definition.start, Int32(_PYTHON_API)
        )
    )
    try:
        _start_session(module)
    except failure:
        release(module)
        raise failure
    return module


def _start_session(module: Object) raises Raised:
    """Make the session and the type, and give the module both."""
    var address = external_call["malloc", Int](size_of[Session]())
    if address == 0:
        raise raised["MemoryError"]("no memory for the session")
    var session = SessionPointer(unsafe_from_address=address)
    session.unsafe_write(Session())
    var state = external_call["PyModule_GetState", Int](module)
    words(state)[] = address
    var type = _make_type(module)
    session[].network_type = type
    var failed = external_call["PyModule_AddObjectRef", Int32](
        module, c["Network"](), type
    )
    if failed != 0:
        raise Raised()


@export
def PyInit__library() abi("C") -> Object:
    """Make the module: what Python calls to import it.

    Returns:
        The module, or NULL with an exception set.
    """
    try:
        return _make_module()
    except:
        return 0
