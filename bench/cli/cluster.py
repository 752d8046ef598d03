"""The command that reattaches to a submission: `bench attach`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.app import app, epilog
from bench.cli.options import ClusterOption, OutOption, PlainOption


@app.command(
    epilog=epilog(
        "bench attach 20261124-201500-fleet",
        "bench attach night --cluster tcp://scheduler:8786",
    ),
)
def attach(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the submission.")],
    cluster: ClusterOption = None,
    out: OutOption = Path("results"),
    plain: PlainOption = False,
) -> None:
    """Reattach to a submitted cluster run, from this machine or another.

    Fetches what has been measured since, waits for the rest, and makes the reports. Without
    --cluster it uses the scheduler that OUT/NAME names.
    """
    from bench.cli.cluster_submit import attach as attach_to

    raise typer.Exit(attach_to(name, out, cluster, plain=plain))
