"""Makes what docs/writeup.md and docs/ladder.md show: `python -m tools.writeup`.

Excerpts of the sources, steps of the ladder, costs, lines of code:

    <!-- made: lines -->
    what is between here is written anew
    <!-- made: end -->

A test holds the pages to the sources and the stored runs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.analysis.run_analysis import analyse_stored
from bench.model.errors import BenchError, StoreError, UsageError
from bench.model.paths import PROJECT
from bench.model.records import PHASES, Run
from bench.model.tables import Table, markdown_lines
from bench.report.elements.sentences import machine_text
from bench.report.sections.costs import cost_section
from bench.report.sections.ladder import ladder_section
from bench.storage import runs as store
from bench.storage.atomic_files import write_whole
from tools import code_lines, excerpts
from tools.readme import REFERENCE

PAGE = PROJECT / "docs" / "writeup.md"
PAGES = (PAGE, PROJECT / "docs" / "ladder.md")
LADDER = PROJECT / "results" / "ladder"
_MADE = re.compile(r"<!-- made: (?!end)(\w+) -->\n.*?<!-- made: end -->", re.DOTALL)

PROGRAMS = (
    ("the NumPy network", ("python_impl/network.py",)),
    ("what both refuse, in words", ("python_impl/checks.py",)),
    ("the port, `mojo-port`", ("mojo_impl/variants/port.mojo", "mojo_impl/variants/array.mojo")),
    ("with vectors, `mojo-simd`", ("mojo_impl/variants/simd.mojo",)),
    ("the tuned network and its kernels, `mojo`", ("mojo_impl/mlp/**/*.mojo",)),
    ("of them, the legacy random stream", ("mojo_impl/mlp/random.mojo",)),
    ("its way into Python", ("mojo_impl/extension/*.mojo",)),
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
    return "\n".join((*markdown_lines(Table(heads, rows), numbers=True), "", note))


def costs_block(run_dir: Path = REFERENCE) -> str:
    """Write the costs of a run as tables."""
    analysis = analyse_stored(store.load(run_dir))
    section = cost_section(analysis)
    if section is None:
        raise UsageError(f"{run_dir.name} has no costs")
    tables = ["\n".join(markdown_lines(table, numbers=True)) for table in section.tables]
    where = f"results/{run_dir.name}"
    source = f"On {machine_text(analysis.run)}; from [{where}/report.md](../{where}/report.md)."
    return "\n\n".join((*section.text, *tables, *section.points, source))


def ladder_block(run_dir: Path = LADDER, phases: Sequence[str] = PHASES) -> str:
    """Write what each variant and each step brings in a run of many candidates.

    Args:
        run_dir: The folder of the run.
        phases: Of which the steps are told, each with its chart.
    """
    analysis = analyse_stored(store.load(run_dir))
    run, section = analysis.run, ladder_section(analysis)
    if section is None:
        raise UsageError(f"{run_dir.name} has one candidate: no ladder")
    where = f"../results/{run_dir.name}"
    parts = [section.text[0]]
    for chart in section.charts:
        if chart.name.removeprefix("ladder-") in phases:
            parts.append(f"![{chart.title}]({where}/charts/{chart.name}.svg)")
    for table in section.tables:
        name, _, phase = table.name.partition(": ")
        if not phase or phase in phases:
            parts.append(f"**{name}{', ' + phase if phase else ''}**")
            parts.append("\n".join(markdown_lines(table, numbers=True)))
    parts += section.text[1:]
    versions = ", ".join(f"{name} {version}" for name, version in _versions(run).items())
    parts.append(
        f"On {machine_text(run)}, by `{run.command}`; {versions}. All of it: "
        f"[results/{run_dir.name}/report.md]({where}/report.md)."
    )
    return "\n\n".join(parts)


def _versions(run: Run) -> dict[str, str]:
    found: dict[str, str] = {}
    for worker in run.environment.workers.values():
        found |= {str(name): str(of) for name, of in dict(worker.get("versions", {})).items()}
    return dict(sorted(found.items()))


def _epochs_of_the_ladder() -> str:
    return ladder_block(phases=("epoch",))


MAKERS: Mapping[str, Callable[[], str]] = {
    "lines": lines_block,
    "costs": costs_block,
    "ladder": _epochs_of_the_ladder,
    "variants": ladder_block,
}


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
    """Rewrite the pages in place."""
    for page in PAGES:
        try:
            write_whole(page, fill(page.read_text(encoding="utf-8")).encode())
        except OSError as error:
            raise StoreError(f"cannot write {page}: {error.strerror}") from error
        sys.stdout.write(f"{page.name} shows the sources and runs as they are\n")


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")
