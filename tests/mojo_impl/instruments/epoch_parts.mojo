"""Does parts of an epoch of small layers one by one, for the programs that measure them.
"""
from std.sys import simd_width_of
from std.time import perf_counter_ns

from mlp.backward import update_all
from mlp.gemm.dots import Columns, dot_products
from mlp.gemm.epilogue import BIAS, BIAS_RELU, RELU_MASK, SGD, Result
from mlp.gemm.kernel import Ahead, Panel, multiply_panel
from mlp.gemm.product import Product, Right
from mlp.gemm.tiles import TILE_VECTORS, WIDEST_TILE
from mlp.layer import Layer
from mlp.loops import column_sums
from mlp.network import DataSet, Network
from mlp.passes import _multiply_own_inputs
from mlp.runtime.memory import Buffer, Ptr
from mlp.runtime.threads import Team
from mlp.timing.phases import time_epoch
from mlp.timing.probe import time_peak

comptime LOOPS = 50  # batches in a turn
comptime PROBE_FLOPS = 3 << 17
comptime SMALL_RATE = 1e-12  # changes next to nothing: weights stay ordinary numbers

comptime PEAK = 0
comptime FORWARD = 1
comptime STEP = 2
comptime FORWARD_TILES = 3
comptime DELTA_TILES = 4
comptime UPDATE_TILES = 5
comptime TRANSPOSING = 6
comptime DOTS = 7
comptime STRIP = 8
comptime BIASES = 9
comptime EPOCH = 10
comptime COUNT = 11


