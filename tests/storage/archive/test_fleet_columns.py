"""Readings as columns: the same as records to the bit, and refused in the same words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.analysis.run_analysis import analyse

pytest.importorskip("pyarrow", reason="the store of runs needs pyarrow")

from sample_run import SMALL, Truth, write_run

from bench.analysis import verdicts as stats
from bench.model.errors import StoreError
from bench.model.records import Fault, Problem, Sample
from bench.storage import runs as store
from bench.storage.archive import columns
from bench.storage.archive.columns import _Line, columns_of, load_columns, readings_of

ROOT = Path(__file__).parents[3]
TINY = Problem((1, 4, 1), 5, 20, "float64", 1)


def tiny(folder: Path) -> Path:
    return write_run(folder, Truth(problems=(TINY,), invocations=10, rounds=2, training_epochs=0))


def test_the_decoders_lines_have_the_fields_of_a_sample() -> None:
    mine = [(one.name, one.default) for one in msgspec.structs.fields(_Line)]
    theirs = [
        (one.name, msgspec.NODEFAULT if one.name in _Line.__struct_fields__[:8] else one.default)
        for one in Sample.__dataclass_fields__.values()
    ]
    assert mine == theirs


@pytest.mark.parametrize("meters", [False, True])
def test_columns_give_the_readings_and_results_of_records_to_the_bit(
    tmp_path: Path, meters: bool
) -> None:
    fault = Fault("epoch/1-4-1/b5/n20/f64/t1", "mojo", 1, "died")
    truth = Truth(
        problems=(TINY, SMALL), invocations=10, rounds=5, meters=meters, faults=(fault,),
        parts=True, probes=True, failed=(SMALL,), reading_spread=0.5,
    )  # fmt: skip
    path = write_run(tmp_path / "run", truth)
    spoiled = (path / "samples.jsonl").read_bytes().splitlines(keepends=True)
    # One reading is missing, one is there twice, and one invocation is not in order.
    (path / "samples.jsonl").write_bytes(b"".join([*spoiled[5:], *spoiled[:4], spoiled[90]]))
    assert_same(path)


@pytest.mark.parametrize("run", ["reference", "roofline"])
def test_columns_of_measured_runs_are_the_same(run: str) -> None:
    assert_same(ROOT / "results" / run)


def assert_same(path: Path) -> None:
    stored = store.load(path)
    rest, found = load_columns(path)
    records = stored.run, stored.samples, stored.parity, stored.faults
    assert len(found) == len(stored.samples)
    assert as_text(readings_of(rest, found)) == as_text(analyse(*records).each)
    mine = stats.results_of(rest.run, readings_of(rest, found))
    assert repr(mine) == repr(analyse(*records).results)
    slow = readings_of(rest, columns_of(stored.run, stored.samples))
    assert as_text(slow) == as_text(analyse(*records).each)


def as_text(readings: Any) -> dict[tuple[str, str], Any]:
    return {
        (candidate, name): (
            one.incomplete,
            one.invalid,
            [(i, k, v.tobytes()) for i, t in one.invocations.items() for k, v in t.items()],
        )
        for candidate, mine in readings.items()
        for name, one in mine.items()
    }


def test_integers_beyond_a_float_are_divided_as_integers(tmp_path: Path) -> None:
    path = tiny(tmp_path / "run")
    text = (path / "samples.jsonl").read_text().splitlines()
    large = json.loads(text[-1]) | {"elapsed_ns": 2**53 + 1, "loops": 3}
    (path / "samples.jsonl").write_text("\n".join([*text[:-1], json.dumps(large), ""]))
    assert_same(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [*lines[:3], lines[3] + lines[4], "", *lines[5:]],
        lambda lines: [*lines[:3], lines[3] + lines[4], *lines[5:]],
        lambda lines: [*lines[:3], lines[3].replace(",", ",\n", 1), *lines[4:]],
        lambda lines: [lines[0] + lines[1], lines[2].replace(",", ",\n", 1), *lines[3:]],
        lambda lines: [*lines, "{}"],
        lambda lines: [*lines[:-1], lines[-1].replace('"round":2', '"round":7')],
        lambda lines: [lines[0].replace("numpy", "nobody"), *lines[1:]],
        lambda lines: [lines[0].replace('"elapsed_ns":', '"elapsed_ns":-'), *lines[1:]],
        lambda lines: [lines[0].replace('"at_ns":', '"at_ns":99999999999999999999'), *lines[1:]],
        lambda lines: [lines[0].replace('"warmup":true', '"warmup":false'), *lines[1:]],
        lambda lines: [lines[0].replace('"warmup":true', '"warmup":1'), *lines[1:]],
    ],
)
def test_lines_that_are_no_readings_are_refused_in_the_same_words(
    tmp_path: Path, change: Any
) -> None:
    path = tiny(tmp_path / "run")
    lines = (path / "samples.jsonl").read_text().splitlines()
    (path / "samples.jsonl").write_text("\n".join([*change(lines), ""]))
    with pytest.raises(StoreError) as slow:
        store.load(path)
    with pytest.raises(StoreError) as fast:
        load_columns(path)
    assert str(fast.value) == str(slow.value)


def test_small_pieces_give_the_same_columns(tmp_path: Path, monkeypatch: Any) -> None:
    path = tiny(tmp_path / "run")
    whole = load_columns(path)
    monkeypatch.setattr(columns, "PIECE", 700)
    stored, parts = load_columns(path)
    assert as_text(readings_of(stored, parts)) == as_text(readings_of(*whole))
    assert parts.numbers["at_ns"].tolist() == whole[1].numbers["at_ns"].tolist()
