"""Several stored runs, grouped by machine: those of one machine in the order of time. Pure.

A ratio is one run's own; none is ever formed of two runs. `bench.analysis.comparison` judges what
changed from one run to the next. Runs share a group if `bench.analysis.comparable` finds no
obstacle between any two of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.analysis.comparable import Difference, differences
from bench.analysis.run_analysis import analyse_stored
from bench.model.arithmetic import flops
from bench.model.cases import case_id
from bench.model.records import PHASES, Case, Result, Run
from bench.report.elements.sentences import machine_text, slot_names
from bench.report.multi_run.cells import Cell, Column, cell_of, column_of
from bench.storage.dates import when
from bench.storage.runs import Stored


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A run and its results."""

    run: Run
    all: tuple[Result, ...]  # of every candidate; phases of the network only
    cells: Mapping[Column, Cell]  # of the main candidate
    notes: tuple[str, ...]

    @property
    def invalid(self) -> bool:
        """Whether a case is INVALID."""
        verdicts = [result.verdict for result in self.all]
        return any(verdict and verdict.kind == "INVALID" for verdict in verdicts)


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Runs with one history: one machine, one set of settings; the oldest first."""

    name: str
    runs: tuple[Judged, ...]
    changed: tuple[tuple[str, tuple[Difference, ...]], ...]  # by run, against the one before it


def judged(stored: Stored) -> Judged:
    """Judge a run on its own."""
    run, results = stored.run, analyse_stored(stored).results
    found = tuple(one for one in results if one.case.phase in PHASES)
    cells = {column_of(one.case): cell_of(one) for one in _of_main(run, found)}
    return Judged(run, found, cells, stored.notes)


def _of_main(run: Run, results: Sequence[Result]) -> list[Result]:
    return [one for one in results if one.candidate == run.main.label]


def groups_of(runs: Sequence[Judged]) -> list[Group]:
    """Group comparable runs; groups are in the order of their oldest runs."""
    sets: list[list[Judged]] = []
    for one in sorted(runs, key=lambda one: when(one.run)):
        home = next(
            (
                group
                for group in sets
                if not any(differences(other.run, one.run).obstacles for other in group)
            ),
            None,
        )
        if home is None:
            sets.append([one])
        else:
            home.append(one)
    names = _names(sets)
    return [
        Group(name, tuple(group), _changes(group)) for name, group in zip(names, sets, strict=True)
    ]


def cases_of(runs: Sequence[Judged]) -> list[Case]:
    """List every case of some runs once, by phase, networks in the order of their arithmetic."""
    cases = {result.case for one in runs for result in _of_main(one.run, one.all)}

    def order(case: Case) -> tuple[object, ...]:
        size = flops(Case("forward", case.problem))
        dtype = case.problem.dtype != "float64"
        return PHASES.index(case.phase), size, dtype, case.problem.threads, case_id(case)

    return sorted(cases, key=order)


def columns_of(runs: Sequence[Judged]) -> list[Column]:
    """List the columns that those cases stand in."""
    return list(map(column_of, cases_of(runs)))


def shared_slots(runs: Sequence[Judged]) -> tuple[str, str]:
    """Name baseline and candidate where all runs have the same, else in general words."""
    names = {slot_names(one.run) for one in runs}
    return names.pop() if len(names) == 1 else ("the baseline", "the candidate")


def _names(sets: Sequence[Sequence[Judged]]) -> list[str]:
    """Name each group by its processor, and by what is different where two have the same."""
    first = [group[0].run for group in sets]
    texts = [machine_text(run) for run in first]
    letters = [chr(ord("a") + place) if place < 26 else str(place) for place in range(len(first))]
    named: list[str] = []
    for place, (text, run) in enumerate(zip(texts, first, strict=True)):
        if texts.count(text) == 1:
            named.append(text)
            continue
        first_alike = texts.index(text)
        both = letters[first_alike], letters[place]
        why = (
            differences(first[first_alike], run, both).obstacles[:1] if place != first_alike else ()
        )
        named.append(f"{text} ({'; '.join((letters[place], *why))})")
    return named


def _changes(group: Sequence[Judged]) -> tuple[tuple[str, tuple[Difference, ...]], ...]:
    """List what differs from the run before, except the command."""
    found = []
    for before, after in pairwise(group):
        told = differences(before.run, after.run).told
        kept = tuple(one for one in told if one.name != "command")
        if kept:
            found.append((after.run.name, kept))
    return tuple(found)
