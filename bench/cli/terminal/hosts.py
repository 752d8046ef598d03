"""Shows the runs of all hosts: as a table in a terminal, elsewhere a line for each change."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bench.measuring.cluster.wire import Seen
from bench.storage.limits import plain

SECONDS_BETWEEN_LINES = 10.0
STYLES = {"finished": "green", "failed": "red", "damaged": "red", "lost": "yellow"}


class HostsScreen(ExitStack):
    """Shows how far the runs of all hosts are.

    Args:
        console: Where to write; for people, so standard error.
        clock: Seconds, monotonic.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._console, self._clock = console, clock
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._said: dict[str, tuple[str, float]] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self.enter_context(self._live)
        return self

    def show(self, runs: Sequence[Seen]) -> None:
        """Show how far they are now."""
        if self._console.is_terminal:
            self._live.update(_table(runs), refresh=True)
            return
        now_s = self._clock()
        for one in runs:
            state, said_s = self._said.get(one.run, ("", 0.0))
            due = one.state == "running" and now_s - said_s >= SECONDS_BETWEEN_LINES
            if state != one.state or due:
                self._said[one.run] = (one.state, now_s)
                self.note(f"{one.run} {one.state}: {one.words}")

    def note(self, text: str) -> None:
        """Print a line."""
        self._console.print(Text(plain(text)), soft_wrap=True)


def _table(runs: Sequence[Seen]) -> Table:
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(no_wrap=True, overflow="ellipsis")
    for one in runs:
        state = Text(one.state, STYLES.get(one.state, ""))
        table.add_row(one.run, state, Text(" ".join(plain(one.words).split())))
    return table
