"""Holds memory that a value owns, and the one error of this package that is no one's mistake.

Memory comes from the C library, so that running out of it is an error the caller can handle; a
`List` would end the process. No container grows, copies or checks more than its bounds here.
"""
from std.ffi import external_call
from std.sys import size_of

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
        # One line more than needed, so that nothing of size 0 is asked for and a vector that
        # starts on the last element stays inside.
        comptime most = (Int.MAX - 2 * CACHE_LINE) // size_of[Self.T]()
        if count > most:
            raise OutOfMemory(Int.MAX)
        var bytes = (
            (count * size_of[Self.T]() + 2 * CACHE_LINE - 1)
            // CACHE_LINE
            * CACHE_LINE
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
        external_call["free", NoneType](self.start)

    def __getitem__(self, place: Int) -> ref[MutUntrackedOrigin] Self.T:
        """Return the element at a place, checked when assertions are on.

        Args:
            place: From 0 up to the count.

        Returns:
            The element, to read or to write.
        """
        debug_assert(0 <= place < self.count, "place ", place)
        return self.start[unsafe_offset=place]
