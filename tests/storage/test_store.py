"""Runs on disk: what is written comes back, what is damaged is refused in words."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.model.cases import case_id, problem_id
from bench.model.errors import StoreError, UsageError
from bench.model.presets import cases_of
from bench.model.records import (
    SCHEMA_VERSION,
    Environment,
    Fault,
    ParityResult,
    Plan,
    Problem,
    Request,
    Run,
    Sample,
    TensorCheck,
    WorkerSpec,
)
from bench.storage.runs import RunWriter, load

PROBLEM = Problem((1, 2, 1), 5, 10, "float64", 1)
CASES = cases_of([PROBLEM])
NAME = case_id(CASES[0])
SLOTS = (WorkerSpec("numpy", "numpy", "baseline"), WorkerSpec("mojo", "mojo", "candidate"))
RUN = Run(
    "run",
    "2026-11-03T10:00:00+00:00",
    "bench run",
    Plan(Request("quick", CASES, SLOTS, training_epochs=20), {NAME: 2}, {NAME: 7}),
    Environment({"cpu": "Example", "load": {"1 min": 0.5}}, {"python": "3.11"}),
)
SAMPLES = tuple(
    Sample(NAME, label, 0, turn, position, 7, 10**6 + turn, turn, warmup=turn == 0)
    for turn in range(3)
    for position, label in enumerate(("numpy", "mojo"))
)
PARITY = ParityResult(
    problem_id(PROBLEM), "numpy", "mojo", (TensorCheck("y_hat", (5, 1), 1e-15, 1e-12, True),)
)
FAULT = Fault(NAME, "mojo", 0, "died during sample (signal SIGKILL)")
TRAINING = {"numpy/training_loss": np.linspace(1, 0, 5), "X": np.zeros((3, 1), np.float32)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A whole run."""
    path = tmp_path / "results" / "run"
    with RunWriter(path, RUN) as writer:
        for record in (*SAMPLES, PARITY, FAULT):
            writer.add(record)
        writer.add_training(TRAINING)
        writer.update(replace(RUN, status="finished", environment_after=RUN.environment))
    return path


