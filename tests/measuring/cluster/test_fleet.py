"""The parts of a fleet without a cluster: names, packed runs, hosts, environments, arguments."""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from bench.cli.cluster_child import command
from bench.cli.terminal.hosts import HostsScreen
from bench.measuring.cluster.environments import child_variables, parse, prepare
from bench.measuring.cluster.identity import PRETENDED, sources_digest, this_host
from bench.measuring.cluster.wire import MOST_BYTES, PackedRun, Seen, Submission, checked, unpack
from bench.model.errors import BuildError, UsageError
from bench.storage.runs import LINES, RUN, TRAINING

ROOT = Path(__file__).parents[3]


def packed(*, state: Any = "running", words: str = "timing", **files: bytes) -> bytes:
    return msgspec.msgpack.encode(PackedRun(state, words, files))


def test_a_packed_run_is_unpacked_in_the_order_of_writing() -> None:
    found = unpack(packed(**{RUN: b"{}", "samples.jsonl": b"ab\n"}))
    assert found == PackedRun("running", "timing", {"samples.jsonl": b"ab\n", RUN: b"{}"})
    assert list(found.files) == ["samples.jsonl", RUN]  # a run is one once run.json is there


@pytest.mark.parametrize("file", ["../run.json", "report.html", "/etc/passwd", ""])
def test_no_other_file_is_unpacked(file: str) -> None:
    with pytest.raises(ValueError, match="no file of a run"):
        unpack(packed(**{file: b"x"}))


def test_what_is_unpacked_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MOST_BYTES, RUN, 10)
    assert unpack(packed(**{RUN: b"x" * 10})).files
    wrong = [packed(**{RUN: b"x" * 11}), packed(words="x" * 401), packed(state="odd"), b"", b"\x01"]
    for content in wrong:
        with pytest.raises(ValueError, match=r"packed run|too large"):
            unpack(content)


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", "A", "-x", "x" * 81, ".hidden", "a\nb"])
def test_no_name_is_a_path(name: str) -> None:
    with pytest.raises(UsageError):
        checked(name)


def test_a_host_makes_a_run_for_each_environment() -> None:
    plan = Submission("night", "1", (), (("np21", ("numpy==2.1.3",)), ("now", ())), "", 1)
    assert plan.runs("host-1") == {"host-1.np21": ("numpy==2.1.3",), "host-1.now": ()}
    assert list(replace(plan, environments=()).runs("host-1")) == ["host-1"]


def test_a_run_that_was_begun_is_resumed_with_its_implementations() -> None:
    given = ["--preset", "smoke", "--implementation", "mojo", "--implementation", "exec:./mlp"]
    folder = Path("kept/host-1")
    shown = ["--no-report", "--plain"]
    where = ["--out", "kept", "--name", "host-1"]
    assert command(folder, given, begun=False) == ["run", *given, *where, *shown]
    assert command(folder, given, begun=True) == [
        "run", "--resume", "kept/host-1", *given[2:], *shown
    ]  # fmt: skip


def test_the_screen_tells_each_change_once_and_progress_every_ten_seconds() -> None:
    console = Console(record=True, width=100, force_terminal=False, file=io.StringIO())
    moments = iter([0.0, 5.0, 11.0, 12.0, 40.0])
    with HostsScreen(console, lambda: next(moments)) as screen:
        for state, words in (
            ("running", "one"), ("running", "two"), ("running", "three\x1b[2J"),
            ("finished", "four"), ("finished", "five"),
        ):  # fmt: skip
            screen.show([Seen("host-1", state, words)])
    said = console.export_text()
    assert [one in said for one in ("one", "two", "three", "four", "five")] == [1, 0, 1, 1, 0]
    assert "\x1b" not in said


def test_a_terminal_shows_a_line_for_each_run() -> None:
    console = Console(record=True, width=100, force_terminal=True, file=io.StringIO())
    with HostsScreen(console) as screen:
        screen.show([Seen("host-1", "running", "timing 10%"), Seen("host-2", "lost", "waiting")])
    said = console.export_text()
    assert all(word in said for word in ("host-1", "timing 10%", "host-2", "lost"))


def test_a_host_is_known_by_what_it_is_and_not_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "proc/sys/kernel/random").mkdir(parents=True)
    (tmp_path / "etc/machine-id").write_text("abc\n")
    (tmp_path / "proc/sys/kernel/random/boot_id").write_text("first\n")
    label, boot = this_host(tmp_path, {}, "ann-laptop")
    assert boot == "first"
    assert checked(label) == label
    assert "ann" not in label
    (tmp_path / "proc/sys/kernel/random/boot_id").write_text("second\n")
    assert this_host(tmp_path, {}, "ann-laptop") == (label, "second")
    assert this_host(tmp_path, {}, "other")[0] != label
    assert this_host(tmp_path, {PRETENDED: "2"})[0] == "pretended-2"
    with pytest.raises(UsageError):
        this_host(tmp_path, {PRETENDED: "../2"})


def test_sources_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/one.py").write_text("1")
    first = sources_digest(tmp_path)
    (tmp_path / "bench/one.py").write_text("2")
    assert sources_digest(tmp_path) != first


def test_environments_are_read() -> None:
    assert parse(["a=numpy==2.1.3, scipy>=1", "now="]) == (
        ("a", ("numpy==2.1.3", "scipy>=1")),
        ("now", ()),
    )
    for wrong in ("a", "=numpy", "a=--no-deps", "../a=numpy", "A=numpy", "a=numpy=2", "a=./x.whl"):
        with pytest.raises(UsageError):
            parse([wrong])
    with pytest.raises(UsageError, match="twice"):
        parse(["a=numpy", "a=scipy"])
    assert prepare(()).python == Path(sys.executable)


