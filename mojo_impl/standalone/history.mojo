"""Keeps the losses of a training, and writes what came of it: history and weights."""
from std.math import isfinite

from mlp.network import Network
from mlp.runtime.memory import Buffer, Plan
from standalone.files.files import OutputFile, number_text
from standalone.files.npy import Table, write_npy
from standalone.options import Options


struct History(Movable):
    """The loss of every batch, in order."""

    var training: Buffer[Float64]
    """Before the step of each batch."""
    var validation: Buffer[Float64]
    """After it; none where there is no validation data."""
    var batches: Int
    """Batches of an epoch."""
    var epochs: Int
    """Epochs that were trained so far."""
    var elapsed_ns: Int
    """Nanoseconds of them."""

    def __init__(
        out self, epochs: Int, batches: Int, with_validation: Bool
    ) raises:
        """Make room.

        Args:
            epochs: Epochs that are to be trained.
            batches: Batches of an epoch.
            with_validation: Whether there is validation data.

        Raises:
            When memory runs out.
        """
        var plan = Plan[Float64]()
        _ = plan.add(epochs, batches)
        self.training = Buffer[Float64](epochs * batches)
        self.validation = Buffer[Float64](
            epochs * batches if with_validation else 0
        )
        self.batches = batches
        self.epochs = 0
        self.elapsed_ns = 0

    def mean(self, losses: Buffer[Float64], epoch: Int) -> Float64:
        """Average the losses of an epoch.

        Args:
            losses: Which.
            epoch: From 0.

        Returns:
            The mean.
        """
        var sum = 0.0
        for batch in range(epoch * self.batches, (epoch + 1) * self.batches):
            sum += losses[batch]
        return sum / Float64(self.batches)

    def failure(self) -> Int:
        """Find a loss that shows that the training ran away.

        Returns:
            The batch of the last epoch with the first training loss that is not finite, or -1.
        """
        for batch in range(self.batches if self.epochs > 0 else 0):
            if not isfinite(
                self.training[(self.epochs - 1) * self.batches + batch]
            ):
                return batch
        return -1


def write_results[
    dt: DType
](options: Options, history: History, network: Network[dt], rows: Int) raises:
    """Write all files of `--out`.

    Parameters:
        dt: Type of the weights.

    Args:
        options: What was asked.
        history: The losses.
        network: The trained network.
        rows: Rows of the training data.

    Raises:
        When one cannot be written.
    """
    _write_csv(options.out + "/history.csv", history)
    _write_json[dt](options, history, rows)
    for place in range(network.depth):
        ref layer = network.layers[place]
        var weights = Table[dt](layer.width_in, layer.width_out)
        layer.read_weights(weights.start())
        write_npy(String(t"{options.out}/weights_{place}.npy"), weights)
        var biases = Table[dt](1, layer.width_out)
        layer.read_biases(biases.start())
        write_npy(String(t"{options.out}/biases_{place}.npy"), biases)


def _write_csv(path: String, history: History) raises:
    """Write a batch a line; numbers in as many digits as tell them from all others."""
    var file = OutputFile(path)
    var validation = history.validation.count > 0
    file.write("epoch,batch,training_loss")
    file.write(",validation_loss\n" if validation else "\n")
    for epoch in range(history.epochs):
        for batch in range(history.batches):
            var place = epoch * history.batches + batch
            file.write(
                epoch + 1,
                ",",
                batch + 1,
                ",",
                number_text(history.training[place]),
            )
            if validation:
                file.write(",", number_text(history.validation[place]))
            file.write("\n")
    file.finish()


def _write_json[
    dt: DType
](options: Options, history: History, rows: Int) raises:
    """Write settings and losses; what JSON has no word for, NaN and infinity, is null."""
    var file = OutputFile(options.out + "/history.json")
    file.write('{"layer_sizes": [')
    for place in range(len(options.layers)):
        file.write(", " if place > 0 else "", options.layers[place])
    file.write('], "learning_rate": ', number_text(options.rate))
    file.write(', "epochs": ', options.epochs)
    file.write(', "trained_epochs": ', history.epochs)
    file.write(', "batch_size": ', options.batch)
    file.write(', "batches": ', history.batches)
    file.write(', "seed": ', options.seed)
    comptime name = "float64" if dt == DType.float64 else "float32"
    file.write(', "dtype": "', name, '", "threads": ', options.threads)
    file.write(', "rows": ', rows)
    if options.data == "":
        file.write(', "data": "sinc", "data_seed": ', options.data_seed)
    else:
        file.write(', "data": "files"')
    file.write(', "elapsed_ns": ', history.elapsed_ns)
    var count = history.epochs * history.batches
    _write_losses(file, "training_loss", history.training, count)
    _write_losses(
        file,
        "validation_loss",
        history.validation,
        min(count, history.validation.count),
    )
    file.write("}\n")
    file.finish()


def _write_losses(
    mut file: OutputFile, name: String, losses: Buffer[Float64], count: Int
):
    """Write a list of losses."""
    file.write(',\n"', name, '": [')
    for place in range(count):
        if place > 0:
            file.write(", ")
        if isfinite(losses[place]):
            file.write(number_text(losses[place]))
        else:
            file.write("null")
    file.write("]")