def change(file: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit the JSON of a file."""
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_what_is_written_comes_back(path: Path) -> None:
    stored = load(path)
    assert stored.run == replace(RUN, status="finished", environment_after=RUN.environment)
    assert (stored.samples, stored.parity, stored.faults) == (SAMPLES, (PARITY,), (FAULT,))
    assert stored.training.keys() == TRAINING.keys()
    for name, array in TRAINING.items():
        assert stored.training[name].dtype == array.dtype
        assert np.array_equal(stored.training[name], array)
    assert stored.notes == ()


def test_readings_packed_to_be_kept_read_the_same(path: Path) -> None:
    plain = load(path).samples
    file = path / "samples.jsonl"
    packed = gzip.compress(file.read_bytes(), mtime=0)
    file.unlink()
    file.with_name("samples.jsonl.gz").write_bytes(packed)
    assert load(path).samples == plain
    for damage in (packed[:-9], b"no gzip", packed[:20] + b"xxxx" + packed[24:]):
        file.with_name("samples.jsonl.gz").write_bytes(damage)
        with pytest.raises(StoreError, match=r"samples\.jsonl\.gz is damaged"):
            load(path)


def test_every_record_is_on_disk_when_the_call_returns(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "run", RUN)
    for count, sample in enumerate(SAMPLES, 1):
        writer.add(sample)
        assert load(tmp_path / "run").samples == SAMPLES[:count]
    writer.close()
    writer.close()


def test_a_run_that_could_not_be_read_again_is_not_begun(tmp_path: Path) -> None:
    long = tmp_path / "run"
    with pytest.raises(UsageError, match=r"could not be read again: the name 'x+' has 230 char"):
        RunWriter(long, replace(RUN, name="x" * 230))
    assert not long.exists()


def test_a_folder_that_exists_is_not_touched(path: Path) -> None:
    with pytest.raises(UsageError, match=r"run already exists; choose another --name"):
        RunWriter(path, RUN)
    assert len(load(path).samples) == len(SAMPLES)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write to .*: Not a directory; .* --out"):
        RunWriter(tmp_path / "file" / "run", RUN)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_last_line_cut_off_by_a_crash_is_left_out_and_noted(path: Path, cut: int) -> None:
    file = path / "samples.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    stored = load(path)
    if cut == 1:  # only the line end is gone
        assert (stored.samples, stored.notes) == (SAMPLES, ())
    else:
        assert stored.samples == SAMPLES[:-1]
        note = "the last line of samples.jsonl was cut off in writing and is left out"
        assert stored.notes == (note,)


@pytest.mark.parametrize("file", ["samples.jsonl", "parity.jsonl", "faults.jsonl"])
def test_a_damaged_line_is_refused_with_its_number(path: Path, file: str) -> None:
    (path / file).write_bytes(b'{"broken": \n' + (path / file).read_bytes())
    with pytest.raises(StoreError, match=rf"{file} is damaged: line 1: .*measure again"):
        load(path)


@pytest.mark.parametrize("file", ["samples.jsonl", "parity.jsonl", "faults.jsonl"])
def test_a_missing_file_is_refused(path: Path, file: str) -> None:
    (path / file).unlink()
    with pytest.raises(StoreError, match=rf"{file} is damaged: cannot read it: No such file"):
        load(path)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("case", "epoch/other", "case 'epoch/other' by worker 'numpy' is not in the plan"),
        ("worker", "rust", "by worker 'rust' is not in the plan"),
        ("elapsed_ns", 0, "0 ns for 7 loops is no reading"),
        ("elapsed_ns", -5, "-5 ns for 7 loops is no reading"),
        ("loops", 0, "for 0 loops is no reading"),
        ("elapsed_ns", 1.5, "Expected `int`, got `float`"),
        ("warmup", "no", "Expected `bool`, got `str`"),
    ],
)
def test_a_reading_that_cannot_be_is_refused(
    path: Path, field: str, value: object, words: str
) -> None:
    file = path / "samples.jsonl"
    first, *rest = file.read_text().splitlines(keepends=True)
    file.write_text(json.dumps(json.loads(first) | {field: value}) + "\n" + "".join(rest))
    with pytest.raises(StoreError, match=r"samples.jsonl is damaged: line 1") as refused:
        load(path)
    assert words in str(refused.value)


def _slot(run: dict[str, Any], place: int) -> dict[str, Any]:
    found: dict[str, Any] = run["plan"]["request"]["workers"][place]
    return found


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda run: run.update(status="asleep"), "Invalid enum value 'asleep'"),
        (lambda run: run.pop("plan"), "missing required field `plan`"),
        (lambda run: _slot(run, 0).update(role="again"), "needs one baseline"),
        (lambda run: _slot(run, 1).update(role="again"), "and a candidate"),
        (lambda run: run["plan"]["request"]["cases"][0]["problem"].update(dtype="int8"), "int8"),
    ],
)
def test_a_run_that_does_not_fit_the_schema_is_refused(
    path: Path, edit: Callable[[dict[str, Any]], object], words: str
) -> None:
    change(path / "run.json", edit)
    with pytest.raises(StoreError, match=r"run.json is damaged") as refused:
        load(path)
    assert words in str(refused.value)


def test_a_newer_version_is_refused_in_words(path: Path) -> None:
    change(path / "run.json", lambda run: run.update(schema=SCHEMA_VERSION + 1, news="unknown"))
    with pytest.raises(StoreError, match=r"written by a newer version .* update this program"):
        load(path)


@pytest.mark.parametrize("place", ["nowhere", ".", "run.json"])
def test_what_is_not_a_run_is_refused(path: Path, place: str) -> None:
    with pytest.raises(StoreError, match=r"is not a run: there is no run.json in it"):
        load(path / place if place != "." else path.parent)


def test_a_run_without_training_has_none(path: Path) -> None:
    (path / "training.npz").unlink()
    assert load(path).training == {}


def test_pickled_arrays_are_refused(path: Path) -> None:
    np.savez(path / "training.npz", X=np.array([{"a": 1}], dtype=object))
    with pytest.raises(StoreError, match=r"training.npz is damaged"):
        load(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bytes_changed_by_chance_are_refused_or_still_a_run(
    path: Path, data: st.DataObject
) -> None:
    file = path / data.draw(st.sampled_from(["run.json", "samples.jsonl", "training.npz"]))
    content = file.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    new = data.draw(st.binary(max_size=3))
    try:
        file.write_bytes(content[:place] + new + content[place + 1 :])
        load(path)
    except StoreError as refused:
        assert str(path) in str(refused)  # noqa: PT017  # an error is allowed, not demanded
    finally:
        file.write_bytes(content)
