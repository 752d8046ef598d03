"""Multiplies matrices: C = op(A) op(B) with an epilogue fused in, in row-major float32 or float64.

    matmul[dt, transpose_a, transpose_b, epilogue](
        team, m, n, k, a, lda, (b, ldb), c, ldc, aux, ldaux, alpha)

op(A) is (m, k): `a` holds (m, k) with `lda` elements from row to row, or, transposed, (k, m).
op(B) is (k, n): `b` holds (k, n) with `ldb` elements from row to row, or, transposed, (n, k). A
`Right` in place of `(b, ldb)` may bring more: columns beside these, which make C so much wider.
C is (m, n) with `ldc` elements from row to row; nothing else of `c` is written. C overlaps neither
A, B nor `aux`; what lies between the rows of `b` may be read, but never matters. Sizes may be 0
(with k = 0 the product is 0); pointers need only the alignment of an element. `epilogue` says
what becomes of an element v of the product:

    STORE       c[i, j] = v                                  aux, alpha unused
    BIAS        c[i, j] = v + aux[j]                         alpha, ldaux unused
    BIAS_RELU   c[i, j] = max(v + aux[j], 0), NaN kept       alpha, ldaux unused
    RELU_MASK   c[i, j] = v * (1 if aux[i, j] > 0 else 0)    aux (m, n), ldaux from row to row
    SGD         c[i, j] = c[i, j] - alpha * v                aux unused

Pass any valid pointer, say `c`, for an unused `aux`. RELU_MASK is a product, so that NaN and
infinity in v give NaN where the mask is 0, as in NumPy. Each element is summed in one order of k,
whatever the number of threads, so results are bitwise the same for all of them. `matmul` raises
only when memory for its scratch runs out, and then before it writes to C.
"""
from std.sys import simd_width_of

from mlp.gemm.blocks import Blocks, is_near, rows_at_once
from mlp.gemm.epilogue import BIAS, BIAS_RELU, RELU_MASK, SGD, STORE, Result
from mlp.gemm.product import Product, Right
from mlp.gemm.tiles import TILE_VECTORS, WIDEST_TILE, part
from mlp.runtime.memory import OutOfMemory, Ptr
from mlp.runtime.threads import Team

# What packing one element costs in multiply-adds, for weighing the shapes of a share.
comptime _PACKING = 8


def matmul[
    dt: DType, transpose_a: Bool, transpose_b: Bool, epilogue: Int
](
    mut team: Team,
    m: Int,
    n: Int,
    k: Int,
    a: Ptr[dt],
    lda: Int,
    right: Right[dt],
    c: Ptr[dt],
    ldc: Int,
    aux: Ptr[dt],
    ldaux: Int,
    alpha: Scalar[dt],
) raises OutOfMemory:
    """Compute C = op(A) op(B) with an epilogue; the module says what each argument means.

    Parameters:
        dt: Type of every element, float32 or float64.
        transpose_a: Whether `a` holds A transposed, (k, m).
        transpose_b: Whether `b` holds B transposed, (n, k).
        epilogue: STORE, BIAS, BIAS_RELU, RELU_MASK or SGD.

    Args:
        team: Threads to use when there is work enough, and their scratch memory.
        m: Rows of C.
        n: Columns of C.
        k: Length of the sums.
        a: The left operand.
        lda: Elements from one row of `a` to the next.
        right: The right operand, or just `(b, ldb)`.
        c: The result, (m, n).
        ldc: Elements from one row of `c` to the next.
        aux: The second input of the epilogue: (n) for a bias, (m, n) for a mask.
        ldaux: Elements from one row of a mask to the next.
        alpha: The factor of SGD.

    Raises:
        When memory for scratch runs out; C is unchanged then.
    """
    comptime assert dt.is_floating_point(), "float32 or float64"
    comptime assert STORE <= epilogue <= SGD, "an epilogue of this module"
    if m <= 0 or n + right.beside.count <= 0:
        return
    var product = Product[dt, transpose_a, transpose_b](
        m,
        n,
        k,
        a,
        lda,
        right,
        Result[dt](
            c,
            ldc,
            epilogue,
            aux,
            ldaux if epilogue == RELU_MASK else 0,
            alpha,
            False,
        ),
    )
    var threads = team.threads_for[dt](m * n * k)
    var near = is_near[dt](m, n, k, team.caches)
    var rows = rows_at_once[dt](m, n, team.caches)
    if threads == 1 and near:
        comptime panel = WIDEST_TILE * simd_width_of[dt]()
        product.compute_near(rows, team.scratch[dt](k * panel))
        return
    var grid = _Grid(1, 1)
    if threads > 1:
        grid = _Grid.choose(
            TILE_VECTORS * simd_width_of[dt](),
            m,
            n,
            threads,
        )
    var blocks = Blocks.choose[dt](m, n, k, team.caches)
    var room = blocks.room[dt]()
    var scratch = team.scratch[dt](room * grid.size())
    if grid.size() == 1:
        product.compute(blocks, scratch)
        return
    var shares = _Shares(
        product, grid, blocks, rows if near else 0, scratch, room
    )
    team.run[_compute_share[dt, transpose_a, transpose_b]](shares, grid.size())


