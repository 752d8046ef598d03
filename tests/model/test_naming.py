"""Implementations named on the command line: what they are called, how they start, where they sit.

Programs and classes of others, and what a run's file may not start.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_run import Truth, write_run

from bench.cli.app import planned, workers_of
from bench.measuring.resolve import seated, seated_again
from bench.model.cases import case_id
from bench.model.errors import UsageError
from bench.model.paths import PROJECT
from bench.model.presets import PRESETS
from bench.model.records import Case, Plan, Problem
from bench.model.slots import slots_of
from bench.storage.runs import load
from bench.workers.implementations.drivers import implementation, known
from bench.workers.implementations.names import candidates, program_or_name

Bench = Callable[..., tuple[int, str, str]]
TAKEN = ("numpy", "numpy-again")
CLASSES = """
from bench.implementations import NumPy

class Whole(NumPy):
    name = "whole"

class Forward(NumPy):
    name = "forward only"
    phases = ("forward",)

class Nothing(NumPy):
    name = "nothing"
    phases = ()

class Nonsense(NumPy):
    name = "nonsense"
    phases = ("forward", "nap")

class Other(NumPy):
    name = "other"
    def describe(self):
        return super().describe() | {"protocol": 7}

class Broken(NumPy):
    def __init__(self):
        raise AttributeError("no luck")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of somebody's own, with a module in it."""
    (tmp_path / "strangers.py").write_text(CLASSES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Names


@pytest.mark.parametrize(
    ("name", "label", "stored"),
    [
        ("mojo", "mojo", "mojo"),
        ("package.module:Fast", "Fast", "package.module:Fast"),
        ("exec:./mlp", "mlp", "exec:mlp"),
        ("exec:/home/ann/deep down/mlp.exe -v", "home-ann-deep", ""),
        ("exec:'/home/ann/deep down/my worker.bin' -v", "my-worker", "exec:my-worker"),
        ("exec:python3 script.py --fast", "script", "exec:script"),
        ("exec:python3 -m worker", "python3", "exec:python3"),
        ("exec:./<b>&", "b", "exec:b"),
        ("exec:./***", "program", "exec:program"),
        ("exec:./" + "x" * 99, "x" * 24, "exec:" + "x" * 24),
        ("exec:./numpy", "numpy-2", "exec:numpy-2"),
        ("numpy", "numpy-2", "numpy"),
    ],
)
def test_a_slot_has_a_short_name_without_a_path(
    here: Path, name: str, label: str, stored: str
) -> None:
    (here / "script.py").write_text("")
    (one,) = candidates([name], TAKEN)
    if stored:
        assert (one.label, one.implementation) == (label, stored)
    assert "/" not in one.label
    assert "ann" not in one.implementation


def test_names_that_come_to_the_same_are_told_apart() -> None:
    found = candidates(["exec:./a/mlp", "exec:./b/mlp", "x:mlp", "exec:./a/mlp"], TAKEN)
    assert [one.label for one in found] == ["mlp", "mlp-2", "mlp-3"]
    assert len({one.implementation for one in found}) == 3
    assert found[0].command[0].endswith("/a/mlp")


@pytest.mark.parametrize("name", ["exec:", "exec:   ", "exec:'open", "", ":Class", "module:"])
def test_what_is_no_name_is_said(name: str) -> None:
    with pytest.raises(UsageError, match="implementation"):
        candidates([name])


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["numpy"], "numpy"), (["a.b:C"], "a.b:C"), (["./mlp"], "exec:./mlp"),
        (["python3", "a b.py"], "exec:python3 'a b.py'"), (["exec:./mlp", "-v"], "exec:./mlp -v"),
        (["strangers.py"], "exec:strangers.py"),
    ],
)  # fmt: skip
def test_words_of_a_command_line_are_a_name_or_a_program(
    here: Path, words: list[str], name: str
) -> None:
    assert program_or_name(words) == name


# Slots


def test_a_class_sits_where_it_offers_something(here: Path) -> None:
    found = seated(["strangers:Whole", "strangers:Forward"], TAKEN)
    whole, forward = found.specs
    assert (whole.label, whole.phases) == ("Whole", ())
    assert (forward.label, set(forward.phases)) == ("Forward", {"forward", "call", "timer"})
    problem = Problem((1, 4, 1), 5, 20, "float64", 1)
    assert slots_of(Case("epoch", problem), found.specs) == (whole,)
    assert slots_of(Case("forward", problem), found.specs) == (whole, forward)


