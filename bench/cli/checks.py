"""The commands on what would be measured, and whether it may be believed.

They parse and print, nothing else.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

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
from bench.cli.options import (
    BatchOption,
    DTypeOption,
    ImplementationOption,
    LadderOption,
    LayersOption,
    PartName,
    PhaseOption,
    PresetName,
    PresetOption,
    RowsOption,
    ThreadsOption,
)
from bench.model.arithmetic import flops
from bench.model.cases import case_id
from bench.model.errors import StoreError
from bench.model.presets import PRESETS, cases_of


@app.command(
    epilog=epilog(
        "bench parity --preset full",
        "bench parity --layers 7,13,5 --batch 1 --rows 40 --dtype float32",
        "bench parity --preset quick --implementation mine:Network",
    ),
)
def parity(
    preset: PresetOption = PresetName.default,
    layers: LayersOption = None,
    batch: BatchOption = None,
    rows: RowsOption = None,
    dtype: DTypeOption = None,
    threads: ThreadsOption = None,
    ladder: LadderOption = False,
    implementation: ImplementationOption = None,
) -> None:
    """Check, tensor by tensor, that all implementations compute the same; time nothing."""
    from bench.cli.terminal.console import console, show_parity
    from bench.cli.terminal.progress import ScreenProgress
    from bench.measuring.preconditions import check_parity
    from bench.measuring.run_state import Edges, Order

    cases = cases_of(problems_of(preset, layers, batch, rows, dtype, threads))
    slots = slots_for(implementation, preset, ladder)
    build_mojo(workers=slots.specs)
    with ScreenProgress(console(sys.stderr)) as progress:
        order = Order(preset, cases, slots.specs)
        results, faults = check_parity(order, progress, Edges(start=slots.start))
    show_parity(results, faults)
    raise typer.Exit(int(bool(faults) or not all(result.ok for result in results)))


@app.command(
    name="list",
    epilog=epilog(
        "bench list --preset full",
        "bench list --layers 1024x4 --threads 2 --json",
    ),
)
def list_command(
    preset: PresetOption = PresetName.default,
    layers: LayersOption = None,
    batch: BatchOption = None,
    rows: RowsOption = None,
    dtype: DTypeOption = None,
    threads: ThreadsOption = None,
    phase: PhaseOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the cases that `bench run` would measure, and the variants that --ladder would add.

    FLOPs of one repetition are those of the matrix products, 2 M N K each. An id reads phase /
    layers / batch / rows / dtype / threads. Of a variant that is not installed it says how to.
    """
    from bench.cli.terminal.console import show_table, show_variants
    from bench.model.tables import Table

    problems = problems_of(preset, layers, batch, rows, dtype, threads)
    cases = planned(problems, phases_of(phase), PRESETS[preset])
    if as_json:
        listed = [
            {"id": case_id(case), "flops": flops(case), "phase": case.phase, **asdict(case.problem)}
            for case in cases
        ]
        typer.echo(json.dumps(listed, indent=1))
        return
    lines = [(case_id(case), f"{flops(case):,}") for case in cases]
    show_table(Table(("case", "FLOPs"), lines))
    show_variants()


@app.command(
    epilog=epilog("bench doctor", "bench doctor --json"),
)
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what this machine can tell about speed and what it cannot, and what to do about it.

    Reads its cores, clock, load and libraries, and times NumPy against itself on the smallest
    network for some seconds: what differs there is noise. Ends with 1 if something is bad: figures
    taken now would mislead.
    """
    from bench.cli.terminal.console import console
    from bench.cli.terminal.progress import ScreenProgress
    from bench.cli.terminal.results import show_findings
    from bench.measuring.doctor import examine, worst
    from bench.measuring.lock import alone

    build_mojo()
    with alone("bench doctor"), ScreenProgress(console(sys.stderr)) as progress:
        found = examine(WORKERS, progress, invocations=4, seconds=8.0)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=1))
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
) -> None:
    """Put the harness itself to the test; what it says of itself is measured here.

    Times NumPy against itself (how often is a difference claimed?), idle and beside a busy process,
    and other tools in turn with it; NumPy against NumPy slowed by a known share (how often is it
    found, and how truly?); simulates runs with a known ratio (how often does the interval hold
    it?); and runs wrong and unfair implementations, made on purpose (is each refused for the right
    reason?). Ends with 1 if a goal is missed.
    """
    from bench.cli.terminal.console import console, show_lines, show_table
    from bench.cli.terminal.progress import ScreenProgress
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
    rows = [(one.what, one.found, one.goal, one.state) for one in lines]
    show_table(Table(("", "found", "goal", ""), rows))
    for one in found.refusals:
        if not one.ok:
            show_lines([f"{one.name}: {one.reason or 'passes'}"])
    if page is not None:
        try:
            write_whole(page, page_of(found, command).encode())
        except OSError as error:
            raise StoreError(f"cannot write {page}: {error.strerror}; choose another") from None
        show_lines([f"Page: {page}"])
    raise typer.Exit(int(any(one.state == "MISSED" for one in lines)))
