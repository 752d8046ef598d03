"""A store -> fleet.html, fleet.md and a page for each machine, below the store. Files only.

Names of files are ids that `bench.storage.archive.store` has checked; nothing else that a run says
becomes a path.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from bench.model.errors import StoreError
from bench.report.elements.files import ReportPaths
from bench.report.fleet.machines import Fleet, Record, fleet_of
from bench.report.fleet.page import fleet_page, machine_page
from bench.report.multi_run.layout import Renderer
from bench.storage import runs as store
from bench.storage.archive.machine_facts import recording
from bench.storage.archive.merge import find_runs
from bench.storage.archive.store import own_folder, read_results, read_runs
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
    runs, results = read_runs(path).to_pylist(), read_results(path).to_pylist()
    fleet = fleet_of(runs, results)
    rows: dict[str, list[Record]] = defaultdict(list)
    for row in results:
        rows[row["run"]].append(row)
    renderer, out = Renderer(), path / FOLDER
    reports = _reports(runs, at_hand, path) if at_hand else {}
    paths = ReportPaths(out / "fleet.html", out / "fleet.md")
    pages = {out / MACHINES / f"{machine.name}.html": machine for machine in fleet.machines}
    try:
        own_folder(own_folder(out) / MACHINES)
        for file, machine in pages.items():
            text = renderer.html(machine_page(fleet, machine, rows, reports))
            write_whole(file, text.encode(), flush=False)
        renderer.write(fleet_page(fleet), paths, of_old="fleet-*.svg")
        for old in (out / MACHINES).glob("*.html"):
            if old not in pages:
                old.unlink()
    except OSError as error:
        raise StoreError(
            f"cannot write the pages into {out}: {error.strerror}; make the folder writable or "
            "copy the store elsewhere"
        ) from error
    return fleet, paths


def _reports(runs: Sequence[Record], at_hand: Sequence[Path], path: Path) -> dict[str, str]:
    """Find the reports of runs that lie in some folders, as links from a machine's page."""
    ids = {row["recording"]: row["run"] for row in runs}
    start = (path / FOLDER / MACHINES).resolve()
    found = {}
    for folder in find_runs(at_hand, path):
        page = folder / "report.html"
        try:
            run = ids.get(recording(store.load_run(folder)))
        except StoreError:
            continue  # it is not in the store either
        if run is not None and page.is_file():
            found[run] = quote(Path(os.path.relpath(page.resolve(), start)).as_posix())
    return found
