"""The report of many machines: a row each, its own ratios, and nothing made of two machines."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("pyarrow", reason="the store of runs needs pyarrow")

from sample_run import Truth, write_run

from bench.model.records import Problem
from bench.report.fleet import machines as fleet_machines
from bench.report.fleet.build import build_fleet
from bench.report.fleet.charts import fact_charts
from bench.report.fleet.machines import Fleet, fleet_of
from bench.report.fleet.page import fleet_page, over_machines
from bench.report.multi_run.runs import judged
from bench.report.run.build import build
from bench.storage.archive.machine_facts import machine_facts, machine_id
from bench.storage.archive.merge import merge
from bench.storage.archive.store import read_results, read_runs
from bench.storage.runs import load
from tools.simulated_runs import Simulated, simulated_run, write_simulated

Bench = Callable[..., tuple[int, str, str]]
TINY = Problem((1, 4, 1), 5, 20, "float64", 1)
NETWORKS = (((1, 4, 1), 5, 20), ((1024, 1024), 64, 64))
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)> | [a](javascript:b)'


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 22 machines, of which one cannot tell and one fails parity."""
    folder = tmp_path_factory.mktemp("fleet")
    for number in range(20, 42):
        write_simulated(folder / "runs" / str(number), Simulated(number, NETWORKS))
    merge([folder / "runs"], folder / "store", processes=1)
    return folder / "store"


def fleet(store: Path) -> Fleet:
    return fleet_of(read_runs(store).to_pylist(), read_results(store).to_pylist())


def test_each_cell_is_what_the_run_of_that_machine_says_by_itself(filled: Path) -> None:
    found = fleet(filled)
    paths = list((filled.parent / "runs").iterdir())
    runs = {machine_id(one.run): one for one in (judged(load(path)) for path in paths)}
    assert {machine.name for machine in found.machines} == set(runs)
    for machine in found.machines:
        assert repr(sorted(machine.cells.items(), key=repr)) == repr(
            sorted(runs[machine.name].cells.items(), key=repr)
        )
    verdicts = [cell.verdict for cell in found.cells]
    assert len(verdicts) == 22 * 6
    assert verdicts.count("INVALID") == sum(math.isnan(cell.ratio) for cell in found.cells) == 3


def test_machines_that_could_not_tell_are_drawn_as_such(filled: Path) -> None:
    found = fleet(filled)
    grid = fleet_page(found).sections[-1].grid
    assert grid is not None
    looks = [cell.look for row in grid.rows for cell in row.cells]
    assert looks.count("in") == 3
    assert looks.count("un") >= 3
    for row, machine in zip(grid.rows, found.machines, strict=True):
        for drawn, column in zip(row.cells, found.columns, strict=True):
            verdict = machine.cells[column].verdict
            assert (drawn.look == "in") == (verdict == "INVALID") == (not drawn.ends)
            assert (drawn.look == "un") == (verdict == "UNRESOLVED")


def test_over_machines_there_are_counts_and_an_order_and_no_mean(filled: Path) -> None:
    found = fleet(filled)
    for row, column in zip(over_machines(found).rows, found.columns, strict=True):
        ratios = [cell.ratio for cell in found.of(column)]
        told = [float(text) for text in row[-3:]]
        assert told == sorted(told)
        assert min(abs(ratio - told[0]) for ratio in ratios if ratio == ratio) < 0.006
        assert row[1] == "22"


def test_the_newest_run_of_a_machine_counts_and_the_page_shows_both(tmp_path: Path) -> None:
    for number, (day, ratio) in enumerate((("02", 2.0), ("09", 3.0), ("05", 4.0))):
        started = {"started": f"2026-11-{day}T10:00:00Z"}
        write_run(
            tmp_path / "runs" / str(number),
            Truth(
                problems=(TINY,), ratio=ratio, invocations=10, rounds=2, training_epochs=0,
                name=f"run{number}", changes=started,
            ),
        )  # fmt: skip
    merge([tmp_path / "runs"], tmp_path / "store")
    (machine,) = fleet(tmp_path / "store").machines
    assert [run["name"] for run in machine.runs] == ["run1", "run2", "run0"]
    assert all(abs(cell.ratio / 3 - 1) < 0.05 for cell in machine.cells.values())
    _, paths = build_fleet(tmp_path / "store")
    text = (paths.html.parent / "machines" / f"{machine.name}.html").read_text()
    assert text.index("run1") < text.index("run2") < text.index("run0")


