"""The published schema is what the code says, fits every run, refuses what is wrong."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from sample_run import Truth, write_run

from bench.model.errors import StoreError
from bench.model.paths import PROJECT
from bench.model.records import SCHEMA_VERSION
from bench.storage import schema
from bench.storage.runs import LINES, RUN, load

PUBLISHED = json.loads(schema.FILE.read_bytes())
OF_OLDER = json.loads(schema.FILE.with_name(f"run-{schema.OLDER}.json").read_bytes())
KINDS = {RUN: "Run", **{file: record.__name__ for record, file in LINES.items()}}
OLD_RUNS = Path(__file__).parent / "old_runs"
STORED = [
    *(PROJECT / "results" / name for name in ("reference", "roofline")),
    *sorted(OLD_RUNS.iterdir()),
]
ALL, SOME = 200, 100
"""To check a line takes a tenth of a millisecond: the first ones, and some of the rest."""


def validator(kind: str, version: int = SCHEMA_VERSION) -> Draft202012Validator:
    records = (PUBLISHED if version > schema.OLDER else OF_OLDER)["$defs"]
    return Draft202012Validator(
        {"$schema": schema.DIALECT, "$ref": f"#/$defs/{kind}", "$defs": records}
    )


def lines_of(run_dir: Path, file: str) -> Iterator[Any]:
    """Read a whole file, or of a long one the first lines and some others."""
    path = run_dir / file
    if not path.exists():
        packed = path.with_name(f"{file}.gz")
        content = gzip.decompress(packed.read_bytes()) if packed.exists() else b""
    else:
        content = path.read_bytes()
    if file == RUN:
        yield json.loads(content)
        return
    lines = content.splitlines()
    rest = lines[ALL:]
    yield from map(json.loads, lines[:ALL])
    yield from map(json.loads, random.Random(0).sample(rest, min(SOME, len(rest))))


def test_the_file_is_what_the_records_say() -> None:
    assert schema.FILE.read_bytes() == schema.text(), "run `python -m bench.storage.schema`"
    Draft202012Validator.check_schema(PUBLISHED)
    assert PUBLISHED["$id"].endswith(f":{SCHEMA_VERSION}")
    assert PUBLISHED["version"] == SCHEMA_VERSION == max(schema.HISTORY)
    for file, kind in KINDS.items():
        assert f"{file} " in PUBLISHED["description"]
        assert PUBLISHED["$defs"][kind]["description"]


def test_the_command_writes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(schema, "PROJECT", tmp_path)
    monkeypatch.setattr(schema, "FILE", tmp_path / "schema" / "run.json")
    schema.main()
    assert capsys.readouterr().out == "wrote schema/run.json\n"
    assert (tmp_path / "schema" / "run.json").read_bytes() == schema.text()
    monkeypatch.setattr(schema, "FILE", tmp_path / "schema" / "run.json" / "below")
    with pytest.raises(StoreError, match="cannot write"):
        schema.main()


@pytest.mark.parametrize("run_dir", STORED, ids=lambda path: path.name)
@pytest.mark.parametrize("file", KINDS)
def test_every_stored_run_fits(run_dir: Path, file: str) -> None:
    (run,) = lines_of(run_dir, RUN)
    check = validator(KINDS[file], run["schema"])
    for tree in lines_of(run_dir, file):
        check.validate(tree)


def test_the_whole_schema_is_that_of_run_json(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", Truth(invocations=2))
    Draft202012Validator(PUBLISHED).validate(next(lines_of(run_dir, RUN)))
    (old,) = lines_of(STORED[0], RUN)
    Draft202012Validator(OF_OLDER).validate(old)
    assert not Draft202012Validator(PUBLISHED).is_valid(old)


def test_a_fresh_run_of_this_version_fits(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", Truth(invocations=2))
    for file, kind in KINDS.items():
        for tree in lines_of(run_dir, file):
            validator(kind).validate(tree)


def change(path: str, value: Any) -> Callable[[Any], None]:
    """Return what puts a value at a place such as `plan.cases.0.phase`; None removes it."""
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]

    def edit(tree: Any) -> None:
        for part in way:
            tree = tree[part]
        if value is None:
            del tree[last]
        else:
            tree[last] = value

    return edit


@pytest.mark.parametrize(
    ("file", "path", "value"),
    [
        (RUN, "plan", None), (RUN, "name", 5), (RUN, "name", ""), (RUN, "schema", 0),
        (RUN, "schema", SCHEMA_VERSION + 1), (RUN, "status", "asleep"),
        (RUN, "source", "elsewhere"),
        (RUN, "plan.request.invocations", 0), (RUN, "plan.request.invocations", 1.5),
        (RUN, "plan.request.workers", []), (RUN, "plan.request.training_epochs", -1),
        (RUN, "plan.request.cases.0.phase", "sleep"), (RUN, "plan.rounds", {"a": -2}),
        (RUN, "plan.request.cases.0.problem.layer_sizes", [5]),
        (RUN, "plan.request.cases.0.problem.layer_sizes", [1, 10**30, 1]),
        (RUN, "plan.request.cases.0.problem.threads", 0),
        (RUN, "plan.request.cases.0.problem.dtype", "int8"),
        (RUN, "plan.request.workers.0.role", "judge"),
        (RUN, "plan.request.workers.0.label", "x" * 1000),
        (RUN, "environment.software", {"python": 3}),
        ("samples.jsonl", "case", None), ("samples.jsonl", "elapsed_ns", 0),
        ("samples.jsonl", "elapsed_ns", 1.5), ("samples.jsonl", "elapsed_ns", 10**400),
        ("samples.jsonl", "loops", 0), ("samples.jsonl", "warmup", "no"),
        ("samples.jsonl", "invocation", -1), ("samples.jsonl", "cpu_ns", "much"),
        ("parity.jsonl", "tensors.0.error", -1.0), ("parity.jsonl", "tensors", "all"),
        ("parity.jsonl", "tensors.0.ok", 1),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_by_the_schema_and_by_the_program(
    tmp_path: Path, file: str, path: str, value: Any
) -> None:
    run_dir = write_run(tmp_path / "run", Truth(invocations=1, rounds=2, training_epochs=0))
    first, *rest = (run_dir / file).read_bytes().splitlines()
    tree = json.loads(first)
    assert validator(KINDS[file]).is_valid(tree)
    change(path, value)(tree)
    assert not validator(KINDS[file]).is_valid(tree)
    (run_dir / file).write_bytes(b"\n".join([json.dumps(tree).encode(), *rest, b""]))
    with pytest.raises(StoreError):
        load(run_dir)


def test_what_the_schema_has_of_limits_names_fields_that_exist() -> None:
    for record, fields in schema.LIMITS.items():
        assert set(fields) <= set(PUBLISHED["$defs"][record]["properties"])
    assert msgspec.json.decode(schema.text()) == PUBLISHED
