"""The commands that train and predict, for people who look. They parse and print, nothing else."""

from __future__ import annotations

import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.app import app, build_mojo, epilog
from bench.cli.options import DTypeName
from bench.model.cases import parse_layers
from bench.model.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
) -> None:
    """Train both on the same data, watch it, and see what they learned: a figure, and the weights.

    First both are held to the table of parity on this data. Then NumPy is trained and then Mojo.
    This is for looking: the wall times are one reading each, and `bench run` is what measures.
    """
    from bench.cli.terminal.console import show_lines
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
        show_lines(
            [f"NumPy and Mojo do not compute the same, so nothing was trained: {parity.reason}"]
        )
        raise typer.Exit(1)
    sides = _train_both(task, settings)
    _show(task, settings, sides, folder)
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
) -> None:
    """Compute what a trained network makes of rows of inputs, in the units of its data."""
    from bench.cli.terminal.console import show_lines
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
    from bench.cli.terminal.console import console
    from bench.cli.terminal.progress import ScreenProgress
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


def _show(task: Task, settings: Settings, sides: list[Side], folder: Path) -> None:
    """Write the figure and the weights; say what came of it and where they are."""
    from bench.cli.terminal.console import show_lines, show_table
    from bench.model.numbers import significant
    from bench.model.tables import Table
    from bench.report.charts.training import outcome, training_chart
    from bench.storage.atomic_files import write_whole
    from bench.training.train import has_run_away
    from bench.training.weights import save_weights

    chart = training_chart(task, settings, sides)
    figure = folder / "training.svg"
    try:
        write_whole(figure, f"{chart.svg}\n".encode())
    except OSError as error:
        raise UsageError(f"{figure} cannot be written: {error.strerror}") from error
    files = [folder / f"{side.name.lower()}.npz" for side in sides]
    heads = ("network", "wall time", "last training loss", "last validation loss", "test rows")
    rows = []
    batches = len(task.data.X) // settings.batch_size
    for side, file in zip(sides, files, strict=True):
        save_weights(file, side.weights)
        losses = (side.training_loss[-batches:], side.validation_loss[-batches:])
        rows.append(
            (
                side.name,
                f"{significant(side.seconds)} s",
                *(significant(_mean(loss)) for loss in losses),
                outcome(task, side),
            )
        )
    show_table(Table(heads, rows))
    lines = [f"Data: {task.title}. {chart.caption}"]
    lines += [
        f"{side.name}'s training ran away: a loss is not finite; give a smaller --rate"
        for side in sides
        if has_run_away(side)
    ]
    show_lines(lines)
    show_lines([str(path) for path in (figure, *files)], whole=True)


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
