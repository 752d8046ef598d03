"""Coverage, and counting trials: by simulation and by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_truth import FORWARD, SLOTS, agreed, make_run, make_samples, spread_around

from bench.measuring.validation.simulation import (
    MODELS,
    ROUNDS,
    TRUE_RATIO,
    Model,
    Share,
    coverage,
    times,
)
from bench.measuring.validation.slowed import HANDICAPS, repetitions, true_ratio
from bench.measuring.validation.trials import detected, false_claims, trials
from bench.storage.runs import Stored


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_the_headline_interval_holds_the_truth_as_often_as_it_says(model: Model) -> None:
    assert 0.93 <= coverage(model, 4_000).value <= 0.97


def test_the_models_cover_what_was_asked_for() -> None:
    assert {model.process_spread for model in MODELS} == {0, 0.01, 0.02, 0.05}
    assert {model.invocations for model in MODELS} == {6, 10, 20}
    assert any(model.tails for model in MODELS)
    assert any(model.drift for model in MODELS)


def test_times_are_made_as_the_model_says() -> None:
    model = Model(0.05, 10)
    baseline, candidate = times(model, 3_000, np.random.default_rng(2))
    assert baseline.shape == candidate.shape == (3_000, 10, ROUNDS)
    ratio = np.log(baseline / candidate)
    assert np.exp(ratio.mean()) == pytest.approx(TRUE_RATIO, rel=0.002)
    between = ratio.mean(axis=2).std(axis=1, ddof=1).mean()
    assert between == pytest.approx(0.05 * 2**0.5, rel=0.1)
    drifting, _ = times(replace(model, drift=True), 3_000, np.random.default_rng(2))
    assert drifting[:, -1].mean() / drifting[:, 0].mean() == pytest.approx(1.18, abs=0.02)


def test_a_share_tells_what_it_rests_on() -> None:
    assert Share(5, 100).value == 0.05
    # Clopper and Pearson for 5 of 100: 0.0164 to 0.1128
    assert Share(5, 100).interval == pytest.approx((0.0164, 0.1128), abs=1e-4)
    assert Share(0, 10).interval[0] == 0
    assert Share(10, 10).interval[1] == 1
    assert np.isnan(Share(0, 0).value)


def test_a_slowdown_is_whole_repetitions() -> None:
    assert [kind.share for kind in HANDICAPS] == [0.01, 0.02, 0.05, 0.1]
    assert (repetitions(450, 0.01), repetitions(100, 0.1)) == (454, 110)
    assert true_ratio(100, 0.1) == pytest.approx(1 / 1.1)


def stored(ratio: float, invocations: int) -> Stored:
    run = make_run(FORWARD, invocations=invocations)
    samples = make_samples(run, spread_around(ratio))
    return Stored(Path("run"), run, tuple(samples), tuple(agreed(run)), (), {})


def test_a_long_run_is_cut_into_trials_of_ten_and_a_rest_is_left_out() -> None:
    found = trials(stored(0.9, 34), SLOTS[-1].label)
    assert [result.ratio.estimate.count for result in found if result.ratio] == [10, 10, 10]
    claims = false_claims(found)
    assert (claims.excluding, claims.different) == (Share(3, 3), Share(3, 3))
    run = make_run(FORWARD)
    power = detected(run, found, 0.1)
    assert (power.excluding, power.slower) == (Share(3, 3), Share(3, 3))
    assert power.found == pytest.approx(1 / 0.9 - 1, rel=1e-3)
    # loops are 4: a tenth more is no whole repetition
    assert power.slower_by == 0


def test_nothing_is_claimed_where_nothing_differs() -> None:
    claims = false_claims(trials(stored(1.0, 20), SLOTS[-1].label))
    assert (claims.excluding, claims.different) == (Share(0, 2), Share(0, 2))
