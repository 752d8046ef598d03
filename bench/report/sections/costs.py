"""What each implementation costs besides its speed, and when that is paid back. Pure: no files.

The break-even of a network is K / (t (1 - 1/r)): K what is to be paid back (the time to compile,
and how much longer the candidate takes to start), t the baseline's epoch, r the ratio. Its
logarithm is a sum of three terms, log K - log t - log(1 - 1/r), each with an interval of its own;
the ends of the sum are the sums of the ends. For readings that are normal on these scales this
holds at least 95 %, however the three depend on each other: deviations of a sum are never larger
than the sum of the deviations. What that costs is width.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.intervals import estimate, t_interval
from bench.analysis.run_analysis import RunAnalysis
from bench.model.numbers import DASH, interval, significant, time_text, unit_for
from bench.model.records import COSTS, Cost, Estimate, Result, WorkerSpec
from bench.model.tables import Table
from bench.report.elements.section import Section
from bench.report.elements.sentences import implementation_name, problem_text, slot_names

MEASURE = "python -m mojo_impl.building --measure"
NOT_TOLD = "not told"
TEXTS = {
    "start": "start: from the start of a process to its answer, all imports included",
    "import": "of it, the import of the implementation (NumPy itself is there before)",
    "first call": "first forward of a process, seed network",
    "second call": "second forward",
    "memory after import": "most memory held up to the end of the import",
    "peak memory": "most memory held, two forwards included",
    "page faults": "page faults up to there",
    "libraries loaded": "files of the shared libraries that the import brought",
    "library file": "the compiled library",
    "packages": "installed packages with all they require",
    "toolchain": "of them, the compiler and what it requires",
    "compile, empty caches": "compile, the compiler's caches empty",
    "compile, full caches": "compile again, its caches full",
    "compile": "compile of the library in use, its caches as they were",
}
BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0))
COMPILES = (("compile, empty caches", "caches empty"), ("compile, full caches", "caches full"))
LEAST = 1e-3
"""Of a nanosecond, a byte or a fault: what is below was not measured, and gets no interval."""
MOST_EPOCHS = 1e9
"""Beyond so many, nobody trains."""


def cost_section(analysis: RunAnalysis) -> Section | None:
    """Table what each side costs besides, and after how many epochs that is paid back.

    None where the run has no costs of its baseline or candidate. Of several candidates each has a
    column; what is paid back is said of the main one.
    """
    run = analysis.run
    pair = run.baseline, run.main
    every = {spec: _readings(analysis.costs, spec) for spec in (pair[0], *run.candidates)}
    told = [spec for spec, mine in every.items() if mine or spec in pair]
    columns = [every[spec] for spec in told]
    rows = [_row(name, columns) for name in TEXTS if any(name in side for side in columns)]
    if not rows:
        return None
    names = slot_names(run)
    found = [every[spec] for spec in pair]
    processes = max((len(values) for side in columns for values in side.values()), default=0)
    text = [
        f"Processes are fresh, take turns and run alone; each side had {processes}. In parentheses "
        "stands the 95 % interval over them. What has none was read once or was always the same."
    ]
    heads = [implementation_name(spec.implementation) for spec in told]
    tables = [Table(("what", *heads), rows)]
    points = []
    if any(name in found[1] for name, _ in COMPILES):
        tables.append(_break_even(found, analysis.of_main.results, pair, names))
        if not _later(found):
            points.append("How long either takes to start was not told: it is left out of that.")
        text.append(
            f"Break-even: after how many epochs the time to compile {names[1]}'s side, and how "
            f"much longer it takes to start, is paid back by its faster epochs. The interval takes "
            f"the ends of the intervals of {names[0]}'s epoch, of the ratio and of the start "
            "together, so it is rather too wide; the time to compile is one reading, taken as it "
            "is."
        )
    else:
        points.append(
            f"What it takes to compile was not measured on this machine, so there is no "
            f"break-even. The command {MEASURE} measures it; the next run here stores it."
        )
    return Section("costs", "Costs", "What it costs besides", text, tables=tables, points=points)


def _readings(costs: Sequence[Cost], spec: WorkerSpec) -> dict[str, dict[int, float | None]]:
    """Sort the costs of a worker: by name, by round; of what is not known nothing is taken."""
    found: defaultdict[str, dict[int, float | None]] = defaultdict(dict)
    for cost in costs:
        if cost.worker == spec.label and COSTS.get(cost.name) == cost.unit:
            found[cost.name].setdefault(cost.round, cost.value)
    return found


def _row(name: str, found: Sequence[Mapping[str, Mapping[int, float | None]]]) -> list[str]:
    sides = [side.get(name) for side in found]
    values = [value for side in sides for value in (side or {}).values() if value is not None]
    unit, length = _unit(COSTS[name], values)
    cells = [_cell(list(side.values()), unit, length) if side else DASH for side in sides]
    return [TEXTS[name], *cells]


def _unit(kind: str, values: Sequence[float]) -> tuple[str, float]:
    if kind == "ns":
        return unit_for(values)
    if kind == "bytes":
        least = min((value for value in values if value > 0), default=1.0)
        return next((unit for unit in BYTES if least >= unit[1]), BYTES[-1])
    return "", 1.0


def _cell(readings: Sequence[float | None], unit: str, length: float) -> str:
    """Write the readings of one side: their mean with its interval, or the one value they have."""
    values = [value for value in readings if value is not None]
    if not values:
        return NOT_TOLD
    told = f" {unit}" if unit else ""
    if len(set(values)) == 1 or min(values) < LEAST:
        return f"{significant(statistics.median(values) / length)}{told}"
    found = estimate(np.log(values))
    value, ends = interval(found.point, found.low, found.high, length)
    return f"{value} ({ends}){told}"


@dataclass(frozen=True, slots=True)
class Even:
    """When a network has paid back: epochs, or in words why there is no such number."""

    epochs: Estimate | None
    words: str = ""


def break_even(compile_ns: float, starts_ns: Sequence[float], result: Result, label: str) -> Even:
    """Say after how many epochs a candidate has paid back what it costs before the first.

    Args:
        compile_ns: The time to compile it.
        starts_ns: How much longer it takes to start than the baseline, by pair of processes.
        result: Of an epoch.
        label: Of the baseline.
    """
    ratio = result.ratio.estimate if result.ratio else None
    time = result.times.get(label)
    kind = result.verdict.kind if result.verdict else "UNRESOLVED"
    if kind == "INVALID":
        return Even(None, "no ratio: INVALID")
    if ratio is None or time is None or not math.isfinite(ratio.low):
        return Even(None, "unresolved: no interval")
    if ratio.high <= 1:
        return Even(None, "never: not faster")
    if ratio.low <= 1:
        return Even(None, "unresolved: the interval of the ratio includes 1")
    if kind != "FASTER":
        return Even(None, f"unresolved: the verdict is {kind}")
    extra = [compile_ns + float(value) for value in t_interval(np.array(starts_ns or [0.0]))]
    dearest = extra[2] if math.isfinite(extra[2]) else extra[0]
    cheapest = extra[1] if math.isfinite(extra[1]) else extra[0]
    saved = (
        time.median_ns.point * (1 - 1 / ratio.point),
        time.median_ns.high * (1 - 1 / ratio.high),
        time.median_ns.low * (1 - 1 / ratio.low),
    )
    if not min(saved) > 0:
        return Even(None, "unresolved: the saving cannot be told from nothing")
    point, low, high = (
        max(0.0, cost / each)
        for cost, each in zip((extra[0], cheapest, dearest), saved, strict=True)
    )
    if not high < MOST_EPOCHS:
        return Even(None, "unresolved: beyond any training")
    return Even(Estimate(point, low, high, ratio.count))


def even_text(even: Even, epoch_ns: float) -> str:
    """Write a break-even: `312 (298–330), after 1.3 s`."""
    if even.epochs is None:
        return even.words
    if not even.epochs.high:
        return "from the first epoch"
    value, ends = interval(even.epochs.point, even.epochs.low, even.epochs.high)
    return f"{value} ({ends}), {time_text(even.epochs.point * epoch_ns)}"


def _later(found: Sequence[Mapping[str, Mapping[int, float | None]]]) -> list[float]:
    """Say how much longer the candidate took to start, ns, by round."""
    ours, theirs = (side.get("start", {}) for side in found)
    pairs = [(ours.get(turn), value) for turn, value in theirs.items()]
    return [its - mine for mine, its in pairs if mine is not None and its is not None]


def _break_even(
    found: Sequence[Mapping[str, Mapping[int, float | None]]],
    results: Sequence[Result],
    pair: tuple[WorkerSpec, WorkerSpec],
    names: tuple[str, str],
) -> Table:
    """Make the table of all networks of which an epoch was timed."""
    differences = _later(found)
    columns = {
        text: value
        for name, text in COMPILES
        if (value := next(iter(found[1].get(name, {}).values()), None)) is not None
    }
    rows, seen = [], set()
    for result in results:
        if result.case.phase != "epoch" or result.case in seen:
            continue
        seen.add(result.case)  # of several candidates the first, as everywhere
        time = result.times.get(pair[0].label)
        epoch_ns = time.median_ns.point if time else math.nan
        rows.append(
            [
                problem_text(result.case.problem),
                *(
                    even_text(break_even(value, differences, result, pair[0].label), epoch_ns)
                    for value in columns.values()
                ),
            ]
        )
    heads = [f"epochs, {text} (and {names[0]}'s time for them)" for text in columns]
    return Table(("network", *heads), rows, "Break-even")
