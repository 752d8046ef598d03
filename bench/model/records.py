"""The words of the project as frozen values: read this file first.

Request -> Plan -> Run; Problem -> Case -> Sample -> Estimate -> Ratio -> Verdict.
Records are data only: no clocks, no files, no statistics, no text for people. Readings (`Sample`,
`ParityResult`, `FairnessCheck`, `Fault`, `Cost`, `Environment`) are stored; claims (`Estimate`,
`Ratio`, `Verdict`) are derived from them again each time and never stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from msgspec import Meta

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Invocations = Annotated[int, Meta(ge=1, le=10**6)]
MoreInvocations = Annotated[int, Meta(ge=0, le=10**6)]
Rounds = Annotated[int, Meta(ge=0, le=10**9)]
Loops = Annotated[int, Meta(ge=0, le=10**15)]
TrainingEpochs = Annotated[int, Meta(ge=0, le=10**7)]
CostRounds = Annotated[int, Meta(ge=0, le=10**4)]
"""Limits of what a stored run may hold; they hold in reading and stand in the published schema."""

Phase = Literal[
    "forward",
    "backprop",
    "epoch",
    "call",
    "timer",
    "peak",
    "memory",
    "cache",
    "forward-products",
    "forward-work",
    "backprop-products",
    "backprop-work",
    "step-work",
    "loss",
    "shuffle",
    "forward-floor",
    "backprop-floor",
    "epoch-floor",
]
"""What is timed. `forward` and `backprop`: one batch; `epoch`: shuffle and all batches with the
history recorded. Floors, which have times and no verdict: `call`, an empty crossing from Python
into the implementation, and `timer`, two readings of the clock. Probes of the machine, which one
worker alone takes: `peak`, multiply-adds in registers; `memory` and `cache`, a triad on arrays that
lie there (docs/method.md).

Parts of phases, which have times and no verdict and are taken in rounds of their own. They work in
memory that is there already, and nothing is checked: `forward-products` and `backprop-products`,
the matrix products alone; `forward-work`, with bias and activation; `backprop-work`, with the last
delta, masks and bias gradients; `step-work`, that and the update of the parameters; `loss`, of one
batch; `shuffle`, an epoch's permutation and the gathering of its batches. And what does not depend
on size: `forward-floor`, `backprop-floor` and `epoch-floor` are those phases of a network as deep
and one wide, on batches of one row."""

DType = Literal["float64", "float32"]

PHASES: tuple[Phase, ...] = ("forward", "backprop", "epoch")
OVERHEADS: tuple[Phase, ...] = ("call", "timer")
PROBES: tuple[Phase, ...] = ("peak", "memory", "cache")
PARTS: tuple[Phase, ...] = (
    *("forward-products", "forward-work", "backprop-products", "backprop-work", "step-work"),
    *("loss", "shuffle"),
)
WIDTH_ONE: tuple[Phase, ...] = ("forward-floor", "backprop-floor", "epoch-floor")
BREAKDOWN: tuple[Phase, ...] = (*PARTS, *WIDTH_ONE)
"""What is taken apart from the phases, to tell where their time goes."""

COSTS: dict[str, str] = {
    "start": "ns",
    "import": "ns",
    "first call": "ns",
    "second call": "ns",
    "memory after import": "bytes",
    "peak memory": "bytes",
    "page faults": "count",
    "libraries loaded": "bytes",
    "library file": "bytes",
    "packages": "bytes",
    "toolchain": "bytes",
    "compile": "ns",
    "compile, empty caches": "ns",
    "compile, full caches": "ns",
}
"""What an implementation costs besides its speed, and the unit of each. `start`: from the start of
a process to its answer, the import included; the import and the first two forwards of a process, by
its own clock; its memory; `libraries loaded`: the files of those that the import brought; what lies
on disk; `compile`: that of the library in use, whatever the compiler had kept in its caches."""

MAIN = "mojo"
"""The implementation that a report is about, where a run has it."""

SCHEMA_VERSION = 5
"""Version of the files of a run. History: 1, the first (2026-11); 2, cases may be probes of the
machine, with readings of one worker only (2026-11): a run of version 1 reads as one without; 3, the
contract is stored, a sample tells what the system did meanwhile, a plan may have a target, a run
may be resumed (2026-11): in older runs these are not known; 4, parts of phases are cases of their
own, and costs are stored (2026-11): an older run reads as one without; 5, a plan holds the request
that it was made for, and its `crew_ns` is `group_ns` (2026-12): `bench.storage.old_versions` brings
older runs into this form."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a worker prepares: a network and its data. Parity is checked once per problem."""

    layer_sizes: tuple[int, ...]
    batch_size: int
    rows: int  # training rows of the data set; an epoch has rows // batch_size batches
    dtype: DType
    threads: int


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured: one phase of one problem. Its id is made in `bench.model.cases`."""

    phase: Phase
    problem: Problem


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One slot in an invocation.

    `label` names the slot in samples; `implementation` what sits there. The baseline sits
    twice: its second slot (role `again`) is the A/A pair that measures the noise floor.
    """

    label: str
    implementation: str
    role: Literal["baseline", "again", "candidate"]
    phases: tuple[Phase, ...] = ()  # those it offers; empty: all


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading, raw and integer, never trimmed; warm-ups are kept and labelled."""

    case: str  # case id
    worker: str  # WorkerSpec.label
    invocation: int
    round: int
    position: int  # 0 for the first to go in this round
    loops: int
    elapsed_ns: int  # of all loops together, by the implementation's own clock
    at_ns: int  # when the reading was taken, on the runner's clock, from the start of the run
    warmup: bool = False
    # What the system says of the worker's process during the reading; None where it does not.
    cpu_ns: int | None = None  # processor time of all its threads
    preempted: int | None = None  # how often another process took a core from it
    page_faults: int | None = None


@dataclass(frozen=True, slots=True)
class TensorCheck:
    """One named tensor compared: error and tolerance on one scale (see `bench.workers.parity`)."""

    name: str
    shape: tuple[int, ...]
    error: float
    tolerance: float
    ok: bool


@dataclass(frozen=True, slots=True)
class ParityResult:
    """All tensors of one problem, candidate against reference."""

    problem: str  # problem id
    reference: str
    candidate: str
    tensors: tuple[TensorCheck, ...]
    reason: str = ""  # why it failed, in one line that names the tensor and the error; empty if ok

    @property
    def ok(self) -> bool:
        """Whether every tensor agrees."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class FairnessCheck:
    """One line of the fairness contract, checked before the first sample of what it is about."""

    subject: str  # problem id or case id
    name: str  # which line, such as "threads"; they stand in `bench.workers.fairness`
    found: str  # what was found, for people
    broken: str = ""  # by whom and how, in words; empty if it was kept

    @property
    def ok(self) -> bool:
        """Whether all workers kept it."""
        return not self.broken


