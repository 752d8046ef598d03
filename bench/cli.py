"""The command line: parses and prints, nothing else. Results to stdout, progress to stderr.

What is heavy to import is imported where it is used, so that `--help` comes at once.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast

import typer

from bench.cases import PRESETS, case_id, cases_of, flops, parse_layers, preset_problems
from bench.errors import BenchError, BuildError, UsageError
from bench.records import PHASES, DType, Phase, Problem, WorkerSpec

PresetName = StrEnum("PresetName", ["smoke", "quick", "default", "full"])
DTypeName = StrEnum("DTypeName", ["float64", "float32"])
PhaseName = StrEnum("PhaseName", ["forward", "backprop", "epoch"])

WORKERS = (
    WorkerSpec("numpy", "numpy", "baseline"),
    WorkerSpec("numpy-again", "numpy", "again"),
    WorkerSpec("mojo", "mojo", "candidate"),
)
INTERRUPTED = 130

EXIT_CODES = (
    "**Exit codes:** 0 done · 1 a case is INVALID: it failed parity, or a worker died or "
    "hung · 2 the command, or a file it names, is wrong · 3 the Mojo library did not compile · "
    "130 interrupted; what was measured is kept and reported"
)


def _epilog(*examples: str) -> str:
    return "\n\n".join(["**Examples**", *(f"`{example}`" for example in examples), EXIT_CODES])


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

WHAT, HOW_LONG, WHERE = "What", "How long", "Where"

PresetOption = Annotated[
    PresetName,
    typer.Option(
        "--preset",
        metavar="NAME",
        rich_help_panel=WHAT,
        help="; ".join(f"**{preset.name}**: {preset.summary}" for preset in PRESETS.values())
        + ". What follows replaces parts of it.",
    ),
]
LayersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--layers",
        metavar="SIZES",
        rich_help_panel=WHAT,
        help="Another network: widths from input to output, such as 1,50x9,1 (50x9 is nine layers "
        "of 50). May be repeated.",
    ),
]
BatchOption = Annotated[
    int | None,
    typer.Option(
        "--batch",
        metavar="N",
        min=1,
        rich_help_panel=WHAT,
        help="Rows per batch. [default: the network's own, or 20]",
    ),
]
RowsOption = Annotated[
    int | None,
    typer.Option(
        "--rows",
        metavar="N",
        min=1,
        rich_help_panel=WHAT,
        help="Training rows. [default: the network's own, or 25 batches and at least 500]",
    ),
]
DTypeOption = Annotated[
    list[DTypeName] | None,
    typer.Option(
        "--dtype",
        metavar="TYPE",
        rich_help_panel=WHAT,
        help="float64 or float32. May be repeated. [default: the preset's]",
    ),
]
ThreadsOption = Annotated[
    list[int] | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        rich_help_panel=WHAT,
        help="Threads, the same on both sides. May be repeated. [default: 1]",
    ),
]
PhaseOption = Annotated[
    list[PhaseName] | None,
    typer.Option(
        "--phase",
        metavar="PHASE",
        rich_help_panel=WHAT,
        help="forward (one batch), backprop (one batch) or epoch. May be repeated. "
        "[default: all three]",
    ),
]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", rich_help_panel=WHERE, help="Folder of the runs.")
]


@app.callback(epilog=EXIT_CODES)
def _bench() -> None:
    """The same neural network in NumPy and in Mojo: does it compute the same, and which is faster?

    `bench run` measures and reports; without options it takes about three minutes.
    """


@app.command(
    epilog=_epilog(
        "bench run --preset quick",
        "bench run --layers 8,32,32,1 --batch 16 --dtype float32 --dtype float64",
        "bench run --layers 1024x4 --phase forward --threads 1 --threads 2 --seconds 60",
        "bench run --invocations 30 --seconds 600 --name long",
    ),
)
def run(
    preset: PresetOption = PresetName.default,
    layers: LayersOption = None,
    batch: BatchOption = None,
    rows: RowsOption = None,
    dtype: DTypeOption = None,
    threads: ThreadsOption = None,
    phase: PhaseOption = None,
    invocations: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            rich_help_panel=HOW_LONG,
            help="Fresh sets of processes; a verdict needs 10. [default: the preset's]",
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            min=0.0,
            rich_help_panel=HOW_LONG,
            help="Time for taking samples; parity, training and report come on top. "
            "[default: the preset's]",
        ),
    ] = None,
    no_training: Annotated[
        bool,
        typer.Option(
            "--no-training",
            rich_help_panel=HOW_LONG,
            help="Leave out the training that draws the loss curves.",
        ),
    ] = False,
    out: OutOption = Path("results"),
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=WHERE,
            help="Name of the run's folder. [default: date, time and preset]",
        ),
    ] = None,
) -> None:
    """Check, measure, report: the whole path.

    Builds the Mojo library if needed. Checks, tensor by tensor, that both implementations compute
    the same; a case that fails is not timed. Times NumPy, NumPy again (the noise floor) and Mojo
    in turns, in fresh processes for each network and invocation, and saves every reading as it
    comes. Trains the seed network in both. Writes raw data, charts, report.html and report.md to
    OUT/NAME, and prints the table and a sentence of conclusion.

    A ratio is NumPy's time over Mojo's: above 1 Mojo is faster. Ctrl-C ends early and reports
    what is complete.
    """
    from bench.progress import ScreenProgress
    from bench.report import build
    from bench.runner import measure
    from bench.screen import console
    from bench.session import Order

    if name is not None and (Path(name).name != name or name.startswith(".")):
        raise UsageError(f"--name {name!r} is not the name of a folder; write one without / or .")
    given = {
        "--layers": layers,
        "--batch": batch,
        "--rows": rows,
        "--dtype": dtype,
        "--threads": threads,
        "--phase": phase,
        "--invocations": invocations,
        "--seconds": seconds,
        "--no-training": no_training,
    }
    asked = PRESETS[preset]
    label = "custom" if any(value is not None for value in list(given.values())[:-1]) else preset
    order = Order(
        label,
        cases_of(_problems(preset, layers, batch, rows, dtype, threads), _phases(phase)),
        WORKERS,
        asked.invocations if invocations is None else invocations,
        asked.seconds if seconds is None else seconds,
        0 if no_training else asked.training_epochs,
        _command("run", {"--preset": preset, **given}),
    )
    started = datetime.now(UTC)
    path = out / (name or f"{started:%Y%m%d-%H%M%S}-{label}")
    _build_mojo()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a run as Ctrl-C does
    with ScreenProgress(console(sys.stderr)) as progress:
        status = measure(order, path, started, progress).status
        progress.stage("report", 1)
        page = build(path).html
    invalid = _show_run(path, page)
    raise typer.Exit(INTERRUPTED if status == "interrupted" else int(invalid))


@app.command(
    name="report",
    epilog=_epilog(
        "bench report results/reference",
        "pytest bench --benchmark-json=speed.json && bench report speed.json",
    ),
)
def report_command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_FILE",
            help="Folder of a run, or a file of pytest-benchmark (which gives no verdicts).",
        ),
    ],
    out: OutOption = Path("results"),
) -> None:
    """Make charts, report.html and report.md again from the raw data of a run."""
    from bench.pytest_import import import_file
    from bench.report import build

    path = import_file(source, out) if source.is_file() else source
    raise typer.Exit(int(_show_run(path, build(path).html)))


@app.command(
    epilog=_epilog(
        "bench parity --preset full",
        "bench parity --layers 7,13,5 --batch 1 --rows 40 --dtype float32",
    ),
)
def parity(
    preset: PresetOption = PresetName.default,
    layers: LayersOption = None,
    batch: BatchOption = None,
    rows: RowsOption = None,
    dtype: DTypeOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Check, tensor by tensor, that both implementations compute the same; time nothing."""
    from bench.progress import ScreenProgress
    from bench.runner import check_parity
    from bench.screen import console, show_parity
    from bench.session import Order

    cases = cases_of(_problems(preset, layers, batch, rows, dtype, threads))
    _build_mojo()
    with ScreenProgress(console(sys.stderr)) as progress:
        results, faults = check_parity(Order(preset, cases, WORKERS), progress)
    show_parity(results, faults)
    raise typer.Exit(int(bool(faults) or not all(result.ok for result in results)))


