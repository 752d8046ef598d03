"""The Markdown of three runs of known truth, to the letter: a change of a word is seen in review.

Written again by BENCH_GOLDEN=write, and then to be read before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from page_runs import TRUTHS, write_named

from bench.report.run.build import build

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", TRUTHS)
def test_markdown_is_as_it_was_last_read(tmp_path: Path, name: str) -> None:
    written = build(write_named(tmp_path / "run", name)).markdown.read_bytes()
    golden = GOLDEN / f"{name}.md"
    if os.environ.get("BENCH_GOLDEN") == "write":
        golden.write_bytes(written)
    assert written.decode() == golden.read_bytes().decode(), (
        "if it is meant so: BENCH_GOLDEN=write make test TEST_ARGS=tests/report/test_golden.py"
    )
