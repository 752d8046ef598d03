"""What commands print by `--json`, as records, and how each is made of what a command has.

`python -m bench.cli.documents` writes the JSON schema of all, docs/schema/output-1.json.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.analysis.comparable import Difference
from bench.analysis.comparison import Change, changes
from bench.analysis.gate import Answer as GateAnswer
from bench.analysis.gate import Limit, exit_code, gate, new_cases, obstacles
from bench.analysis.run_analysis import RunAnalysis, analyse_stored
from bench.cli.output import ListedCase
from bench.cli.terminal.comparison import load_pair, refused
from bench.measuring.doctor import Finding
from bench.measuring.pilot import eta_s
from bench.measuring.validation.page import Line
from bench.measuring.validation.trials_run import Refusal
from bench.model.cases import case_id
from bench.model.errors import StoreError, UsageError
from bench.model.paths import PROJECT
from bench.model.records import (
    Estimate,
    Fault,
    ParityResult,
    Phase,
    Plan,
    Rate,
    Result,
    TimeEstimate,
    VerdictKind,
)
from bench.report.elements.files import ReportPaths
from bench.report.multi_run.runs import Group
from bench.report.sections.provenance import roofline_of
from bench.storage import runs as store
from bench.storage.atomic_files import write_whole
from bench.workers.findings import Check

if TYPE_CHECKING:  # they need pyarrow, which not everybody has
    from bench.report.fleet.machines import Fleet
    from bench.storage.archive.merge import Merged

VERSION = 1
"""Version of the documents. A change that a reader could notice makes it another one."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILE = PROJECT / "docs" / "schema" / f"output-{VERSION}.json"


@dataclass(frozen=True, slots=True)
class PlannedCase:
    """How a case would be measured."""

    loops: int
    rounds: int
    invocations: int
    round_ms: float


