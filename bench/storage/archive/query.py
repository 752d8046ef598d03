"""SQL over a store, by DuckDB in this process: it reads the store, and nothing else.

A query may come from a stranger's page and a store from a stranger's disk. So the tables are handed
over as Arrow, then the database loses access to files, the network and extensions, and its settings
are locked; one statement is run, and only one that reads.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.model.errors import UsageError
from bench.model.threads import cores
from bench.storage.archive.store import dataset
from bench.storage.limits import FORMULA, plain

TABLES = {"samples": "samples", "runs": "run", "results": "results"}
"""Names of the tables, and the files that they are read from."""
SETTINGS = {
    "python_enable_replacements": "false",  # names of variables of this program as tables
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "memory_limit": "'1GB'",
    "temp_directory": "''",
    "enable_external_access": "false",  # files, the network, ATTACH, COPY, INSTALL, LOAD
}
AT_A_TIME = 10_000
MOST_SAID = 600


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a query came to: heads, and rows as they come."""

    heads: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


def query(path: Path, sql: str) -> Answer:
    """Ask a store.

    Args:
        path: The store.
        sql: One SELECT (or EXPLAIN, DESCRIBE, SUMMARIZE) on `samples`, `runs` and `results`.

    Raises:
        UsageError: The statement is wrong or does more than read.
        StoreError: The store is missing or damaged.
    """
    import duckdb

    tables = {name: dataset(path, kind) for name, kind in TABLES.items()}
    connection = duckdb.connect(":memory:")
    for name, table in tables.items():
        connection.register(name, table)
    for name, value in SETTINGS.items():
        connection.execute(f"SET {name} = {value}")
    connection.execute(f"SET threads = {cores()}")
    connection.execute("SET lock_configuration = true")
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise UsageError(f"give one SQL statement, not {len(statements)}")
        kind = str(statements[0].type).rpartition(".")[2]
        if kind not in ("SELECT", "EXPLAIN"):
            raise UsageError(f"{kind} is not allowed: a query only reads; write SELECT ... FROM")
        found = connection.execute(statements[0])
        heads = tuple(column[0] for column in found.description)
    except duckdb.Error as error:
        raise _wrong(error) from None
    return Answer(heads, _rows(connection, found, duckdb.Error))


def _rows(connection: Any, found: Any, kind: type[Exception]) -> Iterator[tuple[Any, ...]]:
    try:
        while rows := found.fetchmany(AT_A_TIME):
            yield from rows
    except kind as error:
        raise _wrong(error) from None
    finally:
        connection.close()


def as_csv(answer: Answer) -> Iterator[str]:
    """Write an answer as CSV, line by line; a text that a spreadsheet would compute is text."""
    yield _csv_line(answer.heads)
    for row in answer.rows:
        yield _csv_line(row)


def as_json(answer: Answer) -> Iterator[str]:
    """Write an answer as JSON, an object a line."""
    for row in answer.rows:
        named = dict(zip(answer.heads, map(_to_json, row), strict=True))
        yield msgspec.json.encode(named, enc_hook=str).decode()


def as_texts(answer: Answer) -> Iterator[tuple[str, ...]]:
    """Write the rows of an answer for people: a number to six digits, a text as it is."""
    for row in answer.rows:
        yield tuple(map(_to_text, row))


def _to_text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    return plain(str(value)).expandtabs().rstrip("\n")


def _csv_line(row: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(_to_csv, row))
    return line.getvalue().removesuffix("\n")


def _to_csv(value: object) -> object:
    if isinstance(value, str):
        text = plain(value)
        return f"'{text}" if text.startswith(FORMULA) else text
    return value


def _to_json(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return str(value)  # a HUGEINT
    return plain(value) if isinstance(value, str) else value


def _wrong(error: Exception) -> UsageError:
    """Say what is wrong with a statement, and what there is to ask."""
    text = plain(str(error)).strip()
    text = text if len(text) <= MOST_SAID else f"{text[:MOST_SAID]}..."
    return UsageError(
        f'{text}\nThe tables are {", ".join(TABLES)}; `bench query "DESCRIBE results"` lists the '
        "columns of one. A query reads the store and nothing else: no files, no network."
    )
