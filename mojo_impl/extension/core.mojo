"""What stands behind a Python object of the type `Network`: a network, its threads, its checks.

Every method goes through the same four steps. `plain` checks the arguments and may run Python code;
then new objects are made, which may run Python code as well (the garbage collector's); `view` looks
once more and returns pointers; then the network computes. So no pointer outlives what it points to.
"""
from std.collections import Array
from std.ffi import external_call

from extension.arrays import NumPy, is_unseen, numbers
from extension.cpython import (
    ListObject,
    Object,
    Raised,
    Sequence,
    call,
    imported,
    integer,
    python_type,
    raised,
    release,
    retain,
    text,
)
from mlp.network import Arrays, Network
from mlp.runtime.memory import Buffer, Ptr
from mlp.runtime.threads import Team
from mlp.timing.parts import Parts


struct Session:
    """What all networks share; lives as long as the process."""

    var numpy: NumPy
    """NumPy, as the extension knows it."""
    var list_type: Object
    """The type list."""
    var tuple_type: Object
    """The type tuple."""
    var network_type: Object
    """The type `Network`, once it is made."""
    var none: Object
    """The object None."""
    var threads: Int
    """How many threads a network uses."""

    def __init__(out self) raises Raised:
        """Import what is needed.

        Raises:
            What the imports raise.
        """
        self.numpy = NumPy()
        self.list_type = imported["builtins", "list"]()
        self.tuple_type = imported["builtins", "tuple"]()
        self.none = imported["builtins", "None"]()
        self.network_type = 0
        self.threads = 1


comptime LONG = 10_000_000
"""Multiply-adds that take longer than a switch of threads: Python's lock is given up for them."""
comptime SessionPointer = Pointer[Session, MutUntrackedOrigin]
"""Where the session lies."""


