"""A page about many runs: what it says, how it is laid out, and its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jinja2 import Environment

from bench.report.elements.files import (
    ReportPaths,
    markdown_text,
    script_of,
    templates_for,
    write_pages,
)
from bench.report.elements.section import Section
from bench.report.multi_run.rows import CaseTable


@dataclass(frozen=True, slots=True)
class Page:
    """All that a page says, top to bottom."""

    title: str
    conclusion: str
    sections: Sequence[Section]
    machine: str = ""
    notices: Sequence[str] = ()
    how_to_read: Sequence[str] = ()
    cases: CaseTable | None = None
    back: tuple[str, str] = ("", "")  # address and name of the page above it

    @property
    def contents(self) -> list[tuple[str, str]]:
        """Anchor and name of every section."""
        return [
            *([("how-to-read", "How to read")] if self.how_to_read else []),
            *((section.anchor, section.short) for section in self.sections),
            *([("results", "Every case")] if self.cases else []),
        ]


@dataclass(frozen=True, slots=True)
class Renderer:
    """Lays out pages; the templates are read once."""

    for_html: Environment = field(default_factory=lambda: templates_for(None))
    for_markdown: Environment = field(default_factory=lambda: templates_for(markdown_text))

    def html(self, page: Page) -> str:
        """Write a page as HTML, with a script only where it has a table to sort."""
        script, script_hash = script_of(self.for_html)
        more = {"script": script, "script_hash": script_hash} if page.cases else {}
        return self.for_html.get_template("multi_run.html").render(page=page, **more)

    def write(self, page: Page, paths: ReportPaths, of_old: str) -> None:
        """Write a page in both forms, with the charts of its Markdown beside it.

        Args:
            page: What to write.
            paths: Both forms, in one folder that exists.
            of_old: Which charts of another day go.

        Raises:
            StoreError: The folder of the charts is a link.
            OSError: Something cannot be written.
        """
        markdown = self.for_markdown.get_template("multi_run.md").render(page=page)
        charts = [chart for section in page.sections for chart in section.charts]
        made = {paths.markdown: markdown, paths.html: self.html(page)}
        write_pages(paths.html.parent, made, charts, of_old)
