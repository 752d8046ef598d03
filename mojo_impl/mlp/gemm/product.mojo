"""Multiplies two matrices on one thread, in blocks that fit the second-level cache.

Chooses which operands to pack; knows nothing of threads.
"""
from std.sys import simd_width_of

from mlp.gemm.blocks import Blocks
from mlp.gemm.dots import Columns, dot_products
from mlp.gemm.epilogue import SGD, STORE, Result
from mlp.gemm.few_rows import multiply_few_rows
from mlp.gemm.kernel import Ahead, Panel, multiply_panel
from mlp.gemm.pack import pack_a, pack_b
from mlp.gemm.tiles import TILE_VECTORS, WIDEST_TILE, Panels, part
from mlp.runtime.memory import Ptr


comptime _MOST_ROWS_IN_PLACE = 32
"""Fewer rows do not repay packing a large B."""


struct Right[dt: DType](ImplicitlyCopyable):
    """The right operand of a product; some of its last columns may lie elsewhere than the rest.

    Parameters:
        dt: Type of the elements.
    """

    var b: Ptr[Self.dt]
    """B: (k, n), or, transposed, (n, k)."""
    var ldb: Int
    """Elements from row to row of `b`."""
    var whole: Bool
    """Whether the last row of `b`, not transposed, may be read to the end of its last vector."""
    var tail: Ptr[Self.dt]
    """The last rows of op(B), when `b` is transposed and lacks them: (tail_rows, n)."""
    var tail_rows: Int
    """How many of k those are."""
    var ld_tail: Int
    """Elements from row to row of `tail`."""
    var beside: Columns[Self.dt]
    """Columns that follow those of `b`, whole: they have what `tail` has of the others."""

    @implicit
    def __init__(out self, plain: Tuple[Ptr[Self.dt], Int]):
        """Take a plain matrix.

        Args:
            plain: Where it is, and the elements from row to row.
        """
        self.b = plain[0]
        self.ldb = plain[1]
        self.whole = False
        self.tail = plain[0]
        self.tail_rows = 0
        self.ld_tail = 0
        self.beside = Columns(plain[0], 0, 0)

    def __init__(out self, b: Ptr[Self.dt], ldb: Int, *, whole: Bool):
        """Take a matrix that is not transposed.

        Args:
            b: Where it is.
            ldb: Elements from row to row.
            whole: Whether its last row may be read to the end of its last vector.
        """
        self = Self((b, ldb))
        self.whole = whole

    def __init__(
        out self, b: Ptr[Self.dt], ldb: Int, *, beside: Columns[Self.dt]
    ):
        """Take a matrix that is not transposed, whose last row may be read whole, and more columns.

        Args:
            b: Where it is.
            ldb: Elements from row to row.
            beside: The columns.
        """
        self = Self(b, ldb, whole=True)
        self.beside = beside

    def __init__(
        out self,
        b: Ptr[Self.dt],
        ldb: Int,
        *,
        tail: Ptr[Self.dt],
        tail_rows: Int,
        ld_tail: Int,
        beside: Columns[Self.dt],
    ):
        """Take a transposed matrix, not transposed the last rows of op(B), and more columns.

        Args:
            b: Where it is.
            ldb: Elements from row to row.
            tail: Where the last rows are.
            tail_rows: How many there are.
            ld_tail: Elements from one of them to the next.
            beside: The columns.
        """
        self = Self((b, ldb))
        self.beside = beside
        self.tail = tail
        self.tail_rows = tail_rows
        self.ld_tail = ld_tail