struct Core[dt: DType]:
    """A network with its threads, and what the running method keeps alive.

    Parameters:
        dt: Type of every element.
    """

    var session: SessionPointer
    """What all networks share."""
    var network: Network[Self.dt]
    """The network."""
    var weights: Int
    """How many weights it has: multiply-adds of one row on its way through."""
    var w: Buffer[Ptr[Self.dt]]
    """Room for pointers to one array per layer."""
    var b: Buffer[Ptr[Self.dt]]
    """The same for the biases."""
    var team: Team
    """Its threads."""
    var parts: Optional[Parts[Self.dt]]
    """Memory for the parts of its phases, while those are timed."""
    var _kept: Array[Object, 4]

    def __init__(
        out self,
        session: SessionPointer,
        layer_sizes: ImmSpan[Int, _],
        seed: UInt32,
    ) raises Raised:
        """Make a network.

        Args:
            session: What all networks share.
            layer_sizes: Two widths or more, from 1.
            seed: Where its random stream starts.

        Raises:
            MemoryError: There is not enough for its weights.
            RuntimeError: The system refuses a thread.
        """
        self.session = session
        try:
            self.network = Network[Self.dt](layer_sizes, seed)
            self.w = Buffer[Ptr[Self.dt]](self.network.depth)
            self.b = Buffer[Ptr[Self.dt]](self.network.depth)
        except shortage:
            raise raised["MemoryError"](shortage)
        self.weights = 0
        for place in range(self.network.depth):
            var layer = self.network.layers[place]
            self.weights += layer.width_in * layer.width_out
        self.team = new_team(session[].threads)
        self.parts = None
        self._kept = Array[Object, 4](fill=0)

    def set_threads(mut self) raises Raised:
        """Take as many threads as the session wants now.

        Raises:
            RuntimeError: The system refuses one.
        """
        if self.team.threads != self.session[].threads:
            self.team = new_team(self.session[].threads)

    def plain[
        name: StaticString
    ](mut self, object: Object, width: Int, rows: Int) raises Raised -> Object:
        """Check an array of shape (rows, width); may run Python code.

        Parameters:
            name: What to call it in a refusal.

        Args:
            object: Any object.
            width: How many columns it must have.
            rows: How many rows; 0 for any number but none.

        Returns:
            It, or a plain copy that lives until the method ends; borrowed.

        Raises:
            TypeError: It is not an array of the network's dtype.
            ValueError: It has the wrong shape.
            RuntimeError: It became something else while it was checked.
        """
        ref numpy = self.session[].numpy
        if numpy.is_plain[Self.dt](object, width, rows):
            return object
        var made = self._keep(
            call(
                numpy.plain_array,
                text[name](),
                retain(object),
                retain(numpy.dtype[Self.dt]()),
                integer(width),
                integer(rows),
            )
        )
        # The caller asks for its rows next, which only a plain array must have.
        _ = self.view(made, width, rows)
        return made

    def plain_list[
        name: StaticString, biases: Bool
    ](mut self, object: Object) raises Raised -> Object:
        """Check a list of one array per layer; may run Python code.

        Parameters:
            name: What to call it in a refusal.
            biases: Whether they must be shaped like the biases, not the weights.

        Args:
            object: Any object.

        Returns:
            It, or a tuple of plain copies that lives until the method ends; borrowed.

        Raises:
            TypeError: It is not a list or tuple of arrays of the network's dtype.
            ValueError: A number or a shape is wrong.
        """
        if self.look_at_list[biases](object):
            return object
        return self._keep(
            call(
                self.session[].numpy.plain_arrays,
                text[name](),
                retain(object),
                self.copies[biases](),
            )
        )

    def view(
        self, object: Object, width: Int, rows: Int
    ) raises Raised -> Ptr[Self.dt]:
        """Return where the numbers of a checked array lie; runs no Python code.

        Args:
            object: What `plain` returned.
            width: How many columns it has.
            rows: How many rows it has.

        Returns:
            The first element, good until Python code runs.

        Raises:
            RuntimeError: It is no longer what it was.
        """
        if not self.session[].numpy.is_plain[Self.dt](object, width, rows):
            raise raised["RuntimeError"](
                "an array changed its shape or dtype while it was in use"
            )
        return numbers[Self.dt](object)

    def view_list[
        biases: Bool
    ](mut self, object: Object) raises Raised -> Arrays[Self.dt]:
        """Return where the numbers of checked arrays lie; runs no Python code.

        Parameters:
            biases: Whether they are shaped like the biases, not the weights.

        Args:
            object: What `plain_list` returned.

        Returns:
            One pointer per layer, good until Python code runs.

        Raises:
            RuntimeError: They are no longer what they were.
        """
        if not self.look_at_list[biases](object):
            raise raised["RuntimeError"](
                "a list of arrays changed while it was in use"
            )
        return self.b.start if biases else self.w.start

    def copies[biases: Bool](self) raises Raised -> Object:
        """Make a tuple of read-only copies of the weights or the biases.

        Parameters:
            biases: Whether of the biases.

        Returns:
            The tuple.

        Raises:
            MemoryError.
        """
        ref numpy = self.session[].numpy
        var tuple = Sequence[is_list=False](self.network.depth)
        for place in range(self.network.depth):
            var layer = self.network.layers[place]
            var rows = 1 if biases else layer.width_in
            var array = numpy.empty[Self.dt](rows, layer.width_out)
            comptime if biases:
                layer.read_biases(numbers[Self.dt](array))
            else:
                layer.read_weights(numbers[Self.dt](array))
            numpy.freeze(array)
            tuple.add(array)
        return tuple.take()

    def look_at_list[
        biases: Bool, unseen: Bool = False
    ](mut self, object: Object) -> Bool:
        """Tell whether an object is what `plain_list` lets pass; runs no Python code.

        Parameters:
            biases: Whether its arrays must be shaped like the biases, not the weights.
            unseen: Whether nobody else may be able to see any of them.

        Args:
            object: Any object.

        Returns:
            Whether it is exactly a list or tuple of one plain array per layer. The pointers to
            them are in `w` or `b` then.
        """
        var type = python_type(object)
        var is_list = type == self.session[].list_type
        if not is_list and type != self.session[].tuple_type:
            return False
        # A tuple has its size in the same place, but not in every Python its items.
        var list = Pointer[ListObject, MutUntrackedOrigin](
            unsafe_from_address=object
        )
        if list[].size != self.network.depth:
            return False
        for place in range(self.network.depth):
            var item: Object
            if is_list:
                item = list[].items[unsafe_offset=place]
            else:
                item = external_call["PyTuple_GetItem", Object](object, place)
            var layer = self.network.layers[place]
            if not self.session[].numpy.is_plain[Self.dt](
                item, layer.width_out, 1 if biases else layer.width_in
            ):
                return False
            comptime if unseen:
                if not is_unseen(item):
                    return False
            comptime if biases:
                self.b[place] = numbers[Self.dt](item)
            else:
                self.w[place] = numbers[Self.dt](item)
        return True

    def _keep(mut self, object: Object) -> Object:
        """Keep an object alive until the method ends; a method needs at most four."""
        for place in range(4):
            if self._kept[place] == 0:
                self._kept[place] = object
                break
        return object

    def let_go(mut self):
        """Let go of what the method kept alive."""
        for place in range(4):
            var object = self._kept[place]
            self._kept[place] = 0
            release(object)


def new_team(threads: Int) raises Raised -> Team:
    """Start threads.

    Args:
        threads: How many there are to be, the caller included.

    Returns:
        The team.

    Raises:
        RuntimeError: The system refuses one.
    """
    try:
        return Team(threads)
    except error:
        raise raised["RuntimeError"](error)


def compute[
    Work: def() raises -> None
](work: Work, *, long: Bool) raises Raised:
    """Compute; when that takes long, without Python's lock, so that other threads can run.

    Parameters:
        Work: The type of the work.

    Args:
        work: What to do; it must not touch a Python object.
        long: Whether it takes longer than a switch of threads.

    Raises:
        MemoryError: The only way in which a computation fails.
    """
    var state = 0
    if long:
        state = external_call["PyEval_SaveThread", Int]()
    var failure = String()
    try:
        work()
    except error:
        failure = String(error)
    if long:
        external_call["PyEval_RestoreThread", NoneType](state)
    if failure:
        raise raised["MemoryError"](failure)
