"""Many runs in one store: what goes in, what is kept out, and that a killed merge harms nothing."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.analysis.run_analysis import analyse_stored

pytest.importorskip("pyarrow", reason="the store of runs needs pyarrow")

from hostile import spoil
from sample_run import Truth, write_run

from bench.analysis import verdicts as stats
from bench.model.cases import case_id
from bench.model.errors import BusyError, StoreError, UsageError
from bench.model.records import PHASES, Problem
from bench.storage import runs as store
from bench.storage.archive.merge import merge
from bench.storage.archive.store import (
    RUNS,
    dataset,
    held,
    read_results,
    read_runs,
    run_folders,
    write,
)
from tools.simulated_runs import Simulated, true_ratios, write_simulated

ROOT = Path(__file__).parents[3]
TINY = Problem((1, 4, 1), 5, 20, "float64", 1)
NETWORKS = (((1, 4, 1), 5, 20), ((2, 3), 2, 8))


def machine(name: str) -> dict[str, Any]:
    return {"cpu": name, "caches": "L1 data 32K, L2 unified 512K", "physical cores": 4}


def tiny(folder: Path, name: str, **changes: Any) -> Path:
    truth = Truth(problems=(TINY,), invocations=10, rounds=2, training_epochs=0, name=name)
    values = {field: getattr(truth, field) for field in truth.__dataclass_fields__}
    return write_run(folder, Truth(**(values | {"machine": machine(name)} | changes)))


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    return [tiny(tmp_path / "runs" / str(number), f"cpu {number}") for number in range(3)]


def content(path: Path) -> list[list[str]]:
    """Read all that a store holds, whatever merges it came by."""
    tables = read_runs(path), read_results(path), dataset(path, "samples").to_table()
    return [sorted(map(repr, table.to_pylist())) for table in tables]


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_that_was_cut_off_is_left_out_and_told(tmp_path: Path, packed: bool) -> None:
    path = tiny(tmp_path / "run", "a")
    file = path / "samples.jsonl"
    cut = file.read_bytes()[:-20]
    if packed:
        file.unlink()
        (path / "samples.jsonl.gz").write_bytes(gzip.compress(cut))
    else:
        file.write_bytes(cut)
    merged = merge([path], tmp_path / "store")
    assert len(merged.new) == 1
    assert "cut off in writing" in merged.notes[0]


def test_a_merge_keeps_every_reading_and_the_results_of_the_statistics(
    tmp_path: Path, three: list[Path]
) -> None:
    merged = merge([tmp_path / "runs"], tmp_path / "store")
    assert (len(merged.new), merged.there, merged.machines, merged.wrong) == (3, 0, 3, False)
    path = tmp_path / "store"
    readings = dataset(path, "samples").to_table().to_pylist()
    assert len(readings) == merged.samples
    by_name = {row["name"]: row for row in read_runs(path).to_pylist()}
    for run in three:
        stored = store.load(run)
        row = by_name[stored.run.name]
        assert row["l2_bytes"] == 512 << 10
        mine = [one for one in readings if one["run"] == row["run"]]
        theirs = msgspec.to_builtins(stored.samples)
        kept = [{k: one["case_id" if k == "case" else k] for k in theirs[0]} for one in mine]
        assert kept == list(theirs)
        results = {
            case_id(one.case): one
            for one in analyse_stored(stored).results
            if one.case.phase in PHASES
        }
        rows = [r for r in read_results(path).to_pylist() if r["run"] == row["run"]]
        assert {r["case_id"] for r in rows} == set(results)
        for one in rows:
            result = results[one["case_id"]]
            assert result.ratio is not None
            assert result.verdict is not None
            told = result.ratio.estimate
            assert (one["ratio"], one["ratio_low"], one["ratio_high"], one["invocations"]) == (
                told.point, told.low, told.high, told.count,
            )  # fmt: skip
            assert one["verdict"] == result.verdict.kind
            assert one["noise_floor"] == stats.noise_floor(result.again)
            assert one["baseline_ns"] == result.times["numpy"].median_ns.point


def test_a_packed_run_is_the_same_run(tmp_path: Path, three: list[Path]) -> None:
    merge([three[0]], tmp_path / "store")
    file = three[0] / "samples.jsonl"
    (three[0] / "samples.jsonl.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    again = merge([three[0]], tmp_path / "store")
    assert (again.new, again.there, again.runs) == ([], 1, 1)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(3)), cut=st.integers(1, 3), twice=st.booleans())
def test_neither_order_nor_repetition_changes_a_store(
    tmp_path: Path, tmp_path_factory: Any, order: list[int], cut: int, twice: bool
) -> None:
    runs = [tmp_path / "runs" / str(number) for number in range(3)]
    for number, path in enumerate(runs):
        if not path.exists():
            tiny(path, f"cpu {number}")
    if not (tmp_path / "all").exists():
        merge([tmp_path / "runs"], tmp_path / "all")
    other = tmp_path_factory.mktemp("store") / "store"
    for part in (order[:cut], order[cut:] or order[:1], order if twice else order[:1]):
        merge([runs[number] for number in part], other)
    assert content(other) == content(tmp_path / "all")


def test_runs_come_together_by_several_processes_too(tmp_path: Path, monkeypatch: Any) -> None:
    for number in range(6):
        write_simulated(tmp_path / "runs" / str(number), Simulated(number, NETWORKS, 2))
    merge([tmp_path / "runs"], tmp_path / "one", processes=1)
    monkeypatch.setattr("bench.storage.archive.merge.FEW", 2)
    monkeypatch.setattr("bench.storage.archive.merge.AT_A_TIME", 2)
    done: list[tuple[int, int]] = []
    merge([tmp_path / "runs"], tmp_path / "two", processes=2, step=lambda *at: done.append(at))
    assert content(tmp_path / "two") == content(tmp_path / "one")
    assert done[-1] == (6, 6)


def change_a_reading(run: Path) -> None:
    file = run / "samples.jsonl"
    file.write_text(file.read_text().replace('"position":0', '"position":2', 1))


def test_what_contradicts_the_store_is_kept_out(tmp_path: Path, three: list[Path]) -> None:
    merge(three[:2], tmp_path / "store")
    before = content(tmp_path / "store")
    change_a_reading(three[0])
    change_a_reading(three[2])
    merged = merge([tmp_path / "runs"], tmp_path / "store")
    assert (len(merged.new), merged.there, merged.wrong) == (1, 1, True)
    ((path, reason),) = merged.conflicts
    assert path == three[0]
    assert "with other content" in reason
    assert set(before[0]) < set(content(tmp_path / "store")[0])


def test_a_finished_run_is_kept_out_where_it_was_merged_unfinished(
    tmp_path: Path, three: list[Path]
) -> None:
    file = three[0] / "run.json"
    finished = file.read_text()
    file.write_text(finished.replace('"finished"', '"running"'))
    merge(three[:1], tmp_path / "store")
    file.write_text(finished)
    merged = merge(three[:1], tmp_path / "store")
    assert [path for path, _ in merged.conflicts] == three[:1]
    assert [row["status"] for row in read_runs(tmp_path / "store").to_pylist()] == ["running"]


def test_of_two_that_contradict_each_other_neither_goes_in(
    tmp_path: Path, three: list[Path]
) -> None:
    twin = tmp_path / "runs" / "twin"
    shutil.copytree(three[0], twin)
    change_a_reading(twin)
    merged = merge([tmp_path / "runs"], tmp_path / "store")
    assert (len(merged.new), merged.runs) == (2, 2)
    assert {path for path, _ in merged.conflicts} == {three[0], twin}
    assert all(str(three[0] if path == twin else twin) in why for path, why in merged.conflicts)


def test_copies_are_one_run_and_each_damaged_copy_is_named(
    tmp_path: Path, three: list[Path]
) -> None:
    (three[1] / "parity.jsonl").write_text("{}\n")
    for number in (0, 1):
        shutil.copytree(three[number], tmp_path / "runs" / f"copy-{number}")
    merged = merge([tmp_path / "runs"], tmp_path / "store")
    assert (len(merged.new), merged.there, merged.runs) == (2, 1, 2)
    assert {path for path, _ in merged.refused} == {three[1], tmp_path / "runs" / "copy-1"}
    assert all(str(path / "parity.jsonl") in reason for path, reason in merged.refused)


def test_machines_of_one_kind_that_start_together_are_two_runs_and_told(tmp_path: Path) -> None:
    for number, load in enumerate(("0.10", "0.20")):
        tiny(tmp_path / "runs" / str(number), "cpu", machine=machine("cpu") | {"load": load})
    merged = merge([tmp_path / "runs"], tmp_path / "store")
    assert (len(merged.new), merged.machines, merged.wrong) == (2, 1, False)
    assert "machines of one kind" in merged.notes[0]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hostile_runs_are_refused_as_they_are_elsewhere(
    tmp_path_factory: Any, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    run = spoil(folder, data.draw)
    try:
        expected = len(store.load(run).samples)
    except StoreError as error:
        expected, words = None, str(error)
    if not (run / "run.json").exists():
        return
    merged = merge([run], folder / "store")
    if expected is None:
        assert [reason for _, reason in merged.refused] == [words]
        assert merged.runs == 0
    else:
        assert (len(merged.new), merged.samples, merged.refused) == (1, expected, [])
        content(folder / "store")
    files = {p.relative_to(folder).parts[0] for p in folder.rglob("*")}
    assert files == {"run", "store"}


def test_names_of_strangers_become_no_paths(tmp_path: Path) -> None:
    tiny(tmp_path / "run", "../../x", changes={"started": "../../../y"})
    merge([tmp_path / "run"], tmp_path / "store")
    ((run, folder),) = run_folders(tmp_path / "store").items()
    assert folder.name == run
    assert [row["date"] for row in read_runs(tmp_path / "store").to_pylist()] == ["undated"]


def test_a_store_of_another_version_is_refused(tmp_path: Path, three: list[Path]) -> None:
    (tmp_path / "old" / "tables").mkdir(parents=True)
    (tmp_path / "old" / "manifest.json").write_text('{"store": 1}')
    with pytest.raises(StoreError, match=r"another version.*bench merge RUNS"):
        read_runs(tmp_path / "old")
    with pytest.raises(StoreError, match="another version"):
        merge(three, tmp_path / "old")


def test_a_damaged_file_is_named(tmp_path: Path, three: list[Path]) -> None:
    merge(three, tmp_path / "store")
    (first, second, third) = run_folders(tmp_path / "store").values()
    (first / "run.parquet").write_bytes((second / "run.parquet").read_bytes())
    with pytest.raises(StoreError, match=f"{first}/run.parquet is damaged"):
        read_runs(tmp_path / "store")
    (first / "results.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=f"{first}/results.parquet is damaged"):
        read_results(tmp_path / "store")
    shutil.rmtree(first)
    (second / "run.parquet").write_bytes((second / "results.parquet").read_bytes())
    with pytest.raises(StoreError, match="other columns"):
        read_runs(tmp_path / "store")
    shutil.rmtree(second)
    (row,) = read_runs(tmp_path / "store").to_pylist()
    write(pa.Table.from_pylist([row | {"machine": "../../x"}], RUNS), third, "run")
    with pytest.raises(StoreError, match="names no machine"):
        read_runs(tmp_path / "store")


def test_a_run_that_two_merges_brought_is_read_once(tmp_path: Path, three: list[Path]) -> None:
    merge(three[:1], tmp_path / "store")
    merge(three, tmp_path / "other")
    shutil.copytree(tmp_path / "other" / "v2", tmp_path / "store" / "v2", dirs_exist_ok=True)
    assert content(tmp_path / "store") == content(tmp_path / "other")
    assert len(merge(three, tmp_path / "store").new) == 0


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, three: list[Path]) -> None:
    with pytest.raises(StoreError, match="is no store"):
        merge(three, tmp_path)
    with pytest.raises(UsageError, match="there is no run in"):
        merge([tmp_path / "nothing"], tmp_path / "store")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


@pytest.mark.parametrize("name", ["v2", ".incoming"])
def test_a_link_in_the_store_is_not_followed(tmp_path: Path, three: list[Path], name: str) -> None:
    merge(three[:1], tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "v2")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is a link"):
        merge(three, tmp_path / "store")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_two_merges_at_once_are_refused(tmp_path: Path, three: list[Path]) -> None:
    with held(tmp_path / "store"), pytest.raises(BusyError, match="another process"):
        merge(three, tmp_path / "store")


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from bench.storage.archive.merge import merge

moment = int(sys.argv[3])
count = 0

def ends(function):
    def wrapped(*words, **named):
        global count
        count += 1
        if count > moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*words, **named)
    return wrapped

for holder, name in (
    (Path, "rename"), (Path, "replace"), (Path, "mkdir"), (os, "fsync"), (os, "sync"),
    (shutil, "rmtree"),
):
    setattr(holder, name, ends(getattr(holder, name)))
merge([Path(sys.argv[1])], Path(sys.argv[2]), processes=1)
"""


