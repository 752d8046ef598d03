"""Turns samples into estimates, ratios and verdicts. Pure: no clock, no files, no printing.

Two levels are kept apart: readings inside one invocation share a process and are summed up by
their median; only invocations, each with processes of its own, count as independent. Logarithms
throughout, so that a ratio and its inverse get the same treatment. The rules in words, with a
worked example, are in docs/method.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.intervals import (
    CONFIDENCE,
    Floats,
    estimate,
    holm,
    p_value,
    quantile,
    t_interval,
    trend_p_value,
)
from bench.analysis.judge import Interval, claims, verdict_of
from bench.analysis.readings import Readings, Times
from bench.model.cases import case_id
from bench.model.numbers import count_text
from bench.model.records import (
    PHASES,
    Case,
    Ratio,
    Result,
    Run,
    Spread,
    TimeEstimate,
    Verdict,
    WorkerSpec,
)

BAND = 0.02
"""Differences up to this are of no interest: a ratio from 1/1.02 to 1.02 counts as equal."""
LEAST_FOR_VERDICT = 10
MOST_WORTH_NAMING = 1000
"""Beyond this many invocations, "so many more would settle it" helps nobody."""
DRIFT_LEVEL = 0.01
"""Chance that an invocation without drift is marked as drifting."""


def results_of(
    run: Run, each: Mapping[str, Mapping[str, Readings]], band: float = BAND
) -> tuple[Result, ...]:
    """Derive one result per case and candidate that takes part in it, in the order of the plan.

    Overheads have times only. A case that failed parity, was never checked, or had a fault is
    INVALID and has no ratio. A run from pytest-benchmark has ratios of medians without an
    interval, and no verdicts. An invocation counts for a case and a candidate when that and both
    slots of the baseline finished every planned round of it; others are counted in `incomplete`.
    What one of several candidates does wrong or leaves out says nothing of the others.

    Args:
        run: The run.
        each: What `bench.analysis.readings` sorted by candidate and case.
        band: Differences up to this count as equal.
    """
    baseline, again = run.baseline, run.again
    compared = _compare(run, each)
    judged = [one for one in compared if one.enough and run.source == "bench"]
    corrected = holm([p_value(one.logs) for one in judged])
    p_of = {
        (one.case, one.candidate): p_holm for one, p_holm in zip(judged, corrected, strict=True)
    }
    times_of = [_times(list(one.readings.invocations.values())) for one in compared]
    everybodys: dict[Case, dict[str, TimeEstimate]] = {}
    for one, times in zip(compared, times_of, strict=True):
        everybodys.setdefault(one.case, {}).update(times)
    found = []
    for one, own in zip(compared, times_of, strict=True):
        name = case_id(one.case)
        invocations = list(one.readings.invocations.values())
        verdict = None
        if one.readings.invalid:
            verdict = Verdict("INVALID", one.readings.invalid)
        elif (one.case, one.candidate) in p_of:
            p_holm = p_of[one.case, one.candidate]
            verdict = _judge(one.logs, one.floor_logs, p_holm, len(judged), band)
        elif one.case.phase in PHASES and run.source == "bench":
            verdict = Verdict("UNRESOLVED", _too_few(len(one.logs), has_floor=again is not None))
        found.append(
            Result(
                one.case,
                times=own | {k: v for k, v in everybodys[one.case].items() if k not in own},
                ratio=_ratio(name, baseline.label, one.candidate.label, one.logs),
                again=_ratio(name, baseline.label, again.label, one.floor_logs) if again else None,
                verdict=verdict,
                drifting=_drifting(invocations, baseline.label, one.candidate.label, band)
                if len(one.logs) and run.source == "bench"
                else 0,
                incomplete=one.readings.incomplete,
                candidate=one.candidate.label,
            )
        )
    return tuple(found)


def geometric_means(run: Run, each: Mapping[str, Mapping[str, Readings]]) -> tuple[Ratio, ...]:
    """Average the ratios of each phase over its problems; `Ratio.case` is the phase.

    Per invocation the mean over cells of the log-ratio, across invocations Student's t: cells of
    one invocation share processes and are not independent. Only cells that have a ratio and
    invocations in which all of them are complete take part; a phase with fewer than two such
    cells has no mean. It says nothing that the cells do not say: show it beside them.
    """
    baseline = run.baseline
    found = []
    for phase in dict.fromkeys(case.phase for case in run.plan.cases if case.phase in PHASES):
        names = [case_id(case) for case in run.plan.cases if case.phase == phase]
        for candidate in run.candidates:
            mine = [one for name in names if (one := each[candidate.label].get(name))]
            cells = [one.invocations for one in mine if one.invocations and not one.invalid]
            shared = sorted(set.intersection(*(set(cell) for cell in cells))) if cells else []
            logs = [
                log_ratios(run, [cell[number] for number in shared], baseline, candidate)
                for cell in cells
            ]
            mean = np.mean(logs, axis=0) if len(cells) > 1 else np.empty(0)
            ratio = _ratio(phase, baseline.label, candidate.label, mean)
            found += [ratio] if ratio else []
    return tuple(found)


def noise_floor(again: Ratio | None) -> float:
    """Return the largest difference that the baseline shows against itself, as a fraction.

    The end of the A/A interval that lies farther from 1: 0.012 says 1.2 %. NaN without interval.
    """
    if again is None:
        return math.nan
    ends = (again.estimate.low, again.estimate.high)
    return math.expm1(max(abs(math.log(end)) for end in ends))


def spreads(run: Run, each: Mapping[str, Mapping[str, Readings]]) -> dict[str, Spread]:
    """Say how much the ratio of each case varies at the two levels; the candidate that varies most.

    What the rounds explain of the spread between invocations is taken off: a median of n readings
    varies by the root of pi / 2n of their own spread.
    """
    found: dict[str, Spread] = {}
    for one in _compare(run, each):
        if len(one.logs) < 2:
            continue
        baseline = run.baseline.label
        rounds = [
            np.log(times[baseline] / times[one.candidate.label])
            for times in one.readings.invocations.values()
        ]
        within = math.sqrt(np.mean([np.var(logs, ddof=1) for logs in rounds if len(logs) > 1]))
        explained = within**2 * math.pi / 2 / len(rounds[0])
        between = math.sqrt(max(0.0, float(np.var(one.logs, ddof=1)) - explained))
        name = case_id(one.case)
        if name not in found or between > found[name].between:
            found[name] = Spread(within, between)
    return found


def spread_of_invocations(run: Run, each: Mapping[str, Mapping[str, Readings]]) -> dict[str, float]:
    """Say by case id how much the logarithm of its ratio varies over invocations."""
    found: dict[str, float] = {}
    for one in _compare(run, each):
        if len(one.logs) > 1:
            name = case_id(one.case)
            found[name] = max(found.get(name, 0.0), float(np.std(one.logs, ddof=1)))
    return found


def drifts(log_ratios: Floats, band: float = BAND) -> bool:
    """Tell whether the log-ratios of one invocation, in order of rounds, still move.

    They do when they rise or fall with the round (Kendall's tau, 1 % level, so at least five
    rounds are needed to tell) and the medians of the two halves differ by more than the band.
    What moves both sides alike, such as the machine's clock, cancels in the ratio and is no drift.
    """
    if np.ptp(log_ratios) == 0:
        return False
    half = len(log_ratios) // 2
    moved = abs(np.median(log_ratios[-half:]) - np.median(log_ratios[:half]))
    if not moved > math.log1p(band):
        return False  # as nearly always; the test below takes long
    return trend_p_value(log_ratios) < DRIFT_LEVEL


def _drifting(invocations: Sequence[Times], baseline: str, other: str, band: float) -> int:
    """Count the invocations that drift; those that did not move need no look of their own."""
    logs = [
        np.log(ours / theirs)
        for ours, theirs in _stacked([(t[baseline], t[other]) for t in invocations])
    ]
    found = 0
    for rows in logs:
        half = rows.shape[-1] // 2
        if half:
            moved = np.abs(np.median(rows[:, -half:], -1) - np.median(rows[:, :half], -1))
            found += sum(drifts(row, band) for row in rows[moved > math.log1p(band)])
    return found


def _stacked(pairs: Sequence[tuple[Floats, ...]]) -> list[tuple[Floats, ...]]:
    """Stack arrays of invocations, which have mostly as many rounds, into rows of one array each.

    Where they have not, each invocation is one row of its own. The order stays.
    """
    if len({tuple(map(len, pair)) for pair in pairs}) == 1:
        return [tuple(np.stack(column) for column in zip(*pairs, strict=True))]
    return [tuple(column[np.newaxis] for column in pair) for pair in pairs]


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One case, one candidate: logarithms of the ratios, one per complete invocation."""

    case: Case
    candidate: WorkerSpec
    readings: Readings
    logs: Floats  # of baseline over candidate; empty where no ratio may be formed
    floor_logs: Floats  # of the baseline over itself

    @property
    def enough(self) -> bool:
        return min(len(self.logs), len(self.floor_logs)) >= LEAST_FOR_VERDICT


