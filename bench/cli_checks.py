"""The commands on what would be measured, and whether it may be believed.

They parse and print, nothing else.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from bench.cases import PRESETS, case_id, cases_of, flops
from bench.command import WORKERS, app, build_mojo, epilog, phases_of, problems_of
from bench.options import (
    BatchOption,
    DTypeOption,
    LayersOption,
    PhaseOption,
    PresetName,
    PresetOption,
    RowsOption,
    ThreadsOption,
)


@app.command(
    epilog=epilog(
        "bench parity --preset full",
        "bench parity --layers 7,13,5 --batch 1 --rows 40 --dtype float32",
    ),
)
def parity(
    preset: PresetOption = PresetName.default,
    layers: LayersOption = None,
    batch: BatchOption = None,
    rows: RowsOption = None,
    dtype: DTypeOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Check, tensor by tensor, that both implementations compute the same; time nothing."""
    from bench.admission import check_parity
    from bench.progress import ScreenProgress
    from bench.screen import console, show_parity
    from bench.session import Order

    cases = cases_of(problems_of(preset, layers, batch, rows, dtype, threads))
    build_mojo()
    with ScreenProgress(console(sys.stderr)) as progress:
        results, faults = check_parity(Order(preset, cases, WORKERS), progress)
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
    """List the cases that `bench run` would measure: id and arithmetic of one repetition.

    FLOPs are those of the matrix products, 2 M N K each. An id reads phase / layers / batch /
    rows / dtype / threads.
    """
    from bench.screen import show_table

    problems = problems_of(preset, layers, batch, rows, dtype, threads)
    cases = cases_of(problems, phases_of(phase), probes=PRESETS[preset].probes)
    if as_json:
        listed = [
            {"id": case_id(case), "flops": flops(case), "phase": case.phase, **asdict(case.problem)}
            for case in cases
        ]
        typer.echo(json.dumps(listed, indent=1))
        return
    show_table(("case", "FLOPs"), [(case_id(case), f"{flops(case):,}") for case in cases])


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
    from bench.doctor import worst
    from bench.examine import examine
    from bench.lock import alone
    from bench.progress import ScreenProgress
    from bench.screen import console
    from bench.showing import show_findings

    build_mojo()
    with alone("bench doctor"), ScreenProgress(console(sys.stderr)) as progress:
        found = examine(WORKERS, progress, invocations=4, seconds=8.0)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=1))
    else:
        show_findings(found)
    raise typer.Exit(int(worst(found) == "bad"))
