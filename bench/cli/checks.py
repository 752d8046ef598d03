"""The commands that list, check and diagnose: no benchmark.

They parse and print, nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from bench.cli.options import PartName, RunOptions, with_options
from bench.cli.output import JsonOption, emit, listed
from bench.model.arithmetic import flops
from bench.model.cases import case_id
from bench.model.errors import StoreError
from bench.model.presets import PRESETS, cases_of
from bench.model.records import Request

if TYPE_CHECKING:
    from bench.workers.findings import Report

TIMEOUT_S = 30.0
CHECK_CODES = "**Exit codes:** 0 all is well · 1 something is wrong · 2 there is no such worker"
NETWORKS = ("preset", "layers", "batch", "rows", "dtype", "threads")
"""The options that say which networks."""


@app.command(
    epilog=epilog(
        "bench parity --preset full",
        "bench parity --layers 7,13,5 --batch 1 --rows 40 --dtype float32",
        "bench parity --preset quick --implementation mine:Network",
    ),
)
@with_options(*NETWORKS, "ladder", "implementation")
def parity(options: RunOptions, as_json: JsonOption = False) -> None:
    """Check, tensor by tensor, that all implementations compute the same; time nothing."""
    from bench.cli.terminal.console import show_parity
    from bench.cli.terminal.progress import ScreenProgress
    from bench.cli.terminal.text import console
    from bench.measuring.preconditions import check_parity
    from bench.measuring.run_state import Edges

    cases = cases_of(problems_of(options))
    slots = slots_for(options)
    build_mojo(workers=slots.specs)
    with ScreenProgress(console(sys.stderr)) as progress:
        request = Request(options.preset, cases, slots.specs)
        results, faults = check_parity(request, progress, Edges(start=slots.start))
    ok = not faults and all(result.ok for result in results)
    if as_json:
        from bench.cli.documents import Compared

        emit(Compared(ok, tuple(results), tuple(faults)))
    else:
        show_parity(results, faults)
    raise typer.Exit(int(not ok))


@app.command(
    name="list",
    epilog=epilog(
        "bench list --preset full",
        "bench list --layers 1024x4 --threads 2 --json",
    ),
)
@with_options(*NETWORKS, "phase")
def list_command(
    options: RunOptions,
    as_json: JsonOption = False,
) -> None:
    """List the cases that `bench run` would measure, and the variants that --ladder would add.

    FLOPs of one repetition are those of the matrix products, 2 M N K each. An id reads phase /
    layers / batch / rows / dtype / threads. Of a variant that is not installed it says how to.
    """
    from bench.cli.terminal.text import show_table, show_variants
    from bench.model.tables import Table

    cases = planned(problems_of(options), phases_of(options.phase), PRESETS[options.preset])
    if as_json:
        emit([listed(case) for case in cases])
        return
    lines = [(case_id(case), f"{flops(case):,}") for case in cases]
    show_table(Table(("case", "FLOPs"), lines))
    show_variants()


@app.command(
    epilog=epilog("bench doctor", "bench doctor --json"),
)
def doctor(
    as_json: JsonOption = False,
) -> None:
    """Tell whether this machine is quiet enough to measure on, and what to do if not.

    Reads cores, clock, load and libraries, and times NumPy against itself on the smallest network
    for some seconds: any difference is noise. Ends with 1 if figures taken now would mislead.
    """
    from bench.cli.terminal.progress import ScreenProgress
    from bench.cli.terminal.results import show_findings
    from bench.cli.terminal.text import console
    from bench.measuring.doctor import examine, worst
    from bench.measuring.lock import alone

    build_mojo()
    with alone("bench doctor"), ScreenProgress(console(sys.stderr)) as progress:
        found = examine(WORKERS, progress, invocations=4, seconds=8.0)
    if as_json:
        emit(found)
    else:
        show_findings(found)
    raise typer.Exit(int(worst(found) == "bad"))


@app.command(
    epilog=epilog("bench validate", "bench validate --long --page docs/validity.md"),
)
def validate(
    long: Annotated[
        bool, typer.Option("--long", help="A hundred trials of each kind; takes about an hour.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option("--page", metavar="FILE", help="Write all figures as a page of Markdown."),
    ] = None,
    only: Annotated[
        list[PartName] | None,
        typer.Option("--only", metavar="PART", help=f"{', '.join(PartName)}. May be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the harness's own error rates.

    False positives: NumPy against itself, idle and beside a busy process, with other tools in
    turn. Power: NumPy against NumPy with a synthetic slowdown. Coverage: simulated runs with a
    known ratio. Seeded faults: wrong and unfair implementations, each refused for the right
    reason. Ends with 1 if a goal is missed.
    """
    from bench.cli.terminal.progress import ScreenProgress
    from bench.cli.terminal.text import console, show_lines, show_table
    from bench.measuring.lock import alone
    from bench.measuring.validation.page import page as page_of
    from bench.measuring.validation.page import summary
    from bench.measuring.validation.trials_run import LONG, SHORT
    from bench.measuring.validation.trials_run import validate as put_to_the_test
    from bench.model.tables import Table
    from bench.storage.atomic_files import write_whole

    build_mojo()
    command = "bench validate" + (" --long" if long else "")
    parts = tuple(map(str, only or PartName))
    with alone(command), ScreenProgress(console(sys.stderr)) as progress:
        found = put_to_the_test(LONG if long else SHORT, progress, parts=parts)
    lines = summary(found)
    ok = not any(one.state == "MISSED" for one in lines)
    if as_json:
        from bench.cli.documents import Validated

        emit(Validated(ok, tuple(lines), tuple(found.refusals)))
    else:
        rows = [(one.what, one.found, one.goal, one.state) for one in lines]
        show_table(Table(("", "found", "goal", ""), rows))
        show_lines(f"{one.name}: {one.reason or 'passes'}" for one in found.refusals if not one.ok)
    if page is not None:
        try:
            write_whole(page, page_of(found, command).encode())
        except OSError as error:
            raise StoreError(f"cannot write {page}: {error.strerror}; choose another") from None
        if not as_json:
            show_lines([f"Page: {page}"])
    raise typer.Exit(int(not ok))


@app.command(
    name="check-worker",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=epilog(
        "bench check-worker ./mlp",
        "bench check-worker --json python3 worker.py --its-option",
        "bench check-worker my_module:Network",
        codes=CHECK_CODES,
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
    """Check a worker against the whole protocol, and say what is wrong with it.

    Sends every request that a run sends, and compares its numbers with NumPy's, tensor by tensor.
    Prints a line for each check; for a failure, what was expected, what came, and what to do next.
    Options come before CMD. See docs/protocol.md and docs/adding-an-implementation.md.
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
        _show_checks(name, report)
    raise typer.Exit(int(not report.ok))


def _show_checks(name: str, report: Report) -> None:
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
