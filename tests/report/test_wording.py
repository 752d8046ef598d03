"""Numbers and sentences: no digit the interval does not support; a conclusion for any data."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sample_run import SEED_NETWORK, SMALL, Truth, make_run

from bench.model.cases import case_id
from bench.model.numbers import (
    DASH,
    NARROW_SPACE,
    decimals,
    interval,
    listing,
    number,
    ratio_text,
    significant,
    time_text,
    unit_for,
)
from bench.model.records import Case, Estimate, Phase, Problem, Ratio, Result, Verdict, VerdictKind
from bench.report.elements.sentences import VERDICTS, Conclusion, conclude, counts_text

sizes = st.floats(1e-9, 1e9)


@pytest.mark.parametrize(
    ("point", "low", "high", "shown"),
    [
        (1.8312, 1.8012, 1.8612, ("1.83", "1.80–1.86")),
        (1.8312, 1.7, 1.96, ("1.83", "1.70–1.96")),
        (1.8312, 1.4, 2.2, ("1.8", "1.4–2.2")),
        (45312.4, 44912.0, 45712.0, ("45_300", "44_900–45_700")),
        (0.65, 0.6476, 0.6529, ("0.6500", "0.6476–0.6529")),
        (100.0, 100.0, 100.0, ("100", "100–100")),
        (12.3456, math.nan, math.nan, ("12.3", "no interval")),
        (math.nan, math.nan, math.nan, ("–", "")),
    ],
)
def test_intervals_decide_the_digits(point, low, high, shown):
    value, ends = interval(point, low, high)
    assert (value.replace(NARROW_SPACE, "_"), ends.replace(NARROW_SPACE, "_")) == shown


@given(point=sizes, share=st.floats(1e-6, 0.9))
def test_the_last_digit_shown_is_the_first_uncertain_one(point, share):
    half = point * share
    places = decimals(point, point - half, point + half)
    assert abs(round(point, places) - point) <= half / 6 * (1 + 1e-6)
    assert 10.0**-places >= half / 30 * (1 - 1e-6)


@given(point=sizes, low=st.floats(0, 1), high=st.floats(0, 1))
def test_shown_numbers_read_back_as_the_estimate(point, low, high):
    low, high = point * (1 - low), point * (1 + high)
    assume(high - low > point * 1e-9)
    value, ends = interval(point, low, high)
    for text, truth in zip((value, *ends.split(DASH)), (point, low, high), strict=True):
        assert float(text.replace(NARROW_SPACE, "")) == pytest.approx(truth, abs=(high - low) / 12)


@given(st.lists(sizes, min_size=1))
def test_a_column_has_one_unit_in_which_nothing_vanishes(values):
    unit, length = unit_for(values)
    assert min(values) / length >= 1 or unit == "ns"
    larger = {"ns": 1e3, "µs": 1e6, "ms": 1e9, "s": math.inf}[unit]
    assert min(values) < larger


def test_numbers_without_interval():
    assert significant(0.0) == "0"
    assert significant(1234.6) == f"1{NARROW_SPACE}230"
    assert significant(3e-13, 2) == "3.0e-13"
    assert significant(math.nan) == DASH
    assert number(-0.5, 1) == "-0.5"
    assert time_text(45_300) == f"45.3{NARROW_SPACE}µs"
    assert time_text(999.9e6) == f"1{NARROW_SPACE}000{NARROW_SPACE}ms"
    assert unit_for([math.nan]) == ("ns", 1.0)


def test_ratio_text_carries_its_interval():
    assert ratio_text(Estimate(2.0, 1.9, 2.1, 10)) == "2.00 (1.90–2.10)"
    assert ratio_text(Estimate(2.0, math.nan, math.nan, 1)) == "2.00 (no interval)"


def test_listing():
    assert listing(["a"]) == "a"
    assert listing(["a", "b"]) == "a and b"
    assert listing(["a", "b", "c"]) == "a, b and c"


def result(
    phase: Phase, problem: Problem, kind: VerdictKind | None, point: float, half: float = 0.01
) -> Result:
    case = Case(phase, problem)
    ratio = None
    if kind != "INVALID":
        estimate = Estimate(point, point - half, point + half, 12)
        ratio = Ratio(case_id(case), "numpy", "mojo", estimate)
    return Result(case, {}, ratio, None, Verdict(kind, "because") if kind else None)


def concluded(*results: Result, **changes: object) -> Conclusion:
    return conclude(replace(make_run(Truth()), **changes), results)


def test_a_blas_that_was_changed_is_named_in_the_conclusion():
    run = make_run(Truth())
    for said in ("nothing", "BLIS_ARCH_TYPE=zen"):
        workers = {"numpy": {"facts": {"blas changed by": said}}, "mojo": {"facts": {}}}
        environment = replace(run.environment, workers=workers)
        found = concluded(result("epoch", SMALL, "FASTER", 2.0), environment=environment)
        assert (f"BLAS CHANGED BY {said}" in found.setting) == (said != "nothing")
        assert found.setting.startswith("float64, 1 thread each")


def test_a_conclusion_has_the_ends_of_each_phase():
    found = concluded(
        result("forward", SEED_NETWORK, "FASTER", 3.2), result("forward", SMALL, "FASTER", 1.4)
    )
    assert (found.machine, found.baseline, found.candidate) == ("Example CPU 9000", "NumPy", "Mojo")
    (forward,) = found.phases
    assert forward.counts == found.counts == {"FASTER": 2}
    assert [ratio.point for ratio in forward.ratios] == [1.4, 3.2]
    assert "faster in both cases, at 1.400 (1.390–1.410) to 3.200" in str(found)


def test_a_mixed_conclusion_names_losers_and_invalid_as_plainly():
    found = concluded(
        result("forward", SEED_NETWORK, "FASTER", 3.2),
        result("forward", SMALL, "SLOWER", 0.7),
        result("backprop", SEED_NETWORK, "EQUIVALENT", 1.0),
        result("backprop", SMALL, "UNRESOLVED", 1.01),
        result("epoch", SEED_NETWORK, "INVALID", 1.0),
    )
    assert found.counts == dict.fromkeys(VERDICTS, 1)
    assert counts_text(found.counts) == (
        "faster in 1 of 5 cases, slower in 1, equivalent in 1, unresolved in 1 and invalid in 1"
    )
    assert found.phases[2].ratios == ()
    assert found.parts[1][2] == "epoch invalid"


def test_a_conclusion_claims_nothing_where_nothing_is_resolved():
    found = concluded(
        *(result(p, SEED_NETWORK, "UNRESOLVED", 1.2) for p in ("forward", "backprop", "epoch"))
    )
    assert found.counts == {"UNRESOLVED": 3}
    assert not {"faster", "slower"} & set(str(found).split())


def test_a_conclusion_gives_no_ratio_without_interval():
    found = concluded(result("forward", SEED_NETWORK, "UNRESOLVED", 1.5, half=math.nan))
    assert found.phases[0].ratios == ()
    assert "1.5" not in str(found)


def test_a_conclusion_without_results_or_verdicts():
    of_none = (), (result("forward", SMALL, None, 2.0),), (result("call", SMALL, None, 2.0),)
    for results in of_none:
        assert concluded(*results).phases == ()
        assert "nothing was measured" in str(concluded(*results))
    imported = concluded(result("forward", SMALL, None, 2.0), source="pytest-benchmark")
    assert not imported.judged
    assert "supports no verdict" in str(imported)
    unknown = conclude(make_run(Truth(machine={"cpu": "unavailable (no cpuinfo)"})), ())
    assert (unknown.machine, unknown.setting) == ("an unnamed processor", "no cases")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"FASTER": 1}, "faster in the one case"),
        ({"SLOWER": 2}, "slower in both cases"),
        ({"INVALID": 6}, "invalid in all 6 cases"),
        ({"SLOWER": 1, "FASTER": 2}, "faster in 2 of 3 cases and slower in 1"),
    ],
)
def test_verdicts_are_counted_in_words(counts, words):
    assert counts_text(Counter(counts)) == words


def test_a_ratio_that_excludes_1_does_not_read_as_if_it_held_it() -> None:
    assert ratio_text(Estimate(1.03, 1.0027, 1.06, 10)) == "1.030 (1.003–1.060)"
    assert ratio_text(Estimate(0.97, 0.94, 0.99996, 10)) == "0.97000 (0.94000–0.99996)"
    assert ratio_text(Estimate(1.03, 1.0, 1.06, 10)) == "1.03 (1.00–1.06)"
    assert ratio_text(Estimate(1.0, math.nan, math.nan, 1)) == "1.00 (no interval)"
