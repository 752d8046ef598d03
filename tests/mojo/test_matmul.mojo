"""Checks `matmul` against its oracle: every variant, random shapes, strides and alignments.

Operands end (or start) at a page that may not be touched, so an access out of bounds ends the
test with SIGSEGV. Small integers make the sums exact, so that they are compared without tolerance;
what real numbers may differ by stands in `tolerance`, and nowhere else.
"""
from std.ffi import external_call
from std.math import isnan
from std.random import random_float64, random_si64, seed
from std.sys import size_of
from std.testing import TestSuite, assert_equal, assert_raises, assert_true
from std.utils.numerics import inf, nan

from mlp.matmul import (
    BIAS,
    BIAS_RELU,
    Ptr,
    RELU_MASK,
    SGD,
    STORE,
    matmul,
    naive_matmul,
)
from mlp.memory import Buffer
from mlp.threads import Team

comptime PAGE = 16384  # a multiple of the page size of every system here
comptime ARENA = 256 * PAGE

# What the elements are.
comptime INTEGERS = 0  # small, so that every sum is exact
comptime SPECIAL = 1  # small integers, and here and there NaN, infinities and -0
comptime REALS = 2  # in [-1, 1)


def tolerance[dt: DType](k: Int) -> Float64:
    """Largest error of a sum of k products of numbers in [-1, 1), plus an epilogue.

    k + 2 roundings of partial sums that stay near 1: a few eps each is generous for a correct
    kernel, and far below the 0.3 or so that one product lost or doubled makes.
    """
    comptime eps = 1.2e-7 if dt == DType.float32 else 2.3e-16
    return 2 * eps * Float64(k + 2)


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
    var aux: Arena
    var c: Arena
    var want: Arena

    def __init__(out self) raises:
        self.a = Arena()
        self.b = Arena()
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


comptime GUARD = 40  # elements before C that must stay as they are


def check[
    dt: DType, ta: Bool, tb: Bool, epilogue: Int
](memory: Memory, mut team: Team, shape: Shape, kind: Int) raises:
    """Compare a product with the oracle, and all memory around C with what it was."""
    var m = shape.m
    var n = shape.n
    var k = shape.k
    var lda = (m if ta else k) + shape.gap_a
    var ldb = (k if tb else n) + shape.gap_b
    var ldc = n + shape.gap_c
    var ldaux = n + shape.gap_aux
    var a = fill[dt](memory.a, k if ta else m, m if ta else k, lda, kind)
    var b = fill[dt](memory.b, n if tb else k, k if tb else n, ldb, kind)
    var rows = m if epilogue == RELU_MASK else 1
    var aux = fill[dt](memory.aux, rows, n, ldaux, kind)
    var count = GUARD + (m - 1) * ldc + n
    var c = memory.c.place[dt](count, True)
    var want = memory.want.place[dt](count, True)
    for i in range(count):
        c[unsafe_offset=i] = element[dt](kind)
        want[unsafe_offset=i] = c[unsafe_offset=i]
    var alpha = Scalar[dt](0.5)
    matmul[dt, ta, tb, epilogue](
        team,
        m,
        n,
        k,
        a,
        lda,
        (b, ldb),
        c.unsafe_offset(GUARD),
        ldc,
        aux,
        ldaux,
        alpha,
    )
    naive_matmul[dt, ta, tb, epilogue](
        m,
        n,
        k,
        a,
        lda,
        b,
        ldb,
        want.unsafe_offset(GUARD),
        ldc,
        aux,
        ldaux,
        alpha,
    )
    var allowed = tolerance[dt](k) if kind == REALS else 0.0
    for i in range(count):
        var x = Float64(c[unsafe_offset=i])
        var y = Float64(want[unsafe_offset=i])
        var same = x == y or abs(x - y) <= allowed or (isnan(x) and isnan(y))
        if not same:
            raise Error(
                t"{dt} transposed {ta} {tb} epilogue {epilogue} {shape} threads"
                t" {team.threads} l2 {team.l2_bytes}: row {(i - GUARD) // ldc},"
                t" column {(i - GUARD) % ldc} of row length {ldc}: {x} is not"
                t" {y}"
            )


def check_variants[dt: DType](kind: Int, cases: Int) raises:
    """Check random shapes in every variant, in blocks of many sizes, by 1 to 3 threads."""
    var memory = Memory()
    for threads in range(1, 4):
        var team = Team(threads)
        team.work_per_thread = 1
        comptime for variant in range(20):
            for turn in range(cases):
                # From "everything is large" to "everything fits".
                team.l2_bytes = 1 << (10 + 5 * (turn % 3))
                check[
                    dt, variant % 2 == 1, variant // 2 % 2 == 1, variant // 4
                ](memory, team, random_shape(70, 300), kind)


