"""Implementations that other packages bring: the entry points `bench.implementations`.

A package that is installed, or lies on PYTHONPATH, names a class there. It is imported by the
worker alone, and only if it is asked for.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

GROUP = "bench.implementations"


def registered() -> dict[str, EntryPoint]:
    """Return what is registered, by name; the first on the path wins, as with any import."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, point)
    return dict(sorted(found.items()))
