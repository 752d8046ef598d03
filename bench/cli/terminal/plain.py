"""What a run came to, for logs: a record a line, fields as key=value, ASCII only. No files.

The form is stable: words and keys stay, new keys come last. A value with anything but letters,
digits and .,:+-/_% in it stands in quotes, as JSON writes a text.
"""

from __future__ import annotations

import io
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TextIO

from bench.analysis.run_analysis import RunAnalysis
from bench.analysis.verdicts import noise_floor
from bench.model.cases import case_id
from bench.model.records import PROBES, Estimate, Result, Run
from bench.report.elements.sentences import conclude, machine_text, slot_names

BARE = re.compile(r"[A-Za-z0-9.,:+\-/_%]+")
WRITTEN: Mapping[int, str] = str.maketrans(
    {
        **{"µ": "u", "±": "+-", "·": "-", "×": "x", "→": "->", "…": "..."},
        **{"–": "-", "—": "-", "▲": "+", "▼": "-", "✕": "x"},
        **dict.fromkeys("\u00a0\u202f\u2009", " "),
    }
)
"""How signs of ours are written in ASCII."""


def ascii_text(text: str) -> str:
    """Write a text in ASCII: our own signs by others, letters without their marks, else `?`."""
    plain = unicodedata.normalize("NFKD", text.translate(WRITTEN))
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return kept.encode("ascii", "replace").decode("ascii")


class PlainText(io.TextIOBase):
    """A stream that takes any text and passes it on in ASCII."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Pass on a text; returns how much of it was taken, which is all."""
        self._file.write(ascii_text(text))
        return len(text)

    def flush(self) -> None:
        """Pass on what is waiting."""
        self._file.flush()


def line(kind: str, fields: Mapping[str, Any]) -> str:
    """Write a record: its kind, then its fields in their order."""
    return " ".join([kind, *(f"{key}={value_text(value)}" for key, value in fields.items())])


def value_text(value: Any) -> str:
    """Write a value; a number with six digits, nothing as `-`."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = ascii_text(" ".join(str(value).split()))
    return text if BARE.fullmatch(text) and text != "-" else json.dumps(text)


def run_lines(analysis: RunAnalysis, notes: Iterable[str], report: str) -> list[str]:
    """Say what a run came to: one line of the run, one for each case, then notes and conclusion.

    Args:
        analysis: The run.
        notes: What else is to be told, a line each.
        report: Where the page is.
    """
    run = analysis.run
    names = slot_names(run)
    head = {
        "name": run.name,
        "started": run.started,
        "status": run.status,
        "baseline": names[0],
        "candidate": names[1],
        "machine": machine_text(run),
    }
    return [
        line("run", head),
        *case_lines(run, analysis.results),
        *(line("note", {"text": note}) for note in notes),
        line("conclusion", {"text": conclude(run, analysis.of_main.results)}),
        line("report", {"path": report}),
    ]


def case_lines(
    run: Run,
    results: Sequence[Result],
    more: Mapping[str, Any] = MappingProxyType({}),
) -> list[str]:
    """Say a case a line: times in nanoseconds, ratio with interval, noise floor, verdict, reason.

    Args:
        run: The run.
        results: What `bench.analysis.verdicts` derives from it; probes are left out here.
        more: Fields to stand first.
    """
    lines = []
    several = len(run.candidates) > 1
    for result in results:
        if result.case.phase in PROBES:
            continue
        fields: dict[str, Any] = {**more, "case": case_id(result.case)}
        if several:
            fields["candidate"] = result.candidate
        for role, label in (("baseline", run.baseline.label), ("candidate", result.candidate)):
            time = result.times.get(label)
            fields[f"{role}_ns"] = time.median_ns.point if time else None
        ratio: Estimate | None = result.ratio.estimate if result.ratio else None
        for end in ("point", "low", "high"):
            key = "ratio" if end == "point" else f"ratio_{end}"
            fields[key] = getattr(ratio, end) if ratio else None
        fields["floor"] = noise_floor(result.again)
        fields["verdict"] = result.verdict.kind if result.verdict else None
        if result.verdict and result.verdict.kind in ("UNRESOLVED", "INVALID"):
            fields["reason"] = result.verdict.reason
        lines.append(line("case", fields))
    return lines