def test_pages_are_linked_and_made_again_to_the_same_bytes(filled: Path) -> None:
    _, paths = build_fleet(filled)
    first = {path: path.read_bytes() for path in (filled / "report").rglob("*.*")}
    build_fleet(filled)
    assert first == {path: path.read_bytes() for path in (filled / "report").rglob("*.*")}
    links = re.findall(r'href="(machines/[^"]+)"', paths.html.read_text())
    assert len(links) == 22
    for link in links:
        back = (paths.html.parent / link).read_text()
        assert 'href="../fleet.html"' in back
    assert paths.markdown.read_text().count("\n| Example ") == 22


def test_the_runs_own_report_is_linked_where_it_is_at_hand(tmp_path: Path) -> None:
    run = write_run(tmp_path / "my runs" / "a#b", Truth(problems=(TINY,), invocations=2))
    write_run(tmp_path / "my runs" / "other", Truth(problems=(TINY,), name="x", invocations=2))
    merge([run], tmp_path / "store")
    build(run)
    found, paths = build_fleet(tmp_path / "store", [tmp_path / "my runs"])
    page = paths.html.parent / "machines" / f"{found.machines[0].name}.html"
    (link,) = re.findall(r'href="([^"]*report.html)"', page.read_text())
    assert link == "../../../my%20runs/a%23b/report.html"


def test_what_a_stranger_wrote_is_shown_and_does_nothing(tmp_path: Path) -> None:
    for number, cpu in enumerate((HOSTILE, "$x_1$ {{7*7}}")):
        truth = Truth(
            problems=(TINY,), invocations=10, rounds=2, training_epochs=0, name=HOSTILE,
            machine={"cpu": cpu, "physical cores": number + 1, "caches": HOSTILE},
        )  # fmt: skip
        write_run(tmp_path / "runs" / str(number), truth)
    merge([tmp_path / "runs"], tmp_path / "store")
    _, paths = build_fleet(tmp_path / "store")
    pages = list((tmp_path / "store" / "report").rglob("*.html"))
    assert len(pages) == 3
    for page in pages:
        text = page.read_text()
        assert "<script" not in text
        assert "<img" not in text
    assert html.escape("<script>alert(1)</script>") in paths.html.read_text()
    assert "<script" not in paths.markdown.read_text()
    assert "[a](javascript" not in paths.markdown.read_text()


def test_a_chart_has_each_machine_once_and_says_its_facts_in_words(filled: Path) -> None:
    found = fleet(filled)
    charts = fact_charts(found)
    assert [chart.name for chart in charts] == [
        "fleet-l2-bytes", "fleet-vector-bits", "fleet-physical-cores",
    ]  # fmt: skip
    for chart in charts:
        root = ElementTree.fromstring(chart.svg)
        assert "1 machine with an INVALID case" in chart.caption
        assert "not why" in chart.caption
        dots = sum(
            (path.get("d") or "").count("M")
            for path in root.iter()
            if "stroke-linecap: round" in (path.get("style") or "")
        )
        assert dots == 3 * 22 - 3
        counts = map(int, re.findall(r"(\d+) machines? between", chart.alt))
        assert sum(counts) == 3 * 22 - 3


def test_one_value_of_a_fact_makes_no_chart(tmp_path: Path) -> None:
    write_simulated(tmp_path / "runs" / "a", Simulated(0, NETWORKS, 2))
    merge([tmp_path / "runs"], tmp_path / "store")
    assert fact_charts(fleet(tmp_path / "store")) == []
    build_fleet(tmp_path / "store")


