"""What a process can tell of itself: its memory, the libraries in it, what loading takes. A leaf.

The memory is the high-water mark of this process's own pages. `ru_maxrss` will not do on Linux: a
new process begins with the largest value that the one which started it ever had.
"""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Callable
from pathlib import Path

SELF = Path("/proc/self")
LIBRARY = re.compile(r"(/\S.*\.(?:so|dylib)(?:\.[\d.]+)?)$")


def peak_memory(folder: Path = SELF) -> int:
    """Return the most bytes of memory that this process has held so far.

    Args:
        folder: What the system says of this process, where it says it in files.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", (folder / "status").read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def libraries(folder: Path = SELF) -> dict[str, int] | None:
    """Return the shared libraries that lie in this process, and the bytes of their files.

    None where the system does not say; one whose file is gone is left out.
    """
    try:
        lines = (folder / "maps").read_text(errors="replace").splitlines()
    except OSError:
        return None
    names = {found[1] for line in lines if (found := LIBRARY.search(line))}
    return {name: Path(name).stat().st_size for name in sorted(names) if Path(name).is_file()}


def loading(load: Callable[[], object], clock_ns: Callable[[], int]) -> dict[str, int]:
    """Load something and tell what that took, by the names of `bench.model.records.COSTS`."""
    before = libraries()
    start_ns = clock_ns()
    load()
    took_ns = clock_ns() - start_ns
    found = {"import": took_ns, "memory after import": peak_memory()}
    after = libraries()
    if before is not None and after is not None:
        found["libraries loaded"] = sum(after[name] for name in after.keys() - before.keys())
    return found
