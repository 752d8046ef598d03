"""The commands on runs that are there. They parse and print, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.command import app, epilog
from bench.options import OutOption


@app.command(
    name="report",
    epilog=epilog(
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
