"""The command for implementations of others. It parses and prints, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.app import app, build_mojo, epilog
from bench.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from bench.workers.findings import Report

TIMEOUT_S = 30.0
CODES = "**Exit codes:** 0 all is well · 1 something is wrong · 2 there is no such worker"


@app.command(
    name="check-worker",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=epilog(
        "bench check-worker ./mlp",
        "bench check-worker --json python3 worker.py --its-option",
        "bench check-worker my_module:Network",
        codes=CODES,
    ),
)
def check_worker(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="CMD...",
            help="A program with its arguments, a registered name, or module:attribute.",
        ),
    ],
    patience: Annotated[
        float,
        typer.Option("--patience", metavar="S", min=0.1, help="Seconds to wait for an answer."),
    ] = TIMEOUT_S,
    as_json: JsonOption = False,
) -> None:
    """Drive a worker through the whole protocol, and say in plain words what is wrong with it.

    Asks it all that a run asks, and holds its numbers to NumPy's, tensor by tensor; times nothing
    that could be told. A line for each thing that was looked at; where it is wrong, what was
    expected, what came, and what to do next. Options come before CMD. docs/protocol.md is the
    document, docs/adding-an-implementation.md the way there.
    """
    from bench.measuring.resolve import to_be_checked
    from bench.measuring.run_state import DATA
    from bench.workers.conformance import check_worker as check
    from bench.workers.implementations.names import program_or_name

    name = program_or_name(words)
    if name == "mojo":
        build_mojo()
    report = check(*to_be_checked(name), DATA, patience)
    if as_json:
        from bench.cli.documents import Checked

        emit(Checked(report.ok, report.stopped, report.checks))
    else:
        _show(name, report)
    raise typer.Exit(int(not report.ok))


def _show(name: str, report: Report) -> None:
    from bench.cli.terminal.text import show_lines

    for check in report.checks:
        show_lines([f"{'✓' if check.ok else '✗'} {check.name}"])
        if not check.ok:
            show_lines(
                [
                    f"    expected: {check.expected}",
                    f"    came:     {check.came}",
                    f"    next:     {check.advice}",
                ]
            )
    wrong = sum(not check.ok for check in report.checks)
    if report.stopped:
        show_lines(["", f"Stopped: {report.stopped}; what comes after was not looked at."])
    if wrong:
        show_lines(["", f"{wrong} of {len(report.checks)} are wrong: docs/protocol.md"])
    else:
        show_lines(["", f"All {len(report.checks)} are right: bench run --implementation '{name}'"])
