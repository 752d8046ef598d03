"""The commands that measure. They parse and print, nothing else.

Results to stdout, progress to stderr.
"""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.app import (
    WORKERS,
    app,
    build_mojo,
    epilog,
    phases_of,
    planned,
    problems_of,
    slots_for,
)
from bench.cli.options import (
    BatchOption,
    BudgetOption,
    ClusterOption,
    DTypeOption,
    EnvironmentOption,
    ImplementationOption,
    InvocationsOption,
    IsaOption,
    LadderOption,
    LayersOption,
    NameOption,
    NoCostsOption,
    NoReportOption,
    NoTrainingOption,
    OutOption,
    PhaseOption,
    PlainOption,
    PresetName,
    PresetOption,
    ResumeOption,
    RowsOption,
    SecondsOption,
    SlurmOption,
    TargetOption,
    ThreadsOption,
)
from bench.model.errors import UsageError
from bench.model.presets import PRESETS
from bench.model.records import Phase, Problem, WorkerSpec
from bench.model.threads import cores

if TYPE_CHECKING:
    from bench.measuring.run_state import Order, Progress
    from bench.model.records import Plan, Run
    from bench.workers.process import StartSlot

INTERRUPTED = 130
COST_ROUNDS = 5
NO_CHANGE = {"--no-training", "--no-costs", "--implementation"}
"""What is left out does not make a preset another one, nor does who is measured by it."""


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
def run(
    preset: PresetOption = PresetName.default,
    layers: LayersOption = None,
    batch: BatchOption = None,
    rows: RowsOption = None,
    dtype: DTypeOption = None,
    threads: ThreadsOption = None,
    phase: PhaseOption = None,
    same_isa: IsaOption = None,
    ladder: LadderOption = False,
    implementation: ImplementationOption = None,
    invocations: InvocationsOption = None,
    seconds: SecondsOption = None,
    target: TargetOption = None,
    budget: BudgetOption = None,
    no_training: NoTrainingOption = False,
    no_costs: NoCostsOption = False,
    out: OutOption = Path("results"),
    name: NameOption = None,
    resume: ResumeOption = None,
    cluster: ClusterOption = None,
    slurm_options: SlurmOption = None,
    environment: EnvironmentOption = None,
    no_report: NoReportOption = False,
    plain: PlainOption = False,
) -> None:
    """Check, measure, report: the whole path.

    Builds the Mojo library if needed. Checks, tensor by tensor, that all implementations compute
    the same; a case that fails is not timed. Times NumPy, NumPy again (the noise floor) and Mojo
    in turns, in fresh processes for each network and invocation, and saves every reading as it
    comes. Trains the seed network in each, and takes what each costs besides. Writes raw data,
    charts, report.html and report.md to OUT/NAME, and prints the table and a sentence of
    conclusion.

    A ratio is NumPy's time over Mojo's: above 1 Mojo is faster. With --ladder every other variant
    that is installed takes its turns too (`bench list` names them); with --implementation others
    take Mojo's place (docs/adding-an-implementation.md). Ctrl-C ends early and reports what is
    complete.
    """
    from bench.cli.cluster_submit import Submitted, submit
    from bench.cli.terminal.results import show_run

    given = {
        "--layers": layers,
        "--batch": batch,
        "--rows": rows,
        "--dtype": dtype,
        "--threads": threads,
        "--phase": phase,
        "--same-isa": same_isa,
        "--ladder": ladder,
        "--implementation": _without_folders(implementation),
        "--invocations": invocations,
        "--seconds": seconds,
        "--target": target,
        "--budget": budget,
        "--no-training": no_training,
        "--no-costs": no_costs,
    }
    if resume is not None:
        others = [value for option, value in given.items() if option != "--implementation"]
        if any([name is not None, cluster, slurm_options, environment, *others]):
            raise UsageError("--resume goes on with what the run was asked for: no other options")
        path, status = _go_on(resume, implementation or [], plain=plain, report=not no_report)
    elif cluster or slurm_options or environment:
        words = _command("run", {"--preset": preset, **given, "--implementation": implementation})
        here = Submitted(cluster, slurm_options, environment or [], out, name, plain)
        raise typer.Exit(submit(shlex.split(words)[2:], here))
    else:
        problems = problems_of(preset, layers, batch, rows, dtype, threads)
        slots = slots_for(implementation, preset, ladder)
        order = _order("run", preset, problems, phases_of(phase), given, slots.specs)
        path, status = _measure(order, out, name, slots.start, plain=plain, report=not no_report)
    wrong = not no_report and show_run(path, plain=plain)
    raise typer.Exit(INTERRUPTED if status == "interrupted" else int(wrong))


