"""How a case is named on a page or a screen: what all cases there share is left out. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.model.cases import network_text
from bench.model.numbers import count_text
from bench.model.records import OVERHEADS, Case, DType, Problem

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True, slots=True)
class CaseNames:
    """Names for some cases: dtype and threads stand in a name where the cases differ in them."""

    dtypes: bool = True  # whether they have more than one dtype
    threads: bool = True  # whether they have more than one number of threads

    @classmethod
    def of(cls, cases: Iterable[Case]) -> CaseNames:
        """Choose how to name these cases."""
        return cls.of_settings((one.problem.dtype, one.problem.threads) for one in cases)

    @classmethod
    def of_settings(cls, settings: Iterable[tuple[DType, int]]) -> CaseNames:
        """Choose how to name cases with these dtypes and numbers of threads."""
        found = list(settings)
        return cls(len({one for one, _ in found}) > 1, len({one for _, one in found}) > 1)

    def setting(self, dtype: DType, threads: int) -> list[str]:
        """Name dtype and threads, as far as the cases differ in them."""
        parts: list[str] = [dtype] if self.dtypes else []
        return parts + ([count_text(threads, "thread")] if self.threads else [])

    def network(self, problem: Problem) -> str:
        """Name the network of a case: `1,50x9,1 batch 20 · float32`."""
        return " · ".join([network_text(problem), *self.setting(problem.dtype, problem.threads)])

    def case(self, case: Case) -> str:
        """Name a case: `epoch · 1,50x9,1 batch 20 · float32`."""
        if case.phase in OVERHEADS:  # needs no network and no dtype
            threads = case.problem.threads
            return " · ".join([case.phase, *([count_text(threads, "thread")] * self.threads)])
        return f"{case.phase} · {self.network(case.problem)}"


def cut(name: str, longest: int) -> str:
    """Cut a name to so many characters: it may be anybody's."""
    name = " ".join(name.split())
    return name if len(name) <= longest else f"{name[: longest - 1]}{ELLIPSIS}"
