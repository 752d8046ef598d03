"""A stored run as one of its candidates sees it, for what compares two sides. Pure."""

from __future__ import annotations

from dataclasses import replace

from bench.model.slots import candidates_of, main_candidate, narrowed
from bench.storage.runs import Stored


def focused(stored: Stored) -> Stored:
    """Leave of a run the candidate that is spoken of, and the baseline.

    What is derived of a case is the same as in the whole run, but for Holm's correction, which is
    over all candidates: results are to come from the whole run.
    """
    run, main = stored.run, main_candidate(stored.run)
    others = [spec for spec in candidates_of(run) if spec != main]
    if main is None or not others:
        return stored
    labels = {spec.label for spec in others}
    names = {spec.implementation for spec in others} - {main.implementation}
    return replace(
        stored,
        run=narrowed(run, main),
        samples=tuple(one for one in stored.samples if one.worker not in labels),
        parity=tuple(one for one in stored.parity if one.candidate not in names),
        faults=tuple(one for one in stored.faults if one.worker not in labels),
    )