def _compare(run: Run, each: Mapping[str, Mapping[str, Readings]]) -> list[_Comparison]:
    baseline, again = run.baseline, run.again
    compared = []
    for case in run.plan.cases:
        for candidate in run.candidates:
            mine = each[candidate.label].get(case_id(case))
            if mine is None:
                continue
            has_ratio = case.phase in PHASES and not mine.invalid
            invocations = list(mine.invocations.values()) if has_ratio else []
            floor_logs = log_ratios(run, invocations, baseline, again) if again else np.empty(0)
            logs = log_ratios(run, invocations, baseline, candidate)
            compared.append(_Comparison(case, candidate, mine, logs, floor_logs))
    return compared


def log_ratios(
    run: Run, invocations: Iterable[Times], baseline: WorkerSpec, other: WorkerSpec
) -> Floats:
    """Return per invocation the median over rounds of log(baseline / other).

    Pairs the readings of a round; where there are no rounds, takes the medians of each side. Empty
    where the other has no reading.
    """
    invocations = [one for one in invocations if other.label in one]
    if run.source != "bench":
        medians = [(np.median(t[baseline.label]), np.median(t[other.label])) for t in invocations]
        return np.array([math.log(ours / theirs) for ours, theirs in medians])
    pairs = _stacked([(t[baseline.label], t[other.label]) for t in invocations])
    return np.concatenate([np.empty(0), *(log_ratio_of_rounds(*pair) for pair in pairs)])