@dataclass(frozen=True, slots=True)
class Fault:
    """A worker died, hung or refused: the case has no verdict, the run goes on."""

    case: str
    worker: str
    invocation: int
    reason: str


@dataclass(frozen=True, slots=True)
class Cost:
    """One reading of what an implementation costs besides its speed."""

    worker: str  # WorkerSpec.label
    name: str  # one of COSTS
    value: float | None  # None: the implementation does not tell
    unit: str  # as COSTS has it
    round: int = 0  # of the fresh processes; 0 where there is one reading only


@dataclass(frozen=True, slots=True)
class Spread:
    """How much the logarithm of a ratio varies: standard deviations at the two levels."""

    within: float  # from round to round of one invocation
    between: float  # from invocation to invocation, beyond what the rounds explain


@dataclass(frozen=True, slots=True)
class Pilot:
    """What the pilot found of a case: nanoseconds."""

    each_ns: float  # one repetition in the slowest worker
    round_ns: float  # one round of all workers
    fewer: dict[str, int] = field(default_factory=dict)  # loops of much slower slots, by label


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: made by a command, read by every stage of a run, stored with it."""

    preset: Name
    cases: Annotated[tuple[Case, ...], Meta(max_length=10_000)]
    workers: Annotated[tuple[WorkerSpec, ...], Meta(min_length=2, max_length=100)]
    invocations: Invocations = 1
    seconds: float = 1.0  # what the timing should take
    training_epochs: TrainingEpochs = 0  # of the loss curves in the report; 0: no training
    seed: int = 1  # of weights, order of batches, turns of cases; that of the data is 0
    isa: str = ""  # of both sides, by `bench.model.instruction_sets`; empty: each its own
    target: float | None = None  # half the width of an interval that is wanted: 0.01 is 1 %
    budget_s: float | None = None  # what the whole run may take
    cost_rounds: CostRounds = 0  # fresh processes of each implementation that tell its costs


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run sets out to do: the request, and what the pilot made of it.

    Fixed before the first sample. With a target, the number of invocations is fixed a second time,
    after those of the request: from how much these varied, never from where their ratios lay.
    """

    request: Request
    rounds: dict[str, Rounds] = field(default_factory=dict)  # by case id; even: the turns balance
    loops: dict[str, Loops] = field(default_factory=dict)  # by case id; common to all workers
    seconds: float = 0.0  # what the timing should take, the target left aside
    pilot: dict[str, Pilot] = field(default_factory=dict)  # by case id
    group_ns: float = 0.0  # what it takes to start and prepare the workers of one problem
    spreads: dict[str, Spread] = field(default_factory=dict)  # by case id, of the first invocations
    more: dict[str, MoreInvocations] = field(default_factory=dict)  # added for the target

    @property
    def cases(self) -> tuple[Case, ...]:
        """What is measured."""
        return self.request.cases

    @property
    def workers(self) -> tuple[WorkerSpec, ...]:
        """Who takes part."""
        return self.request.workers

    @property
    def invocations(self) -> int:
        """How many invocations were asked for."""
        return self.request.invocations

    def of(self, **changes: Any) -> Plan:
        """Return this plan of a request with these fields changed."""
        return replace(self, request=replace(self.request, **changes))


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a run took place. A fact that cannot be read is the text `unavailable (reason)`."""

    machine: dict[str, Any]  # cpu, cores, caches, memory, system, load, steal, pressure, ...
    software: dict[str, str]  # python, packages, compilers
    workers: dict[str, dict[str, Any]] = field(default_factory=dict)  # by label: `describe`
    data: dict[str, str] = field(default_factory=dict)  # data set name: sha256


@dataclass(frozen=True, slots=True)
class Spent:
    """Where the time of a run went."""

    wall_ns: int  # from its first check until the last thing was measured
    sampling_ns: int  # from requests for samples to their answers, pilot and warm-up included


@dataclass(frozen=True, slots=True)
class Run:
    """What `run.json` holds. Samples, parity results and faults lie beside it as JSON lines."""

    name: str
    started: str  # ISO 8601, UTC
    command: str
    plan: Plan
    environment: Environment
    schema: int = SCHEMA_VERSION
    status: Literal["running", "finished", "interrupted", "imported"] = "running"
    source: Literal["bench", "pytest-benchmark"] = "bench"
    environment_after: Environment | None = None
    resumed: tuple[str, ...] = ()  # when it went on after it was cut short; ISO 8601, UTC
    spent: Spent | None = None  # not of a run that was cut short

    @property
    def baseline(self) -> WorkerSpec:
        """The slot that ratios are formed against."""
        return next(spec for spec in self.plan.workers if spec.role == "baseline")

    @property
    def again(self) -> WorkerSpec | None:
        """The second slot of the baseline; None where the run has no A/A pair."""
        return next((spec for spec in self.plan.workers if spec.role == "again"), None)

    @property
    def candidates(self) -> tuple[WorkerSpec, ...]:
        """The slots that are held against the baseline, in the order of the plan."""
        return tuple(spec for spec in self.plan.workers if spec.role == "candidate")

    @property
    def main(self) -> WorkerSpec:
        """The candidate that a report is about: `MAIN` where the run has it, else the first."""
        found = self.candidates
        return next((spec for spec in found if spec.implementation == MAIN), found[0])


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number that never travels without its interval (NaN ends where none can be formed)."""

    point: float
    low: float
    high: float
    count: int  # invocations it rests on


