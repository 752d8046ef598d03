"""The command line: all commands, and where every error of the harness ends.

Results to stdout, progress to stderr. What is heavy to import is imported where it is used, so that
`--help` comes at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from bench.cli import archive as cli_fleet_store
from bench.cli import checks as cli_checks
from bench.cli import cluster as cli_fleet
from bench.cli import measure as cli_measure
from bench.cli import stored as cli_stored
from bench.cli import train as cli_train
from bench.cli.app import app
from bench.model.errors import BenchError

COMMANDS = (cli_measure, cli_stored, cli_fleet_store, cli_checks, cli_train, cli_fleet)
"""To import them is to add their commands."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; every error of the harness ends here."""
    try:
        app(arguments, prog_name="bench")
        code = 0
    except BenchError as error:
        typer.echo(f"bench: {error}", err=True)
        code = error.exit_code
    sys.exit(code)
