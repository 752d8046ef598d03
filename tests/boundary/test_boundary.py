"""The boundary holds: drawn programs, in short; and whatever ends a process is seen and named."""

from __future__ import annotations

from pathlib import Path

import pytest
from boundary import as_page, drive


def test_drawn_programs_run_alike_on_both_sides() -> None:
    result = drive(600, 0)
    assert not result.failures, "\n\n".join(result.failures)
    assert result.examples == 600
    outcomes: dict[str, set[str]] = {}
    for deed, outcome in result.counts:
        outcomes.setdefault(deed, set()).add(outcome)
    for deed in ("forward", "backprop", "step", "loss", "predict", "fit", "assign"):
        assert "answered" in outcomes[deed], f"no {deed} was right: this tests too little"
        assert {"TypeError", "ValueError"} & outcomes[deed], f"no {deed} was wrong"


@pytest.mark.parametrize(
    ("body", "end", "crashes"),
    [
        ("os.kill(os.getpid(), 11)", "ended by SIGSEGV", 1),
        ("os.kill(os.getpid(), 4)", "ended by SIGILL", 1),
        ("os._exit(9)", "exit code 9", 1),  # as a sanitizer ends it
        ("sys.exit('they differ')", "exit code 1", 0),
    ],
)
def test_a_process_that_ends_is_named_with_its_last_program(
    tmp_path: Path, body: str, end: str, crashes: int
) -> None:
    chunk = tmp_path / "chunk.py"
    chunk.write_text(
        "import os, sys\n"
        "open(sys.argv[sys.argv.index('--diary') + 1], 'w').write('seed 7, example 3: forward')\n"
        f"{body}\n"
    )
    result = drive(1, 7, chunk=chunk)
    assert result.crashes == crashes
    (failure,) = result.failures
    assert failure.startswith(f"{end}, of {chunk} --examples 1 --seed 7")
    assert failure.endswith("last begun: seed 7, example 3: forward")
    assert f"0 examples, 0 steps, {crashes} crashes, {1 - crashes} diff" in as_page(result, "this")
