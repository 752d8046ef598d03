"""The command that comes back to a cluster. It parses and prints, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.command import app, epilog
from bench.options import ClusterOption, OutOption, PlainOption


@app.command(
    epilog=epilog(
        "bench attach 20261124-201500-fleet",
        "bench attach night --cluster tcp://scheduler:8786",
    ),
)
def attach(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of what was submitted.")],
    cluster: ClusterOption = None,
    out: OutOption = Path("results"),
    plain: PlainOption = False,
) -> None:
    """Come back to a `bench run --cluster` that was left, from this machine or another.

    Fetches what has been measured since, waits for the rest, and makes the reports. Without
    --cluster it asks where OUT/NAME says.
    """
    from bench.fleet.submit import attach as attach_to

    raise typer.Exit(attach_to(name, out, cluster, plain=plain))
