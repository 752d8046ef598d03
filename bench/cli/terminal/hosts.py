"""Shows all hosts on one screen: a line each in a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bench.measuring.cluster.client import Seen
from bench.storage.limits import plain

SECONDS_BETWEEN_LINES = 10.0
STYLES = {"finished": "green", "failed": "red", "lost": "yellow"}


class HostsScreen:
    """Shows how far the hosts are.

    Args:
        console: Where to write; for people, so standard error.
        clock: Seconds, monotonic.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._said: dict[str, tuple[str, float]] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, hosts: Sequence[Seen]) -> None:
        """Show how far they are now."""
        if self._console.is_terminal:
            self._live.update(_table(hosts), refresh=True)
            return
        now_s = self._clock()
        for one in hosts:
            state, said_s = self._said.get(one.host, ("", 0.0))
            if state != one.state or now_s - said_s >= SECONDS_BETWEEN_LINES:
                self._said[one.host] = (one.state, now_s)
                if state != one.state or one.state == "running":
                    self.note(f"{one.host} {one.state}: {one.words}")

    def note(self, text: str) -> None:
        """Say something once."""
        self._console.print(Text(plain(text)), soft_wrap=True)


def _table(hosts: Sequence[Seen]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for one in hosts:
        style = STYLES.get(one.state, "")
        table.add_row(one.host, Text(one.state, style), Text(" ".join(plain(one.words).split())))
    return table
