"""How a run went: contract, what the system did, in words and in the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sample_run import SEED_NETWORK, SMALL, Truth, write_run

from bench.analysis.run_analysis import analyse_stored
from bench.model.cases import case_id, problem_id
from bench.model.records import Case, FairnessCheck, Spent
from bench.report.run.build import build
from bench.report.sections.diagnostics import NOT_KNOWN, diagnostics_of, disturbed, spent_text
from bench.storage.runs import Stored, load


def test_a_contract_that_was_kept(tmp_path: Path) -> None:
    stored = load(write_run(tmp_path / "run"))
    found = diagnostics_of(analyse_stored(stored))
    assert found.fairness_text.endswith("6 checks were made inside the workers: all passed.")
    rows = {row[0]: row[2:] for row in found.fairness.rows}
    assert rows == {
        "threads": ("2 of 2", "1"),
        "inputs": ("2 of 2", "sha256 ab12"),
        "cores": ("2 of 2", "numpy: 1.00 … mojo: 1.00"),
    }


def test_a_contract_that_was_broken(tmp_path: Path) -> None:
    stored = load(write_run(tmp_path / "run", Truth(failed=[SMALL])))
    found = diagnostics_of(analyse_stored(stored))
    assert found.fairness_text.endswith(": 1 failed, and their cases are INVALID.")
    rows = {row[0]: row[2:] for row in found.fairness.rows}
    assert rows["inputs"] == ("1 of 2", "mojo holds other data than numpy")


def test_of_two_looks_at_one_line_the_last_counts(tmp_path: Path) -> None:
    stored = load(write_run(tmp_path / "run"))
    again = FairnessCheck(problem_id(SEED_NETWORK), "threads", "1")
    twice = replace(stored, contract=(*stored.contract, again))
    assert diagnostics_of(analyse_stored(twice)) == diagnostics_of(analyse_stored(stored))


def test_an_older_run_did_not_record_it(tmp_path: Path) -> None:
    stored = load(write_run(tmp_path / "run"))
    old = replace(stored, run=replace(stored.run, schema=2), contract=())
    found = diagnostics_of(analyse_stored(old))
    assert (found.fairness_text, found.system_text) == (NOT_KNOWN, NOT_KNOWN)
    assert not [*found.fairness.rows, *found.system.rows]
    assert disturbed(analyse_stored(old)) == []


def test_what_the_system_did_is_told_and_cases_are_marked(tmp_path: Path) -> None:
    stored = load(write_run(tmp_path / "run", Truth(meters=True)))
    quiet = diagnostics_of(analyse_stored(stored))
    # One reading of 4 in 2 invocations of 12: a twenty-fourth.
    assert {row[1] for row in quiet.system.rows} == {"4.2%"}
    assert {row[2:] for row in quiet.system.rows} == {("2", "2")}  # 20 in ten repetitions
    assert quiet.system_text.endswith("No case is disturbed.")
    name = case_id(Case("forward", SEED_NETWORK))
    samples = tuple(
        replace(s, preempted=1, cpu_ns=s.elapsed_ns // (2 if s.case == name else 1))
        for s in stored.samples
    )
    noisy = replace(stored, samples=samples)
    (line,) = disturbed(analyse_stored(noisy))
    assert line.startswith("disturbed: in 1 case more than 5% of the readings lost their core")
    assert "forward · 1,50x9,1 batch 20" in line
    assert diagnostics_of(analyse_stored(noisy)).system_text.endswith(f"{line}.")


def test_a_run_says_how_much_of_its_time_went_into_samples(tmp_path: Path) -> None:
    spent = Spent(346_000_000_000, 256_000_000_000)
    path = write_run(tmp_path / "run", Truth(changes={"spent": spent}))
    build(path)
    text = (path / "report.md").read_text()
    assert "The run took 5 min 46 s until all was measured. Of that time 74% lie between" in text
    assert spent_text(replace(load(path).run, spent=None)) == ""


def test_one_reading_of_few_is_no_disturbed_case(tmp_path: Path) -> None:
    truth = Truth(meters=True, invocations=1, rounds=2)
    stored = load(write_run(tmp_path / "run", truth))
    name = case_id(Case("forward", SEED_NETWORK))
    mine = [replace(s, preempted=0) for s in stored.samples if s.case == name and not s.warmup]

    def lose(count: int) -> Stored:
        lost = [replace(s, preempted=1, cpu_ns=s.elapsed_ns // 2) for s in mine[:count]]
        return replace(stored, samples=(*lost, *mine[count:]))

    assert len(mine) == 6
    assert disturbed(analyse_stored(lose(2))) == []
    assert len(disturbed(analyse_stored(lose(3)))) == 1


def test_the_report_shows_it(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", Truth(meters=True))
    build(path)
    for file in ("report.html", "report.md"):
        text = (path / file).read_text()
        assert "Fairness: was the comparison fair?" in text
        assert "6 checks were made inside the workers" in text
        assert "readings that lost their core" in text