def test_integers_float64() raises:
    check_variants[DType.float64](INTEGERS, 90)


def test_integers_float32() raises:
    check_variants[DType.float32](INTEGERS, 90)


def test_nonfinite_values_go_where_ieee_sends_them() raises:
    check_variants[DType.float64](SPECIAL, 30)
    check_variants[DType.float32](SPECIAL, 30)


def test_reals() raises:
    check_variants[DType.float64](REALS, 15)
    check_variants[DType.float32](REALS, 15)


def test_large() raises:
    """Check products that are cut into blocks of the machine's own sizes."""
    var memory = Memory()
    var team = Team(2)
    var shape = Shape(397, 403, 701, 0, 1, 0, 3)
    comptime for dt in [DType.float64, DType.float32]:
        check[dt, False, False, BIAS_RELU](memory, team, shape, REALS)
        check[dt, False, True, RELU_MASK](memory, team, shape, REALS)
        check[dt, True, False, SGD](memory, team, shape, REALS)


def check_bits[
    dt: DType, ta: Bool, tb: Bool, epilogue: Int
](memory: Memory, m: Int, n: Int, k: Int) raises:
    """Check that the number of threads changes no bit of a product."""
    var a = fill[dt](memory.a, 1, m * k, m * k, REALS)
    var b = fill[dt](memory.b, 1, n * k, n * k, REALS)
    var aux = fill[dt](memory.aux, 1, m * n, m * n, REALS)
    var want = memory.want.place[dt](m * n, True)
    var c = want
    for threads in [1, 2, 3, 7]:
        for i in range(m * n):
            c[unsafe_offset=i] = 0.25
        var team = Team(threads)
        team.work_per_thread = 1
        matmul[dt, ta, tb, epilogue](
            team,
            m,
            n,
            k,
            a,
            m if ta else k,
            (b, k if tb else n),
            c,
            n,
            aux,
            n,
            Scalar[dt](0.1),
        )
        var bytes = m * n * size_of[Scalar[dt]]()
        assert_equal(
            external_call["memcmp", Int32](Int(c), Int(want), bytes), 0
        )
        c = memory.c.place[dt](m * n, True)


def test_threads_change_no_bit() raises:
    var memory = Memory()
    comptime for dt in [DType.float64, DType.float32]:
        for _ in range(6):
            var shape = random_shape(70, 300)
            var m = shape.m
            var n = shape.n
            var k = shape.k
            check_bits[dt, False, False, BIAS](memory, m, n, k)
            check_bits[dt, False, True, RELU_MASK](memory, m, n, k)
            check_bits[dt, True, False, SGD](memory, m, n, k)
        # Shares that are packed beside shares that are read in place.
        check_bits[dt, False, False, STORE](memory, 330, 310, 701)
        check_bits[dt, True, True, SGD](memory, 330, 310, 701)


def test_empty() raises:
    """Check that sizes of 0 are accepted, and that an empty sum is 0."""
    var memory = Memory()
    var team = Team(1)
    for empty in range(3):
        var shape = Shape(5, 6, 7, 0, 0, 1, 1)
        if empty == 0:
            shape.m = 0
        elif empty == 1:
            shape.n = 0
        else:
            shape.k = 0
        comptime for epilogue in range(5):
            check[DType.float64, False, False, epilogue](
                memory, team, shape, INTEGERS
            )
            check[DType.float32, True, True, epilogue](
                memory, team, shape, INTEGERS
            )


def test_out_of_memory_leaves_c_alone() raises:
    var arena = Arena()
    var p = arena.place[DType.float64](1, False)
    p[unsafe_offset=0] = 5
    var team = Team(1)
    team.l2_bytes = 1 << 55  # asks for a block of A that no machine can hold
    with assert_raises(contains="out of memory"):
        matmul[DType.float64, False, False, STORE](
            team, 1 << 40, 1, 512, p, 1, (p, 1), p, 1, p, 1, 0
        )
    assert_equal(p[unsafe_offset=0], 5)
    # The team is still good.
    team.l2_bytes = 1 << 20
    check[DType.float64, False, False, STORE](
        Memory(), team, Shape(9, 9, 9, 0, 0, 0, 0), INTEGERS
    )


def main() raises:
    seed(1)
    TestSuite.discover_tests[__functions_in_module()]().run()
