"""What the program may be asked: its options, read and checked, and its help."""
from std.collections import Optional
from std.ffi import external_call

from mlp.runtime.threads import MAX_THREADS
from standalone.files.files import shown

comptime HELP = """train: train a multi-layer perceptron, in Mojo alone

Usage: train [--OPTION VALUE]...

Dense layers with ReLU between them, a linear output, squared error, plain minibatch SGD. The same
seed gives the same training as the classes MLP of mojo_impl (bit for bit) and of python_impl.
Without options: the noisy sinc that the benchmark trains on, for 1000 epochs.

Network and training
  --layers SIZES    Width of the input, each hidden layer and the output; 50x9 is nine of 50.
                    Must fit the data. [of sinc: 1,50x9,1; else it must be given]
  --rate NUMBER     Learning rate, from 0. [0.01]
  --epochs N        Passes over the data, from 0. [1000]
  --batch N         Rows of a batch; the rows of the data beyond whole batches sit out an epoch,
                    others each time. [20]
  --seed N          Of weights and shuffles, 0 to 4294967295. [1]
  --dtype TYPE      float64 or float32, of all numbers. [that of --data; else float64]
  --threads N       How many threads compute, 1 to 1024; results do not depend on it. [1]

Data: a file of inputs and one of targets, or else sinc
  --data FILE       Inputs, (rows, columns): a .npy file of float64 or float32, little-endian, in
                    C order, as numpy.save writes it. Needs --targets.
  --targets FILE    Targets, (rows, columns), of the same dtype.
  --validation-data FILE, --validation-targets FILE
                    Data of the validation loss: after each batch, the loss on as many rows,
                    those at the place of the batch in the epoch.
  --rows N          Of sinc: points in each of its two parts. [500]
  --data-seed N     Of sinc: seed of its points, 0 to 4294967295. [0]
  --no-validation   Of sinc: leave its validation loss out.

Results
  --out FOLDER      Write there, in place of what has these names: history.csv (a batch a line),
                    history.json (all losses and settings), weights_0.npy and biases_0.npy of the
                    first layer, weights_1.npy and so on. [nothing is written]
  --progress WHEN   A line on standard error with epoch, loss and time left: auto (if that is a
                    terminal), always, never. [auto]
  -h, --help        This text.
  --worker          Alone: answer a benchmark's requests, a line of JSON each, on standard input.

Exit codes: 0 done. 1 the training failed: a loss is not finite, memory ran out, or results could
not be written. 2 the command, or a file that it names, is wrong.

Examples
  train --out fit
  train --layers 64,128x2,10 --data X.npy --targets y.npy --batch 32 --epochs 20 --threads 2
"""
"""What `--help` prints."""

comptime _MOST_DIGITS = 18  # a number of that many is below 2**63
comptime _MOST_LAYERS = 10_000  # more is taken for a mistake


