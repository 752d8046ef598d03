"""The lines between runner and worker as typed records: the protocol of docs/protocol.md.

Our worker, the runner and the conformance kit read and write lines by these records.
`python -m bench.workers.messages` writes their JSON schema, `bench/workers/protocol.schema.json`.
Pure but for that command.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from bench.model.errors import StoreError, UsageError
from bench.model.records import PHASES, Phase, Problem
from bench.storage.atomic_files import write_whole

PROTOCOL = 1
"""Version of the lines. A change that a worker of others could notice makes it another one."""
HISTORY = {1: "The first (2026-11)."}
DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILE = Path(__file__).with_name("protocol.schema.json")

Count = Annotated[int, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Text = Annotated[str, Meta(min_length=1)]


class Request(Struct, frozen=True, tag_field="op", forbid_unknown_fields=True):
    """What a worker is asked, one object a line; `op` says which."""


class Describe(Request, frozen=True, tag="describe"):
    """Tell what you are; may come before anything is prepared."""


class Prepare(Request, frozen=True, tag="prepare"):
    """Read the data, make a network with the weights of the seed, forget what was there before."""

    problem: Problem
    data: Text  # a folder with X.npy, y.npy, X_val.npy, y_val.npy in the problem's dtype
    seed: Seed


class Tensors(Request, frozen=True, tag="tensors"):
    """Compute every tensor once from fresh weights, write each to its file, then reset."""

    folder: Text  # empty; the worker writes NAME.npy into it
    epochs: Count  # of the losses; 0: only what comes of one batch and one step


class Sample(Request, frozen=True, tag="sample"):
    """Repeat a phase and tell how long all repetitions took together."""

    phase: Phase
    loops: AtLeastOne
    rouse_ns: Count = 0  # work untimed for so long or longer before


class Reset(Request, frozen=True, tag="reset"):
    """Bring weights and random stream back to the state after `prepare`."""


class Train(Request, frozen=True, tag="train"):
    """Train from fresh weights and write the losses."""

    folder: Text
    epochs: AtLeastOne


class Costs(Request, frozen=True, tag="costs"):
    """Tell what starting took; comes after `prepare`, in a process that has computed nothing."""


class Quit(Request, frozen=True, tag="quit"):
    """End, with exit code 0; there is no answer."""


class Answer(Struct, frozen=True, omit_defaults=True):
    """What a worker answers when it did what it was asked; members not named here may stand."""

    ok: Literal[True]

    def line(self) -> dict[str, Any]:
        """Return the members of its line, without those that are not told."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told


class Done(Answer, frozen=True):
    """The answer to prepare, reset and train."""


class Described(Answer, frozen=True):
    """The answer to describe."""

    protocol: Literal[1]
    implementation: Text
    language: Text
    threads: AtLeastOne  # counted inside the process, not echoed
    denormals: Literal["kept", "flushed"]
    rounding: Text  # "to nearest", or what else
    versions: dict[str, str] = {}
    facts: dict[str, str] = {}
    phases: list[Phase] = msgspec.field(default_factory=lambda: list(PHASES))


class TensorsWritten(Answer, frozen=True):
    """The answer to tensors."""

    inputs: Annotated[str, Meta(pattern="^[0-9a-f]{8}$")]  # CRC-32 of the data's numbers
    layout: Text  # "dense, C order", or what else


class Sampled(Answer, frozen=True):
    """The answer to sample: by the implementation's clock, around the loops only."""

    elapsed_ns: AtLeastOne
    wall_ns: Count | None = None  # by a second reading of the clock around that
    cpu_ns: Count | None = None  # of all threads of the process, in the same while
    preempted: Count | None = None
    page_faults: Count | None = None


