"""A worker's protocol: what it answers, what it refuses, and what stays out of a sample."""

from __future__ import annotations

import gc
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.model.records import Phase, Problem
from bench.workers.datasets import data_folder
from bench.workers.implementations.drivers import NumPy
from bench.workers.tensor_files import read, tensor_shapes, training_shapes
from bench.workers.worker import Worker, main, serve

PROBLEM = Problem((1, 4, 1), 3, 10, "float64", 1)


class Watched(NumPy):
    """NumPy, which notes whether garbage could have been collected during a sample."""

    def __init__(self) -> None:
        self.collecting: list[bool] = []
        self.timed: list[tuple[str, int]] = []

    def time(self, phase: Phase, loops: int, *arguments: Any) -> int:
        self.collecting.append(gc.isenabled())
        self.timed.append((phase, loops))
        return super().time(phase, loops, *arguments)


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def worker(watched: Watched, tmp_path: Path) -> Worker:
    """A worker that holds the problem."""
    worker = Worker(watched)
    prepare(worker, tmp_path, PROBLEM)
    return worker


def ask(worker: Worker, **request: Any) -> dict[str, Any]:
    answer = worker.answer(json.dumps(request))
    assert answer is not None
    return json.loads(json.dumps(answer))  # as it comes out of a pipe


def prepare(worker: Worker, cache: Path, problem: Problem) -> None:
    path, _ = data_folder(problem, cache)
    answer = ask(worker, op="prepare", problem=asdict(problem), data=str(path), seed=5)
    assert answer == {"ok": True}


def arrays(
    worker: Worker, op: str, folder: Path, epochs: int, problem: Problem = PROBLEM
) -> dict[str, Any]:
    folder.mkdir()
    answer = ask(worker, op=op, folder=str(folder), epochs=epochs)
    assert answer.pop("ok")
    assert answer.keys() == ({"inputs", "layout"} if op == "tensors" else set())
    shapes = (tensor_shapes if op == "tensors" else training_shapes)(problem, epochs)
    found = read(folder, shapes)
    assert {name: array.shape for name, array in found.items()} == shapes
    return found


def test_describe_tells_the_contract() -> None:
    answer = ask(Worker(NumPy()), op="describe")
    assert (answer["ok"], answer["implementation"], answer["language"]) == (True, "numpy", "Python")
    assert answer["versions"]["numpy"] == np.__version__
    assert answer["denormals"] == "kept"
    assert isinstance(answer["threads"], int)
    assert "blas" in answer["facts"]


@pytest.mark.parametrize("phase", ["forward", "backprop", "epoch", "call", "timer"])
def test_a_sample_is_timed_without_garbage_collection(
    worker: Worker, watched: Watched, phase: str
) -> None:
    answer = ask(worker, op="sample", phase=phase, loops=2)
    assert answer["elapsed_ns"] > 0
    assert watched.collecting == [False]
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("phase", "rouser"),
    [("forward", "forward"), ("backprop", "forward"), ("epoch", "forward"), ("timer", "timer")],
)
def test_threads_are_at_work_for_as_long_as_asked_before_the_clock_starts(
    watched: Watched, tmp_path: Path, phase: str, rouser: str
) -> None:
    times = iter(range(0, 1000, 10))
    worker = Worker(watched, clock_ns=lambda: next(times))
    prepare(worker, tmp_path, PROBLEM)
    ask(worker, op="sample", phase=phase, loops=3, rouse_ns=25)
    assert watched.timed == [(rouser, 1)] * 2 + [(phase, 3)]  # until 0 + 25, by looks at 10, 20, 30
    assert watched.collecting == [False] * 3
    watched.timed.clear()
    ask(worker, op="sample", phase=phase, loops=3)
    assert watched.timed == [(phase, 3)]


def test_rousing_leaves_the_weights_as_they_were(worker: Worker) -> None:
    network = worker._prepared.network if worker._prepared else None
    assert network is not None
    before = network.weights
    ask(worker, op="sample", phase="forward", loops=1, rouse_ns=1000)
    assert all(np.array_equal(a, b) for a, b in zip(network.weights, before, strict=True))


def test_tensors_and_training_start_from_fresh_weights_whatever_came_before(
    worker: Worker, tmp_path: Path
) -> None:
    fresh = arrays(worker, "tensors", tmp_path / "a", 2)
    ask(worker, op="sample", phase="epoch", loops=3)
    again = arrays(worker, "tensors", tmp_path / "b", 2)
    assert fresh.keys() == again.keys()
    assert all(np.array_equal(fresh[n], again[n], equal_nan=True) for n in fresh)
    trained = arrays(worker, "train", tmp_path / "c", 2)
    assert np.array_equal(trained["training_loss"], fresh["training_loss"])
    assert np.array_equal(trained["validation_loss"], fresh["validation_loss"])


