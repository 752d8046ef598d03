"""The map of speed-ups: each cell says its verdict, and its ink is read on every ground."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from sample_run import SEED_NETWORK, SMALL, Truth, make_parity, make_run, make_samples, problems

from bench.analysis.run_analysis import analyse
from bench.model.cases import case_id
from bench.model.numbers import significant
from bench.model.presets import PRESETS, preset_problems
from bench.model.records import PHASES, Case, Problem
from bench.report.charts.speedup_map import FAINTEST, MOST_ROWS, STRONGEST, map_chart, tint
from bench.report.elements.case_rows import case_rows
from bench.report.elements.chart import BASELINE_COLOUR, CANDIDATE_COLOUR, Chart, compact
from bench.report.elements.sentences import MARKS

TEXT = "{http://www.w3.org/2000/svg}text"
GROUNDS = (("#ffffff", "#1b1b1b"), ("#f6f7f8", "#1d2126"), ("#1d2125", "#e4e7ea"))
"""Ground and ink of a file, of a card of the light page and of the dark one (report.css)."""


def table_of(truth: Truth):
    run = make_run(truth)
    return case_rows(
        run, analyse(run, make_samples(truth), make_parity(truth), truth.faults).results
    )


def drawn(truth: Truth, names: tuple[str, str] = ("NumPy", "Mojo")) -> Chart | None:
    return map_chart(make_run(truth), table_of(truth), *names)


def texts(chart: Chart) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(chart.svg).iter(TEXT)]


MIXED = Truth(
    problems=problems("float64"),
    ratios={
        case_id(Case("forward", SEED_NETWORK)): 4.0,
        case_id(Case("backprop", SEED_NETWORK)): 0.25,
        case_id(Case("epoch", SEED_NETWORK)): 1.0,
    },
    failed=(SMALL,),
)


def test_each_cell_has_its_sign_and_number():
    chart = drawn(MIXED)
    shown = texts(chart)
    rows = [row for row in table_of(MIXED) if row.verdict]
    assert {row.verdict for row in rows} == {"FASTER", "SLOWER", "EQUIVALENT", "INVALID"}
    for verdict in ("FASTER", "SLOWER", "EQUIVALENT"):
        mine = [row for row in rows if row.verdict == verdict]
        found = [float(text[2:]) for text in shown if text.startswith(f"{MARKS[verdict]} ")]
        ratios = sorted(row.ratio for row in mine)
        assert sorted(found) == pytest.approx(ratios, rel=0.005)
        assert f"{len(mine)} {verdict.lower()}" in chart.caption
    assert shown.count("✕") == 3
    assert "3 invalid" in chart.caption


def test_the_words_hold_every_ratio_with_its_interval():
    chart = drawn(MIXED)
    rows = [row for row in table_of(MIXED) if row.verdict and row.verdict != "INVALID"]
    assert len(rows) == 12
    for row in rows:
        part = next(p for p in chart.alt.split(". ") if p.startswith(f"{row.network}: "))
        told = re.search(rf"{row.phase} {row.verdict.lower()} ([\d.]+) \(([\d.]+)–([\d.]+)\)", part)
        assert told
        for text, value in zip(
            told.groups(), (row.ratio, row.ratio_low, row.ratio_high), strict=True
        ):
            assert float(text) == pytest.approx(value, abs=row.ratio_high - row.ratio_low)


def test_colour_is_the_side_and_its_strength_the_distance():
    assert tint(2.0, 1.0)[0] == CANDIDATE_COLOUR
    assert tint(0.5, 1.0)[0] == BASELINE_COLOUR
    assert tint(2.0, 1.0)[1] == pytest.approx(tint(0.5, 1.0)[1])
    strengths = [tint(ratio, 2.0)[1] for ratio in (1.0, 1.1, 2.0, 5.0, 1e9)]
    assert strengths == sorted(strengths)
    assert (strengths[0], strengths[-1]) == (FAINTEST, STRONGEST)


def luminance(colour: tuple[float, ...]) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))


@pytest.mark.parametrize(("ground", "ink"), GROUNDS)
@pytest.mark.parametrize("ratio", [1e-6, 0.5, 1.0, 2.0, 1e6])
def test_ink_on_every_cell_has_a_contrast_of_4_5(ground: str, ink: str, ratio: float) -> None:
    colour, strength = tint(ratio, 1.0)
    mixed = tuple(
        strength * over + (1 - strength) * under
        for over, under in zip(rgb(colour), rgb(ground), strict=True)
    )
    light, dark = sorted((luminance(mixed), luminance(rgb(ink))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_what_is_not_resolved_is_hatched_and_has_no_colour():
    chart = drawn(Truth(problems=(SMALL,), ratio=1.0, process_spread=0.03))
    assert "<pattern" in chart.svg
    cells = chart.svg.partition("axes_2")[0]  # the key is the second
    assert CANDIDATE_COLOUR not in cells
    assert BASELINE_COLOUR not in cells
    assert sum(text.startswith("? ") for text in texts(chart)) == 3
    assert "<pattern" not in drawn(Truth(problems=(SMALL,))).svg


def test_no_verdict_no_map():
    assert drawn(Truth(problems=())) is None
    imported = replace(make_run(Truth()), source="pytest-benchmark")
    found = analyse(imported, make_samples(Truth()), [], []).results
    assert map_chart(imported, case_rows(imported, found), "N", "M") is None


def test_all_invalid_one_invocation_one_cell():
    invalid = drawn(Truth(problems=(SMALL,), failed=(SMALL,)))
    assert texts(invalid).count("✕") == 3
    assert "3 invalid" in invalid.caption
    single = drawn(Truth(problems=(SMALL,), invocations=1))
    assert "3 unresolved" in single.caption
    run = make_run(Truth(problems=(SMALL,)))
    table = table_of(Truth(problems=(SMALL,)))
    one = map_chart(run, [row for row in table if row.phase == "epoch"], "NumPy", "Mojo")
    assert "1 case: 1 faster" in one.caption


def test_the_preset_awkward_fits():
    truth = Truth(problems=preset_problems(PRESETS["awkward"]), invocations=2, rounds=1)
    chart = drawn(truth)
    ElementTree.fromstring(chart.svg)
    assert sum(text.startswith("? ") for text in texts(chart)) == 480
    assert len(chart.svg) < 600_000


def test_many_settings_become_rows():
    truth = Truth(
        problems=tuple(
            replace(p, threads=t) for p in problems("float64", "float32") for t in (1, 2)
        )
    )
    chart = drawn(truth)
    shown = texts(chart)
    assert [text for text in shown if text in PHASES] == list(PHASES)
    assert "batch 20 f32 2t" in shown
    assert "60 cases" in chart.caption


def test_networks_that_differ_in_rows_are_told_apart():
    both = (SEED_NETWORK, replace(SEED_NETWORK, rows=1000))
    chart = drawn(Truth(problems=both))
    assert "batch 20" in texts(chart)  # the usual 500
    assert "batch 20, 1000 rows" in texts(chart)


def test_more_rows_than_fit_are_named():
    many = tuple(Problem((1, width, 1), 5, 10, "float64", 1) for width in range(1, MOST_ROWS + 4))
    chart = drawn(Truth(problems=many, invocations=1, rounds=1))
    assert "3 more of its rows are not drawn" in chart.caption


def test_long_names_and_markup_do_no_harm():
    long = Problem(tuple(range(1, 60)), 5, 10, "float64", 1)
    chart = drawn(Truth(problems=(long,), rounds=2), ("<b>$x$", 'M" onload="x'))
    root = ElementTree.fromstring(chart.svg)
    assert "onload" not in root.attrib
    assert max(map(len, (text for text in texts(chart) if "faster" not in text))) <= 20


def test_same_input_same_bytes():
    first = drawn(MIXED)
    with mpl.rc_context({"font.size": 30, "hatch.linewidth": 9}):
        assert drawn(MIXED) == first


def test_narrow_cells_show_three_digits():
    table = table_of(Truth(problems=problems("float64", "float32")))
    chart = drawn(Truth(problems=problems("float64", "float32")))
    row = table[0]
    assert f"▲ {significant(row.ratio)}" in texts(chart)


def test_compact_svg_draws_the_same():
    line = '<path d="M 1.2345678 2 \nL 3 4 \n" style="stroke-linecap: square"/>'
    assert compact(line) == '<path d="M 1.23 2 L 3 4 " style="stroke-linecap: square"/>'
    text = '<!-- 1.23456 --><text x="1.23456">1.23456</text>'
    assert compact(text) == '<text x="1.23">1.23456</text>'
