"""Holds memory that a value owns, and the error of running out of it.

Memory comes from the C library, so that a shortage is an error the caller can handle; a `List`
would end the process. Nothing here grows, and bounds are checked only when assertions are on.
"""
from std.ffi import external_call
from std.sys import size_of

comptime Ptr[dt: DType] = Pointer[Scalar[dt], MutUntrackedOrigin]
"""Memory of elements, owned by someone else.

Parameters:
    dt: Type of the elements.
"""

comptime CACHE_LINE = 64
"""Bytes of a cache line; every buffer starts on one."""


@fieldwise_init
struct OutOfMemory(ImplicitlyCopyable, Writable):
    """The system did not give as much memory as was asked for."""

    var bytes: Int
    """How much was asked for."""

    def write_to(self, mut writer: Some[Writer]):
        """Write the sentence a person reads.

        Args:
            writer: Where to.
        """
        writer.write("out of memory: ", self.bytes, " bytes were refused")


struct Plan[T: ImplicitlyCopyable](ImplicitlyCopyable):
    """How much room several arrays take in one buffer, each from a cache line on.

    Parameters:
        T: Type of an element.
    """

    comptime most = (Int.MAX >> 2) // size_of[Self.T]()
    """More elements than memory can hold, and few enough to add two of."""

    var count: Int
    """Elements of all arrays so far."""

    def __init__(out self):
        """Begin with no arrays."""
        self.count = 0

    def add(mut self, rows: Int, columns: Int) raises OutOfMemory -> Int:
        """Add an array of (rows, columns).

        Args:
            rows: From 0.
            columns: From 0.

        Returns:
            The place of its first element in the buffer.

        Raises:
            When no memory could hold the arrays.
        """
        comptime line = CACHE_LINE // size_of[Self.T]()
        if columns > 0 and rows > Self.most // columns:
            raise OutOfMemory(Int.MAX)
        var place = self.count
        self.count += (rows * columns + line - 1) // line * line
        if self.count > Self.most:
            raise OutOfMemory(Int.MAX)
        return place


struct Buffer[T: ImplicitlyCopyable](Movable):
    """A fixed number of elements, all bytes zero at first, freed with the buffer.

    Parameters:
        T: Type of an element; one that needs no destructor.
    """

    var start: Pointer[Self.T, MutUntrackedOrigin]
    """The first element, on a cache line."""
    var count: Int
    """How many elements there are."""

    def __init__(out self, count: Int) raises OutOfMemory:
        """Allocate `count` elements.

        Args:
            count: How many; 0 is allowed.

        Raises:
            When memory runs out.
        """
        if count > Plan[Self.T].most:
            raise OutOfMemory(Int.MAX)
        # At least one line, as the C library may refuse to allocate nothing.
        var bytes = (
            (count * size_of[Self.T]() + CACHE_LINE) // CACHE_LINE * CACHE_LINE
        )
        var address = external_call["aligned_alloc", Int](CACHE_LINE, bytes)
        if address == 0:
            raise OutOfMemory(bytes)
        _ = external_call["memset", Int](address, Int32(0), bytes)
        self.start = Pointer[Self.T, MutUntrackedOrigin](
            unsafe_from_address=address
        )
        self.count = count

    def __deinit__(deinit self):
        """Free the memory."""
        external_call["free", NoneType](Int(self.start))

    def __getitem__(ref self, place: Int) -> ref[self] Self.T:
        """Return the element at a place, checked when assertions are on.

        Args:
            place: From 0 up to the count.

        Returns:
            The element, to read or to write.
        """
        debug_assert(0 <= place < self.count, "place ", place)
        # Of the buffer's own origin, so that the buffer lives as long as the element is used.
        comptime origin = origin_of(self)
        return self.start.unsafe_mut_cast[origin.mut]().unsafe_origin_cast[
            origin
        ]()[unsafe_offset=place]
