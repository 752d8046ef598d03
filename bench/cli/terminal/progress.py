"""Shows a person how far a run is: a bar in a terminal, a line now and then elsewhere.

Draws only when told of progress, which is between samples: a bar that moved by itself would take
processor time from the worker being timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from bench.model.numbers import duration_text
from bench.storage.limits import plain

SECONDS_BETWEEN_FRAMES = 0.2
SECONDS_BETWEEN_LINES = 10.0


class ScreenProgress:
    """The progress of a run on a console: a `bench.measuring.runner.Progress`.

    Args:
        console: Where to write; for people, so standard error.
        clock: Seconds, monotonic.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._name, self._total, self._done, self._now = "", 1.0, 0.0, ""
        self._began_s = self._shown_s = clock()
        self._task: TaskID | None = None
        self._bar = Progress(
            TextColumn("{task.description:<8}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[now]}", markup=False),
            console=console,
            auto_refresh=False,
            transient=True,
            get_time=clock,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def stage(self, name: str, total: float) -> None:
        """Begin a stage of so much work, in a unit of its own."""
        self._name, self._total, self._done, self._now = name, total or 1.0, 0.0, ""
        self._began_s = self._shown_s = self._clock()
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(name, total=self._total, now="")
        if self._console.is_terminal:
            self._bar.refresh()
        else:
            self.note(f"{name} ...")

    def now(self, text: str) -> None:
        """Say what is being done now."""
        self._now = text
        self._show()

    def advance(self, amount: float) -> None:
        """Say that so much more of the stage is done."""
        self._done = min(self._done + amount, self._total)
        self._show()

    def note(self, text: str) -> None:
        """Say something once, above the bar."""
        self._console.print(escape(plain(text)), soft_wrap=True, highlight=False)

    def _show(self) -> None:
        now_s = self._clock()
        is_terminal = self._console.is_terminal
        wait_s = SECONDS_BETWEEN_FRAMES if is_terminal else SECONDS_BETWEEN_LINES
        if now_s - self._shown_s < wait_s:
            return
        self._shown_s = now_s
        if is_terminal and self._task is not None:
            self._bar.update(self._task, completed=self._done, now=self._now, refresh=True)
            return
        share = self._done / self._total
        left = ""
        if share:
            left = f", about {duration_text((now_s - self._began_s) * (1 / share - 1))} left"
        self.note(f"{self._name} {share:.0%}{left}: {self._now}")
