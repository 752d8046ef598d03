"""Charts: the points lie where the numbers say, the SVG is sound, the same each time, and safe."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_run import SEED_NETWORK, SMALL, Truth, make_parity, make_run, make_samples, problems

from bench.analysis.run_analysis import analyse
from bench.model.cases import case_id
from bench.model.records import PHASES, Case, Problem
from bench.report.charts.overview import (
    MOST_ROWS,
    curve_chart,
    loss_chart,
    speedup_chart,
    time_chart,
)
from bench.report.elements.case_rows import case_rows
from bench.report.elements.chart import (
    BASELINE_COLOUR,
    CANDIDATE_COLOUR,
    Chart,
    number_on_axis,
    round_numbers,
)
from bench.workers.datasets import true_sinc

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


def table_of(truth: Truth):
    run = make_run(truth)
    return case_rows(
        run, analyse(run, make_samples(truth), make_parity(truth), truth.faults).results
    )


def both(losses):
    return {"baseline": losses, "candidate": losses * (1 + 1e-9)}


def curves(points=50):
    x = np.linspace(-6, 6, points)[:, np.newaxis]
    y = true_sinc(x)
    return {"X": x, "y": y, "grid": x, "baseline": y, "candidate": y + 1e-6}


MIXED = Truth(
    ratios={case_id(Case("forward", SEED_NETWORK)): 4.0, case_id(Case("forward", SMALL)): 0.5}
)


@pytest.fixture(scope="module")
def table():
    return table_of(MIXED)


@pytest.fixture(scope="module")
def charts(table) -> list[Chart]:
    losses = np.geomspace(4, 0.01, 60 * 25)
    found = [
        speedup_chart(table, "NumPy", "Mojo"),
        time_chart(table, "NumPy", "Mojo"),
        loss_chart(both(losses), 60, "NumPy", "Mojo"),
        curve_chart(curves(), "NumPy", "Mojo"),
    ]
    assert all(found)
    return found


def points_of(svg: str, panel: int, colour: str) -> list[float]:
    """Read a panel's points of one colour back, as values on its logarithmic x axis."""
    axes = next(
        g for g in ElementTree.fromstring(svg).iter() if g.get("id", "").endswith(f"axes_{panel}")
    )
    ticks = {}
    for tick in axes.iter(f"{SVG}g"):
        if "xtick_" in tick.get("id", ""):
            mark = next(use for use in tick.iter(f"{SVG}use"))
            text = next(text for text in tick.iter(f"{SVG}text")).text
            ticks[float(text.replace("\N{NARROW NO-BREAK SPACE}", ""))] = float(mark.get("x"))
    (low, x_low), *_, (high, x_high) = sorted(ticks.items())
    per_unit = math.log(high / low) / (x_high - x_low)
    found = [
        use.get("x") for use in axes.iter(f"{SVG}use") if f"fill: {colour}" in use.get("style", "")
    ]
    return [low * math.exp((float(x) - x_low) * per_unit) for x in found]


def test_speedups_lie_where_the_ratios_are(charts, table):
    rows = [row for row in table if row.phase == "forward"]
    assert [row.verdict for row in rows] == ["FASTER", "SLOWER"]
    (faster,) = points_of(charts[0].svg, 1, CANDIDATE_COLOUR)
    (slower,) = points_of(charts[0].svg, 1, BASELINE_COLOUR)
    assert faster == pytest.approx(rows[0].ratio, rel=1e-3)
    assert slower == pytest.approx(rows[1].ratio, rel=1e-3)


def test_times_lie_where_the_medians_are(charts, table):
    rows = [row for row in table if row.phase == "forward"]
    baselines = points_of(charts[1].svg, 1, BASELINE_COLOUR)
    candidates = points_of(charts[1].svg, 1, CANDIDATE_COLOUR)
    assert baselines == pytest.approx([row.baseline_ns / 1e3 for row in rows], rel=1e-3)
    assert candidates == pytest.approx([row.candidate_ns / 1e3 for row in rows], rel=1e-3)


def test_words_tell_the_same(charts):
    assert "forward: 1,50x9,1 batch 20 float64 4.00 faster" in charts[0].alt
    assert re.search(r"64,128x2,10 batch 32 float64 0\.(49|50)\d slower", charts[0].alt)
    assert "4.00 faster" in charts[0].svg
    assert "largest relative difference of a batch 1.0e-09" in charts[2].alt
    assert "at most 1.0e-06 apart" in charts[3].alt


def test_svg_is_sound_and_ids_never_repeat_on_a_page(charts):
    ids = []
    for chart in charts:
        root = ElementTree.fromstring(chart.svg)
        assert root.get("role") == "img"
        assert root.get("aria-label") == chart.alt
        own = [element.get("id") for element in root.iter() if element.get("id")]
        for element in root.iter():
            for value in (element.get(LINK), element.get("clip-path")):
                target = (value or "").removeprefix("url(").removesuffix(")")
                assert not value or target[1:] in own
        ids += own
    assert len(ids) == len(set(ids))


def test_ink_follows_the_page(charts):
    for chart in charts:
        assert "currentColor" in chart.svg
        assert "#010203" not in chart.svg
        assert "#000000" not in chart.svg
        assert "background: #fff" in chart.svg[:5000]


