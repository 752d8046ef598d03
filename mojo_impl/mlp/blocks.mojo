"""Says how a product is cut into blocks that fit the caches."""
from std.sys import simd_width_of, size_of

from mlp.caches import Caches
from mlp.tiles import MANY_REGISTERS, TILE_ROWS, TILE_VECTORS, WIDEST_TILE

comptime _MOST_ROWS_OF_DOTS = TILE_ROWS
"""So few do not repay transposing a large B: reading it once, along its rows, is what counts."""


comptime _LEAST_K = 128
"""So many k are never cut in blocks: the epilogue would show."""


def is_near[dt: DType](m: Int, n: Int, k: Int, caches: Caches) -> Bool:
    """Say whether a product needs no blocks: `Blocks.choose` would cut and pack nothing.

    Parameters:
        dt: Type of the elements.

    Args:
        m: Rows of the product.
        n: Its columns.
        k: Length of its sums.
        caches: Those of the machine.

    Returns:
        Whether both operands are small and the sums short.
    """
    return k <= _LEAST_K and max(m, n) * k <= _in_place[dt](caches)


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
    var dots: Bool
    """Whether B, if it is transposed, serves too few rows to repay packing it: each of its rows is
    then multiplied as it lies. The same for every share, too."""

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
        var dots = m <= _MOST_ROWS_OF_DOTS and k * n > in_place
        return Self(k_block, m_block, in_place, dots)

    def room[dt: DType](self) -> Int:
        """Say how much scratch `Product.compute` needs.

        Parameters:
            dt: Type of the elements.

        Returns:
            So many elements, a multiple of 64.
        """
        comptime panel = WIDEST_TILE * simd_width_of[dt]()
        return (self.k * (panel + self.m) + TILE_ROWS + 63) // 64 * 64