@fieldwise_init
struct _Grid(ImplicitlyCopyable):
    """How the elements of C are shared between threads: each has one block of a grid."""

    var rows: Int
    var columns: Int

    def size(self) -> Int:
        return self.rows * self.columns

    @staticmethod
    def choose(panel: Int, m: Int, n: Int, threads: Int) -> Self:
        """Choose the fastest grid of at most so many threads; columns are shared by the panel.

        Each takes the time of its largest share and of packing its rows of A and columns of B.
        """
        var best = Self(1, 1)
        var least = Int.MAX
        for rows in range(1, threads + 1):
            var columns = threads // rows
            var m_share = -(-m // rows)
            var n_share = -(-n // (panel * columns)) * panel
            var time = m_share * n_share + _PACKING * (m_share + n_share)
            if time < least:
                best = Self(rows, columns)
                least = time
        return best


@fieldwise_init
struct _Shares[dt: DType, transpose_a: Bool, transpose_b: Bool]:
    """What the threads of a product share."""

    var product: Product[Self.dt, Self.transpose_a, Self.transpose_b]
    var grid: _Grid
    var blocks: Blocks
    var rows_at_once: Int  # of a product that is near; else 0
    var scratch: Ptr[Self.dt]
    var room: Int  # elements of scratch for each thread


def _compute_share[
    dt: DType, transpose_a: Bool, transpose_b: Bool
](shares: _Shares[dt, transpose_a, transpose_b], thread: Int):
    """Compute the block of C of one thread."""
    ref grid = shares.grid
    ref product = shares.product
    comptime panel = TILE_VECTORS * simd_width_of[dt]()
    var panels = (product.n + panel - 1) // panel
    var row = thread // grid.columns
    var column = thread % grid.columns
    var i = part(product.m, grid.rows, row)
    var m = part(product.m, grid.rows, row + 1) - i
    var j = part(panels, grid.columns, column) * panel
    var end = part(panels, grid.columns, column + 1) * panel
    # In bounds: each thread has `room` elements of scratch of its own.
    var scratch = shares.scratch.unsafe_offset(thread * shares.room)
    var block = product.block(i, m, j, min(end, product.n) - j)
    if shares.rows_at_once > 0:
        block.compute_near(shares.rows_at_once, scratch)
    else:
        block.compute(shares.blocks, scratch)


def naive_matmul[
    dt: DType, transpose_a: Bool, transpose_b: Bool, epilogue: Int
](
    m: Int,
    n: Int,
    k: Int,
    a: Ptr[dt],
    lda: Int,
    b: Ptr[dt],
    ldb: Int,
    c: Ptr[dt],
    ldc: Int,
    aux: Ptr[dt],
    ldaux: Int,
    alpha: Scalar[dt],
):
    """Compute what `matmul` computes by three plain loops, summed in float64: its oracle.

    Parameters:
        dt: Type of every element, float32 or float64.
        transpose_a: Whether `a` holds A transposed, (k, m).
        transpose_b: Whether `b` holds B transposed, (n, k).
        epilogue: STORE, BIAS, BIAS_RELU, RELU_MASK or SGD.

    Args:
        m: Rows of C.
        n: Columns of C.
        k: Length of the sums.
        a: The left operand.
        lda: Elements from one row of `a` to the next.
        b: The right operand.
        ldb: Elements from one row of `b` to the next.
        c: The result, (m, n).
        ldc: Elements from one row of `c` to the next.
        aux: The second input of the epilogue: (n) for a bias, (m, n) for a mask.
        ldaux: Elements from one row of a mask to the next.
        alpha: The factor of SGD.
    """
    for i in range(m):
        for j in range(n):
            var v = Float64(0)
            for p in range(k):
                var x = a[
                    unsafe_offset=p * lda + i if transpose_a else i * lda + p
                ]
                var y = b[
                    unsafe_offset=j * ldb + p if transpose_b else p * ldb + j
                ]
                v += Float64(x) * Float64(y)
            comptime if epilogue == BIAS or epilogue == BIAS_RELU:
                v += Float64(aux[unsafe_offset=j])
            comptime if epilogue == BIAS_RELU:
                v = 0 if v < 0 else v
            elif epilogue == RELU_MASK:
                v *= Float64(aux[unsafe_offset=i * ldaux + j] > 0)
            elif epilogue == SGD:
                v = Float64(c[unsafe_offset=i * ldc + j]) - Float64(alpha) * v
            c[unsafe_offset=i * ldc + j] = Scalar[dt](v)
