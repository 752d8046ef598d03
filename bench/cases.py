"""The matrix: networks, presets, and a case's id, display text and file name in one place.

Pure: no files, no clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from bench.errors import UsageError
from bench.records import FLOORS, PHASES, Case, DType, Phase, Problem

# (layer sizes, batch size, training rows): the seed network first, then wider ones.
NETWORKS: tuple[tuple[tuple[int, ...], int, int], ...] = (
    ((1, *[50] * 9, 1), 20, 500),
    ((1, *[150] * 9, 1), 20, 500),
    ((64, 128, 128, 10), 32, 2048),
    ((784, 512, 512, 10), 128, 4096),
    ((1024, 1024, 1024, 1024), 256, 2048),
)


@dataclass(frozen=True, slots=True)
class Preset:
    """How much a run measures. `seconds` is what the timing is planned to take."""

    name: str
    summary: str
    networks: tuple[int, ...]  # indices into NETWORKS
    dtypes: tuple[DType, ...]
    invocations: int
    seconds: float
    training_epochs: int


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("smoke", "each case once, no verdicts: for CI", (0, 2), ("float64",), 1, 1, 20),
        Preset("quick", "about a minute: two networks, float64", (0, 2), ("float64",), 10, 40, 200),
        Preset(
            "default", "about three minutes: all networks, float64",
            (0, 1, 2, 3, 4), ("float64",), 10, 150, 1000,
        ),
        Preset(
            "full", "about twenty minutes: all networks, both dtypes",
            (0, 1, 2, 3, 4), ("float64", "float32"), 20, 1200, 1000,
        ),
    )
}  # fmt: skip


def format_layers(sizes: Sequence[int]) -> str:
    """Write layer sizes the short way: `1,50x9,1`."""
    parts = []
    for size, run in groupby(sizes):
        count = len(list(run))
        parts.append(f"{size}x{count}" if count > 1 else str(size))
    return ",".join(parts)


def parse_layers(text: str) -> tuple[int, ...]:
    """Read layer sizes as `format_layers` writes them.

    Raises:
        UsageError: for anything but two or more sizes of 1 and above.
    """
    sizes: list[int] = []
    for part in text.replace(" ", "").split(","):
        size, _, count = part.partition("x")
        if not (size.isdecimal() and (count.isdecimal() or "x" not in part)):
            raise UsageError(f"layer sizes {text!r}: {part!r} is not a size; write 1,50x9,1")
        sizes.extend([int(size)] * (int(count) if count else 1))
    if len(sizes) < 2 or min(sizes) < 1:
        raise UsageError(f"layer sizes {text!r}: two or more sizes of at least 1 are needed")
    return tuple(sizes)


def problem_id(problem: Problem) -> str:
    """Name a problem: `1-50x9-1/b20/n500/f64/t1`."""
    layers = format_layers(problem.layer_sizes).replace(",", "-")
    bits = problem.dtype.removeprefix("float")
    return f"{layers}/b{problem.batch_size}/n{problem.rows}/f{bits}/t{problem.threads}"


def case_id(case: Case) -> str:
    """Name a case: `epoch/1-50x9-1/b20/n500/f64/t1`; floors `call/t1`, `timer/t1`."""
    if case.phase in FLOORS:
        return f"{case.phase}/t{case.problem.threads}"
    return f"{case.phase}/{problem_id(case.problem)}"


def network_text(problem: Problem) -> str:
    """Say which network, for people: `1,50x9,1 batch 20`."""
    return f"{format_layers(problem.layer_sizes)} batch {problem.batch_size}"


def case_text(case: Case) -> str:
    """Say which case, for people: `epoch · 1,50x9,1 batch 20 · float64 · 1 thread`."""
    threads = case.problem.threads
    end = f"{threads} thread{'s' if threads != 1 else ''}"
    if case.phase in FLOORS:
        return f"{case.phase} · {end}"
    return f"{case.phase} · {network_text(case.problem)} · {case.problem.dtype} · {end}"


def file_stem(identifier: str) -> str:
    """Turn an id into a file name without its ending."""
    return identifier.replace("/", "_")


def flops(case: Case) -> int:
    """Count the arithmetic of the matrix products of one repetition, 2·M·N·K each.

    Forward: the product of every layer. Backprop: the weight gradient of every layer and the
    delta of all but the first. Epoch: both, times the number of full batches. Floors: 0.
    """
    problem = case.problem
    sizes = problem.layer_sizes
    pairs = [a * b for a, b in pairwise(sizes)]
    forward = 2 * problem.batch_size * sum(pairs)
    backprop = 2 * problem.batch_size * (sum(pairs) + sum(pairs[1:]))
    batches = problem.rows // problem.batch_size
    return {
        "forward": forward,
        "backprop": backprop,
        "epoch": batches * (forward + backprop),
    }.get(case.phase, 0)


def cases_of(problems: Iterable[Problem], phases: Sequence[Phase] = PHASES) -> tuple[Case, ...]:
    """Cross problems with phases and add the floors, once per thread count."""
    problems = tuple(problems)
    firsts: dict[int, Problem] = {}
    for problem in problems:
        firsts.setdefault(problem.threads, problem)
    floors = tuple(Case(phase, problem) for problem in firsts.values() for phase in FLOORS)
    return tuple(Case(phase, problem) for problem in problems for phase in phases) + floors


def preset_problems(
    preset: Preset,
    *,
    layers: Sequence[tuple[int, ...]] = (),
    batch_size: int | None = None,
    rows: int | None = None,
    dtypes: Sequence[DType] = (),
    threads: Sequence[int] = (1,),
) -> tuple[Problem, ...]:
    """List the problems of a preset, each part replaced by what is given.

    Layer sizes of the matrix bring their batch size and rows with them; others have a batch of 20
    and 500 rows, or 25 batches of rows where the batch is larger than 20.

    Raises:
        UsageError: A batch is larger than the data set, or a number is below 1.
    """
    known = {network[0]: network for network in NETWORKS}
    default = batch_size or 20
    networks = [known.get(sizes, (sizes, default, 25 * max(20, default))) for sizes in layers]
    problems = tuple(
        Problem(sizes, batch_size or own_batch_size, rows or own_rows, dtype, count)
        for sizes, own_batch_size, own_rows in networks or [NETWORKS[i] for i in preset.networks]
        for dtype in dtypes or preset.dtypes
        for count in threads
    )
    for problem in problems:
        if min(problem.batch_size, problem.threads) < 1 or problem.rows < problem.batch_size:
            raise UsageError(
                f"{network_text(problem)} with {problem.rows} rows on {problem.threads} threads: "
                "batch and threads must be at least 1, and rows at least the batch"
            )
    return tuple(dict.fromkeys(problems))
