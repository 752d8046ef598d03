"""Exports, each read back by the program it is for."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import median

import pandas as pd
import pyperf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_run import SEED_NETWORK, SMALL, Truth, make_parity, make_run, make_samples, write_run

from bench.model.cases import case_id
from bench.model.errors import StoreError, UsageError
from bench.model.records import Case, Fault, Sample
from bench.storage import runs as store
from bench.storage.export import COLUMNS, FOLDER, FORMATS, export, sample_table
from bench.storage.pytest_import import import_file
from bench.storage.runs import Stored

Bench = Callable[..., tuple[int, str, str]]
EPOCH = case_id(Case("epoch", SMALL))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


def outside(*command: str, cwd: Path) -> str:
    """Run a program of another package; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# The command


@pytest.mark.parametrize("to", FORMATS)
def test_an_export_lies_below_the_run_unless_told_otherwise(
    bench: Bench, tmp_path: Path, run: Path, to: str
) -> None:
    code, out, err = bench("export", run, "--to", to)
    target = run / FOLDER / FORMATS[to].file
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"Written: {target}"
    first = target.read_bytes()
    assert bench("export", run, "--to", to)[0] == 0  # made again
    assert target.read_bytes() == first
    other = tmp_path / "mine"
    assert bench("export", run, "--to", to, "--out", other)[0] == 0
    assert other.read_bytes() == first
    code, _, err = bench("export", run, "--to", to, "--out", other)
    assert code == 2
    assert f"{other} already exists; choose another --out, or remove it" in err
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_the_raw_data_of_a_run_are_never_written_over(run: Path) -> None:
    before = (run / "run.json").read_bytes()
    with pytest.raises(UsageError, match="already exists"):
        export(run, "csv", run / "run.json")
    assert (run / "run.json").read_bytes() == before


@pytest.mark.parametrize("to", FORMATS)
def test_a_file_that_cannot_be_written_is_said(tmp_path: Path, run: Path, to: str) -> None:
    with pytest.raises(StoreError, match=r"cannot write .*nowhere.x: \S.*; .* another --out"):
        export(run, to, tmp_path / "nowhere" / "x")


