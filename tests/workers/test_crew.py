"""Worker processes: every way in which one can fail is told in words, and none is left behind.

The processes here are a few lines of Python that behave badly on purpose.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from bench.measuring.worker_group import WorkerGroup
from bench.model.errors import WorkerError, WorkerTimeoutError
from bench.model.records import Case, Problem, WorkerSpec
from bench.workers.process import WorkerProcess

SPEC = WorkerSpec("mojo", "mojo", "candidate")
OPENING = """
import json, os, sys
replies = os.fdopen(int(os.environ["BENCH_REPLY_FD"]), "w", buffering=1)
def answer(**fields): print(json.dumps(fields), file=replies)
request = json.loads(sys.stdin.readline())
"""
FORWARD: dict[str, Any] = {"phase": "forward", "loops": 1}
WAIT = "sys.stdin.read()"  # until the runner ends us


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts processes that run some Python; ends them all afterwards."""
    started: list[WorkerProcess] = []

    def start(script: str, **variables: str) -> WorkerProcess:
        command = [sys.executable, "-S", "-c", OPENING + script]
        started.append(WorkerProcess(SPEC, variables, command))
        return started[-1]

    yield start
    for worker in started:
        worker.end()
        assert worker._process.poll() is not None


def test_a_request_is_answered_and_sees_its_variables(start: Any) -> None:
    worker = start("answer(ok=True, got=request, pad=os.environ['PAD']); " + WAIT, PAD="xx")
    got = {"op": "train", "folder": "here", "epochs": 3}
    assert worker.ask("train", 60, folder="here", epochs=3) == {"got": got, "pad": "xx"}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("answer(ok=False, error='ValueError', message='no such phase')", "refused sample: "
         "ValueError: no such phase"),
        ("answer(ok=False, error='E', message='at /home/ann/x.py')",
         "refused sample: E: at …/x.py"),
        ("print('what?', file=replies)", "answered sample with b'what?', which is no answer"),
        ("print('[1]', file=replies)", "answered sample with b'[1]', which is no answer"),
        ("answer(error='E')", "which is no answer"),
        ("sys.exit(3)", "died during sample (exit code 3)"),
        ("print('one', 'two', 'three', 'four', sep='\\n'); sys.exit('MemoryError: too much')",
         "died during sample (exit code 1): three | four | MemoryError: too much"),
        ("answer(ok=False, error='MemoryError', message='3 GiB')",
         "refused sample: MemoryError: 3 GiB"),
        ("os.kill(os.getpid(), 9)", "died during sample (signal SIGKILL)"),
        ("os.kill(os.getpid(), 11)", "died during sample (signal SIGSEGV)"),
        ("print('last words'); os.abort()", "died during sample (signal SIGABRT)"),
    ],
)  # fmt: skip
def test_a_failure_is_told(start: Any, script: str, reason: str) -> None:
    worker = start(f"{script}\n{WAIT}")
    with pytest.raises(WorkerError) as failed:
        worker.ask("sample", 60, **FORWARD)
    assert failed.value.worker == "mojo"
    assert reason in failed.value.reason
    assert str(failed.value) == f"mojo: {failed.value.reason}"


def test_a_worker_that_does_not_answer_is_ended(start: Any) -> None:
    worker = start(WAIT)
    with pytest.raises(WorkerTimeoutError, match="mojo: did not answer sample within 0 s and was"):
        worker.ask("sample", 0.01, **FORWARD)
    worker._process.wait()
    with pytest.raises(WorkerError, match=r"mojo: died during sample \(signal SIGKILL\)"):
        worker.ask(
            "sample", 60, **FORWARD
        )  # so a late answer is never taken for that to another question


def test_a_worker_that_is_gone_is_told_at_the_next_request(start: Any) -> None:
    worker = start("answer(ok=True)")
    worker.ask("reset", 60)
    worker._process.wait()
    with pytest.raises(WorkerError, match=r"mojo: died during sample \(exit code 0\)"):
        worker.ask("sample", 60, **FORWARD)


def test_answers_may_come_in_pieces(start: Any) -> None:
    script = "for part in '{\"ok\"', ': true}', '\\n': replies.write(part); replies.flush()\n"
    assert start(script + WAIT).ask("reset", 60) == {}


def test_a_program_that_cannot_be_started_leaves_nothing_open() -> None:
    with pytest.raises(WorkerError, match="mojo: cannot be started: No such file or directory"):
        WorkerProcess(SPEC, {}, ["/nowhere/worker"])


class Stub:
    """A slot that gives fixed answers."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.ended = False

    def ask(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        self.asked.append((op, fields))
        return dict(self.answers.get(op, {}))

    def end(self) -> None:
        self.ended = True


def group_of(*stubs: Stub, threads: int = 1) -> tuple[WorkerGroup, list[dict[str, str]]]:
    slots = dict(zip("abc", stubs, strict=False))
    environments: list[dict[str, str]] = []

    def start(spec: WorkerSpec, variables: Any) -> Stub:
        environments.append(dict(variables))
        return slots[spec.label]

    specs = [WorkerSpec(label, label, "candidate") for label in slots]
    return WorkerGroup(specs, threads, start, Random(1)), environments


KEPT = {"threads": 1, "denormals": "kept"}


def test_threads_are_set_before_the_start_and_the_layout_differs() -> None:
    _, environments = group_of(
        *(Stub(describe={"threads": 2, "denormals": "kept"}) for _ in "abc"), threads=2
    )
    for environment in environments:
        assert environment["OPENBLAS_NUM_THREADS"] == environment["MOJO_IMPL_THREADS"] == "2"
    assert len({environment["BENCH_PADDING"] for environment in environments}) == 3


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        ({"threads": 8, "denormals": "kept"}, "b: was started with 1 threads and has 8"),
        ({"denormals": "kept"}, "b: was started with 1 threads and has None"),
        (
            {"threads": 1, "denormals": "flushed"},
            "b: subnormal numbers are flushed here and kept in a",
        ),
    ],
)
def test_a_broken_contract_is_refused_and_all_are_ended(
    described: dict[str, Any], reason: str
) -> None:
    stubs = Stub(describe=KEPT), Stub(describe=described)
    with pytest.raises(WorkerError) as refused:
        group_of(*stubs)
    assert str(refused.value) == reason
    assert all(stub.ended for stub in stubs)


def test_a_reading_of_no_work_is_a_failure() -> None:
    group, _ = group_of(Stub(describe=KEPT, sample={"elapsed_ns": 5}))
    case = Case("forward", Problem((1, 1), 1, 1, "float64", 1))
    with pytest.raises(WorkerError, match="a: measured 5 ns for 1000000 repetitions: too fast"):
        group.sample("a", case, 10**6, 60)


@pytest.mark.parametrize("elapsed", [0, -1, None, "fast", 1.5])
def test_a_reading_that_is_none_is_a_failure(elapsed: object) -> None:
    group, _ = group_of(Stub(describe=KEPT, sample={"elapsed_ns": elapsed}))
    case = Case("forward", Problem((1, 1), 1, 1, "float64", 1))
    with pytest.raises(WorkerError, match=f"a: measured {elapsed!r} ns for 7 repetitions"):
        group.sample("a", case, 7, 60)
