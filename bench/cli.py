"""The command line: parses and prints, nothing else. Results to stdout, progress to stderr.

What is heavy to import is imported where it is used, so that `--help` comes at once.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast

import typer

from bench.cases import PRESETS, case_id, cases_of, flops, parse_layers, preset_problems
from bench.errors import BenchError, BuildError, UsageError
from bench.options import (
    BatchOption,
    DTypeName,
    DTypeOption,
    InvocationsOption,
    LayersOption,
    NameOption,
    NoTrainingOption,
    OutOption,
    PhaseName,
    PhaseOption,
    PresetName,
    PresetOption,
    RowsOption,
    SecondsOption,
    ThreadsOption,
)
from bench.records import PHASES, DType, Phase, Problem, WorkerSpec
from bench.threads import cores

WORKERS = (
    WorkerSpec("numpy", "numpy", "baseline"),
    WorkerSpec("numpy-again", "numpy", "again"),
    WorkerSpec("mojo", "mojo", "candidate"),
)
INTERRUPTED = 130

EXIT_CODES = (
    "**Exit codes:** 0 done · 1 a case is INVALID: it failed parity, or a worker died or "
    "hung; or a rate lies above the machine's peak · 2 the command, or a file it names, is "
    "wrong · 3 the Mojo library did not compile · 4 another run measures on this machine · "
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
    invocations: InvocationsOption = None,
    seconds: SecondsOption = None,
    no_training: NoTrainingOption = False,
    out: OutOption = Path("results"),
    name: NameOption = None,
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
    from bench.showing import show_run

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
    problems = _problems(preset, layers, batch, rows, dtype, threads)
    path, status = _measure("run", preset, problems, _phases(phase), given, out, name)
    invalid = show_run(path)
    raise typer.Exit(INTERRUPTED if status == "interrupted" else int(invalid))


@app.command(
    epilog=_epilog(
        "bench roofline",
        "bench roofline --layers 1024x4 --dtype float64 --threads 1 --seconds 60",
        "bench roofline results/reference",
    ),
)
def roofline(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="Folder of a run to show; without it, measure one."),
    ] = None,
    layers: LayersOption = None,
    dtype: DTypeOption = None,
    threads: ThreadsOption = None,
    phase: PhaseOption = None,
    invocations: InvocationsOption = None,
    seconds: SecondsOption = None,
    out: OutOption = Path("results"),
    name: NameOption = None,
) -> None:
    """Measure how near each case comes to what the machine can do: percent of its peak.

    The machine's peak (multiply-adds in registers) is probed beside each network, its bandwidth
    once per number of threads. Otherwise this is `bench run` with the preset roofline, on one
    thread and on as many as there are cores. With RUN it shows a run that is there.
    """
    from bench.showing import show_roofline_of

    status = ""
    if source is None:
        preset = PresetName.roofline
        given = {
            "--layers": layers,
            "--dtype": dtype,
            "--threads": threads,
            "--phase": phase,
            "--invocations": invocations,
            "--seconds": seconds,
        }
        problems = _problems(preset, layers, None, None, dtype, threads or sorted({1, cores()}))
        source, status = _measure("roofline", preset, problems, _phases(phase), given, out, name)
    wrong = show_roofline_of(source)
    raise typer.Exit(INTERRUPTED if status == "interrupted" else int(wrong))


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
    from bench.showing import show_run

    path = import_file(source, out) if source.is_file() else source
    build(path)
    raise typer.Exit(int(show_run(path)))


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

    problems = _problems(preset, layers, batch, rows, dtype, threads)
    cases = cases_of(problems, _phases(phase), probes=PRESETS[preset].probes)
    if as_json:
        listed = [
            {"id": case_id(case), "flops": flops(case), "phase": case.phase, **asdict(case.problem)}
            for case in cases
        ]
        typer.echo(json.dumps(listed, indent=1))
        return
    show_table(("case", "FLOPs"), [(case_id(case), f"{flops(case):,}") for case in cases])


@app.command(
    epilog=_epilog("bench doctor", "bench doctor --json"),
)
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what this machine can tell about speed and what it cannot, and what to do about it.

    Reads its cores, clock, load and libraries, and times NumPy against itself on the smallest
    network for some seconds: what differs there is noise. Ends with 1 if something is bad: figures
    taken now would mislead.
    """
    from bench.doctor import worst
    from bench.examine import examine
    from bench.lock import alone
    from bench.progress import ScreenProgress
    from bench.screen import console
    from bench.showing import show_findings

    _build_mojo()
    with alone("bench doctor"), ScreenProgress(console(sys.stderr)) as progress:
        found = examine(WORKERS, progress, invocations=4, seconds=8.0)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=1))
    else:
        show_findings(found)
    raise typer.Exit(int(worst(found) == "bad"))


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


def _measure(
    command: str,
    preset: PresetName,
    problems: tuple[Problem, ...],
    phases: tuple[Phase, ...],
    given: Mapping[str, Any],
    out: Path,
    name: str | None,
) -> tuple[Path, str]:
    """Make a run and its report; return its folder and status."""
    from bench.lock import alone
    from bench.progress import ScreenProgress
    from bench.report import build
    from bench.runner import measure
    from bench.screen import console
    from bench.session import Order

    if name is not None and (Path(name).name != name or name.startswith(".")):
        raise UsageError(f"--name {name!r} is not the name of a folder; write one without / or .")
    asked = PRESETS[preset]
    changed = {option for option, value in given.items() if value is not None} - {"--no-training"}
    label = "custom" if changed else str(preset)
    named = {"--preset": preset} if command == "run" else {}
    invocations, seconds = given["--invocations"], given["--seconds"]
    order = Order(
        label,
        cases_of(problems, phases, probes=asked.probes),
        WORKERS,
        asked.invocations if invocations is None else invocations,
        asked.seconds if seconds is None else seconds,
        0 if given.get("--no-training") else asked.training_epochs,
        _command(command, {**named, **given}),
    )
    started = datetime.now(UTC)
    path = out / (name or f"{started:%Y%m%d-%H%M%S}-{label}")
    _build_mojo()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a run as Ctrl-C does
    # What gives no verdict, a check that all works, need not wait for what does.
    held = nullcontext() if preset == PresetName.smoke else alone(order.command)
    with held, ScreenProgress(console(sys.stderr)) as progress:
        status = measure(order, path, started, progress).status
        progress.stage("report", 1)
        build(path)
    return path, status


def _build_mojo() -> None:
    """Compile the Mojo library unless it is up to date; its words reach the user whole."""
    from mojo_impl import build

    try:
        build.build()
    except build.BuildError as error:
        raise BuildError(str(error)) from error
