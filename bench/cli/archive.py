"""The commands on a store of many runs. They parse and print, nothing else."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.app import app, epilog
from bench.cli.output import JsonOption, emit
from bench.model.errors import UsageError

STORE = Path("results/store")
CODES = (
    "**Exit codes:** 0 done · 1 runs were kept out: refused, or in conflict with another; the rest "
    "is in · 2 the command, or a file it names, is wrong · 3 is not used · 4 another process "
    "merges into the store · 130 interrupted; the store is as it was"
)
AnswerName = StrEnum("AnswerName", ["table", "csv", "json"])


def _need_arrow() -> None:
    import importlib.util

    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError(
            "a store of runs needs the package pyarrow; install it by "
            "`.venv/bin/python -m pip install -c constraints.txt pyarrow`"
        )


@app.command(
    name="merge",
    epilog=epilog(
        "bench merge results", "bench merge results ~/collected --into store", codes=CODES
    ),
)
def merge_command(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Folders of runs, or that hold runs at any depth."),
    ],
    into: Annotated[
        Path, typer.Option("--into", metavar="STORE", help="Folder of the store; made if missing.")
    ] = STORE,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            metavar="N",
            min=1,
            help="How many read at once. [default: as many as there are cores]",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Import runs into a Parquet store, skipping duplicates.

    A run that contradicts one of the store, or that `bench report` would refuse, is kept out and
    named. The rest goes in, all of it or nothing.
    """
    _need_arrow()
    from bench.cli.terminal.fleet import merging, show_merged
    from bench.storage.archive.merge import merge

    with merging() as step:
        merged = merge(folders, into, processes=processes, step=step)
    if as_json:
        from bench.cli.documents import merge_of

        emit(merge_of(merged))
    else:
        show_merged(merged)
    raise typer.Exit(int(merged.wrong))


@app.command(
    name="query",
    epilog=epilog(
        'bench query "DESCRIBE results"',
        'bench query "SELECT cpu, ratio FROM results JOIN runs USING (run)"',
        'bench query "FROM runs" --store store --format csv',
        codes=CODES,
    ),
)
def query_command(
    sql: Annotated[
        str,
        typer.Argument(
            metavar="SQL", help="One SELECT on the tables **samples**, **runs** and **results**."
        ),
    ],
    store: Annotated[
        Path, typer.Option("--store", metavar="STORE", help="Folder of the store.")
    ] = STORE,
    form: Annotated[
        AnswerName, typer.Option("--format", metavar="FORMAT", help="table, csv, or json lines.")
    ] = AnswerName.table,
    as_json: JsonOption = False,
) -> None:
    """Ask a store in SQL, by DuckDB: it reads the store and nothing else, no files, no network."""
    _need_arrow()
    from bench.cli.terminal.fleet import show_answer
    from bench.storage.archive.query import query

    answer = query(store, sql)
    if as_json:
        from bench.cli.documents import Queried

        emit(Queried(answer.heads, tuple(answer.rows)))
    else:
        show_answer(answer, str(form))


@app.command(
    name="fleet",
    epilog=epilog("bench fleet", "bench fleet store --runs results", codes=CODES),
)
def fleet_command(
    store: Annotated[
        Path, typer.Argument(metavar="[STORE]", help="Folder of the store.", show_default=True)
    ] = STORE,
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            "--runs",
            metavar="DIR",
            help="A folder with runs of the store: machines' pages link to the reports there. May "
            "be repeated.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the report of all machines of a store: fleet.html, fleet.md, and a page per machine.

    Machines are rows and cases columns; each cell is that machine's own ratio. None is ever formed
    between two machines.
    """
    _need_arrow()
    from bench.cli.terminal.fleet import show_fleet
    from bench.report.fleet.build import build_fleet

    fleet, paths = build_fleet(store, runs or [])
    if as_json:
        from bench.cli.documents import fleet_pages

        emit(fleet_pages(fleet, paths))
    else:
        show_fleet(fleet, paths)
