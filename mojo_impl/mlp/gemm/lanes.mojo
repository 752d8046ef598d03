"""Says how to shuffle vectors by lanes: pieces of 16 bytes within which shuffles are cheap.

Wide vectors of x86 are several of them side by side; a vector of NEON is one.
"""
from std.sys import size_of
from std.utils import IndexList

comptime LANE[dt: DType] = 16 // size_of[Scalar[dt]]()
"""Elements of a lane.

Parameters:
    dt: Type of the elements.
"""


def interleaved[
    dt: DType, size: Int, count: Int, *, upper: Bool
]() -> IndexList[size]:
    """Say how to interleave the lower or the upper halves of the lanes of two vectors.

    Parameters:
        dt: Type of the elements.
        size: Elements of a vector.
        count: How many elements of one vector come before those of the other.
        upper: Whether to take the upper halves.

    Returns:
        The mask of the shuffle.
    """
    var mask = IndexList[size]()
    for i in range(size):
        var group = i % LANE[dt] // count
        mask[i] = (
            i // LANE[dt] * LANE[dt]
            + Int(upper) * LANE[dt] // 2
            + group // 2 * count
            + i % count
            + group % 2 * size
        )
    return mask


def every_other_lane[dt: DType, size: Int, *, odd: Bool]() -> IndexList[size]:
    """Say how to take the even or the odd lanes of two vectors, which have two lanes or more.

    Parameters:
        dt: Type of the elements.
        size: Elements of a vector.
        odd: Whether to take the odd lanes.

    Returns:
        The mask of the shuffle.
    """
    var mask = IndexList[size]()
    for i in range(size):
        mask[i] = (2 * (i // LANE[dt]) + Int(odd)) * LANE[dt] + i % LANE[dt]
    return mask