def wheel(folder: Path, name: str, version: str, *needs: str) -> Path:
    """Write a package of one module that knows its version."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    told = "".join(f"Requires-Dist: {one}\n" for one in needs)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{name}.py", f"own = {version!r}\n")
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{told}"
        packed.writestr(f"{info}/METADATA", metadata)
        packed.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.long
def test_an_environment_has_its_own_packages_before_those_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with them what is released together: msgspec asks here for one version of rich."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    files = [wheel(tmp_path, "msgspec", "99.0", "rich==98.0"), wheel(tmp_path, "rich", "98.0")]
    wanted = ("msgspec==99.0",)
    python = prepare(wanted, tmp_path / "kept").python
    said = subprocess.run(
        [python, "-c", "import msgspec, numpy, rich, importlib.metadata as m\n"
         "print(msgspec.own, rich.own, m.version('msgspec'), numpy.__name__)"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert said.stdout.split() == ["99.0", "98.0", "99.0", "numpy"]
    for file in files:
        file.unlink()
    assert prepare(wanted, tmp_path / "kept").python == python  # it is there, and not made again
    with pytest.raises(BuildError, match="pip could not install"):
        prepare(("no-such-package-of-anybody",), tmp_path / "kept")


def test_an_environment_of_pixi_is_asked_of_pixi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="needs pixi"):
        prepare(("pixi:mkl",))
    variables = {"CONDA_PREFIX": str(tmp_path / "mkl"), "PATH": "first", "MKL_INTERFACE": "LP64"}
    pixi = tmp_path / "pixi"
    pixi.write_text(
        f"""#!{sys.executable}
import json, sys
words = ["shell-hook", "--json", "--environment=mkl", "--manifest-path={ROOT / "pixi.toml"}"]
if sys.argv[1:] != words:
    sys.exit("unknown environment")
print(json.dumps({{"environment_variables": {variables!r}}}))
"""
    )
    pixi.chmod(0o755)
    found = prepare(parse(["x=pixi:mkl"])[0][1])
    assert found.python == tmp_path / "mkl" / "bin" / "python"
    assert child_variables(found).items() >= variables.items()
    with pytest.raises(BuildError, match=r"other.*unknown"):
        prepare(("pixi:other",))
    with pytest.raises(UsageError, match="alone"):
        parse(["x=pixi:mkl,numpy==2.1.3"])


def test_the_arithmetic_of_many_machines_is_that_of_the_reference_run() -> None:
    folder = ROOT / "results" / "reference"
    raw = packed = 0
    for name in (RUN, TRAINING, *LINES.values()):
        stored = folder / f"{name}.gz"
        content = gzip.decompress(stored.read_bytes()) if stored.is_file() else b""
        content = content or (folder / name).read_bytes()
        raw += len(content)
        is_lines = name in LINES.values()
        packed += len(gzip.compress(content, 9, mtime=0)) if is_lines else len(content)
    page = (folder / "report.html").stat().st_size
    text = (ROOT / "docs" / "fleet.md").read_text().replace("\n", " ")
    assert f"it, is {raw / 1e6:.1f} MB raw and {packed / 1e6:.1f} MB with its lines packed" in text
    assert f"Its page is {page / 1e6:.1f} MB" in text
    for count, unit in ((10, 1e6), (1000, 1e9), (100_000, 1e9)):
        cells = re.search(rf"\| {count:,} \| (\d+\.?\d*) .B \| (\d+\.?\d*) .B \|", text)
        assert cells
        for cell, size in zip(cells.groups(), (raw, packed), strict=True):
            assert float(cell) == pytest.approx(count * size / unit, rel=0.05)


def test_without_dask_there_is_one_line(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, said = bench("run", "--cluster", "local:2")
    assert code == 2
    assert said.count("\n") == 1
    assert "pip install 'python-vs-mojo[cluster]'" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--cluster", "slurm"), "belong together"),
        (("--slurm-options", "x.toml"), "belong together"),
        (("--cluster", "local:2", "--name", "../x"), "small letters"),
        (("--cluster", "local:2", "--resume", "x"), "no other options"),
        (("--environment", "numpy"), "NAME=requirement"),
    ],
)
def test_wrong_words_are_told(bench: Any, words: tuple[str, ...], expected: str) -> None:
    code, _, said = bench("run", *words)
    assert code == 2
    assert expected in said


def test_slurm_gives_each_job_a_node_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue", reason="not installed: pip install '.[cluster]'")
    file = tmp_path / "slurm.toml"
    file.write_text('jobs = 3\nqueue = "short"\nwalltime = "01:00:00"\ncores = 4\nmemory = "8GB"\n'
                    'interface = "lo"\n')  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", "--cluster", "slurm", "--slurm-options", file,
         "--out", tmp_path],
        cwd=ROOT, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "there is no sbatch here" in done.stderr
    script = done.stderr.partition("#!/usr/bin/env bash")[2]
    for line in ("#SBATCH -p short", "#SBATCH -t 01:00:00", "#SBATCH --exclusive"):
        assert line in script
    assert "--nworkers" not in script  # one it is, then
    assert "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False" in script


@pytest.mark.parametrize("text", ["queue = 1", "jobs = 0", "not toml"])
def test_options_of_slurm_say_how_many_jobs(bench: Any, tmp_path: Path, text: str) -> None:
    pytest.importorskip("dask_jobqueue", reason="not installed: pip install '.[cluster]'")
    file = tmp_path / "slurm.toml"
    file.write_text(text)
    code, _, said = bench("run", "--cluster", "slurm", "--slurm-options", file, "--out", tmp_path)
    assert code == 2
    assert f"--slurm-options {file}" in said
