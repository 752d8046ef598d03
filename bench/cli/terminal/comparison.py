"""Shows on the terminal what two stored runs say about each other, and what a gate says of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.analysis.comparable import Differences, differences
from bench.analysis.comparison import Change, changes
from bench.analysis.gate import ANSWERS, Limit, Outcome, exit_code, gate, new_cases, obstacles
from bench.analysis.run_analysis import RunAnalysis, analyse_stored
from bench.cli.terminal.console import UNFINISHED
from bench.cli.terminal.text import show_lines, show_table
from bench.model.errors import UsageError
from bench.model.numbers import DASH, change_text, count_text, listing, ratio_text, time_text
from bench.model.records import Case, Estimate, Phase, TimeEstimate
from bench.model.tables import Table
from bench.report.elements.case_names import CaseNames
from bench.report.elements.sentences import MARKS, counts_text, implementation_name, slot_names
from bench.storage import runs as store

SIGNS: dict[str, str] = {"PASS": "=", "FAIL": "✕", "UNRESOLVED": "?"}
SUMMARIES = {
    0: "Passed: the whole interval of every case keeps the limit.",
    1: "Failed: the whole interval of at least one case lies beyond the limit.",
    2: "Not resolved: no case failed, but not every case can be told; measure both runs with more "
    "--invocations, or on a quieter machine (`bench doctor`).",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two runs as they were given, A and B."""

    names: tuple[Path, Path]
    notes: tuple[str, ...]
    a: RunAnalysis
    b: RunAnalysis
    found: Differences


def show_comparison(path_a: Path, path_b: Path, *, force: bool = False) -> bool:
    """Print two runs side by side and how the ratios changed; tell whether a case is INVALID.

    Args:
        path_a: Folder of the run that was before.
        path_b: Folder of the run that came after.
        force: Whether to show the times, and nothing formed from both, of runs that may not be
            compared.

    Raises:
        UsageError: They may not be compared, or have no case in common.
        StoreError: A run is missing or damaged.
    """
    pair = load_pair(path_a, path_b)
    blocked = pair.found.obstacles
    if blocked and not force:
        raise refused(pair, "compared", blocked, "; --force shows their times side by side")
    shared = [case for name, case in pair.b.cases.items() if name in pair.a.cases]
    if not shared:
        raise UsageError(f"{path_a} and {path_b} have no case in common; `bench report` shows each")
    _show_heads(pair)
    if blocked:
        show_lines(["They may not be compared, so no change is formed:", *_indented(blocked), ""])
    _show_times(pair, shared, with_change=not blocked)
    invalid = [
        case
        for name, case in pair.b.cases.items()
        if name in pair.a.cases and any(s.readings[name].invalid for s in (pair.a, pair.b))
    ]
    if not blocked:
        _show_changes(pair, changes(pair.a, pair.b))
    for letter, one, other in (("A", pair.a, pair.b), ("B", pair.b, pair.a)):
        alone = [name for name in one.cases if name not in other.cases]
        show_lines([f"only in {letter}: {name}" for name in alone])
    return bool(invalid)


def show_gate(baseline: Path, path: Path, limit: Limit, phases: Collection[Phase]) -> int:
    """Print what the gate says of a run held against a stored one; return the exit code.

    Raises:
        UsageError: The run may not be held against the baseline run.
        StoreError: A run is missing or damaged.
    """
    pair = load_pair(baseline, path)
    blocked = obstacles(pair.a, pair.b, pair.found, phases)
    if blocked:
        again = "; measure both on one machine with the same settings and the same baseline"
        raise refused(pair, "held against each other", blocked, again)
    gated = [one for one in changes(pair.a, pair.b) if one.case.phase in phases]
    outcomes = gate(gated, limit)
    _show_heads(pair)
    _show_outcomes(pair, outcomes, limit)
    text = CaseNames.of(one.case for one in gated).case
    new = new_cases(pair.a, pair.b, phases)
    show_lines([f"only in B, so not held against anything: {text(case)}" for case in new])
    code = exit_code(outcomes)
    counts = Counter(outcome.answer for outcome in outcomes)
    parts = listing([f"{counts[answer]} {answer}" for answer in ANSWERS if counts[answer]])
    show_lines(["", f"{SUMMARIES[code]} ({count_text(len(outcomes), 'case')}: {parts})"])
    return code


def load_pair(path_a: Path, path_b: Path) -> _Pair:
    """Read two runs, and tell in what they differ."""
    stored = [store.load(path) for path in (path_a, path_b)]
    sides = [analyse_stored(one) for one in stored]
    notes = [
        f"{letter}: {note}"
        for letter, one in zip("AB", stored, strict=True)
        for note in (*one.notes, *UNFINISHED.get(one.run.status, ()))
    ]
    found = differences(sides[0].run, sides[1].run)
    return _Pair((path_a, path_b), tuple(notes), sides[0], sides[1], found)


def refused(pair: _Pair, what: str, reasons: Sequence[str], advice: str) -> UsageError:
    """Say why two runs may not be held against each other."""
    names = f"{pair.names[0]} (A) and {pair.names[1]} (B)"
    return UsageError(
        "\n".join([f"{names} may not be {what}{advice}. The reasons:", *_indented(reasons)])
    )


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _show_heads(pair: _Pair) -> None:
    """Print which runs they are, what differs between them, and what follows from that."""
    for letter, path, one in zip("AB", pair.names, (pair.a, pair.b), strict=True):
        show_lines([f"{letter}: {path}, begun {one.run.started}"])
    show_lines(pair.notes)
    told = pair.found.told
    same = "What is on record of machine, settings and versions is the same in both."
    show_lines(["What differs:", *_indented(map(str, told))] if told else [same])
    show_lines(_cautions(pair))


