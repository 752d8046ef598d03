"""The command line: what it prints where, and the code it ends with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sample_run import SEED_NETWORK, SMALL, Truth, write_run

from bench.cli import options
from bench.cli.app import ORDER
from bench.cli.terminal.progress import ScreenProgress
from bench.measuring import doctor as examine
from bench.measuring import lock
from bench.measuring.doctor import Finding
from bench.model.cases import case_id
from bench.model.paths import PROJECT
from bench.model.presets import PRESETS
from bench.model.records import PHASES, Case, Fault
from bench.storage.runs import load

Bench = Callable[..., tuple[int, str, str]]
WITH_CODES_OF_THEIR_OWN = ("gate", "train", "predict", "check-worker")


# Help


def test_without_a_command_there_is_help(bench: Bench) -> None:
    _, out, err = bench()
    for command in ORDER:
        assert command in out + err


@pytest.mark.parametrize("command", [name for name in ORDER if name not in WITH_CODES_OF_THEIR_OWN])
def test_the_help_of_a_command_has_examples_and_exit_codes(bench: Bench, command: str) -> None:
    code, out, err = bench(command, "--help")
    assert (code, err) == (0, "")
    assert "Examples" in out
    assert f"bench {command} " in out
    for number in (0, 1, 2, 3, 4, 130):
        assert f"{number} " in out.partition("Exit codes:")[2]


def test_the_help_of_the_gate_has_its_own_exit_codes(bench: Bench) -> None:
    code, out, err = bench("gate", "--help")
    assert (code, err) == (0, "")
    assert "bench gate --baseline" in out
    codes = " ".join(out.partition("Exit codes of the gate:")[2].split())
    for words in ("0 passed", "1 failed", "2 not resolved", "3 could not be told", "130 "):
        assert words in codes


def test_the_help_of_the_kit_has_its_own_exit_codes(bench: Bench) -> None:
    code, out, err = bench("check-worker", "--help")
    assert (code, err) == (0, "")
    assert "bench check-worker ./mlp" in out
    codes = " ".join(out.partition("Exit codes:")[2].split())
    for words in ("0 all is well", "1 something is wrong", "2 there is no such worker"):
        assert words in codes


def test_the_examples_of_the_help_are_commands_that_work(bench: Bench) -> None:
    _, out, _ = bench("list", "--help")
    lines = [line.strip() for line in out.splitlines()]
    examples = [line.split()[1:] for line in lines if line.startswith("bench list ")]
    assert len(examples) >= 2
    for example in examples:
        assert bench(*example)[0] == 0


def test_help_names_every_preset_and_phase(bench: Bench) -> None:
    _, out, _ = bench("run", "--help")
    for preset in PRESETS.values():
        assert f"{preset.name}: " in out
    assert [str(name) for name in options.PresetName] == list(PRESETS)
    assert [str(name) for name in options.PhaseName] == list(PHASES)


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["list"], ["list", "--json"]])
def test_what_prints_little_imports_nothing_heavy(words: list[str]) -> None:
    """So that it comes at once, without waiting for NumPy."""
    script = (
        "import sys, bench.cli.main\n"
        f"try: bench.cli.main.main({words})\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'pandas', 'matplotlib', 'jinja2'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# List


def test_list_names_cases_and_their_arithmetic(bench: Bench) -> None:
    code, out, err = bench("list", "--preset", "quick")
    assert (code, err) == (0, "")
    assert "epoch/1-50x9-1/b20/n500/f64/t1" in out
    assert "60,250,000" in out
    assert "timer/t1" in out


def test_options_replace_parts_of_a_preset(bench: Bench) -> None:
    options = "--preset smoke --layers 64,128,128,10 --layers 3,4x2,1 --dtype float32 --threads 2"
    code, out, _ = bench("list", "--json", *options.split(), "--phase", "epoch")
    assert code == 0
    assert [case["id"] for case in json.loads(out)] == [
        "epoch/64-128x2-10/b32/n2048/f32/t2",  # of the matrix, with its batch and rows
        "epoch/3-4x2-1/b20/n500/f32/t2",
        "call/t2",
        "timer/t2",
    ]
    _, out, _ = bench("list", "--json", "--layers", "3,4,1", "--batch", "50", "--phase", "forward")
    assert json.loads(out)[0]["rows"] == 25 * 50


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("list --layers 1,x", "bench: layer sizes '1,x': 'x' is not a size; write 1,50x9,1"),
        ("list --layers 1,2 --batch 9 --rows 8", "rows at least the batch"),
        ("list --preset huge", "'huge' is not one of"),
        ("list --batch 0", "--batch"),
        ("run --name a/b", "bench: --name 'a/b' is not the name of a folder"),
        ("run --name ..", "bench: --name '..' is not the name of a folder"),
        ("run --seconds -1", "--seconds"),
        ("report nowhere", "bench: nowhere is not a run: there is no run.json in it"),
        ("compare nowhere results/reference", "bench: nowhere is not a run"),
        ("export results/reference --to excel", "'excel' is not one of"),
        ("export nowhere --to csv", "bench: nowhere is not a run"),
        ("dance", "No such command 'dance'"),
    ],
)
def test_a_wrong_command_ends_with_2_and_says_why(bench: Bench, arguments: str, words: str) -> None:
    code, out, err = bench(*arguments.split())
    assert (code, out) == (2, "")
    assert words in err


# Report


def test_a_report_is_printed_short_and_written_long(bench: Bench, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    code, out, err = bench("report", path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    epoch = next(place for place, line in enumerate(lines) if line.split() == ["epoch"])
    row = next(line for line in lines[epoch:] if line.startswith("  1,50x9,1 b20 "))
    assert "▲ FASTER" in row
    assert "1.993 (1.987–1.999)" in row  # the truth of the made-up run is 2
    assert "±" in row
    assert out.splitlines()[-1] == f"Report: {path / 'report.html'}"
    assert "faster" in out.splitlines()[-3]
    assert (path / "report.html").exists()


def test_an_invalid_case_is_explained_and_ends_with_1(bench: Bench, tmp_path: Path) -> None:
    fault = Fault(case_id(Case("epoch", SMALL)), "mojo", 2, "died during sample (signal SIGSEGV)")
    truth = Truth(failed=(SEED_NETWORK,), faults=(fault,))
    code, out, _ = bench("report", write_run(tmp_path / "run", truth))
    assert code == 1
    assert "3 cases: INVALID: grads_w[0] differs by 3.0e-07, tolerance 1.0e-12" in out
    assert "epoch · 64,128x2,10 batch 32: INVALID: mojo: died during sample (signal SIGSEGV)" in out


def test_few_invocations_are_said_once_for_all_cases(bench: Bench, tmp_path: Path) -> None:
    code, out, _ = bench("report", write_run(tmp_path / "run", Truth(invocations=4)))
    assert code == 0
    assert "6 cases: UNRESOLVED: only 4 invocations; a verdict needs 10" in out


def test_what_was_tolerated_in_reading_is_said(bench: Bench, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    with (path / "samples.jsonl").open("ab") as file:
        file.write(b'{"case": "epo')
    assert "the last line of samples.jsonl was cut off" in bench("report", path)[1]


def test_a_run_that_ended_early_says_so(bench: Bench, tmp_path: Path) -> None:
    truth = Truth(changes={"status": "interrupted"})
    _, out, _ = bench("report", write_run(tmp_path / "run", truth))
    assert "this run was interrupted: what is complete was judged" in out


# Run and parity, for real

TINY = ("--layers", "3,5,2", "--batch", "4", "--rows", "12")


def test_a_run_of_both_languages_from_end_to_end(bench: Bench, tmp_path: Path) -> None:
    options = "--invocations 1 --seconds 0.5 --phase epoch --no-training --name tiny --out"
    command = ["run", *TINY, "--dtype", "float32", *options.split(), tmp_path]
    code, out, err = bench(*command)
    assert code == 0, err
    for stage in ("parity ...", "pilot ...", "timing ...", "costs ...", "report ..."):
        assert stage in err
    text = "epoch · 3,5,2 batch 4, 12 rows: UNRESOLVED: only 1 invocation; a verdict needs 10"
    assert text in out
    stored = load(tmp_path / "tiny")
    assert stored.run.status == "finished"
    assert stored.run.plan.request.preset == "custom"
    assert stored.run.command == (
        "bench run --preset default --layers 3,5,2 --batch 4 --rows 12 --dtype float32 "
        "--phase epoch --invocations 1 --seconds 0.5 --no-training"
    )
    assert str(tmp_path) not in (tmp_path / "tiny" / "run.json").read_text()
    told = {(cost.worker, cost.name) for cost in stored.costs if cost.value is not None}
    assert {name for worker, name in told if worker == "numpy"} >= {"start", "import", "packages"}
    assert {name for worker, name in told if worker == "mojo"} >= {"first call", "library file"}
    rounds = stored.run.plan.request.cost_rounds
    assert sum(cost.name == "start" for cost in stored.costs) == 2 * rounds > 0
    assert "What it costs besides" in (tmp_path / "tiny" / "report.html").read_text()
    code, out, err = bench(*command)
    assert code == 2
    assert "tiny already exists; choose another --name" in err


def test_a_second_run_is_refused_and_told_who_measures(bench: Bench, tmp_path: Path) -> None:
    with lock.alone("bench run --preset full"):
        code, _, err = bench("run", *TINY, "--out", tmp_path)
    assert code == 4
    assert "bench: this machine is being measured by `bench run --preset full`" in err


def test_doctor_prints_grades_and_advice_or_json(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Finding("load", "0.10", "good"), Finding("turbo", "on", "note", "trust ratios")]
    monkeypatch.setattr(examine, "examine", lambda *_, **__: found)
    code, out, _ = bench("doctor")
    assert code == 0
    assert [line.split() for line in out.splitlines()[:2]] == [
        ["ok", "load", "0.10"],
        ["note", "turbo", "on"],
    ]
    assert "trust ratios" in out
    found.append(Finding("cores", "1", "bad", "allow two"))
    code, out, _ = bench("doctor", "--json")
    assert code == 1
    assert [line["grade"] for line in json.loads(out)] == ["good", "note", "bad"]
    assert "BAD" in bench("doctor")[1]


def test_parity_of_both_languages(bench: Bench) -> None:
    code, out, _ = bench("parity", *TINY, "--dtype", "float64", "--dtype", "float32")
    assert code == 0
    for bits in (64, 32):
        row = next(line for line in out.splitlines() if f"3-5-2/b4/n12/f{bits}/t1" in line)
        assert row.split()[-1] == "ok"


# Progress


class Clock:
    """Seconds that pass only when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_outside_a_terminal_progress_is_a_line_now_and_then() -> None:
    file, clock = StringIO(), Clock()
    with ScreenProgress(Console(file=file, width=80), clock) as progress:
        progress.stage("timing", 100)
        for _ in range(25):
            clock.now += 1
            progress.now("epoch of [a] network")
            progress.advance(4)
        progress.note("a note")
    assert file.getvalue().splitlines() == [
        "timing ...",
        "timing 36%, about 18 s left: epoch of [a] network",
        "timing 76%, about 6 s left: epoch of [a] network",
        "a note",
    ]


def test_in_a_terminal_progress_is_a_bar_that_is_gone_afterwards() -> None:
    file, clock = StringIO(), Clock()
    console = Console(file=file, width=100, force_terminal=True, color_system=None)
    with ScreenProgress(console, clock) as progress:
        progress.stage("timing", 4)
        for _ in range(2):
            clock.now += 1
            progress.advance(1)
            progress.now("epoch of [a] network")
    assert " 50%" in file.getvalue()
    assert "0:02" in file.getvalue()
    assert "epoch of [a] network" in file.getvalue()
    assert file.getvalue().endswith("\x1b[2K") or "\x1b[2K" in file.getvalue()
