"""Several candidates in a run: each on its own, the steps of the ladder, and who is spoken of."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from known_truth import FORWARD, SMALL, agreed
from known_truth import make_run as bare_run
from sample_run import LADDER, SEED_NETWORK, Truth, make_parity, make_run, make_samples, write_run
from sample_run import SMALL as MIDDLE
from test_report import Page

from bench import store
from bench.candidates import main_candidate, main_results
from bench.cases import case_id, file_stem, problem_id
from bench.focus import focused
from bench.ladder_chart import family_of
from bench.ladder_section import ladder_section
from bench.ledger import ledger
from bench.records import PHASES, Case, Cost, Fault, ParityResult, Result, Run, Sample, WorkerSpec
from bench.report import build
from bench.rungs import STEPS, in_order, steps_of
from bench.stats import geometric_means, results
from bench.wording import problem_text, seat_names

NAMES = ("python", "mojo-port", "mojo-simd", "mojo")
T_OF_THREE = 4.302652730  # Student's quantile for 95 % and two degrees of freedom


def candidates(*names: str) -> tuple[WorkerSpec, ...]:
    return tuple(WorkerSpec(name, name, "candidate") for name in names)


def run_of(*names: str, cases: Sequence[Case] = (FORWARD,), invocations: int = 3) -> Run:
    run = bare_run(*cases, invocations=invocations, rounds=1)
    workers = (*run.plan.workers[:2], *candidates(*names))
    return replace(run, plan=replace(run.plan, workers=workers))


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


# Statistics of several candidates


def test_a_step_is_the_paired_ratio_of_two_rungs_with_students_interval() -> None:
    run = run_of(*NAMES)
    # The three invocations of both move alike: what is left of the step is 2, 4 and 8.
    times = {
        **EVEN,
        "mojo-port": [16_000, 32_000, 8_000],
        "mojo-simd": [8_000, 8_000, 1_000],
        "mojo": [500, 500, 500],
        "python": [100_000, 100_000, 100_000],
    }
    found = steps_of(run, samples_of(run, times), parity_of(run), [])
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
    found = steps_of(run, samples_of(run, times), parity_of(run), [])
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
    found = steps_of(run, [*alone, *samples_of(run, both, two)], parity_of(run), [])
    threads = {step.before: step for step in found if step.before == step.after}
    assert threads.keys() == {"numpy", "mojo"}
    assert threads["numpy"].ratios[two.problem].point == pytest.approx(2)
    assert threads["mojo"].ratios[two.problem].point == pytest.approx(4)
    assert threads["mojo"].ratios.keys() == {two.problem}


def test_a_rung_without_a_turn_has_no_result_and_takes_nothing_from_the_others() -> None:
    run = run_of("python", "mojo")
    times = {**EVEN, "mojo": [500, 500, 500]}
    (only,) = results(run, samples_of(run, times), parity_of(run), [])
    assert only.candidate == "mojo"
    assert only.incomplete == 0
    assert only.ratio is not None
    assert only.ratio.estimate.point == pytest.approx(2)
    checked = [one for one in parity_of(run) if one.candidate != "python"]  # nor was it compared
    assert len(results(run, samples_of(run, times), checked, [])) == 1


def test_an_invocation_that_one_lacks_counts_for_the_others() -> None:
    run = run_of("python", "mojo")
    times = {**EVEN, "python": [9000, math.nan, 9000], "mojo": [500, 500, 500]}
    found = by_candidate(results(run, samples_of(run, times), parity_of(run), []))
    assert (found["python"].incomplete, found["mojo"].incomplete) == (1, 0)
    counts = [one.ratio.estimate.count for one in found.values() if one.ratio]
    assert counts == [2, 3]
    assert found["mojo"].times.keys() == {"numpy", "numpy-again", "mojo"}


@pytest.mark.parametrize("how", ["fault", "parity"])
def test_what_one_does_wrong_is_its_own(how: str) -> None:
    run = run_of("python", "mojo")
    times = {**EVEN, "python": [9000] * 3, "mojo": [500] * 3}
    faults = [Fault(case_id(FORWARD), "python", 1, "died")] if how == "fault" else []
    parity = parity_of(run, "python" if how == "parity" else "")
    found = by_candidate(results(run, samples_of(run, times), parity, faults))
    assert found["python"].verdict is not None
    assert found["python"].verdict.kind == "INVALID"
    assert found["python"].ratio is None
    assert found["mojo"].verdict is not None
    assert found["mojo"].verdict.kind == "UNRESOLVED"  # of three invocations
    assert found["mojo"].ratio is not None
    steps = steps_of(run, samples_of(run, times), parity, faults)
    assert [(step.before, step.after) for step in steps] == [("numpy", "mojo")]


def test_what_the_baseline_does_wrong_is_everybodys() -> None:
    run = run_of("python", "mojo")
    times = {**EVEN, "python": [9000] * 3, "mojo": [500] * 3}
    fault = Fault(case_id(FORWARD), "numpy", 1, "died")
    found = results(run, samples_of(run, times), parity_of(run), [fault])
    assert [one.verdict.kind for one in found if one.verdict] == ["INVALID"] * 2
    assert steps_of(run, samples_of(run, times), parity_of(run), [fault]) == ()


def test_a_case_that_nobody_could_begin_says_why_for_all() -> None:
    run = run_of("python", "mojo")
    found = by_candidate(results(run, [], parity_of(run, "python"), []))
    assert {one.verdict.reason for one in found.values() if one.verdict} == {"y_hat differs"}
    found = by_candidate(results(run, [], parity_of(run), []))
    assert {one.verdict.kind for one in found.values() if one.verdict} == {"UNRESOLVED"}


def test_a_candidate_that_was_planned_and_never_compared_is_not_believed() -> None:
    run = run_of("mojo")
    times = {**EVEN, "mojo": [500] * 3}
    (found,) = results(run, samples_of(run, times), [], [])
    assert found.verdict is not None
    assert found.verdict.reason == "parity was not checked"
    assert len(agreed(run)) == 1


def test_geometric_means_are_each_candidates_own() -> None:
    readings = make_run(LADDER), make_samples(LADDER), make_parity(LADDER), ()
    means = {(one.case, one.candidate): one.estimate.point for one in geometric_means(*readings)}
    assert means["epoch", "sklearn"] == pytest.approx(0.2, rel=0.02)
    assert ("forward", "sklearn") not in means
    assert means["forward", "python"] == pytest.approx(0.004, rel=0.02)  # over two networks
    assert means["forward", "mojo"] == pytest.approx(2, rel=0.02)


# Of whom is spoken


def test_mojo_is_spoken_of_where_it_is_and_else_the_first() -> None:
    assert seat_names(run_of("python", "mojo")) == ("NumPy", "Mojo")
    assert seat_names(run_of("numba", "jax")) == ("NumPy", "numba")
    assert main_candidate(run_of("numba", "jax")) == candidates("numba")[0]


def test_a_focused_run_gives_the_same_figures() -> None:
    readings = make_run(LADDER), make_samples(LADDER), make_parity(LADDER), ()
    stored = store.Stored(Path(), *readings[:2], tuple(readings[2]), (), {})  # type: ignore[arg-type]
    one = focused(stored)
    assert [spec.label for spec in one.run.plan.workers] == ["numpy", "numpy-again", "mojo"]
    alone = results(one.run, one.samples, one.parity, one.faults)
    whole = main_results(stored.run, results(*readings))
    assert [(a.case, a.ratio, a.times) for a in alone] == [
        (b.case, b.ratio, b.times) for b in whole
    ]
    assert focused(one) is one


def test_rungs_stand_in_the_order_of_the_ladder_and_strangers_last() -> None:
    assert in_order(["mine", "sklearn", "mojo", "numpy", "python"]) == [
        "python", "numpy", "mojo", "sklearn", "mine"
    ]  # fmt: skip
    assert [family_of(name) for name in ("numpy-tuned", "mojo-exe", "jax", "mine")] == [
        "python", "mojo", "other", "other"
    ]  # fmt: skip


# The page


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = write_run(tmp_path_factory.mktemp("ladder") / "run", LADDER)
    build(run_dir)
    return run_dir


@pytest.fixture(scope="module")
def page(ladder: Path) -> Page:
    return Page((ladder / "report.html").read_text(encoding="utf-8"))


def test_the_page_has_the_ladder_with_every_rung_that_has_a_turn(ladder: Path, page: Page) -> None:
    html = (ladder / "report.html").read_text(encoding="utf-8")
    assert '<a href="#ladder">The ladder</a>' in html
    markdown = (ladder / "report.md").read_text(encoding="utf-8")
    for phase in PHASES:
        assert f"charts/ladder-{phase}.svg" in markdown
        tree = ElementTree.parse(ladder / "charts" / f"ladder-{phase}.svg").getroot()
        texts = [one.text for one in tree.iter("{http://www.w3.org/2000/svg}text")]
        rows = [text for text in texts if text in {"NumPy", "Mojo", *LADDER.rungs}]
        assert rows.count("python") == 2  # not of the large network
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
    assert cells == pytest.approx([1 / 0.3] * 3, rel=0.03)
    row = re.search(r"python → NumPy</th><td>[^<]*</td>(.*?)</tr>", steps)
    assert row
    assert row[1].count("<td>–</td>") == 1
    shortest = re.search(
        r"epoch, 1,50x9,1 batch 20: the shortest median is ([\w-]+)&#39;s", section
    )
    assert shortest
    assert shortest[1] in ("mojo-exe", "Mojo")


def test_the_table_lists_all_and_the_headline_names_one(ladder: Path, page: Page) -> None:
    table = pd.read_csv(ladder / "results.csv")
    timed = table[table["phase"].isin(PHASES)]
    assert len(timed) == 9 * 13 - 3 - 6  # nine cases, without python's three and sklearn's six
    assert set(timed["implementation"]) == set(LADDER.rungs)
    for row in timed.itertuples():
        assert row.ratio == pytest.approx(LADDER.rungs[row.implementation], rel=0.03)
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
    assert "13 of 26 comparisons failed" in text
    assert "Mojo compared with NumPy was faster in 3 of 6 cases and invalid in 3" in text
    chart = (run_dir / "charts" / "ladder-epoch.svg").read_text(encoding="utf-8")
    assert chart.count("✕ INVALID") >= 13 + 1


def test_costs_have_a_column_for_each_and_one_is_paid_back(tmp_path: Path) -> None:
    costs = tuple(
        Cost(label, name, value, "ns", turn)
        for label, value in (("numpy", 1e8), ("numba", 9e8), ("mojo", 2e8))
        for name in ("start", *(["compile, empty caches"] if label == "mojo" else []))
        for turn in range(2 if name == "start" else 1)
    )
    truth = Truth(rungs={"numba": 1.5, "jax": 0.5, "mojo": 2.0}, costs=costs, training_epochs=0)
    stored = store.load(write_run(tmp_path / "run", truth))
    found = results(stored.run, stored.samples, stored.parity, stored.faults)
    section = ledger(stored, found)
    assert section is not None
    assert section.tables[0].heads == ("what", "NumPy", "numba", "Mojo")  # jax told nothing
    assert section.tables[0].rows[0][1:] == ["100 ms", "900 ms", "200 ms"]
    even = section.tables[1]
    assert [row[0] for row in even.rows] == [problem_text(p) for p in (SEED_NETWORK, MIDDLE)]
    # 0.1 s later and 0.2 s of compiling, paid back at half of the epoch's 3 ms.
    assert float(even.rows[0][1].split()[0]) == pytest.approx(0.3 / 0.0015, rel=0.05)


def test_with_one_candidate_there_is_no_ladder(tmp_path: Path) -> None:
    stored = store.load(write_run(tmp_path / "run", Truth()))
    found = results(stored.run, stored.samples, stored.parity, stored.faults)
    assert ladder_section(stored, found) is None


@pytest.mark.parametrize("names", [("numba", "jax"), ("mojo", "theirs"), ("mojo-simd", "mojo")])
def test_two_candidates_are_a_short_ladder(tmp_path: Path, names: tuple[str, str]) -> None:
    truth = Truth(rungs={names[0]: 0.5, names[1]: 3.0}, invocations=2, training_epochs=0)
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
    shown = [name.replace("mojo", "Mojo") if name == "mojo" else name for name in LADDER.rungs]
    assert [line[0] for line in lines[place + 1 : place + 14]] == ["NumPy", *shown[:-1]]
    assert "Mojo's ratio below 1: none of 9 cells" in out
    _, out, _ = bench("report", ladder, "--plain")
    cases = [line for line in out.splitlines() if line.startswith("case ")]
    assert sum("candidate=sklearn" in line for line in cases) == 3 + 2  # epochs, and the floors
    assert all(" candidate=" in line for line in cases)