@dataclass(frozen=True, slots=True)
class Ratio:
    """Baseline time over candidate time: above 1 the candidate is faster."""

    case: str
    baseline: str
    candidate: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Rate:
    """What a probe found: GFLOP/s for `peak`, GB/s for `memory` and `cache`."""

    phase: Phase
    dtype: DType
    threads: int
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Share:
    """The part of the machine's peak that an implementation reaches in one case: 1 is all of it."""

    case: Case
    worker: str
    estimate: Estimate

    @property
    def impossible(self) -> bool:
        """Whether the whole interval lies above the peak: then the time or the count is wrong."""
        return self.estimate.low > 1


VerdictKind = Literal["FASTER", "SLOWER", "EQUIVALENT", "UNRESOLVED", "INVALID"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be said of a candidate in one case, and why."""

    kind: VerdictKind
    reason: str


@dataclass(frozen=True, slots=True)
class TimeEstimate:
    """Time of one repetition in nanoseconds: median with interval, and minimum."""

    worker: str
    median_ns: Estimate
    minimum_ns: float  # the best reading; shown, never compared


@dataclass(frozen=True, slots=True)
class Result:
    """All that is derived for one case and one candidate."""

    case: Case
    times: dict[str, TimeEstimate]  # by label, of all workers; each of the invocations it completed
    ratio: Ratio | None  # None: no ratio may be formed (see the verdict)
    again: Ratio | None  # the baseline against itself: the noise floor
    verdict: Verdict | None  # None: a floor, or a run whose kind of data supports none
    drifting: int = 0  # invocations whose readings still moved at the end
    incomplete: int = 0  # invocations left out because a round of some worker is missing
    candidate: str = ""  # WorkerSpec.label of the candidate that this is of