def test_a_phase_that_no_candidate_has_is_not_measured(here: Path) -> None:
    workers = (*workers_of([]), *seated(["strangers:Forward"], TAKEN).specs)
    problem = Problem((1, 4, 1), 5, 20, "float64", 1)
    cases = planned((problem,), ("forward", "epoch"), PRESETS["default"], workers)
    # Nor is the machine probed, or a part timed: nobody there can.
    assert [case.phase for case in cases] == ["forward", "call", "timer"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nobody", "Others are named by module:attribute or exec:PROGRAM: docs/adding"),
        ("strangers:Nothing", "offers none of forward, backprop, epoch"),
        ("strangers:Nonsense", "'nap'"),
        ("strangers:Other", "speaks version 7 of the protocol, and this is 1"),
        ("strangers:Broken", "cannot be made: no luck"),
        ("strangers:Missing", "no attribute 'Missing'"),
        ("exec:./nowhere", "cannot be started: No such file or directory"),
        ("exec:false", "`bench check-worker` with the same name says more"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_measured(
    here: Path, name: str, words: str
) -> None:
    with pytest.raises(UsageError) as refused:
        seated([name], TAKEN)
    assert words in str(refused.value)


# Entry points


def test_a_package_brings_an_implementation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "strange-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[bench.implementations]\nstrange = strangers_brought:Whole\nlost = nowhere_at_all:X\n"
        "mojo = strangers_brought:Whole\n"
    )
    (tmp_path / "strangers_brought.py").write_text(CLASSES)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert known()[-2:] == ("lost", "strange")
    assert {"numpy", "mojo"} <= set(known())
    assert implementation("strange").name == "whole"
    assert implementation("mojo").name == "mojo"  # nobody takes the place of ours
    with pytest.raises(UsageError, match="'lost' is registered as nowhere_at_all:X and cannot be"):
        implementation("lost")
    with pytest.raises(UsageError, match=r"there are: .*mojo.*, lost, strange"):
        implementation("nobody")


# What a run's file may start


def run_with(tmp_path: Path, stored: str, label: str) -> Plan:
    run_dir = write_run(tmp_path / "run", Truth(invocations=1, rounds=2, training_epochs=0))
    tree = json.loads((run_dir / "run.json").read_text())
    tree["status"] = "interrupted"
    candidate = tree["plan"]["request"]["workers"][-1]
    candidate |= {"implementation": stored, "label": label}
    (run_dir / "run.json").write_text(json.dumps(tree))
    (run_dir / "samples.jsonl").write_text("")
    (run_dir / "costs.jsonl").write_text("")
    return load(run_dir).run.plan


@pytest.mark.parametrize(
    ("stored", "label", "again"),
    [("exec:mlp", "mlp", "exec:./mlp"), ("strangers:Whole", "Whole", "strangers:Whole")],
)
def test_what_a_file_names_is_started_only_if_it_is_named_again(
    tmp_path: Path, bench: Bench, stored: str, label: str, again: str
) -> None:
    plan = run_with(tmp_path, stored, label)
    for names in ([], ["exec:./other"], ["mojo"]):
        with pytest.raises(UsageError, match="started only if you name it again"):
            seated_again(plan, names)
    assert callable(seated_again(plan, [again]))
    code, _, err = bench("run", "--resume", tmp_path / "run")
    assert code == 2
    assert f"{stored!r}, which is started only if you name it again" in err


def test_a_run_of_ours_goes_on_as_before_and_takes_nobody_in(tmp_path: Path) -> None:
    plan = run_with(tmp_path, "mojo", "mojo")
    assert callable(seated_again(plan, []))
    with pytest.raises(UsageError, match=r"has no implementation 'exec:\./mlp'"):
        seated_again(plan, ["exec:./mlp"])


# The whole way


@pytest.mark.alone
def test_a_run_with_strangers_only_needs_no_mojo_and_says_what_they_lack(
    bench: Bench, here: Path
) -> None:
    code, out, _ = bench(
        "run", "--preset", "smoke", "--layers", "1,4,1", "--rows", "40", "--no-costs",
        "--implementation", "strangers:Forward", "--implementation", "strangers:Whole",
        "--name", "door",
    )  # fmt: skip
    assert "Forward" in out
    stored = load(here / "results" / "door")
    # Where other processes hold the cores, times may break the contract; nothing else breaks.
    assert [one for one in stored.faults if "the repetitions take" not in one.reason] == []
    assert code == int(bool(stored.faults))
    assert [result.ok for result in stored.parity] == [True, True]
    slots = {
        case: {sample.worker for sample in stored.samples if sample.case == case}
        for case in {sample.case for sample in stored.samples}
    }
    problem = stored.run.plan.cases[0].problem
    for phase, count in (("forward", 4), ("epoch", 3), ("timer", 4)):
        name = case_id(Case(phase, problem))
        if name not in {fault.case for fault in stored.faults}:
            assert len(slots[name]) == count
    assert {spec.implementation for spec in stored.run.plan.workers} == {
        "numpy", "strangers:Forward", "strangers:Whole",
    }  # fmt: skip
    assert stored.run.command.endswith(
        "--implementation strangers:Forward --implementation strangers:Whole --no-costs"
    )
    assert {name.partition("/")[0] for name in stored.training} >= {"numpy", "strangers:Whole"}
    page = (here / "results" / "door" / "report.md").read_text()
    assert str(here) not in page
    assert "Whole" in page


def test_the_folder_of_a_program_is_not_recorded(bench: Bench, here: Path) -> None:
    worker = here / "my worker.py"
    worker.write_text(
        f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
        "from bench.workers.worker import main\nmain(['--implementation', 'numpy'])\n"
    )
    name = f"exec:{sys.executable} '{worker}'"
    code, out, err = bench(
        "plan", "--preset", "smoke", "--layers", "1,4,1", "--rows", "40", "--json",
        "--implementation", name,
    )  # fmt: skip
    faults = json.loads(out)["faults"]
    # Where other processes hold the cores, times may break the contract; nothing else breaks.
    assert [one for one in faults if "the repetitions take" not in one["reason"]] == []
    assert code == int(bool(faults)), err
    assert "/" not in str(seated([name], TAKEN).specs)
    code, out, _ = bench("parity", "--layers", "1,4,1", "--rows", "40", "--implementation", name)
    assert code == 0
    assert str(here) not in out
