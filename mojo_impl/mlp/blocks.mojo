"""Says how a product is cut into blocks that fit the second-level cache."""
from std.sys import simd_width_of, size_of

from mlp.tiles import TILE_ROWS, TILE_VECTORS, WIDEST_TILE

comptime _MOST_ROWS_OF_DOTS = TILE_ROWS
"""So few do not repay transposing a large B: reading it once, along its rows, is what counts."""


comptime _LEAST_K = 128
"""So many k are never cut in blocks: the epilogue would show."""


def is_near[dt: DType](m: Int, n: Int, k: Int, l2_bytes: Int) -> Bool:
    """Say whether a product needs no blocks: `Blocks.choose` would cut and pack nothing.

    Parameters:
        dt: Type of the elements.

    Args:
        m: Rows of the product.
        n: Its columns.
        k: Length of its sums.
        l2_bytes: Size of the second-level cache.

    Returns:
        Whether both operands are small and the sums short.
    """
    return k <= _LEAST_K and max(m, n) * k <= _in_place[dt](l2_bytes)


def _in_place[dt: DType](l2_bytes: Int) -> Int:
    return l2_bytes // 4 // size_of[Scalar[dt]]()


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
    def choose[dt: DType](m: Int, n: Int, k: Int, l2_bytes: Int) -> Self:
        """Give a block of A three quarters of the cache and a panel of B a sixteenth.

        Parameters:
            dt: Type of the elements.

        Args:
            m: Rows of the product.
            n: Its columns.
            k: Length of its sums.
            l2_bytes: Size of the second-level cache.

        Returns:
            The sizes of the blocks.
        """
        comptime S = size_of[Scalar[dt]]()
        comptime panel_row = TILE_VECTORS * simd_width_of[dt]() * S
        # Above 512 a block of A gets too few rows.
        var k_most = min(max(l2_bytes // 16 // panel_row, _LEAST_K), 512)
        var k_block = max(1, min(k, k_most))
        var in_place = _in_place[dt](l2_bytes)
        var m_block = m
        if m * k_block > in_place:  # else no A is packed that is larger
            var m_most = l2_bytes * 3 // 4 // (S * k_block)
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
