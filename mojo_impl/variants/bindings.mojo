"""The Python extension `mojo_impl._ladder`: the variants that need nothing but Mojo."""
from std.os import abort
from std.python import PythonObject
from std.python.bindings import PythonModuleBuilder

from variants import port, simd
from variants.bridge import add_network, nothing


@export
def PyInit__ladder() abi("C") -> PythonObject:
    """Make the module: what Python calls to import it."""
    comptime f64 = DType.float64
    comptime f32 = DType.float32
    try:
        var module = PythonModuleBuilder("_ladder")
        module.def_function[nothing]("nothing")
        add_network[port.Matrix[f64]](
            module, "mojo_impl._ladder.PortFloat64", "port_float64"
        )
        add_network[port.Matrix[f32]](
            module, "mojo_impl._ladder.PortFloat32", "port_float32"
        )
        add_network[simd.Matrix[f64]](
            module, "mojo_impl._ladder.SimdFloat64", "simd_float64"
        )
        add_network[simd.Matrix[f32]](
            module, "mojo_impl._ladder.SimdFloat32", "simd_float32"
        )
        return module.finalize()
    except failure:
        abort(String("the module cannot be made: ", failure))