@fieldwise_init
struct Product[dt: DType, transpose_a: Bool, transpose_b: Bool](
    ImplicitlyCopyable
):
    """A product, or a block of its C with all of its k.

    Parameters:
        dt: Type of the elements.
        transpose_a: Whether `a` holds A transposed, (k, m).
        transpose_b: Whether the right operand holds B transposed, (n, k).
    """

    var m: Int
    """Rows of C."""
    var n: Int
    """Columns of C, without those beside."""
    var k: Int
    """Length of the sums."""
    var a: Ptr[Self.dt]
    """The left operand."""
    var lda: Int
    """Elements from row to row of `a`."""
    var right: Right[Self.dt]
    """The right operand."""
    var result: Result[Self.dt]
    """Where the product goes."""

    def _a_at(self, i: Int, p: Int) -> Ptr[Self.dt]:
        """Where op(A)[i, p] is."""
        comptime if Self.transpose_a:
            return self.a.unsafe_offset(p * self.lda + i)
        else:
            return self.a.unsafe_offset(i * self.lda + p)

    def _b_at(self, p: Int, j: Int) -> Ptr[Self.dt]:
        """Where op(B)[p, j] is, or would be in the tail."""
        comptime if Self.transpose_b:
            return self.right.b.unsafe_offset(j * self.right.ldb + p)
        else:
            return self.right.b.unsafe_offset(p * self.right.ldb + j)

    def block(self, i: Int, m: Int, j: Int, n: Int) -> Self:
        """Cut out the part of the product that makes a block of C.

        Args:
            i: The first row of the block.
            m: Its rows.
            j: The first column of the block.
            n: Its columns; with the last of them go those beside.

        Returns:
            That part.
        """
        var part = self
        if j + n < self.n:
            part.right.beside.count = 0
        part.m = m
        part.n = n
        part.a = self._a_at(i, 0)
        part.right.b = self._b_at(0, j)
        part.right.tail = self.right.tail.unsafe_offset(j)
        part.result = self.result.at(i, j)
        return part

    def compute(self, blocks: Blocks, scratch: Ptr[Self.dt]):
        """Compute C on this thread.

        Blocks of k outside, of rows of A inside them, then panels of B. A block of A is packed
        when A is large and several panels use it. A panel is packed when A is, when B is
        transposed, when it is large and used by several tiles, or when its last row may not be
        read whole. For a few rows of A a large B is only read, once, along its rows, be they those
        of op(B) or, when it is transposed, its columns.

        Args:
            blocks: How to cut; `blocks.k` is to be the same for all parts of a product.
            scratch: `blocks.room` elements that no other thread uses.
        """
        comptime W = simd_width_of[Self.dt]()
        comptime if Self.transpose_b and not Self.transpose_a:
            var is_simple = self.right.tail_rows == 0 and (
                self.result.epilogue != SGD
            )
            if blocks.dots and is_simple:
                var rows_of_b = Columns(self.right.b, self.right.ldb, self.n)
                self._multiply_as_dots(rows_of_b, 0)
                self._multiply_as_dots(self.right.beside, self.n)
                return
        comptime if not Self.transpose_a and not Self.transpose_b:
            if blocks.stretch > 0:
                self._compute_stretches(blocks.stretch, scratch)
                return
        var vectors = (self.n + W - 1) // W
        var is_far = self.k * self.n > blocks.in_place
        var is_whole = self.right.whole or self.n % W == 0
        var panels = Panels.cut(vectors, WIDEST_TILE, TILE_VECTORS)
        var packs_a = panels.count > 1 and (
            blocks.packs_small or self.m * self.k > blocks.in_place
        )
        var packs_b = packs_a or Self.transpose_b
        packs_b |= is_far and self.m > _MOST_ROWS_IN_PLACE
        var packs_last = packs_b or not is_whole
        var packed_b = scratch
        var packed_a = scratch.unsafe_offset(blocks.k * WIDEST_TILE * W)
        var m_blocks = (self.m + blocks.m - 1) // blocks.m if packs_a else 1
        var k_blocks = 1
        if self.k > blocks.k:
            k_blocks = (self.k + blocks.k - 1) // blocks.k
        var none = Columns(packed_b, 0, 0)
        var takes_along = not packs_a and k_blocks == 1 and panels.count > 0
        for k_block in range(k_blocks):
            var p = 0
            var k = self.k
            if k_blocks > 1:
                p = part(self.k, k_blocks, k_block)
                k = part(self.k, k_blocks, k_block + 1) - p
            for m_block in range(m_blocks):
                var i = 0
                var m = self.m
                if m_blocks > 1:
                    i = part(self.m, m_blocks, m_block)
                    m = part(self.m, m_blocks, m_block + 1) - i
                var a = self._a_at(i, p)
                if packs_a:
                    pack_a[Self.dt, Self.transpose_a](
                        m, k, a, self.lda, packed_a
                    )
                var result = self.result.at(i, 0)
                result.adds = k_block > 0
                if k_block < k_blocks - 1 and result.epilogue != SGD:
                    result.epilogue = STORE
                var v = 0
                for index in range(panels.count):
                    var is_last = index == panels.count - 1
                    var width = panels.width(index)
                    var lanes = min(self.n - (v + width - 1) * W, W)
                    var packs = packs_b or (packs_last and is_last)
                    var panel = Panel[Self.dt](
                        packed_b if packs else self._b_at(p, v * W),
                        width * W if packs else self.right.ldb,
                        lanes,
                        self.right.beside if takes_along and is_last else none,
                    )
                    var ahead = Ahead[Self.dt].nothing(packed_b)
                    if packs_a:
                        if not is_last:
                            ahead = self._ahead(p, k, (v + width) * W)
                        elif k_block + 1 < k_blocks:
                            ahead = self._ahead(p + k, k, 0)
                    var c = result.at(0, v * W)
                    # As a parameter, since a tile must know its registers.
                    comptime for w in range(1, WIDEST_TILE + 1):
                        if width == w:
                            if packs:
                                self._pack_panel[w](
                                    p, k, v * W, lanes, packed_b
                                )
                            if packs_a:
                                multiply_panel[Self.dt, w, True, True, False](
                                    m, k, packed_a, 0, panel, c, ahead
                                )
                            elif is_far and not packs_b:
                                multiply_panel[
                                    Self.dt, w, Self.transpose_a, False, True
                                ](m, k, a, self.lda, panel, c, ahead)
                            else:
                                multiply_panel[
                                    Self.dt, w, Self.transpose_a, False, False
                                ](m, k, a, self.lda, panel, c, ahead)
                    v += width
        comptime if not Self.transpose_a:
            if not takes_along:
                self._multiply_as_dots(self.right.beside, self.n)

    def _compute_stretches(self, stretch: Int, scratch: Ptr[Self.dt]):
        """Compute C, of few rows, on this thread: so many columns at a time, along the rows of B."""
        comptime W = simd_width_of[Self.dt]()
        for j in range(0, self.n, stretch):
            var n = min(stretch, self.n - j)
            multiply_few_rows(
                self.m,
                n,
                self.k,
                self.a,
                self.lda,
                self._b_at(0, j),
                self.right.ldb,
                self.right.whole or n % W == 0,
                self.result.at(0, j),
                scratch,
            )
        self._multiply_as_dots(self.right.beside, self.n)

    def compute_near(self, rows: Int, scratch: Ptr[Self.dt]):
        """Compute C on this thread when `is_near`: what `compute` does then, with nothing to choose.

        Choosing took a small product some 3 % of its time.

        Args:
            rows: How many rows of C to form at once, unless B is transposed: then all.
            scratch: `k` times WIDEST_TILE vectors that no other thread uses.
        """
        if Self.transpose_b or self.m <= rows:
            self._compute_rows(scratch)
            return
        for i in range(0, self.m, rows):
            var m = min(rows, self.m - i)
            self.block(i, m, 0, self.n)._compute_rows(scratch)

    def _compute_rows(self, scratch: Ptr[Self.dt]):
        comptime W = simd_width_of[Self.dt]()
        var vectors = (self.n + W - 1) // W
        var panels = Panels.cut(vectors, WIDEST_TILE, TILE_VECTORS)
        var is_whole = self.right.whole or self.n % W == 0
        var none = Columns(scratch, 0, 0)
        var nothing = Ahead[Self.dt].nothing(scratch)
        var v = 0
        for index in range(panels.count):
            var is_last = index == panels.count - 1
            var width = panels.width(index)
            var lanes = min(self.n - (v + width - 1) * W, W)
            var packs = Self.transpose_b or (is_last and not is_whole)
            var panel = Panel[Self.dt](
                scratch if packs else self._b_at(0, v * W),
                width * W if packs else self.right.ldb,
                lanes,
                self.right.beside if is_last else none,
            )
            comptime for w in range(1, WIDEST_TILE + 1):
                if width == w:
                    if packs:
                        self._pack_panel[w](0, self.k, v * W, lanes, scratch)
                    multiply_panel[Self.dt, w, Self.transpose_a, False, False](
                        self.m,
                        self.k,
                        self.a,
                        self.lda,
                        panel,
                        self.result.at(0, v * W),
                        nothing,
                    )
            v += width
        comptime if not Self.transpose_a:
            if panels.count == 0:
                self._multiply_as_dots(self.right.beside, self.n)

    def _multiply_as_dots(self, columns: Columns[Self.dt], j: Int):
        """Multiply A with columns that lie along memory; they become those of C from j on."""
        if columns.count > 0:
            dot_products(
                self.m,
                self.k,
                self.a,
                self.lda,
                columns,
                self.result.at(0, j),
            )

    def _pack_panel[
        vectors: Int
    ](self, p: Int, k: Int, j: Int, lanes: Int, packed: Ptr[Self.dt]):
        """Pack rows p to p + k of op(B), some vectors from column j on."""
        comptime W = simd_width_of[Self.dt]()
        var rows = max(0, min(k, self.k - self.right.tail_rows - p))
        pack_b[Self.dt, Self.transpose_b, vectors](
            rows, lanes, self._b_at(p, j), self.right.ldb, packed
        )
        if rows < k:
            var first = p + rows - (self.k - self.right.tail_rows)
            pack_b[Self.dt, False, vectors](
                k - rows,
                lanes,
                self.right.tail.unsafe_offset(first * self.right.ld_tail + j),
                self.right.ld_tail,
                packed.unsafe_offset(rows * vectors * W),
            )

    def _ahead(self, p: Int, k: Int, j: Int) -> Ahead[Self.dt]:
        """Tell where k rows of op(B) lie from row p and column j on."""
        comptime W = simd_width_of[Self.dt]()
        var start = self._b_at(p, j)
        var ldb = self.right.ldb
        comptime if Self.transpose_b:
            return Ahead[Self.dt](start, k // W, W, TILE_VECTORS * ldb, ldb)
        else:
            return Ahead[Self.dt](start, k // W, W * ldb, ldb, W)