def log_ratio_of_rounds(baseline: Floats, other: Floats) -> Floats:
    """Return the median over the last axis, the rounds, of the logarithm of their ratio."""
    return np.asarray(np.median(np.log(baseline / other), axis=-1))


def _ratio(name: str, baseline: str, other: str, logs: Floats) -> Ratio | None:
    return Ratio(name, baseline, other, estimate(logs)) if len(logs) else None


def _times(invocations: Sequence[Times]) -> dict[str, TimeEstimate]:
    """Estimate the time of one repetition by worker label, on a logarithmic scale."""
    if not invocations:
        return {}
    return {
        label: TimeEstimate(
            label,
            estimate(np.concatenate([np.log(np.median(rows, -1)) for (rows,) in stacked])),
            float(min(rows.min() for (rows,) in stacked)),
        )
        for label in invocations[0]
        for stacked in [_stacked([(times[label],) for times in invocations])]
    }


def _judge(logs: Floats, floor_logs: Floats, p_holm: float, cells: int, band: float) -> Verdict:
    """Give the verdict on at least ten invocations, with what would settle an open question."""
    edge = math.log1p(band)
    return verdict_of(
        Interval(*(float(value) for value in t_interval(logs))),
        float(np.abs(t_interval(floor_logs)[1:]).max()),
        p_holm,
        cells=cells,
        band=edge,
        what="difference",
        outlook=lambda: _outlook(logs, floor_logs, cells, edge),
    )


def _outlook(logs: Floats, floor_logs: Floats, cells: int, edge: float) -> str:
    """Say how many more invocations would settle it, if they vary like those at hand.

    Takes the strictest step of Holm's correction, so the number is rather too high.
    """
    counts = np.arange(len(logs) + 1, MOST_WORTH_NAMING + 1)
    width = quantile(counts, CONFIDENCE) / np.sqrt(counts)
    strict = quantile(counts, 1 - (1 - CONFIDENCE) / cells) / np.sqrt(counts)
    spread, mean = logs.std(ddof=1), abs(logs.mean())
    floor = abs(floor_logs.mean()) + width * floor_logs.std(ddof=1)
    settled = np.logical_or(*claims(mean, width * spread, mean > strict * spread, floor, edge))
    if not settled.any():
        return f"even {MOST_WORTH_NAMING} invocations would not settle it"
    more = int(counts[settled.argmax()]) - len(logs)
    return f"about {count_text(more, 'more invocation')} would settle it"


def _too_few(count: int, *, has_floor: bool) -> str:
    if not has_floor:
        return "the run has no A/A pair, so its noise floor is not known"
    only = f"only {count_text(count, 'invocation')}" if count else "no complete invocation"
    return f"{only}; a verdict needs {LEAST_FOR_VERDICT}"
