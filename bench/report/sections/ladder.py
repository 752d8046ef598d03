"""The section on the ladder: several candidates -> every variant, and what each step buys."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.analysis.ladder_steps import Step, in_order
from bench.analysis.run_analysis import RunAnalysis
from bench.model.arithmetic import flops
from bench.model.numbers import DASH, ratio_text, time_text
from bench.model.records import PHASES, Case, Phase, Ratio, Result, Run
from bench.model.tables import Table
from bench.report.charts.ladder import Group, Variant, family_of, ladder_chart
from bench.report.elements.case_names import CaseNames
from bench.report.elements.case_rows import size_of
from bench.report.elements.section import Section
from bench.report.elements.sentences import implementation_name, slot_names

MOST_TOLD = 12
"""Cases of which it is said who is first and last; the charts have all."""


def ladder_section(analysis: RunAnalysis) -> Section | None:
    """Show all candidates of a run beside each other; None where there is one only."""
    run = analysis.run
    timed = [one for one in analysis.results if one.case.phase in PHASES]
    if len(run.candidates) < 2 or not timed:
        return None
    baseline, _ = slot_names(run)
    groups = {phase: _groups(run, timed, phase) for phase in PHASES}
    charts = [chart for phase in PHASES if (chart := ladder_chart(phase, groups[phase], baseline))]
    overall = _mean_table(run, analysis.means)
    tables = [
        table
        for phase in PHASES
        if (table := _step_table(phase, [step for step in analysis.steps if step.phase == phase]))
    ]
    text = [
        f"Every implementation of this run beside {baseline}: all went through the same parity and "
        "took turns in the same rounds. Verdicts are corrected over all of them together."
    ]
    if tables:
        text.append(
            "A step is the time of the variant before over that of the variant after, paired "
            "by round in the invocations that both completed, with its 95 % interval: above 1 the "
            "step makes it faster. These ratios have intervals of their own and no verdicts; the "
            "intervals are not corrected for their number. From one thread to several both times "
            "are of the same implementation, each from its own processes."
        )
    return Section(
        "ladder",
        "The ladder",
        "The ladder: every implementation of this run",
        text,
        charts=charts,
        tables=[*([overall] if overall.rows else []), *tables],
        points=_ends(groups, baseline),
    )


def _groups(run: Run, results: Sequence[Result], phase: Phase) -> list[Group]:
    """Sort the results of a phase by network, small ones first, variants in the ladder's order."""
    mine = [one for one in results if one.case.phase == phase]
    cases = sorted(
        dict.fromkeys(one.case for one in mine),
        key=size_of,
    )
    names = CaseNames.of(one.case for one in results)
    return [
        Group(names.network(case.problem), _variants(run, [r for r in mine if r.case == case]))
        for case in cases
    ]


def _variants(run: Run, results: Sequence[Result]) -> list[Variant]:
    """Make the variants of one case: the baseline, and every candidate that takes part in it."""
    slots = {spec.label: spec for spec in run.plan.workers}
    base = run.baseline
    time = next((one.times[base.label] for one in results if base.label in one.times), None)
    found: list[tuple[str, Variant]] = [
        (
            base.implementation,
            Variant(
                implementation_name(base.implementation),
                family_of(base.implementation),
                time.median_ns if time else None,
                None,
                "",
                is_baseline=True,
            ),
        )
    ]
    for one in results:
        spec = slots[one.candidate]
        kind = one.verdict.kind if one.verdict else ""
        mine = one.times.get(spec.label)
        found.append(
            (
                spec.implementation,
                Variant(
                    implementation_name(spec.implementation),
                    family_of(spec.implementation),
                    mine.median_ns if mine and kind != "INVALID" else None,
                    one.ratio.estimate if one.ratio else None,
                    kind,
                ),
            )
        )
    order = in_order(name for name, _ in found)
    return [variant for _, variant in sorted(found, key=lambda pair: order.index(pair[0]))]


def _mean_table(run: Run, means: Sequence[Ratio]) -> Table:
    """Table the geometric mean of each candidate's ratios: a row each, a column per phase."""
    kinds = {spec.label: spec.implementation for spec in run.candidates}
    known = {
        (kinds[one.candidate], one.case): ratio_text(one.estimate)
        for one in means
        if one.candidate in kinds and math.isfinite(one.estimate.low)
    }
    phases = [phase for phase in PHASES if any(of == phase for _, of in known)]
    names = in_order(kind for kind, _ in known)
    return Table(
        ("implementation", *phases),
        [
            (implementation_name(name), *(known.get((name, phase), DASH) for phase in phases))
            for name in names
        ],
        "Geometric mean of the ratios, of each over the networks that it has",
    )


def _step_table(phase: Phase, steps: Sequence[Step]) -> Table | None:
    """Table what each step buys in one phase: a row per step, a column per network."""
    if not steps:
        return None
    problems = dict.fromkeys(problem for step in steps for problem in step.ratios)
    cases = sorted(
        (Case(phase, problem) for problem in problems),
        key=lambda case: (flops(Case("forward", case.problem)), case.problem.threads),
    )
    names = CaseNames.of(cases)
    rows = [
        (
            _step_name(step),
            step.what,
            *(
                ratio_text(step.ratios[case.problem]) if case.problem in step.ratios else DASH
                for case in cases
            ),
        )
        for step in steps
    ]
    return Table(
        ("step", "what is new", *(names.network(case.problem) for case in cases)),
        rows,
        f"What each step buys: {phase}",
    )


def _step_name(step: Step) -> str:
    before, after = implementation_name(step.before), implementation_name(step.after)
    return after if step.before == step.after else f"{before} → {after}"


def _ends(groups: dict[Phase, list[Group]], baseline: str) -> list[str]:
    """Say of each case who has the shortest and the longest median."""
    lines = []
    for phase in PHASES:
        for group in groups[phase]:
            known = [
                (variant.time_ns.point, variant) for variant in group.variants if variant.time_ns
            ]
            if len(known) < 2:
                continue
            (short_ns, short), (long_ns, long) = min(known, key=_time), max(known, key=_time)
            of = "" if short.is_baseline else _of_baseline(short, baseline)
            lines.append(
                f"{phase}, {group.network}: the shortest median is {short.name}'s, "
                f"{time_text(short_ns)}{of}; the longest {long.name}'s, {time_text(long_ns)}"
                f"{'' if long.is_baseline else _of_baseline(long, baseline)}"
            )
    if len(lines) > MOST_TOLD:
        return [*lines[:MOST_TOLD], f"and {len(lines) - MOST_TOLD} more, in the charts"]
    return lines


def _time(pair: tuple[float, Variant]) -> float:
    return pair[0]


def _of_baseline(variant: Variant, baseline: str) -> str:
    return f" ({ratio_text(variant.ratio)} times {baseline}'s speed)" if variant.ratio else ""
