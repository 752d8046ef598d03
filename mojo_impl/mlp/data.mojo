"""Names the arrays that a caller hands to a network: data sets, and one array per layer."""
from mlp.runtime.memory import Ptr

comptime Arrays[dt: DType] = Pointer[Ptr[dt], MutUntrackedOrigin]
"""One array per layer.

Parameters:
    dt: Type of the elements.
"""


@fieldwise_init
struct DataSet[dt: DType](ImplicitlyCopyable):
    """Inputs and targets that belong together; memory of the caller.

    Parameters:
        dt: Type of every element.
    """

    var X: Ptr[Self.dt]
    """(n, in)."""
    var y: Ptr[Self.dt]
    """(n, out)."""
    var rows: Int
    """Their n; 0 where there is no such data."""
