"""The gate: what passes, what fails, what stays open, and the code each ends with."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_truth import FORWARD, SMALL, Time, agreed, make_run, make_samples, spread_around
from sample_run import SEED_NETWORK, Truth, write_run
from sample_run import SMALL as SECOND
from test_pytest_import import speed_file, write
from test_store import change

from bench.analysis.comparison import Change, changes, welch
from bench.analysis.gate import FAILED, PASSED, UNRESOLVED, Limit, exit_code, gate
from bench.analysis.intervals import Floats
from bench.analysis.run_analysis import analyse
from bench.cli.options import parse_fraction
from bench.model.cases import case_id
from bench.model.records import Case, Estimate, Fault

Bench = Callable[..., tuple[int, str, str]]
ERROR = 0.0057735
"""Standard error of a change where both runs have `SPREAD`, as in test_comparison.py."""
CASES = tuple(Case(phase, SMALL) for phase in ("forward", "backprop", "epoch"))


def answers(before: Time, after: Time, limit: Limit, *cases: Case) -> list[tuple[str, str]]:
    runs = [make_run(*(cases or (FORWARD,))) for _ in range(2)]
    sides = [
        analyse(run, make_samples(run, time), agreed(run), [])
        for run, time in zip(runs, (before, after), strict=True)
    ]
    return [(outcome.answer, outcome.reason) for outcome in gate(changes(*sides), limit)]


def slowdown(percent: float) -> Limit:
    return Limit("max-slowdown", percent / 100)


def speedup(percent: float) -> Limit:
    return Limit("min-speedup", percent / 100)


# The answer. Both runs have `SPREAD`, so the interval reaches 1.2 % to each side.


@pytest.mark.parametrize(
    ("after", "limit", "answer"),
    [
        (2.0, slowdown(5), "PASS"),
        (2.2, slowdown(0), "PASS"),
        (2.0, slowdown(1), "UNRESOLVED"),  # from -1.2 % to 1.2 %
        (1.92, slowdown(5), "UNRESOLVED"),  # 4.2 %, up to 5.4 %
        (1.8, slowdown(5), "FAIL"),  # 11.1 %, from 9.8 %
        (2.2, speedup(5), "PASS"),  # 10 %, from 8.7 %
        (2.2, speedup(9), "UNRESOLVED"),
        (2.2, speedup(20), "FAIL"),
        (2.0, speedup(3), "FAIL"),
        (2.0, speedup(0), "UNRESOLVED"),
    ],
)
def test_an_answer_is_where_the_interval_lies(after: float, limit: Limit, answer: str) -> None:
    assert answers(spread_around(2), spread_around(after), limit)[0][0] == answer


def test_nothing_is_said_nearer_to_the_limit_than_the_noise_floor() -> None:
    # The floor is 6 * 1.213 %, the distance to the limit log(1.05) = 4.9 %; at 10 % it is 9.5 %.
    noisy = spread_around(2, floor=6)
    assert answers(noisy, noisy, slowdown(5)) == [
        ("UNRESOLVED", "it lies nearer to the limit than the noise floor of 7.5%")
    ]
    assert answers(noisy, noisy, slowdown(10))[0][0] == "PASS"
    fast, slow = (spread_around(ratio, floor=6) for ratio in (2, 1.8))
    assert answers(fast, slow, slowdown(5))[0][0] == "UNRESOLVED"


def test_a_fail_must_stand_after_holm_and_a_pass_need_not() -> None:
    # 2.35 standard errors beyond the limit: p = 0.030 alone, times three 0.091.
    beyond = 2 * math.exp(-math.log(1.05) - 2.35 * ERROR)
    assert answers(spread_around(2), spread_around(beyond), slowdown(5))[0][0] == "FAIL"
    found = answers(spread_around(2), spread_around(beyond), slowdown(5), *CASES)
    reason = (
        "its whole interval lies beyond the limit, but not after Holm's correction over 3 cases"
    )
    assert found == [("UNRESOLVED", reason)] * 3
    within = 2 * math.exp(-math.log(1.05) + 2.35 * ERROR)
    found = answers(spread_around(2), spread_around(within), slowdown(5), *CASES)
    assert [answer for answer, _ in found] == ["PASS"] * 3


def test_few_invocations_stay_open() -> None:
    runs = [make_run(FORWARD, invocations=count) for count in (10, 9)]
    sides = [analyse(run, make_samples(run, spread_around(2)), agreed(run), []) for run in runs]
    (outcome,) = gate(changes(*sides), slowdown(50))
    assert (outcome.answer, outcome.reason) == (
        "UNRESOLVED",
        "only 9 invocations in B; a verdict needs 10 in each run",
    )


@given(st.floats(1, 4), st.floats(0, 0.5), st.sampled_from(["max-slowdown", "min-speedup"]))
def test_a_stricter_limit_never_turns_a_fail_into_a_pass(
    after: float, fraction: float, kind: str
) -> None:
    order = ["FAIL", "UNRESOLVED", "PASS"]
    mild, strict = (0.0, fraction) if kind == "min-speedup" else (fraction, 0.0)
    found = [
        answers(spread_around(2), spread_around(after), Limit(kind, one))[0][0]  # type: ignore[arg-type]
        for one in (strict, mild)
    ]
    assert order.index(found[0]) <= order.index(found[1])


def a_change(before: Floats, after: Floats) -> Change:
    one = Estimate(2, 1.9, 2.1, len(before))
    quiet = welch(np.zeros(10), np.zeros(10))
    return Change(FORWARD, "mojo", one, one, welch(before, after), quiet)


def test_false_alarms_are_as_rare_as_promised() -> None:
    """Six cases that lie at the limit itself: in at most one gate of twenty one of them fails."""
    random = np.random.default_rng(5)
    limit = slowdown(5)
    failed = 0
    for _ in range(400):
        runs = random.normal(0, 0.01, (2, 6, 10))
        pairs = zip(runs[0], runs[1] + limit.edge, strict=True)
        failed += exit_code(gate([a_change(*pair) for pair in pairs], limit)) == FAILED
    assert failed <= 400 * 0.05


def test_one_fail_fails_and_one_open_case_leaves_it_open() -> None:
    logs = np.linspace(-0.01, 0.01, 10)
    passed, opened, failed = (a_change(logs, logs + gain) for gain in (0.0, -0.05, -0.2))
    limit = slowdown(5)
    assert exit_code(gate([passed, passed], limit)) == PASSED
    assert exit_code(gate([passed, opened], limit)) == UNRESOLVED
    assert exit_code(gate([passed, opened, failed], limit)) == FAILED
    assert exit_code([]) == UNRESOLVED


# Percent


@pytest.mark.parametrize(
    ("text", "fraction"),
    [("5%", 0.05), ("0.05", 0.05), (" 2.5 %", 0.025), ("0", 0), ("0%", 0), ("150%", 1.5)],
)
def test_a_percentage_is_read(text: str, fraction: float) -> None:
    assert parse_fraction(text) == pytest.approx(fraction)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5", "'5' could mean 5% or 500%; write which, by %"),
        ("-1%", "write 5% or 0.05"),
        ("five", "write 5% or 0.05"),
        ("", "write 5% or 0.05"),
        ("nan", "write 5% or 0.05"),
        ("inf%", "write 5% or 0.05"),
        ("5%%", "write 5% or 0.05"),
    ],
)
def test_what_is_no_percentage_could_not_be_told(bench: Bench, text: str, words: str) -> None:
    code, out, err = bench("gate", "--baseline", "a", f"--max-slowdown={text}", "b")
    assert (code, out) == (3, "")
    assert words in " ".join(err.replace("│", " ").split())


@given(st.floats(0, 10))
def test_any_share_is_read_back(fraction: float) -> None:
    assert parse_fraction(f"{100 * fraction!r}%") == pytest.approx(fraction)


# The command

WHOLE = ("--max-slowdown", "5%")


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return write_run(tmp_path / "before")


def test_what_keeps_the_limit_passes_with_0(bench: Bench, tmp_path: Path, before: Path) -> None:
    after = write_run(tmp_path / "after", Truth(ratio=2.2))
    code, out, err = bench("gate", "--baseline", before, *WHOLE, after)
    assert (code, err) == (0, "")
    row = next(line for line in out.splitlines() if line.startswith(" epoch · 1,50x9,1"))
    assert "1.993 (1.987–1.999)  2.192 (2.186–2.199)  -9.1 % (-9.5 to -8.7)  = PASS" in row
    assert out.splitlines()[-1] == (
        "Passed: the whole interval of every case keeps the limit. (6 cases: 6 PASS)"
    )
    assert bench("gate", "--baseline", before, "--min-speedup", "0.05", after)[0] == 0


def test_one_case_beyond_the_limit_fails_with_1(bench: Bench, tmp_path: Path, before: Path) -> None:
    slow = {case_id(Case("epoch", SEED_NETWORK)): 1.8}
    after = write_run(tmp_path / "after", Truth(ratios=slow))
    code, out, err = bench("gate", "--baseline", before, *WHOLE, after)
    assert (code, err) == (1, "")
    row = next(line for line in out.splitlines() if line.startswith(" epoch · 1,50x9,1"))
    assert "+11.1 % (+10.7 to +11.6)  ✕ FAIL" in row
    assert out.splitlines()[-1] == (
        "Failed: the whole interval of at least one case lies beyond the limit. "
        "(6 cases: 5 PASS and 1 FAIL)"
    )
    assert bench("gate", "--baseline", before, *WHOLE, "--phase", "forward", after)[0] == 0


def test_what_cannot_be_told_ends_with_2_and_says_what_would_help(
    bench: Bench, tmp_path: Path, before: Path
) -> None:
    after = write_run(tmp_path / "after", Truth(ratio=2.02))
    code, out, err = bench("gate", "--baseline", before, "--min-speedup", "1%", after)
    assert (code, err) == (2, "")
    assert "UNRESOLVED: it lies nearer to the limit than the noise floor of" in out
    assert "measure both runs with more --invocations" in out.splitlines()[-1]
    few = write_run(tmp_path / "few", Truth(invocations=4))
    code, out, _ = bench("gate", "--baseline", before, *WHOLE, few)
    assert code == 2
    assert "6 cases: UNRESOLVED: only 4 invocations in B; a verdict needs 10 in each run" in out


def machine(name: str, value: str) -> Callable[[Path], object]:
    return lambda run: change(
        run / "run.json",
        lambda content: [
            content[f"environment{when}"]["machine"].update({name: value})
            for when in ("", "_after")
        ],
    )


def baseline_version(run: Path) -> None:
    def edit(content: dict[str, dict[str, dict[str, dict[str, dict[str, str]]]]]) -> None:
        content["environment"]["workers"]["numpy"]["versions"]["numpy"] = "3.0"

    change(run / "run.json", edit)


REFUSED: dict[str, tuple[Truth, Callable[[Path], object], str]] = {
    "another machine": (Truth(), machine("cpu", "Other"), "cpu: Example CPU 9000 in A, Other in B"),
    "another NumPy": (
        Truth(),
        baseline_version,
        "the baseline itself changed, numpy: numpy: 2.4.6 in A, 3.0 in B",
    ),
    "a case is missing": (
        Truth(problems=(SECOND,)),
        lambda _: None,
        "epoch/1-50x9-1/b20/n500/f64/t1 is in A and not in B",
    ),
    "a case is INVALID": (
        Truth(failed=(SECOND,)),
        lambda _: None,
        "epoch/64-128x2-10/b32/n2048/f64/t1 is INVALID in B: grads_w[0] differs by",
    ),
    "a worker died": (
        Truth(faults=(Fault(case_id(Case("epoch", SECOND)), "mojo", 2, "died"),)),
        lambda _: None,
        "epoch/64-128x2-10/b32/n2048/f64/t1 is INVALID in B: mojo: died",
    ),
    "cut short": (
        Truth(changes={"status": "interrupted"}),
        lambda _: None,
        "B did not come to its end: its status is interrupted",
    ),
    "damaged": (
        Truth(),
        lambda run: (run / "samples.jsonl").write_text("{\n"),
        "samples.jsonl is damaged: line 1",
    ),
    "missing": (Truth(), lambda run: (run / "run.json").unlink(), "is not a run"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_not_be_told_ends_with_3_and_says_why(
    bench: Bench, tmp_path: Path, before: Path, name: str
) -> None:
    truth, edit, words = REFUSED[name]
    after = write_run(tmp_path / "after", truth)
    edit(after)
    code, out, err = bench("gate", "--baseline", before, *WHOLE, after)
    assert (code, out) == (3, "")
    assert words in err


def test_all_reasons_are_listed_at_once(bench: Bench, tmp_path: Path, before: Path) -> None:
    after = write_run(tmp_path / "after", Truth(problems=(SECOND,), changes={"status": "running"}))
    machine("cpu", "Other")(after)
    _, _, err = bench("gate", "--baseline", before, *WHOLE, after)
    first, *reasons = err.splitlines()
    assert first.startswith(
        f"bench: {before} (A) and {after} (B) may not be held against each other"
    )
    assert len(reasons) == 5  # the machine, the status, and three cases
    assert all(reason.startswith("  ") for reason in reasons)


def test_a_run_of_pytest_benchmark_is_no_ground_for_a_gate(bench: Bench, tmp_path: Path) -> None:
    bench("report", write(tmp_path, speed_file()), "--out", tmp_path / "runs")
    (run,) = (tmp_path / "runs").iterdir()
    code, _, err = bench("gate", "--baseline", run, *WHOLE, run)
    assert code == 3
    assert "A was imported from pytest-benchmark and gives no verdicts" in err


def test_new_cases_are_named_and_hold_nothing_up(bench: Bench, tmp_path: Path) -> None:
    before = write_run(tmp_path / "before", Truth(problems=(SECOND,)))
    after = write_run(tmp_path / "after")
    code, out, _ = bench("gate", "--baseline", before, *WHOLE, after)
    assert code == 0
    assert "only in B, so not held against anything: epoch · 1,50x9,1 batch 20" in out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "give one of --max-slowdown and --min-speedup"),
        ("--max-slowdown 5% --min-speedup 3%", "give one of --max-slowdown and --min-speedup"),
        ("--max-slowdown 5% --phase sideways", "'sideways' is not one of"),
        ("--max-slowdown 5% --dance", "No such option"),
    ],
)
def test_a_wrong_command_of_the_gate_ends_with_3(
    bench: Bench, before: Path, words: str, why: str
) -> None:
    code, out, err = bench("gate", "--baseline", before, *words.split(), before)
    assert (code, out) == (3, "")
    assert why in err
    code, _, err = bench("gate", *WHOLE, before)
    assert code == 3
    assert "--baseline" in err
