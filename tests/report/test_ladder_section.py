"""What is shown of a run of several candidates: the ladder, the table of all, the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from sample_run import LADDER, SEED_NETWORK, Truth, write_run
from sample_run import SMALL as MIDDLE
from test_report import Page

from bench.analysis.run_analysis import analyse_stored
from bench.model.cases import case_id, file_stem
from bench.model.records import PHASES, Case, Cost, Fault
from bench.report.elements.sentences import problem_text
from bench.report.run.build import build
from bench.report.sections.costs import cost_section
from bench.report.sections.ladder import ladder_section
from bench.storage import runs as store


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = write_run(tmp_path_factory.mktemp("ladder") / "run", LADDER)
    build(run_dir)
    return run_dir


@pytest.fixture(scope="module")
def page(ladder: Path) -> Page:
    return Page((ladder / "report.html").read_text(encoding="utf-8"))


def test_the_page_has_the_ladder_with_every_variant_that_has_a_turn(
    ladder: Path, page: Page
) -> None:
    html = (ladder / "report.html").read_text(encoding="utf-8")
    assert '<a href="#ladder">The ladder</a>' in html
    markdown = (ladder / "report.md").read_text(encoding="utf-8")
    for phase in PHASES:
        assert f"charts/ladder-{phase}.svg" in markdown
        tree = ElementTree.parse(ladder / "charts" / f"ladder-{phase}.svg").getroot()
        texts = [one.text for one in tree.iter("{http://www.w3.org/2000/svg}text")]
        rows = [text for text in texts if text in {"NumPy", "Mojo", *LADDER.variants}]
        assert (rows.count("python"), rows.count("mojo-port")) == (1, 2)  # small networks only
        assert rows.count("sklearn") == (3 if phase == "epoch" else 0)
        assert rows.count("mojo-exe") == 3
        alt = tree.attrib["aria-label"]
        assert "mojo-port" in alt
        assert re.search(r"mojo-simd [\d.]+ [µm]s \((1|0\.99\d|1\.00\d?) equivalent\)", alt)
    section = html.partition('<section id="ladder">')[2].partition("</section>")[0]
    mean = re.search(r'scope="row">numba</th>(.*?)</tr>', section)
    assert mean
    cells = [float(text) for text in re.findall(r"<td>([\d.]+) \(", mean[1])]
    assert cells == pytest.approx([1.1] * 3, rel=0.02)
    steps = section.partition("What each step buys: epoch")[2]
    row = re.search(r"mojo-port → mojo-simd</th><td>SIMD</td>(.*?)</tr>", steps)
    assert row
    cells = [float(text) for text in re.findall(r"<td>([\d.]+) \(", row[1])]
    assert cells == pytest.approx([1 / 0.3] * 2, rel=0.03)
    row = re.search(r"python → NumPy</th><td>[^<]*</td>(.*?)</tr>", steps)
    assert row
    assert row[1].count("<td>–</td>") == 2
    shortest = re.search(
        r"epoch, 1,50x9,1 batch 20: the shortest median is ([\w-]+)&#39;s", section
    )
    assert shortest
    assert shortest[1] in ("mojo-exe", "Mojo")


def test_the_table_lists_all_and_the_headline_names_one(ladder: Path, page: Page) -> None:
    table = pd.read_csv(ladder / "results.csv")
    timed = table[table["phase"].isin(PHASES)]
    assert len(timed) == 9 * 13 - len(LADDER.gaps)
    assert set(timed["implementation"]) == set(LADDER.variants)
    for row in timed.itertuples():
        assert row.ratio == pytest.approx(LADDER.variants[row.implementation], rel=0.03)
    rows = {name: cells for name, cells in page.cells.items() if "ratio" in cells}
    assert len(rows) == len(timed)
    anchor = f"{file_stem(case_id(Case('epoch', SEED_NETWORK)))}_mojo-port"
    assert rows[anchor]["implementation"] == "mojo-port"
    text = page.all_text()
    assert "Mojo compared with NumPy was faster in all 9 cases" in text
    assert "NumPy vs Mojo and 12 more: run ladder" in text
    assert "What compares two speaks of Mojo; the ladder and the table" in text
    ids = [found["id"] for _, found in page.elements if found.get("id")]
    assert len(ids) == len(set(ids))


def test_parity_and_faults_say_whose_they_are(tmp_path: Path) -> None:
    truth = replace(
        LADDER,
        problems=(SEED_NETWORK, MIDDLE),
        failed=(MIDDLE,),
        faults=(Fault(case_id(Case("epoch", SEED_NETWORK)), "jax", 3, "died"),),
        training_epochs=0,
    )
    run_dir = write_run(tmp_path / "run", truth)
    build(run_dir)
    text = Page((run_dir / "report.html").read_text(encoding="utf-8")).all_text()
    assert "64,128x2,10 batch 32 · float64 · numba" in text
    assert "12 of 25 comparisons failed" in text  # loops in Python are not compared there
    assert "Mojo compared with NumPy was faster in 3 of 6 cases and invalid in 3" in text
    chart = (run_dir / "charts" / "ladder-epoch.svg").read_text(encoding="utf-8")
    assert chart.count("✕ INVALID") >= 12 + 1


def test_costs_have_a_column_for_each_and_one_is_paid_back(tmp_path: Path) -> None:
    costs = tuple(
        Cost(label, name, value, "ns", turn)
        for label, value in (("numpy", 1e8), ("numba", 9e8), ("mojo", 2e8))
        for name in ("start", *(["compile, empty caches"] if label == "mojo" else []))
        for turn in range(2 if name == "start" else 1)
    )
    truth = Truth(variants={"numba": 1.5, "jax": 0.5, "mojo": 2.0}, costs=costs, training_epochs=0)
    stored = store.load(write_run(tmp_path / "run", truth))
    section = cost_section(analyse_stored(stored))
    assert section is not None
    assert section.tables[0].heads == ("what", "NumPy", "numba", "Mojo")  # jax told nothing
    assert section.tables[0].rows[0][1:] == ["100 ms", "900 ms", "200 ms"]
    even = section.tables[1]
    assert [row[0] for row in even.rows] == [problem_text(p) for p in (SEED_NETWORK, MIDDLE)]
    # 0.1 s later and 0.2 s of compiling, paid back at half of the epoch's 3 ms.
    assert float(even.rows[0][1].split()[0]) == pytest.approx(0.3 / 0.0015, rel=0.05)


def test_with_one_candidate_there_is_no_ladder(tmp_path: Path) -> None:
    stored = store.load(write_run(tmp_path / "run", Truth()))
    assert ladder_section(analyse_stored(stored)) is None


@pytest.mark.parametrize("names", [("numba", "jax"), ("mojo", "theirs"), ("mojo-simd", "mojo")])
def test_two_candidates_are_a_short_ladder(tmp_path: Path, names: tuple[str, str]) -> None:
    truth = Truth(variants={names[0]: 0.5, names[1]: 3.0}, invocations=2, training_epochs=0)
    run_dir = write_run(tmp_path / "run", truth)
    build(run_dir)
    text = Page((run_dir / "report.html").read_text(encoding="utf-8")).all_text()
    assert "The ladder: every implementation of this run" in text
    assert ("What each step buys" in text) == ("mojo" in names)


def test_one_invocation_and_nothing_valid_make_a_ladder_too(tmp_path: Path) -> None:
    for name, truth in {
        "short": replace(LADDER, invocations=1, rounds=1, training_epochs=0),
        "invalid": replace(LADDER, failed=LADDER.problems, training_epochs=0),
    }.items():
        run_dir = write_run(tmp_path / name, truth)
        build(run_dir)
        markdown = (run_dir / "report.md").read_text(encoding="utf-8")
        assert "## The ladder" in markdown
        assert "charts/ladder-epoch.svg" in markdown


# The terminal


def test_the_terminal_groups_candidates_by_network(
    bench: Callable[..., tuple[int, str, str]], ladder: Path
) -> None:
    _, out, _ = bench("report", ladder)
    lines = [line.split() for line in out.splitlines()]
    place = lines.index(["1,50x9,1", "b20"])
    shown = [name.replace("mojo", "Mojo") if name == "mojo" else name for name in LADDER.variants]
    assert [line[0] for line in lines[place + 1 : place + 14]] == ["NumPy", *shown[:-1]]
    assert "Mojo's ratio below 1: none of 9 cells" in out
    _, out, _ = bench("report", ladder, "--plain")
    cases = [line for line in out.splitlines() if line.startswith("case ")]
    assert sum("candidate=sklearn" in line for line in cases) == 3 + 2  # epochs, and the floors
    assert all(" candidate=" in line for line in cases)


def test_the_walk_through_the_report_explains_the_ladder(ladder: Path) -> None:
    shown = set(re.findall(r"^## (.*)$", (ladder / "report.md").read_text(), re.MULTILINE))
    walk = Path(__file__).parents[2] / "docs" / "report.md"
    assert shown >= {"The ladder: every implementation of this run"}
    told = set(re.findall(r"^## (.*)$", walk.read_text(), re.MULTILINE))
    assert shown - told == {"How to read this", "Words", "Reproduce it"}
