"""Writes the files of a page: templates, policy, escaped Markdown and CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.model.errors import StoreError
from bench.model.tables import Table, markdown_lines
from bench.report.elements.case_rows import COLUMNS, CaseRow
from bench.report.elements.chart import Chart
from bench.storage.atomic_files import write_whole
from bench.storage.limits import FORMULA

LIVE_IN_MARKDOWN = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")

LIVE_AT_THE_START = re.compile(r"^\s*(?:\d{1,9}(?=[.)](?:\s|$))|(?=(?:[+-]|#{1,6})(?:\s|$)))")
"""What would make a line a heading or an item of a list; `-0.5` is none."""


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """The two pages of a report."""

    html: Path
    markdown: Path


def write_pages(
    folder: Path, pages: Mapping[Path, str], charts: Iterable[Chart], of_old: str = "*.svg"
) -> None:
    """Write pages, and their charts below them; charts of another day go.

    Args:
        folder: Where the pages are.
        pages: Text by path.
        charts: For the folder `charts`.
        of_old: Which files in it go if they are none of these.

    Raises:
        StoreError: The folder of the charts is a link.
        OSError: Something cannot be written.
    """
    drawings = folder / "charts"
    if drawings.is_symlink():
        raise StoreError(
            f"cannot write the report into {folder}: {drawings.name} is a link that leads "
            "elsewhere; remove it"
        )
    drawings.mkdir(exist_ok=True)
    drawn = {drawings / f"{chart.name}.svg": chart.svg for chart in charts}
    for path, text in {**drawn, **pages}.items():
        write_whole(path, text.encode())
    for old in drawings.glob(of_old):
        if old not in drawn:
            old.unlink()


def csv_text(rows: Iterable[CaseRow]) -> str:
    """Write the results with all digits; no cell of text is a formula to who opens it.

    A spreadsheet computes text that begins with one of = + - @, which a stranger may have put into
    a run: an apostrophe before it says that it is text. Numbers stay numbers.
    """

    def inert(cell: Any) -> Any:
        if isinstance(cell, float) and math.isnan(cell):
            return ""
        return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell

    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([inert(getattr(row, name)) for name in COLUMNS] for row in rows)
    return file.getvalue()


def markdown_text(value: Any) -> Any:
    """Write a value so that Markdown shows it as it is: no markup, no table cell, no HTML in it."""
    if isinstance(value, Markup):
        return value
    text = LIVE_IN_MARKDOWN.sub(r"\\\g<0>", _one_line(str(value)))
    text = LIVE_AT_THE_START.sub(r"\g<0>\\", text)
    return Markup(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def markdown_code(value: str) -> Markup:
    """Write a command as inline code, whatever it holds."""
    text = _one_line(value)
    fence = "`" * (max((len(ticks) for ticks in re.findall("`+", text)), default=0) + 1)
    return Markup(f"{fence}{text}{fence}")


def script_of(environment: Environment) -> tuple[Markup, Markup]:
    """Return the script of the page, and the hash by which its policy allows this one alone."""
    assert environment.loader is not None
    text = environment.loader.get_source(environment, "report.js")[0]
    digest = b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), Markup(f"sha256-{digest}")


def _markdown_table(table: Table) -> Markup:
    return Markup("\n").join(map(Markup, markdown_lines(table, escape=markdown_text)))


def _one_line(text: str) -> str:
    return re.sub(r"[\n\r\t\v\f\x1c-\x1e\x85\u2028\u2029]+", " ", text)


def templates_for(finalize: Any) -> Environment:
    """Make jinja2 escape every value: for HTML by itself, for Markdown by `finalize`."""
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = markdown_code
    environment.filters["markdown"] = _markdown_table
    return environment
