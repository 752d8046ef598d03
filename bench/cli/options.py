"""The options that commands share: how each is called, read and explained. Nothing is done here."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

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
LadderOption = Annotated[
    bool,
    typer.Option(
        "--ladder",
        rich_help_panel=WHAT,
        help="Measure every variant of the ladder that is installed, not Mojo alone; those that "
        "are not are named with the command that installs them.",
    ),
]
ImplementationOption = Annotated[
    list[str] | None,
    typer.Option(
        "--implementation",
        metavar="NAME",
        rich_help_panel=WHAT,
        help="What is compared with NumPy: a registered name, module:attribute, or a program as "
        "'exec:./worker --its-options'. May be repeated; name mojo too to keep it. "
        "[default: mojo]",
    ),
]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", rich_help_panel=WHERE, help="Folder of the runs.")
]
InvocationsOption = Annotated[
    int | None,
    typer.Option(
        "--invocations",
        metavar="N",
        min=1,
        rich_help_panel=HOW_LONG,
        help="Fresh sets of processes; a verdict needs 10. [default: the preset's]",
    ),
]
SecondsOption = Annotated[
    float | None,
    typer.Option(
        "--seconds",
        metavar="S",
        min=0.0,
        rich_help_panel=HOW_LONG,
        help="Time for taking samples; parity, training and report come on top. "
        "[default: the preset's]",
    ),
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
NoTrainingOption = Annotated[
    bool,
    typer.Option(
        "--no-training",
        rich_help_panel=HOW_LONG,
        help="Leave out the training that draws the loss curves.",
    ),
]
NoCostsOption = Annotated[
    bool,
    typer.Option(
        "--no-costs",
        rich_help_panel=HOW_LONG,
        help="Leave out what each side costs besides: start, memory, sizes, time to compile.",
    ),
]


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


TargetOption = Annotated[
    float | None,
    typer.Option(
        "--target",
        metavar="PERCENT",
        parser=parse_fraction,
        rich_help_panel=HOW_LONG,
        help="Half the width that an interval should have, such as 1%: cases that vary more get "
        "more invocations.",
    ),
]
BudgetOption = Annotated[
    float | None,
    typer.Option(
        "--budget",
        metavar="TIME",
        parser=parse_duration,
        rich_help_panel=HOW_LONG,
        help="What the whole run may take, such as 90s or 5m: replaces --seconds.",
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
        help="Go on with a run that was cut short; everything else is as it was asked for then.",
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
IsaOption = Annotated[
    IsaName | None,
    typer.Option(
        "--same-isa",
        metavar="NAME",
        rich_help_panel=WHAT,
        help="Hold both sides to one instruction set: sse4.2, avx2 or avx512. "
        "[default: each side uses what it chooses for this machine]",
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
