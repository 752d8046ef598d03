"""Which facts forbid to compare two runs, and which are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from sample_run import SEED_NETWORK, SMALL, Truth, make_run

from bench.analysis.comparable import OF_FACTS, OF_MACHINE, OF_WORKERS, TOLD_OF_MACHINE, differences
from bench.model.records import Case, Run, WorkerSpec

MACHINE = {name: f"some {name}" for name in (*OF_MACHINE, *TOLD_OF_MACHINE, "load")}
BEFORE = make_run(Truth(machine=MACHINE))


def changed(edit: Callable[[dict[str, Any]], object], run: Run = BEFORE) -> Run:
    """Edit a run as it stands in run.json."""
    content = msgspec.json.decode(msgspec.json.encode(run))
    edit(content)
    return msgspec.convert(content, Run)


def with_machine(name: str, value: Any, when: tuple[str, ...] = ("", "_after")) -> Run:
    def edit(run: dict[str, Any]) -> None:
        for ending in when:
            run[f"environment{ending}"]["machine"][name] = value

    return changed(edit)


def test_a_run_may_be_compared_with_one_like_it() -> None:
    found = differences(BEFORE, BEFORE)
    assert (found.obstacles, found.told, found.of_baseline) == ((), (), ())


@pytest.mark.parametrize("name", OF_MACHINE)
def test_another_machine_or_setting_of_it_forbids(name: str) -> None:
    found = differences(BEFORE, with_machine(name, "other"))
    assert found.obstacles == (f"{name}: some {name} in A, other in B",)
    assert not found.told


@pytest.mark.parametrize("name", TOLD_OF_MACHINE)
def test_what_moves_with_the_system_is_told(name: str) -> None:
    found = differences(BEFORE, with_machine(name, "other"))
    assert not found.obstacles
    assert [str(one) for one in found.told] == [f"{name}: some {name} in A, other in B"]


def test_another_command_is_told() -> None:
    """Other cases in the same processes, or other lengths, may be part of a change."""
    found = differences(BEFORE, replace(BEFORE, command="bench roofline"))
    assert not found.obstacles
    assert [str(one) for one in found.told] == [
        "command: bench run --preset quick in A, bench roofline in B"
    ]


def test_what_never_agrees_is_not_compared() -> None:
    found = differences(BEFORE, with_machine("load", "9.00"))
    assert (found.obstacles, found.told) == ((), ())


def test_a_fact_that_only_one_run_knows_forbids() -> None:
    unknown = with_machine("turbo", "unavailable (no file)")
    assert differences(BEFORE, unknown).obstacles == (
        "turbo: some turbo in A, unavailable (no file) in B",
    )
    bare = changed(
        lambda run: [run[f"environment{when}"]["machine"].pop("turbo") for when in ("", "_after")]
    )
    assert differences(bare, BEFORE).obstacles == ("turbo: not recorded in A, some turbo in B",)
    assert not differences(bare, unknown).obstacles  # neither knows it


def test_a_machine_that_changed_while_it_was_measured_forbids() -> None:
    found = differences(with_machine("governor", "powersave", when=("_after",)), BEFORE)
    assert found.obstacles == (
        "governor changed while A was measured: some governor before, powersave after",
    )


@pytest.mark.parametrize("name", [*OF_WORKERS, *OF_FACTS])
def test_settings_of_a_worker_forbid(name: str) -> None:
    def edit(run: dict[str, Any], value: Any) -> None:
        worker = run["environment"]["workers"]["mojo"]
        (worker if name in OF_WORKERS else worker["facts"])[name] = value

    a, b = (changed(lambda run, value=value: edit(run, value)) for value in (3, 4))
    assert differences(a, b).obstacles == (f"mojo: {name}: 3 in A, 4 in B",)


def test_versions_commit_and_flags_are_told() -> None:
    def edit(run: dict[str, Any]) -> None:
        run["environment"]["software"]["commit"] = "abc"
        run["environment"]["workers"]["mojo"]["versions"]["mojo"] = "1.3.0"
        run["environment"]["workers"]["mojo"]["facts"]["flags"] = "-O3"

    found = differences(BEFORE, changed(edit))
    assert (found.obstacles, found.of_baseline) == ((), ())
    assert [str(one) for one in found.told] == [
        "commit: not recorded in A, abc in B",
        "mojo: mojo: 1.2.0 in A, 1.3.0 in B",
        "mojo: flags: not recorded in A, -O3 in B",
    ]


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [("versions", "numpy", "2.5.0"), ("versions", "python", "3.12.1"), ("facts", "blas", "mkl 1")],
)
def test_another_baseline_is_told_apart(part: str, name: str, value: str) -> None:
    def edit(run: dict[str, Any]) -> None:
        for slot in ("numpy", "numpy-again"):  # said once of both
            run["environment"]["workers"][slot][part][name] = value

    found = differences(BEFORE, changed(edit))
    assert not found.obstacles
    assert found.told == found.of_baseline
    (one,) = found.of_baseline
    assert str(one).startswith(f"numpy: {name}: ")
    assert one.b == value


def test_other_data_or_seeds_are_other_work() -> None:
    def edit(run: dict[str, Any]) -> None:
        run["plan"]["request"]["seed"] = 2
        run["environment"]["data"] = {"sinc-n500": "other", "new": "x"}

    assert differences(BEFORE, changed(edit)).obstacles == (
        "seed of weights and batches: 1 in A, 2 in B",
        "checksum of sinc-n500: ab in A, other in B",
    )


def test_other_slots_forbid() -> None:
    def slots(*specs: WorkerSpec) -> Run:
        return replace(BEFORE, plan=BEFORE.plan.of(workers=specs))

    numpy, _, mojo = BEFORE.plan.workers
    rust = WorkerSpec("rust", "rust", "candidate")
    assert differences(BEFORE, slots(numpy, rust)).obstacles == (
        "candidate by its label: mojo in A, rust in B",
    )
    other = replace(mojo, implementation="mojo-simple")
    assert differences(BEFORE, slots(numpy, other)).obstacles == (
        "mojo: mojo as candidate in A, mojo-simple as candidate in B",
    )
    assert not differences(BEFORE, slots(numpy, mojo, rust)).obstacles


def test_a_run_by_another_program_forbids() -> None:
    found = differences(BEFORE, replace(BEFORE, source="pytest-benchmark"))
    assert found.obstacles == ("taken by: bench in A, pytest-benchmark in B",)


def test_workers_are_held_together_by_the_threads_they_were_to_have() -> None:
    """A run of two thread counts describes the others under names of their own."""
    two = [replace(problem, threads=2) for problem in (SEED_NETWORK, SMALL)]
    both = make_run(Truth(problems=(*two, SEED_NETWORK), machine=MACHINE))

    def edit(run: dict[str, Any]) -> None:
        workers = run["environment"]["workers"]
        for label in ("numpy", "numpy-again", "mojo"):
            workers[f"{label}, 1 threads"] = dict(workers[label])
            workers[label]["threads"] = 2

    both = changed(edit, both)
    assert not differences(BEFORE, both).obstacles
    alone = changed(
        lambda run: run["environment"]["workers"]["mojo, 1 threads"].update(threads=2), both
    )
    assert differences(BEFORE, alone).obstacles == ("mojo: threads: 1 in A, 2 in B",)


def test_a_slot_that_a_run_never_starts_is_no_difference() -> None:
    """With two threads one run has cases of both, the other a probe that one worker takes alone."""
    two = replace(SEED_NETWORK, threads=2)

    def run_with(*more: Case, slots: tuple[str, ...]) -> Run:
        plan = BEFORE.plan.of(cases=(*BEFORE.plan.cases, *more))
        workers = dict(BEFORE.environment.workers)
        workers |= {f"{slot}, 2 threads": {**workers[slot], "threads": 2} for slot in slots}
        environment = replace(BEFORE.environment, workers=workers)
        return replace(BEFORE, plan=plan, environment=environment, environment_after=environment)

    both = run_with(Case("forward", two), slots=("numpy", "mojo"))
    alone = run_with(Case("peak", two), slots=("mojo",))
    assert differences(both, alone).obstacles == differences(alone, both).obstacles == ()
