"""The page on the harness itself: each goal met, open or missed, and every figure on it."""

from __future__ import annotations

import pytest

from bench.measuring.validation.page import page, share_text, summary
from bench.measuring.validation.simulation import MODELS, Share
from bench.measuring.validation.trials import Detected, FalseClaims
from bench.measuring.validation.trials_run import Claims, Extent, Refusal, Validity
from bench.model.records import Environment


def found(excluding: Share, different: Share, covered: float = 0.95, reason: str = "") -> Validity:
    return Validity(
        Extent(1000, 100, 40, 2),
        Environment({"cpu": "Example", "load": "0.00"}, {"numpy": "2"}),
        12.0,
        [(model, Share(round(1000 * covered), 1000)) for model in MODELS],
        [Claims("tiny", "idle", FalseClaims(excluding, different), {"pyperf": Share(1, 2)})],
        [("least", Detected(0.02, Share(20, 40), Share(10, 40), 0.019, 0.01))],
        [
            Refusal("Twin", "Has no fault.", "", ""),
            Refusal("Wrong", "Is wrong.", "grads_w", reason),
        ],
    )


GOOD = found(Share(5, 100), Share(0, 100), reason="grads_w[0] of Wrong | differs")


@pytest.mark.parametrize(
    ("share", "state"),
    [
        (Share(5, 100), "met"),
        (Share(0, 100), "open"),  # 0 to 3.6 %
        (Share(9, 100), "open"),  # 4.2 to 16.4 %
        (Share(0, 400), "MISSED"),  # 0 to 0.9 %
        (Share(20, 100), "MISSED"),
    ],
)
def test_a_share_meets_its_goal_misses_it_or_leaves_it_open(share: Share, state: str) -> None:
    lines = {line.what: line for line in summary(found(share, Share(0, 100)))}
    assert lines["A/A intervals that exclude 1, tiny, idle"].state == state
    assert lines["A/A intervals that exclude 1, together"].state == state


def test_everything_met() -> None:
    assert {line.state for line in summary(GOOD)} == {"met"}
    assert {line.goal for line in summary(GOOD)} == {
        "93% to 97%", "3% to 7%", "at most 5%", "all",
    }  # fmt: skip


def test_what_is_missed_is_said() -> None:
    bad = found(Share(5, 100), Share(20, 100), covered=0.9, reason="")
    states = {line.what: line.state for line in summary(bad)}
    assert states["intervals that hold the truth, 48 models"] == "MISSED"
    assert states["A/A verdicts FASTER or SLOWER, tiny, idle"] == "MISSED"
    assert states["seeded faults refused for the right reason"] == "MISSED"
    assert states["twins without a fault that pass"] == "met"
    assert "| MISSED |" in page(bad, "bench validate")
    assert "| Wrong | Is wrong. | passes | WRONG |" in page(bad, "bench validate")


def test_the_page_holds_every_figure() -> None:
    text = page(GOOD, "bench validate --long")
    for part in (
        "Written by `bench validate --long` in 12 minutes on Example",
        "| tiny | idle | 5.0% [1.6, 11.3] of 100 | 0.0% [0.0, 3.6] of 100 | 50.0% [1.3, 98.7] of 2",
        "| 2% | 10 | 95.0% | 95.0% | 95.0% | 95.0% |",
        "| 2.00% | 1.90% | -0.10% | ±1.00% |",
        "| Wrong | Is wrong. | grads_w[0] of Wrong \\| differs | right |",
    ):
        assert part in text


def test_a_share_of_nothing_is_a_dash() -> None:
    assert share_text(Share(0, 0)) == "–"
