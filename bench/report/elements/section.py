"""A section of a page as plain text, tables and charts: what the templates lay out.

No files, no markup, no escaping. Who says something new of a run makes one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

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
    grid: Grid | None = None  # after the charts
    links: Sequence[tuple[str, str]] = ()  # address and words, after the text


@dataclass(frozen=True, slots=True)
class GridCell:
    """One result: the class of its ground (empty: none), its words, and its interval."""

    look: str
    text: str
    ends: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.ends})" if self.ends else self.text


@dataclass(frozen=True, slots=True)
class GridRow:
    """A row of results, and what it is of."""

    name: str
    note: str  # small, below the name
    facts: Sequence[str]
    cells: Sequence[GridCell]
    link: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of results on coloured ground, a column for each phase and network."""

    name: str
    what: str  # what a row is of
    facts: Sequence[str]  # heads of the facts
    columns: Sequence[tuple[str, str]]  # phase and network
    rows: Sequence[GridRow]

    @property
    def phases(self) -> list[tuple[str, int]]:
        """Each phase, with the number of its columns."""
        return [(phase, len(list(mine))) for phase, mine in groupby(p for p, _ in self.columns)]
