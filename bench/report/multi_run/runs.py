"""Several stored runs: those of one machine in the order of time, machines side by side. Pure.

A ratio is one run's own, formed inside it. Of two runs none is ever formed here: what changed from
one to the next is said by `bench.analysis.comparison`, and of two machines nothing can be. Runs
belong together where `bench.analysis.comparable` finds no obstacle between any two of them.
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
from bench.storage.dates import when
from bench.storage.runs import Stored


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A run and what it says of each case."""

    run: Run
    results: Mapping[str, Result]  # by case id, of the main candidate; phases of the network only
    all: tuple[Result, ...]  # of every candidate; phases of the network only
    notes: tuple[str, ...]

    @property
    def invalid(self) -> bool:
        """Whether a case is INVALID."""
        verdicts = [result.verdict for result in self.all]
        return any(verdict and verdict.kind == "INVALID" for verdict in verdicts)


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Runs that may stand in one history: one machine, one set of settings; the oldest first."""

    name: str
    runs: tuple[Judged, ...]
    changed: tuple[tuple[str, tuple[Difference, ...]], ...]  # by run, against the one before it


def judged(stored: Stored) -> Judged:
    """Judge a run on its own."""
    analysis = analyse_stored(stored)
    found, mine = (
        tuple(result for result in one.results if result.case.phase in PHASES)
        for one in (analysis, analysis.of_main)
    )
    by_case = {case_id(result.case): result for result in mine}
    return Judged(stored.run, by_case, found, stored.notes)


def groups_of(runs: Sequence[Judged]) -> list[Group]:
    """Put runs together that belong together; groups in the order of their oldest runs."""
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
    cases = {result.case for one in runs for result in one.results.values()}

    def order(case: Case) -> tuple[object, ...]:
        size = flops(Case("forward", case.problem))
        dtype = case.problem.dtype != "float64"
        return PHASES.index(case.phase), size, dtype, case.problem.threads, case_id(case)

    return sorted(cases, key=order)


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
        twin = texts.index(text)
        both = letters[twin], letters[place]
        why = differences(first[twin], run, both).obstacles[:1] if place != twin else ()
        named.append(f"{text} ({'; '.join((letters[place], *why))})")
    return named


def _changes(group: Sequence[Judged]) -> tuple[tuple[str, tuple[Difference, ...]], ...]:
    """Say what was not the same as in the run before, the command left aside."""
    found = []
    for before, after in pairwise(group):
        told = differences(before.run, after.run).told
        kept = tuple(one for one in told if one.name != "command")
        if kept:
            found.append((after.run.name, kept))
    return tuple(found)
