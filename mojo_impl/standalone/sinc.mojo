"""Makes the data of the seed network: a noisy sinc, the very numbers of `bench/workers/datasets.py`.

From the same stream, in the same order. The sine is that of the C library, as it is there.
"""
from std.ffi import external_call

from mlp.random import RandomState
from mlp.runtime.memory import Buffer
from standalone.files.npy import Table

comptime NOISE = 0.001
"""Standard deviation of what is added to the curve."""
comptime EDGE = 6.0
"""From minus this to this lies x."""
comptime PI = 3.141592653589793
"""The double nearest to it."""


def draw_sinc[
    dt: DType
](mut stream: RandomState, X: Table[dt], y: Table[dt]) raises:
    """Draw a part of the data: first all of x, uniformly, then the noise of all of y.

    Parameters:
        dt: What the numbers are rounded to; they are computed in float64.

    Args:
        stream: Where the draws come from; the parts of the data follow each other in one stream.
        X: Where x goes, (rows, 1).
        y: Where sin(pi x) / (pi x) + 2 with noise goes, (rows, 1).

    Raises:
        When memory runs out.
    """
    var exact = Buffer[Float64](X.rows)
    for row in range(X.rows):
        exact[row] = stream.uniform(-EDGE, EDGE)
        X.start()[unsafe_offset=row] = Scalar[dt](exact[row])
    for row in range(X.rows):
        var value = true_sinc(exact[row]) + NOISE * stream.randn()
        y.start()[unsafe_offset=row] = Scalar[dt](value)


def true_sinc(x: Float64) -> Float64:
    """Compute the curve without noise.

    Args:
        x: Where.

    Returns:
        The value of sin(pi x) / (pi x) + 2, which is 3 at 0.
    """
    if x == 0.0:
        return 3.0
    return external_call["sin", Float64](PI * x) / (PI * x) + 2.0
