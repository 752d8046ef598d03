"""The section on scaling: a run -> how time grows, where the faster side changes. No files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.analysis.breakdown import ONE_WIDE
from bench.analysis.run_analysis import RunAnalysis
from bench.analysis.scaling import (
    LEAST_VALUES,
    Fitted,
    Setting,
    Sweep,
    fitted,
    sweeps,
)
from bench.model.numbers import DASH, listing, significant
from bench.model.records import Case, DType, Phase, Problem, Result
from bench.model.tables import Table
from bench.model.workload import AXES, Axis, rest_text
from bench.report.charts.scaling import scaling_chart, sweep_chart
from bench.report.elements.chart import Chart
from bench.report.elements.scaling_text import (
    crossover_lines,
    doubt_text,
    flop_text,
    setting_name,
    slope_text,
)
from bench.report.elements.section import Section
from bench.report.elements.sentences import slot_names

COMMAND = "bench run --preset scaling"
CALL: Phase = "call"
"""What every repetition pays at least: the overhead of a call from Python."""
MOST_OPEN = 4
"""Charts of a dtype and number of threads that stand open; more are folded, as are all sweeps."""
MOST_SETTINGS = 12
"""Charts of a dtype and number of threads; the table has all."""
MOST_SWEEPS = 24
"""Charts of sweeps; the table has all."""


def scaling_section(analysis: RunAnalysis) -> Section | None:
    """Say how time grows with work and with each axis of a network.

    None where no phase was timed at two sizes: nothing grows then.
    """
    run, settings, results = analysis.run, analysis.settings, analysis.results
    baseline, candidate = slot_names(run)
    names = {"baseline": baseline, "candidate": candidate}
    labels = {"baseline": run.baseline.label, "candidate": run.candidates[0].label}
    if max((_sizes(setting) for setting in settings), default=0) < 2:
        return None
    found = analysis.crossovers
    fits = [(setting, fitted(setting)) for setting in settings]
    peaks = {
        (rate.dtype, rate.threads): rate.estimate.point
        for rate in analysis.rates
        if rate.phase == "peak"
    }
    groups: dict[tuple[DType, int], list[tuple[Setting, Fitted]]] = {}
    for setting, fit in fits:
        groups.setdefault((setting.dtype, setting.threads), []).append((setting, fit))
    charts = [
        scaling_chart(
            f"scaling_{dtype}_t{threads}",
            group,
            names,
            labels,
            _calls(results, threads, labels),
            _one_wide(results, labels),
            peaks.get((dtype, threads)),
        )
        for (dtype, threads), group in list(groups.items())[:MOST_SETTINGS]
    ]
    swept = sweeps(settings)
    return Section(
        "scaling",
        "Scaling",
        "How time grows with work",
        text=_text(swept),
        charts=charts[:MOST_OPEN],
        tables=[_exponent_table(fits, swept, names)],
        points=[f"{line}." for line in crossover_lines(found, baseline, candidate)]
        + [text for text in map(doubt_text, found) if text],
        folded=[*charts[MOST_OPEN:], *_sweep_charts(swept, names, labels)],
    )


def _sizes(setting: Setting) -> int:
    return len({one.case.problem for one in setting.cases})


def _calls(results: Sequence[Result], threads: int, labels: dict[str, str]) -> dict[str, float]:
    """Return what an empty call takes, by role, in nanoseconds."""
    times = next(
        (r.times for r in results if r.case.phase == CALL and r.case.problem.threads == threads),
        {},
    )
    return {
        role: times[labels[role]].median_ns.point
        for role in ("baseline", "candidate")
        if labels[role] in times
    }


def _one_wide(results: Sequence[Result], labels: dict[str, str]) -> dict[str, dict[Case, float]]:
    """Return what cases take in networks as deep and one wide, by role, in nanoseconds."""
    of_phase = {one_wide: phase for phase, one_wide in ONE_WIDE.items()}
    return {
        role: {
            replace(result.case, phase=of_phase[result.case.phase]): time.median_ns.point
            for result in results
            if result.case.phase in of_phase and (time := result.times.get(labels[role]))
        }
        for role in ("baseline", "candidate")
    }


def _text(swept: Sequence[Sweep]) -> list[str]:
    text = [
        "Work is the arithmetic of the matrix products of one repetition. An exponent is the slope "
        "of a straight line on log axes, by least squares in each invocation, with Student's t "
        "over invocations: 1 where time grows as the work does, less where small networks pay for "
        "something else. It describes these networks; a power law is not what makes a time, and "
        "beyond the range it was fitted over it says nothing. The last column is how far the "
        "farthest point lies from its line, as a ratio.",
        "The faster side changes where the ratio, interpolated on log axes between two sizes with "
        "a verdict for different sides, is 1: once per invocation, the interval by Student's t.",
    ]
    missing = [axis for axis in AXES if axis not in {one.axis for one in swept}]
    if missing:
        it, them = ("it", "it") if len(missing) == 1 else ("them", "each")
        text.append(
            f"There is no chart against {listing(missing)}: {them} would take {LEAST_VALUES} cases "
            f"of this run that differ in nothing else. The command {COMMAND} measures {it}."
        )
    return text


def _exponent_table(
    fits: Sequence[tuple[Setting, Fitted]], swept: Sequence[Sweep], names: dict[str, str]
) -> Table:
    settings = [setting for setting, _ in fits]
    rows = [_row(setting, settings, "work", fit, flop_text) for setting, fit in fits if _told(fit)]
    rows += [
        _row(one.setting, settings, _against(one, swept), one.fitted, _plain)
        for one in swept
        if _told(one.fitted)
    ]
    heads = ("phase", "against", "from", "to", *names.values(), "farthest point")
    return Table(heads, rows, "Exponents: how time grows")


def _against(one: Sweep, swept: Sequence[Sweep]) -> str:
    """Name the axis of a sweep, with what its cases share where it is not the only one."""
    alone = len({other.rest for other in swept if other.axis == one.axis}) == 1
    return one.axis if alone else f"{one.axis} ({rest_text(one.axis, one.rest)})"


def _told(fit: Fitted) -> bool:
    return fit.baseline is not None or fit.candidate is not None


def _plain(value: float) -> str:
    return f"{value:.0f}"


def _row(
    setting: Setting,
    among: Sequence[Setting],
    what: str,
    fit: Fitted,
    write: Callable[[float], str],
) -> tuple[str, ...]:
    both = [one for one in (fit.baseline, fit.candidate) if one]
    ends = write(min(one.low for one in both)), write(max(one.high for one in both))
    slopes = [slope_text(one) if one else DASH for one in (fit.baseline, fit.candidate)]
    worst = significant(max(one.worst for one in both))
    return (setting_name(setting, among), what, *ends, *slopes, worst)


def _sweep_charts(
    swept: Sequence[Sweep], names: dict[str, str], labels: dict[str, str]
) -> list[Chart]:
    """Draw every sweep, all phases along the same axis around the same rest in one chart."""
    groups: dict[tuple[Axis, Problem], list[Sweep]] = {}
    for one in swept:
        groups.setdefault((one.axis, one.rest), []).append(one)
    return [
        sweep_chart(f"scaling_{one[0].axis}_{place}", one, names, labels)
        for place, one in enumerate(list(groups.values())[:MOST_SWEEPS])
    ]