@pytest.fixture
def moments() -> Iterator[int]:
    return iter(range(0, 100, 4))


def test_a_merge_that_is_killed_leaves_the_store_as_it_was_or_whole(
    tmp_path: Path, three: list[Path], moments: Iterator[int]
) -> None:
    merge(three[:1], tmp_path / "old")
    merge(three, tmp_path / "whole")
    old, whole = content(tmp_path / "old"), content(tmp_path / "whole")
    killed = 0
    for moment in moments:
        path = tmp_path / f"store-{moment}"
        shutil.copytree(tmp_path / "old", path)
        words = [sys.executable, "-c", KILLED, str(tmp_path / "runs"), str(path), str(moment)]
        done = subprocess.run(words, cwd=ROOT, env=os.environ, check=False, capture_output=True)
        assert content(path) in (old, whole), moment
        merge([tmp_path / "runs"], path)
        assert content(path) == whole
        assert not (path / ".incoming").exists()
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        killed += 1
    assert killed >= 3


def test_simulated_machines_show_their_true_ratios(tmp_path: Path) -> None:
    """Intervals of 95 % hold the truth about that often, and noisy machines do not tell."""
    wide = (((1024, 1024), 64, 64), ((512, 512), 64, 64))  # true ratios near 1
    machines = [Simulated(number, wide) for number in range(30)]
    for one in machines:
        write_simulated(tmp_path / "runs" / str(one.number), one)
    merge([tmp_path / "runs"], tmp_path / "store", processes=1)
    names = {row["run"]: row["name"] for row in read_runs(tmp_path / "store").to_pylist()}
    held_truth, of, noisy = 0, 0, []
    for row in read_results(tmp_path / "store").to_pylist():
        one = machines[int(names[row["run"]].rpartition("-")[2])]
        truth = true_ratios(one)[row["case_id"]]
        held_truth += row["ratio_low"] <= truth <= row["ratio_high"]
        of += 1
        if one.noisy:
            noisy.append(row["verdict"])
    assert 0.88 <= held_truth / of <= 0.99
    assert noisy.count("UNRESOLVED") > len(noisy) / 2


def test_an_empty_store_can_be_read(tmp_path: Path) -> None:
    with held(tmp_path / "store"):
        pass
    assert content(tmp_path / "store") == [[], [], []]