def test_same_input_same_bytes_whatever_the_users_style(table):
    first = speedup_chart(table, "NumPy", "Mojo")
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "svg.hashsalt": "x"}):
        second = speedup_chart(table, "NumPy", "Mojo")
        assert mpl.rcParams["font.size"] == 30
    assert first == second
    assert "202" not in re.sub(r'aria-label="[^"]*"|[\d.-]{6,}', "", first.svg.split("<defs>")[0])


def test_names_are_not_markup():
    table = table_of(Truth(problems=(SMALL,)))
    chart = speedup_chart(table, "$x^2$<b>", 'Mojo" onload="alert(1)')
    root = ElementTree.fromstring(chart.svg)
    assert set(root.attrib) >= {"role", "aria-label", "style"}
    assert "onload" not in root.attrib
    texts = " ".join(text.text or "" for text in root.iter(f"{SVG}text"))
    assert "$x^2$<b> faster" in texts


@pytest.mark.parametrize("name", ["\u07e8", "\u4e2d\u6587", "_x", "\U0001f600", "a\nb"])
def test_names_of_any_script_are_drawn_without_a_warning(name):
    chart = speedup_chart(table_of(Truth(problems=(SMALL,))), name, "Mojo")
    assert name.partition("\n")[0] in chart.svg


def test_invalid_and_unresolved_cells_are_shown_too():
    truth = Truth(failed=(SMALL,), ratio=1.0, process_spread=0.03)
    chart = speedup_chart(table_of(truth), "NumPy", "Mojo")
    assert chart.svg.count(">invalid<") == 3
    assert chart.svg.count("unresolved<") == 3


def test_no_ratio_without_interval_is_drawn():
    table = table_of(Truth(invocations=1))
    assert speedup_chart(table, "NumPy", "Mojo") is None
    assert "without intervals" in time_chart(table, "NumPy", "Mojo").caption


def test_nothing_to_draw():
    empty = table_of(Truth(problems=()))
    assert speedup_chart(empty, "NumPy", "Mojo") is None
    assert time_chart(empty, "NumPy", "Mojo") is None
    assert loss_chart({}, 10, "NumPy", "Mojo") is None
    assert loss_chart(both(np.ones(25)), 0, "NumPy", "Mojo") is None
    assert loss_chart(both(np.ones(25)), 2, "NumPy", "Mojo") is None
    assert loss_chart({"baseline": np.ones(4), "candidate": np.ones(2)}, 2, "N", "M") is None
    found = curves()
    del found["candidate"]
    assert curve_chart(found, "NumPy", "Mojo") is None
    assert curve_chart(curves() | {"y": np.ones((50, 3))}, "NumPy", "Mojo") is None


def test_a_training_that_went_wrong_is_drawn_as_far_as_it_goes():
    losses = np.array([1e-290, 1e-290, 1e300, 1e300, math.inf, math.nan])
    chart = loss_chart({"baseline": losses, "candidate": losses}, 3, "NumPy", "Mojo")
    ElementTree.fromstring(chart.svg)
    zero = loss_chart({"baseline": np.zeros(4), "candidate": np.zeros(4)}, 2, "NumPy", "Mojo")
    ElementTree.fromstring(zero.svg)


def test_identical_losses_are_called_so():
    losses = np.geomspace(4, 0.1, 50)
    chart = loss_chart({"baseline": losses, "candidate": losses.copy()}, 10, "NumPy", "Mojo")
    assert "none at all" in chart.svg


def test_all_networks_in_both_dtypes_fit():
    table = table_of(Truth(problems=problems("float64", "float32"), rounds=1, invocations=10))
    chart = speedup_chart(table, "NumPy", "Mojo")
    assert chart.svg.count("float32<") == 15
    assert chart.svg.count("float64<") == 15


@given(low=st.floats(1e-12, 1e6), factor=st.floats(1.05, 1e15))
def test_ticks_are_few_and_inside(low, factor):
    ticks = round_numbers(low, low * factor)
    assert ticks == sorted(ticks)
    assert len(ticks) <= 9
    assert all(low <= tick <= low * factor for tick in ticks)
    assert len(set(map(number_on_axis, ticks))) == len(ticks)
    if low <= 1 <= low * factor:
        assert any(tick == pytest.approx(1) for tick in ticks)


def test_numbers_on_an_axis():
    assert [number_on_axis(value) for value in (0.975, 1.0, 1.5, 1e-13, 20000.0)] == [
        "0.975",
        "1",
        "1.5",
        "1e-13",
        "20\N{NARROW NO-BREAK SPACE}000",
    ]


def test_of_very_many_networks_some_are_drawn_and_both_ends():
    many = tuple(Problem((1, width, 1), 20, 100, "float64", 1) for width in range(2, 101))
    found = table_of(Truth(problems=many, invocations=2, rounds=1))
    for chart in (speedup_chart(found, "NumPy", "Mojo"), time_chart(found, "NumPy", "Mojo")):
        labels = re.findall(r">1,(\d+),1</text>", chart.svg)
        assert len(labels) == len(PHASES) * MOST_ROWS
        assert labels[:1] + labels[MOST_ROWS - 1 : MOST_ROWS] == ["2", "100"]
        assert f"Of 99 cases of a phase {MOST_ROWS} are drawn" in chart.caption
