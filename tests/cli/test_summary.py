"""The summary on the terminal: eighty columns are enough, and a log gets plain lines."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from sample_run import LADDER, SEED_NETWORK, SMALL, Truth, problems, write_run

from bench.cli.terminal import plain
from bench.cli.terminal.plain import PlainText, ascii_text, value_text
from bench.cli.terminal.text import console
from bench.model.cases import case_id
from bench.model.paths import PROJECT
from bench.model.records import Case, Fault, Problem
from bench.storage.runs import load

Bench = Callable[..., tuple[int, str, str]]
LONG = Problem((17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 5), 7, 700, "float64", 1)
TRUTHS = {
    "one setting": Truth(problems=problems("float64")),
    "two dtypes": Truth(invocations=4, problems=problems("float64", "float32")[:4]),
    "threads": Truth(problems=(SEED_NETWORK, replace(SEED_NETWORK, threads=16))),
    "ladder": LADDER,
    "a long network": Truth(invocations=2, problems=(LONG,), ratio=0.00123),
    "invalid": Truth(
        failed=(SEED_NETWORK,),
        faults=(Fault(case_id(Case("epoch", SMALL)), "mojo", 2, "died during sample"),),
    ),
}


def on_a_terminal(command: list[str], columns: int) -> tuple[int, list[str]]:
    """Run a command in a pseudo terminal; give its exit code and what a person sees, by line."""
    child, master = os.forkpty()
    if not child:
        os.environ.update(COLUMNS=str(columns), TERM="xterm")
        os.chdir(PROJECT)
        os.execv(command[0], command)
    read = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        read += part
    os.close(master)
    _, status = os.waitpid(child, 0)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", read.decode())
    return os.waitstatus_to_exitcode(status), text.replace("\r\n", "\n").splitlines()


def report(run: Path, more: str = "") -> list[str]:
    show = f"show_run(Path({str(run)!r}){more})"
    script = f"from pathlib import Path; from bench.cli.terminal.results import show_run; {show}"
    return [sys.executable, "-c", script]


@pytest.mark.parametrize("kind", TRUTHS)
def test_the_summary_fits_eighty_columns(tmp_path: Path, kind: str) -> None:
    run = write_run(tmp_path / "r", TRUTHS[kind])
    code, lines = on_a_terminal(report(run), 80)
    assert code == 0, lines
    wide = [line for line in lines if cell_len(line) > 80 and str(run) not in line]
    assert not wide
    rows = [line for line in lines if "FASTER" in line or "UNRESOLVED" in line or "INVALID" in line]
    assert rows
    # All of a case stands in one line; only the name of a network may go on in the next.
    in_table = [line for line in rows if re.search(r"[▲▼=?✕] [A-Z]+ *$", line)]
    results = load(run).run.plan.cases
    assert len(in_table) >= len([case for case in results if case.phase == "epoch"])


def test_a_pipe_gets_whole_lines(bench: Bench, tmp_path: Path) -> None:
    _, out, _ = bench("report", write_run(tmp_path / "run"))
    assert any(line.startswith("On Example CPU 9000") and line.endswith(".")
               for line in out.splitlines())  # fmt: skip


# For logs


def fields(line: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in shlex.split(line)[1:])


def test_a_plain_report_has_a_case_a_line(bench: Bench, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    code, out, err = bench("report", path, "--plain")
    assert (code, err) == (0, "")
    assert out.isascii()
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == ["run", *["case"] * 8, "conclusion", "report"]
    cases = {fields(line)["case"]: fields(line) for line in lines if line.startswith("case ")}
    assert cases.keys() == {case_id(case) for case in load(path).run.plan.cases}
    epoch = cases[case_id(Case("epoch", SEED_NETWORK))]
    assert list(epoch) == ["case", "baseline_ns", "candidate_ns", "ratio", "ratio_low",
                           "ratio_high", "floor", "verdict"]  # fmt: skip
    assert epoch["verdict"] == "FASTER"
    assert float(epoch["ratio_low"]) < float(epoch["ratio"]) < float(epoch["ratio_high"])
    assert float(epoch["ratio"]) == pytest.approx(2, rel=0.02)
    assert cases["call/t1"]["ratio"] == "-"
    assert fields(lines[0])["machine"] == "Example CPU 9000"
    assert fields(lines[-1])["path"] == str(path / "report.html")
    assert bench("report", path, "--plain")[1] == out


def test_a_plain_report_tells_why_and_ends_with_1(bench: Bench, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", TRUTHS["invalid"])
    code, out, _ = bench("report", path, "--plain")
    assert code == 1
    reasons = [fields(line).get("reason") for line in out.splitlines() if "INVALID" in line]
    assert "mojo: died during sample" in reasons


def test_a_plain_report_is_the_same_on_a_terminal(bench: Bench, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    _, lines = on_a_terminal(report(path, ", plain=True"), 80)
    assert lines == bench("report", path, "--plain")[1].splitlines()


def test_a_plain_run_draws_nothing(bench: Bench, tmp_path: Path) -> None:
    options = "--layers 3,5,2 --batch 4 --rows 12 --invocations 1 --seconds 0.2 --phase forward"
    more = "--no-training --no-costs --name tiny --plain --out"
    code, out, err = bench("run", *options.split(), *more.split(), tmp_path)
    assert code == 0, err
    assert (out + err).isascii()
    assert "timing ..." in err
    assert "\x1b" not in out + err
    assert out.startswith("run name=tiny ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (float("nan"), "-"), (1234567.0, "1.23457e+06"), ("a/b,c.d", "a/b,c.d"),
        ("two words", '"two words"'), ("-", '"-"'), ("", '""'), ('"quoted"', '"\\"quoted\\""'),
        ("1.83 (1.80–1.86)", '"1.83 (1.80-1.86)"'), ("a\nb=c", '"a b=c"'), ("µs", "us"),
        ("naïve 日", '"naive ?"'), (5, "5"),
    ],
)  # fmt: skip
def test_values_are_bare_or_quoted(value: object, text: str) -> None:
    assert value_text(value) == text


def test_every_sign_of_ours_has_a_form_in_ascii() -> None:
    assert ascii_text("▲▼=?✕ ±1\u202fµs 3 × 4 · a–b") == "+-=?x +-1 us 3 x 4 - a-b"
    assert all(isinstance(text, str) and text.isascii() for text in plain.WRITTEN.values())


def test_a_plain_console_passes_on_ascii_only(tmp_path: Path) -> None:
    file = (tmp_path / "log").open("w+")
    with file:
        console(file, plain=True).print("[b]epoch[/b] · 3 µs", "─" * 3)
        PlainText(file).flush()
    assert (tmp_path / "log").read_text() == "epoch - 3 us ???\n"
