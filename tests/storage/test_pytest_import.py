"""From `pytest bench` to a report: the readings arrive unchanged, the verdicts do not exist."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_run import SEED_NETWORK, SMALL, Truth, make_parity

from bench.analysis.run_analysis import analyse_stored
from bench.model.cases import case_id
from bench.model.errors import UsageError
from bench.model.records import PHASES, Case
from bench.report.run.build import build
from bench.storage import runs as store
from bench.storage.pytest_import import EXTRA, Extra, import_file

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = {"numpy": (1.1e-4, 1.0e-4, 1.2e-4), "mojo": (0.5e-4, 0.6e-4, 0.55e-4, 0.5e-4)}


def speed_file() -> dict[str, Any]:
    """What pytest-benchmark writes for the tests of `pytest bench`."""
    parity = tuple(make_parity(Truth(problems=(SMALL,))))
    return {
        "machine_info": {
            "node": "name-of-the-host",
            "machine": "x86_64",
            "system": "Linux",
            "python_implementation": "CPython",
            "python_version": "3.11.9",
            "cpu": {"brand_raw": "Example CPU 9000", "count": 2},
        },
        "commit_info": {"id": "abc", "author_name": "someone"},
        "datetime": "2026-11-03T10:00:00.000000+00:00",
        "version": "5.3.1",
        "benchmarks": [
            {
                "group": "g",
                "name": f"test_speed[{phase}-{name}]",
                "fullname": f"bench/test_speed.py::test_speed[{phase}-{name}]",
                "stats": {"iterations": 10, "rounds": len(data), "data": list(data), "min": 1e-5},
                "extra_info": {
                    EXTRA: msgspec.to_builtins(
                        Extra(Case(phase, SMALL), name, "quick", {"threads": 1}, parity)
                    )
                },
            }
            for phase in PHASES
            for name, data in SECONDS.items()
        ],
    }


def write(folder: Path, content: Any, name: str = "speed.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_readings_arrive_unchanged(tmp_path):
    run_dir = import_file(write(tmp_path, speed_file()), tmp_path / "runs")
    stored = store.load(run_dir)
    assert stored.run.status == "imported"
    assert stored.run.source == "pytest-benchmark"
    assert [case_id(case) for case in stored.run.plan.cases] == [
        case_id(Case(phase, SMALL)) for phase in PHASES
    ]
    for name, seconds in SECONDS.items():
        readings = [
            (sample.round, sample.loops, sample.elapsed_ns)
            for sample in stored.samples
            if sample.worker == name and sample.case == case_id(Case("epoch", SMALL))
        ]
        assert readings == [(turn, 10, round(s * 1e10)) for turn, s in enumerate(seconds)]
    assert len(stored.parity) == 1
    assert stored.run.environment.workers["mojo"] == {"threads": 1}


def test_report_has_times_the_line_why_and_no_verdict(tmp_path):
    run_dir = import_file(write(tmp_path, speed_file()), tmp_path)
    stored = store.load(run_dir)
    results = analyse_stored(stored).results
    assert all(result.verdict is None for result in results)
    paths = build(run_dir)
    for page in (paths.html.read_text("utf-8"), paths.markdown.read_text("utf-8")):
        assert "holds times, but no verdicts" in page
        assert "supports no verdict on which is faster" in page
        assert "110 " in page.replace("<b>", "").replace("</b>", "")  # median of NumPy, µs
        assert "no interval" in page
        assert "Speed-up of" not in page
        before_words = page.split("Words")[0 if "<html" not in page else 1]
        for verdict in ("FASTER", "SLOWER", "EQUIVALENT", "UNRESOLVED", "INVALID"):
            assert verdict not in before_words


def test_nothing_names_the_owner_of_the_machine(tmp_path):
    run_dir = import_file(write(tmp_path, speed_file()), tmp_path)
    content = (run_dir / "run.json").read_text()
    assert "name-of-the-host" not in content
    assert "someone" not in content


def test_same_file_same_run(tmp_path):
    path = write(tmp_path, speed_file(), "my speed (1).json")
    first = import_file(path, tmp_path / "runs")
    assert first.name.startswith("my-speed-1-")
    assert import_file(path, tmp_path / "runs") == first
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == [first.name]
    other = speed_file()
    other["benchmarks"][0]["stats"]["data"][0] *= 2
    assert import_file(write(tmp_path, other, path.name), tmp_path / "runs") != first


def test_an_import_that_was_cut_off_is_made_again(tmp_path):
    path = write(tmp_path, speed_file())
    run_dir = import_file(path, tmp_path)
    run_dir.rename(run_dir.with_name(f".{run_dir.name}.new"))
    (run_dir.with_name(f".{run_dir.name}.new") / "samples.jsonl").unlink()
    assert store.load(import_file(path, tmp_path)).samples


def without(*keys: str | int):
    def change(content):
        place = content
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]
        return content

    return change


def with_data(data, iterations=10):
    def change(content):
        content["benchmarks"][0]["stats"] |= {"data": data, "iterations": iterations}
        return content

    return change


REFUSED = {
    "not json": (lambda _: "{", "is not a file of pytest-benchmark"),
    "not an object": (lambda _: [1], "is not a file of pytest-benchmark"),
    "another schema": (without("benchmarks"), "is not a file of pytest-benchmark"),
    "not our test": (
        without("benchmarks", 0, "extra_info", EXTRA),
        r"test_speed\[forward-numpy\] is not a test of `pytest bench`",
    ),
    "half our test": (without("benchmarks", 0, "extra_info", EXTRA, "case"), "missing required"),
    "no readings": (without("benchmarks", 0, "stats", "data"), "--benchmark-save-data"),
    "a zero": (with_data([0.0]), "which is no time"),
    "a negative": (with_data([-1.0]), "which is no time"),
    "far too long": (with_data([1e300]), "which is no time"),
    "no iterations": (with_data([1.0], 0), "which is no time"),
    "one side": (
        lambda c: c | {"benchmarks": c["benchmarks"][::2]},
        "has times of numpy; a comparison needs",
    ),
    "no tests": (lambda c: c | {"benchmarks": []}, "has times of nothing"),
    "twice": (lambda c: c | {"benchmarks": c["benchmarks"] * 2}, "more than once"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_is_not_ours(tmp_path, name):
    change, words = REFUSED[name]
    path = write(tmp_path, change(speed_file()))
    with pytest.raises(UsageError, match=words) as refusal:
        import_file(path, tmp_path / "runs")
    assert str(path) in str(refusal.value)
    assert "--benchmark-" in str(refusal.value)  # what to run next
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("[!.]*"))


def test_refuses_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*none\.json"):
        import_file(tmp_path / "none.json", tmp_path)


@given(data=st.data())
def test_any_damage_is_refused_in_words_or_harmless(tmp_path_factory, data):
    content = speed_file()
    place: Any = content
    while isinstance(place, dict | list) and place:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(list(keys)))
        if data.draw(st.booleans()) or not isinstance(place[key], dict | list):
            place[key] = data.draw(st.sampled_from([None, -1, 1e999, "x", [], {}, [{}]]))
            break
        place = place[key]
    folder = tmp_path_factory.mktemp("damaged")
    try:
        run_dir = import_file(write(folder, content), folder)
    except UsageError:
        return
    stored = store.load(run_dir)
    assert analyse_stored(stored).results is not None


def test_from_pytest_to_the_report(tmp_path):
    """The whole door, with readings as short as they can be."""
    path = tmp_path / "speed.json"
    quick = ["--benchmark-min-rounds=2", "--benchmark-max-time=0.001", "--benchmark-warmup=off"]
    command = [sys.executable, "-m", "pytest", "bench", "--bench-preset=smoke", "-q", *quick]
    # As a person starts it: not as a part of the suite, in which pytest-benchmark times nothing.
    alone = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    done = subprocess.run(
        [*command, f"--benchmark-json={path}", "-p", "no:cacheprovider"],
        cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False, env=alone,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    stored = store.load(import_file(path, tmp_path / "runs"))
    assert {sample.worker for sample in stored.samples} == {"numpy", "mojo"}
    assert {case.problem for case in stored.run.plan.cases} == {SEED_NETWORK, SMALL}
    assert len(stored.parity) == 2
    assert all(result.ok for result in stored.parity)
    assert all(worker["threads"] == 1 for worker in stored.run.environment.workers.values())
    assert "holds times, but no verdicts" in build(stored.path).html.read_text("utf-8")
    compared = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", str(path), "--group-by=group"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert compared.returncode == 0, compared.stderr
    assert "epoch/1-50x9-1/b20/n500/f64/t1" in compared.stdout
