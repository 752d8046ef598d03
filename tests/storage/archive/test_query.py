"""SQL over a store: what it answers, how it is shown, and that it reaches nothing but the store."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="the store of runs needs pyarrow")

from sample_run import Truth, write_run

from bench.cli.terminal.fleet import MOST_SHOWN, show_answer
from bench.model.errors import StoreError, UsageError
from bench.model.records import Problem
from bench.storage.archive.merge import merge
from bench.storage.archive.query import TABLES, Answer, as_csv, as_json, query
from bench.storage.archive.store import SCHEMAS

Bench = Callable[..., tuple[int, str, str]]
TINY = Problem((1, 4, 1), 5, 20, "float64", 1)
HOSTILE = "\x1b[31mred"
INERT = "\N{REPLACEMENT CHARACTER}[31mred"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("query")
    for number, cpu in enumerate(("=1+1", HOSTILE, "Example, CPU")):
        truth = Truth(
            problems=(TINY,), invocations=10, rounds=2, training_epochs=0,
            machine={"cpu": cpu, "physical cores": number + 1},
        )  # fmt: skip
        write_run(folder / "runs" / str(number), truth)
    merge([folder / "runs"], folder / "store")
    return folder / "store"


def rows(store: Path, sql: str) -> list[tuple[Any, ...]]:
    pytest.importorskip("duckdb", reason="SQL needs duckdb")
    return list(query(store, sql).rows)


def test_the_three_tables_can_be_joined(filled: Path) -> None:
    assert rows(filled, "SELECT count(*), sum(samples) FROM runs")[0][0] == 3
    sql = (
        "SELECT count(*) FROM samples s JOIN results r USING (run, case_id) JOIN runs USING (run) "
        "WHERE r.phase = 'epoch' AND NOT warmup AND physical_cores = 2 AND s.worker = 'mojo'"
    )
    assert rows(filled, sql) == [(20,)]
    machines = rows(filled, "SELECT DISTINCT machine FROM samples ORDER BY 1")
    assert machines == rows(filled, "SELECT machine FROM runs ORDER BY 1")


def test_no_column_needs_quotes(filled: Path) -> None:
    for table, schema in zip(("runs", "results", "samples"), SCHEMAS.values(), strict=True):
        assert rows(filled, f"SELECT {', '.join(schema.names)} FROM {table} LIMIT 1")


@pytest.mark.parametrize(
    "sql",
    ["DESCRIBE results", "SHOW TABLES", "SUMMARIZE runs", "EXPLAIN FROM runs", "FROM samples"],
)
def test_what_only_reads_is_allowed(filled: Path, sql: str) -> None:
    assert rows(filled, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM '{file}'",
        "FROM read_text('{file}')",
        "FROM read_blob('{file}')",
        "FROM read_parquet('{store}/v2/*/*/run.parquet')",
        "FROM read_json('http://localhost/x')",
        "FROM glob('{folder}/*')",
        "FROM sniff_csv('{file}')",
        "SELECT getenv('HOME')",
        "COPY runs TO '{new}'",
        "COPY runs TO '{store}/new'",
        "EXPLAIN ANALYZE COPY runs TO '{new}'",
        "EXPLAIN ANALYZE COPY runs TO '{store}/new'",
        "FROM query('COPY runs TO ''{new}''')",
        "EXPORT DATABASE '{new}'",
        "IMPORT DATABASE '{folder}'",
        "ATTACH '{new}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "RESET lock_configuration",
        "EXPLAIN ANALYZE SET memory_limit = '100GB'",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "CREATE TABLE x AS SELECT 1",
        "DROP VIEW runs",
        "INSERT INTO runs SELECT * FROM runs",
        "SELECT 1; COPY runs TO '{new}'",
        "SELECT * FROM filled",
        "SELECT * FROM tables",
        "",
        "SELEC 1",
    ],
)
def test_what_reaches_beyond_the_store_is_refused(filled: Path, tmp_path: Path, sql: str) -> None:
    file, new = tmp_path / "secret.csv", tmp_path / "new"
    file.write_text("secret\n1\n")
    before = sorted(filled.rglob("*"))
    with pytest.raises(UsageError) as refused:
        rows(filled, sql.format(file=file, new=new, folder=tmp_path, store=filled))
    assert "secret\n" not in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.csv"]
    assert sorted(filled.rglob("*")) == before


def test_a_store_that_is_missing_is_told(tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="SQL needs duckdb")
    with pytest.raises(StoreError, match="is not a store of runs"):
        query(tmp_path, "SELECT 1")


@pytest.mark.parametrize(("table", "kind"), TABLES.items())
def test_a_damaged_file_is_named(filled: Path, tmp_path: Path, table: str, kind: str) -> None:
    shutil.copytree(filled, tmp_path / "store")
    file = sorted((tmp_path / "store").rglob(f"{kind}.parquet"))[-1]
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(UsageError, match=str(file)):
        rows(tmp_path / "store", f"FROM {table}")


def test_without_duckdb_one_line_says_how_to_get_it(
    filled: Path, monkeypatch: Any, bench: Bench
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    code, out, err = bench("query", "FROM runs", "--store", str(filled))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "pip install -c constraints.txt duckdb" in err


def test_answers_come_as_csv_and_json(filled: Path, bench: Bench) -> None:
    pytest.importorskip("duckdb", reason="SQL needs duckdb")
    sql = "SELECT cpu, physical_cores AS cores, 0.5::DOUBLE AS half FROM runs ORDER BY cores"
    words = ("query", sql, "--store", str(filled), "--format")
    code, out, err = bench(*words, "csv")
    assert (code, err) == (0, "")
    found = list(csv.DictReader(io.StringIO(out)))
    # A spreadsheet must not compute the first, nor a terminal obey the second.
    assert [row["cpu"] for row in found] == ["'=1+1", INERT, "Example, CPU"]
    code, out, err = bench(*words, "json")
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["cores"], line["half"]) for line in lines] == [(1, 0.5), (2, 0.5), (3, 0.5)]


VALUES = (None, float("nan"), float("inf"), 2**100, b"\x00", [1], {"a": 1}, "z" * 500, "a\nb")


def test_any_value_can_be_written() -> None:
    def answer() -> Answer:
        return Answer(tuple(map(str, range(len(VALUES)))), iter([VALUES]))

    (line,) = as_json(answer())
    assert list(json.loads(line).values())[:4] == [None, None, None, str(2**100)]
    assert len(list(csv.reader(io.StringIO("\n".join(as_csv(answer())), newline="")))) == 2


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.cli.terminal.text.WIDTH_OF_FILES", 80)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("table", TABLES)
def test_whole_rows_are_readable_in_80_columns(filled: Path, bench: Bench, table: str) -> None:
    """No value is cut: a column has a line, and only what is longer than that goes on below."""
    sql = f"FROM {table} ORDER BY ALL LIMIT 3"
    found = query(filled, sql)
    code, out, _ = bench("query", sql, "--store", filled)
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in out
    assert [line.rstrip() for line in lines if line.startswith("row")] == [
        "row 1",
        "row 2",
        "row 3",
    ]
    pairs = [line.split(maxsplit=1) for line in lines]
    heads = [pair[0] for pair in pairs if pair[0] in found.heads]
    assert heads == list(found.heads) * 3
    together = "".join(out.split())
    for row in found.rows:
        for value in row:
            if isinstance(value, str) and value != HOSTILE:
                assert "".join(value.split()) in together


@pytest.mark.usefixtures("narrow")
def test_rows_that_fit_stand_in_a_table(filled: Path, bench: Bench) -> None:
    sql = "SELECT case_id, ratio, verdict FROM results ORDER BY ALL LIMIT 3"
    _, out, _ = bench("query", sql, "--store", filled)
    rest = [line.split() for line in out.splitlines() if line.strip()]
    assert rest[0] == ["case_id", "ratio", "verdict"]
    told = [(case, f"{ratio:.6g}", verdict) for case, ratio, verdict in rows(filled, sql)]
    assert [tuple(line) for line in rest[2:]] == told


@pytest.mark.usefixtures("narrow")
def test_any_value_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    heads = (*map(str, range(len(VALUES) - 1)), "head " * 40)
    show_answer(Answer(heads, iter([VALUES])), "table")
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("z") == 500
    assert out.count("head") == 40
    assert str(2**100) in out


def test_a_table_ends_and_says_how_many_rows_it_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_answer(Answer(("n",), ((n,) for n in range(1000))), "table")
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines].count(str(MOST_SHOWN - 1)) == 1
    assert str(MOST_SHOWN) not in [line.strip() for line in lines]
    assert lines[-1].startswith("900 more rows")
