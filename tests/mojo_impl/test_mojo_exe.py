"""The variant `mojo-exe`: a worker that is a program, held to what others are held to.

Its numbers are those of the library bit for bit, as it is the same code; its times agree with
`mojo`'s in kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretence import NOW, World

from bench.analysis.run_analysis import analyse_stored
from bench.cli import app as command
from bench.cli.app import build_mojo, workers_of
from bench.measuring.preconditions import check_parity
from bench.measuring.resolve import seated, seated_again, to_be_checked
from bench.measuring.run_state import Edges
from bench.measuring.runner import measure, resume
from bench.model.errors import UsageError, WorkerError
from bench.model.presets import cases_of
from bench.model.records import OVERHEADS, PHASES, Case, Problem, Request, WorkerSpec
from bench.model.registry import VARIANTS, installed, is_program, missing, phases_of
from bench.model.threads import thread_environment
from bench.storage.runs import load
from bench.workers import launch as programs
from bench.workers import tensor_files as exchange
from bench.workers.conformance import check_worker
from bench.workers.datasets import data_folder
from bench.workers.implementations import footprint
from bench.workers.implementations.drivers import implementation
from bench.workers.process import WorkerProcess
from mojo_impl.building import build as building
from mojo_impl.building import program as programming
from mojo_impl.building import toolchain
from mojo_impl.building.toolchain import BuildError

pytestmark = pytest.mark.long  # the program has to be compiled first

SHAPES: tuple[tuple[tuple[int, ...], int, int], ...] = (
    ((1, *[50] * 9, 1), 20, 100),  # as the seed network is
    ((3, 2), 2, 2),  # one layer, fewer rows than the extremes have
    ((3, 1, 5, 1, 2), 4, 13),
    ((63, 65, 127, 2), 33, 70),  # odd widths, and rows that are left over
)
PROBLEMS = [Problem(*shape, dtype, 1) for shape in SHAPES for dtype in ("float64", "float32")]
NAME = "mojo-exe"
SPEC = WorkerSpec(NAME, NAME, "candidate", phases_of(NAME))


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    build_mojo(workers=workers_of(["mojo", NAME]))


@pytest.fixture
def pair() -> Iterator[tuple[WorkerProcess, WorkerProcess]]:
    """A worker of the program, and one of the library."""
    variables = thread_environment(1)
    mine = WorkerProcess(SPEC, variables)
    theirs = WorkerProcess(WorkerSpec("mojo", "mojo", "candidate"), variables)
    yield mine, theirs
    mine.end()
    theirs.end()


def prepare(worker: WorkerProcess, problem: Problem, cache: Path) -> None:
    data, _ = data_folder(problem, cache)
    worker.ask("prepare", 60.0, problem=asdict(problem), data=str(data), seed=7)


def test_it_passes_the_kit(tmp_path: Path) -> None:
    report = check_worker(*to_be_checked(NAME), tmp_path, 60.0)
    assert [check for check in report.checks if not check.ok] == []
    assert report.ok


@pytest.mark.parametrize("threads", [1, 2])
def test_it_passes_the_gate_of_a_run(threads: int, tmp_path: Path) -> None:
    problems = [Problem(*shape, one.dtype, threads) for one in PROBLEMS[:2] for shape in SHAPES]
    order = Request("quick", cases_of(problems), workers_of([NAME]))
    found, faults = check_parity(order, World(tmp_path), Edges())
    assert [fault.reason for fault in faults] == []
    assert [result.reason for result in found] == [""] * len(problems)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_its_tensors_and_losses_are_those_of_the_library_to_the_bit(
    problem: Problem, pair: tuple[WorkerProcess, WorkerProcess], tmp_path: Path
) -> None:
    for op, shapes in (
        ("tensors", exchange.tensor_shapes(problem, 2)),
        ("train", exchange.training_shapes(problem, 2)),
    ):
        found: list[dict[str, Any]] = []
        said: list[dict[str, Any]] = []
        for worker in pair:
            folder = tmp_path / f"{op}-{len(found)}"
            folder.mkdir()
            prepare(worker, problem, tmp_path)
            said.append(worker.ask(op, 60.0, folder=str(folder), epochs=2))
            found.append(exchange.read(folder, shapes))
        assert said[0] == said[1]
        assert found[0].keys() == found[1].keys() == shapes.keys()
        for name, mine in found[0].items():
            theirs = found[1][name]
            assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype), name
            np.testing.assert_array_equal(mine, theirs, err_msg=name)


def test_work_in_between_leaves_the_tensors_as_they_are(
    pair: tuple[WorkerProcess, WorkerProcess], tmp_path: Path
) -> None:
    worker, _ = pair
    problem = PROBLEMS[-2]
    prepare(worker, problem, tmp_path)
    shapes = exchange.tensor_shapes(problem, 0)
    kept: list[dict[str, Any]] = []
    for turn, op in enumerate(("tensors", "costs", "train", "reset", "nowhere")):
        for name in ("epoch", "shuffle", "loss", "epoch-floor", "step-work"):
            worker.ask("sample", 60.0, phase=name, loops=2)
        folder = tmp_path / str(turn)
        if op == "train":
            (tmp_path / op).mkdir()
            worker.ask(op, 60.0, folder=str(tmp_path / op), epochs=1)
        elif op == "nowhere":
            with pytest.raises(WorkerError, match=r"initial-weights-0.npy: cannot be written"):
                worker.ask("tensors", 60.0, folder=str(folder), epochs=2)
        elif op != "tensors":
            worker.ask(op, 60.0)
        folder.mkdir()
        worker.ask("tensors", 60.0, folder=str(folder), epochs=0)
        kept.append(exchange.read(folder, shapes))
    for later in kept[1:]:
        for name, array in kept[0].items():
            np.testing.assert_array_equal(later[name], array, err_msg=name)


def test_its_costs_are_told_but_for_an_import(
    pair: tuple[WorkerProcess, WorkerProcess], tmp_path: Path
) -> None:
    worker, _ = pair
    prepare(worker, PROBLEMS[0], tmp_path)
    told = worker.ask("costs", 60.0)
    assert told.keys() == {
        "first call", "second call", "page faults", "memory after import", "peak memory",
    }  # fmt: skip
    assert min(told.values()) > 0
    assert told["memory after import"] <= told["peak memory"]
    size = footprint.read_footprint(NAME)
    assert size["library file"] == Path(programming.worker("native")[0]).stat().st_size
    assert size["compile"] > 0
    assert size.keys() >= {"packages", "toolchain"}


def test_its_times_agree_with_those_of_the_library_in_kind(
    pair: tuple[WorkerProcess, WorkerProcess], tmp_path: Path
) -> None:
    """The least of several turns: what disturbs makes it longer, nothing makes it shorter."""
    least: dict[tuple[int, str], float] = {}
    loops = {"forward": 200, "backprop": 100, "epoch": 4}
    for worker in pair:
        prepare(worker, PROBLEMS[0], tmp_path)
    for _ in range(12):
        for phase, count in loops.items():
            for place, worker in enumerate(pair):
                said = worker.ask("sample", 60.0, phase=phase, loops=count)
                assert said["elapsed_ns"] <= said["wall_ns"]
                key = place, phase
                least[key] = min(least.get(key, np.inf), said["elapsed_ns"] / count)
    for phase in loops:
        assert 1 / 3 < least[0, phase] / least[1, phase] < 3


class Impatient(World):
    """Ends a run by Ctrl-C once some of it is timed."""

    def advance(self, amount: float) -> None:
        super().advance(amount)
        if self.stages[-1] == "timing":
            raise KeyboardInterrupt


@pytest.mark.alone
def test_it_takes_turns_beside_mojo_and_goes_on_by_name_alone(tmp_path: Path) -> None:
    problem = Problem((2, 24, 2), 16, 64, "float64", 1)
    cases = tuple(Case(phase, problem) for phase in (*PHASES, *OVERHEADS))
    workers = workers_of(["mojo", NAME])
    order = Request("smoke", cases, workers, invocations=1, seconds=0.0, training_epochs=2)
    path = tmp_path / "run"
    begun = measure(order, path, NOW, Impatient(tmp_path), Edges())
    assert begun.status == "interrupted"
    start = seated_again(begun.plan, [])
    resume(path, NOW, World(tmp_path), Edges(start=start))
    stored = load(path)
    assert stored.run.status == "finished"
    assert [fault.reason for fault in stored.faults] == []
    taken = {(one.case.split("/")[0], one.worker) for one in stored.samples}
    assert {phase for phase, worker in taken if worker == NAME} == {*PHASES, "timer"}
    assert f"{NAME}/training_loss" in stored.training
    found = analyse_stored(stored).results
    mine = [one for one in found if one.candidate == NAME and one.case.phase in PHASES]
    assert len(mine) == 3
    assert all(one.ratio is not None for one in mine)
    programs_folder = str(building.folder()).encode()
    for file in path.iterdir():
        if file.is_file():
            assert programs_folder not in file.read_bytes(), file.name


def test_the_name_is_enough() -> None:
    assert is_program(NAME)
    assert not any(is_program(name) for name in ("mojo", "numpy", "exec:mojo-exe", "a:B"))
    assert list(VARIANTS).index(NAME) == list(VARIANTS).index("mojo-max") + 1
    assert NAME in installed()
    slots = seated([NAME], ["numpy", "numpy-again"])
    assert slots.specs == (SPEC,) == workers_of([NAME])[2:]
    assert SPEC.phases == (*PHASES, "timer")
    line = programs.command_of(SPEC, {})
    assert (Path(line[0]).name, line[1:]) == ("train", ["--worker"])
    with pytest.raises(UsageError, match="mojo-exe is a program and no class"):
        implementation(NAME)


def test_a_run_compiles_it_for_its_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[str] = []
    monkeypatch.setattr(building, "build", lambda what: None)
    monkeypatch.setattr(programming, "worker", lambda cpu: wanted.append(cpu) or [])
    monkeypatch.delenv(programs.CPU, raising=False)
    command.build_mojo("avx2", workers_of([NAME]))
    command.build_mojo("", workers_of(["mojo"]))
    command.build_mojo("", workers_of([NAME]))
    programs.command_of(SPEC, {programs.CPU: "x86-64-v2"})
    programs.command_of(SPEC, {})
    assert wanted == ["x86-64-v3", "native", "x86-64-v2", "native"]


def test_what_does_not_compile_is_said_of_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(cpu: str) -> None:
        raise BuildError(f"no compiler for {cpu}")

    monkeypatch.setattr(programming, "worker", refuse)
    start = partial(WorkerProcess, SPEC, {programs.CPU: "haswell"})
    with pytest.raises(WorkerError, match="mojo-exe: cannot be started: no compiler for haswell"):
        start()


def test_without_a_compiler_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise BuildError("no Mojo compiler")

    monkeypatch.setattr(toolchain, "find_compiler", none)
    assert missing(VARIANTS[NAME]) == "mojo-exe: no Mojo compiler; make build, or pip install mojo"
    assert missing(VARIANTS["mojo"]) == ""
