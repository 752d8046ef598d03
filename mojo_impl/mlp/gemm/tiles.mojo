"""Says how large register tiles are, and cuts numbers in almost equal parts."""
from std.sys import CompilationTarget

comptime MANY_REGISTERS = (
    CompilationTarget.has_avx512f() or CompilationTarget.has_neon()
)
"""Whether there are 32 vector registers. Older x86 has 16."""

# Of 32 vector registers 24 are for sums, 3 or 4 for vectors of B, the rest for A; of 16, 12 are
# for sums, 3 for B, 1 for A. Enough sums in flight hide the latency of fma.
comptime TILE_ROWS = 8 if MANY_REGISTERS else 4
"""Most rows of a tile of TILE_VECTORS."""
comptime TILE_VECTORS = 3
"""Vectors of a tile where there are many columns."""
comptime WIDEST_TILE = 4 if MANY_REGISTERS else 3
"""Most vectors of a tile when they hold all columns: one panel of 4 beats two of 2."""

comptime _MOST_ROWS = 8
"""Most rows of any tile: a narrow one of less than 8 sums would wait for each of them."""


def tallest_tile(vectors: Int) -> Int:
    """Say how many rows a tile of some vectors may have.

    Args:
        vectors: Vectors of the tile, at most WIDEST_TILE.

    Returns:
        The most rows whose sums fit the registers.
    """
    return min(_MOST_ROWS, TILE_ROWS * TILE_VECTORS // vectors)


@always_inline
def part(total: Int, parts: Int, index: Int) -> Int:
    """Cut a total in almost equal parts, the longer first.

    Args:
        total: What is cut.
        parts: In how many parts.
        index: Which part; `parts` gives the total.

    Returns:
        Where the part starts.
    """
    return index * (total // parts) + min(index, total % parts)


@fieldwise_init
struct Panels(ImplicitlyCopyable):
    """How the columns of a product are cut in panels of almost equal width, the wider first."""

    var count: Int
    """How many panels there are."""
    var narrowest: Int
    """Vectors of the narrowest."""
    var wider: Int
    """How many have one vector more."""

    @staticmethod
    @always_inline
    def cut(vectors: Int, widest: Int, otherwise: Int) -> Self:
        """Leave columns whole or cut them.

        Args:
            vectors: How many vectors the columns are.
            widest: The most vectors of a panel that holds them all.
            otherwise: The most vectors of a panel if there are several.

        Returns:
            The panels; none for no columns.
        """
        if vectors <= widest:
            return Self(min(1, vectors), vectors, 0)
        var count = (vectors + otherwise - 1) // otherwise
        var narrowest = vectors // count
        return Self(count, narrowest, vectors - narrowest * count)

    @always_inline
    def width(self, index: Int) -> Int:
        """Say how wide a panel is.

        Args:
            index: Which one.

        Returns:
            Its vectors.
        """
        return self.narrowest + Int(index < self.wider)
