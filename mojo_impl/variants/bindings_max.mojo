"""The Python extension `mojo_impl._ladder_max`: the variant that needs MAX."""
from std.os import abort
from std.python import PythonObject
from std.python.bindings import PythonModuleBuilder

from variants.bridge import add_network, nothing
from variants.simd import Matrix
from variants.with_max import Max


@export
def PyInit__ladder_max() abi("C") -> PythonObject:
    """Make the module: what Python calls to import it."""
    comptime f64 = DType.float64
    comptime f32 = DType.float32
    try:
        var module = PythonModuleBuilder("_ladder_max")
        module.def_function[nothing]("nothing")
        add_network[Matrix[f64, Max]](
            module, "mojo_impl._ladder_max.MaxFloat64", "max_float64"
        )
        add_network[Matrix[f32, Max]](
            module, "mojo_impl._ladder_max.MaxFloat32", "max_float32"
        )
        return module.finalize()
    except failure:
        abort(String("the module cannot be made: ", failure))
