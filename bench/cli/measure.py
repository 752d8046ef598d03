"""The commands that measure. They parse and print, nothing else.

Results to stdout, progress to stderr.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.app import WORKERS, app, build_mojo, epilog, request_of, slots_for
from bench.cli.options import (
    ClusterOption,
    EnvironmentOption,
    NameOption,
    NoReportOption,
    OutOption,
    PlainOption,
    PresetName,
    ResumeOption,
    RunOptions,
    SlurmOption,
    with_options,
)
from bench.cli.output import JsonOption, emit
from bench.model.errors import UsageError
from bench.model.records import Request
from bench.model.threads import cores

if TYPE_CHECKING:
    from bench.measuring.run_state import Progress
    from bench.model.records import Run
    from bench.workers.process import StartSlot

INTERRUPTED = 130


@app.command(
    epilog=epilog(
        "bench run --preset quick",
        "bench run --layers 8,32,32,1 --batch 16 --dtype float32 --dtype float64",
        "bench run --layers 1024x4 --phase forward --threads 1 --threads 2 --seconds 60",
        "bench run --budget 10m --target 1%",
        "bench run --invocations 30 --seconds 600 --name long",
        "bench run --ladder --preset quick",
        "bench run --resume results/long",
        "bench run --implementation mojo --implementation 'exec:./mlp' --preset quick",
        "bench run --cluster local:3 --preset smoke",
        "bench run --environment np21=numpy==2.1.3 --environment np24=numpy==2.4.6",
        "bench run --plain > log",
    ),
)
@with_options()
def run(
    options: RunOptions,
    out: OutOption = Path("results"),
    name: NameOption = None,
    resume: ResumeOption = None,
    cluster: ClusterOption = None,
    slurm_options: SlurmOption = None,
    environment: EnvironmentOption = None,
    no_report: NoReportOption = False,
    plain: PlainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check, measure, report: the whole path.

    Builds the Mojo library if needed. Checks, tensor by tensor, that all implementations compute
    the same; a case that fails is not timed. Times NumPy, NumPy again (the noise floor) and Mojo
    in turns, in fresh processes for each network and invocation, and saves every reading at once.
    Trains the seed network in each, and measures start-up time, memory and sizes. Writes raw data,
    charts, report.html and report.md to OUT/NAME, and prints a table and a conclusion.

    A ratio is NumPy's time over Mojo's: above 1 Mojo is faster. With --ladder every other variant
    that is installed takes its turns too (`bench list` names them); with --implementation others
    take Mojo's place (docs/adding-an-implementation.md). Ctrl-C ends early and reports what is
    complete.
    """
    from bench.cli.cluster_submit import Submitted, submit
    from bench.cli.terminal.results import show_run

    if resume is not None:
        others = replace(options, implementation=None) != RunOptions()
        if others or name is not None or cluster or slurm_options or environment:
            raise UsageError("--resume goes on with what the run was asked for: no other options")
        path, status = _go_on(resume, options.implementation or [], plain, report=not no_report)
    elif cluster or slurm_options or environment:
        if as_json:
            raise UsageError("--json is of one run; `bench report --json` tells several afterwards")
        words = ["--preset", str(options.preset), *options.words()]
        here = Submitted(cluster, slurm_options, environment or [], out, name, plain)
        raise typer.Exit(submit(words, here))
    else:
        slots = slots_for(options)
        request = request_of(options, slots.specs)
        measured = _measure(
            request, options.command("run"), out, name, slots.start, plain, report=not no_report
        )
        path, status = measured
    if as_json:
        from bench.cli.documents import judged_run

        document = judged_run(path)
        emit(document)
        wrong = not document.ok
    else:
        wrong = not no_report and show_run(path, plain=plain)
    raise typer.Exit(INTERRUPTED if status == "interrupted" else int(wrong))