def test_reset_brings_back_weights_and_random_stream(worker: Worker, tmp_path: Path) -> None:
    network = worker._prepared.network if worker._prepared else None
    assert network is not None
    before = network.weights
    ask(worker, op="sample", phase="epoch", loops=1)
    once = network.weights
    assert not np.array_equal(once[0], before[0])
    assert ask(worker, op="reset") == {"ok": True}
    assert np.array_equal(network.weights[0], before[0])
    ask(worker, op="sample", phase="epoch", loops=1)
    assert all(np.array_equal(a, b) for a, b in zip(network.weights, once, strict=True))


def test_training_writes_losses_and_the_curve(worker: Worker, tmp_path: Path) -> None:
    found = arrays(worker, "train", tmp_path / "train", 4)
    assert found["training_loss"].shape == found["validation_loss"].shape == (4 * 3,)
    assert found["grid"].shape == found["curve"].shape == (601, 1)
    assert (found["grid"][0, 0], found["grid"][-1, 0]) == (-6, 6)


def test_a_wide_input_has_no_curve(tmp_path: Path) -> None:
    worker = Worker(NumPy())
    problem = Problem((2, 3, 1), 3, 10, "float32", 1)
    prepare(worker, tmp_path, problem)
    found = arrays(worker, "train", tmp_path / "train", 1, problem)
    assert found.keys() == {"training_loss", "validation_loss"}


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        ({"op": "sample", "phase": "forward", "loops": 0}, "UsageError", "loops must be"),
        ({"op": "sample", "phase": "forward", "loops": 1.5}, "UsageError", "loops must be"),
        ({"op": "sample", "phase": "forward", "loops": True}, "UsageError", "loops must be"),
        ({"op": "sample", "phase": "nap", "loops": 1}, "UsageError", "there is no phase 'nap'"),
        ({"op": "sample", "phase": "forward"}, "ValidationError", "field `loops`"),
        ({"op": "dance"}, "UsageError", "there is no operation 'dance'; there are: describe,"),
        ({"op": []}, "TypeError", "unhashable"),
        ({"no": "op"}, "UsageError", 'an object with an "op"'),
        ([1, 2], "UsageError", 'an object with an "op"'),
        ({"op": "prepare", "problem": {"rows": "many"}, "data": "x"}, "ValidationError", ""),
        ({"op": "tensors", "folder": "/nowhere", "epochs": 1}, "FileNotFoundError", ""),
        ({"op": "train", "folder": ".", "epochs": -1}, "ValidationError", "at `$.epochs`"),
    ],
)
def test_what_cannot_be_served_is_answered_and_the_worker_lives(
    worker: Worker, request_: Any, error: str, message: str
) -> None:
    answer = worker.answer(json.dumps(request_))
    assert answer is not None
    assert (answer["ok"], answer["error"]) == (False, error)
    assert message in answer["message"]
    assert ask(worker, op="describe")["ok"]


def test_nothing_runs_before_prepare_nor_after_a_failed_one(worker: Worker) -> None:
    for lost in (Worker(NumPy()), worker):
        ask(lost, op="prepare", problem=asdict(PROBLEM), data="/nowhere", seed=1)
        for request in ({"op": "reset"}, {"op": "sample", "phase": "forward", "loops": 1}):
            answer = ask(lost, **request)
            assert answer["message"] == "nothing is prepared; send prepare first"


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_line_is_answered(line: str) -> None:
    answer = Worker(NumPy()).answer(line)
    assert answer is not None
    assert answer["ok"] is False


def test_answers_come_in_order_until_quit() -> None:
    replies = io.StringIO()
    requests = ['{"op": "reset"}\n', "nonsense\n", '{"op": "quit"}\n', '{"op": "describe"}\n']
    serve(Worker(NumPy()), requests, replies)
    errors = [json.loads(line)["error"] for line in replies.getvalue().splitlines()]
    assert errors == ["UsageError", "JSONDecodeError"]


def test_started_by_hand_it_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCH_REPLY_FD", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["--implementation", "numpy"])
    assert ended.value.code == 2
    assert "workers are not run by hand" in capsys.readouterr().err