@app.command(
    epilog=epilog("bench plan --preset full", "bench plan --budget 10m --layers 1024x4 --json"),
)
def plan(
    preset: PresetOption = PresetName.default,
    layers: LayersOption = None,
    batch: BatchOption = None,
    rows: RowsOption = None,
    dtype: DTypeOption = None,
    threads: ThreadsOption = None,
    phase: PhaseOption = None,
    same_isa: IsaOption = None,
    ladder: LadderOption = False,
    implementation: ImplementationOption = None,
    invocations: InvocationsOption = None,
    seconds: SecondsOption = None,
    budget: BudgetOption = None,
    no_training: NoTrainingOption = False,
    no_costs: NoCostsOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what `bench run` with the same options would do, and how long it would take.

    Runs the pilot of that run, some seconds, and nothing else: how long one repetition of each case
    takes decides how many make a sample and how many rounds there are time for. Keeps nothing.
    """
    from bench.cli.terminal.console import console
    from bench.cli.terminal.progress import ScreenProgress
    from bench.cli.terminal.results import show_plan
    from bench.measuring.lock import alone
    from bench.measuring.pilot import plan_only
    from bench.measuring.run_state import Edges

    given = {
        "--invocations": invocations,
        "--seconds": seconds,
        "--same-isa": same_isa,
        "--ladder": ladder,
        "--implementation": _without_folders(implementation),
        "--budget": budget,
        "--no-training": no_training,
        "--no-costs": no_costs,
    }
    problems = problems_of(preset, layers, batch, rows, dtype, threads)
    slots = slots_for(implementation, preset, ladder)
    order = _order("plan", preset, problems, phases_of(phase), given, slots.specs)
    build_mojo(order.isa, order.workers)
    with alone("bench plan"), ScreenProgress(console(sys.stderr)) as progress:
        found, faults = plan_only(order, progress, Edges(start=slots.start))
    show_plan(found, faults, as_json=as_json)
    raise typer.Exit(int(bool(faults)))


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
    from bench.cli.terminal.results import show_roofline_of

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
        order = _order("roofline", preset, problems, phases_of(phase), given)
        source, status = _measure(order, out, name)
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


def _order(
    command: str,
    preset: PresetName,
    problems: tuple[Problem, ...],
    phases: tuple[Phase, ...],
    given: Mapping[str, Any],
    workers: tuple[WorkerSpec, ...] = WORKERS,
) -> Order:
    """Write down what was asked for."""
    from bench.measuring.run_state import Order

    asked = PRESETS[preset]
    changed = {option for option, value in given.items() if value not in (None, False)}
    changed -= NO_CHANGE | ({"--ladder"} if asked.ladder else set())
    named = {"--preset": preset} if command == "run" else {}
    invocations, seconds = given["--invocations"], given["--seconds"]
    return Order(
        "custom" if changed else str(preset),
        planned(problems, phases, asked, workers),
        workers,
        asked.invocations if invocations is None else invocations,
        asked.seconds if seconds is None else seconds,
        0 if given.get("--no-training") else asked.training_epochs,
        _command(command, {**named, **given}),
        isa=str(given.get("--same-isa") or ""),
        target=given.get("--target"),
        budget_s=given.get("--budget"),
        cost_rounds=0 if given.get("--no-costs", True) else COST_ROUNDS,
    )


def _without_folders(names: list[str] | None) -> list[str] | None:
    """Write names of implementations as they are recorded: a run tells of no machine's folders."""
    from bench.model.paths import without_paths

    return [str(without_paths(name)) for name in names] if names else None


def _measure(
    order: Order,
    out: Path,
    name: str | None,
    start: StartSlot | None = None,
    *,
    plain: bool = False,
    report: bool = True,
) -> tuple[Path, str]:
    """Make a run and its report; return its folder and status."""
    from bench.measuring.run_state import Edges
    from bench.measuring.runner import measure

    if name is not None and (Path(name).name != name or name.startswith(".")):
        raise UsageError(f"--name {name!r} is not the name of a folder; write one without / or .")
    started = datetime.now(UTC)
    path = out / (name or f"{started:%Y%m%d-%H%M%S}-{order.preset}")
    edges = Edges(start=start) if start else Edges()
    return path, _take(
        order,
        path,
        lambda progress: measure(order, path, started, progress, edges),
        order.command,
        plain,
        report,
    )


def _go_on(path: Path, names: list[str], *, plain: bool, report: bool) -> tuple[Path, str]:
    """Go on with a run and make its report; return its folder and status."""
    from bench.measuring.resolve import seated_again
    from bench.measuring.run_state import Edges
    from bench.measuring.runner import resume
    from bench.storage import runs as store

    run = store.load(path).run
    command = f"bench run --resume {path.name}"
    edges = Edges(start=seated_again(run.plan, names))
    return path, _take(
        run.plan,
        path,
        lambda progress: resume(path, datetime.now(UTC), progress, edges),
        command,
        plain,
        report,
    )


def _take(
    what: Order | Plan,
    path: Path,
    work: Callable[[Progress], Run],
    command: str,
    plain: bool,
    report: bool,
) -> str:
    """Do the work of a run with the library built and the machine held; return its status."""
    from bench.cli.terminal.console import console
    from bench.cli.terminal.progress import ScreenProgress
    from bench.measuring.lock import alone
    from bench.report.run.build import build

    build_mojo(what.isa, what.workers)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a run as Ctrl-C does
    # What gives no verdict, a check that all works, need not wait for what does.
    held = nullcontext() if what.preset == PresetName.smoke else alone(command)
    with held, ScreenProgress(console(sys.stderr, plain=plain)) as progress:
        status = work(progress).status
        if report:
            progress.stage("report", 1)
            build(path)
    return status
