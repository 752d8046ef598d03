"""What Python calls of the ladder's networks: the same functions for every variant and dtype.

Python has checked all arguments. Arrays come as the address of their first element, dense and in
the network's dtype, and are copied: into the network's own arrays, and out of them.
"""
from std.benchmark import black_box
from std.python import Python, PythonObject
from std.python.bindings import PythonModuleBuilder
from std.sys import simd_width_of

from variants.array import Array
from variants.port import MLP
from variants.timing import time_backprop, time_clock, time_epoch, time_forward


@fieldwise_init
struct Held[Matrix: Array](Movable, Writable):
    """A network as a Python object holds it."""

    var network: MLP[Self.Matrix]

    def write_to(self, mut writer: Some[Writer]):
        """Write what `str` says of it."""
        writer.write("a network of the ladder")

    def write_repr_to(self, mut writer: Some[Writer]):
        """Write what `repr` says of it."""
        self.write_to(writer)


def add_network[
    Matrix: Array
](
    mut module: PythonModuleBuilder, type: StaticString, function: StaticString
) raises:
    """Add a type with its methods, and the function that makes a network of it."""
    module.def_function[make[Matrix]](function)
    _ = (
        module.add_type[Held[Matrix]](type)
        .def_method[reset[Matrix]]("reset")
        .def_method[read[Matrix]]("read")
        .def_method[write[Matrix]]("write")
        .def_method[forward[Matrix]]("forward")
        .def_method[backprop[Matrix]]("backprop")
        .def_method[step[Matrix]]("step")
        .def_method[loss[Matrix]]("loss")
        .def_method[predict[Matrix]]("predict")
        .def_method[epoch[Matrix]]("epoch")
        .def_method[time_phase[Matrix]]("time_phase")
        .def_method[facts[Matrix]]("facts")
    )


def nothing(X: PythonObject) -> PythonObject:
    """Take an array and do nothing: the floor of a call from Python."""
    return PythonObject(None)


def facts[Matrix: Array](self: PythonObject) raises -> PythonObject:
    """Tell (kept, lanes): whether products keep subnormals, and the float64 numbers of a vector."""
    var tiny = Matrix(2, 2)
    var half = Matrix(2, 2)
    for i in range(2):
        tiny[i, i] = Scalar[Matrix.dtype](black_box(2.2250738585072014e-308))
        half[i, i] = 0.5
    return Python.tuple((tiny @ half)[1, 1] > 0, simd_width_of[DType.float64]())


def make[
    Matrix: Array
](layer_sizes: PythonObject, seed: PythonObject) raises -> PythonObject:
    """Make a network with fresh weights."""
    var sizes: List[Int] = []
    for size in layer_sizes:
        sizes.append(Int(py=size))
    return PythonObject(alloc=Held(MLP[Matrix](sizes^, UInt32(Int(py=seed)))))


def reset[Matrix: Array](self: PythonObject) raises:
    """Go back to the initial weights and to the start of the random stream."""
    _network[Matrix](self).reset()


def read[
    Matrix: Array
](
    self: PythonObject,
    kind: PythonObject,
    layer: PythonObject,
    target: PythonObject,
) raises:
    """Copy an array of the network to an address."""
    _copy_out(_own[Matrix](self, kind)[Int(py=layer)], target)


def write[
    Matrix: Array
](
    self: PythonObject,
    kind: PythonObject,
    layer: PythonObject,
    source: PythonObject,
) raises:
    """Copy an array of the network from an address."""
    ref mine = _own[Matrix](self, kind)[Int(py=layer)]
    mine = _copy_in[Matrix](source, mine.rows(), mine.columns())


def forward[
    Matrix: Array
](
    self: PythonObject,
    X: PythonObject,
    n: PythonObject,
    y_hat: PythonObject,
) raises:
    """Compute the output for n rows and keep what `backprop` needs."""
    ref network = _network[Matrix](self)
    var batch = _inputs(network, X, Int(py=n))
    _copy_out(network.forward(batch), y_hat)


