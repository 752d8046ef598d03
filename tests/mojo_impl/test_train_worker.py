"""The stand-alone program as a worker: what it answers, line by line, and what it refuses.

That its numbers and times are right is held in test_mojo_exe.py.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program_run import program

from bench.model.records import PARTS, PHASES, WIDTH_ONE
from bench.workers.datasets import sinc
from mojo_impl.building.build import FLAGS, library_at

pytestmark = pytest.mark.long  # the program has to be compiled first

PROBLEM = {
    "layer_sizes": [1, 8, 1],
    "batch_size": 20,
    "rows": 500,
    "dtype": "float64",
    "threads": 1,
}
METERS = {"elapsed_ns", "wall_ns", "cpu_ns", "preempted", "page_faults"}
OFFERED = [*PHASES, "timer", *PARTS, *WIDTH_ONE]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dätä \U0001f4c8")
    for dtype in ("float64", "float32"):
        (folder / dtype).mkdir()
        for name, array in sinc().arrays().items():
            np.save(folder / dtype / f"{name}.npy", array.astype(dtype))
    return folder


def raw(lines: bytes, **environment: str) -> list[dict[str, Any]]:
    """Send bytes; return the answers, of which there is one a line."""
    done = subprocess.run(
        [program(), "--worker"], input=lines, capture_output=True, check=False, timeout=60,
        env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.splitlines()]


def ask(requests: Iterable[Any], **environment: str) -> list[dict[str, Any]]:
    return raw("".join(f"{json.dumps(one)}\n" for one in requests).encode(), **environment)


def prepare(folder: Path, **other: Any) -> dict[str, Any]:
    problem = PROBLEM | other
    return {"op": "prepare", "problem": problem, "data": str(folder / str(problem["dtype"]))}


def test_it_describes_itself() -> None:
    compiled = library_at(program())
    for threads in (1, 3):
        (answer,) = ask([{"op": "describe"}], MOJO_IMPL_THREADS=str(threads))
        lanes = answer["facts"]["simd width float64"]
        assert sorted(answer.pop("phases")) == sorted(OFFERED)
        assert answer == {
            "ok": True, "protocol": 1, "implementation": "mojo-exe", "language": "Mojo",
            "versions": {"mojo": compiled.version}, "threads": threads,
            "denormals": "kept", "rounding": "to nearest",
            "facts": {
                "mojo target cpu": compiled.target_cpu, "flags": " ".join(FLAGS),
                "simd width float64": lanes,
            },
        }  # fmt: skip
        assert int(lanes) in (2, 4, 8)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_it_times_phases_and_parts(data: Path, dtype: str) -> None:
    samples = [{"op": "sample", "phase": phase, "loops": 3} for phase in OFFERED]
    first, *answers, last = ask([prepare(data, dtype=dtype), *samples, {"op": "reset"}])
    assert first == last == {"ok": True}
    assert len(answers) == len(OFFERED)
    for answer in answers:
        assert answer.keys() == {"ok"} | METERS
        assert 0 < answer["elapsed_ns"] <= answer["wall_ns"]
        assert answer["cpu_ns"] > 0


def test_work_comes_before_the_clock_where_it_is_asked_for(data: Path) -> None:
    request = {"op": "sample", "phase": "epoch", "loops": 1}
    answers = ask([prepare(data), request | {"rouse_ns": 10**7}])
    assert answers[1]["ok"]
    assert answers[1]["wall_ns"] < 10**8


def test_replies_go_where_the_environment_says() -> None:
    ours, theirs = os.pipe()
    subprocess.run(
        [program(), "--worker"], input=b'{"op": "reset"}\n', pass_fds=[theirs], check=True,
        env=os.environ | {"BENCH_REPLY_FD": str(theirs)}, capture_output=True,
    )  # fmt: skip
    os.close(theirs)
    with open(ours, "rb") as replies:  # noqa: PTH123  # a number, no path
        assert json.loads(replies.read())["message"] == "nothing is prepared; send prepare first"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"op": "sample", "phase": "call", "loops": 1}, "there is no phase 'call' here"),
    ({"op": "sample", "phase": "epoch", "loops": 0}, "loops must be a whole number of at least 1"),
    ({"op": "sample", "phase": "epoch", "loops": "1"}, "loops must be a whole number"),
    ({"op": "sample", "phase": "epoch", "loops": 1.5}, "loops must be a whole number"),
    ({"op": "sample", "phase": 1, "loops": 1}, "phase must be a string"),
    ({"op": "sample", "loops": 1}, "phase must be a string"),
    ({"op": "dance"}, "there is no operation 'dance'; there are: describe, prepare, tensors"),
    ({"phase": "epoch"}, 'a request is an object with an "op"'),
    ({"op": 7}, "op must be a string"),
]


@pytest.mark.parametrize(("request_", "message"), REFUSED)
def test_refusals_are_answers_and_the_worker_lives(
    data: Path, request_: dict[str, Any], message: str
) -> None:
    sample = {"op": "sample", "phase": "forward", "loops": 1}
    good, refused, again = ask([prepare(data), request_, sample])
    assert good == {"ok": True}
    assert (refused["ok"], refused["error"]) == (False, "ValueError")
    assert refused["message"].startswith(message)
    assert again["ok"]


def test_a_problem_that_cannot_be_prepared_leaves_none(data: Path) -> None:
    wrong = {
        "problem.dtype must be float64 or float32": prepare(data) | {"problem": {"dtype": "int8"}},
        "problem.dtype must be a string": {"op": "prepare"},
        "problem.layer_sizes must hold two": prepare(data, layer_sizes=[1]),
        "problem.layer_sizes.0 must be a whole number": prepare(data, layer_sizes=[0, 1]),
        "problem.rows must be a whole number of at least 1": prepare(data, rows=0),
        "problem.batch_size is more than the rows": prepare(data, batch_size=501),
        "data must be a string": {"op": "prepare", "problem": PROBLEM},
        "seed must be at most 4294967295": prepare(data) | {"seed": 2**32},
        "out of memory": prepare(data, layer_sizes=[1, 10**9, 10**9, 1]),
        "/nowhere/X.npy: cannot be read": prepare(data) | {"data": "/nowhere"},
    }
    sample = {"op": "sample", "phase": "forward", "loops": 1}
    for message, request in wrong.items():
        first, refused, after = ask([prepare(data), request, sample])
        assert first["ok"]
        assert not refused["ok"]
        assert refused["message"].startswith(message)
        # One of no dtype never got as far as to a problem's place.
        assert after["ok"] == message.startswith("problem.dtype") or not after["ok"]


def test_texts_of_all_letters_come_back(data: Path) -> None:
    for text in ('"', "\\", "ä", "\U0001f600", "/", "日本"):
        for ascii_only in (True, False):
            line = json.dumps({"op": text}, ensure_ascii=ascii_only).encode() + b"\n"
            (answer,) = raw(line)
            assert answer["message"].startswith(f"there is no operation '{text}'; there are")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=5), parts,
                                                                max_size=4),
)  # fmt: skip
OP = st.sampled_from(["describe", "prepare", "sample", "reset", "dance"])


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=4), max_size=8), OP)
def test_any_json_gets_an_answer(requests: list[dict[str, Any]], op: str) -> None:
    for one in requests:
        one["op"] = op
    assert len(ask(requests)) == len(requests)


@settings(max_examples=40)
@given(
    st.lists(
        st.binary(max_size=60)
        .map(lambda line: line.replace(b"\n", b" "))
        .filter(lambda line: b"op" not in line),  # no request by chance, above all no `quit`
        max_size=8,
    )
)
def test_any_bytes_get_an_answer(lines: list[bytes]) -> None:
    answers = raw(b"".join(line + b"\n" for line in lines))
    assert len(answers) == len(lines)
    assert not any(answer["ok"] for answer in answers)


def test_deep_and_long_requests_end_in_words() -> None:
    for line in (b'{"a":' * 10**5, b'{"op": [' + b"[" * 10**5, b'{"op": "' + b"x" * 10**5):
        (answer,) = raw(line + b"\n")
        assert not answer["ok"]
    lines = b'{"op": "' + b"x" * (2 << 20) + b'"}\n'
    done = subprocess.run([program(), "--worker"], input=lines, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr == b"train: a request is at most 1048576 bytes long\n"
