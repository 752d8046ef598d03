"""Writes a file whole or not at all: whoever looks sees the old one or the new one."""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import StoreError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside it, and give it its name when it is on disk.

    Raises:
        StoreError: It cannot be written; what was there is untouched.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path}: {error.strerror}; free some space or choose another place"
        ) from error