def backprop[
    Matrix: Array
](self: PythonObject, y: PythonObject, gradients: PythonObject) raises:
    """Compute the gradients for the last batch: weights and bias of each layer, to addresses."""
    ref network = _network[Matrix](self)
    var n = network.activations[0].rows()
    var found = network.backprop(_outputs(network, y, n))
    for layer in range(len(network.weights)):
        _copy_out(found[0][layer], gradients[2 * layer])
        _copy_out(found[1][layer], gradients[2 * layer + 1])


def step[
    Matrix: Array
](self: PythonObject, gradients: PythonObject, rate: PythonObject) raises:
    """Move every parameter by -rate * gradient, these from addresses as of `backprop`."""
    ref network = _network[Matrix](self)
    var grads_w: List[Matrix] = []
    var grads_b: List[Matrix] = []
    for layer in range(len(network.weights)):
        ref w = network.weights[layer]
        grads_w.append(
            _copy_in[Matrix](gradients[2 * layer], w.rows(), w.columns())
        )
        grads_b.append(
            _copy_in[Matrix](gradients[2 * layer + 1], 1, w.columns())
        )
    network.step(grads_w, grads_b, _scalar[Matrix](rate))


def loss[
    Matrix: Array
](
    self: PythonObject,
    y: PythonObject,
    y_hat: PythonObject,
    n: PythonObject,
) raises -> PythonObject:
    """Return the mean of the squared errors of n rows."""
    ref network = _network[Matrix](self)
    var rows = Int(py=n)
    return PythonObject(
        network.loss(_outputs(network, y, rows), _outputs(network, y_hat, rows))
    )


def predict[
    Matrix: Array
](
    self: PythonObject,
    X: PythonObject,
    n: PythonObject,
    y_hat: PythonObject,
) raises:
    """Compute the output for n rows."""
    ref network = _network[Matrix](self)
    _copy_out(network.predict(_inputs(network, X, Int(py=n))), y_hat)


def epoch[
    Matrix: Array
](
    self: PythonObject,
    data: PythonObject,
    validation: PythonObject,
    batch_size: PythonObject,
    rate: PythonObject,
    losses: PythonObject,
) raises:
    """Train one epoch.

    `data` and `validation`: (X, y, rows). `losses`: (training, validation, batches); no rows of
    validation data, and no validation losses.
    """
    ref network = _network[Matrix](self)
    var rows = Int(py=data[2])
    var rows_val = Int(py=validation[2])
    var batches = Int(py=losses[2])
    var training_loss = List[Float64](length=batches, fill=0)
    var validation_loss = List[Float64](
        length=batches if rows_val > 0 else 0, fill=0
    )
    network.epoch(
        _inputs(network, data[0], rows),
        _outputs(network, data[1], rows),
        _inputs(network, validation[0], rows_val),
        _outputs(network, validation[1], rows_val),
        Int(py=batch_size),
        _scalar[Matrix](rate),
        training_loss,
        validation_loss,
    )
    for batch in range(batches):
        _at[DType.float64](losses[0])[unsafe_offset=batch] = training_loss[
            batch
        ]
    for batch in range(len(validation_loss)):
        _at[DType.float64](losses[1])[unsafe_offset=batch] = validation_loss[
            batch
        ]


