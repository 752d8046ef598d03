"""What the presets of a run measure: networks, dtypes, and how long. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.model.cases import NETWORKS, Network, _usual, network_text
from bench.model.errors import UsageError
from bench.model.records import OVERHEADS, PHASES, Case, DType, Phase, Problem

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
"""What must be timed for the breakdown to tell where the time of a phase goes."""


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
    ladder: bool = False  # whether all installed variants sit as candidates, not `mojo` alone


_COMMON = NETWORKS[:5]
_FEW = (NETWORKS[0], NETWORKS[2])
_PROVED = (NETWORKS[0], *NETWORKS[2:])
_VARIANTS = (NETWORKS[0], NETWORKS[2], NETWORKS[3])

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
            "ladder", "about twenty minutes: every installed variant, three networks, float64",
            _VARIANTS, ("float64",), 10, 900, 0, ladder=True,
        ),
        Preset(
            "scaling", "about ten minutes: width, depth, batch and rows of the seed network swept",
            SWEPT, ("float64",), 10, 480, 0,
        ),
    )
}  # fmt: skip


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
    cases += [Case(phase, problem) for problem in firsts.values() for phase in OVERHEADS]
    if probes and cores:
        seen = {(problem.dtype, problem.threads) for problem in problems}
        dtypes: tuple[DType, ...] = ("float64", "float32")
        for dtype, threads in ((one, count) for count in sorted({1, cores}) for one in dtypes):
            probed = Problem(*PROBED, dtype, threads)
            firsts.setdefault(threads, probed)
            cases += [] if (dtype, threads) in seen else [Case("peak", probed)]
    bandwidths: tuple[Phase, ...] = ("memory", "cache") if probes else ()
    return (*cases, *(Case(phase, one) for one in firsts.values() for phase in bandwidths))


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
