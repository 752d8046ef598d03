"""Keeps two runs on one machine apart: a lock for all who share its temporary folder.

The lock is that of the operating system on a file, so it is gone with the process that holds it,
however that ends; what stands in the file only tells others who it is.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import lock_descriptor

from bench.model.errors import BusyError
from bench.model.numbers import duration_text

LOCK = Path(tempfile.gettempdir()) / "python-vs-mojo.lock"
MOST_BYTES = 4096


@contextmanager
def alone(
    command: str, path: Path | None = None, clock: Callable[[], float] = time.time
) -> Iterator[None]:
    """Hold the lock of this machine.

    Args:
        command: What is going to be measured, as it was typed, for those who find the lock held.
        path: The file of the lock, `LOCK` by default; it stays, as taking it away could make two.
        clock: Seconds since the epoch.

    Raises:
        BusyError: Another run holds it; the text says which and for how long.
    """
    descriptor = _open(path or LOCK)
    try:
        if not lock_descriptor(descriptor, blocking=False):
            raise BusyError(_holder(descriptor, clock()))
        _write(descriptor, {"pid": os.getpid(), "since": clock(), "command": command})
        try:
            yield
        finally:
            _write(descriptor, None)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open the file for all users of the machine; one that another user made only to read."""
    safe = os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | safe, 0o666)
        except PermissionError:
            return os.open(path, os.O_RDONLY | safe)
    except OSError as error:
        raise BusyError(f"the lock {path.name} cannot be opened: {error.strerror}") from None


def _write(descriptor: int, holder: dict[str, object] | None) -> None:
    """Say who holds the lock; where the file is another user's, nobody learns."""
    try:
        os.ftruncate(descriptor, 0)
        if holder:
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
    except OSError:
        return


def _holder(descriptor: int, now: float) -> str:
    """Say who holds the lock, as far as the file can be read and makes sense."""
    try:
        holder = json.loads(os.pread(descriptor, MOST_BYTES, 0))
        command = "".join(c if c.isprintable() else "?" for c in str(holder["command"])[:200])
        who = f"`{command}` (process {int(holder['pid'])})"
        since = f", for {duration_text(max(0.0, now - float(holder['since'])))} now"
    except (OSError, ArithmeticError, ValueError, TypeError, KeyError, RecursionError):
        who, since = "another run, which does not say what it is", ""
    return (
        f"this machine is being measured by {who}{since}. Two runs at once would time each other: "
        "wait until that one has ended, or end it with Ctrl-C"
    )
