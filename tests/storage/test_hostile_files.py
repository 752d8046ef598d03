"""Files of a run that somebody made to do harm: refused with file and place, or harmless."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile
import numpy as np
import pandas as pd
import pytest
from sample_run import write_run

from bench.analysis.run_analysis import analyse_stored
from bench.cli.main import main
from bench.cli.terminal.results import show_run
from bench.model.errors import StoreError, UsageError
from bench.report.run.build import build, make_charts
from bench.storage import limits as sanity
from bench.storage import runs as store
from bench.storage.limits import UNSEEN, is_reading
from bench.storage.npy import MOST_BYTES
from bench.storage.pytest_import import import_file
from bench.storage.runs import load

HARMLESS = np.ones((100, 1))


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", hostile.TRUTH)


def refused(run_dir: Path, *words: str) -> None:
    """Check that a run is refused, in one readable line that holds these words."""
    with pytest.raises(StoreError) as error:
        load(run_dir)
    text = str(error.value)
    assert not [word for word in words if word not in text], text
    assert str(run_dir) in text
    assert "\n" not in text
    assert not UNSEEN.search(text)
    assert len(text) < 1000


def edit(file: Path, change: Callable[[Any], object], line: int = 0) -> None:
    """Change one line of a file of lines, or a file that is one tree."""
    lines = file.read_bytes().splitlines() if file.suffix == ".jsonl" else [file.read_bytes()]
    tree = json.loads(lines[line])
    change(tree)
    lines[line] = json.dumps(tree).encode()
    file.write_bytes(b"\n".join(lines) + b"\n")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"schema":5', b'"schema":1e400', "out of range"),
        (b'"schema":5', b'"schema":NaN', "malformed"),
        (b'"schema":5', b'"schema":-Infinity', "malformed"),
        (b'"schema":5', b'"schema":1' + b"0" * 400, "more than 64 bits"),
        (b'"schema":5', b'"schema":1' + b"0" * 5000, "out of range"),
        (b'"schema":5', b'"schema":0', "schema: 0 is not from 1"),
        (b'"schema":5', b'"schema":true', "Expected `int`, got `bool`"),
        (b'"schema":5', b'"schema":5,"extra":' + b"[" * 10**5, "recursion"),
        (b'"schema":5', b'"schema":5,"x":' + b"[" * 50 + b"]" * 50, "nested more than 24 deep"),
        (b'"sample"', b'"\\ud800"', "malformed"),
        (b'"sample"', b'"\x1b[2J"', "malformed"),
        (b'"sample"', b'"\xff\xfe"', "utf-8"),
        (b'"sample"', b'""', "the name '' has 0 characters"),
        (b'"sample"', b'"' + b"x" * 300 + b'"', "has 300 characters"),
        (b'{"name"', b'\xef\xbb\xbf{"name"', "malformed"),
        (b'"finished"', b'"\\u001b[31mdone"', "Invalid enum value"),
        (b'"invocations":3', b'"invocations":-3', "at `$.plan.request.invocations`"),
        (b'"invocations":3', b'"invocations":10000000000', "<= 1000000 - at"),
        (b'"training_epochs":4', b'"training_epochs":-1', "at `$.plan.request.training_epochs`"),
        (b'"batch_size":5', b'"batch_size":0', "batch_size: 0 is not from 1"),
        (b'"batch_size":5', b'"batch_size":21', "rows: 20 is not from 21"),
        (b'"threads":1}', b'"threads":1000000}', "threads: 1000000 is not from 1"),
        (b'"layer_sizes":[1,4,1]', b'"layer_sizes":[1]', "layers: 1 is not from 2"),
        (b'"layer_sizes":[1,4,1]', b'"layer_sizes":[1,-4,1]', "layer_sizes: -4"),
        (b'"layer_sizes":[1,4,1]', b'"layer_sizes":[1,9999999999,1]', "layer_sizes: 9999999999"),
        (
            b'"layer_sizes":[1,4,1]',
            b'"layer_sizes":[2000000000,2000000000,2000000000]',
            "is beyond any machine",
        ),
        (b'"layer_sizes":[1,4,1]', b'"layer_sizes":[%s1]' % (b"1," * 2000), "layers: 2001"),
        (b'"epoch/1-4-1/b5/n20/f64/t1":2', b'"a":-2', ">= 0 - at `$.plan.rounds[...]`"),
        (b'"phase":"backprop"', b'"phase":"forward"', "is there twice"),
        (b'"label":"numpy-again"', b'"label":"numpy"', "the worker 'numpy' is there twice"),
    ],
)  # fmt: skip
def test_a_plan_that_is_none_is_refused(run_dir: Path, old: bytes, new: bytes, words: str) -> None:
    file = run_dir / "run.json"
    content = re.sub(rb"\s*([:,])\s*", rb"\1", file.read_bytes())
    if b"threads" in old or b"batch" in old or b"layer" in old:
        content = content.replace(old, new)
    else:
        assert old in content
        content = content.replace(old, new, 1)
    file.write_bytes(content)
    refused(run_dir, "run.json is damaged", words)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("loops", 10**400, "is no reading"), ("elapsed_ns", 10**400, "is no reading"),
        ("elapsed_ns", 10**19, "is no reading"), ("loops", 10**7, None),
        ("loops", 10**12, "is no reading"), ("invocation", -1, "invocation -1"),
        ("invocation", 2**64, "is not in the plan"), ("round", 3, "round 3 is not in the plan"),
        ("round", -1, "round -1"), ("at_ns", 2**63, "64 bits"), ("cpu_ns", -(2**70), "64 bits"),
        ("position", 10**30, "64 bits"), ("case", "../../etc/passwd", "is not in the plan"),
        ("worker", "\x1b[31m", "is not in the plan"), ("case", "x" * 10**5, "xxx...xxx"),
        ("warmup", False, "is the warm-up"),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_a_reading_that_cannot_be_is_refused(
    run_dir: Path, field: str, value: object, words: str | None
) -> None:
    edit(run_dir / "samples.jsonl", lambda sample: sample.update({field: value}))
    if words is None:
        load(run_dir)
    else:
        refused(run_dir, "samples.jsonl is damaged: line 1", words)


@pytest.mark.parametrize(
    ("file", "value", "words"),
    [
        ("parity.jsonl", {"tensors": [{}]}, "missing required field"),
        ("parity.jsonl", {"candidate": [[[]]]}, "Expected `str`"),
        ("faults.jsonl", {"invocation": 10**30}, "64 bits"),
        ("faults.jsonl", {"invocation": -7}, "invocation: -7"),
    ],
)
def test_other_lines_are_checked_too(
    run_dir: Path, file: str, value: dict[str, Any], words: str
) -> None:
    edit(run_dir / file, lambda record: record.update(value))
    refused(run_dir, f"{file} is damaged: line 1", words)


def test_readings_at_the_ends_of_what_can_be_break_no_statistics(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(line) for line in (run_dir / "samples.jsonl").read_bytes().splitlines()]
    lines = [sample for sample in lines if sample["invocation"] < 2]  # the widest interval
    for sample in lines:
        slow = (sample["worker"] == "mojo") == (sample["invocation"] == 0)
        sample |= {"elapsed_ns": 10**18, "loops": 1} if slow else {"elapsed_ns": 1, "loops": 1000}
    (run_dir / "samples.jsonl").write_text("".join(f"{json.dumps(s)}\n" for s in lines))
    assert is_reading(10**18, 1)
    assert is_reading(1, 1000)
    build(run_dir)
    show_run(run_dir)
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["samples.jsonl", "parity.jsonl"])
def test_a_file_that_unpacks_without_end_is_left_early(
    run_dir: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = (run_dir / name).read_bytes().splitlines()[0] + b"\n"
    (run_dir / name).unlink()
    packed = run_dir / f"{name}.gz"
    monkeypatch.setattr(store, "LARGEST_LINES", 1 << 20)
    packed.write_bytes(gzip.compress(line * (1 + (2 << 20) // len(line))))
    refused(run_dir, f"{name}.gz is damaged", "more than 1 MiB unpacked")
    monkeypatch.setattr(store, "LONGEST_LINE", 1 << 16)
    packed.write_bytes(gzip.compress(b"x" * (1 << 20)))
    refused(run_dir, "line 1 is longer than")
    packed.write_bytes(gzip.compress(b"\n" * (1 << 20)))
    refused(run_dir, "line 1")


def test_a_real_bomb_takes_little_memory(run_dir: Path) -> None:
    """A gibibyte of zeros in one megabyte: what is unpacked is the longest line there may be."""
    (run_dir / "samples.jsonl").unlink()
    whole = io.BytesIO()
    part = gzip.compress(bytes(64 << 20), 1)
    for _ in range(16):
        whole.write(part)
    (run_dir / "samples.jsonl.gz").write_bytes(whole.getvalue())
    refused(run_dir, "samples.jsonl.gz is damaged: line 1 is longer than 4 MiB")


def test_a_run_json_without_end_is_refused(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LARGEST_RUN", 100)
    refused(run_dir, "run.json is damaged: it is larger than")


@pytest.mark.parametrize("name", ["run.json", "samples.jsonl", "training.npz"])
def test_pipes_and_devices_are_not_read(run_dir: Path, name: str) -> None:
    (run_dir / name).unlink()
    os.mkfifo(run_dir / name)
    refused(run_dir, name, "it is no file")
    (run_dir / name).unlink()
    (run_dir / name).symlink_to("/dev/zero")
    refused(run_dir, name, "it is no file")


def npy(shape: object, dtype: str = "<f8", data: bytes = b"", order: bool = False) -> bytes:
    """Write a .npy file whose header says what one likes."""
    header = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def write_zip(path: Path, entries: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy((10**12,)), "too short for its shape"),
        (npy((2**62, 2**62)), "too short"),
        (npy((-1, 5)), "has the shape"),
        (npy((5,), data=bytes(39)), "39 bytes for its shape"),
        (npy((5,), data=bytes(48)), "48 bytes for its shape"),
        (npy((2, 2, 2), data=bytes(64)), "has the shape"),
        (npy((2,), "|O", b"cos\nsystem\n(S'false'\ntR."), "object"),
        (npy((2,), "<i8", bytes(16)), "int64, not float64"),
        (npy((2,), "<c16", bytes(32)), "complex128"),
        (npy((2,), "<U1", bytes(8)), "not float64"),
        (npy("(" * 500 + ")" * 500), ""),
        (npy("__import__('os').getpid()"), ""),
        (npy("()," + " " * 20_000), ""),
        (b"", ""),
        (b"\x93NUMPY\x09\x00", "version"),
        (b"PK\x03\x04", ""),
    ],
)
def test_arrays_that_lie_are_refused_before_memory_is_taken(
    run_dir: Path, content: bytes, words: str
) -> None:
    write_zip(run_dir / "training.npz", {"X.npy": content})
    refused(run_dir, "training.npz is damaged", words)


def test_arrays_that_unpack_without_end_are_refused(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run_dir / "training.npz"
    write_zip(path, {f"{number}.npy": b"" for number in range(300)})
    refused(run_dir, "300 arrays, more than 200")
    monkeypatch.setattr("bench.storage.npy.MOST_BYTES", 10_000)
    write_zip(path, {"X.npy": npy((2000,), data=bytes(16_000))})
    refused(run_dir, "its arrays take more than")
    path.write_bytes(b"no archive")
    refused(run_dir, "training.npz is damaged", "not a zip file")
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)  # a hole: takes no room
    refused(run_dir, "it is larger than 256 MiB")


def test_no_name_in_an_archive_is_a_path(run_dir: Path) -> None:
    data = npy((2,), data=bytes(16))
    write_zip(run_dir / "training.npz", {"../../evil.npy": data, "/evil.npy": data, "X": data})
    assert load(run_dir).training.keys() == {"../../evil", "/evil", "X"}
    build(run_dir)
    assert [path.name for path in run_dir.parent.iterdir()] == ["run"]
    assert not Path("/evil.npy").exists()


ARRAYS = {
    "not finite": np.array([np.nan, np.inf, -np.inf, 1.0] * 25).reshape(100, 1),
    "all infinite": np.full((100, 1), np.inf),
    "huge": np.full((100, 1), 1.7e308),
    "of both signs": np.array([1.7e308, -1.7e308] * 50).reshape(100, 1),
    "tiny": np.full((100, 1), 5e-324),
    "nothing": np.empty((0, 1)),
    "zeros": np.zeros((100, 1)),
    "a number": np.float64(3.0),
    "below zero": -HARMLESS,
    "other order": np.asfortranarray(np.arange(100.0).reshape(50, 2)),
    "other bytes": HARMLESS.astype(">f8"),
    "single": HARMLESS.astype(np.float32),
}  # fmt: skip


@pytest.mark.parametrize("which", ["training_loss", "curve", "grid", "X"])
@pytest.mark.parametrize("kind", ARRAYS)
def test_whatever_is_in_the_arrays_charts_are_drawn_or_left_out(
    run_dir: Path, which: str, kind: str
) -> None:
    with np.load(run_dir / "training.npz") as file:
        arrays = dict(file)
    for name in arrays:
        if name.rpartition("/")[2] == which:
            arrays[name] = ARRAYS[kind]
    np.savez(run_dir / "training.npz", **arrays)
    for name, array in load(run_dir).training.items():
        np.testing.assert_array_equal(array, arrays[name])
        assert array.dtype.isnative
    stored = load(run_dir)
    make_charts(analyse_stored(stored))


def test_a_link_in_place_of_charts_leads_nowhere(run_dir: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "drawing.svg").write_text("<svg/>")
    (run_dir / "charts").symlink_to(mine)
    with pytest.raises(StoreError, match="charts is a link that leads elsewhere; remove it"):
        build(run_dir)
    assert [path.name for path in mine.iterdir()] == ["drawing.svg"]


def test_no_cell_of_the_table_is_a_formula(run_dir: Path) -> None:
    def infect(fault: Any) -> None:
        fault["worker"] = '=HYPERLINK("http://example.org","x")'

    edit(run_dir / "faults.jsonl", infect)
    build(run_dir)
    table = pd.read_csv(run_dir / "results.csv")
    assert [reason for reason in table["reason"].dropna() if reason.startswith("'=HYPERLINK")]
    assert not table.map(lambda cell: isinstance(cell, str) and cell[0] in "=+-@").any(axis=None)


def test_nothing_that_a_terminal_obeys_reaches_it(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nasty = "\x1b]0;owned\x07\x1b[31m[red]x[/red][link=http://example.org]y[/link]\u202e\x9b2J"

    def infect(run: Any) -> None:
        run["environment"]["machine"]["cpu"] = nasty
        for worker in run["plan"]["request"]["workers"]:
            worker["implementation"] = nasty

    edit(run_dir / "run.json", infect)
    edit(run_dir / "faults.jsonl", lambda fault: fault.update(reason=nasty))
    with pytest.raises(SystemExit) as ended:
        main(["report", str(run_dir)])
    assert ended.value.code == 1  # a fault, so a case is INVALID
    shown = capsys.readouterr()
    assert not UNSEEN.search(shown.out + shown.err)
    assert "[red]x[/red][link=http://example.org]y[/link]" in shown.out


def test_what_is_replaced_is_what_cannot_be_seen() -> None:
    text = "Größe 数 \U0001f600 a\tb\nc | <b> [red]"
    assert sanity.plain(text) == text
    assert sanity.plain("a\x00\x1b\x7f\x9b\u202e\ud800\uffffz") == f"a{sanity.SHOWN * 7}z"


@pytest.mark.parametrize(
    "content",
    [b"[" * 10**5, b'{"a":' * 50 + b"1" + b"}" * 50, b'{"version":1' + b"0" * 400 + b"}"],
)
def test_files_of_pytest_benchmark_are_strangers_too(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "speed.json"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="is not a file of pytest-benchmark"):
        import_file(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
