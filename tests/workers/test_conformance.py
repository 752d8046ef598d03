"""The conformance kit: what is right passes, and every fault is named in words at its place."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from bench.model.paths import PROJECT
from bench.model.records import WorkerSpec
from bench.model.threads import thread_environment
from bench.workers.conformance import check_worker
from bench.workers.findings import Report
from bench.workers.process import WorkerProcess

WRONG = Path(__file__).parents[1] / "support" / "wrong_worker.py"
SPEC = WorkerSpec("mine", "mine", "candidate")
NUMPY = WorkerSpec("numpy", "numpy", "baseline")
TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def report_on(cache: Path, *command: str, timeout_s: float = TIMEOUT_S) -> Report:
    variables = {**thread_environment(1), "PYTHONPATH": str(PROJECT)}
    return check_worker(
        partial(WorkerProcess, SPEC, variables, command, folder=cache),
        partial(WorkerProcess, NUMPY, variables),
        cache,
        timeout_s,
    )


def faulty(cache: Path, fault: str) -> Report:
    return report_on(cache, sys.executable, str(WRONG), fault)


def test_a_worker_without_a_fault_passes(cache: Path) -> None:
    report = faulty(cache, "none")
    assert [check for check in report.checks if not check.ok] == []
    assert report.ok
    assert len(report.checks) == 25
    assert len({check.name for check in report.checks}) == 25


@pytest.mark.parametrize(
    ("fault", "name", "came", "advice"),
    [
        ("other data", "its tensors", "0badc0de", "CRC-32 of the numbers"),
        ("doubles", "3,7,5,... float32", "initial weights[0] of the worker is float64, not float32",
         "rounded last"),
        ("archives", "its tensors", "none of the files that were asked for", "'<f8' or '<f4'"),
        ("swallows NaN", "its tensors", "y_hat of NaN and infinity of the worker has NaN in other",
         "ReLU lets NaN through"),
        ("forgetful", "reset brings", "initial weights[0] differs", "back to where prepare left"),
        ("no time", "forward is timed", "`int` >= 1 - at `$.elapsed_ns`", "protocol.md"),
        ("same time", "backprop is timed", "repetitions take 50,000 ns", "do the work of every"),
        ("long time", "timer is timed", "ns for 1 repetitions", "monotonic clock"),
        ("never rouses", "work before a sample", "outside the sample", "until rouse_ns"),
        ("agreeable", "no JSON is refused", '{"ok": true,', "answer what cannot be served"),
        ("dies of nonsense", "no JSON is refused", "JSONDecodeError", "start it by hand"),
        ("dies", "epoch is timed", "died during sample (exit code 1): out of paper", "by hand"),
        ("last words", "it answers once", "goodbye", "standard output or error"),
        ("fails at the end", "the end of its input", "exit code 3", "without an error"),
    ],
)  # fmt: skip
def test_a_fault_is_named_at_its_place(
    cache: Path, fault: str, name: str, came: str, advice: str
) -> None:
    report = faulty(cache, fault)
    assert not report.ok
    found = [check for check in report.checks if not check.ok and name in check.name]
    assert found, report
    assert came in found[0].came
    assert advice in found[0].advice
    assert found[0].expected
    # And what has nothing to do with it is right.
    assert any(check.ok for check in report.checks)


@pytest.mark.parametrize(
    ("fault", "came", "advice"),
    [
        ("another protocol", '"protocol": 2', "docs/protocol.md"),
        ("threads", "4 threads", "before threads are made"),
        ("flushes", "denormals flushed", "-ffast-math"),
        ("no language", "Expected `str`, got `int` - at `$.language`", "docs/protocol.md"),
    ],
)
def test_what_does_not_say_what_it_is_is_looked_at_no_further(
    cache: Path, fault: str, came: str, advice: str
) -> None:
    report = faulty(cache, fault)
    (check,) = report.checks
    assert not check.ok
    assert came in check.came
    assert advice in check.advice
    assert report.stopped == "it does not say what it is"


LISTENS = "import sys; sys.stdin.readline(); "


@pytest.mark.parametrize(
    ("script", "came", "advice"),
    [
        (LISTENS + "print('{\"ok\": true}', flush=True); sys.stdin.read()",
         'did not answer describe within 2 s and was ended: {"ok": true}', "BENCH_REPLY_FD names"),
        (LISTENS + "sys.exit('no more')", "died during describe (exit code 1): no more", "by hand"),
        (LISTENS + "import os; os.write(int(os.environ['BENCH_REPLY_FD']), b'hello\\n')",
         "answered describe with b'hello', which is no answer", "by hand"),
        (LISTENS + "import os\nwhile True: os.write(int(os.environ['BENCH_REPLY_FD']), b'a' * 999)",
         "a line without end", "by hand"),
    ],
)  # fmt: skip
def test_programs_that_are_no_workers_are_told_with_their_last_words(
    cache: Path, script: str, came: str, advice: str
) -> None:
    report = report_on(cache, sys.executable, "-S", "-c", script, timeout_s=2)
    (check,) = report.checks
    assert came in check.came
    assert advice in check.advice


@pytest.mark.long
def test_one_that_does_not_go_is_killed(cache: Path) -> None:
    report = report_on(cache, sys.executable, str(WRONG), "stays", timeout_s=10)
    found = {check.name: check for check in report.checks if not check.ok}
    assert found.keys() == {
        "it answers once, and quit ends it with exit code 0", "the end of its input ends it",
    }  # fmt: skip
    assert {check.came for check in found.values()} == {"it went on and was killed"}


# The command

Bench = Callable[..., tuple[int, str, str]]


def test_the_command_takes_a_class_where_it_lies(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "from bench.implementations import NumPy\n"
        "class Mine(NumPy):\n    name = 'mine'\n    phases = ('forward',)\n"
    )
    monkeypatch.chdir(tmp_path)
    code, out, err = bench("check-worker", "mine:Mine")
    assert (code, err) == (0, "")
    assert "✓ forward is timed" in out
    assert "epoch" not in out
    assert out.endswith("right: bench run --implementation 'mine:Mine'\n")


def test_the_command_tells_what_is_wrong_on_paper_and_as_json(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    program = (sys.executable, WRONG, "threads")
    code, out, _ = bench("check-worker", *program)
    assert code == 1
    assert out.splitlines() == [
        "✗ it starts, and describe tells what it is",
        "    expected: 1 thread, as OMP_NUM_THREADS=1 and its like ask for",
        "    came:     4 threads",
        "    next:     read the variables of docs/protocol.md before threads are made",
        "",
        "Stopped: it does not say what it is; what comes after was not looked at.",
        "",
        "1 of 1 are wrong: docs/protocol.md",
    ]
    code, out, _ = bench("check-worker", "--json", *program)
    found = json.loads(out)
    assert code == 1
    assert (found["ok"], found["checks"][0]["came"]) == (False, "4 threads")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nobody"], "no implementation is called 'nobody'; there are: "),
        ([":Class"], "':Class' is no implementation"),
        (["exec:"], "names no program"),
    ],
)
def test_what_is_no_worker_at_all_ends_with_2(bench: Bench, words: list[str], told: str) -> None:
    code, out, err = bench("check-worker", *words)
    assert (code, out) == (2, "")
    assert told in err


def test_a_program_that_is_not_there_is_said(bench: Bench) -> None:
    code, out, _ = bench("check-worker", "./nowhere/mlp")
    assert code == 1
    assert "cannot be started: No such file or directory" in out
