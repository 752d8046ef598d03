"""Every wrong or unfair implementation is refused, for the right reason; the twin passes.

Whole runs, with workers in this process: `bench validate` does the same with processes.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretence import World

from bench.measuring.run_state import Edges
from bench.measuring.validation.page import page, summary
from bench.measuring.validation.seeded_faults import FAULTS, TWINS, OtherRounding, Seeded
from bench.measuring.validation.trials import CASES
from bench.measuring.validation.trials_run import PARTS, SHORT, Extent, refusals, validate
from bench.model.errors import WorkerError
from bench.model.records import WorkerSpec
from bench.workers.datasets import data_folder
from bench.workers.implementations.drivers import implementation
from bench.workers.worker import Worker

pytestmark = pytest.mark.alone


class InProcess:
    """A slot without a process."""

    def __init__(self, spec: WorkerSpec, variables: Mapping[str, str]) -> None:
        self.spec = spec
        self.worker = Worker(implementation(spec.implementation))

    def ask(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        answer = self.worker.answer(json.dumps({"op": op, **fields}))
        assert answer is not None
        answer = json.loads(json.dumps(answer))
        if answer.pop("ok"):
            return dict(answer)
        raise WorkerError(self.spec.label, f"refused {op}: {answer['error']}: {answer['message']}")

    def end(self) -> None:
        """Nothing is there to end."""


@pytest.fixture
def edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edges:
    # A worker of its own has little to look through; this process holds all that pytest does.
    monkeypatch.setattr(gc, "collect", lambda: 0)
    cache = tmp_path / "data"
    return replace(
        World(tmp_path).edges(),
        start=InProcess,
        clock_ns=Edges().clock_ns,
        data_folder=lambda problem: data_folder(problem, cache),
    )


# To change how the processor rounds would reach into the other tests of this process.
@pytest.mark.parametrize(
    "fault", [f for f in FAULTS if f.make is not OtherRounding], ids=lambda fault: fault.name
)
def test_a_fault_is_refused_for_the_right_reason(
    fault: Seeded, edges: Edges, tmp_path: Path
) -> None:
    (found,) = refusals(World(tmp_path), edges, [fault])
    assert fault.words in found.reason
    assert found.ok


def test_the_twins_pass(edges: Edges, tmp_path: Path) -> None:
    found = refusals(World(tmp_path), edges, TWINS)
    assert [(twin.reason, twin.ok) for twin in found] == [("", True)] * 3


def test_there_are_enough_faults_and_each_says_what_it_does() -> None:
    assert len(FAULTS) >= 12
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert all(fault.make.__doc__ for fault in (*FAULTS, *TWINS))


def test_the_rounding_of_the_processor_is_seen() -> None:
    """As the fault itself sets it: in a process of its own."""
    from subprocess import run
    from sys import executable

    script = (
        "from bench.workers.worker import Worker\n"
        "from bench.measuring.validation.seeded_faults import OtherRounding\n"
        'print(Worker(OtherRounding()).answer(\'{"op": "describe"}\')["rounding"])'
    )
    done = run([executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "not to nearest\n"


def test_a_short_validation_from_end_to_end(
    edges: Edges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CASES, "middle", CASES["tiny"])  # the other one takes its time
    extent = Extent(simulated=2_000, claims=1, power=1, rivals=0, seconds=0.0)
    parts = [part for part in PARTS if part != "faults"]  # these have tests of their own
    found = validate(extent, World(tmp_path), edges, parts)
    assert [(claim.size, claim.neighbour) for claim in found.claims] == [
        ("tiny", "idle"), ("middle", "idle"), ("tiny", "busy"), ("middle", "busy"),
    ]  # fmt: skip
    assert all(claim.ours.excluding.of == 1 for claim in found.claims)
    assert [round(one.slower_by, 2) for _, one in found.power] == [0.01, 0.02, 0.05, 0.1]
    assert all(np.isfinite(one.found) for _, one in found.power)
    lines = summary(found)
    assert lines[0].what == "intervals that hold the truth, 48 models"
    assert lines[0].state == "met"
    text = page(found, "bench validate")
    for head in ("# Is the harness right?", "## NumPy against itself", "## Coverage", "## Power"):
        assert head in text
    assert "nan" not in text
    assert SHORT.simulated > 1000