def median(mut numbers: List[Int]) -> Int:
    sort(numbers)
    return numbers[len(numbers) // 2]


struct Setting[dt: DType](Movable):
    """A network that has seen a batch, and room to pack a transposed operand."""

    var network: Network[Self.dt]
    var X: Buffer[Scalar[Self.dt]]
    var y: Buffer[Scalar[Self.dt]]
    var y_hat: Buffer[Scalar[Self.dt]]
    var packed: Buffer[Scalar[Self.dt]]
    var rows: Int
    var n: Int

    def __init__(
        out self, sizes: List[Int], n: Int, rows: Int, mut team: Team
    ) raises:
        self.network = Network[Self.dt](sizes, 1)
        var stride = self.network.layers[0].input.stride
        self.X = Buffer[Scalar[Self.dt]](rows * stride)
        self.y = Buffer[Scalar[Self.dt]](rows * self.network.width_out)
        self.y_hat = Buffer[Scalar[Self.dt]](n * self.network.width_out)
        for place in range(self.X.count):
            self.X[place] = Scalar[Self.dt](place % 17) / 17
        # Room for the largest operand, packed, whichever it is.
        self.packed = Buffer[Scalar[Self.dt]](self.network._parameters.count)
        self.rows = rows
        self.n = n
        var data = DataSet(self.X.start, self.y.start, rows)
        _ = time_epoch(self.network, team, data, n, SMALL_RATE, 1)

    def inputs(self, place: Int) -> Ptr[Self.dt]:
        """What comes into a layer."""
        return (
            self.X.start if place
            == 0 else self.network.layers[place - 1].output
        )

    def output(self, place: Int, aux: Ptr[Self.dt]) -> Result[Self.dt]:
        """Where the output of a layer goes."""
        var layer = self.network.layers[place]
        if place == self.network.depth - 1:
            var width = self.network.width_out
            return Result(self.y_hat.start, width, BIAS, aux, 0, 0, False)
        return Result(
            layer.output, layer.out.stride, BIAS_RELU, aux, 0, 0, False
        )

    def delta_below(self, place: Int) -> Result[Self.dt]:
        """Where the delta of the layer below goes."""
        var below = self.network.layers[place - 1]
        return Result(
            below.delta,
            below.delta_stride,
            RELU_MASK,
            below.output,
            below.out.stride,
            0,
            False,
        )

    def do[part: Int](mut self, mut team: Team, place: Int) raises:
        """Do one part of one layer."""
        comptime W = simd_width_of[Self.dt]()
        ref layer = self.network.layers[place]
        var is_last = place == self.network.depth - 1
        var inputs = self.inputs(place)
        var ld = layer.input.stride
        var output = self.output(place, layer.biases)
        var main = min(layer.out.main, layer.width_out)
        var columns = Columns(layer.tail, layer.input.stride, layer.out.tail)
        comptime if part == FORWARD_TILES:
            if not is_last:
                main = layer.out.main
            var stride = layer.out.stride
            tiles[False](
                self.n,
                main,
                layer.width_in,
                inputs,
                ld,
                layer.weights,
                stride,
                output,
            )
        elif part == DOTS:
            dot_products(
                self.n,
                layer.width_in,
                inputs,
                ld,
                columns,
                output.at(0, main),
            )
            if place > 0:
                var above = Columns(
                    layer.spare, layer.out.stride, layer.input.tail
                )
                dot_products(
                    self.n,
                    layer.width_out,
                    layer.delta,
                    layer.delta_stride,
                    above,
                    self.delta_below(place).at(0, layer.input.main),
                )
        elif part == UPDATE_TILES:
            var result = Result[Self.dt](
                layer.weights,
                layer.out.stride,
                SGD,
                layer.weights,
                0,
                SMALL_RATE,
                False,
            )
            tiles[True](
                layer.width_in,
                layer.out.main,
                self.n,
                inputs,
                ld,
                layer.delta,
                layer.delta_stride,
                result,
            )
        elif part == STRIP:
            if layer.out.tail > 0:
                _multiply_own_inputs[SGD](
                    layer, self.n, inputs, layer.tail, SMALL_RATE
                )
        elif part == BIASES:
            column_sums[subtract=True](
                layer.delta,
                self.n,
                layer.delta_stride,
                min(layer.delta_stride, layer.out.padded),
                layer.biases,
                SMALL_RATE,
            )
        elif part == TRANSPOSING or part == DELTA_TILES:
            if place == 0:
                return
            var right = Right(
                layer.weights,
                layer.out.stride,
                tail=layer.tail,
                tail_rows=layer.out.tail,
                ld_tail=layer.input.stride,
                beside=Columns(layer.spare, layer.out.stride, 0),
            )
            var result = self.delta_below(place)
            var product = Product[Self.dt, False, True](
                self.n,
                layer.input.main,
                layer.width_out,
                layer.delta,
                layer.delta_stride,
                right,
                result,
            )
            var vectors = layer.input.main // W
            var v = 0
            for index in range(panel_count(vectors)):
                var width = width_of(vectors, index)
                # All panels go to one place, as in the product.
                comptime for w in range(1, WIDEST_TILE + 1):
                    if width == w:
                        comptime if part == TRANSPOSING:
                            product._pack_panel[w](
                                0,
                                layer.width_out,
                                v * W,
                                W,
                                self.packed.start,
                            )
                        else:
                            var none = Columns(self.packed.start, 0, 0)
                            multiply_panel[Self.dt, w, False, False, False](
                                self.n,
                                layer.width_out,
                                layer.delta,
                                layer.delta_stride,
                                Panel(self.packed.start, w * W, W, none),
                                result.at(0, v * W),
                                Ahead.nothing(self.packed.start),
                            )
                v += width

    def time[part: Int](mut self, mut team: Team) raises -> Int:
        """Nanoseconds of a part of all layers, for one batch."""
        comptime if part == PEAK:
            return time_peak[Self.dt](team, PROBE_FLOPS, LOOPS) // LOOPS
        elif part == EPOCH:
            var data = DataSet(self.X.start, self.y.start, self.rows)
            var loops = max(1, LOOPS * self.n // self.rows)
            var rate = Scalar[Self.dt](SMALL_RATE)
            var time = time_epoch(self.network, team, data, self.n, rate, loops)
            return time // (loops * (self.rows // self.n))
        else:
            var start = perf_counter_ns()
            for _ in range(LOOPS):
                comptime if part == FORWARD:
                    self.network.forward(
                        team, self.X.start, self.n, self.y_hat.start
                    )
                    continue
                elif part == STEP:
                    ref layers = self.network.layers
                    var rate = Scalar[Self.dt](SMALL_RATE)
                    update_all(layers, team, self.X.start, self.n, rate)
                    continue
                for at in range(self.network.depth):
                    # From the output to the input, as an epoch does it, all but forward.
                    var place = self.network.depth - 1 - at
                    comptime if part == FORWARD_TILES:
                        place = at
                    self.do[part](team, place)
            return Int(perf_counter_ns() - start) // LOOPS

    def time_layer[
        part: Int
    ](mut self, mut team: Team, place: Int) raises -> Int:
        """Nanoseconds of LOOPS times a part of one layer: it finds all in the first-level cache."""
        var start = perf_counter_ns()
        for _ in range(LOOPS):
            self.do[part](team, place)
        return Int(perf_counter_ns() - start)

    def flops(self) -> Int:
        """Arithmetic of the products of a batch."""
        var sum = 0
        for place in range(self.network.depth):
            var layer = self.network.layers[place]
            var products = 3 if place > 0 else 2
            sum += 2 * products * self.n * layer.width_in * layer.width_out
        return sum


def panel_count(vectors: Int) -> Int:
    """Into how many panels a product divides so many vectors of columns."""
    if vectors <= WIDEST_TILE:
        return min(1, vectors)
    return (vectors + TILE_VECTORS - 1) // TILE_VECTORS


def width_of(vectors: Int, index: Int) -> Int:
    """How many of them a panel has."""
    var panels = panel_count(vectors)
    return vectors // panels + Int(index < vectors % panels)


def tiles[
    dt: DType, //, transpose_a: Bool
](
    m: Int,
    n: Int,
    k: Int,
    a: Ptr[dt],
    lda: Int,
    b: Ptr[dt],
    ldb: Int,
    result: Result[dt],
):
    """The register tiles of a product whose operands are read in place."""
    comptime W = simd_width_of[dt]()
    var none = Columns(b, 0, 0)
    var nothing = Ahead.nothing(b)
    var vectors = (n + W - 1) // W
    var v = 0
    for index in range(panel_count(vectors)):
        var width = width_of(vectors, index)
        comptime for w in range(1, WIDEST_TILE + 1):
            if width == w:
                var lanes = min(W, n - (v + w - 1) * W)
                var panel = Panel(b.unsafe_offset(v * W), ldb, lanes, none)
                multiply_panel[dt, w, transpose_a, False, False](
                    m, k, a, lda, panel, result.at(0, v * W), nothing
                )
        v += width


def percent(part: Float64, whole: Float64) -> Float64:
    return Float64(Int(1000 * part / whole + 0.5)) / 10
