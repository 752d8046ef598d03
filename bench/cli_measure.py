"""The commands that measure. They parse and print, nothing else.

Results to stdout, progress to stderr.
"""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cases import PRESETS, cases_of
from bench.command import WORKERS, app, build_mojo, epilog, phases_of, problems_of
from bench.errors import UsageError
from bench.options import (
    BatchOption,
    DTypeOption,
    InvocationsOption,
    LayersOption,
    NameOption,
    NoTrainingOption,
    OutOption,
    PhaseOption,
    PresetName,
    PresetOption,
    RowsOption,
    SecondsOption,
    ThreadsOption,
)
from bench.records import Phase, Problem
from bench.threads import cores

INTERRUPTED = 130


@app.command(
    epilog=epilog(
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
    problems = problems_of(preset, layers, batch, rows, dtype, threads)
    path, status = _measure("run", preset, problems, phases_of(phase), given, out, name)
    invalid = show_run(path)
    raise typer.Exit(INTERRUPTED if status == "interrupted" else int(invalid))


@app.command(
    epilog=epilog(
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
        problems = problems_of(preset, layers, None, None, dtype, threads or sorted({1, cores()}))
        source, status = _measure("roofline", preset, problems, phases_of(phase), given, out, name)
    wrong = show_roofline_of(source)
    raise typer.Exit(INTERRUPTED if status == "interrupted" else int(wrong))


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
    build_mojo()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a run as Ctrl-C does
    # What gives no verdict, a check that all works, need not wait for what does.
    held = nullcontext() if preset == PresetName.smoke else alone(order.command)
    with held, ScreenProgress(console(sys.stderr)) as progress:
        status = measure(order, path, started, progress).status
        progress.stage("report", 1)
        build(path)
    return path, status