def test_a_page_says_what_it_has_no_room_for(filled: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(fleet_machines, "MOST_COLUMNS", 2)
    monkeypatch.setattr(fleet_machines, "MOST_MACHINES", 20)
    page = fleet_page(fleet(filled))
    grid = page.sections[-1].grid
    assert grid is not None
    assert (len(grid.rows), len(grid.columns)) == (20, 2)
    assert [notice.split()[:2] for notice in page.notices] == [["2", "machines"], ["4", "cases"]]


def test_other_implementations_are_not_mixed_in(tmp_path: Path) -> None:
    write_simulated(tmp_path / "runs" / "a", Simulated(0, NETWORKS, 2))
    write_simulated(tmp_path / "runs" / "b", Simulated(1, NETWORKS, 2))
    write_simulated(tmp_path / "runs" / "c", Simulated(2, NETWORKS, 2))
    run = tmp_path / "runs" / "c" / "run.json"
    run.write_text(run.read_text().replace('"implementation":"mojo"', '"implementation":"numba"'))
    merge([tmp_path / "runs"], tmp_path / "store")
    found = fleet(tmp_path / "store")
    assert (found.baseline, found.candidate, found.other_pairs) == ("NumPy", "Mojo", 6)
    assert sum(len(machine.cells) for machine in found.machines) == 12


@pytest.mark.parametrize(
    ("caches", "extensions", "expected"),
    [
        ("L1 data 48K, L1 instruction 32K, L2 unified 1024K, L3 unified 32M", "sse4_2 avx avx2",
         (48 << 10, 1 << 20, 32 << 20, 256)),
        ("L2 unified 2M", "avx avx512f", (None, 2 << 20, None, 512)),
        ("L2 unified 99999999999K", "asimd sve", (None, None, None, 128)),
        ("unavailable (no cache descriptions)", "unavailable (no flags)", (None,) * 4),
        ({"L2 unified 1K": 1}, 7, (None,) * 4),
    ],
)  # fmt: skip
def test_facts_are_read_out_of_texts_strictly(caches: Any, extensions: Any, expected: Any) -> None:
    run = simulated_run(Simulated(0, NETWORKS, 2))
    run.environment.machine.update({"caches": caches, "extensions": extensions})
    facts = machine_facts(run)
    names = ("l1d_bytes", "l2_bytes", "l3_bytes", "vector_bits")
    assert tuple(facts[name] for name in names) == expected


def test_a_machine_is_known_by_facts_and_by_no_name() -> None:
    one, two = (simulated_run(Simulated(0, NETWORKS, count)) for count in (2, 3))
    assert machine_id(one) == machine_id(two)
    two.environment.machine.update({"load": "9.9 9.9 9.9", "memory": "7 GiB"})
    assert machine_id(one) == machine_id(two)
    two.environment.machine["governor"] = "powersave"
    assert machine_id(one) != machine_id(two)


def test_the_commands_merge_and_report(tmp_path: Path, bench: Bench) -> None:
    write_simulated(tmp_path / "runs" / "a", Simulated(0, NETWORKS))
    write_simulated(tmp_path / "runs" / "b", Simulated(1, NETWORKS))
    (tmp_path / "runs" / "b" / "parity.jsonl").write_text("{}\n")
    store = str(tmp_path / "store")
    code, out, err = bench("merge", str(tmp_path / "runs"), "--into", store)
    assert (code, err) == (1, "")
    assert "new: 1 run with" in out
    assert out.count("refused: ") == 1
    code, out, err = bench("fleet", store)
    assert (code, err) == (0, "")
    assert "On 1 machine, Mojo compared with NumPy was" in out
    assert (tmp_path / "store" / "report" / "fleet.html").exists()
    code, _, err = bench("fleet", str(tmp_path / "nothing"))
    assert code == 2
    assert "is not a store of runs" in err
