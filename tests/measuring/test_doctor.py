"""What a machine is told about itself: a fact that matters, a grade, and what to do."""

from __future__ import annotations

import math
from typing import Any

import pytest
from sample_run import SLOTS

from bench.measuring.doctor import Finding, Measured, clock_step_ns, examine, findings, worst
from bench.model.records import Environment

QUIET: dict[str, Any] = {
    "cpu": "Example CPU 9000",
    "logical cores": 8,
    "physical cores": 8,
    "cores allowed": 8,
    "core quota": "max 100000",
    "caches": "L1 data 48K",
    "governor": "performance",
    "turbo": "off",
    "hypervisor": "none reported",
    "load": "0.10 0.20 0.30",
    "steal": "1.00 s since boot",
    "cpu pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1",
}
WORKERS: dict[str, Any] = {
    "numpy": {
        "facts": {"blas": "openblas 0.3", "blas core type": "Zen", "blas changed by": "nothing"}
    },
    "mojo": {"facts": {"target cpu": "znver5"}},
}
MEASURED = Measured(10.0, 30, {"epoch": 0.004})


def judge(
    measured: Measured = MEASURED,
    workers: dict[str, Any] = WORKERS,
    after: dict[str, Any] | None = None,
    **facts: Any,
) -> dict[str, Finding]:
    before = Environment(QUIET | facts, {})
    later = Environment(QUIET | facts | (after or {}), {})
    return {finding.name: finding for finding in findings(before, later, measured, workers)}


def test_a_quiet_machine_is_good_and_needs_no_advice() -> None:
    found = judge()
    assert worst(found.values()) == "good"
    assert {finding.advice for finding in found.values()} == {""}
    assert {"processor", "cores allowed", "core quota", "load before", "clock step"} <= set(found)


@pytest.mark.parametrize(
    ("facts", "name", "grade"),
    [
        ({"cores allowed": 1}, "cores allowed", "bad"),
        ({"core quota": "150000 100000"}, "core quota", "bad"),
        ({"core quota": "800000 100000"}, "core quota", "good"),
        ({"core quota": "0 0"}, "core quota", "good"),
        ({"logical cores": 16}, "cores", "note"),
        ({"governor": "powersave"}, "governor", "bad"),
        ({"turbo": "on"}, "turbo", "note"),
        ({"hypervisor": "present"}, "virtual machine", "note"),
        ({"load": "0.51 0.2 0.1"}, "load before", "bad"),
        ({"cpu pressure": "some avg10=3.10 avg60=0"}, "cpu pressure before", "bad"),
        ({"after": {"steal": "1.50 s since boot"}}, "steal", "bad"),
        ({"after": {"steal": "1.05 s since boot"}}, "steal", "good"),
        ({"governor": "unavailable (no file)"}, "cannot be read here", "note"),
        ({"measured": Measured(10.0, 5000, {})}, "clock step", "bad"),
        ({"measured": Measured(10.0, 30, {"epoch": 0.02})}, "noise of epoch", "note"),
        ({"measured": Measured(10.0, 30, {"epoch": 0.2})}, "noise of epoch", "bad"),
        ({"measured": Measured(10.0, 30, {"epoch": math.nan})}, "noise of epoch", "bad"),
    ],
)
def test_what_disturbs_is_graded_and_comes_with_advice(
    facts: dict[str, Any], name: str, grade: str
) -> None:
    finding = judge(**facts)[name]
    assert finding.grade == grade
    assert bool(finding.advice) == (grade != "good")


def test_a_blas_that_was_changed_is_bad_and_the_variables_are_named() -> None:
    facts = WORKERS["numpy"]["facts"] | {
        "blas changed by": "OPENBLAS_CORETYPE=Haswell, OPENBLAS_L2_SIZE=512"
    }
    finding = judge(workers={"numpy": {"facts": facts}})["BLAS of numpy"]
    assert finding.grade == "bad"
    assert finding.advice == "unset OPENBLAS_CORETYPE, OPENBLAS_L2_SIZE"


def test_a_machine_that_says_nothing_is_judged_by_its_noise() -> None:
    names = [*QUIET]
    found = judge(**dict.fromkeys(names, "unavailable (ends here)"))
    assert worst(found.values()) == "note"
    assert "governor" in found["cannot be read here"].value
    assert "noise of epoch" in found


def test_the_clock_has_a_step() -> None:
    assert 0 < clock_step_ns() < 1e9


class Silent:
    """Progress for nobody."""

    def stage(self, name: str, total: float) -> None: ...
    def now(self, text: str) -> None: ...
    def advance(self, amount: float) -> None: ...
    def note(self, text: str) -> None: ...


def test_this_machine_is_examined() -> None:
    found = {f.name: f for f in examine(SLOTS, Silent(), invocations=2, seconds=0.2)}
    assert found["processor"].value
    assert found["clock step"].value.endswith(" ns")
    assert len([name for name in found if name.startswith("noise of ")]) == 2
    assert [name for name in found if name.startswith("BLAS of ")] == ["BLAS of numpy"]
