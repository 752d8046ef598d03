"""Makes what docs/writeup.md shows: excerpts, costs, lines of code: `python -m bench.writeup`.

    <!-- made: lines -->
    what is between here is written anew
    <!-- made: end -->

A test holds the page to the sources and the stored runs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import code_lines, excerpts, stats, store
from bench.environment import PROJECT
from bench.errors import BenchError, StoreError, UsageError
from bench.files import write_whole
from bench.ledger import ledger
from bench.readme import REFERENCE, markdown
from bench.wording import machine_text

PAGE = PROJECT / "docs" / "writeup.md"
_MADE = re.compile(r"<!-- made: (?!end)(\w+) -->\n.*?<!-- made: end -->", re.DOTALL)

PROGRAMS = (
    ("the NumPy network", ("python_impl/network.py",)),
    ("what both refuse, in words", ("python_impl/checks.py",)),
    ("the port, `mojo-port`", ("mojo_impl/ladder/port.mojo", "mojo_impl/ladder/array.mojo")),
    ("with vectors, `mojo-simd`", ("mojo_impl/ladder/simd.mojo",)),
    ("the tuned network and its kernels, `mojo`", ("mojo_impl/mlp/*.mojo",)),
    ("of them, the legacy random stream", ("mojo_impl/mlp/random.mojo",)),
    ("its way into Python", ("mojo_impl/*.mojo",)),
)
"""Programs by what they are, as the files they are made of."""


def lines_block(root: Path = PROJECT) -> str:
    """Count the lines of code of each program, by language."""
    rows = []
    for name, patterns in PROGRAMS:
        paths = [path for pattern in patterns for path in sorted(root.glob(pattern))]
        if not paths:
            raise UsageError(f"{' '.join(patterns)}: no such files")
        language = excerpts.LANGUAGES[paths[0].suffix][1]
        lines = sum(map(code_lines.count, paths))
        rows.append([name, language, f"{lines:,}"])
    note = "Lines that are neither blank, nor comment, nor docstring."
    heads = ("what", "language", "lines of code")
    return "\n".join((*markdown(heads, rows), "", note))


def costs_block(run_dir: Path = REFERENCE) -> str:
    """Write the costs of a run as tables."""
    stored = store.load(run_dir)
    results = stats.results(stored.run, stored.samples, stored.parity, stored.faults)
    section = ledger(stored, results)
    if section is None:
        raise UsageError(f"{run_dir.name} has no costs")
    tables = ["\n".join(markdown(table.heads, table.rows)) for table in section.tables]
    where = f"results/{run_dir.name}"
    source = f"On {machine_text(stored.run)}; from [{where}/report.md](../{where}/report.md)."
    return "\n\n".join((*section.text, *tables, *section.points, source))


MAKERS: Mapping[str, Callable[[], str]] = {"lines": lines_block, "costs": costs_block}


def fill(page: str) -> str:
    """Write all that is made in a page anew.

    Raises:
        UsageError: It names a block that nobody makes, or a source that is not there.
    """

    def make(found: re.Match[str]) -> str:
        name = found[1]
        if name not in MAKERS:
            raise UsageError(f"nobody makes {name!r}; there are: {', '.join(MAKERS)}")
        return f"<!-- made: {name} -->\n\n{MAKERS[name]()}\n\n<!-- made: end -->"

    return excerpts.fill(_MADE.sub(make, page))


def main() -> None:
    """Rewrite the page in place."""
    try:
        write_whole(PAGE, fill(PAGE.read_text(encoding="utf-8")).encode())
    except OSError as error:
        raise StoreError(f"cannot write {PAGE}: {error.strerror}") from error
    sys.stdout.write(f"{PAGE.name} shows the sources and runs as they are\n")


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")
