"""The machine form of what a command prints: one JSON document on standard output. Light.

A document is a frozen record, or a list of them; `bench.cli.documents` has all but those of
`bench list`, whose start must be quick.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import typer

from bench.model.arithmetic import flops
from bench.model.cases import case_id
from bench.model.records import Case, DType, Phase

JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document (docs/output.md) in place of text."),
]


@dataclass(frozen=True, slots=True)
class ListedCase:
    """A case that `bench run` would measure."""

    id: str
    flops: int  # of one repetition
    phase: Phase
    layer_sizes: tuple[int, ...]
    batch_size: int
    rows: int
    dtype: DType
    threads: int


def listed(case: Case) -> ListedCase:
    """Return what is listed of a case."""
    problem = case.problem
    return ListedCase(
        case_id(case),
        flops(case),
        case.phase,
        problem.layer_sizes,
        problem.batch_size,
        problem.rows,
        problem.dtype,
        problem.threads,
    )


def emit(document: Any) -> None:
    """Print a document: numbers that cannot be formed are null, paths and dates are text."""
    content = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=1)
    sys.stdout.write(f"{content.decode()}\n")
