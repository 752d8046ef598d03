"""When a run was, as a date and as text."""

from __future__ import annotations

from datetime import UTC, datetime

from bench.model.records import Run

NEVER = datetime.max.replace(tzinfo=UTC)


def when(run: Run) -> datetime:
    """Read when a run began; what cannot be read comes last."""
    try:
        moment = datetime.fromisoformat(run.started)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return NEVER


def date_text(run: Run) -> str:
    """Write the day on which a run began."""
    moment = when(run)
    return "no date" if moment == NEVER else f"{moment:%Y-%m-%d}"
