"""Identifies a host and its sources.

A host is a machine, not a worker: several workers of one machine are one host. Its label is a hash,
from which nobody learns the machine's name.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from bench.measuring.cluster.wire import checked
from bench.model.paths import PROJECT

PRETENDED = "BENCH_PRETENDED_HOST"
"""Labels a pretended host, to try a cluster out on one machine; its times support no verdict."""
SOURCES = ("bench", "mojo_impl", "python_impl", "ladder")
ENDINGS = (".py", ".mojo", ".json")


def this_host(
    root: Path = Path("/"), variables: Mapping[str, str] = os.environ, node: str | None = None
) -> tuple[str, str]:
    """Return the label of this host and the id of its running kernel.

    Args:
        root: Where `etc` and `proc` lie.
        variables: The environment.
        node: The machine's name in the network; the system's unless given.
    """
    if pretended := variables.get(PRETENDED):
        label = checked(f"pretended-{pretended}", PRETENDED)
        return label, label
    known = [_line(root / "etc/machine-id"), platform.node() if node is None else node]
    label = f"host-{hashlib.sha256('|'.join(known).encode()).hexdigest()[:10]}"
    return label, _line(root / "proc/sys/kernel/random/boot_id") or label


def sources_digest(project: Path = PROJECT) -> str:
    """Hash the names and contents of the sources: all hosts must measure the same."""
    whole = hashlib.sha256()
    paths = [path for folder in SOURCES for path in (project / folder).rglob("*")]
    for path in sorted(path for path in paths if path.suffix in ENDINGS):
        content = path.read_bytes()
        whole.update(f"{path.relative_to(project).as_posix()}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def _line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
