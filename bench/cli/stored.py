"""The commands on stored runs. They parse and print, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from bench.cli.app import app, epilog, phases_of
from bench.cli.options import (
    ForceOption,
    FormatName,
    MaxSlowdownOption,
    MinSpeedupOption,
    OutOption,
    PhaseOption,
    PlainOption,
)
from bench.cli.output import JsonOption, emit
from bench.model.errors import BenchError, UsageError

GATE_CODES = (
    "**Exit codes of the gate:** 0 passed: the whole interval of every case keeps the limit · "
    "1 failed: that of at least one lies beyond it · 2 not resolved: neither, or too few "
    "invocations · 3 could not be told: a run is missing or damaged, the "
    "environments or the baseline differ, cases are missing or INVALID, or the command is wrong · "
    "130 interrupted"
)
COULD_NOT_RUN = 3
"""Exit code of the gate for all that is wrong, as 2 has a meaning of its own there."""


class GateCommand(TyperCommand):
    """A command whose own wrong words end it with `COULD_NOT_RUN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command."""
        try:
            return super().parse_args(ctx, args)
        except typer.Exit:  # after --help
            raise
        except Exception as error:
            wrong: Any = error
            wrong.exit_code = COULD_NOT_RUN
            raise


@app.command(
    name="report",
    epilog=epilog(
        "bench report results/reference",
        "bench report results/before results/after results/server --out results/multi_run",
        "bench report results/reference --plain",
        "pytest bench --benchmark-json=speed.json && bench report speed.json",
    ),
)
def report_command(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_OR_FILE...",
            help="Folder of a run, or of several; or one file of pytest-benchmark (which gives no "
            "verdicts).",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Of a file: the folder of the runs. Of several runs: the folder of their page. "
            "[default: results; of several runs results/multi_run]",
        ),
    ] = None,
    plain: PlainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make charts, report.html and report.md from the raw data of a run.

    Of several runs: multi_run.html and multi_run.md, with the history of each machine's ratios, and
    machines side by side. No ratio is ever formed between two runs.
    """
    if len(sources) > 1:
        from bench.cli.terminal.multi_run import show_multi_run
        from bench.report.multi_run.build import build_multi_run

        groups, paths = build_multi_run(sources, out or Path("results") / "multi_run")
        if as_json:
            from bench.cli.documents import judged_runs

            found = judged_runs(groups, paths)
            emit(found)
            raise typer.Exit(int(not found.ok))
        raise typer.Exit(int(show_multi_run(groups, paths, plain=plain)))
    from bench.analysis.run_analysis import analyse_stored
    from bench.cli.terminal.results import show_run
    from bench.report.run.build import build
    from bench.storage.pytest_import import import_file
    from bench.storage.runs import load

    (source,) = sources
    path = import_file(source, out or Path("results")) if source.is_file() else source
    analysis = analyse_stored(load(path))
    build(path, analysis)
    if as_json:
        from bench.cli.documents import judged_run

        one = judged_run(path, analysis)
        emit(one)
        raise typer.Exit(int(not one.ok))
    raise typer.Exit(int(show_run(path, analysis, plain=plain)))


@app.command(
    name="open",
    epilog=epilog("bench open", "bench open results/reference", "bench open --print"),
)
def open_command(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="Folder of a run. [default: the one begun last]"),
    ] = None,
    out: OutOption = Path("results"),
    only_print: Annotated[
        bool, typer.Option("--print", help="Print where the page is, and open nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Open the report of a run, by default the latest, in the browser."""
    import webbrowser

    from bench.cli.terminal.text import show_lines
    from bench.storage.latest import report_page

    page = report_page(run, out)
    if as_json:
        from bench.cli.documents import Written

        emit(Written((str(page),)))
    else:
        show_lines([str(page)], whole=True)
    if not only_print and not webbrowser.open(page.resolve().as_uri()):
        raise UsageError(f"no browser could be started; open {page} by hand")


@app.command(
    epilog=epilog(
        "bench compare results/before results/after",
        "bench compare results/laptop results/server --force",
    ),
)
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Folder of the run that was before.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Folder of the run that came after.")],
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare two stored runs: times side by side, and how each ratio to NumPy changed.

    Two runs do not take turns, so a change of times may come from the machine and has no verdict.
    Verdicts are on the change of the ratio, where effects on both sides cancel: above 1 the
    candidate gained. Machine and settings must agree; versions, commit and compiler flags may
    differ and are listed.
    """
    from bench.cli.terminal.comparison import show_comparison

    if as_json:
        from bench.cli.documents import comparison

        document = comparison(a, b, force=force)
        emit(document)
        raise typer.Exit(int(not document.ok))
    raise typer.Exit(int(show_comparison(a, b, force=force)))


@app.command(
    cls=GateCommand,
    epilog=epilog(
        "bench gate --baseline results/before --max-slowdown 5% results/after",
        "bench gate --baseline results/before --min-speedup 3% --phase epoch results/after",
        codes=GATE_CODES,
    ),
)
def gate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run to be judged.")],
    baseline: Annotated[
        Path,
        typer.Option(
            "--baseline", metavar="RUN", help="Folder of the stored run that it is held against."
        ),
    ],
    max_slowdown: MaxSlowdownOption = None,
    min_speedup: MinSpeedupOption = None,
    phase: PhaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fail if a run is slower than a baseline run by more than a limit (for CI).

    Give one of --max-slowdown and --min-speedup. It holds for every case, or for those of --phase.
    The gate judges the change of each ratio to NumPy, as `bench compare` does.
    """
    from bench.analysis.gate import Limit
    from bench.cli.terminal.comparison import show_gate

    try:
        if max_slowdown is not None and min_speedup is None:
            limit = Limit("max-slowdown", max_slowdown)
        elif min_speedup is not None and max_slowdown is None:
            limit = Limit("min-speedup", min_speedup)
        else:
            raise UsageError("give one of --max-slowdown and --min-speedup, such as 5%")
        if as_json:
            from bench.cli.documents import gated

            document = gated(baseline, run, limit, phases_of(phase))
            emit(document)
            raise typer.Exit(document.exit_code)
        raise typer.Exit(show_gate(baseline, run, limit, phases_of(phase)))
    except BenchError as error:
        error.exit_code = COULD_NOT_RUN
        raise


@app.command(
    name="export",
    epilog=epilog(
        "bench export results/reference --to csv",
        "bench export results/reference --to pyperf --out before.json",
    ),
)
def export_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    to: Annotated[
        FormatName,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="**csv** or **parquet**: every reading, a row each; **pyperf** or "
            "**pytest-benchmark**: a file that this program reads.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="File to write. [default: below the run's folder, in exports/]",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the readings of a run in the format of another program.

    pyperf and pytest-benchmark do not pair the readings of a round, so their conclusions are
    weaker than those of the report.
    """
    from bench.cli.terminal.text import show_lines
    from bench.storage.export import export

    lines = export(run, str(to), out)
    if as_json:
        from bench.cli.documents import Written

        emit(Written(tuple(lines)))
    else:
        show_lines(lines)
