"""Fuzzes the boundary of Python and Mojo: `python tests/boundary/boundary.py --examples N`.

Drawn programs drive both twins, each step compared, in processes of their own, so that one that
crashes is seen: it is reported with its signal, its seed and the program that it was about to run.
With --page the counts are written as a page. With --library another compiled library is driven,
such as one with a sanitizer.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

CHUNK = Path(__file__).with_name("boundary_chunk.py")
AT_ONCE = 500
LIMIT_S = 900
ANSWERS = ("answered", "not compared", "absent")


@dataclass
class Result:
    """What became of all examples."""

    examples: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # deed and outcome: times
    failures: list[str] = field(default_factory=list)
    crashes: int = 0

    @property
    def steps(self) -> int:
        """How many steps the programs had."""
        return sum(self.counts.values())


def parts(examples: int, first_seed: int) -> Iterator[tuple[int, int]]:
    """Cut so many examples into (examples, seed) of one process each."""
    for place, done in enumerate(range(0, examples, AT_ONCE)):
        yield min(AT_ONCE, examples - done), first_seed + place


def drive(examples: int, first_seed: int, *more: str, chunk: Path = CHUNK) -> Result:
    """Run so many examples, a process for each part of them.

    Args:
        examples: How many.
        first_seed: Of the first process; the next one has the next.
        more: Further arguments of the chunk.
        chunk: The program to start.

    Returns:
        The counts, and of each process that did not end well what it said.
    """
    result = Result()
    for many, seed in parts(examples, first_seed):
        with tempfile.TemporaryDirectory() as place:
            diary = Path(place) / "diary"
            line = [sys.executable, "-X", "faulthandler", str(chunk), "--examples", str(many)]
            line += ["--seed", str(seed), "--diary", str(diary), *more]
            end, said, finding = finish(line)
            last = diary.read_text() if diary.is_file() else "no example was begun"
        if end == "exit code 0":
            told = json.loads(said)
            result.examples += told["examples"]
            for deed, outcome, times in told["counts"]:
                result.counts[deed, outcome] += times
        else:
            result.crashes += end != "exit code 1"
            result.failures.append(
                f"{end}, of {' '.join(line[3:8])}\n{finding[-4000:]}\nlast begun: {last}"
            )
    return result


def finish(line: list[str]) -> tuple[str, str, str]:
    """Run a command; say how it ended, what it printed, and what it complained of."""
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as late:
        return f"no end in {LIMIT_S} s", "", (late.stderr or b"").decode(errors="replace")
    end = f"exit code {done.returncode}"
    if done.returncode < 0:
        end = f"ended by {signal.Signals(-done.returncode).name}"
    return end, done.stdout, done.stderr


def as_page(result: Result, command: str) -> str:
    """Write the counts as Markdown."""
    names = {deed: Counter[str]() for deed, _ in sorted(result.counts)}
    for (deed, outcome), times in result.counts.items():
        names[deed][outcome if outcome in ANSWERS else "refused"] += times
    refusals = Counter[str]()
    for (_, outcome), times in result.counts.items():
        if outcome not in ANSWERS:
            refusals[outcome] += times
    versions = ", ".join(f"{name} {version(name)}" for name in ("mojo", "numpy", "hypothesis"))
    lines = [
        "# The boundary, fuzzed",
        "",
        f"Made by `{command}`; do not edit. Python {platform.python_version()}, {versions}.",
        "",
        "Each example is a program of calls, good and bad, that both twins run side by side: same"
        " answers within the tolerance, same exceptions, same words where they are our own, no"
        " argument changed.",
        "",
        f"{result.examples:,} examples, {result.steps:,} steps, {result.crashes} crashes,"
        f" {len(result.failures) - result.crashes} differences.",
        "",
        "| deed | answered alike | refused alike | not compared | absent |",
        "|---|---|---|---|---|",
    ]
    for deed, told in names.items():
        columns = [told[name] for name in ("answered", "refused", "not compared", "absent")]
        lines.append(f"| {deed} | " + " | ".join(f"{times:,}" for times in columns) + " |")
    lines += [
        "",
        "Not compared: a network with a setting of no meaning, which neither side looks at before"
        " it is used; one that was never made; two threads on one network or on two. Only a crash"
        " counts there. Absent: the program had let go of the network. `instrument`: what only Mojo"
        " has (`time_phase`, `time_probe`, `nothing`, `set_threads`): an exception or a result of"
        " the right type must come of it.",
        "",
        "Refusals: " + ", ".join(f"{name} {times:,}" for name, times in refusals.most_common()),
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Run so many examples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", type=Path, help="where to write the counts")
    parser.add_argument("--library", help="a compiled library in place of mojo_impl's own")
    asked = parser.parse_args()
    more = ("--library", asked.library) if asked.library else ()
    result = drive(asked.examples, asked.seed, *more)
    command = f"python tests/boundary/boundary.py --examples {asked.examples} --seed {asked.seed}"
    page = as_page(result, command)
    if asked.page:
        asked.page.write_text(page)
    print(page, *result.failures, sep="\n")  # noqa: T201
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