@app.command(
    name="list",
    epilog=_epilog(
        "bench list --preset full",
        "bench list --layers 1024x4 --threads 2 --json",
    ),
)
def list_command(
    preset: PresetOption = PresetName.default,
    layers: LayersOption = None,
    batch: BatchOption = None,
    rows: RowsOption = None,
    dtype: DTypeOption = None,
    threads: ThreadsOption = None,
    phase: PhaseOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the cases that `bench run` would measure: id and arithmetic of one repetition.

    FLOPs are those of the matrix products, 2 M N K each. An id reads phase / layers / batch /
    rows / dtype / threads.
    """
    from bench.screen import show_table

    cases = cases_of(_problems(preset, layers, batch, rows, dtype, threads), _phases(phase))
    if as_json:
        listed = [
            {"id": case_id(case), "flops": flops(case), "phase": case.phase, **asdict(case.problem)}
            for case in cases
        ]
        typer.echo(json.dumps(listed, indent=1))
        return
    show_table(("case", "FLOPs"), [(case_id(case), f"{flops(case):,}") for case in cases])


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; every error of the harness ends here."""
    try:
        app(arguments, prog_name="bench")
        code = 0
    except BenchError as error:
        typer.echo(f"bench: {error}", err=True)
        code = error.exit_code
    sys.exit(code)


def _problems(
    preset: PresetName,
    layers: list[str] | None,
    batch: int | None,
    rows: int | None,
    dtype: list[DTypeName] | None,
    threads: list[int] | None,
) -> tuple[Problem, ...]:
    return preset_problems(
        PRESETS[preset],
        layers=[parse_layers(text) for text in layers or []],
        batch_size=batch,
        rows=rows,
        dtypes=cast("list[DType]", [str(name) for name in dtype or []]),
        threads=threads or [1],
    )


def _phases(names: list[PhaseName] | None) -> tuple[Phase, ...]:
    return cast("tuple[Phase, ...]", tuple(dict.fromkeys(map(str, names)))) if names else PHASES


def _command(name: str, options: Mapping[str, Any]) -> str:
    """Write a command as it would be typed, without where it put its results."""
    parts = ["bench", name]
    for option, value in options.items():
        if value is True:
            parts.append(option)
        elif value is not None and value is not False:
            for one in value if isinstance(value, list) else [value]:
                parts += [option, f"{one:g}" if isinstance(one, float) else str(one)]
    return shlex.join(parts)


def _build_mojo() -> None:
    """Compile the Mojo library unless it is up to date; its words reach the user whole."""
    from mojo_impl import build

    try:
        build.build()
    except build.BuildError as error:
        raise BuildError(str(error)) from error


def _show_run(path: Path, page: Path) -> bool:
    """Print the short report of a run; tell whether a case is INVALID."""
    from bench import stats, store, wording
    from bench.screen import show_results

    stored = store.load(path)
    results = stats.results(stored.run, stored.samples, stored.parity, stored.faults)
    show_results(stored, results)
    typer.echo(f"\n{wording.conclusion(stored.run, results)}\n\nReport: {page}")
    return any(result.verdict and result.verdict.kind == "INVALID" for result in results)
