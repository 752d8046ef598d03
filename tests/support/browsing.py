"""What tests of the page ask it, in a browser."""

from __future__ import annotations

import os
import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page

ROWS = "#cases tbody tr:not([hidden])"


def keep(page: Page, name: str) -> None:
    """Keep a picture, where somebody wants to look."""
    if folder := os.environ.get("BENCH_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def anchors(page: Page) -> list[str]:
    return page.eval_on_selector_all(ROWS, "rows => rows.map(row => row.id)")


def keys(page: Page, label: str) -> list[str]:
    """Read what the rows that are shown are sorted by, in the column of this label."""
    cells = f'{ROWS} [data-label="{label}"]'
    return page.eval_on_selector_all(cells, "cells => cells.map(cell => cell.dataset.sort)")


def values(page: Page, label: str) -> set[str]:
    cells = f'{ROWS} [data-label="{label}"]'
    return set(page.eval_on_selector_all(cells, "cells => cells.map(cell => cell.dataset.value)"))


def choice(page: Page, label: str) -> Locator:
    return page.get_by_role("combobox", name=label, exact=True)


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def grave(page: Page, **options: object) -> list[str]:
    """What hinders some readers, by axe's rules."""
    inside_drawings = {"exclude": [["svg > *"]]}  # thousands of points; a drawing is one picture
    options = {"resultTypes": ["violations"], **options}
    found = Axe().run(page, context=inside_drawings, options=options).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def ground(page: Page) -> list[int]:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return [int(part) for part in re.findall(r"\d+", colour)]
