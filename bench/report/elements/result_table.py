"""Results as pandas tables: one row per case, or one per problem and kind of tensor.

Numbers stay numbers, with units in the column names; text for people is made in
`bench.report.elements.sentences`. Pure: no files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.model.arithmetic import flops
from bench.model.cases import case_id, network_text
from bench.model.records import Case, Estimate, ParityResult, Result, Run, TensorCheck, WorkerSpec

NO_ESTIMATE = Estimate(math.nan, math.nan, math.nan, 0)
COLUMNS = (
    *("case", "phase", "network", "dtype", "threads", "implementation"),
    *("flops", "loops", "rounds", "invocations"),
    *("baseline_ns", "baseline_low_ns", "baseline_high_ns", "baseline_minimum_ns"),
    *("candidate_ns", "candidate_low_ns", "candidate_high_ns", "candidate_minimum_ns"),
    *("ratio", "ratio_low", "ratio_high"),
    *("again", "again_low", "again_high"),  # the baseline against itself
    *("verdict", "reason", "drifting", "incomplete"),
)


def result_table(run: Run, results: Iterable[Result]) -> pd.DataFrame:
    """Put results into a table, small networks first, in the order of their arithmetic.

    Returns:
        One row per case and candidate with `COLUMNS`; NaN, or an empty text, where there is none.
    """
    slots = {worker.label: worker for worker in run.plan.workers}
    rows = [_result_row(run, slots, result) for result in results]
    rows.sort(key=lambda row: (row["size"], row["dtype"] != "float64", row["threads"]))
    return pd.DataFrame(rows, columns=COLUMNS)


def rows_of(table: pd.DataFrame) -> list[Any]:
    """Return the rows of a table, a named tuple each; type checkers know nothing of its fields."""
    return list(table.itertuples(index=False))


def _result_row(run: Run, slots: dict[str, WorkerSpec], result: Result) -> dict[str, Any]:
    case = result.case
    candidate = slots.get(result.candidate)
    baseline = next(spec.label for spec in slots.values() if spec.role == "baseline")
    row: dict[str, Any] = {
        "case": case_id(case),
        "phase": case.phase,
        "network": network_text(case.problem),
        "dtype": case.problem.dtype,
        "threads": case.problem.threads,
        "implementation": candidate.implementation if candidate else "",
        "flops": flops(case),
        "size": flops(Case("forward", case.problem)),
        "loops": run.plan.loops.get(case_id(case), 0),
        "rounds": run.plan.rounds.get(case_id(case), 0),
    }
    for role, label in (("baseline", baseline), ("candidate", result.candidate)):
        time = result.times.get(label)
        row |= _columns(f"{role}", "_ns", time.median_ns if time else NO_ESTIMATE)
        row[f"{role}_minimum_ns"] = time.minimum_ns if time else math.nan
    row |= _columns("ratio", "", result.ratio.estimate if result.ratio else NO_ESTIMATE)
    row |= _columns("again", "", result.again.estimate if result.again else NO_ESTIMATE)
    row["invocations"] = max(
        [time.median_ns.count for time in result.times.values()], default=0
    )  # fmt: skip
    row["verdict"] = result.verdict.kind if result.verdict else ""
    row["reason"] = result.verdict.reason if result.verdict else ""
    row |= {"drifting": result.drifting, "incomplete": result.incomplete}
    return row


def _columns(name: str, unit: str, estimate: Estimate) -> dict[str, float]:
    return {
        f"{name}{unit}": estimate.point,
        f"{name}_low{unit}": estimate.low,
        f"{name}_high{unit}": estimate.high,
    }


def tensor_kind(name: str) -> str:
    """Drop the layer from a tensor's name: `grads_w[3]` is of the kind `grads_w`.

    All that the timed code left is one kind, and so is all of another seed.
    """
    return name.partition("[")[0].partition(":")[0]


def error_share(check: TensorCheck) -> float:
    """Return error over tolerance: above 1 is a failure, 0 is equal bit for bit."""
    if check.error == 0:
        return 0.0
    return check.error / check.tolerance if check.tolerance > 0 else math.inf


def parity_table(parity: Sequence[ParityResult]) -> pd.DataFrame:
    """Take the worst tensor of each kind.

    Returns:
        One row per problem, candidate and kind, in the order of checking: `problem, candidate,
        kind, tensors, share, ok`; `share` is the largest error over tolerance (infinite where an
        error is NaN).
    """
    rows = [
        {
            "problem": result.problem,
            "candidate": result.candidate,
            "kind": tensor_kind(check.name),
            "share": math.inf if math.isnan(check.error) else error_share(check),
            "ok": check.ok,
        }
        for result in parity
        for check in result.tensors
    ]
    if not rows:
        return pd.DataFrame(columns=["problem", "candidate", "kind", "tensors", "share", "ok"])
    return (
        pd.DataFrame(rows)
        .groupby(["problem", "candidate", "kind"], sort=False)
        .agg(tensors=("share", "size"), share=("share", "max"), ok=("ok", "all"))
        .reset_index()
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A value and its interval, written; `ends` is empty where there is no interval."""

    value: str
    ends: str
