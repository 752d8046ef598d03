"""Writes files whole or not at all: a disk that fails leaves what was there. A leaf.

A reader sees the old file or the new one, never half of one. What cannot be written is an
`OSError` here; callers say in words what it was and what to do.
"""

from __future__ import annotations

import os
from pathlib import Path

from filelock import lock_descriptor


def write_whole(path: Path, content: bytes, *, flush: bool = True) -> None:
    """Replace a file in one move, once its content is on the disk.

    Without `flush` it may still be on its way there: for what can be made again.

    A link that lies in the way is replaced, never followed: a folder may come from a stranger.

    Raises:
        OSError: It cannot be written; then the old file is as it was, and nothing lies beside it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)  # of a process that was killed
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        handle = os.open(temporary, flags, 0o666)
        try:
            write_all(handle, content)
            if flush:
                os.fsync(handle)
        finally:
            os.close(handle)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_all(handle: int, content: bytes) -> None:
    """Write to an open file until all of it is written: the system may take a part at a time.

    Raises:
        OSError: The rest cannot be written.
    """
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]


class LineFile:
    """A file to which whole lines are appended, each with the system when the call returns.

    Args:
        path: Made if missing.

    Raises:
        OSError: It cannot be opened or written, here and in `add`.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._handle = os.open(path, flags, 0o666)
        self._size = os.fstat(self._handle).st_size
        self._torn = False

    def hold(self) -> bool:
        """Keep the file for this process until it is closed; tell whether no other holds it."""
        return lock_descriptor(self._handle, blocking=False)

    def cut(self, size: int) -> None:
        """Take away what stands after so many bytes."""
        if size < self._size:
            os.ftruncate(self._handle, size)
            self._size = size

    def add(self, line: bytes) -> None:
        """Append a line; one that is cut short by an error is taken back, so that none are glued.

        If even that fails, the next line does it before anything is written.
        """
        self._mend()
        self._torn = True
        try:
            write_all(self._handle, line + b"\n")
        except BaseException:
            self._mend()
            raise
        self._torn = False
        self._size += len(line) + 1

    def _mend(self) -> None:
        if self._torn:
            os.ftruncate(self._handle, self._size)
            self._torn = False

    def close(self) -> None:
        """Close the file; to close twice does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
