"""The JSON schema of a run's files: `python -m bench.storage.schema` makes it of the records.

For programs of others that read our runs. A test holds the file in the repository to what the
records say, so that it cannot fall behind; the limits in it are those of `bench.storage.limits`.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

import msgspec

from bench.model.errors import StoreError
from bench.model.paths import PROJECT
from bench.model.records import (
    SCHEMA_VERSION,
    Cost,
    FairnessCheck,
    Fault,
    ParityResult,
    Run,
    Sample,
)
from bench.storage.atomic_files import write_whole
from bench.storage.limits import LONGEST_NAME, LONGEST_NS, MOST
from bench.storage.old_versions import BEFORE
from bench.storage.runs import LINES, RUN

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILE = PROJECT / "docs" / "schema" / f"run-{SCHEMA_VERSION}.json"

OLDER = max(BEFORE)
"""Whose schema stays published beside this one: files of older versions fit it."""
HISTORY = {
    1: "The first.",
    2: "Cases may be probes of the machine (phases peak, memory and cache), with readings of one "
    "worker only.",
    3: "The contract is stored (contract.jsonl), a sample tells what the system did meanwhile, a "
    "plan may have a target, a run may be resumed.",
    4: "Parts of phases are cases of their own (phases such as forward-products), with readings of "
    "the baseline's first slot and the candidates. Costs are stored (costs.jsonl): start, memory, "
    "sizes, time to compile.",
    5: "A plan holds the request that it was made for (plan.request), and crew_ns is group_ns. "
    f"Files of versions 1 to {OLDER} fit run-{OLDER}.json.",
}
Limits = dict[str, dict[str, Any]]
_NAME = {"minLength": 1, "maxLength": LONGEST_NAME}
_SIZE = {"minimum": 1, "maximum": MOST["layer_sizes"]}
LIMITS: dict[str, Limits] = {
    "Run": {"name": _NAME, "schema": {"const": SCHEMA_VERSION}},
    "WorkerSpec": {"label": _NAME, "implementation": _NAME},
    "Problem": {
        "layer_sizes": {
            "minItems": 2,
            "maxItems": MOST["layers"],
            "items": {"type": "integer", **_SIZE},
        },
        **{name: {"minimum": 1, "maximum": MOST[name]} for name in ("batch_size", "threads")},
        "rows": {"minimum": 1, "maximum": MOST["rows"]},
    },
    "Sample": {
        "loops": {"minimum": 1, "maximum": MOST["loops"]},
        "elapsed_ns": {"minimum": 1, "maximum": LONGEST_NS},
        "invocation": {"minimum": 0, "maximum": MOST["invocations"]},
        "round": {"minimum": 0},
    },
    "TensorCheck": {"error": {"minimum": 0}, "tolerance": {"minimum": 0}},
    "Fault": {"invocation": {"minimum": -1}},
    "Cost": {
        "value": {"minimum": 0, "maximum": LONGEST_NS},
        "round": {"minimum": 0, "maximum": MOST["cost_rounds"]},
    },
}
"""What a field may hold beyond its type, by record."""


def schema() -> dict[str, Any]:
    """Make the schema: a tree of JSON, the same each time."""
    _, records = msgspec.json.schema_components(
        [Run, Sample, ParityResult, FairnessCheck, Fault, Cost]
    )
    for name, record in records.items():
        record["description"] = inspect.cleandoc(record["description"])
        for field, limits in LIMITS.get(name, {}).items():
            record["properties"][field] |= limits
    files = {RUN: "Run", **{file: record.__name__ for record, file in LINES.items()}}
    told = "; ".join(f"{file} {_what(file)} {name}" for file, name in files.items())
    past = " ".join(f"Version {version}: {text}" for version, text in HISTORY.items())
    return {
        "$schema": DIALECT,
        "$id": f"urn:python-vs-mojo:run:{SCHEMA_VERSION}",
        "title": f"Files of a run of python-vs-mojo, version {SCHEMA_VERSION}",
        "description": (
            f"By file: {told} (a record a line; such a file may be packed by gzip). The whole "
            f"schema is that of run.json; take others from $defs. {past} Readers ignore fields "
            "that they do not know, and refuse a version above their own."
        ),
        "version": SCHEMA_VERSION,
        "$ref": "#/$defs/Run",
        "$defs": dict(sorted(records.items())),
    }


def _what(file: str) -> str:
    return "is a" if file == RUN else "has lines of"


def text() -> bytes:
    """Write the schema as it stands in the repository."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2) + b"\n"


def main() -> None:
    """Write the schema's file.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        FILE.parent.mkdir(exist_ok=True)
        write_whole(FILE, text())
    except OSError as error:
        raise StoreError(f"cannot write {FILE}: {error.strerror}") from error
    sys.stdout.write(f"wrote {FILE.relative_to(PROJECT)}\n")


if __name__ == "__main__":
    main()
