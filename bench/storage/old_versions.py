"""Brings `run.json` of older versions into the form of today, in this one place. Pure.

What an older version lacks has its default in `bench.model.records`; here is what has moved.
"""

from __future__ import annotations

from typing import Any

BEFORE = (1, 2, 3, 4)
"""Versions of another form than that of `bench.model.records`."""
PLANNED = ("rounds", "loops", "seconds", "pilot", "crew_ns", "spreads", "more")
"""Fields of a plan up to version 4 that were planned; the rest was asked for."""


def upgraded(run: dict[str, Any]) -> dict[str, Any]:
    """Bring a run of any version into the form of this one; its number stays."""
    version, plan = run.get("schema"), run.get("plan")
    if version not in BEFORE or isinstance(version, bool) or not isinstance(plan, dict):
        return run
    request = {name: value for name, value in plan.items() if name not in PLANNED}
    planned = {name: value for name, value in plan.items() if name in PLANNED}
    if "seconds" in planned:  # one number up to version 4, of what was asked and then planned
        request["seconds"] = planned["seconds"]
    if "crew_ns" in planned:
        planned["group_ns"] = planned.pop("crew_ns")
    return {**run, "plan": {"request": request, **planned}}
