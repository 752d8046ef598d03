"""Slots implementations that were named on the command line: asks each what it offers, once.

What they are called and how they are started stays here; a run's records hold neither a path nor a
command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

from bench.measuring.worker_group import TIMEOUT_S
from bench.model.errors import UsageError, WorkerError
from bench.model.records import OVERHEADS, PHASES, Phase, Plan, WorkerSpec
from bench.model.registry import VARIANTS, missing, phases_of
from bench.model.threads import thread_environment
from bench.workers.implementations.drivers import known
from bench.workers.implementations.names import Candidate, candidates
from bench.workers.messages import PROTOCOL
from bench.workers.process import StartSlot, WorkerProcess


@dataclass(frozen=True, slots=True)
class Seated:
    """The candidates of a run, and what starts a worker of theirs."""

    specs: tuple[WorkerSpec, ...]
    start: StartSlot = WorkerProcess


def starter(
    those: Iterable[Candidate],
) -> Callable[[WorkerSpec, Mapping[str, str]], WorkerProcess]:
    """Return what starts a worker: its command, or that of `bench.workers.worker`."""
    by_label = {one.label: one for one in those}
    here = Path.cwd()

    def start(spec: WorkerSpec, variables: Mapping[str, str]) -> WorkerProcess:
        one = by_label.get(spec.label)
        if one is None or one.registered:
            return WorkerProcess(spec, variables)
        if one.command:
            return WorkerProcess(spec, variables, one.command, folder=here)
        return WorkerProcess(spec, variables, more_path=here)

    return start


def seated(names: Sequence[str], taken: Iterable[str]) -> Seated:
    """Slot what was named, each only in the phases that it offers.

    Args:
        names: As they were given.
        taken: Labels of other slots.

    Raises:
        UsageError: One is not known, does not start, or speaks another protocol.
    """
    those = candidates(names, taken)
    start = starter(those)
    return Seated(tuple(_spec(one, start) for one in those), start)


def seated_again(plan: Plan, names: Sequence[str]) -> StartSlot:
    """Return what starts the workers of a run that goes on.

    What a file calls a program or a class is not started because it stands there: it must be named
    again.

    Raises:
        UsageError: Not all of them were named, or something else was.
    """
    taken = [worker.label for worker in plan.workers if worker.role != "candidate"]
    those = candidates(names, taken)
    theirs = {w.label: w.implementation for w in plan.workers if w.role == "candidate"}
    mine = {one.label: one.implementation for one in those}
    strange = {label: name for label, name in theirs.items() if ":" in name}
    missing = {label: name for label, name in strange.items() if mine.get(label) != name}
    if missing:
        raise UsageError(
            f"the run has the implementation {next(iter(missing.values()))!r}, which is started "
            "only if you name it again: bench run --resume RUN --implementation NAME, as before"
        )
    if odd := [one.name for one in those if theirs.get(one.label) != one.implementation]:
        raise UsageError(f"the run has no implementation {odd[0]!r}: leave it out")
    return starter(those)


def _spec(one: Candidate, start: StartSlot) -> WorkerSpec:
    spec = WorkerSpec(one.label, one.implementation, "candidate")
    _must_be_known(one)
    if variant := VARIANTS.get(one.name):
        if words := missing(variant):
            raise UsageError(words)
        return replace(spec, phases=phases_of(one.name))
    try:
        slot = start(spec, thread_environment(1))
        try:
            said = slot.ask("describe", TIMEOUT_S)
        finally:
            slot.end()
    except WorkerError as error:
        raise UsageError(
            f"implementation {one.name!r} cannot be used: {error.reason}. "
            "`bench check-worker` with the same name says more"
        ) from None
    if said.get("protocol", PROTOCOL) != PROTOCOL:
        raise UsageError(
            f"implementation {one.name!r} speaks version {said['protocol']!r} of the protocol, "
            f"and this is {PROTOCOL}: see docs/protocol.md"
        )
    return WorkerSpec(one.label, one.implementation, "candidate", _phases(one, said))


def _must_be_known(one: Candidate) -> None:
    if one.registered and one.name not in known():
        raise UsageError(
            f"no implementation is called {one.name!r}; there are: {', '.join(known())}. Others "
            "are named by module:attribute or exec:PROGRAM: docs/adding-an-implementation.md"
        )


def _phases(one: Candidate, said: Mapping[str, Any]) -> tuple[Phase, ...]:
    """Read which phases an implementation offers; empty: all that are compared, and the floors."""
    offered = said.get("phases", list(PHASES))
    if not isinstance(offered, list) or not set(map(str, offered)) <= set(get_args(Phase)):
        raise UsageError(f"implementation {one.name!r} offers the phases {offered!r}: not all are")
    if not set(offered) & set(PHASES):
        raise UsageError(f"implementation {one.name!r} offers none of {', '.join(PHASES)}")
    everything = set(offered) >= {*PHASES, *OVERHEADS}
    return () if everything else cast("tuple[Phase, ...]", tuple(offered))


def to_be_checked(name: str) -> tuple[Callable[[], WorkerProcess], Callable[[], WorkerProcess]]:
    """Return what starts a worker of this name, and what starts one of NumPy.

    Raises:
        UsageError: The name is none.
    """
    (one,) = candidates([name])
    _must_be_known(one)
    start, variables = starter([one]), thread_environment(1)
    spec = WorkerSpec(one.label, one.implementation, "candidate")
    numpy = WorkerSpec("numpy", "numpy", "baseline")
    return partial(start, spec, variables), partial(WorkerProcess, numpy, variables)
