"""Several candidates in a run: each is judged on its own, and the steps from one to another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from known_truth import FORWARD, SMALL, agreed
from known_truth import make_run as bare_run
from sample_run import LADDER, SEED_NETWORK, make_parity, make_run, make_samples, write_run

from bench.analysis.ladder_steps import STEPS, in_order
from bench.analysis.run_analysis import analyse
from bench.model.cases import case_id, problem_id
from bench.model.records import Case, Fault, ParityResult, Result, Run, Sample, WorkerSpec
from bench.report.charts.ladder import family_of
from bench.report.elements.sentences import slot_names
from bench.storage import runs as store
from bench.storage.export import sample_table

NAMES = ("python", "mojo-port", "mojo-simd", "mojo")
T_OF_THREE = 4.302652730  # Student's quantile for 95 % and two degrees of freedom


def candidates(*names: str) -> tuple[WorkerSpec, ...]:
    return tuple(WorkerSpec(name, name, "candidate") for name in names)


def run_of(*names: str, cases: Sequence[Case] = (FORWARD,), invocations: int = 3) -> Run:
    run = bare_run(*cases, invocations=invocations, rounds=1)
    workers = (*run.plan.workers[:2], *candidates(*names))
    return replace(run, plan=run.plan.of(workers=workers))


def samples_of(
    run: Run, times: Mapping[str, Sequence[float]], case: Case = FORWARD
) -> list[Sample]:
    """One reading of each worker in each invocation: nanoseconds, in order; NaN is no reading."""
    return [
        Sample(case_id(case), label, number, 1, place, 1, round(time), 0)
        for place, (label, mine) in enumerate(times.items())
        for number, time in enumerate(mine)
        if not math.isnan(time)
    ]


def parity_of(run: Run, failed: str = "") -> list[ParityResult]:
    problems = dict.fromkeys(case.problem for case in run.plan.cases)
    return [
        ParityResult(
            problem_id(problem), "numpy", spec.implementation, (),
            "y_hat differs" if spec.implementation == failed else "",
        )
        for problem in problems
        for spec in run.plan.workers
        if spec.role == "candidate"
    ]  # fmt: skip


EVEN = {"numpy": [1000] * 3, "numpy-again": [1000] * 3}


def by_candidate(found: Sequence[Result]) -> dict[str, Result]:
    return {one.candidate: one for one in found}


def test_a_step_is_the_paired_ratio_of_two_variants_with_students_interval() -> None:
    run = run_of(*NAMES)
    # The three invocations of both move alike: what is left of the step is 2, 4 and 8.
    times = {
        **EVEN,
        "mojo-port": [16_000, 32_000, 8_000],
        "mojo-simd": [8_000, 8_000, 1_000],
        "mojo": [500, 500, 500],
        "python": [100_000, 100_000, 100_000],
    }
    found = analyse(run, samples_of(run, times), parity_of(run), []).steps
    by_pair = {(step.before, step.after): step for step in found}
    step = by_pair["mojo-port", "mojo-simd"].ratios[SMALL]
    half = T_OF_THREE * math.log(2) / math.sqrt(3)
    assert step.point == pytest.approx(4)
    assert step.low == pytest.approx(4 * math.exp(-half))
    assert step.high == pytest.approx(4 * math.exp(half))
    assert step.count == 3
    assert by_pair["python", "numpy"].ratios[SMALL].point == pytest.approx(100)
    assert by_pair["numpy", "mojo"].ratios[SMALL].point == pytest.approx(2)
    assert [(one.before, one.after) for one in found] == [
        (before, after) for before, after, _ in STEPS if {before, after} <= {"numpy", *NAMES}
    ]


def test_a_step_counts_only_invocations_that_both_have() -> None:
    run = run_of("mojo-port", "mojo-simd", "mojo")
    gap = math.nan
    times = {
        **EVEN,
        "mojo-port": [300, 700, 300],
        "mojo-simd": [100, 100, gap],
        "mojo": [gap, 50, 50],
    }
    found = analyse(run, samples_of(run, times), parity_of(run), []).steps
    ratios = {(step.before, step.after): step.ratios[SMALL] for step in found}
    assert ratios["mojo-port", "mojo-simd"].count == 2
    assert ratios["mojo-port", "mojo-simd"].point == pytest.approx(math.sqrt(3 * 7))
    one = ratios["mojo-simd", "mojo"]
    assert (one.point, one.count) == (pytest.approx(2), 1)
    assert math.isnan(one.low)


def test_from_one_thread_to_several_is_a_step_of_each() -> None:
    two = replace(FORWARD, problem=replace(SMALL, threads=2))
    run = run_of("mojo", cases=(FORWARD, two))
    alone = samples_of(run, {**EVEN, "mojo": [800, 800, 800]})
    both = {"numpy": [500] * 3, "numpy-again": [500] * 3, "mojo": [400, 200, 100]}
    found = analyse(run, [*alone, *samples_of(run, both, two)], parity_of(run), []).steps
    threads = {step.before: step for step in found if step.before == step.after}
    assert threads.keys() == {"numpy", "mojo"}
    assert threads["numpy"].ratios[two.problem].point == pytest.approx(2)
    assert threads["mojo"].ratios[two.problem].point == pytest.approx(4)
    assert threads["mojo"].ratios.keys() == {two.problem}


def test_a_variant_without_a_turn_has_no_result_and_takes_nothing_from_the_others() -> None:
    run = run_of("python", "mojo")
    times = {**EVEN, "mojo": [500, 500, 500]}
    (only,) = analyse(run, samples_of(run, times), parity_of(run), []).results
    assert only.candidate == "mojo"
    assert only.incomplete == 0
    assert only.ratio is not None
    assert only.ratio.estimate.point == pytest.approx(2)
    checked = [one for one in parity_of(run) if one.candidate != "python"]  # nor was it compared
    assert len(analyse(run, samples_of(run, times), checked, []).results) == 1


def test_an_invocation_that_one_lacks_counts_for_the_others() -> None:
    run = run_of("python", "mojo")
    times = {**EVEN, "python": [9000, math.nan, 9000], "mojo": [500, 500, 500]}
    found = by_candidate(analyse(run, samples_of(run, times), parity_of(run), []).results)
    assert (found["python"].incomplete, found["mojo"].incomplete) == (1, 0)
    counts = [one.ratio.estimate.count for one in found.values() if one.ratio]
    assert counts == [2, 3]
    labels = {"numpy", "numpy-again", "python", "mojo"}
    assert all(one.times.keys() == labels for one in found.values())
    assert [found["mojo"].times[name].median_ns.count for name in ("python", "mojo")] == [2, 3]


@pytest.mark.parametrize("how", ["fault", "parity"])
def test_what_one_does_wrong_is_its_own(how: str) -> None:
    run = run_of("python", "mojo")
    times = {**EVEN, "python": [9000] * 3, "mojo": [500] * 3}
    faults = [Fault(case_id(FORWARD), "python", 1, "died")] if how == "fault" else []
    parity = parity_of(run, "python" if how == "parity" else "")
    found = by_candidate(analyse(run, samples_of(run, times), parity, faults).results)
    assert found["python"].verdict is not None
    assert found["python"].verdict.kind == "INVALID"
    assert found["python"].ratio is None
    assert found["mojo"].verdict is not None
    assert found["mojo"].verdict.kind == "UNRESOLVED"  # of three invocations
    assert found["mojo"].ratio is not None
    steps = analyse(run, samples_of(run, times), parity, faults).steps
    assert [(step.before, step.after) for step in steps] == [("numpy", "mojo")]


def test_what_the_baseline_does_wrong_is_everybodys() -> None:
    run = run_of("python", "mojo")
    times = {**EVEN, "python": [9000] * 3, "mojo": [500] * 3}
    fault = Fault(case_id(FORWARD), "numpy", 1, "died")
    found = analyse(run, samples_of(run, times), parity_of(run), [fault]).results
    assert [one.verdict.kind for one in found if one.verdict] == ["INVALID"] * 2
    assert analyse(run, samples_of(run, times), parity_of(run), [fault]).steps == ()


def test_a_case_that_nobody_could_begin_says_why_for_all() -> None:
    run = run_of("python", "mojo")
    found = by_candidate(analyse(run, [], parity_of(run, "python"), []).results)
    assert {one.verdict.reason for one in found.values() if one.verdict} == {"y_hat differs"}
    found = by_candidate(analyse(run, [], parity_of(run), []).results)
    assert {one.verdict.kind for one in found.values() if one.verdict} == {"UNRESOLVED"}


def test_a_candidate_that_was_planned_and_never_compared_is_not_believed() -> None:
    run = run_of("mojo")
    times = {**EVEN, "mojo": [500] * 3}
    (found,) = analyse(run, samples_of(run, times), [], []).results
    assert found.verdict is not None
    assert found.verdict.reason == "parity was not checked"
    assert len(agreed(run)) == 1


def test_geometric_means_are_each_candidates_own() -> None:
    readings = make_run(LADDER), make_samples(LADDER), make_parity(LADDER), ()
    means = {(one.case, one.candidate): one.estimate.point for one in analyse(*readings).means}
    assert means["epoch", "sklearn"] == pytest.approx(0.2, rel=0.02)
    assert ("forward", "sklearn") not in means
    assert means["forward", "mojo-port"] == pytest.approx(0.3, rel=0.02)  # over two networks
    assert ("forward", "python") not in means  # of one network there is no mean
    assert means["forward", "mojo"] == pytest.approx(2, rel=0.02)


# Of whom is spoken


def test_mojo_is_spoken_of_where_it_is_and_else_the_first() -> None:
    assert slot_names(run_of("python", "mojo")) == ("NumPy", "Mojo")
    assert slot_names(run_of("numba", "jax")) == ("NumPy", "numba")
    assert run_of("numba", "jax").main == candidates("numba")[0]


def test_a_focused_run_gives_the_same_figures() -> None:
    readings = make_run(LADDER), make_samples(LADDER), make_parity(LADDER), ()
    analysis = analyse(*readings)
    one = analysis.of_main
    assert [spec.label for spec in one.run.plan.workers] == ["numpy", "numpy-again", "mojo"]
    alone = analyse(one.run, one.samples, one.parity, one.faults).results
    whole = [result for result in analysis.results if result.candidate == "mojo"]
    assert list(one.results) == whole
    assert [(a.case, a.ratio) for a in alone] == [(b.case, b.ratio) for b in whole]
    for a, b in zip(alone, whole, strict=True):
        assert a.times == {label: time for label, time in b.times.items() if label in a.times}
    assert one.of_main is one


def test_variants_stand_in_the_order_of_the_ladder_and_strangers_last() -> None:
    assert in_order(["mine", "sklearn", "mojo", "numpy", "python"]) == [
        "python", "numpy", "mojo", "sklearn", "mine"
    ]  # fmt: skip
    assert [family_of(name) for name in ("numpy-tuned", "mojo-exe", "jax", "mine")] == [
        "python", "mojo", "other", "other"
    ]  # fmt: skip


def test_an_export_leaves_out_only_whose_fault_it_is(tmp_path: Path) -> None:
    epoch = case_id(Case("epoch", SEED_NETWORK))
    truth = replace(
        LADDER,
        problems=(SEED_NETWORK,),
        faults=(Fault(epoch, "jax", 1, "died"),),
        invocations=2,
        training_epochs=0,
    )
    frame = sample_table(store.load(write_run(tmp_path / "run", truth)))
    bad = frame[frame["invalid"] != ""]
    assert set(bad["worker"]) == {"jax"}
    assert set(bad["case"]) == {epoch}
    assert {"numpy", "mojo"} <= set(frame[frame["case"] == epoch]["worker"])