@dataclass(frozen=True, slots=True)
class Planned:
    """bench plan: what a run would do, and how long its parts would take."""

    cases: dict[str, PlannedCase]  # by case id
    seconds: dict[str, float]  # by part of the run
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """bench parity: every tensor of every candidate."""

    ok: bool
    results: tuple[ParityResult, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """bench check-worker: what was looked at, and why nothing more was, if so."""

    ok: bool
    stopped: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Validated:
    """bench validate: each goal, and what became of each seeded fault."""

    ok: bool
    goals: tuple[Line, ...]
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case and one candidate of a run: times in nanoseconds, ratios of baseline over it."""

    case: str  # case id
    candidate: str
    times: dict[str, TimeEstimate]  # by worker
    ratio: Estimate | None
    again: Estimate | None  # the baseline against itself
    verdict: VerdictKind | None
    reason: str
    drifting: int
    incomplete: int


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """bench run, bench report: what a run came to."""

    run: str
    started: str
    status: str
    preset: str
    ok: bool  # no case is INVALID, and no rate lies above the machine's peak
    results: tuple[CaseResult, ...]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    report: str | None  # its page; None: not made


@dataclass(frozen=True, slots=True)
class JudgedMachine:
    """Runs of one machine, in the order of their dates."""

    name: str
    runs: tuple[JudgedRun, ...]


@dataclass(frozen=True, slots=True)
class JudgedRuns:
    """bench report of several runs: each machine's ratios, run by run."""

    ok: bool
    machines: tuple[JudgedMachine, ...]
    report: str


@dataclass(frozen=True, slots=True)
class ReachedShare:
    """The share of the machine's peak that a worker reaches in a case: 1 is all of it."""

    case: str
    worker: str
    share: Estimate


@dataclass(frozen=True, slots=True)
class Roofline:
    """bench roofline: what the probes found, and the share of it that each case reaches."""

    run: str
    ok: bool
    rates: tuple[Rate, ...]
    shares: tuple[ReachedShare, ...]
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaseChange:
    """How a ratio changed from run A to run B: above 1 the candidate gained."""

    case: str
    candidate: str
    a: Estimate | None
    b: Estimate | None
    change: Estimate | None
    verdict: VerdictKind | None
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """bench compare: why two runs may not be compared, or how their ratios changed."""

    a: str
    b: str
    ok: bool  # no case that both have is INVALID
    obstacles: tuple[str, ...]
    differences: tuple[Difference, ...]
    times: dict[str, dict[str, dict[str, TimeEstimate]]]  # by "A" or "B", case id and worker
    changes: tuple[CaseChange, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GatedCase:
    """What the gate says of a case."""

    change: CaseChange
    answer: GateAnswer
    reason: str


@dataclass(frozen=True, slots=True)
class Gated:
    """bench gate: the exit code, and what led to it."""

    baseline: str
    run: str
    limit: Limit
    exit_code: int
    cases: tuple[GatedCase, ...]
    new: tuple[str, ...]  # ids of cases that only the run has


@dataclass(frozen=True, slots=True)
class TrainedSide:
    """One network after its training."""

    name: str
    seconds: float
    ran_away: bool
    training_loss: float | None  # mean of the last epoch
    validation_loss: float | None
    weights: str  # file


@dataclass(frozen=True, slots=True)
class Trained:
    """bench train: whether both compute the same, and what they learned."""

    ok: bool
    parity: ParityResult
    sides: tuple[TrainedSide, ...]
    figure: str | None


@dataclass(frozen=True, slots=True)
class Predicted:
    """bench predict: outputs by row, or the file that holds them."""

    rows: tuple[tuple[float, ...], ...]
    file: str | None


@dataclass(frozen=True, slots=True)
class Merge:
    """bench merge: what went into the store, and what was kept out and why."""

    store: str
    new: int
    there: int
    samples: int
    refused: dict[str, str]  # reason by folder
    conflicts: dict[str, str]
    notes: tuple[str, ...]
    runs: int  # in the store now
    machines: int


@dataclass(frozen=True, slots=True)
class Queried:
    """bench query: an answer of the store."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class FleetPages:
    """bench fleet: counts over the store, and its page."""

    baseline: str
    candidate: str
    machines: int
    runs: int
    samples: int
    report: str


@dataclass(frozen=True, slots=True)
class Written:
    """bench open, bench export: what lies where, in lines."""

    lines: tuple[str, ...]


DOCUMENTS: dict[str, Any] = {
    "run": JudgedRun,
    "plan": Planned,
    "roofline": Roofline,
    "report": JudgedRun,
    "report of several runs": JudgedRuns,
    "open": Written,
    "compare": Comparison,
    "gate": Gated,
    "export": Written,
    "train": Trained,
    "predict": Predicted,
    "merge": Merge,
    "query": Queried,
    "fleet": FleetPages,
    "parity": Compared,
    "check-worker": Checked,
    "list": tuple[ListedCase, ...],
    "doctor": tuple[Finding, ...],
    "validate": Validated,
}
"""What a command prints."""


def planned(plan: Plan, faults: Sequence[Fault]) -> Planned:
    """Tell what a run would do."""
    return Planned(
        {
            name: PlannedCase(
                plan.loops[name], rounds, plan.invocations, plan.pilot[name].round_ns / 1e6
            )
            for name, rounds in plan.rounds.items()
        },
        dict(eta_s(plan)),
        tuple(faults),
    )


def judged_run(path: Path, analysis: RunAnalysis | None = None) -> JudgedRun:
    """Tell what a stored run came to."""
    analysis = analysis or analyse_stored(store.load(path))
    return _judged(path, analysis, roofline_of(analysis).errors)


def _judged(path: Path, analysis: RunAnalysis, errors: Sequence[str]) -> JudgedRun:
    run, page = analysis.run, path / "report.html"
    invalid = any(one.verdict and one.verdict.kind == "INVALID" for one in analysis.results)
    return JudgedRun(
        run.name,
        run.started,
        run.status,
        run.plan.request.preset,
        not invalid and not errors,
        tuple(map(_case_result, analysis.results)),
        tuple(analysis.faults),
        (*analysis.notes, *errors),
        str(page) if page.is_file() else None,
    )


def _case_result(result: Result) -> CaseResult:
    verdict = result.verdict
    return CaseResult(
        case_id(result.case),
        result.candidate,
        result.times,
        result.ratio.estimate if result.ratio else None,
        result.again.estimate if result.again else None,
        verdict.kind if verdict else None,
        verdict.reason if verdict else "",
        result.drifting,
        result.incomplete,
    )


def judged_runs(groups: Sequence[Group], paths: ReportPaths) -> JudgedRuns:
    """Tell what several runs came to; a run's own document says more of it."""
    machines = tuple(
        JudgedMachine(
            group.name,
            tuple(
                JudgedRun(
                    one.run.name,
                    one.run.started,
                    one.run.status,
                    one.run.plan.request.preset,
                    not one.invalid,
                    tuple(map(_case_result, one.all)),
                    (),
                    tuple(one.notes),
                    None,
                )
                for one in group.runs
            ),
        )
        for group in groups
    )
    ok = all(run.ok for machine in machines for run in machine.runs)
    return JudgedRuns(ok, machines, str(paths.html))


def roofline(path: Path) -> Roofline:
    """Tell how near a run came to the machine's peak.

    Raises:
        UsageError: It holds no probes.
    """
    analysis = analyse_stored(store.load(path))
    found = analysis.shares
    if not found:
        raise UsageError(f"{path} holds no probes of the machine; `bench roofline` takes them")
    errors = tuple(roofline_of(analysis).errors)
    return Roofline(
        analysis.run.name,
        _judged(path, analysis, errors).ok,
        analysis.rates,
        tuple(ReachedShare(case_id(one.case), one.worker, one.estimate) for one in found),
        errors,
    )


def comparison(path_a: Path, path_b: Path, *, force: bool) -> Comparison:
    """Tell how the ratios of two runs changed.

    Raises:
        UsageError: They may not be compared, unless that is forced: then nothing is formed of both.
    """
    pair = load_pair(path_a, path_b)
    blocked = pair.found.obstacles
    if blocked and not force:
        raise refused(pair, "compared", blocked, "; --force shows their times side by side")
    shared = [name for name in pair.b.cases if name in pair.a.cases]
    if not shared:
        raise UsageError(f"{path_a} and {path_b} have no case in common; `bench report` shows each")
    sides = pair.a, pair.b
    return Comparison(
        str(path_a),
        str(path_b),
        not any(side.readings[name].invalid for name in shared for side in sides),
        tuple(blocked),
        pair.found.told,
        {
            letter: {name: dict(times) for name, times in side.estimates.items()}
            for letter, side in zip("AB", sides, strict=True)
        },
        () if blocked else tuple(map(_case_change, changes(pair.a, pair.b))),
        pair.notes,
    )


def gated(baseline: Path, path: Path, limit: Limit, phases: Collection[Phase]) -> Gated:
    """Tell what the gate says of a run.

    Raises:
        UsageError: The run may not be held against the baseline run.
    """
    pair = load_pair(baseline, path)
    if blocked := obstacles(pair.a, pair.b, pair.found, phases):
        again = "; measure both on one machine with the same settings and the same baseline"
        raise refused(pair, "held against each other", blocked, again)
    outcomes = gate([one for one in changes(pair.a, pair.b) if one.case.phase in phases], limit)
    return Gated(
        str(baseline),
        str(path),
        limit,
        exit_code(outcomes),
        tuple(GatedCase(_case_change(one.change), one.answer, one.reason) for one in outcomes),
        tuple(map(case_id, new_cases(pair.a, pair.b, phases))),
    )


def _case_change(change: Change) -> CaseChange:
    verdict = change.verdict
    return CaseChange(
        case_id(change.case),
        change.candidate,
        change.a,
        change.b,
        change.estimate,
        verdict.kind if verdict else None,
        change.invalid or (verdict.reason if verdict else ""),
    )


def merge_of(merged: Merged) -> Merge:
    """Tell what went into a store."""
    return Merge(
        str(merged.store),
        len(merged.new),
        merged.there,
        merged.samples,
        {str(path): reason for path, reason in merged.refused},
        {str(path): reason for path, reason in merged.conflicts},
        tuple(merged.notes),
        merged.runs,
        merged.machines,
    )


def fleet_pages(fleet: Fleet, paths: ReportPaths) -> FleetPages:
    """Tell what a store holds, and where its page is."""
    return FleetPages(
        fleet.baseline,
        fleet.candidate,
        fleet.machines_in_all,
        sum(len(one.runs) for one in fleet.machines),
        sum(run["samples"] for one in fleet.machines for run in one.runs),
        str(paths.html),
    )


def schema() -> dict[str, Any]:
    """Make the schema: a tree of JSON, the same each time."""
    kinds, records = msgspec.json.schema_components(list(DOCUMENTS.values()))
    for record in records.values():
        record["description"] = inspect.cleandoc(record.get("description", ""))
        for field in record.get("properties", {}).values():
            if field.get("type") == "number":  # JSON has no NaN
                field["type"] = ["number", "null"]
    return {
        "$schema": DIALECT,
        "$id": f"urn:python-vs-mojo:output:{VERSION}",
        "title": f"What commands of python-vs-mojo print by --json, version {VERSION}",
        "description": "By command under commands. A number that cannot be formed is null.",
        "version": VERSION,
        "commands": dict(zip(DOCUMENTS, kinds, strict=True)),
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
    sys.stdout.write(f"wrote {FILE.relative_to(PROJECT)}\n")


if __name__ == "__main__":
    main()
