"""The roofline chart: points lie where the numbers say, below the roofs that were measured."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from known_truth import make_run
from test_roofline import CASES, PEAK_NS, derived, reaching, stored_of

from bench.analysis.run_analysis import analyse_stored
from bench.model.arithmetic import PEAK_FLOPS, TRIAD_BYTES, TRIAD_ELEMENTS, flops, least_bytes
from bench.model.cases import case_id
from bench.model.records import Estimate, Rate
from bench.report.charts.roofline import Roofs, points_of, rooflines, roofs_of

LABELS = {"baseline": "numpy", "candidate": "mojo"}
PEAK = PEAK_FLOPS / PEAK_NS
"""GFLOP/s of the machine of these tests."""


def test_a_point_is_the_rate_at_the_intensity() -> None:
    stored = stored_of(reaching(0.8))
    points = points_of(derived(stored), LABELS)
    assert [case_id(point.case) for point in points] == [
        case_id(case) for case in CASES if case.phase == "forward"
    ]
    for point in points:
        assert point.intensity == flops(point.case) / least_bytes(point.case)
        assert point.rates["candidate"][0] == pytest.approx(0.8 * PEAK, rel=1e-4)
        assert point.rates["baseline"][0] == pytest.approx(0.4 * PEAK, rel=1e-4)
        seconds = flops(point.case) / (point.rates["candidate"][0] * 1e9)
        moved = point.bandwidth("candidate")[0] * 1e9 * seconds
        assert moved == pytest.approx(least_bytes(point.case))
    assert all(one.intensity < other.intensity for one, other in pairwise(points))


def test_the_roof_is_the_lower_of_peak_and_memory() -> None:
    roofs = Roofs(100.0, {"memory": 10.0, "cache": 50.0})
    assert roofs.at(5.0) == (50.0, "memory")
    assert roofs.at(20.0) == (100.0, "peak")
    assert Roofs(100.0, {}).at(1e-9) == (100.0, "peak")


def test_bandwidths_hold_for_every_dtype_of_their_threads() -> None:
    def rate(phase: str, dtype: str, threads: int, point: float) -> Rate:
        return Rate(phase, dtype, threads, Estimate(point, point, point, 3))  # type: ignore[arg-type]

    found = roofs_of(
        [
            rate("peak", "float64", 1, 100),
            rate("peak", "float32", 1, 200),
            rate("peak", "float64", 2, 190),
            rate("memory", "float64", 1, 10),
            rate("cache", "float64", 2, 80),
        ]
    )
    assert found["float64", 1] == Roofs(100, {"memory": 10})
    assert found["float32", 1] == Roofs(200, {"memory": 10})
    assert found["float64", 2] == Roofs(190, {"cache": 80})


def test_the_chart_and_the_table_say_the_numbers() -> None:
    stored = stored_of(reaching(0.8))
    charts, table = rooflines(analyse_stored(stored))
    (chart,) = charts
    ElementTree.fromstring(chart.svg)
    assert chart.name == "roofline_float64_t1"
    assert "NumPy reaches 40 to 40 % of the peak" in chart.caption
    assert "Mojo reaches 80 to 80 % of the peak" in chart.caption
    assert "memory" in chart.svg
    assert "#010203" not in chart.svg
    assert len(table.rows) == 2
    memory = TRIAD_BYTES * TRIAD_ELEMENTS["memory"] / PEAK_NS
    for row, case in zip(
        table.rows, (case for case in CASES if case.phase == "forward"), strict=True
    ):
        intensity = flops(case) / least_bytes(case)
        assert float(row[2]) == pytest.approx(intensity, rel=0.005)
        limit = float(re.match(r"[\d.]+", row[5])[0])  # type: ignore[index]
        assert limit == pytest.approx(min(PEAK, memory * intensity), rel=0.005)
        assert float(row[7]) == pytest.approx(80 * PEAK / min(PEAK, memory * intensity), rel=0.005)
    assert rooflines(analyse_stored(stored)) == (charts, table)


def test_nothing_without_probes() -> None:
    stored = stored_of(reaching(0.8))
    bare = make_run(*(case for case in CASES if case.phase == "forward"))
    names = {case_id(case) for case in bare.plan.cases}
    samples = tuple(sample for sample in stored.samples if sample.case in names)
    without = replace(stored, run=bare, samples=samples)
    charts, table = rooflines(analyse_stored(without))
    assert charts == []
    assert table.rows == []


def test_a_case_that_is_invalid_has_no_point() -> None:
    stored = replace(stored_of(reaching(0.8)), parity=())
    assert points_of(derived(stored), LABELS) == []
