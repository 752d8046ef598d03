"""The options that commands share: how each is called, read and explained. Nothing is done here.

`RunOptions` holds those of a run; `with_options` gives them to a command.
"""

from __future__ import annotations

import inspect
import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from bench.model.presets import PRESETS

PresetName = StrEnum(
    "PresetName",
    ["smoke", "quick", "default", "full", "roofline", "awkward", "ladder", "scaling"],
)
IsaName = StrEnum("IsaName", ["sse4.2", "avx2", "avx512"])
DTypeName = StrEnum("DTypeName", ["float64", "float32"])
PartName = StrEnum("PartName", ["coverage", "faults", "claims", "power"])
PhaseName = StrEnum("PhaseName", ["forward", "backprop", "epoch"])
FormatName = StrEnum("FormatName", ["pytest-benchmark", "pyperf", "csv", "parquet"])

WHAT, HOW_LONG, WHERE = "What", "How long", "Where"


def parse_fraction(text: str) -> float:
    """Read `5%` or `0.05`; a bare 5 could be meant either way.

    Raises:
        typer.BadParameter: for anything else, and for what is below 0.
    """
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        value = float(number) / (100 if percent else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise typer.BadParameter(f"{text!r} is not a part of something; write 5% or 0.05")
    if value >= 1 and not percent:
        raise typer.BadParameter(
            f"{text!r} could mean {value:g}% or {value:.0%}; write which, by %"
        )
    return value


def parse_duration(text: str) -> float:
    """Read `90`, `90s`, `5m` or `1.5h` as seconds.

    Raises:
        typer.BadParameter: for anything else, and for nothing.
    """
    units = {"s": 1, "m": 60, "h": 3600}
    number = text.strip()
    unit = units.get(number[-1:], 0)
    try:
        value = float(number[:-1] if unit else number) * (unit or 1)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise typer.BadParameter(f"{text!r} is no duration; write 90s, 5m or 1h")
    return value


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


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `bench run` is asked for; other commands take some of it.

    A field with the name of a field of `bench.model.records.Request` is handed over to it as it is.
    """

    preset: Annotated[
        PresetName,
        typer.Option(
            "--preset",
            metavar="NAME",
            rich_help_panel=WHAT,
            help="\n\n".join(
                [
                    "What to measure. The options below override it.",
                    "\n".join(f"- **{one.name}**: {one.summary}" for one in PRESETS.values()),
                ]
            ),
        ),
    ] = PresetName.default
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layers",
            metavar="SIZES",
            rich_help_panel=WHAT,
            help="Another network: widths from input to output, such as 1,50x9,1 (50x9 is nine "
            "layers of 50). May be repeated.",
        ),
    ] = None
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch",
            metavar="N",
            min=1,
            rich_help_panel=WHAT,
            help="Rows per batch. [default: the network's own, or 20]",
        ),
    ] = None
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows",
            metavar="N",
            min=1,
            rich_help_panel=WHAT,
            help="Training rows. [default: the network's own, or 25 batches and at least 500]",
        ),
    ] = None
    dtype: Annotated[
        list[DTypeName] | None,
        typer.Option(
            "--dtype",
            metavar="TYPE",
            rich_help_panel=WHAT,
            help="float64 or float32. May be repeated. [default: the preset's]",
        ),
    ] = None
    threads: Annotated[
        list[int] | None,
        typer.Option(
            "--threads",
            metavar="N",
            min=1,
            rich_help_panel=WHAT,
            help="Threads, the same on both sides. May be repeated. [default: 1]",
        ),
    ] = None
    phase: PhaseOption = None
    isa: Annotated[
        IsaName | None,
        typer.Option(
            "--same-isa",
            metavar="NAME",
            rich_help_panel=WHAT,
            help="Hold both sides to one instruction set: sse4.2, avx2 or avx512. "
            "[default: each side uses what it chooses for this machine]",
        ),
    ] = None
    ladder: Annotated[
        bool,
        typer.Option(
            "--ladder",
            rich_help_panel=WHAT,
            help="Measure every installed variant of the ladder, not Mojo alone. For the others, "
            "print the command that installs them.",
        ),
    ] = False
    implementation: Annotated[
        list[str] | None,
        typer.Option(
            "--implementation",
            metavar="NAME",
            rich_help_panel=WHAT,
            help="What is compared with NumPy: a registered name, module:attribute, or a program "
            "as 'exec:./worker --its-options'. May be repeated; name mojo too to keep it. "
            "[default: mojo]",
        ),
    ] = None
    invocations: Annotated[
        int | None,
        typer.Option(
            "--invocations",
            metavar="N",
            min=1,
            rich_help_panel=HOW_LONG,
            help="Fresh sets of processes; a verdict needs 10. [default: the preset's]",
        ),
    ] = None
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds",
            metavar="S",
            min=0.0,
            rich_help_panel=HOW_LONG,
            help="Time for taking samples; parity, training and report come on top. "
            "[default: the preset's]",
        ),
    ] = None
    target: Annotated[
        float | None,
        typer.Option(
            "--target",
            metavar="PERCENT",
            parser=parse_fraction,
            rich_help_panel=HOW_LONG,
            help="Half the width that an interval should have, such as 1%: cases that vary more "
            "get more invocations.",
        ),
    ] = None
    budget_s: Annotated[
        float | None,
        typer.Option(
            "--budget",
            metavar="TIME",
            parser=parse_duration,
            rich_help_panel=HOW_LONG,
            help="Time for the whole run, such as 90s or 5m: replaces --seconds.",
        ),
    ] = None
    no_training: Annotated[
        bool,
        typer.Option(
            "--no-training",
            rich_help_panel=HOW_LONG,
            help="Skip the training that draws the loss curves.",
        ),
    ] = False
    no_costs: Annotated[
        bool,
        typer.Option(
            "--no-costs",
            rich_help_panel=HOW_LONG,
            help="Skip start-up time, memory, file sizes and compile time.",
        ),
    ] = False

    def words(self) -> list[str]:
        """Write the options as they would be typed, without the preset and what has its default."""
        found = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "preset" or value == field.default:
                continue
            flag = hints()[field.name].__metadata__[0].default  # typer keeps the name there
            for one in value if isinstance(value, list) else [value]:
                text = str(one).removesuffix(".0") if isinstance(one, float) else str(one)
                found += [flag] if one is True else [flag, text]
        return found

    def command(self, name: str) -> str:
        """Write a command as a run records it: without folders of this machine."""
        from bench.model.paths import without_paths

        known = [str(without_paths(one)) for one in self.implementation or []]
        words = replace(self, implementation=known or None).words()
        preset = ["--preset", self.preset] if name == "run" else []
        return shlex.join(["bench", name, *preset, *words])


@cache
def hints() -> dict[str, Any]:
    """Return the types of `RunOptions` with their options, by field."""
    return get_type_hints(RunOptions, include_extras=True)


def with_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command these fields of `RunOptions` as options, or all of them.

    It gets the record as its argument `options`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        mine = [field for field in fields(RunOptions) if field.name in names or not names]
        own = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [
            *(
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=field.default,
                    annotation=hints()[field.name],
                )
                for field in mine
            ),
            *(
                one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
                for one in own
                if one.name != "options"
            ),
        ]

        @wraps(command)
        def call(**values: Any) -> None:
            given = {field.name: values.pop(field.name) for field in mine}
            command(options=RunOptions(**given), **values)

        call.__annotations__ = {one.name: one.annotation for one in parameters}
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return call

    return decorate


OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", rich_help_panel=WHERE, help="Folder of the runs.")
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        rich_help_panel=WHERE,
        help="Name of the run's folder. [default: date, time and preset]",
    ),
]
PlainOption = Annotated[
    bool,
    typer.Option(
        "--plain",
        help="Print for a log: a case a line as key=value, ASCII only, no boxes, colours or bars.",
    ),
]
ResumeOption = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        rich_help_panel=WHERE,
        help="Resume an interrupted run with its original options.",
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="WHERE",
        rich_help_panel=WHERE,
        help="Measure on every host of a Dask cluster: the address of its scheduler, local:N to "
        "try it out here, or slurm (docs/fleet.md).",
    ),
]
SlurmOption = Annotated[
    Path | None,
    typer.Option(
        "--slurm-options",
        metavar="FILE",
        rich_help_panel=WHERE,
        help="Of --cluster slurm: TOML with jobs = N and the arguments of dask-jobqueue.",
    ),
]
EnvironmentOption = Annotated[
    list[str] | None,
    typer.Option(
        "--environment",
        metavar="NAME=REQ,...",
        rich_help_panel=WHAT,
        help="Measure with other versions of some packages, such as np21=numpy==2.1.3; a run for "
        "each. May be repeated; NAME= alone is what is installed.",
    ),
]
NoReportOption = Annotated[
    bool,
    typer.Option(
        "--no-report",
        rich_help_panel=WHERE,
        help="Measure only; `bench report` makes the page, here or elsewhere.",
    ),
]
MaxSlowdownOption = Annotated[
    float | None,
    typer.Option(
        "--max-slowdown",
        metavar="PERCENT",
        parser=parse_fraction,
        help="Pass if no case became slower than by this, beside the baseline: 5% or 0.05.",
    ),
]
MinSpeedupOption = Annotated[
    float | None,
    typer.Option(
        "--min-speedup",
        metavar="PERCENT",
        parser=parse_fraction,
        help="Pass if every case became faster by at least this, beside the baseline.",
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force", help="Show times side by side, without any change, where it would be refused."
    ),
]
