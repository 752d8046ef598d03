"""Says how a product is cut into blocks that fit the caches."""
from std.sys import simd_width_of, size_of

from mlp.gemm.few_rows import MOST_FEW_ROWS, room_of_few_rows
from mlp.gemm.tiles import MANY_REGISTERS, TILE_ROWS, TILE_VECTORS, WIDEST_TILE
from mlp.runtime.caches import Caches

comptime _MOST_ROWS_OF_DOTS = TILE_ROWS
"""So few do not repay transposing a large B: reading it once, along its rows, is what counts."""

comptime _LEAST_K = 128
"""So many k are never cut in blocks: the epilogue would show."""

comptime _ROWS_AT_ONCE = 16
"""Few enough that each can have its page in the first-level table of pages."""

comptime _MOST_K_OF_WRITING = 24
"""A large C of so short sums takes the time of writing it; longer ones repay packing."""


def is_near[dt: DType](m: Int, n: Int, k: Int, caches: Caches) -> Bool:
    """Say whether a product needs no blocks: there is nothing to cut, nor to pack but what lies
    transposed.

    Parameters:
        dt: Type of the elements.

    Args:
        m: Rows of the product.
        n: Its columns.
        k: Length of its sums.
        caches: Those of the machine.

    Returns:
        Whether both operands are small and the sums short; where C is large, very short.
    """
    var in_place = _in_place[dt](caches)
    var most = _LEAST_K if m * n <= in_place else _MOST_K_OF_WRITING
    return k <= most and max(m, n) * k <= in_place


def rows_at_once[dt: DType](m: Int, n: Int, caches: Caches) -> Int:
    """Say how many rows of C a product that `is_near` forms from side to side before the next.

    A large C of short sums is as fast as it can be written: along its rows, not down its columns.

    Parameters:
        dt: Type of the elements.

    Args:
        m: Rows of the product.
        n: Its columns.
        caches: Those of the machine.

    Returns:
        All rows, or a few where C is too large for the second-level cache.
    """
    return m if m * n <= _in_place[dt](caches) else _ROWS_AT_ONCE


def _in_place[dt: DType](caches: Caches) -> Int:
    return caches.l2_bytes // 4 // size_of[Scalar[dt]]()


@fieldwise_init
struct Blocks(ImplicitlyCopyable):
    """How a product is cut to fit the second-level cache."""

    var k: Int
    """Most k of a block; the same for every share of a product, as it orders the sums."""
    var m: Int
    """Most rows of a packed block of A."""
    var in_place: Int
    """Most elements of an operand that is read in place when used more than once."""
    var packs_small: Bool
    """Whether to pack operands that could be read in place, as C is large and its sums are long."""
    var dots: Bool
    """Whether B, if it is transposed, serves too few rows to repay packing it: each of its rows is
    then multiplied as it lies. The same for every share, too."""
    var stretch: Int
    """How many columns of C to form at once along the rows of B, where it is not transposed and
    serves few rows; else 0. Whether it is 0 is the same for every share, too."""
    var room_of_stretch: Int
    """Elements of scratch for that."""

    @staticmethod
    def choose[dt: DType](m: Int, n: Int, k: Int, caches: Caches) -> Self:
        """Give a block of A three quarters of the second-level cache, and a panel of B a sixteenth.

        Tiles of few rows read their panel so often that it must fit the first-level cache instead.

        Parameters:
            dt: Type of the elements.

        Args:
            m: Rows of the product.
            n: Its columns.
            k: Length of its sums.
            caches: Those of the machine.

        Returns:
            The sizes of the blocks.
        """
        comptime S = size_of[Scalar[dt]]()
        comptime panel_row = TILE_VECTORS * simd_width_of[dt]() * S
        var panel_bytes: Int
        comptime if MANY_REGISTERS:
            panel_bytes = caches.l2_bytes // 16
        else:
            panel_bytes = caches.l1_bytes * 3 // 4
        # Above 512 a block of A gets too few rows.
        var k_most = min(max(panel_bytes // panel_row, _LEAST_K), 512)
        var k_block = max(1, min(k, k_most))
        var in_place = _in_place[dt](caches)
        var m_block = m
        if m * k_block > in_place:  # else no A is packed that is larger
            var m_most = caches.l2_bytes * 3 // 4 // (S * k_block)
            m_block = min(m, max(TILE_ROWS, m_most))
        var is_far = k * n > in_place
        var packs = m * n > in_place and not is_far and k > _MOST_K_OF_WRITING
        var dots = m <= _MOST_ROWS_OF_DOTS and is_far
        var stretch = 0
        if m <= MOST_FEW_ROWS and is_far:
            comptime W = simd_width_of[dt]()
            stretch = max(caches.l1_bytes // 2 // (S * m * W), 1) * W
            stretch = min(stretch, (n + W - 1) // W * W)
        var room = room_of_few_rows[dt](m, stretch)
        return Self(k_block, m_block, in_place, packs, dots, stretch, room)

    def room[dt: DType](self) -> Int:
        """Say how much scratch `Product.compute` needs.

        Parameters:
            dt: Type of the elements.

        Returns:
            So many elements, a multiple of 64.
        """
        comptime panel = WIDEST_TILE * simd_width_of[dt]()
        var packed = self.k * (panel + self.m) + TILE_ROWS
        return (max(packed, self.room_of_stretch) + 63) // 64 * 64
