"""The commands that train and predict; no benchmark. They parse and print, nothing else."""

from __future__ import annotations

import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.app import app, build_mojo, epilog
from bench.cli.options import DTypeName
from bench.cli.output import JsonOption, emit
from bench.model.cases import parse_layers
from bench.model.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.cli.documents import Trained
    from bench.model.records import ParityResult
    from bench.report.elements.chart import Chart
    from bench.training.datasets import Task
    from bench.training.train import Settings, Side

    Array = NDArray[Any]

DatasetName = StrEnum("DatasetName", ["sinc", "digits", "diabetes"])
SideName = StrEnum("SideName", ["numpy", "mojo"])
NAMES = {"numpy": "NumPy", "mojo": "Mojo"}

TRAIN_CODES = (
    "**Exit codes:** 0 done · 1 the two do not compute the same, or a training ran away · 2 the "
    "command is wrong, or scikit-learn is missing · 3 the Mojo library did not compile · "
    "130 interrupted"
)
PREDICT_CODES = (
    "**Exit codes:** 0 done · 2 the command, or a file that it names, is wrong · 3 the Mojo "
    "library did not compile"
)


@app.command(
    name="train",
    epilog=epilog(
        "bench train",
        "bench train --dataset digits --epochs 50",
        "bench train --layers 1,20x3,1 --rate 0.02 --dtype float32",
        codes=TRAIN_CODES,
    ),
)
def train_command(
    dataset: Annotated[
        DatasetName,
        typer.Option(
            "--dataset",
            metavar="NAME",
            help="**sinc**: made from a seed; **digits**, **diabetes**: real data that comes with "
            "scikit-learn.",
        ),
    ] = DatasetName.sinc,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers", metavar="SIZES", help="Another network, such as 1,20x3,1. [default: usual]"
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            metavar="N",
            min=1,
            help="Passes over the data. [default: sinc 1000, digits 200, diabetes 100]",
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch", metavar="N", min=1, help="Rows per batch. [default: 20, digits 32]"
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option("--rate", metavar="NUMBER", min=0.0, help="Learning rate.")
    ] = 0.01,
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Of weights and shuffles."),
    ] = 1,
    dtype: Annotated[
        DTypeName, typer.Option("--dtype", metavar="TYPE", help="float64 or float32.")
    ] = DTypeName.float64,
    threads: Annotated[
        int, typer.Option("--threads", metavar="N", min=1, help="Threads, the same on both sides.")
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where to write. [default: results/train-NAME]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train both on the same data and show what they learned: a figure, and the weights.

    Checks parity on this data first, then trains NumPy, then Mojo. Wall times are one reading
    each; to measure, use `bench run`.
    """
    from bench.cli.terminal.text import show_lines
    from bench.training.datasets import task as task_of
    from bench.training.train import Settings, has_run_away, problem_of, same_tensors

    if not math.isfinite(rate):
        raise UsageError("--rate must be a finite number")
    task = _with_layers(
        task_of(str(dataset), "float64" if dtype == "float64" else "float32"), layers
    )
    settings = Settings(rate, epochs or task.epochs, batch or task.batch_size, seed, threads)
    problem_of(task, settings)
    folder = out or Path("results") / f"train-{dataset}"
    _make(folder)
    build_mojo()
    parity = same_tensors(task, settings)
    if not parity.ok:
        words = f"NumPy and Mojo do not compute the same, so nothing was trained: {parity.reason}"
        if as_json:
            from bench.cli.documents import Trained

            emit(Trained(False, parity, (), None))
        else:
            show_lines([words])
        raise typer.Exit(1)
    sides = _train_both(task, settings)
    chart, files = _keep(task, settings, sides, folder)
    if as_json:
        emit(_document(task, settings, sides, parity, files))
    else:
        _show(task, settings, sides, chart.caption, files)
    raise typer.Exit(int(any(has_run_away(side) for side in sides)))


@app.command(
    name="predict",
    epilog=epilog(
        "bench predict results/train-sinc/mojo.npz --row 0.5 --row 2",
        "bench predict results/train-digits/numpy.npz --data X.npy --out y.npy",
        codes=PREDICT_CODES,
    ),
)
def predict_command(
    weights: Annotated[
        Path,
        typer.Argument(
            metavar="WEIGHTS",
            help="A file that `bench train` wrote, or the folder of the stand-alone program.",
        ),
    ],
    rows: Annotated[
        list[str] | None,
        typer.Option(
            "--row",
            metavar="NUMBERS",
            help="A row of inputs, such as 0.5 or 1,2,3. May be repeated.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="Rows of inputs: a .npy file of floats."),
    ] = None,
    side: Annotated[
        SideName,
        typer.Option("--with", metavar="NAME", help="Who computes: **numpy** or **mojo**."),
    ] = SideName.mojo,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="A .npy file to write. [default: print]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a trained network on input rows, in the units of its data."""
    from bench.cli.terminal.text import show_lines
    from bench.training.train import predict
    from bench.training.weights import load_table, load_weights

    if (data is None) == (not rows):
        raise UsageError("give the inputs by --row, such as --row 0.5, or by --data FILE")
    found = load_weights(weights)
    X = load_table(data) if data is not None else _rows_of(rows or [])
    if side == SideName.mojo:
        build_mojo()
    y = predict(found, X, NAMES[str(side)])
    if out is not None:
        _save(out, y)
    if as_json:
        from bench.cli.documents import Predicted

        rows_of = () if out is not None else tuple(map(tuple, y.tolist()))
        emit(Predicted(rows_of, str(out) if out is not None else None))
        return
    if out is not None:
        show_lines([str(out)], whole=True)
        return
    show_lines([",".join(map(repr, row)) for row in y.tolist()], whole=True)


def _with_layers(task: Task, layers: str | None) -> Task:
    """Put another network in place of the usual one, if it fits the data."""
    from dataclasses import replace

    if layers is None:
        return task
    sizes = parse_layers(layers)
    ends = task.layer_sizes[0], task.layer_sizes[-1]
    if (sizes[0], sizes[-1]) != ends:
        raise UsageError(
            f"--layers must begin with {ends[0]} and end with {ends[1]}, as {task.data.name} has "
            f"so many inputs and outputs; got {layers}"
        )
    return replace(task, layer_sizes=sizes)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from error


def _train_both(task: Task, settings: Settings) -> list[Side]:
    """Train one after the other, and show how far each is."""
    from bench.cli.terminal.progress import ScreenProgress
    from bench.cli.terminal.text import console
    from bench.model.numbers import significant
    from bench.training.train import SIDES, train

    sides = []
    with ScreenProgress(console(sys.stderr)) as progress:
        for name in SIDES:
            progress.stage(name, settings.epochs)

            def watch(epoch: int, loss: float) -> None:
                progress.now(f"epoch {epoch} of {settings.epochs}, loss {significant(loss)}")
                progress.advance(1)

            side = train(name, task, settings, watch)
            sides.append(side)
            progress.note(f"{name}: {settings.epochs} epochs in {significant(side.seconds)} s")
    return sides


def _keep(
    task: Task, settings: Settings, sides: list[Side], folder: Path
) -> tuple[Chart, list[Path]]:
    """Write the figure and the weights; return the chart and all files, the figure first."""
    from bench.report.charts.training import training_chart
    from bench.storage.atomic_files import write_whole
    from bench.training.weights import save_weights

    chart = training_chart(task, settings, sides)
    figure = folder / "training.svg"
    try:
        write_whole(figure, f"{chart.svg}\n".encode())
    except OSError as error:
        raise UsageError(f"{figure} cannot be written: {error.strerror}") from error
    files = [folder / f"{side.name.lower()}.npz" for side in sides]
    for side, file in zip(sides, files, strict=True):
        save_weights(file, side.weights)
    return chart, [figure, *files]


def _last_losses(task: Task, settings: Settings, side: Side) -> tuple[float, float]:
    """Average the training and the validation loss over the last epoch."""
    batches = len(task.data.X) // settings.batch_size
    return _mean(side.training_loss[-batches:]), _mean(side.validation_loss[-batches:])


def _document(
    task: Task, settings: Settings, sides: list[Side], parity: ParityResult, files: list[Path]
) -> Trained:
    from bench.cli.documents import Trained, TrainedSide
    from bench.training.train import has_run_away

    figure, *weights = map(str, files)
    told = tuple(
        TrainedSide(
            side.name, side.seconds, has_run_away(side), *_last_losses(task, settings, side), file
        )
        for side, file in zip(sides, weights, strict=True)
    )
    return Trained(not any(side.ran_away for side in told), parity, told, figure)


def _show(
    task: Task, settings: Settings, sides: list[Side], caption: str, files: list[Path]
) -> None:
    """Say what came of it and where it is."""
    from bench.cli.terminal.text import show_lines, show_table
    from bench.model.numbers import significant
    from bench.model.tables import Table
    from bench.report.charts.training import outcome
    from bench.training.train import has_run_away

    heads = ("network", "wall time", "last training loss", "last validation loss", "test rows")
    rows = [
        (
            side.name,
            f"{significant(side.seconds)} s",
            *map(significant, _last_losses(task, settings, side)),
            outcome(task, side),
        )
        for side in sides
    ]
    show_table(Table(heads, rows))
    ran_away = [
        f"{side.name}'s training ran away: a loss is not finite; give a smaller --rate"
        for side in sides
        if has_run_away(side)
    ]
    show_lines([f"Data: {task.title}. {caption}", *ran_away])
    show_lines([str(path) for path in files], whole=True)


def _mean(losses: Array) -> float:
    """Average those that are there."""
    import numpy as np

    there = losses[~np.isnan(losses)]
    return float(there.mean()) if there.size else float("nan")


def _rows_of(texts: list[str]) -> Array:
    """Read rows of numbers from words of the command."""
    import numpy as np

    try:
        rows = [[float(number) for number in text.split(",")] for text in texts]
    except ValueError:
        raise UsageError(f"--row must be numbers with commas between them; got {texts}") from None
    if len({len(row) for row in rows}) > 1:
        raise UsageError("all rows must have as many numbers as the first one")
    return np.array(rows)


def _save(path: Path, y: Array) -> None:
    import io

    import numpy as np

    from bench.storage.atomic_files import write_whole

    buffer = io.BytesIO()
    np.save(buffer, y, allow_pickle=False)
    try:
        write_whole(path, buffer.getvalue())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
