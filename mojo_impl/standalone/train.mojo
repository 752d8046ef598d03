"""The stand-alone program: trains a network without Python in the process; `--help` tells how.

The parts that it puts together are beside it, the network is in `mlp`. All that can be wrong
with a command and its files is told before the training begins.
"""
from std.ffi import external_call
from std.math import isfinite
from std.sys import argv
from std.time import perf_counter_ns

from mlp.data import DataSet
from mlp.network import Network
from mlp.random import RandomState
from mlp.runtime.memory import Plan
from mlp.runtime.threads import Team
from standalone.files.files import make_folder, number_text, shown
from standalone.files.npy import NpyFile, Table
from standalone.history import History, write_results
from standalone.options import HELP, Options
from standalone.progress import Progress, say, seconds_text
from standalone.sinc import draw_sinc
from standalone.worker.worker import serve

comptime DONE = 0
"""Exit code: all is well."""
comptime FAILED = 1
"""Exit code: the training failed."""
comptime WRONG = 2
"""Exit code: the command, or a file that it names, is wrong."""


struct Given[dt: DType](Movable):
    """The data of a training: checked, in memory of its own.

    Parameters:
        dt: Type of every element.
    """

    var X: Table[Self.dt]
    """Inputs."""
    var y: Table[Self.dt]
    """Targets, as many rows."""
    var X_val: Table[Self.dt]
    """Inputs of the validation loss."""
    var y_val: Table[Self.dt]
    """Targets of it, as many rows."""
    var has_validation: Bool
    """Whether there is validation data; else its tables are of one row and mean nothing."""

    def __init__(out self, options: Options) raises:
        """Draw the data, or read it.

        Args:
            options: What was asked.

        Raises:
            When a file is not as it must be, or memory runs out.
        """
        var width_in = options.layers[0]
        var width_out = options.layers[len(options.layers) - 1]
        if options.data == "":
            var plan = Plan[Scalar[Self.dt]]()
            _ = plan.add(options.rows, 1)
            self.has_validation = not options.no_validation
            var rows = options.rows if self.has_validation else 1
            self.X = Table[Self.dt](options.rows, 1)
            self.y = Table[Self.dt](options.rows, 1)
            self.X_val = Table[Self.dt](rows, 1)
            self.y_val = Table[Self.dt](rows, 1)
            var stream = RandomState(UInt32(options.data_seed))
            draw_sinc(stream, self.X, self.y)
            draw_sinc(stream, self.X_val, self.y_val)
            return
        self.X = _read[Self.dt](options.data, width_in, 0)
        self.y = _read[Self.dt](options.targets, width_out, self.X.rows)
        self.has_validation = options.validation_data != ""
        if self.has_validation:
            self.X_val = _read[Self.dt](options.validation_data, width_in, 0)
            self.y_val = _read[Self.dt](
                options.validation_targets, width_out, self.X_val.rows
            )
        else:
            self.X_val = Table[Self.dt](1, 1)
            self.y_val = Table[Self.dt](1, 1)

    def training(self) -> DataSet[Self.dt]:
        """Look at the training data.

        Returns:
            The data, good as long as this value lives.
        """
        return DataSet(self.X.start(), self.y.start(), self.X.rows)

    def validation(self) -> DataSet[Self.dt]:
        """Look at the validation data.

        Returns:
            The data, of no rows where there is none.
        """
        return DataSet(
            self.X_val.start(),
            self.y_val.start(),
            self.X_val.rows if self.has_validation else 0,
        )


def _read[dt: DType](path: String, columns: Int, rows: Int) raises -> Table[dt]:
    """Read a file of numbers, all finite."""
    var table = NpyFile(path).read[dt](columns, rows)
    for row in range(table.rows):
        for column in range(columns):
            var value = table.start()[unsafe_offset=row * columns + column]
            if not isfinite(value):
                raise Error(
                    t"{shown(path)}: holds {value} at row {row}, column"
                    t" {column}; clean the data"
                )
    return table^


def _train[dt: DType](options: Options) raises -> Int:
    """Do what was asked; return the exit code, after it was told why."""
    var given: Given[dt]
    var network: Network[dt]
    var team: Team
    var history: History
    try:
        given = Given[dt](options)
        if options.batch > given.X.rows:
            raise Error(
                t"--batch is {options.batch} but there are only"
                t" {given.X.rows} rows; give a smaller --batch or more data"
            )
        network = Network[dt](options.layers, UInt32(options.seed))
        history = History(
            options.epochs,
            given.X.rows // options.batch,
            given.has_validation,
        )
        team = Team(options.threads)
        if options.out != "":
            make_folder(options.out)
    except error:
        say(String(t"train: {error}\n"))
        return WRONG
    var progress = Progress(options.progress, options.epochs)
    # As Python computes it: in float64, then rounded.
    var rate = Scalar[dt](options.rate / Float64(options.batch))
    var training = given.training()
    var validation = given.validation()
    var batches = history.batches
    var start_ns = perf_counter_ns()
    for epoch in range(options.epochs):
        network.begin_epoch(given.X.rows, options.batch)
        network.train_batches(
            team,
            training,
            validation,
            options.batch,
            rate,
            0,
            batches,
            history.training.start.unsafe_offset(epoch * batches),
            history.validation.start.unsafe_offset(
                epoch * batches if given.has_validation else 0
            ),
        )
        history.epochs = epoch + 1
        history.elapsed_ns = Int(perf_counter_ns() - start_ns)
        if history.failure() >= 0:
            break
        progress.show(epoch + 1, history.mean(history.training, epoch))
    _ = given^
    if options.out != "":
        write_results(options, history, network, training.rows)
    var failure = history.failure()
    if failure >= 0:
        say(
            String(
                t"train: the loss of epoch {history.epochs}, batch"
                t" {failure + 1} is not finite, so the training ended there;"
                t" give a smaller --rate\n"
            )
        )
        return FAILED
    _tell(options, history)
    return DONE


def _tell(options: Options, history: History):
    """Say on standard output what came of it."""
    var time = seconds_text(Float64(history.elapsed_ns) / 1e9)
    print(t"{history.epochs} epochs of {history.batches} batches in {time}")
    if history.epochs > 0:
        var last = history.epochs - 1
        var training = history.mean(history.training, last)
        print(t"mean training loss of the last epoch: {number_text(training)}")
        if history.validation.count > 0:
            var validation = history.mean(history.validation, last)
            print(
                t"mean validation loss of the last epoch: {number_text(validation)}"
            )
    if options.out != "":
        print(t"results are in {shown(options.out)}")


def _run() raises -> Int:
    """Read the command and do it; return the exit code."""
    var words = List[String]()
    for place in range(1, len(argv())):
        words.append(String(argv()[place]))
    if len(words) == 1 and words[0] == "--worker":
        serve()
        return DONE
    var options: Options
    var is_float64 = True
    try:
        options = Options(words)
        if options.help:
            print(HELP, end="")
            return DONE
        if options.dtype != "":
            is_float64 = options.dtype == "float64"
        elif options.data != "":
            is_float64 = NpyFile(options.data).is_float64()
    except error:
        say(String(t"train: {error}\n"))
        return WRONG
    if is_float64:
        return _train[DType.float64](options)
    return _train[DType.float32](options)


def main():
    """Run the program and end the process with its exit code."""
    var code = FAILED
    try:
        code = _run()
    except error:
        say(String(t"train: {error}\n"))
    external_call["exit", NoneType](Int32(code))