class CostsTold(Answer, frozen=True, rename=lambda name: name.rstrip("_").replace("_", " ")):
    """The answer to costs: nanoseconds and bytes; what is left out is stored as not told."""

    import_: Count | None = None
    first_call: Count | None = None
    second_call: Count | None = None
    memory_after_import: Count | None = None
    peak_memory: Count | None = None
    page_faults: Count | None = None
    libraries_loaded: Count | None = None


class Refused(Struct, frozen=True):
    """The answer to what cannot be served; the worker lives on."""

    ok: Literal[False]
    error: Text
    message: str


REQUESTS: dict[str, type[Request]] = {
    "describe": Describe,
    "prepare": Prepare,
    "tensors": Tensors,
    "sample": Sample,
    "reset": Reset,
    "train": Train,
    "costs": Costs,
    "quit": Quit,
}
ANSWERS: dict[str, type[Answer]] = {
    "describe": Described,
    "prepare": Done,
    "tensors": TensorsWritten,
    "sample": Sampled,
    "reset": Done,
    "train": Done,
    "costs": CostsTold,
}
"""What is answered, by request; `quit` has no answer."""


Told = TypeVar("Told", bound=Answer)


def read_request(line: str) -> Request:
    """Read a line as a request.

    Raises:
        ValueError: It is no JSON, or a member is missing, unknown or of another type.
        UsageError: It is no request, or of no operation, phase or count that there is.
    """
    members = json.loads(line)
    if not isinstance(members, dict) or "op" not in members:
        raise UsageError('a request is an object with an "op"')
    kind = REQUESTS.get(op := members["op"])
    if kind is None:
        raise UsageError(f"there is no operation {op!r}; there are: {', '.join(REQUESTS)}")
    try:
        return msgspec.convert(members, kind)
    except msgspec.ValidationError as error:
        if "`$.phase`" in str(error):
            phase, known = members["phase"], ", ".join(get_args(Phase))
            raise UsageError(f"there is no phase {phase!r}; there are: {known}") from None
        if "`$.loops`" in str(error):
            loops = members["loops"]
            raise UsageError(f"loops must be a whole number of at least 1; got {loops!r}") from None
        raise


def write_request(op: str, members: Mapping[str, Any]) -> bytes:
    """Write a request as its line, without the end."""
    return msgspec.json.encode(REQUESTS[op](**members))


def read_answer(kind: type[Told], members: Mapping[str, Any]) -> Told:
    """Read the members of an answer, `ok` taken for granted.

    Raises:
        msgspec.ValidationError: They do not fit the schema; says where.
    """
    return msgspec.convert({"ok": True, **members}, kind)


def schema() -> dict[str, Any]:
    """Make the schema: a tree of JSON, the same each time."""
    kinds = [*REQUESTS.values(), *dict.fromkeys(ANSWERS.values()), Refused]
    _, records = msgspec.json.schema_components(kinds)
    for record in records.values():
        record["description"] = inspect.cleandoc(record["description"])
    answers = {op: {"$ref": f"#/$defs/{kind.__name__}"} for op, kind in ANSWERS.items()}
    past = " ".join(f"Version {version}: {text}" for version, text in HISTORY.items())
    return {
        "$schema": DIALECT,
        "$id": f"urn:python-vs-mojo:protocol:{PROTOCOL}",
        "title": f"Lines between python-vs-mojo and a worker, version {PROTOCOL}",
        "description": (
            "The whole schema is that of a request. An answer is Refused, or, by the request's op, "
            f"what stands under answers. {past}"
        ),
        "version": PROTOCOL,
        "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in REQUESTS.values()],
        "answers": answers,
        "$defs": dict(sorted(records.items())),
    }


def text() -> bytes:
    """Write the schema as it stands in the repository."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2) + b"\n"


def main() -> None:
    """Write the schema's file.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        write_whole(FILE, text())
    except OSError as error:
        raise StoreError(f"cannot write {FILE}: {error.strerror}") from error
    sys.stdout.write(f"wrote {FILE.name}\n")


if __name__ == "__main__":
    main()
