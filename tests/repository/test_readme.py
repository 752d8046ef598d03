"""Holds the pages to the runs they show: their figures are generated, never typed."""

import pytest

from bench.model.errors import UsageError
from bench.model.paths import PROJECT
from tools.readme import (
    ODD_SIZES,
    PERFORMANCE,
    REFERENCE,
    block,
    insert,
    odd_sizes_block,
    performance_block,
    roofline_block,
)

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_what_the_reference_run_says() -> None:
    assert insert(README, block(REFERENCE)) == README, "run `python -m tools.readme`"


def test_the_chart_and_the_report_it_links_to_are_there() -> None:
    text = block(REFERENCE)
    for file in ("charts/speedup.svg", "report.md"):
        assert f"results/reference/{file}" in text
        assert (REFERENCE / file).is_file()


def test_the_page_on_performance_shows_its_runs() -> None:
    page = (PROJECT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert insert(page, performance_block(PERFORMANCE)) == page, "run `python -m tools.readme`"


def test_goals_stand_beside_the_epochs_that_have_one() -> None:
    lines = roofline_block(PERFORMANCE[0]).splitlines()
    goals = {line.split(" | ")[0][2:]: line.split(" | ")[-1][:-2] for line in lines if "·" in line}
    seed = "1,50x9,1 batch 20 · float32"
    assert goals[f"{seed} · epoch"] == "75"
    assert goals[f"{seed} · forward"] == goals[f"{seed} · 2 threads · epoch"] == ""
    assert goals["1024x4 batch 256 · float32 · epoch"] == "87"
    assert goals["1024x4 batch 256 · float32 · 2 threads · epoch"] == "85"


def test_numpy_is_ahead_in_no_odd_size() -> None:
    """What the project claims of its kernels, held to the run that shows it."""
    text = odd_sizes_block(ODD_SIZES)
    assert "by the whole interval in 0." in text
    lines = [line.split(" | ") for line in text.splitlines() if "float" in line]
    assert {line[0] for line in lines} == {
        f"| {phase}, {dtype}"
        for phase in ("forward", "backprop", "epoch")
        for dtype in ("float64", "float32")
    }
    assert sum(int(line[1]) for line in lines) >= 479


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(UsageError, match="markers"):
        insert("# Nothing here\n", "text")
