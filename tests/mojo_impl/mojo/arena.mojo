"""Operands for the tests of products: matrices beside memory that may not be touched.

A matrix ends (or starts) at a page without rights, so an access out of bounds ends the test with
SIGSEGV; between its rows stands NaN.
"""
from std.ffi import external_call
from std.random import random_float64, random_si64
from std.sys import size_of
from std.testing import assert_equal, assert_true
from std.utils.numerics import inf, nan

from mlp.runtime.memory import Buffer, Ptr

comptime PAGE = 16384  # a multiple of the page size of every system here
comptime ARENA = 256 * PAGE

# What the elements are.
comptime INTEGERS = 0  # small, so that every sum is exact
comptime SPECIAL = 1  # small integers, and here and there NaN, infinities and -0
comptime REALS = 2  # in [-1, 1)


struct Arena:
    """Memory between two pages that may not be touched."""

    var memory: Buffer[UInt8]
    var start: Int  # of what lies between the pages

    def __init__(out self) raises:
        self.memory = Buffer[UInt8](ARENA + 3 * PAGE)
        self.start = (Int(self.memory.start) // PAGE + 2) * PAGE
        protect(self.start, 0)

    def __deinit__(deinit self):
        """Give the memory back as it came."""
        try:
            protect(self.start, 3)
        except error:
            print(error)
        _ = self.memory.count  # the memory lives until here

    def place[dt: DType](self, count: Int, at_end: Bool) raises -> Ptr[dt]:
        """Return room for so many elements, right before or right after a forbidden page."""
        var bytes = count * size_of[Scalar[dt]]()
        assert_true(bytes <= ARENA)
        var skipped = ARENA - bytes if at_end else 0
        return Ptr[dt](unsafe_from_address=self.start + skipped)


def protect(start: Int, rights: Int32) raises:
    """Set the rights of the pages before and after an arena: 0 none, 3 read and write."""
    for page in [start - PAGE, start + ARENA]:
        assert_equal(external_call["mprotect", Int32](page, PAGE, rights), 0)


def element[dt: DType](kind: Int) -> Scalar[dt]:
    if kind == REALS:
        return Scalar[dt](random_float64(-1, 1))
    if kind == SPECIAL and random_si64(0, 30) == 0:
        var which = random_si64(0, 3)
        if which == 0:
            return nan[dt]()
        if which == 1:
            return inf[dt]()
        return -inf[dt]() if which == 2 else Scalar[dt](-0.0)
    return Scalar[dt](Int(random_si64(-4, 4)))


@fieldwise_init
struct Shape(Copyable, Writable):
    """One product: its sizes, and the elements beyond each row of each matrix."""

    var m: Int
    var n: Int
    var k: Int
    var gap_a: Int
    var gap_b: Int
    var gap_c: Int
    var gap_aux: Int


def random_shape(most_mn: Int, most_k: Int) -> Shape:
    """Make a shape, small ones more often than large ones; half of the rows have no gap."""

    def size(most: Int) -> Int:
        return Int(random_si64(1, random_si64(1, Int64(most))))

    def gap() -> Int:
        return max(0, Int(random_si64(-6, 6)))

    return Shape(
        size(most_mn), size(most_mn), size(most_k), gap(), gap(), gap(), gap()
    )


struct Memory:
    """The operands of a product, reused from case to case."""

    var a: Arena
    var b: Arena
    var beside: Arena
    var tail: Arena
    var aux: Arena
    var c: Arena
    var want: Arena

    def __init__(out self) raises:
        self.a = Arena()
        self.b = Arena()
        self.beside = Arena()
        self.tail = Arena()
        self.aux = Arena()
        self.c = Arena()
        self.want = Arena()


def fill[
    dt: DType
](arena: Arena, rows: Int, columns: Int, stride: Int, kind: Int) raises -> Ptr[
    dt
]:
    """Place a matrix beside a forbidden page; between its rows stands NaN."""
    var count = (rows - 1) * stride + columns if rows * columns > 0 else 0
    var p = arena.place[dt](count, random_si64(0, 3) > 0)
    for i in range(count):
        p[unsafe_offset=i] = (
            element[dt](kind) if i % stride < columns else nan[dt]()
        )
    return p
