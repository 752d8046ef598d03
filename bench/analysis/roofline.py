"""How near each case comes to what the machine can do. Pure: no clock, no files, no printing.

The peak is read beside each network, in the same invocation, so that a machine that is faster or
slower for a while is so for both. What a rate is and what the probes do is in docs/method.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.analysis.intervals import Floats, estimate
from bench.analysis.readings import Readings
from bench.model.arithmetic import flops, triad_bytes
from bench.model.cases import case_id
from bench.model.records import PHASES, PROBES, Case, Rate, Run, Share
from bench.model.slots import slots_of

LogRates = Mapping[str, Mapping[str, Mapping[int, float]]]
"""Logarithms of operations (or bytes) per nanosecond, by case id, worker and invocation."""


def shares_of(run: Run, log_rates: LogRates) -> tuple[Share, ...]:
    """Derive the part of the peak that each worker reaches in each case that has one.

    Per invocation the rate of the case, by its median time, over the rate of the peak beside it;
    over invocations Student's t of the logarithms, as for ratios. A case that is INVALID has no
    share, nor has one whose peak was not read.
    """
    found = []
    for case in run.plan.cases:
        peak = next(iter(log_rates.get(case_id(Case("peak", case.problem)), {}).values()), {})
        for worker, rate in log_rates[case_id(case)].items() if case.phase in PHASES else ():
            both = [number for number in rate if number in peak]
            if both:
                logs = np.array([rate[number] - peak[number] for number in both])
                found.append(Share(case, worker, estimate(logs)))
    return tuple(found)


def rates_of(run: Run, log_rates: LogRates) -> tuple[Rate, ...]:
    """Derive what the probes found, by phase, dtype and threads, in the order of the plan.

    Where a peak was read beside several networks of an invocation, their median counts.
    """
    groups: dict[tuple[str, str, int], list[Case]] = {}
    for case in run.plan.cases:
        if case.phase in PROBES:
            key = (case.phase, case.problem.dtype, case.problem.threads)
            groups.setdefault(key, []).append(case)
    results = []
    for cases in groups.values():
        readings: dict[int, list[float]] = {}
        for case in cases:
            for by_invocation in log_rates[case_id(case)].values():
                for number, log in by_invocation.items():
                    readings.setdefault(number, []).append(log)
        if readings:
            logs: Floats = np.array([np.median(logs) for logs in readings.values()])
            first = cases[0]
            results.append(
                Rate(first.phase, first.problem.dtype, first.problem.threads, estimate(logs))
            )
    return tuple(results)


def log_rates_of(run: Run, readings: Mapping[str, Readings]) -> LogRates:
    """Take logarithms of operations (or bytes) per nanosecond, by case id, worker, invocation."""
    found: dict[str, dict[str, dict[int, float]]] = {case_id(case): {} for case in run.plan.cases}
    if not any(case.phase in PROBES for case in run.plan.cases):
        return found  # nothing to hold a rate against
    for case in run.plan.cases:
        mine = readings[case_id(case)]
        amount = flops(case) or triad_bytes(case)
        invocations = {} if mine.invalid or not amount else mine.invocations
        found[case_id(case)] = {
            spec.label: {
                number: float(np.log(amount / np.median(times[spec.label])))
                for number, times in invocations.items()
            }
            for spec in slots_of(case, run.plan.workers)
        }
    return found
