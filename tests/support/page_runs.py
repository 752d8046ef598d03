"""The runs whose pages are tested to the letter and in a browser: usual, all invalid, one case."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from sample_run import SEED_NETWORK, SMALL, Truth, make_run, write_run

from bench.model.cases import case_id
from bench.model.records import Case

ONLY = Case("epoch", SMALL)
_ALL_OF_SMALL = Truth(problems=(SMALL,), training_epochs=0)
TRUTHS = {
    "usual": Truth(),
    "invalid": Truth(failed=(SEED_NETWORK, SMALL)),
    "one": replace(_ALL_OF_SMALL, changes={"plan": make_run(_ALL_OF_SMALL).plan.of(cases=(ONLY,))}),
}


def write_named(folder: Path, name: str) -> Path:
    """Write one of these runs into a folder and return it."""
    write_run(folder, TRUTHS[name])
    if name == "one":
        others = {case_id(case) for case in make_run(_ALL_OF_SMALL).plan.cases if case != ONLY}
        for file, field in (("samples", "case"), ("contract", "subject")):
            path = folder / f"{file}.jsonl"
            lines = path.read_text().splitlines(keepends=True)
            path.write_text("".join(one for one in lines if json.loads(one)[field] not in others))
    return folder
