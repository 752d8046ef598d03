"""Cuts excerpts out of the sources and puts them into a page, side by side.

A page names functions, and the excerpt is their code as it stands, so that it cannot rot:

    <!-- excerpt: python_impl/network.py MLP.step | mojo_impl/variants/port.mojo MLP.step -->
    what is between here is written anew
    <!-- excerpt: end -->

Docstrings are left out: the page says in its own words what they say.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.model.errors import UsageError
from bench.model.paths import PROJECT

LANGUAGES = {".py": ("python", "Python"), ".mojo": ("mojo", "Mojo"), ".c": ("c", "C")}
_BLOCK = re.compile(r"<!-- excerpt: (?!end)(.+?) -->\n.*?<!-- excerpt: end -->", re.DOTALL)
_DOCSTRING = re.compile(r'^[ \t]*"""(?:.|\n)*?"""\n', re.MULTILINE)


def excerpt(source: str, name: str) -> str:
    """Cut a function, class or struct out of a source, without docstrings, moved to the left.

    Args:
        source: Python or Mojo, indented as their formatters do.
        name: `function`, `Class` or `Class.function`.

    Raises:
        UsageError: There is no such thing.
    """
    lines = source.splitlines()
    start, end, depth = 0, len(lines), 0
    for part in name.split("."):
        opening = re.compile(rf"{' ' * depth}(?:def|class|struct|comptime) {re.escape(part)}\b")
        start = next((at for at in range(start, end) if opening.match(lines[at])), -1)
        if start < 0:
            raise UsageError(f"there is no {name!r}")
        end = next((at for at in range(start + 1, end) if _ends(lines[at], depth)), end)
        depth += 4
    depth -= 4
    while start and lines[start - 1].startswith(" " * depth + "@"):
        start -= 1
    text = "".join(f"{line[depth:] if line.strip() else ''}\n" for line in lines[start:end])
    return re.sub(r"\n{3,}", "\n\n", _DOCSTRING.sub("", text)).strip("\n")


def _ends(line: str, depth: int) -> bool:
    """Tell whether a line is no longer part of what began with so much indentation."""
    indent = len(line) - len(line.lstrip())
    return bool(line.strip()) and indent <= depth and line.lstrip()[0] not in ")]}"


def beside(places: str, root: Path = PROJECT) -> str:
    """Write excerpts as a table, one column for each `file name`; places are parted by `|`."""
    heads, cells = [], []
    for place in places.split("|"):
        file, name = place.split()
        path = root / file
        try:
            code = excerpt(path.read_text(encoding="utf-8"), name)
        except OSError as error:
            raise UsageError(f"excerpt of {file}: {error.strerror}") from error
        except UsageError as error:
            raise UsageError(f"excerpt of {file}: {error}") from error
        language, title = LANGUAGES[path.suffix]
        heads.append(f'<th align="left">{title}: <a href="../{file}">{file}</a></th>')
        cells.append(f'<td valign="top">\n\n```{language}\n{code}\n```\n\n</td>')
    return f"<table>\n<tr>{''.join(heads)}</tr>\n<tr>{''.join(cells)}</tr>\n</table>"


def fill(page: str, root: Path = PROJECT) -> str:
    """Write all excerpts of a page anew.

    Raises:
        UsageError: A file or a function that it names is not there.
    """
    return _BLOCK.sub(
        lambda found: (
            f"<!-- excerpt: {found[1]} -->\n\n{beside(found[1], root)}\n\n<!-- excerpt: end -->"
        ),
        page,
    )
