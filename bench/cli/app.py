"""What all commands share: the application, its help, and how options become problems and phases.

What is heavy to import is imported where it is used, so that `--help` comes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

import typer
from typer.core import TyperGroup

from bench.cli.options import PhaseName, RunOptions
from bench.model.cases import parse_layers
from bench.model.errors import BuildError, UsageError
from bench.model.instruction_sets import ISAS
from bench.model.presets import PRESETS, WITH_PARTS, Preset, cases_of, preset_problems
from bench.model.records import PHASES, Case, DType, Phase, Problem, Request, WorkerSpec
from bench.model.registry import VARIANTS, installed, is_program, missing
from bench.model.registry import phases_of as phases_of_variant
from bench.model.slots import PROBER, has_phase
from bench.model.threads import cores

if TYPE_CHECKING:
    from bench.measuring.resolve import Seated

BASELINE = "numpy"
COST_ROUNDS = 5
NO_CHANGE = {"preset", "no_training", "no_costs", "implementation"}
"""What is left out does not make a preset another one, nor does who is measured by it."""


def workers_of(candidates: Iterable[str]) -> tuple[WorkerSpec, ...]:
    """Slot the baseline twice and each candidate once, in this order, by its name."""
    return (
        WorkerSpec(BASELINE, BASELINE, "baseline"),
        WorkerSpec(f"{BASELINE}-again", BASELINE, "again"),
        *(
            WorkerSpec(name, name, "candidate", phases_of_variant(name))
            for name in dict.fromkeys(candidates)
        ),
    )


WORKERS = workers_of(["mojo"])


def slots_for(options: RunOptions) -> Seated:
    """Slot the baseline twice, and beside it what was named, the whole ladder, or Mojo.

    Of the ladder all variants that are installed; what is not is named on standard error, a line
    each. Mojo comes first there too.

    Raises:
        UsageError: A name is none, or what it names cannot be used; or both were asked for.
    """
    from bench.measuring.resolve import Seated, seated

    names = options.implementation
    if options.ladder and names:
        raise UsageError("--ladder and --implementation are two ways to say who takes part")
    if names:
        pair = workers_of([])
        found = seated(names, [worker.label for worker in pair])
        return Seated((*pair, *found.specs), found.start)
    if not (options.ladder or PRESETS[options.preset].ladder):
        return Seated(WORKERS)
    for variant in VARIANTS.values():
        if words := missing(variant):
            typer.echo(words, err=True)
    return Seated(workers_of(["mojo", *(name for name in installed() if name != BASELINE)]))


ORDER = (
    "run",
    "attach",
    "plan",
    "roofline",
    "report",
    "open",
    "compare",
    "gate",
    "export",
    "train",
    "predict",
    "merge",
    "query",
    "fleet",
    "parity",
    "check-worker",
    "list",
    "doctor",
    "validate",
)
EXIT_CODES = (
    "**Exit codes:** 0 done · 1 a case is INVALID: it failed parity, or a worker died or "
    "hung; or a rate lies above the machine's peak · 2 the command, or a file it names, is "
    "wrong · 3 the Mojo library did not compile · 4 another run measures on this machine · "
    "130 interrupted; what was measured is kept and reported"
)


def epilog(*examples: str, codes: str = EXIT_CODES) -> str:
    """Write what stands below the help of a command."""
    return "\n\n".join(["**Examples**", *(f"`{example}`" for example in examples), codes])


class InOrder(TyperGroup):
    """Lists commands in the order in which a newcomer needs them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name all commands."""
        return sorted(self.commands, key=ORDER.index)


app = typer.Typer(
    cls=InOrder,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(epilog=EXIT_CODES)
def _bench() -> None:
    """The same neural network in NumPy and in Mojo: does it compute the same, and which is faster?

    `bench run` measures and reports; without options it takes about six minutes.
    """


def request_of(
    options: RunOptions,
    workers: tuple[WorkerSpec, ...] = WORKERS,
    threads: Sequence[int] = (1,),
) -> Request:
    """Write down what was asked for; what was left open is the preset's.

    Args:
        options: Of the command.
        workers: Who takes part.
        threads: Where the options name none.
    """
    preset = PRESETS[options.preset]
    given = {
        field.name: value
        for field in fields(Request)
        if (value := getattr(options, field.name, None)) is not None
    }
    usual = {
        "invocations": preset.invocations,
        "seconds": preset.seconds,
        "training_epochs": 0 if options.no_training else preset.training_epochs,
        "cost_rounds": 0 if options.no_costs else COST_ROUNDS,
    }
    named = {
        "preset": "custom" if _is_custom(options, preset) else str(options.preset),
        "cases": planned(problems_of(options, threads), phases_of(options.phase), preset, workers),
        "workers": workers,
    }
    return Request(**(usual | given | named))


def _is_custom(options: RunOptions, preset: Preset) -> bool:
    """Tell whether an option makes a preset another one."""
    same = NO_CHANGE | ({"ladder"} if preset.ladder else set())
    return any(
        getattr(options, field.name) != field.default
        for field in fields(options)
        if field.name not in same
    )


def problems_of(options: RunOptions, threads: Sequence[int] = (1,)) -> tuple[Problem, ...]:
    """List the problems that the options ask for, on so many threads where they name none."""
    return preset_problems(
        PRESETS[options.preset],
        layers=[parse_layers(text) for text in options.layers or []],
        batch_size=options.batch,
        rows=options.rows,
        dtypes=cast("list[DType]", [str(name) for name in options.dtype or []]),
        threads=options.threads or threads,
    )


def phases_of(names: list[PhaseName] | None) -> tuple[Phase, ...]:
    """List the phases that the option asks for."""
    return cast("tuple[Phase, ...]", tuple(dict.fromkeys(map(str, names)))) if names else PHASES


def planned(
    problems: tuple[Problem, ...],
    phases: tuple[Phase, ...],
    preset: Preset,
    workers: Sequence[WorkerSpec] = WORKERS,
) -> tuple[Case, ...]:
    """List the cases of a run: with probes of this machine, and parts, where the preset has them.

    Probes only where a worker holds them, parts only where all workers time them, and no phase that
    no candidate offers.
    """
    found = cases_of(
        problems,
        phases,
        probes=preset.probes and any(one.implementation == PROBER for one in workers),
        cores=cores(),
        parts=preset.parts and all(one.implementation in WITH_PARTS for one in workers),
    )
    candidates = [one for one in workers if one.role == "candidate"]
    return tuple(
        case
        for case in found
        if case.phase not in PHASES or any(has_phase(one, case.phase) for one in candidates)
    )


def build_mojo(isa: str = "", workers: Sequence[WorkerSpec] = WORKERS) -> None:
    """Compile the Mojo libraries and programs that workers need, unless they are up to date.

    So that no worker compiles while another is timed. The compiler's words reach the user whole.

    Args:
        isa: The instruction set to compile for, by `bench.model.instruction_sets`; empty: that of
            this machine.
        workers: Who loads them.
    """
    from mojo_impl.building import build, program
    from mojo_impl.building.libraries import LIBRARY_OF

    cpu = ISAS[isa].mojo_cpu if isa else build.wanted_cpu()
    needed = (LIBRARY_OF.get(worker.implementation) for worker in workers)
    try:
        for library in dict.fromkeys(name for name in needed if name):
            build.build(build.recipe(cpu, library))
        if any(is_program(worker.implementation) for worker in workers):
            program.worker(cpu)
    except build.BuildError as error:
        raise BuildError(str(error)) from error
