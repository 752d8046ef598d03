"""The matrix: networks, presets, and a case's id, display text and file name in one place.

Pure: no files, no clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from bench.errors import UsageError
from bench.records import (
    ASIDE,
    FLOORS,
    PHASES,
    PROBES,
    Case,
    DType,
    Phase,
    Problem,
    WorkerSpec,
)
from bench.registry import offers

Network = tuple[tuple[int, ...], int, int]
"""Layer sizes, batch size, training rows."""

# The seed network first, then wider ones.
NETWORKS: tuple[Network, ...] = (
    ((1, *[50] * 9, 1), 20, 500),
    ((1, *[150] * 9, 1), 20, 500),
    ((64, 128, 128, 10), 32, 2048),
    ((784, 512, 512, 10), 128, 4096),
    ((1024, 1024, 1024, 1024), 256, 2048),
    ((1024, 4096, 4096, 1024), 256, 1024),
)
# What does not fit: odd widths and batches, an epoch of four batches and one row that is left over.
AWKWARD: tuple[Network, ...] = tuple(
    ((width, width, width), batch, 4 * batch + (batch > 1))
    for width in (1, 2, 3, 7, 17, 50, 63, 65, 127, 1000)
    for batch in (1, 2, 5, 19, 20, 33, 128, 1000)
)
# One axis at a time around the seed network: width, depth, batch, which divides the rows, and rows.
_SEED_WIDTHS = (10, 25, 50, 100, 200)
_SEED_DEPTHS = (1, 3, 5, 9, 17)
_SEED_BATCHES = (5, 10, 20, 50, 100)
_SEED_ROWS = (100, 200, 500, 1000, 2000)
SWEPT: tuple[Network, ...] = tuple(
    dict.fromkeys(
        (
            *(((1, *[width] * 9, 1), 20, 500) for width in _SEED_WIDTHS),
            *(((1, *[50] * depth, 1), 20, 500) for depth in _SEED_DEPTHS),
            *(((1, *[50] * 9, 1), batch, 500) for batch in _SEED_BATCHES),
            *(((1, *[50] * 9, 1), 20, rows) for rows in _SEED_ROWS),
        )
    )
)

PROBED: Network = ((1, 1), 1, 8)
"""What a worker prepares where only the machine is probed: it is neither compared nor trained."""
WITH_PARTS = ("numpy", "mojo")
"""The implementations that time parts of phases."""
PARTS_OF: dict[Phase, tuple[Phase, ...]] = {
    "forward": ("forward-products", "forward-work", "forward-floor"),
    "backprop": ("backprop-products", "backprop-work", "backprop-floor"),
    "epoch": (
        *("forward-products", "forward-work", "backprop-products", "backprop-work", "step-work"),
        *("loss", "shuffle", "epoch-floor"),
    ),
}
"""What must be timed aside to tell where the time of a phase goes."""

PROBER = "mojo"
"""The implementation that holds the probes of the machine."""
PEAK_FLOPS = 3 << 23
"""Arithmetic of each thread in one repetition of `peak`, some 200 microseconds of it."""
TRIAD_ELEMENTS: dict[Phase, int] = {"memory": 1 << 23, "cache": 1 << 20}
"""Elements a[i] of each thread in one repetition of a triad. In memory they are one pass through
three arrays of 64 MiB, in the cache many through arrays of half its size together."""
TRIAD_BYTES = 24
"""Bytes moved per element a[i] = b[i] + s * c[i]: two read and one written, as STREAM counts. That
the machine may read a line before it writes to it (a third more) is not counted."""


@dataclass(frozen=True, slots=True)
class Preset:
    """How much a run measures. `seconds` is what the timing is planned to take."""

    name: str
    summary: str
    networks: tuple[Network, ...]
    dtypes: tuple[DType, ...]
    invocations: int
    seconds: float
    training_epochs: int
    probes: bool = False  # whether the machine is probed beside its cases
    parts: bool = False  # whether parts of phases are timed, to tell where the time goes
    ladder: bool = False  # whether all installed rungs sit as candidates, not `mojo` alone


_COMMON = NETWORKS[:5]
_FEW = (NETWORKS[0], NETWORKS[2])
_PROVED = (NETWORKS[0], *NETWORKS[2:])
_RUNGS = (NETWORKS[0], NETWORKS[2], NETWORKS[3])

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "smoke", "each case once, no verdicts: for CI",
            _FEW, ("float64",), 1, 1, 20, parts=True,
        ),
        Preset(
            "quick", "about a minute and a half: two networks, float64",
            _FEW, ("float64",), 10, 40, 200, probes=True, parts=True,
        ),
        Preset(
            "default", "about six minutes: five networks, float64",
            _COMMON, ("float64",), 10, 200, 1000, probes=True, parts=True,
        ),
        Preset(
            "full", "about twenty-five minutes: five networks, both dtypes",
            _COMMON, ("float64", "float32"), 20, 1200, 1000, probes=True, parts=True,
        ),
        Preset(
            "roofline", "ten to fifteen minutes: percent of the machine's peak, both dtypes",
            _PROVED, ("float64", "float32"), 5, 480, 0, probes=True,
        ),
        Preset(
            "awkward", "about half an hour: 80 odd widths and batches, both dtypes, no verdicts",
            AWKWARD, ("float64", "float32"), 6, 960, 0,
        ),
        Preset(
            "ladder", "about twenty minutes: every rung that is installed, three networks, float64",
            _RUNGS, ("float64",), 10, 900, 0, ladder=True,
        ),
        Preset(
            "scaling", "about ten minutes: width, depth, batch and rows of the seed network swept",
            SWEPT, ("float64",), 10, 480, 0,
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


_OF_A_NETWORK: tuple[Phase, ...] = (*PHASES, "peak", *ASIDE)  # `peak` is taken beside each


def problem_id(problem: Problem) -> str:
    """Name a problem: `1-50x9-1/b20/n500/f64/t1`."""
    layers = format_layers(problem.layer_sizes).replace(",", "-")
    bits = problem.dtype.removeprefix("float")
    return f"{layers}/b{problem.batch_size}/n{problem.rows}/f{bits}/t{problem.threads}"


def case_id(case: Case) -> str:
    """Name a case: `epoch/1-50x9-1/b20/n500/f64/t1`; what no network is needed for, `call/t1`."""
    if case.phase not in _OF_A_NETWORK:
        return f"{case.phase}/t{case.problem.threads}"
    return f"{case.phase}/{problem_id(case.problem)}"


def network_text(problem: Problem) -> str:
    """Say which network, for people: `1,50x9,1 batch 20`; rows where they are not usual."""
    name = f"{format_layers(problem.layer_sizes)} batch {problem.batch_size}"
    usual = _usual(problem.layer_sizes, problem.batch_size)[2]
    return name if problem.rows == usual else f"{name}, {problem.rows} rows"


def _usual(sizes: tuple[int, ...], batch_size: int) -> Network:
    """Return the network of the matrix with these sizes, or what others get."""
    known = {network[0]: network for network in NETWORKS}
    return known.get(sizes, (sizes, batch_size, 25 * max(20, batch_size)))


def case_text(case: Case) -> str:
    """Say which case, for people: `epoch · 1,50x9,1 batch 20 · float64 · 1 thread`."""
    threads = case.problem.threads
    end = f"{threads} thread{'s' if threads != 1 else ''}"
    if case.phase not in _OF_A_NETWORK:
        return f"{case.phase} · {end}"
    return f"{case.phase} · {network_text(case.problem)} · {case.problem.dtype} · {end}"


def file_stem(identifier: str) -> str:
    """Turn an id into a file name without its ending."""
    return identifier.replace("/", "_")


def flops(case: Case) -> int:
    """Count the arithmetic of the matrix products of one repetition, 2·M·N·K each.

    Forward: the product of every layer. Backprop: the weight gradient of every layer and the
    delta of all but the first; both the same for their parts that hold them. Epoch: both, times
    the number of full batches. Peak: two for each multiply-add of a lane. Others: 0.
    """
    problem = case.problem
    sizes = problem.layer_sizes
    pairs = [a * b for a, b in pairwise(sizes)]
    forward = 2 * problem.batch_size * sum(pairs)
    backprop = 2 * problem.batch_size * (sum(pairs) + sum(pairs[1:]))
    batches = problem.rows // problem.batch_size
    return {
        **dict.fromkeys(("forward", "forward-products", "forward-work"), forward),
        **dict.fromkeys(("backprop", "backprop-products", "backprop-work", "step-work"), backprop),
        "epoch": batches * (forward + backprop),
        "peak": PEAK_FLOPS * problem.threads,
    }.get(case.phase, 0)


def least_bytes(case: Case) -> int:
    """Count the bytes that the matrix products of one repetition must move at least once.

    Each array that a product reads or writes counts once per batch, in the dtype of the problem,
    as if a cache held all of it in between. Forward: the batch, the weights and the result of
    every layer. Backprop: what each layer was given, the delta of each layer, the weights of all
    but the first, and the weight gradients. Epoch: per batch what forward and backprop move, the
    arrays that both use counted once, and the moved weights in place of their gradients. Biases,
    targets and the gathering of batches are left out, as they are in `flops`. Others: 0.
    """
    problem = case.problem
    sizes = problem.layer_sizes
    weights = [a * b for a, b in pairwise(sizes)]
    given, made = sum(sizes[:-1]), sum(sizes[1:])
    batches = problem.rows // problem.batch_size
    elements = {
        "forward": problem.batch_size * sum(sizes) + sum(weights),
        "backprop": problem.batch_size * (given + made) + sum(weights[1:]) + sum(weights),
        "epoch": batches * (problem.batch_size * (sum(sizes) + made) + 2 * sum(weights)),
    }.get(case.phase, 0)
    return elements * (8 if problem.dtype == "float64" else 4)


def triad_bytes(case: Case) -> int:
    """Count the bytes that all threads move in one repetition of `memory` or `cache`; else 0."""
    return TRIAD_BYTES * TRIAD_ELEMENTS.get(case.phase, 0) * case.problem.threads


def cases_of(
    problems: Iterable[Problem],
    phases: Sequence[Phase] = PHASES,
    *,
    probes: bool = False,
    cores: int = 0,
    parts: bool = False,
) -> tuple[Case, ...]:
    """Cross problems with phases and add the floors, once per thread count.

    Args:
        problems: What is compared and timed.
        phases: Of each of them.
        probes: Whether the peak is taken beside each problem, in the same processes and the same
            minute, and the bandwidths once per thread count.
        cores: With probes: the peak is also taken on one thread and on so many, in both dtypes,
            and the bandwidths on so many; 0: only beside problems.
        parts: Whether what tells where the time of these phases goes is timed too, where there is
            one thread. With several, every sample waits a tenth of a second for other threads to
            fall asleep, and parts would take more time than phases.
    """
    problems = tuple(problems)
    firsts: dict[int, Problem] = {}
    for problem in problems:
        firsts.setdefault(problem.threads, problem)
    beside: tuple[Phase, ...] = ("peak",) if probes else ()
    aside = tuple(dict.fromkeys(part for phase in phases for part in PARTS_OF.get(phase, ())))
    cases = [
        Case(phase, problem)
        for problem in problems
        for phase in (*phases, *beside, *(aside if parts and problem.threads == 1 else ()))
    ]
    cases += [Case(phase, problem) for problem in firsts.values() for phase in FLOORS]
    if probes and cores:
        seen = {(problem.dtype, problem.threads) for problem in problems}
        dtypes: tuple[DType, ...] = ("float64", "float32")
        for dtype, threads in ((one, count) for count in sorted({1, cores}) for one in dtypes):
            probed = Problem(*PROBED, dtype, threads)
            firsts.setdefault(threads, probed)
            cases += [] if (dtype, threads) in seen else [Case("peak", probed)]
    bandwidths: tuple[Phase, ...] = ("memory", "cache") if probes else ()
    return (*cases, *(Case(phase, one) for one in firsts.values() for phase in bandwidths))


def compared(cases: Iterable[Case]) -> tuple[Problem, ...]:
    """List the problems that stand for a network: all but those that only probe the machine."""
    return tuple(dict.fromkeys(case.problem for case in cases if case.phase not in PROBES))


def seats_of(case: Case, workers: Iterable[WorkerSpec]) -> tuple[WorkerSpec, ...]:
    """Choose the workers that take turns in a case: the one place that says so.

    All that offer it, by what their seats say and by `bench.registry`; for what is timed aside,
    those without the second seat of the baseline; for a probe the one that holds it.
    """
    workers = [worker for worker in workers if has_phase(worker, case.phase)]
    if case.phase in PROBES:
        return tuple(worker for worker in workers if worker.implementation == PROBER)[:1]
    epoch, threads = flops(replace(case, phase="epoch")), case.problem.threads
    return tuple(
        worker
        for worker in workers
        if offers(worker.implementation, epoch, threads)
        and not (case.phase in ASIDE and worker.role == "again")
    )


def seats_compared(
    problem: Problem, cases: Iterable[Case], workers: Sequence[WorkerSpec]
) -> tuple[WorkerSpec, ...]:
    """Choose the workers whose tensors are compared: those with a turn in a case of the problem."""
    mine = [case for case in cases if case.problem == problem and case.phase not in PROBES]
    return crew_of(mine, workers)


def has_phase(worker: WorkerSpec, phase: Phase) -> bool:
    """Tell whether a worker has a phase."""
    return not worker.phases or phase in worker.phases


def crew_of(cases: Iterable[Case], workers: Sequence[WorkerSpec]) -> tuple[WorkerSpec, ...]:
    """Choose the workers that have a turn in any of these cases."""
    needed = {worker for case in cases for worker in seats_of(case, workers)}
    return tuple(worker for worker in workers if worker in needed)


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
    networks = [_usual(sizes, batch_size or 20) for sizes in layers]
    problems = tuple(
        Problem(sizes, batch_size or own_batch_size, rows or own_rows, dtype, count)
        for sizes, own_batch_size, own_rows in networks or preset.networks
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
