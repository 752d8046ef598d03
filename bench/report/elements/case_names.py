"""How a case is named on a page or a screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.model.cases import network_text
from bench.model.records import OVERHEADS, Case
from bench.report.elements.sentences import problem_text


def namer(cases: Sequence[Case]) -> Callable[[Case], str]:
    """Choose how to name the networks of cases: without dtype and threads where all share them."""
    settings = {(case.problem.dtype, case.problem.threads) for case in cases}
    text = network_text if len(settings) == 1 else problem_text
    return lambda case: text(case.problem)


def short_text(case: Case) -> str:
    """Say which case where dtype and threads need no saying: `epoch · 1,50x9,1 batch 20`."""
    return case.phase if case.phase in OVERHEADS else f"{case.phase} · {network_text(case.problem)}"
