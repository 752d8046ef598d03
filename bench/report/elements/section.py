"""A section of a page as plain text, tables and charts: what the templates lay out.

No files, no markup, no escaping. Who says something new of a run makes one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.model.tables import Table
from bench.report.elements.chart import Chart


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading, from top to bottom."""

    anchor: str  # its place on the page, and in links to it
    short: str  # its name in the list of sections
    title: str
    text: Sequence[str] = ()  # a paragraph each
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()  # with a heading each, where they have a name
    points: Sequence[str] = ()  # a line each
    folded: Sequence[Chart] = ()  # opened one at a time
