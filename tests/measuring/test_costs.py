"""Costs besides speed: how they are taken, and what is said of them, against known truth."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretence import NOW, Event, World, dies, request_of
from pretence import SMALL as PRETENDED
from sample_run import SEED_NETWORK, SMALL, Truth, write_run

from bench.analysis.intervals import estimate
from bench.analysis.run_analysis import analyse_stored
from bench.measuring.costs import BY_PROCESS, PROBLEM
from bench.measuring.runner import resume
from bench.model.cases import case_id
from bench.model.errors import WorkerRefusalError
from bench.model.records import (
    COSTS,
    Case,
    Cost,
    Estimate,
    Fault,
    Ratio,
    Result,
    TimeEstimate,
    Verdict,
)
from bench.model.tables import Table
from bench.report.elements.section import Section
from bench.report.run.build import build
from bench.report.sections.costs import MEASURE, Even, break_even, cost_section
from bench.storage.runs import load
from bench.workers import meters as process
from bench.workers.datasets import data_folder
from bench.workers.implementations import footprint
from bench.workers.implementations.drivers import Mojo, NumPy
from bench.workers.implementations.footprint import closure, packages
from bench.workers.worker import Worker
from mojo_impl.building import build as building

TOLD = {name: 100 + place for place, name in enumerate(BY_PROCESS) if name != "start"}
ROUNDS = 3


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, footprint={"mojo": {"packages": 7e8, "compile": 2e10}})
    world.trouble = tell
    return world


def tell(event: Event) -> None:
    if event.op == "costs":
        event.answer = dict(TOLD)


def stored_costs(world: World, **order: Any) -> tuple[Cost, ...]:
    _, stored = world.run(request_of(PRETENDED, invocations=1, cost_rounds=ROUNDS, **order))
    return stored.costs


# Taking them


def test_fresh_processes_take_turns_and_all_they_tell_is_stored(world: World) -> None:
    costs = stored_costs(world)
    asked = world.asked("costs")
    assert [event.worker for event in asked] == ["numpy", "mojo", "mojo", "numpy", "numpy", "mojo"]
    assert len({(event.worker, event.group) for event in asked}) == 2 * ROUNDS
    for event in asked:  # nothing was computed in that process before
        mine = [e.op for e in world.events if (e.worker, e.group) == (event.worker, event.group)]
        assert mine == ["describe", "prepare", "costs"]
    assert [cost.name for cost in costs if cost.worker == "numpy"] == [*BY_PROCESS] * ROUNDS
    by_key = {(cost.worker, cost.name, cost.round): cost for cost in costs}
    assert len(by_key) == len(costs) == 2 * ROUNDS * len(BY_PROCESS) + 2
    assert by_key["mojo", "import", 2] == Cost("mojo", "import", 100 + 1, "ns", 2)
    assert by_key["numpy", "start", 0].value == 1000  # what a start takes in that world
    assert by_key["mojo", "compile", 0] == Cost("mojo", "compile", 2e10, "ns")
    assert all(COSTS[cost.name] == cost.unit for cost in costs)
    assert world.stages[-1] == "costs"


def test_none_are_taken_where_none_are_asked_for(world: World) -> None:
    _, stored = world.run(request_of(PRETENDED, invocations=1))
    assert stored.costs == ()
    assert "costs" not in world.stages


@pytest.mark.parametrize("answer", [{"import": -1}, {"import": "long"}, {"import": True}, {}])
def test_what_is_not_told_is_stored_as_that(world: World, answer: dict[str, Any]) -> None:
    world.trouble = lambda event: event.answer.update(answer if event.op == "costs" else {})
    costs = stored_costs(world)
    of_process = [cost for cost in costs if cost.name in BY_PROCESS]
    assert {cost.name for cost in of_process if cost.value is not None} == {"start"}


def test_who_does_not_know_costs_is_no_fault(world: World) -> None:
    def refuse(event: Event) -> None:
        if event.op == "costs" and event.worker == "mojo":
            raise WorkerRefusalError("mojo", "refused costs: UsageError: there is no operation")
        tell(event)

    world.trouble = refuse
    _, stored = world.run(request_of(PRETENDED, invocations=1, cost_rounds=ROUNDS))
    assert stored.faults == ()
    assert {c.value for c in stored.costs if c.worker == "mojo" and c.name == "import"} == {None}
    assert {c.value for c in stored.costs if c.worker == "numpy" and c.name == "import"} == {101}


def test_who_dies_is_a_fault_once_and_the_other_goes_on(world: World) -> None:
    world.trouble = lambda e: dies(e) if (e.op, e.worker) == ("costs", "mojo") else tell(e)
    run, stored = world.run(request_of(PRETENDED, invocations=1, cost_rounds=ROUNDS))
    assert stored.faults == (Fault("costs", "mojo", 0, "died during costs (signal SIGSEGV)"),)
    assert {cost.name for cost in stored.costs if cost.worker == "mojo"} == {"packages", "compile"}
    assert sum(cost.name == "start" for cost in stored.costs) == ROUNDS
    assert run.status == "finished"


def test_a_run_cut_short_goes_on_with_the_costs_that_are_missing(world: World) -> None:
    left = 2

    def interrupted(event: Event) -> None:
        nonlocal left
        left -= event.op == "costs"
        if left < 0:
            raise KeyboardInterrupt
        tell(event)

    world.trouble = interrupted
    before = stored_costs(world)
    assert len(before) == 2 * len(BY_PROCESS)
    path, world.trouble = world.folder / "run", tell
    lines = (path / "costs.jsonl").read_bytes().splitlines(keepends=True)
    (path / "costs.jsonl").write_bytes(b"".join(lines[:-1]))  # the last process told in part
    resume(path, NOW, world, world.edges())
    costs = load(path).costs
    keys = [(cost.worker, cost.name, cost.round) for cost in costs]
    assert len(set(keys)) == len(keys) == 2 * ROUNDS * len(BY_PROCESS) + 2
    assert costs[: len(before) - 1] == before[:-1]


# The worker


@pytest.mark.parametrize("kind", [NumPy, Mojo])
def test_a_worker_tells_what_loading_and_the_first_calls_took(kind: Any, tmp_path: Path) -> None:
    worker = Worker(kind())
    path, _ = data_folder(PROBLEM, tmp_path)
    assert json.loads(json.dumps(worker.answer(json.dumps({"op": "costs"}))))["ok"] is False
    request = {"op": "prepare", "problem": asdict(PROBLEM), "data": str(path), "seed": 1}
    assert worker.answer(json.dumps(request)) == {"ok": True}
    answer = worker.answer(json.dumps({"op": "costs"}))
    assert answer is not None
    assert answer.keys() <= {"ok", *BY_PROCESS} - {"start"}
    assert answer.keys() >= {"import", "first call", "second call", "peak memory", "page faults"}
    assert all(answer[name] > 0 for name in ("first call", "second call", "page faults"))
    assert answer["peak memory"] >= answer["memory after import"] > 10e6
    again = worker.answer(json.dumps({"op": "costs"}))
    assert again is not None
    assert again["import"] == answer["import"]  # loaded once


def test_an_implementation_that_cannot_be_loaded_apart_tells_the_rest(tmp_path: Path) -> None:
    class Odd:
        name, language = "odd", "Odd"
        create = NumPy().create

    worker = Worker(Odd())  # type: ignore[arg-type]
    path, _ = data_folder(PROBLEM, tmp_path)
    request = {"op": "prepare", "problem": asdict(PROBLEM), "data": str(path), "seed": 1}
    worker.answer(json.dumps(request))
    answer = worker.answer(json.dumps({"op": "costs"}))
    assert answer is not None
    assert "import" not in answer
    assert answer["first call"] > 0


def test_memory_is_that_of_this_process_and_not_of_who_started_it(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Name:\tx\nVmPeak:\t  900 kB\nVmHWM:\t   12 kB\n")
    assert process.peak_memory(tmp_path) == 12 * 1024
    assert process.peak_memory(tmp_path / "nowhere") > 1e6  # what the system says otherwise


def test_libraries_are_counted_once_and_only_where_they_are_files(tmp_path: Path) -> None:
    library = tmp_path / "libone.so.1"
    library.write_bytes(b"12345")
    gone = tmp_path / "gone.so"
    lines = [f"7f00-7f01 r-xp 00 00:00 1 {name}" for name in (library, library, gone, "[heap]", "")]
    (tmp_path / "maps").write_text("\n".join(lines))
    assert process.libraries(tmp_path) == {str(library): 5}
    assert process.libraries(tmp_path / "nowhere") is None


# What lies on disk


def test_packages_are_counted_with_what_they_require(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"a": ["b>=2", "C_d==1.0", 'e; extra == "x"'], "b": ["a"], "c-d": None}

    def requires(name: str) -> list[str] | None:
        key = name.lower().replace("_", "-")
        if key not in wanted:
            raise metadata.PackageNotFoundError(name)
        return wanted[key]

    monkeypatch.setattr(footprint.metadata, "requires", requires)
    assert sorted(closure(["a"])) == ["a", "b", "c-d"]
    assert closure(["nowhere"]) == []
    monkeypatch.setattr(footprint, "_size", {"a": 1, "b": 20, "c-d": 300}.get)
    assert packages({"packages": ["a"], "toolchain": ["c-d"], "more": ["x"]}) == {
        "packages": 321.0,
        "toolchain": 300.0,
    }


@pytest.mark.long
def test_the_footprint_of_both_sides_here() -> None:
    ours, theirs = (footprint.read_footprint(name) for name in ("numpy", "mojo"))
    assert ours.keys() == {"packages"}
    assert theirs["packages"] == pytest.approx(ours["packages"] + theirs["toolchain"])
    assert theirs["library file"] > 1e5
    assert footprint.read_footprint("somebody.else:Class") == {}
    building.build(building.recipe(library="ladder"))
    variant = footprint.read_footprint("mojo-port")
    assert variant.keys() - {"compile, empty caches", "compile, full caches"} == {
        *("packages", "toolchain", "library file", "compile")
    }
    assert variant["library file"] != theirs["library file"]
    assert {*ours, *theirs} <= COSTS.keys()


# The ledger

START_NS = {"numpy": 90e6, "mojo": 150e6}
COMPILE_NS = {"compile, empty caches": 30e9, "compile, full caches": 2e9}


def costs(*, compiled: bool = True, told: bool = True) -> list[Cost]:
    """Processes that start in exactly so long."""
    found = [
        Cost(worker, name, value if told else None, COSTS[name], turn)
        for turn in range(5)
        for worker, start in START_NS.items()
        for name, value in (("start", start), ("peak memory", 4e7 + turn))
    ]
    if compiled:
        found += [Cost("mojo", name, value, "ns") for name, value in COMPILE_NS.items()]
    return found


def section_of(folder: Path, truth: Truth) -> tuple[Section | None, tuple[Result, ...]]:
    stored = load(write_run(folder, truth))
    analysis = analyse_stored(stored)
    return cost_section(analysis), analysis.results


def rows(table: Table) -> dict[str, list[str]]:
    return {row[0]: list(row[1:]) for row in table.rows}


def test_a_run_without_costs_has_no_section(tmp_path: Path) -> None:
    assert section_of(tmp_path / "run", Truth())[0] is None


def test_costs_stand_in_one_table_and_are_said_to_be_paid_back(tmp_path: Path) -> None:
    section, _ = section_of(tmp_path / "run", Truth(costs=costs()))
    assert section is not None
    table, even = section.tables
    found = rows(table)
    assert table.heads == ("what", "NumPy", "Mojo")
    start = next(cells for name, cells in found.items() if name.startswith("start"))
    assert start == ["90.0 ms", "150 ms"]  # the same each time, so without an interval
    memory = next(cells for name, cells in found.items() if name.startswith("most memory"))
    assert memory[0].endswith(") MB")
    assert found["compile, the compiler's caches empty"] == ["–", "30.0 s"]
    assert [row[0] for row in even.rows] == ["1,50x9,1 batch 20 · float64",
                                             "64,128x2,10 batch 32 · float64"]  # fmt: skip
    build(tmp_path / "run")
    assert 'id="costs"' in (tmp_path / "run" / "report.html").read_text()
    assert "## What it costs besides" in (tmp_path / "run" / "report.md").read_text()


@pytest.mark.parametrize("ratio", [1.5, 2.0, 8.0])
def test_the_break_even_holds_the_truth(tmp_path: Path, ratio: float) -> None:
    _, results = section_of(tmp_path / "run", Truth(ratio=ratio, costs=costs()))
    epochs = [result for result in results if result.case.phase == "epoch"]
    assert len(epochs) == 2
    for result in epochs:
        time = result.times["numpy"].median_ns.point
        even = break_even(30e9, [60e6] * 5, result, "numpy")
        assert even.epochs is not None
        # The readings of the made-up run are the truth and a noise common to both sides.
        truth = 30.06e9 / (time * (1 - 1 / ratio))
        assert even.epochs.low <= truth <= even.epochs.high
        assert even.epochs.low < even.epochs.point < even.epochs.high
        assert even.epochs.point == pytest.approx(truth, rel=0.05)
        cached = break_even(2e9, [60e6] * 5, result, "numpy").epochs
        assert cached is not None
        assert cached.point == pytest.approx(even.epochs.point * 2.06 / 30.06)


def test_the_interval_of_the_break_even_covers_at_least_as_often_as_it_says(tmp_path: Path) -> None:
    """Epochs and starts of known truth under noise, many times over."""
    random = np.random.default_rng(3)
    covered, trials = 0, 400
    truth = (2e9 + 60e6) / (5e6 * (1 - 1 / 1.3))
    case = Case("epoch", SEED_NETWORK)
    for _ in range(trials):
        ours = np.log(5e6) + random.normal(0, 0.02, 10)
        theirs = np.log(5e6 / 1.3) + random.normal(0, 0.02, 10)
        time = TimeEstimate("numpy", estimate(ours), 1.0)
        ratio = estimate(ours - theirs)
        result = Result(case, {"numpy": time}, Ratio("", "", "", ratio), None,
                        Verdict("FASTER", ""))  # fmt: skip
        even = break_even(2e9, list(60e6 + random.normal(0, 5e6, 5)), result, "numpy").epochs
        covered += even is not None and even.low <= truth <= even.high
    assert covered / trials >= 0.95


def test_where_nothing_is_gained_nothing_is_paid_back(tmp_path: Path) -> None:
    slow = case_id(Case("epoch", SMALL))
    section, _ = section_of(tmp_path / "run", Truth(ratios={slow: 0.5}, costs=costs()))
    assert section is not None
    cells = rows(section.tables[1])
    assert set(cells["64,128x2,10 batch 32 · float64"]) == {"never: not faster"}
    assert "unresolved" not in " ".join(cells["1,50x9,1 batch 20 · float64"])


@pytest.mark.parametrize(
    ("ends", "kind", "words"),
    [
        ((0.9, 0.8, 1.0), "SLOWER", "never: not faster"),
        ((1.0, 0.99, 1.01), "EQUIVALENT", "unresolved: the interval of the ratio includes 1"),
        ((1.01, 1.005, 1.015), "EQUIVALENT", "unresolved: the verdict is EQUIVALENT"),
        ((1.1, 1.05, 1.15), "UNRESOLVED", "unresolved: the verdict is UNRESOLVED"),
        ((2.0, math.nan, math.nan), "UNRESOLVED", "unresolved: no interval"),
        ((1 + 1e-12, 1 + 1e-13, 1 + 2e-12), "FASTER", "unresolved: beyond any training"),
    ],
)
def test_what_the_interval_does_not_support_is_not_said(
    ends: tuple[float, float, float], kind: Any, words: str
) -> None:
    time = TimeEstimate("numpy", Estimate(5e6, 4.9e6, 5.1e6, 10), 1.0)
    ratio = Ratio("", "", "", Estimate(*ends, 10))
    case = Case("epoch", SEED_NETWORK)
    result = Result(case, {"numpy": time}, ratio, None, Verdict(kind, ""))
    assert break_even(2e9, [1e7, 2e7], result, "numpy") == Even(None, words)


def test_without_an_interval_or_a_verdict_it_is_unresolved(tmp_path: Path) -> None:
    section, _ = section_of(tmp_path / "a", Truth(invocations=1, costs=costs()))
    assert section is not None
    assert {*rows(section.tables[1])["1,50x9,1 batch 20 · float64"]} == {"unresolved: no interval"}
    section, _ = section_of(tmp_path / "b", Truth(failed=(SEED_NETWORK,), costs=costs()))
    assert section is not None
    assert {*rows(section.tables[1])["1,50x9,1 batch 20 · float64"]} == {"no ratio: INVALID"}
    section, _ = section_of(tmp_path / "c", Truth(invocations=4, costs=costs()))
    assert section is not None
    cell = rows(section.tables[1])["1,50x9,1 batch 20 · float64"][0]
    assert cell == "unresolved: the verdict is UNRESOLVED"


def test_a_candidate_that_starts_sooner_by_more_has_nothing_to_pay_back(tmp_path: Path) -> None:
    _, results = section_of(tmp_path / "run", Truth(costs=costs()))
    epoch = next(result for result in results if result.case.phase == "epoch")
    even = break_even(1e6, [-50e6] * 5, epoch, "numpy").epochs
    assert even is not None
    assert (even.low, even.point, even.high) == (0, 0, 0)


def test_where_compiling_was_not_timed_the_command_is_named(tmp_path: Path) -> None:
    section, _ = section_of(tmp_path / "run", Truth(costs=costs(compiled=False)))
    assert section is not None
    assert len(section.tables) == 1
    assert MEASURE in section.points[0]


def test_what_is_not_told_is_said_and_left_out_of_the_break_even(tmp_path: Path) -> None:
    section, _ = section_of(tmp_path / "run", Truth(costs=costs(told=False)))
    assert section is not None
    start = next(c for name, c in rows(section.tables[0]).items() if name.startswith("start"))
    assert start == ["not told", "not told"]
    assert "left out" in section.points[0]


@pytest.mark.parametrize("value", [0.0, 1.0, 1e18, 5e-324])
def test_any_cost_that_can_be_read_can_be_shown(tmp_path: Path, value: float) -> None:
    odd = [
        Cost(worker, name, value * (1 + turn), unit, turn)
        for worker in ("numpy", "mojo", "numpy-again")
        for name, unit in COSTS.items()
        for turn in range(1 if value == 1e18 else 2)
    ]
    odd += [Cost("mojo", "start", extreme, "ns", 7 + place)
            for place, extreme in enumerate((1e18, 1e-3, 5e-324)[: 2 if value else 3])]  # fmt: skip
    odd += [Cost("<b>", "start", 1.0, "ns"), Cost("mojo", "<i>", 1.0, "ns"),
            Cost("mojo", "start", 1.0, "<u>")]  # fmt: skip
    path = write_run(tmp_path / "run", Truth(costs=odd))
    build(path)
    html = (path / "report.html").read_text()
    assert "What it costs besides" in html
    assert not any(mark in html for mark in ("<i>", "<u>"))
