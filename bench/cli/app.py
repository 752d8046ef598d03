"""What all commands share: the application, its help, and how options become problems and phases.

What is heavy to import is imported where it is used, so that `--help` comes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import typer
from typer.core import TyperGroup

from bench.cli.options import DTypeName, PhaseName, PresetName
from bench.model.cases import parse_layers
from bench.model.errors import BuildError, UsageError
from bench.model.instruction_sets import ISAS
from bench.model.presets import PRESETS, WITH_PARTS, Preset, cases_of, preset_problems
from bench.model.records import PHASES, Case, DType, Phase, Problem, WorkerSpec
from bench.model.registry import RUNGS, installed, is_program, missing
from bench.model.registry import phases_of as phases_of_rung
from bench.model.slots import PROBER, has_phase
from bench.model.threads import cores

if TYPE_CHECKING:
    from bench.measuring.resolve import Seated

BASELINE = "numpy"


def workers_of(candidates: Iterable[str]) -> tuple[WorkerSpec, ...]:
    """Seat the baseline twice and each candidate once, in this order, by its name."""
    return (
        WorkerSpec(BASELINE, BASELINE, "baseline"),
        WorkerSpec(f"{BASELINE}-again", BASELINE, "again"),
        *(
            WorkerSpec(name, name, "candidate", phases_of_rung(name))
            for name in dict.fromkeys(candidates)
        ),
    )


WORKERS = workers_of(["mojo"])


def seats_for(names: Sequence[str] | None, preset: PresetName, ladder: bool) -> Seated:
    """Seat the baseline twice, and beside it what was named, the whole ladder, or Mojo.

    Of the ladder all rungs that are installed; what is not is named on standard error, a line each.
    Mojo comes first there too.

    Raises:
        UsageError: A name is none, or what it names cannot be used; or both were asked for.
    """
    from bench.measuring.resolve import Seated, seated

    if ladder and names:
        raise UsageError("--ladder and --implementation are two ways to say who takes part")
    if names:
        pair = workers_of([])
        found = seated(names, [worker.label for worker in pair])
        return Seated((*pair, *found.specs), found.start)
    if not (ladder or PRESETS[preset].ladder):
        return Seated(WORKERS)
    for rung in RUNGS.values():
        if words := missing(rung):
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


def problems_of(
    preset: PresetName,
    layers: list[str] | None,
    batch: int | None,
    rows: int | None,
    dtype: list[DTypeName] | None,
    threads: list[int] | None,
) -> tuple[Problem, ...]:
    """List the problems that the options ask for."""
    return preset_problems(
        PRESETS[preset],
        layers=[parse_layers(text) for text in layers or []],
        batch_size=batch,
        rows=rows,
        dtypes=cast("list[DType]", [str(name) for name in dtype or []]),
        threads=threads or [1],
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