def test_names_of_files_never_come_from_what_a_run_says(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "run", Truth(name="../../evil"))
    for to in FORMATS:
        export(run, to)
    assert sorted(path.name for path in (run / FOLDER).iterdir()) == sorted(
        form.file for form in FORMATS.values()
    )
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_without_pyarrow_parquet_is_refused_with_the_way_to_install_it(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install -c constraints\.txt pyarrow`, or .* csv"):
        export(run, "parquet")
    assert not list((run / FOLDER).iterdir())


# Tables


def test_csv_holds_every_reading_with_its_case_spelled_out(run: Path) -> None:
    export(run, "csv")
    with (run / FOLDER / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    samples = make_samples(Truth())
    assert len(rows) == len(samples)
    assert list(rows[0]) == list(COLUMNS)
    place = next(n for n, s in enumerate(samples) if s.case == EPOCH and s.worker == "mojo")
    assert rows[place] == {
        "run": "sample",
        "case": EPOCH,
        "phase": "epoch",
        "layer_sizes": "64,128,128,10",
        "batch_size_rows": "32",
        "data_rows": "2048",
        "dtype": "float64",
        "threads": "1",
        "worker": "mojo",
        "implementation": "mojo",
        "role": "candidate",
        "invocation": "0",
        "round": "0",
        "position": "2",
        "warmup": "True",
        "loops": "10",
        "elapsed_ns": str(samples[place].elapsed_ns),
        "elapsed_per_loop_ns": str(samples[place].elapsed_ns / 10),
        "at_ns": str(samples[place].at_ns),
        "cpu_ns": "",
        "preempted_times": "",
        "page_faults": "",
        "invalid": "",
    }


def check_table(table: pd.DataFrame, samples: list[Sample]) -> None:
    assert list(table["elapsed_ns"]) == [sample.elapsed_ns for sample in samples]
    assert list(table["worker"]) == [sample.worker for sample in samples]
    assert list(table["warmup"]) == [sample.warmup for sample in samples]
    timed = table[~table["warmup"]].groupby(["case", "worker"])["elapsed_per_loop_ns"].median()
    ratio = timed[EPOCH, "numpy"] / timed[EPOCH, "mojo"]
    assert ratio == pytest.approx(2, rel=0.01)  # the truth of the made-up run


def test_pandas_reads_both_tables_alike(run: Path) -> None:
    samples = make_samples(Truth())
    for to in ("csv", "parquet"):
        export(run, to)
    text = pd.read_csv(run / FOLDER / "samples.csv")
    packed = pd.read_parquet(run / FOLDER / "samples.parquet")
    check_table(text, samples)
    check_table(packed, samples)
    kinds = {name: str(packed[name].dtype) for name in COLUMNS}
    assert kinds == {name: str(kind) for name, kind in COLUMNS.items()}


def test_what_the_system_did_is_kept_where_it_is_known(run: Path) -> None:
    stored = store.load(run)
    first, *others = stored.samples
    first = replace(first, cpu_ns=10**15 + 1, preempted=3, page_faults=0)
    table = sample_table(replace(stored, samples=(first, *others)))
    assert table.loc[0, ["cpu_ns", "preempted_times", "page_faults"]].to_list() == [
        10**15 + 1,
        3,
        0,
    ]
    assert table.loc[1:, ["cpu_ns", "preempted_times", "page_faults"]].isna().all(axis=None)


def test_tables_keep_invalid_cases_and_say_why(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Truth(failed=(SMALL,)))
    export(run, "parquet")
    table = pd.read_parquet(run / FOLDER / "samples.parquet")
    invalid = table.groupby("case")["invalid"].unique().map(list)
    assert invalid[EPOCH] == ["grads_w[0] differs by 3.0e-07, tolerance 1.0e-12"]
    assert invalid[case_id(Case("epoch", SEED_NETWORK))] == [""]


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_text_stays_in_its_row_and_column(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("text") / "x.csv"
    FORMATS["csv"].content(stored_with_fault(text), path)
    read = pd.read_csv(path, keep_default_na=False)
    found = set(read.loc[read["case"] == EPOCH, "invalid"])
    assert found == {" ".join(f"mojo: {text}".split())}
    assert set(read["worker"]) == {"numpy", "numpy-again", "mojo"}


def stored_with_fault(reason: str) -> Stored:
    truth = Truth(problems=(SMALL,), invocations=1, rounds=2, training_epochs=0)
    fault = Fault(EPOCH, "mojo", 0, reason)
    return Stored(
        Path("run"), make_run(truth), tuple(make_samples(truth)), tuple(make_parity(truth)),
        (fault,), {},
    )  # fmt: skip


# pyperf


def test_pyperf_reads_a_process_for_each_invocation(run: Path) -> None:
    export(run, "pyperf")
    suite = pyperf.BenchmarkSuite.load(str(run / FOLDER / "pyperf.json"))
    assert len(suite) == 8 * 3
    benchmark = suite.get_benchmark(f"{EPOCH} mojo")
    expected: defaultdict[int, list[float]] = defaultdict(list)
    for sample in make_samples(Truth()):
        if sample.case == EPOCH and sample.worker == "mojo" and not sample.warmup:
            expected[sample.invocation].append(sample.elapsed_ns / 1e9 / sample.loops)
    assert [list(one.values) for one in benchmark.get_runs()] == [
        pytest.approx(values) for values in expected.values()
    ]
    assert all(len(one.warmups) == 1 for one in benchmark.get_runs())
    assert benchmark.get_loops() == 10
    assert benchmark.median() == pytest.approx(median(chain(*expected.values())))
    metadata = benchmark.get_metadata()
    assert metadata["cpu_model_name"] == "Example CPU 9000"
    assert metadata["python_version"] == "3.11.9"


def test_pyperf_itself_shows_and_compares(tmp_path: Path, run: Path) -> None:
    faster = write_run(tmp_path / "faster", Truth(ratio=2.2))
    export(run, "pyperf", tmp_path / "a.json")
    export(faster, "pyperf", tmp_path / "b.json")
    shown = outside("pyperf", "stats", "a.json", cwd=tmp_path)
    assert f"{EPOCH} numpy-again" in shown
    assert "Number of run with values: 12" in shown
    compared = outside("pyperf", "compare_to", "a.json", "b.json", cwd=tmp_path)
    block = compared[compared.index(f"{EPOCH} mojo") :]
    assert "1.10x faster" in block.split("\n\n")[0]


# pytest-benchmark


def test_pytest_benchmark_itself_compares(tmp_path: Path, run: Path) -> None:
    lines = export(run, "pytest-benchmark", tmp_path / "speed.json")
    assert lines[0] == "left out, as this format knows no slots: numpy-again"
    shown = outside("pytest_benchmark", "compare", "speed.json", "--group-by=group", cwd=tmp_path)
    assert "epoch · 64,128x2,10 batch 32 · float64 · 1 thread': 2 tests" in shown
    rows = [line.split() for line in shown.splitlines() if f"test_speed[{EPOCH}-" in line]
    assert [row[0].rpartition("-")[2] for row in rows] == ["mojo]", "numpy]"]
    assert [row[-2:] for row in rows] == [["48", "10"]] * 2  # rounds and iterations


def test_our_own_import_reads_the_same_readings(tmp_path: Path, run: Path) -> None:
    export(run, "pytest-benchmark", tmp_path / "speed.json")
    stored = store.load(import_file(tmp_path / "speed.json", tmp_path / "runs"))

    def readings(samples: tuple[Sample, ...]) -> dict[tuple[str, str], list[tuple[int, int]]]:
        found = defaultdict(list)
        for sample in samples:
            if not sample.warmup and sample.worker != "numpy-again":
                found[sample.case, sample.worker].append((sample.loops, sample.elapsed_ns))
        return found

    original = store.load(run)
    assert readings(stored.samples) == readings(original.samples)
    assert set(stored.run.plan.cases) == set(original.run.plan.cases)
    assert stored.parity == original.parity
    assert stored.run.environment.workers["mojo"] == original.run.environment.workers["mojo"]
    assert stored.run.environment.machine["cpu"] == "Example CPU 9000"


@pytest.mark.parametrize("to", ["pyperf", "pytest-benchmark"])
def test_invalid_cases_are_left_out_and_named(tmp_path: Path, to: str) -> None:
    run = write_run(tmp_path / "run", Truth(failed=(SMALL,)))
    lines = export(run, to)
    assert f"left out, INVALID: {EPOCH}: grads_w[0] differs by 3.0e-07, tolerance 1.0e-12" in lines
    content = (run / FOLDER / FORMATS[to].file).read_text()
    assert EPOCH not in content
    assert case_id(Case("epoch", SEED_NETWORK)) in content


@pytest.mark.parametrize("to", ["pyperf", "pytest-benchmark"])
def test_a_run_without_a_valid_reading_is_said(tmp_path: Path, to: str) -> None:
    run = write_run(tmp_path / "run", Truth(invocations=1))
    (run / "samples.jsonl").write_text("")  # it ended before the first
    with pytest.raises(UsageError, match=r"holds no reading that may be shown; .* --to csv"):
        export(run, to)
