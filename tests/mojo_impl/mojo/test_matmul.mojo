"""Checks `matmul` against its oracle: every variant, random shapes, strides and alignments.

Operands end (or start) at a page that may not be touched, so an access out of bounds ends the
test with SIGSEGV. Small integers make the sums exact, so that they are compared without tolerance;
what real numbers may differ by stands in `tolerance`, and nowhere else.
"""
from std.ffi import external_call
from std.math import isnan
from std.random import random_si64, seed
from std.sys import simd_width_of, size_of
from std.testing import TestSuite, assert_equal, assert_raises

from arena import (
    INTEGERS,
    REALS,
    SPECIAL,
    Arena,
    Memory,
    Shape,
    element,
    fill,
    random_shape,
)
from mlp.gemm.dots import Columns
from mlp.gemm.matmul import (
    BIAS,
    BIAS_RELU,
    RELU_MASK,
    SGD,
    STORE,
    matmul,
    naive_matmul,
)
from mlp.gemm.product import Right
from mlp.runtime.caches import Caches
from mlp.runtime.memory import Buffer, Ptr
from mlp.runtime.threads import Team


def tolerance[dt: DType](k: Int) -> Float64:
    """Largest error of a sum of k products of numbers in [-1, 1), plus an epilogue.

    k + 2 roundings of partial sums that stay near 1: a few eps each is generous for a correct
    kernel, and far below the 0.3 or so that one product lost or doubled makes.
    """
    comptime eps = 1.2e-7 if dt == DType.float32 else 2.3e-16
    return 2 * eps * Float64(k + 2)


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
                t" {team.threads} l2 {team.caches.l2_bytes}: row {(i - GUARD) // ldc},"
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
                var l2_bytes = 1 << (10 + 5 * (turn % 3))
                team.caches = Caches(l2_bytes // 16, l2_bytes)
                check[
                    dt, variant % 2 == 1, variant // 2 % 2 == 1, variant // 4
                ](memory, team, random_shape(70, 300), kind)


def check_parts[
    dt: DType, tb: Bool, epilogue: Int
](memory: Memory, mut team: Team) raises:
    """Compare a product whose right operand lies in parts with that of the whole one."""
    comptime W = simd_width_of[dt]()
    var shape = random_shape(70, 300)
    var m = Int(random_si64(1, 3)) if random_si64(0, 1) == 0 else shape.m
    var n = shape.n
    var k = shape.k
    var beside = Int(random_si64(0, 4))
    var tail_rows = Int(random_si64(0, Int64(min(k, 4)))) if tb else 0
    var ldb = (k - tail_rows if tb else n) + shape.gap_b
    var ld_beside = k + shape.gap_a
    var ld_tail = n + shape.gap_aux
    var width = n + beside
    var a = fill[dt](memory.a, m, k, k, INTEGERS)
    var whole = Buffer[Scalar[dt]](k * width)
    for i in range(k * width):
        whole[i] = element[dt](INTEGERS)
    # Not transposed, the last row may be read to the end of its last vector.
    var rows = n if tb else k
    var last = k - tail_rows if tb else (n + W - 1) // W * W
    var b = fill[dt](memory.b, 1, (rows - 1) * ldb + last, 1, INTEGERS)
    for p in range(k - tail_rows):
        for j in range(n):
            b[unsafe_offset=j * ldb + p if tb else p * ldb + j] = whole[
                p * width + j
            ]
    var count = (beside - 1) * ld_beside + k if beside > 0 else 0
    var start = fill[dt](memory.beside, 1, count, count, INTEGERS)
    for j in range(beside):
        for p in range(k):
            start[unsafe_offset=j * ld_beside + p] = whole[p * width + n + j]
    count = (tail_rows - 1) * ld_tail + n if tail_rows > 0 else 0
    var tail = fill[dt](memory.tail, 1, count, count, INTEGERS)
    for p in range(tail_rows):
        for j in range(n):
            tail[unsafe_offset=p * ld_tail + j] = whole[
                (k - tail_rows + p) * width + j
            ]
    var aux = fill[dt](memory.aux, m, width, width, INTEGERS)
    var c = memory.c.place[dt](m * width, True)
    var want = memory.want.place[dt](m * width, True)
    var right = Right(b, ldb, beside=Columns(start, ld_beside, beside))
    comptime if tb:
        right = Right(
            b,
            ldb,
            tail=tail,
            tail_rows=tail_rows,
            ld_tail=ld_tail,
            beside=Columns(start, ld_beside, beside),
        )
    matmul[dt, False, tb, epilogue](
        team, m, n, k, a, k, right, c, width, aux, width, 0
    )
    naive_matmul[dt, False, False, epilogue](
        m, width, k, a, k, whole.start, width, want, width, aux, width, 0
    )
    _ = whole.count  # the memory lives until here
    for i in range(m * width):
        if c[unsafe_offset=i] != want[unsafe_offset=i]:
            raise Error(
                t"{dt} transposed {tb} epilogue {epilogue} m {m} n {n} k {k}"
                t" beside {beside} tail {tail_rows} threads {team.threads} l2"
                t" {team.caches.l2_bytes}: row {i // width}, column {i % width}:"
                t" {c[unsafe_offset=i]} is not {want[unsafe_offset=i]}"
            )


def test_right_operands_in_parts() raises:
    """Check columns beside the others, last rows apart, and rows that may be read whole."""
    var memory = Memory()
    comptime for dt in [DType.float64, DType.float32]:
        for turn in range(240):
            var team = Team(1 + turn % 3)
            team.work_per_thread = 1
            var l2_bytes = 1 << (10 + 5 * (turn // 3 % 3))
            team.caches = Caches(l2_bytes // 16, l2_bytes)
            comptime for tb in [False, True]:
                comptime for epilogue in [BIAS, BIAS_RELU, RELU_MASK]:
                    check_parts[dt, tb, epilogue](memory, team)


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
    team.caches.l2_bytes = (
        1 << 55
    )  # asks for a block of A that no machine can hold
    with assert_raises(contains="out of memory"):
        matmul[DType.float64, False, False, STORE](
            team, 1 << 40, 1, 512, p, 1, (p, 1), p, 1, p, 1, 0
        )
    assert_equal(p[unsafe_offset=0], 5)
    _ = arena^  # its memory lives until here
    # The team is still good.
    team.caches.l2_bytes = 1 << 20
    check[DType.float64, False, False, STORE](
        Memory(), team, Shape(9, 9, 9, 0, 0, 0, 0), INTEGERS
    )


def main() raises:
    seed(1)
    TestSuite.discover_tests[__functions_in_module()]().run()
