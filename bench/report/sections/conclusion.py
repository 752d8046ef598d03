"""What a conclusion rests on and what would change it: sentences for the head of a page.

True for any results: they say which cells are nearest to another verdict, which are open and what
would settle them, and what was not measured at all. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

from bench.analysis.run_analysis import RunAnalysis
from bench.model.arithmetic import flops
from bench.model.cases import case_text
from bench.model.numbers import count_text, listing, ratio_text
from bench.model.records import PHASES, Case, DType, Result, Run
from bench.report.elements.scaling_text import flop_text
from bench.report.elements.sentences import MARKS, implementation_name, slot_names

DECIDED = ("FASTER", "SLOWER", "EQUIVALENT")


def would_change(analysis: RunAnalysis) -> list[str]:
    """Say what would change the verdicts of a run, a sentence each; none where there are none."""
    run = analysis.run
    judged = [result for result in analysis.results if result.verdict is not None]
    if not judged:
        return []
    found = [_closest(run, judged), _open(judged), _invalid(judged), _scope(run, judged)]
    return [sentence for sentence in found if sentence]


def _closest(run: Run, judged: Sequence[Result]) -> str:
    """Name the difference that is nearest to none, of those that were found."""
    different = [
        (result.ratio.estimate, result.case)
        for result in judged
        if result.ratio and result.verdict and result.verdict.kind in ("FASTER", "SLOWER")
    ]
    if not different:
        return ""
    estimate, case = min(different, key=lambda pair: abs(math.log(pair[0].point)))
    slower = slot_names(run)[0 if estimate.point > 1 else 1]
    gain = max(estimate.point, 1 / estimate.point) - 1
    return (
        f"The difference nearest to none is {case_text(case)}, at {ratio_text(estimate)}: there "
        f"{slower} would have to become {gain:.0%} faster to draw level"
    )


def _open(judged: Sequence[Result]) -> str:
    """Name what is not settled, and what would settle it."""
    unresolved = [r for r in judged if r.verdict and r.verdict.kind == "UNRESOLVED"]
    if not unresolved:
        return ""
    first = unresolved[0]
    assert first.verdict is not None
    names = listing([case_text(result.case) for result in unresolved[:3]])
    more = f" and {len(unresolved) - 3} more" if len(unresolved) > 3 else ""
    reason = first.verdict.reason
    about = reason if len(unresolved) == 1 else f"of the first, {reason}"
    return f"Not settled ({MARKS['UNRESOLVED']}): {names}{more}; {about}"


def _invalid(judged: Sequence[Result]) -> str:
    """Say how much says nothing."""
    invalid = [r for r in judged if r.verdict and r.verdict.kind == "INVALID"]
    if not invalid:
        return ""
    one = len(invalid) == 1
    return (
        f"{count_text(len(invalid), 'case')} {'says' if one else 'say'} nothing "
        f"({MARKS['INVALID']} INVALID) until {'its fault is' if one else 'their faults are'} mended"
    )


def _scope(run: Run, judged: Sequence[Result]) -> str:
    """Say what was measured and what was not: nothing holds beyond it."""
    decided = [r for r in judged if r.verdict and r.verdict.kind in DECIDED]
    if not decided:
        return ""
    problems = [result.case.problem for result in decided]
    work = [flops(Case("forward", problem)) for problem in problems]
    ends = list(dict.fromkeys(flop_text(end) for end in (min(work), max(work))))
    threads = sorted({problem.threads for problem in problems})
    dtypes = {problem.dtype for problem in problems}
    phases = {result.case.phase for result in decided}
    lacking = [dtype for dtype in get_args(DType) if dtype not in dtypes]
    lacking += [phase for phase in PHASES if phase not in phases]
    lacking += ["more threads"] if max(threads) == 1 else []
    versions = []
    for spec in run.plan.workers:
        described = run.environment.workers.get(spec.label, {})
        blas = described.get("facts", {})
        blas = blas.get("blas") if isinstance(blas, dict) else None
        if isinstance(blas, str) and spec.role != "again":
            versions.append(f"{implementation_name(spec.implementation)} with {blas}")
    sentence = (
        f"Verdicts hold for networks of {' to '.join(ends)} in a batch's forward, on this machine"
    )
    sentence += f", and for {listing(versions)}" if versions else ", and for these versions"
    return sentence + (f"; not measured: {listing(lacking)}" if lacking else "")