def time_phase[
    Matrix: Array
](
    self: PythonObject,
    phase: PythonObject,
    loops: PythonObject,
    data: PythonObject,
    batch_size: PythonObject,
    rate: PythonObject,
    result: PythonObject,
) raises -> PythonObject:
    """Repeat a phase and return the nanoseconds of all repetitions.

    `data`: (X, y, rows). `result`: None, or the address for what the last repetition computed.
    """
    ref network = _network[Matrix](self)
    var name = String(py=phase)
    var n = Int(py=batch_size)
    var X = _inputs(network, data[0], n)
    var y = _outputs(network, data[1], n)
    var computed: List[Matrix] = []
    var elapsed: Int
    if name == "timer":
        elapsed = time_clock(Int(py=loops))
    elif name == "epoch":
        var rows = Int(py=data[2])
        elapsed = time_epoch(
            network,
            _inputs(network, data[0], rows),
            _outputs(network, data[1], rows),
            n,
            _scalar[Matrix](rate),
            Int(py=loops),
        )
    elif name == "forward":
        computed.append(Matrix(0, 0))
        elapsed = time_forward(network, X, Int(py=loops), computed[0])
    elif name == "backprop":
        var grads_w: List[Matrix] = []
        var grads_b: List[Matrix] = []
        elapsed = time_backprop(network, X, y, Int(py=loops), grads_w, grads_b)
        for layer in range(len(grads_w)):
            computed.append(grads_w[layer].copy())
            computed.append(grads_b[layer].copy())
    else:
        raise Error(t"there is no phase {name}")
    if result is not PythonObject(None):
        var target = _at[Matrix.dtype](result)
        for place in range(len(computed)):
            _copy_to(computed[place], target)
            target = target.unsafe_offset(
                computed[place].rows() * computed[place].columns()
            )
    return PythonObject(elapsed)


def _network[
    Matrix: Array
](self: PythonObject) raises -> ref[MutAnyOrigin] MLP[Matrix]:
    """Return the network of a Python object."""
    return self.downcast_value_ptr[Held[Matrix]]()[].network


def _own[
    Matrix: Array
](self: PythonObject, kind: PythonObject) raises -> ref[MutAnyOrigin] List[
    Matrix
]:
    """Return arrays of a network by what they are called."""
    ref network = _network[Matrix](self)
    var name = String(py=kind)
    if name == "weights":
        return network.weights
    if name == "biases":
        return network.biases
    return network.activations


def _inputs[
    Matrix: Array, //
](network: MLP[Matrix], X: PythonObject, n: Int) raises -> Matrix:
    """Copy n rows of inputs."""
    return _copy_in[Matrix](X, n, network.layer_sizes[0])


def _outputs[
    Matrix: Array, //
](network: MLP[Matrix], y: PythonObject, n: Int) raises -> Matrix:
    """Copy n rows of targets or outputs."""
    return _copy_in[Matrix](y, n, network.layer_sizes[len(network.weights)])


def _scalar[Matrix: Array](value: PythonObject) raises -> Scalar[Matrix.dtype]:
    """Return a number in the dtype of the network."""
    return Scalar[Matrix.dtype](Float64(py=value))


def _at[
    dtype: DType
](address: PythonObject) raises -> Pointer[Scalar[dtype], MutUntrackedOrigin]:
    """Return the first element of an array of Python."""
    return Pointer[Scalar[dtype], MutUntrackedOrigin](
        unsafe_from_address=Int(py=address)
    )


def _copy_in[
    Matrix: Array
](source: PythonObject, rows: Int, columns: Int) raises -> Matrix:
    """Copy an array of Python."""
    var array = Matrix(rows, columns)
    var numbers = _at[Matrix.dtype](source)
    for i in range(rows):
        for j in range(columns):
            array[i, j] = numbers[unsafe_offset=i * columns + j]
    return array^


def _copy_out[Matrix: Array, //](array: Matrix, target: PythonObject) raises:
    """Copy to an array of Python."""
    _copy_to(array, _at[Matrix.dtype](target))


def _copy_to[
    Matrix: Array, //
](array: Matrix, target: Pointer[Scalar[Matrix.dtype], MutUntrackedOrigin]):
    """Copy to memory, dense."""
    for i in range(array.rows()):
        for j in range(array.columns()):
            target[unsafe_offset=i * array.columns() + j] = array[i, j]
