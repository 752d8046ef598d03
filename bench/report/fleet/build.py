"""A store -> fleet.html, fleet.md and a page per machine, below the store. Files only.

What is said is made in `bench.report.fleet.page`. Names of files are ids that the store's manifest
holds, which are digests; nothing that a run says becomes a path.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.model.errors import StoreError
from bench.model.tables import Table
from bench.report.elements.files import ReportPaths, markdown_text, templates_for
from bench.report.fleet.page import MOST_RUNS, FleetPage, fleet_page, machine_page
from bench.report.fleet.summary import Fleet, fleet_of
from bench.storage import runs as store
from bench.storage.archive import tables as fleet_store
from bench.storage.archive.machine_facts import run_key
from bench.storage.archive.merge import find_runs
from bench.storage.archive.tables import Manifest
from bench.storage.atomic_files import write_whole

FOLDER, MACHINES = "report", "machines"


def build_fleet(path: Path, at_hand: Sequence[Path] = ()) -> tuple[Fleet, ReportPaths]:
    """Make the pages of a store, again each time.

    Args:
        path: The store.
        at_hand: Folders with runs of it; the page of a machine links to the reports that they have.

    Raises:
        StoreError: The store is missing or damaged, or the pages cannot be written.
        UsageError: A folder at hand holds no run.
    """
    manifest = fleet_store.read_manifest(path)
    results = fleet_store.read_results(path, manifest)
    fleet = fleet_of(fleet_store.read_runs(path, manifest), results)
    page = fleet_page(fleet)
    out = path / FOLDER
    reports = _reports(manifest, at_hand, path) if at_hand else {}
    paths = ReportPaths(out / "fleet.html", out / "fleet.md")
    for_html, for_markdown = templates_for(None), templates_for(markdown_text)
    one = for_html.get_template("fleet_machine.html")
    rows = _by_run(results, fleet)
    try:
        for folder in (out, out / MACHINES):
            fleet_store.own_folder(folder)
        for machine in fleet.machines:
            text = one.render(page=machine_page(fleet, machine, rows, reports))
            write_whole(out / MACHINES / f"{machine.name}.html", text.encode(), flush=False)
        text = for_markdown.get_template("fleet.md").render(page=page, machines=_table(page))
        write_whole(paths.markdown, text.encode())
        write_whole(paths.html, for_html.get_template("fleet.html").render(page=page).encode())
        named = {f"{machine.name}.html" for machine in fleet.machines}
        for old in (out / MACHINES).glob("*.html"):
            if old.name not in named:
                old.unlink()
    except OSError as error:
        raise StoreError(
            f"cannot write the pages into {out}: {error.strerror}; make the folder writable or "
            "copy the store elsewhere"
        ) from error
    return fleet, paths


def _by_run(results: Any, fleet: Fleet) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Sort the results of the runs that pages show by run."""
    import pyarrow as pa
    import pyarrow.compute as pc

    shown = [run["run"] for machine in fleet.machines for run in machine.runs[:MOST_RUNS]]
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in results.filter(pc.is_in(results["run"], pa.array(shown, pa.string()))).to_pylist():
        found[row["run"]].append(row)
    return found


def _reports(manifest: Manifest, at_hand: Sequence[Path], path: Path) -> dict[str, str]:
    """Find the reports of runs that lie in some folders, as links from a machine's page."""
    by_key = {entry.key: entry.run for entry in manifest.runs}
    found = {}
    for folder in find_runs(at_hand, path):
        page = folder / "report.html"
        if not page.is_file():
            continue
        try:
            run = by_key.get(run_key(store.load_run(folder)))
        except StoreError:
            continue  # it is not in the store either
        if run is not None:
            start = (path / FOLDER / MACHINES).resolve()
            found[run] = quote(Path(os.path.relpath(page.resolve(), start)).as_posix())
    return found


def _table(page: FleetPage) -> Table:
    """Put machines into a table for Markdown."""
    heads = ["machine", *page.facts]
    phases = [phase for phase, count in page.phases for _ in range(count)]
    heads += [f"{phase} {name}" for phase, name in zip(phases, page.networks, strict=True)]
    rows = []
    for machine in page.machines:
        cells = [
            " ".join(
                filter(
                    None, (one.mark, one.ratio or one.words, f"({one.ends})" if one.ends else "")
                )
            )
            or "–"
            for one in machine.cells
        ]
        rows.append((f"{machine.cpu} {machine.name[:8]}", *machine.facts, *cells))
    return Table(tuple(heads), rows, "Machines")
