"""Percent of peak: what is probed, by whom, what is derived from it, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_truth import SLOTS, Time, agreed, make_run
from pretence import SMALL as PRETENDED
from pretence import World, request_of

import mojo_impl
from bench.analysis.run_analysis import analyse, analyse_stored
from bench.cli.terminal.console import show_below_one, show_roofline
from bench.model.arithmetic import PEAK_FLOPS, TRIAD_ELEMENTS, flops, triad_bytes
from bench.model.cases import case_id
from bench.model.errors import UsageError
from bench.model.presets import PRESETS, cases_of, preset_problems
from bench.model.records import PHASES, PROBES, Case, Fault, ParityResult, Problem, Run, Sample
from bench.model.slots import slots_of
from bench.report.sections.provenance import roofline_of
from bench.storage.runs import Stored
from bench.workers.implementations.drivers import Mojo, NumPy

SMALL = Problem((64, 64, 64), 32, 128, "float64", 1)
WIDE = Problem((256, 256, 256), 32, 128, "float64", 1)
CASES = cases_of((SMALL, WIDE), ("forward",), probes=True)
PEAK_NS = 2e8
"""Of one repetition on a machine so slow that whole nanoseconds are exact."""


def samples_of(run: Run, time: Time) -> list[Sample]:
    """Readings of the slots that take turns in each case."""
    return [
        Sample(case_id(case), slot.label, invocation, turn, 0, 4, round(4 * each_ns), 0)
        for case in run.plan.cases
        for invocation in range(run.plan.invocations)
        for turn in (1, 2)
        for slot in slots_of(case, run.plan.workers)
        for each_ns in [time(case, slot.label, invocation, turn)]
    ]


def reaching(share: float, drift: float = 0.0) -> Time:
    """Mojo reaches this share of a peak that falls by `drift` an invocation; NumPy half of it."""

    def time(case: Case, label: str, invocation: int, turn: int) -> float:
        slower = (1 + drift) ** invocation
        if case.phase in PROBES:
            return PEAK_NS * slower
        each_ns = flops(case) / PEAK_FLOPS * PEAK_NS / share * slower or 1e3
        return each_ns if label == "mojo" else 2 * each_ns

    return time


def derive(time: Time, run: Run | None = None, **changes: Any) -> dict[tuple[str, str], Any]:
    run = run or make_run(*CASES)
    recorded = {"parity": agreed(run), "faults": []} | changes
    found = analyse(run, samples_of(run, time), recorded["parity"], recorded["faults"]).shares
    return {(case_id(share.case), share.worker): share for share in found}


def test_a_share_is_the_rate_over_the_peak_beside_it() -> None:
    found = derive(reaching(0.8))
    assert len(found) == 2 * 3  # two networks, three slots; floors and probes have none
    for (_, worker), share in found.items():
        assert share.estimate.point == pytest.approx(0.8 if worker == "mojo" else 0.4, rel=1e-4)
        assert share.estimate.count == 10
        assert not share.impossible


def test_a_drift_of_the_machine_cancels_within_each_invocation() -> None:
    share = derive(reaching(0.8, drift=0.05))[case_id(CASES[0]), "mojo"]
    assert share.estimate.high / share.estimate.low == pytest.approx(1, abs=1e-3)


def test_the_interval_is_that_of_ratios() -> None:
    logs = np.array([0.1, -0.1, 0.05, -0.05])
    run = make_run(*CASES, invocations=4)

    def time(case: Case, label: str, invocation: int, turn: int) -> float:
        noise = 1.0 if case.phase in PROBES else math.exp(-logs[invocation])
        return reaching(0.5)(case, label, invocation, turn) * noise

    share = derive(time, run)[case_id(CASES[0]), "mojo"].estimate
    half = 3.182446 * logs.std(ddof=1) / 2
    assert share.low == pytest.approx(0.5 * math.exp(-half), rel=1e-3)
    assert share.high == pytest.approx(0.5 * math.exp(half), rel=1e-3)


@given(share=st.floats(0.05, 3))
def test_a_rate_above_the_peak_is_impossible(share: float) -> None:
    found = derive(reaching(share), make_run(*CASES, invocations=3))[case_id(CASES[0]), "mojo"]
    assert found.impossible == (found.estimate.low > 1)
    if abs(share - 1) > 0.01:
        assert found.impossible == (share > 1)


def test_no_share_without_a_peak_without_parity_or_after_a_fault() -> None:
    run = make_run(*cases_of((SMALL,), ("forward",)))
    assert derive(reaching(0.8), run) == {}
    run = make_run(*CASES)
    failed = [ParityResult(result.problem, "numpy", "mojo", (), "y_hat") for result in agreed(run)]
    assert derive(reaching(0.8), parity=failed) == {}
    peak = case_id(next(case for case in CASES if case.phase == "peak"))
    left = derive(reaching(0.8), faults=[Fault(peak, "mojo", 0, "died")])
    assert {case for case, _ in left} == {case_id(Case("forward", WIDE))}


def test_the_rates_of_the_probes_are_in_their_units() -> None:
    run = make_run(*CASES)
    found = analyse(run, samples_of(run, lambda *_: 1e6), agreed(run), []).rates
    assert [(rate.phase, rate.dtype, rate.threads) for rate in found] == [
        (phase, "float64", 1) for phase in PROBES
    ]
    points = [rate.estimate.point for rate in found]
    assert points == pytest.approx([PEAK_FLOPS / 1e6, 24 * 2**23 / 1e6, 24 * 2**20 / 1e6])


def stored_of(time: Time) -> Stored:
    run = make_run(*CASES)
    return Stored(Path("run"), run, tuple(samples_of(run, time)), tuple(agreed(run)), (), {})


def derived(stored: Stored) -> Any:
    return analyse_stored(stored).results


def test_the_table_fits_80_columns_and_an_error_is_marked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def shaky(case: Case, label: str, invocation: int, turn: int) -> float:
        noise = 1 + 0.01 * (-1) ** invocation if label == "mojo" else 1.0
        return reaching(0.8)(case, label, invocation, turn) * noise

    stored = stored_of(shaky)
    found = roofline_of(analyse_stored(stored))
    assert found.errors == []
    assert [row[4] for row in found.table.rows] == ["40.0 (39.7–40.3)"] * 2
    assert found.limits[0].startswith("peak, float64, 1 thread: ")
    show_roofline(found)
    table = capsys.readouterr().out.partition("peak, ")[0]
    assert max(map(len, table.splitlines())) <= 80

    stored = stored_of(reaching(1.3))
    found = roofline_of(analyse_stored(stored))
    (error,) = found.errors
    assert error.startswith("ERROR: 2 of 6 rates above the measured peak, marked ✕; ")
    assert "the furthest is mojo's forward" in error
    assert "130.0" in error
    assert all("✕ 130.0" in row[3] and "65.0" in row[4] for row in found.table.rows)


def test_cells_below_1_are_named_the_slowest_first(capsys: pytest.CaptureFixture[str]) -> None:
    stored = stored_of(reaching(0.8))
    show_below_one(analyse_stored(stored))
    assert "none of 2 cells" in capsys.readouterr().out

    def time(case: Case, label: str, invocation: int, turn: int) -> float:
        return 1e6 if label != "mojo" else 2e6 if case.problem == WIDE else 1.5e6

    stored = stored_of(time)
    show_below_one(analyse_stored(stored))
    head, first, second = capsys.readouterr().out.splitlines()
    assert head == "ratio below 1: 2 of 2 cells, 2 by the whole interval"
    assert ("0.5" in first, "256x3" in first, "64x3" in second) == (True, True, True)


def test_one_worker_alone_takes_the_probes_in_the_same_group(tmp_path: Path) -> None:
    world = World(tmp_path)
    order = replace(request_of(PRETENDED), cases=cases_of((PRETENDED,), ("epoch",), probes=True))
    run, stored = world.run(order)
    assert run.status == "finished"
    for case in run.plan.cases:
        mine = [sample for sample in stored.samples if sample.case == case_id(case)]
        labels = {"mojo"} if case.phase in PROBES else {slot.label for slot in SLOTS}
        assert {sample.worker for sample in mine} == labels
        assert len(mine) == 3 * (run.plan.rounds[case_id(case)] + 1) * len(labels)
    last = [event.fields["phase"] for event in world.asked("sample") if event.worker == "mojo"]
    order_seen = list(dict.fromkeys(last))
    assert order_seen.index("epoch") < order_seen.index("peak") < order_seen.index("memory")


def test_the_amounts_are_those_of_the_threads_together() -> None:
    two = Problem((1, 2, 1), 5, 10, "float32", 2)
    assert flops(Case("peak", two)) == 2 * PEAK_FLOPS
    assert triad_bytes(Case("memory", two)) == 2 * 24 * TRIAD_ELEMENTS["memory"]
    assert triad_bytes(Case("epoch", two)) == flops(Case("cache", two)) == 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_probes_run_and_rates_are_those_of_a_machine(dtype: str) -> None:
    ns = min(mojo_impl.time_probe("peak", dtype, PEAK_FLOPS, 1) for _ in range(3))
    assert 0.1 < PEAK_FLOPS / ns < 2000
    assert mojo_impl.time_probe("memory", dtype, 64, 2) > 0
    network = Mojo().create(Problem((1, 1), 1, 1, "float64", 1))
    none = np.empty((1, 1))
    assert Mojo().time("cache", 1, network, none, none, 1) > 0
    with pytest.raises(UsageError, match="no probe"):
        NumPy().time("peak", 1, network, none, none, 1)


def test_an_amount_that_does_not_divide_is_refused() -> None:
    for amount in (0, -PEAK_FLOPS, PEAK_FLOPS + 1):
        with pytest.raises(ValueError, match="multiple of 393216"):
            mojo_impl.time_probe("peak", "float64", amount, 1)
    with pytest.raises(ValueError, match="probe must be"):
        mojo_impl.time_probe("disk", "float64", PEAK_FLOPS, 1)


def test_the_presets_name_the_networks_they_promise() -> None:
    problems = preset_problems(PRESETS["awkward"])
    assert len(problems) == 160
    assert all(1 < problem.rows // problem.batch_size < 6 for problem in problems)
    cases = cases_of(preset_problems(PRESETS["roofline"]), PHASES, probes=True)
    assert len({case_id(case) for case in cases}) == len(cases) == 5 * 2 * 4 + 4