struct Options(Movable):
    """What was asked, each part checked by itself."""

    var help: Bool
    """Whether only the help is wanted."""
    var layers: List[Int]
    """Widths, from the input to the output."""
    var rate: Float64
    """Learning rate."""
    var epochs: Int
    """Passes over the data."""
    var batch: Int
    """Rows of a batch."""
    var seed: Int
    """Of weights and shuffles."""
    var dtype: String
    """The name of a dtype, `float64` or `float32`; empty: that of the data."""
    var threads: Int
    """How many threads compute."""
    var data: String
    """File of inputs; empty: sinc."""
    var targets: String
    """File of targets."""
    var validation_data: String
    """File of validation inputs; empty: none."""
    var validation_targets: String
    """File of validation targets."""
    var rows: Int
    """Points of a part of sinc."""
    var data_seed: Int
    """Seed of sinc."""
    var no_validation: Bool
    """Whether sinc is without validation loss."""
    var out: String
    """Folder of results; empty: none."""
    var progress: String
    """The words `auto`, `always` or `never`."""
    var _given: List[String]

    def __init__(out self, words: List[String]) raises:
        """Read the words of a command.

        Args:
            words: Those after the program's name.

        Raises:
            When one is not known or out of range, or two do not go together.
        """
        self.help = False
        self.layers = List[Int]()
        self.rate = 0.01
        self.epochs = 1000
        self.batch = 20
        self.seed = 1
        self.dtype = ""
        self.threads = 1
        self.data = ""
        self.targets = ""
        self.validation_data = ""
        self.validation_targets = ""
        self.rows = 500
        self.data_seed = 0
        self.no_validation = False
        self.out = ""
        self.progress = "auto"
        self._given = List[String]()
        var place = 0
        while place < len(words):
            var name = words[place]
            if name == "--help" or name == "-h":
                self.help = True
                return
            var value = Optional[String](None)
            var equals = name.find("=")
            if name.startswith("--") and equals > 0:
                value = _rest(name, equals + 1)
                name = _before(name, equals)
            if name == "--no-validation":
                if value:
                    raise Error("--no-validation takes no value")
            elif not _is_known(name):
                if name.startswith("-"):
                    raise Error(
                        "there is no option ",
                        shown(name),
                        "; train --help names them",
                    )
                raise Error(
                    "what is meant by '",
                    shown(name),
                    "'? Values stand behind an option: train --help",
                )
            elif not value:
                place += 1
                if place == len(words):
                    raise Error(
                        name, " needs a value; train --help tells which"
                    )
                value = words[place]
            place += 1
            if name in self._given:
                raise Error(name, " is given twice; give it once")
            self._given.append(name)
            self._set(name, value.value() if value else "")
        self._check()

    def _set(mut self, name: String, value: String) raises:
        """Take a value."""
        if name == "--layers":
            self.layers = _layers(value)
        elif name == "--rate":
            self.rate = _rate(value)
        elif name == "--epochs":
            self.epochs = _whole(name, value, 0, Int.MAX)
        elif name == "--batch":
            self.batch = _whole(name, value, 1, Int.MAX)
        elif name == "--seed":
            self.seed = _whole(name, value, 0, Int(UInt32.MAX))
        elif name == "--dtype":
            _choice(name, value, ["float64", "float32"])
            self.dtype = value
        elif name == "--threads":
            self.threads = _whole(name, value, 1, MAX_THREADS)
        elif name == "--rows":
            self.rows = _whole(name, value, 1, Int.MAX)
        elif name == "--data-seed":
            self.data_seed = _whole(name, value, 0, Int(UInt32.MAX))
        elif name == "--progress":
            _choice(name, value, ["auto", "always", "never"])
            self.progress = value
        elif name == "--no-validation":
            self.no_validation = True
        elif value == "":
            raise Error(name, " is empty; name a file or a folder")
        elif name == "--data":
            self.data = value
        elif name == "--targets":
            self.targets = value
        elif name == "--validation-data":
            self.validation_data = value
        elif name == "--validation-targets":
            self.validation_targets = value
        else:
            self.out = value

    def _check(mut self) raises:
        """Make sure that the options go together."""
        self._both("--data", "--targets")
        self._both("--validation-data", "--validation-targets")
        if self.data == "":
            if self.validation_data != "":
                raise Error(
                    "--validation-data is for data from files: give --data and"
                    " --targets too"
                )
            if len(self.layers) == 0:
                self.layers = [1]
                for _ in range(9):
                    self.layers.append(50)
                self.layers.append(1)
            elif self.layers[0] != 1 or self.layers[len(self.layers) - 1] != 1:
                raise Error(
                    "sinc has one input and one output: --layers must begin and"
                    " end with 1; other data comes by --data and --targets"
                )
            return
        for name in ["--rows", "--data-seed", "--no-validation"]:
            if String(name) in self._given:
                raise Error(
                    name,
                    " is for sinc, and --data names other data; leave one out",
                )
        if len(self.layers) == 0:
            raise Error(
                "--layers is missing: data from files does not tell the hidden"
                " layers; such as --layers 3,50,50,1"
            )

    def _both(self, one: String, other: String) raises:
        """Make sure that of two options both are given or neither."""
        if (one in self._given) != (other in self._given):
            var given = one if one in self._given else other
            var missing = other if one in self._given else one
            raise Error(given, " needs ", missing, " beside it")


