"""`--json`: one document on standard output, as the published schema says, from every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from sample_run import LADDER, SEED_NETWORK, Truth, write_run

from bench.cli import documents
from bench.cli.app import ORDER
from bench.cli.output import emit
from bench.measuring import doctor
from bench.measuring.doctor import Finding
from bench.measuring.validation import page, trials_run
from bench.measuring.validation.page import Line
from bench.model.errors import StoreError
from bench.model.records import Estimate, Fault

Bench = Callable[..., tuple[int, str, str]]
PUBLISHED = json.loads(documents.FILE.read_bytes())
TINY = ("--layers", "3,5,2", "--batch", "4", "--rows", "12")


def read(name: str, out: str) -> Any:
    """Read a document and hold it to the schema of its command."""
    schema = {"$schema": documents.DIALECT, "$defs": PUBLISHED["$defs"]}
    document = json.loads(out)
    Draft202012Validator({**schema, **PUBLISHED["commands"][name]}).validate(document)
    return document


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    truth = Truth(probes=True, name="before")
    return write_run(tmp_path_factory.mktemp("runs") / "before", truth)


@pytest.fixture(scope="module")
def after(before: Path) -> Path:
    return write_run(before.parent / "after", Truth(probes=True, ratio=2.2, name="after"))


def test_the_file_is_what_the_records_say() -> None:
    assert documents.FILE.read_bytes() == documents.text(), "run `python -m bench.cli.documents`"
    Draft202012Validator.check_schema(PUBLISHED)
    assert {name.split()[0] for name in PUBLISHED["commands"]} == {*ORDER} - {"attach"}
    assert all(record["description"] for record in PUBLISHED["$defs"].values())


def test_the_command_writes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(documents, "PROJECT", tmp_path)
    monkeypatch.setattr(documents, "FILE", tmp_path / "output.json")
    documents.main()
    assert capsys.readouterr().out == "wrote output.json\n"
    assert (tmp_path / "output.json").read_bytes() == documents.text()
    monkeypatch.setattr(documents, "FILE", tmp_path / "output.json" / "below")
    with pytest.raises(StoreError, match="cannot write"):
        documents.main()


@pytest.mark.parametrize("command", [name for name in ORDER if name != "attach"])
def test_every_command_that_prints_results_takes_it(bench: Bench, command: str) -> None:
    assert "--json" in bench(command, "--help")[1]


def test_a_number_that_cannot_be_formed_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    emit([Estimate(1.5, float("nan"), float("inf"), 1)])
    (told,) = json.loads(capsys.readouterr().out)
    assert told == {"point": 1.5, "low": None, "high": None, "count": 1}


def test_a_report_tells_every_case_of_every_candidate(bench: Bench, before: Path) -> None:
    code, out, _ = bench("report", before, "--json")
    told = read("report", out)
    assert (code, told["ok"], told["run"], told["status"]) == (0, True, "before", "finished")
    judged = {one["case"]: one for one in told["results"] if one["verdict"]}
    assert len(judged) == 6
    assert {one["verdict"] for one in judged.values()} == {"FASTER"}
    ratio = judged["epoch/1-50x9-1/b20/n500/f64/t1"]["ratio"]
    assert ratio["low"] < 2 < ratio["high"]
    assert told["report"] == str(before / "report.html")


def test_a_report_of_a_ladder_and_of_failures(bench: Bench, tmp_path: Path) -> None:
    _, out, _ = bench("report", write_run(tmp_path / "ladder", LADDER), "--json")
    assert {one["candidate"] for one in read("report", out)["results"]} >= {*LADDER.variants}
    fault = Fault("epoch/64-128x2-10/b32/n2048/f64/t1", "mojo", 2, "died")
    wrong = Truth(failed=(SEED_NETWORK,), faults=(fault,), invocations=1)
    code, out, _ = bench("report", write_run(tmp_path / "wrong", wrong), "--json")
    told = read("report", out)
    assert (code, told["ok"], len(told["faults"])) == (1, False, 1)
    assert sum(one["verdict"] == "INVALID" for one in told["results"]) >= 3


def test_several_runs_two_runs_and_the_gate(
    bench: Bench, before: Path, after: Path, tmp_path: Path
) -> None:
    code, out, _ = bench("report", before, after, "--out", tmp_path, "--json")
    told = read("report of several runs", out)
    assert (code, told["ok"]) == (0, True)
    assert [run["run"] for one in told["machines"] for run in one["runs"]] == ["before", "after"]
    code, out, _ = bench("compare", before, after, "--json")
    told = read("compare", out)
    assert (code, told["ok"], told["obstacles"]) == (0, True, [])
    assert all(one["change"]["low"] < 1.1 < one["change"]["high"] for one in told["changes"])
    for demand, expected in (("5%", 0), ("50%", 1)):
        options = ("--baseline", before, "--min-speedup", demand)
        code, out, _ = bench("gate", after, *options, "--json")
        told = read("gate", out)
        assert code == told["exit_code"] == expected
        assert {one["answer"] for one in told["cases"]} == {("PASS", "FAIL")[expected]}


def test_the_rest_of_a_stored_run(bench: Bench, before: Path, tmp_path: Path) -> None:
    _, out, _ = bench("roofline", before, "--json")
    told = read("roofline", out)
    assert {rate["phase"] for rate in told["rates"]} >= {"peak", "memory"}
    assert {share["worker"] for share in told["shares"]} >= {"numpy", "mojo"}
    bench("report", before)
    _, out, _ = bench("open", before, "--print", "--json")
    assert read("open", out)["lines"] == [str(before / "report.html")]
    _, out, _ = bench("export", before, "--to", "csv", "--out", tmp_path / "x.csv", "--json")
    assert str(tmp_path / "x.csv") in " ".join(read("export", out)["lines"])


def test_cases_plans_and_parity(bench: Bench) -> None:
    _, out, _ = bench("list", *TINY, "--json")
    assert [case["batch_size"] for case in read("list", out)][:3] == [4, 4, 4]
    code, out, _ = bench("parity", *TINY, "--json")
    told = read("parity", out)
    assert (code, told["ok"], told["faults"]) == (0, True, [])
    assert len(told["results"][0]["tensors"]) > 20


def test_a_store_of_runs(bench: Bench, before: Path, after: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    store = tmp_path / "store"
    _, out, _ = bench("merge", before.parent, "--into", store, "--json")
    assert read("merge", out)["new"] == 2
    sql = "SELECT run, started FROM runs ORDER BY started, run"
    _, out, _ = bench("query", sql, "--store", store, "--json")
    told = read("query", out)
    assert told["columns"] == ["run", "started"]
    assert len(told["rows"]) == 2
    _, out, _ = bench("fleet", store, "--json")
    told = read("fleet", out)
    assert (told["machines"], told["runs"]) == (1, 2)
    assert Path(told["report"]).is_file()


def test_training_and_what_it_learned(bench: Bench, tmp_path: Path) -> None:
    options = ("--epochs", 3, "--layers", "1,5,1", "--out", tmp_path)
    code, out, _ = bench("train", *options, "--json")
    told = read("train", out)
    assert (code, told["ok"], told["parity"]["reason"]) == (0, True, "")
    assert [side["name"] for side in told["sides"]] == ["NumPy", "Mojo"]
    weights = told["sides"][0]["weights"]
    _, out, _ = bench("predict", weights, "--with", "numpy", "--row", "0.5", "--row", "1", "--json")
    assert len(read("predict", out)["rows"]) == 2
    file = tmp_path / "y.npy"
    _, out, _ = bench("predict", weights, "--row", "0.5", "--out", file, "--json")
    assert read("predict", out) == {"rows": [], "file": str(file)}


def test_findings_about_the_machine_and_the_harness(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Finding("load", "0.10", "good"), Finding("cores", "1", "bad", "allow two")]
    monkeypatch.setattr(doctor, "examine", lambda *_, **__: found)
    code, out, _ = bench("doctor", "--json")
    assert code == 1
    assert msgspec.convert(read("doctor", out), list[Finding]) == found
    refusals = [trials_run.Refusal("one", "", "words", "words")]
    validity = type("Found", (), {"refusals": refusals})
    monkeypatch.setattr(trials_run, "validate", lambda *_, **__: validity)
    monkeypatch.setattr(page, "summary", lambda _: [Line("faults", "1 of 1", "all", "met")])
    code, out, _ = bench("validate", "--json")
    told = read("validate", out)
    assert (code, told["ok"], told["goals"][0]["state"]) == (0, True, "met")


def test_a_run_tells_itself(bench: Bench, tmp_path: Path) -> None:
    short = "--preset smoke --phase forward --no-training --no-costs --seconds 0.1 --no-report"
    _, out, err = bench("run", *TINY, *short.split(), "--out", tmp_path, "--name", "x", "--json")
    told = read("run", out)
    assert (told["run"], told["status"], told["report"]) == ("x", "finished", None)
    assert "pilot" in err
    code, out, err = bench("run", "--cluster", "local:1", "--json")
    assert (code, out) == (2, "")
    assert "--json" in err
