"""The Markdown of a run of known truth, to the letter: a change of a word is seen in review.

Written again by BENCH_GOLDEN=write, and then to be read before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

from page_runs import write_named

from bench.report.run.build import build

GOLDEN = Path(__file__).parent / "golden" / "usual.md"


def test_markdown_is_as_it_was_last_read(tmp_path: Path) -> None:
    written = build(write_named(tmp_path / "run", "usual")).markdown.read_bytes()
    if os.environ.get("BENCH_GOLDEN") == "write":
        GOLDEN.write_bytes(written)
    assert written.decode() == GOLDEN.read_bytes().decode(), (
        "if it is meant so: BENCH_GOLDEN=write make test TEST_ARGS=tests/report/test_golden.py"
    )