def _cautions(pair: _Pair) -> list[str]:
    """Say what a change of the ratio may be about besides the candidate."""
    baseline, _ = slot_names(pair.b.run)
    commits = [one.run.environment.software.get("commit", "") for one in (pair.a, pair.b)]
    found = []
    if pair.found.of_baseline:
        found.append(
            f"{baseline}, the baseline, is not the same in both runs: a change of the ratio is "
            "about both sides."
        )
    if commits[0] != commits[1]:
        found.append(
            "The commits differ: if the baseline's own code is among what changed, a change of the "
            "ratio is about both sides."
        )
    elif commits[0].endswith("uncommitted changes"):
        found.append("What was changed and not committed, in either run, is not on record.")
    return found


def _show_times(pair: _Pair, shared: Sequence[Case], *, with_change: bool) -> None:
    text = CaseNames.of(shared).case
    names = [name for name in pair.b.cases if name in pair.a.cases]
    rows = []
    for name, case in zip(names, shared, strict=True):
        for spec in pair.b.run.plan.workers:
            times = [one.estimates.get(name, {}).get(spec.label) for one in (pair.a, pair.b)]
            if any(times):
                change = [_time_change(*times)] if with_change else []
                rows.append((text(case), spec.label, *map(_time, times), *change))
    heads = ("case", "worker", "A", "B", *(["B beside A"] if with_change else []))
    show_table(Table(heads, rows))
    show_lines(
        [
            "The two runs did not take turns: a change of times may be the machine's, and is no "
            "claim."
        ]
    )


def _time(time: TimeEstimate | None) -> str:
    return time_text(time.median_ns.point) if time else DASH


def _time_change(a: TimeEstimate | None, b: TimeEstimate | None) -> str:
    if a is None or b is None:
        return DASH
    return f"{100 * (b.median_ns.point / a.median_ns.point - 1):+.1f} %"


def _show_changes(pair: _Pair, found: Sequence[Change]) -> None:
    if not found:
        return
    baseline, candidate = slot_names(pair.b.run)
    text = _namer(found)
    rows = []
    for change in found:
        verdict = change.verdict
        rows.append(
            (
                text(change),
                _ratio(change.a),
                _ratio(change.b),
                _ratio(change.estimate),
                _floor(change),
                f"{MARKS[verdict.kind]} {verdict.kind}" if verdict else DASH,
            )
        )
    heads = ("case", "ratio in A", "ratio in B", "B over A (95 %)", "A/A", "verdict")
    show_table(Table(heads, rows))
    _show_reasons(
        (text(c), c.verdict.kind, c.verdict.reason)
        for c in found
        if c.verdict and c.verdict.kind in ("UNRESOLVED", "INVALID")
    )
    show_lines(
        [
            f"ratio: {baseline}'s time over the candidate's; B over A: above 1 the candidate "
            f"gained on {baseline}; A/A: how far {baseline} beside itself moved, the noise floor"
        ]
    )
    counts = Counter(change.verdict.kind for change in found if change.verdict)
    sentence = f"From A to B, {candidate} beside {baseline}: {counts_text(counts)}."
    show_lines(["", sentence] if counts else [])


def _show_outcomes(pair: _Pair, outcomes: Sequence[Outcome], limit: Limit) -> None:
    slowdown = limit.kind == "max-slowdown"
    text = _namer([outcome.change for outcome in outcomes])
    rows = []
    for outcome in outcomes:
        change = outcome.change
        answer = f"{SIGNS[outcome.answer]} {outcome.answer}"
        changed = DASH
        if change.estimate:
            shown = _inverse(change.estimate) if slowdown else change.estimate
            changed = change_text(shown, 1 + limit.fraction)
        rows.append((text(change), _ratio(change.a), _ratio(change.b), changed, answer))
    word = "slowdown" if slowdown else "speed-up"
    bound = "at most" if slowdown else "at least"
    show_table(Table(("case", "ratio in A", "ratio in B", f"{word} (95 %)", "verdict"), rows))
    _show_reasons(
        (text(o.change), o.answer, o.reason) for o in outcomes if o.answer == "UNRESOLVED"
    )
    baseline, _ = slot_names(pair.b.run)
    show_lines(
        [
            f"{word}: of the candidate beside {baseline}, from A to B; demanded is {bound} "
            f"{100 * limit.fraction:g} %"
        ]
    )


def _namer(found: Sequence[Change]) -> Callable[[Change], str]:
    """Choose how to name changes: with the candidate where there are several."""
    text = CaseNames.of(change.case for change in found).case
    several = len({change.candidate for change in found}) > 1
    return lambda change: (
        text(change.case) + (f" · {implementation_name(change.candidate)}" if several else "")
    )


def _show_reasons(reasons: Iterable[tuple[str, str, str]]) -> None:
    """Print why, once for all cases of which the same is said."""
    cases: dict[str, list[str]] = {}
    for name, kind, reason in reasons:
        cases.setdefault(f"{kind}: {reason}", []).append(name)
    for reason, names in cases.items():
        show_lines([f"{names[0] if len(names) == 1 else f'{len(names)} cases'}: {reason}"])


def _ratio(estimate: Estimate | None) -> str:
    return ratio_text(estimate) if estimate else DASH


def _inverse(estimate: Estimate) -> Estimate:
    return Estimate(1 / estimate.point, 1 / estimate.high, 1 / estimate.low, estimate.count)


def _floor(change: Change) -> str:
    return DASH if math.isnan(change.floor) else f"±{math.expm1(change.floor):.1%}"
