"""Where the project lies, and texts that name no path of this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
"""Root of the project: the checkout, or where it is installed."""


def without_paths(value: Any) -> Any:
    """Take folders out of text, also inside dicts and lists: `/home/ann/x.py` is `…/x.py` then."""
    if isinstance(value, dict):
        return {name: without_paths(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    if not isinstance(value, str):
        return value
    for folder in (PROJECT, Path.home()):  # known folders first: these may hold spaces
        if folder != Path(folder.anchor):
            value = value.replace(str(folder), "/-")
    return re.sub(r"""(?<![\w.…])/(?:[^\s/:'"]+/)+""", "…/", value)
