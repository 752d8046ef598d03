"""`bench compare`: what it prints of two runs, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sample_run import SEED_NETWORK, SMALL, Truth, write_run
from test_store import change

from bench.model.numbers import change_text
from bench.model.records import Estimate

Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return write_run(tmp_path / "before")


def other_machine(run: Path) -> Path:
    for when in ("", "_after"):
        key = f"environment{when}"
        change(run / "run.json", lambda c, key=key: c[key]["machine"].update(cpu="B", cores=64))
    change(
        run / "run.json",
        lambda c: c["environment"]["workers"]["mojo"].update(denormals="flushed"),
    )
    return run


def test_times_and_changes_stand_side_by_side(bench: Bench, tmp_path: Path, before: Path) -> None:
    code, out, err = bench("compare", before, write_run(tmp_path / "after", Truth(ratio=2.2)))
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if line.startswith(" epoch · 1,50x9,1")]
    numpy, again, mojo, ratio = lines
    assert numpy.split()[-7:] == ["numpy", "3.05", "ms", "3.05", "ms", "+0.0", "%"]
    assert "numpy-again" in again
    assert "mojo" in mojo
    assert mojo.rstrip().endswith("-9.1 %")
    assert "1.993 (1.987–1.999)  2.192 (2.186–2.199)  1.100 (1.096–1.104)" in ratio
    assert ratio.rstrip().endswith("▲ FASTER")
    assert "a change of times may be the machine's, and is no claim" in out
    assert out.splitlines()[-1] == "From A to B, Mojo beside NumPy: faster in all 6 cases."
    assert out.splitlines()[2] == (
        "What is on record of machine, settings and versions is the same in both."
    )


def test_a_run_beside_itself_is_equivalent(bench: Bench, before: Path) -> None:
    code, out, _ = bench("compare", before, before)
    assert code == 0
    assert out.splitlines()[-1] == "From A to B, Mojo beside NumPy: equivalent in all 6 cases."


def test_what_may_not_be_compared_is_refused_with_all_reasons(
    bench: Bench, tmp_path: Path, before: Path
) -> None:
    after = other_machine(write_run(tmp_path / "after"))
    code, out, err = bench("compare", before, after)
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"bench: {before} (A) and {after} (B) may not be compared; --force shows their times side "
        "by side. The reasons:",
        "  cpu: Example CPU 9000 in A, B in B",
        "  mojo: denormals: kept in A, flushed in B",
    ]


def test_force_shows_times_and_forms_nothing_of_both(
    bench: Bench, tmp_path: Path, before: Path
) -> None:
    after = other_machine(write_run(tmp_path / "after", Truth(ratio=2.2)))
    code, out, err = bench("compare", before, after, "--force")
    assert (code, err) == (0, "")
    assert "They may not be compared, so no change is formed:" in out
    assert "  cpu: Example CPU 9000 in A, B in B" in out
    row = next(line for line in out.splitlines() if line.startswith(" epoch · 1,50x9,1"))
    assert row.split("numpy")[1].split() == ["3.05", "ms", "3.05", "ms"]
    for word in ("B over A", "B beside A", "verdict", "FASTER", "%"):
        assert word not in out


def test_force_changes_nothing_where_runs_may_be_compared(bench: Bench, before: Path) -> None:
    assert bench("compare", before, before, "--force") == bench("compare", before, before)


def test_another_baseline_is_compared_and_said(bench: Bench, tmp_path: Path, before: Path) -> None:
    after = write_run(tmp_path / "after")
    change(
        after / "run.json",
        lambda c: c["environment"]["workers"]["numpy"]["versions"].update(numpy="3.0"),
    )
    code, out, _ = bench("compare", before, after)
    assert code == 0
    assert "  numpy: numpy: 2.4.6 in A, 3.0 in B" in out
    assert (
        "NumPy, the baseline, is not the same in both runs: a change of the ratio is about" in out
    )


def test_commits_are_told_with_what_they_may_hide(
    bench: Bench, tmp_path: Path, before: Path
) -> None:
    after = write_run(tmp_path / "after")
    change(after / "run.json", lambda c: c["environment"]["software"].update(commit="abc"))
    assert "The commits differ: if the baseline's own code" in bench("compare", before, after)[1]
    for run in (before, after):
        text = "abc with uncommitted changes"
        change(
            run / "run.json", lambda c, text=text: c["environment"]["software"].update(commit=text)
        )
    assert "not committed, in either run, is not on record" in bench("compare", before, after)[1]


def test_cases_of_one_run_are_listed(bench: Bench, tmp_path: Path, before: Path) -> None:
    after = write_run(tmp_path / "after", Truth(problems=(SMALL,)))
    code, out, _ = bench("compare", before, after)
    assert code == 0
    alone = [line for line in out.splitlines() if line.startswith("only in ")]
    assert alone == [
        f"only in A: {phase}/1-50x9-1/b20/n500/f64/t1" for phase in ("forward", "backprop", "epoch")
    ]


def test_runs_with_nothing_in_common_are_refused(bench: Bench, tmp_path: Path) -> None:
    problems = (replace(SEED_NETWORK, threads=2), SMALL)
    a, b = (write_run(tmp_path / str(p.threads), Truth(problems=(p,))) for p in problems)
    code, _, err = bench("compare", a, b)
    assert code == 2
    assert "have no case in common" in err


def test_invalid_cases_are_shown_as_such_and_end_with_1(
    bench: Bench, tmp_path: Path, before: Path
) -> None:
    after = write_run(tmp_path / "after", Truth(failed=(SMALL,)))
    code, out, _ = bench("compare", before, after)
    assert code == 1
    assert "3 cases: INVALID: B: grads_w[0] differs by 3.0e-07, tolerance 1.0e-12" in out
    assert out.splitlines()[-1].endswith("equivalent in 3 of 6 cases and invalid in 3.")


def test_a_run_that_ended_early_says_so(bench: Bench, tmp_path: Path, before: Path) -> None:
    after = write_run(tmp_path / "after", Truth(changes={"status": "interrupted"}))
    assert "B: this run was interrupted" in bench("compare", before, after)[1]


@pytest.mark.parametrize(
    ("values", "apart", "text"),
    [
        ((1.031, 1.012, 1.05), 2, "+3.1 % (+1.2 to +5.0)"),
        ((0.95, 0.94, 0.96), 2, "-5.0 % (-6.0 to -4.0)"),
        ((1.0, 0.9996, 1.0004), 2, "+0.00 % (-0.04 to +0.04)"),
        ((1.02, 0.9901, 1.0499), 1.05, "+2.00 % (-0.99 to +4.99)"),
        ((3.0, 2.5, 3.5), 2, "+200 % (+150 to +250)"),
        ((1.1, float("nan"), float("nan")), 2, "+10.0 % (no interval)"),
    ],
)
def test_a_change_in_percent_has_the_digits_of_its_interval(
    values: tuple[float, float, float], apart: float, text: str
) -> None:
    assert change_text(Estimate(*values, 10), apart) == text