@app.command(
    epilog=epilog("bench plan --preset full", "bench plan --budget 10m --layers 1024x4 --json"),
)
@with_options()
def plan(
    options: RunOptions,
    as_json: JsonOption = False,
) -> None:
    """Tell what `bench run` with the same options would do, and how long it would take.

    Runs only the pilot of that run, for some seconds, and stores nothing. The time of one
    repetition of each case decides how many make a sample, and how many rounds fit.
    """
    from bench.cli.terminal.progress import ScreenProgress
    from bench.cli.terminal.results import show_plan
    from bench.cli.terminal.text import console
    from bench.measuring.lock import alone
    from bench.measuring.pilot import plan_only
    from bench.measuring.run_state import Edges

    slots = slots_for(options)
    request = request_of(options, slots.specs)
    build_mojo(request.isa, request.workers)
    with alone("bench plan"), ScreenProgress(console(sys.stderr)) as progress:
        found, faults = plan_only(request, progress, Edges(start=slots.start))
    if as_json:
        from bench.cli.documents import planned

        emit(planned(found, faults))
    else:
        show_plan(found, faults)
    raise typer.Exit(int(bool(faults)))


@app.command(
    epilog=epilog(
        "bench roofline",
        "bench roofline --layers 1024x4 --dtype float64 --threads 1 --seconds 60",
        "bench roofline results/reference",
    ),
)
@with_options("layers", "dtype", "threads", "phase", "invocations", "seconds")
def roofline(
    options: RunOptions,
    source: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="Folder of a run to show; without it, measure one."),
    ] = None,
    out: OutOption = Path("results"),
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how near each case comes to the machine's peak, in percent.

    The machine's peak (multiply-adds in registers) is probed beside each network, its bandwidth
    once per number of threads. Otherwise this is `bench run` with the preset roofline, on one
    thread and on as many as there are cores. With RUN it shows a stored run.
    """
    from bench.cli.terminal.results import show_roofline_of

    status = ""
    if source is None:
        asked = replace(options, preset=PresetName.roofline, no_costs=True)
        request = request_of(asked, WORKERS, sorted({1, cores()}))
        source, status = _measure(request, options.command("roofline"), out, name)
    if as_json:
        from bench.cli.documents import roofline as document_of

        document = document_of(source)
        emit(document)
        wrong = not document.ok
    else:
        wrong = show_roofline_of(source)
    raise typer.Exit(INTERRUPTED if status == "interrupted" else int(wrong))


def _measure(
    request: Request,
    command: str,
    out: Path,
    name: str | None,
    start: StartSlot | None = None,
    plain: bool = False,
    report: bool = True,
) -> tuple[Path, str]:
    """Make a run and its report; return its folder and status."""
    from bench.measuring.run_state import Edges
    from bench.measuring.runner import measure

    if name is not None and (Path(name).name != name or name.startswith(".")):
        raise UsageError(f"--name {name!r} is not the name of a folder; write one without / or .")
    started = datetime.now(UTC)
    path = out / (name or f"{started:%Y%m%d-%H%M%S}-{request.preset}")
    edges = Edges(start=start) if start else Edges()

    def work(progress: Progress) -> Run:
        return measure(request, path, started, progress, edges, command=command)

    return path, _take(request, path, work, command, plain, report)


def _go_on(path: Path, names: list[str], plain: bool, report: bool) -> tuple[Path, str]:
    """Go on with a run and make its report; return its folder and status."""
    from bench.measuring.resolve import seated_again
    from bench.measuring.run_state import Edges
    from bench.measuring.runner import resume
    from bench.storage import runs as store

    run = store.load(path).run
    edges = Edges(start=seated_again(run.plan, names))

    def work(progress: Progress) -> Run:
        return resume(path, datetime.now(UTC), progress, edges)

    command = f"bench run --resume {path.name}"
    return path, _take(run.plan.request, path, work, command, plain, report)


def _take(
    request: Request,
    path: Path,
    work: Callable[[Progress], Run],
    command: str,
    plain: bool,
    report: bool,
) -> str:
    """Do the work of a run with the library built and the machine held; return its status."""
    from bench.cli.terminal.progress import ScreenProgress
    from bench.cli.terminal.text import console
    from bench.measuring.lock import alone
    from bench.report.run.build import build

    build_mojo(request.isa, request.workers)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a run as Ctrl-C does
    # A smoke run only checks that all works and gives no verdict: it need not wait for others.
    held = nullcontext() if request.preset == PresetName.smoke else alone(command)
    with held, ScreenProgress(console(sys.stderr, plain=plain)) as progress:
        status = work(progress).status
        if report:
            progress.stage("report", 1)
            build(path)
    return status
