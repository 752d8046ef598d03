"""The Markdown of three runs of known truth, to the letter: a change of a word is seen in review.

Written again by BENCH_GOLDEN=write, and then to be read before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sample_run import SEED_NETWORK, SMALL, Truth, write_run

from bench.report import build

GOLDEN = Path(__file__).parent / "golden"
TRUTHS = {
    "usual": Truth(),
    "invalid": Truth(failed=(SEED_NETWORK, SMALL)),
    "one": Truth(problems=(SMALL,), training_epochs=0),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_markdown_is_as_it_was_last_read(tmp_path: Path, name: str) -> None:
    written = build(write_run(tmp_path / "run", TRUTHS[name])).markdown.read_bytes()
    golden = GOLDEN / f"{name}.md"
    if os.environ.get("BENCH_GOLDEN") == "write":
        golden.write_bytes(written)
    assert written.decode() == golden.read_bytes().decode(), (
        "if it is meant so: BENCH_GOLDEN=write make test TEST_ARGS=tests/test_golden.py"
    )