def _is_known(name: String) -> Bool:
    """Tell whether an option with a value has this name."""
    for known in [
        "--layers",
        "--rate",
        "--epochs",
        "--batch",
        "--seed",
        "--dtype",
        "--threads",
        "--data",
        "--targets",
        "--validation-data",
        "--validation-targets",
        "--rows",
        "--data-seed",
        "--out",
        "--progress",
    ]:
        if name == String(known):
            return True
    return False


def _whole(name: String, value: String, least: Int, most: Int) raises -> Int:
    """Read a whole number."""
    var number = _digits(value)
    if not number:
        raise Error(name, " must be a whole number; got '", shown(value), "'")
    if number.value() < least:
        raise Error(name, " must be at least ", least, "; got ", number.value())
    if number.value() > most:
        raise Error(name, " must be at most ", most, "; got ", number.value())
    return number.value()


def _digits(text: String) -> Optional[Int]:
    """Read digits and nothing else; none where there are other letters, none at all or too many."""
    var value = 0
    var bytes = text.as_bytes()
    if not 1 <= len(bytes) <= _MOST_DIGITS:
        return None
    for byte in bytes:
        var digit = Int(byte) - ord("0")
        if not 0 <= digit <= 9:
            return None
        value = value * 10 + digit
    return value


def _layers(text: String) raises -> List[Int]:
    """Read widths as the benchmark writes them."""
    var sizes = List[Int]()
    for part in text.split(","):
        var whole = String(part)
        var cross = whole.find("x")
        var size = _digits(_before(whole, cross) if cross >= 0 else whole)
        var times = Optional[Int](1)
        if cross >= 0:
            times = _digits(_rest(whole, cross + 1))
        if not size or not times or size.value() < 1:
            raise Error(
                "--layers: '",
                shown(whole),
                "' is no width from 1; write such as 1,50x9,1",
            )
        if times.value() > _MOST_LAYERS - len(sizes):
            raise Error("--layers has more than ", _MOST_LAYERS, " widths")
        for _ in range(times.value()):
            sizes.append(size.value())
    if len(sizes) < 2:
        raise Error(
            "--layers needs two or more widths, of the input and the output;"
            " such as 1,50x9,1"
        )
    return sizes^


def _rate(text: String) raises -> Float64:
    """Read a number as Python does: the nearest double."""
    comptime allowed = StaticString("0123456789.eE+-")
    var good = text != ""
    for byte in text.as_bytes():
        var found = False
        for one in allowed.as_bytes():
            found |= one == byte
        good &= found
    var ended = text + "\0"
    var end = Int(0)
    var start = ended.unsafe_ptr()
    var value = external_call["strtod", Float64](start, Pointer(to=end))
    if not good or end != Int(start) + text.byte_length():
        raise Error("--rate must be a number; got '", shown(text), "'")
    if not 0.0 <= value <= Float64.MAX_FINITE:
        raise Error(
            "--rate must be finite and not negative; got '", shown(text), "'"
        )
    _ = ended^
    return value


def _choice(name: String, value: String, words: List[String]) raises:
    """Make sure that a value is one of some words."""
    if value in words:
        return
    var known = String()
    for place in range(len(words)):
        if place > 0:
            known += " or " if place == len(words) - 1 else ", "
        known += words[place]
    raise Error(name, " must be ", known, "; got '", shown(value), "'")


def _before(text: String, place: Int) -> String:
    """Return what stands before a place."""
    return String(unsafe_from_utf8=text.as_bytes()[0:place])


def _rest(text: String, place: Int) -> String:
    """Return what stands from a place on."""
    return String(unsafe_from_utf8=text.as_bytes()[place:])
