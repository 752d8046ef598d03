"""The parts of a fleet without a cluster: what is kept, sent, fetched, believed, and made."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_run import write_run

from bench.measuring.cluster import relay as depot
from bench.measuring.cluster.client import Seen, fetch, follow, owed
from bench.measuring.cluster.clusters import read_options
from bench.measuring.cluster.environments import constraints_without, parse, prepare
from bench.measuring.cluster.host import PRETENDED, sources_digest, this_host
from bench.measuring.cluster.perform import Shipper, _restore, child_variables
from bench.measuring.cluster.relay import Depot
from bench.measuring.cluster.wire import LARGEST_TRAINING, Task, checked
from bench.model.errors import BuildError, UsageError
from bench.storage.runs import LINES, RUN, TRAINING, load

ROOT = Path(__file__).parents[3]
HOST = "host-0123456789"


class Straight:
    """The way from a host to a depot in the same process."""

    def __init__(self, depot: Depot, name: str = "night") -> None:
        self.depot, self.name = depot, name

    def say(self, run: str, state: str, words: str) -> None:
        self.depot.say(self.name, run, state, words)

    def put(self, run: str, file: str, offset: int, content: bytes) -> int:
        return self.depot.put(self.name, run, file, offset, content)

    def read(self, run: str, file: str, offset: int) -> bytes:
        return self.depot.read(self.name, run, file, offset)


def asking(depot: Depot) -> Callable[..., Any]:
    return lambda method, *arguments: getattr(depot, method)(*arguments)


@pytest.fixture
def kept() -> Depot:
    found = Depot()
    facts = {"arguments": [], "environments": [], "sources": "", "wanted": 1}
    assert found.submit("night", facts)
    return found


def test_pieces_are_kept_once_and_in_order(kept: Depot) -> None:
    assert kept.put("night", HOST, "samples.jsonl", 0, b"ab\n") == 3
    assert kept.put("night", HOST, "samples.jsonl", 0, b"ab\n") == 3
    assert kept.put("night", HOST, "samples.jsonl", 0, b"ab\ncd\n") == 6
    assert kept.put("night", HOST, "samples.jsonl", 9, b"later\n") == 6  # a gap is not taken
    assert kept.read("night", HOST, "samples.jsonl", 3) == b"cd\n"
    kept.put("night", HOST, RUN, 0, b"one")
    kept.put("night", HOST, RUN, 0, b"two")
    assert kept.read("night", HOST, RUN) == b"two"
    assert kept.look("night")["runs"][HOST]["versions"] == {RUN: 2}
    assert kept.held == 9
    kept.forget("night")
    assert (kept.held, kept.names()) == (0, [])


@pytest.mark.parametrize("file", ["../run.json", "report.html", "/etc/passwd", ""])
def test_the_depot_takes_no_other_file(kept: Depot, file: str) -> None:
    with pytest.raises(ValueError, match="no file of a run"):
        kept.put("night", HOST, file, 0, b"x")


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", "A", "-x", "x" * 81, ".hidden", "a\nb"])
def test_no_name_is_a_path(kept: Depot, name: str) -> None:
    with pytest.raises(UsageError):
        checked(name)
    with pytest.raises(UsageError):
        kept.put("night", name, RUN, 0, b"x")


def test_what_is_kept_is_bounded(kept: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depot, "MOST_HELD", 10)
    kept.put("night", HOST, "samples.jsonl", 0, b"12345678\n")
    with pytest.raises(ValueError, match="keeps"):
        kept.put("night", HOST, "samples.jsonl", 9, b"12345678\n")
    with pytest.raises(ValueError, match="larger than"):
        kept.put("night", HOST, TRAINING, LARGEST_TRAINING, b"x")
    kept.say("night", HOST, "running", "x\x1b[2J" * 1000)
    words = kept.look("night")["runs"][HOST]["words"]
    assert len(words) <= 400
    assert "\x1b" not in words


def test_a_host_gets_one_task_of_a_submission(kept: Depot) -> None:
    assert kept.give("night", HOST)
    assert not kept.give("night", HOST)
    assert not kept.submit("night", {})


def test_workers_of_one_kernel_are_one_host(kept: Depot) -> None:
    kept.workers = {"a": ("host-1", "boot"), "b": ("host-2", "boot"), "c": ("host-3", "other")}
    assert kept.hosts() == {"host-1": "boot", "host-3": "other"}


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


def test_a_run_travels_byte_for_byte_and_back(kept: Depot, tmp_path: Path) -> None:
    run = write_run(tmp_path / HOST)
    with (run / "samples.jsonl").open("ab") as stream:
        stream.write(b'{"cut off in mid-')
    Shipper(run, HOST, Straight(kept)).ship()
    out = tmp_path / "results"
    out.mkdir()
    for _ in range(2):  # a second time it finds everything there
        fetch(asking(kept), "night", HOST, kept.look("night")["runs"][HOST], out)
    _restore(tmp_path / "again", HOST, Straight(kept))
    whole = (run / "samples.jsonl").read_bytes().rpartition(b"\n")[0] + b"\n"
    for folder in (out / HOST, tmp_path / "again"):
        assert (folder / "samples.jsonl").read_bytes() == whole
        assert (folder / RUN).read_bytes() == (run / RUN).read_bytes()
        assert len(load(folder).samples) == len(load(run).samples)


def test_what_a_host_sends_goes_nowhere_else(kept: Depot, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    out = tmp_path / "results"
    (out / HOST).mkdir(parents=True)
    (out / HOST / "samples.jsonl").symlink_to(victim)
    kept.put("night", HOST, "samples.jsonl", 0, b"theirs\n")
    with pytest.raises(OSError, match="symbolic"):
        fetch(asking(kept), "night", HOST, kept.look("night")["runs"][HOST], out)
    assert victim.read_text() == "mine"
    with pytest.raises(UsageError):
        fetch(asking(kept), "night", "../up", {"sizes": {}}, out)


def test_owed_are_hosts_to_come_and_those_for_lost_ones() -> None:
    assert owed(3, ["a", "b"], {}, []) == ["a", "b"]
    assert owed(2, ["a", "b", "c"], {"a": "running", "b": "running"}, []) == []
    assert owed(2, ["a", "c", "d"], {"a": "running", "b": "lost"}, ["b"]) == ["c"]


def test_a_host_that_is_lost_is_replaced_and_what_it_had_is_kept(
    kept: Depot, tmp_path: Path
) -> None:
    kept.workers = {"1": ("host-1", "1")}
    given: list[str] = []
    shown: list[list[Seen]] = []

    def give(task: Task) -> None:
        given.append(task.host)
        kept.put("night", task.host, "samples.jsonl", 0, b"measured\n")
        kept.say("night", task.host, "running", "timing 10%")

    def sleep(_: float) -> None:
        if given == ["host-1"]:
            kept.workers = {"2": ("host-2", "2")}
        else:
            kept.say("night", "host-2", "finished", "finished")

    states = follow(asking(kept), "night", tmp_path / "out", give, shown.append, sleep)
    assert given == ["host-1", "host-2"]
    assert states == {"host-1": "running", "host-2": "finished"}
    assert (tmp_path / "out/host-1/samples.jsonl").read_bytes() == b"measured\n"
    assert [one.state for one in shown[-1]] == ["lost", "finished"]


def test_a_lost_host_is_not_waited_for_without_end(kept: Depot, tmp_path: Path) -> None:
    kept.give("night", HOST)
    moments = iter(range(0, 10**6, 100))
    found = follow(
        asking(kept), "night", tmp_path, lambda task: kept.say("night", task.host, "running", ""),
        lambda _: None, lambda _: None, lambda: float(next(moments)),
    )  # fmt: skip
    assert found == {HOST: "running"}


def test_environments_are_read() -> None:
    assert parse(["a=numpy==2.1.3, scipy>=1", "now="]) == (
        ("a", ("numpy==2.1.3", "scipy>=1")),
        ("now", ()),
    )
    for wrong in ("a", "=numpy", "a=--no-deps", "../a=numpy", "A=numpy"):
        with pytest.raises(UsageError):
            parse([wrong])
    with pytest.raises(UsageError, match="twice"):
        parse(["a=numpy", "a=scipy"])
    text = "# pins\nNumPy==2.4.6\nscipy==1.17.1\n"
    assert constraints_without(text, ["numpy>=2.1"]) == "scipy==1.17.1\n"
    assert prepare(()).python == Path(sys.executable)


def test_what_is_released_together_is_left_free_together() -> None:
    asks = {
        "mojo": ["mojo-compiler==1.2.0", "mblack == 26.7.0; python_version > '3'"],
        "mojo-compiler": ["Mojo_Libs==1.2.0", "click>=8", "numpy==2.*"],
    }
    pins = "mojo==1.2.0\nmojo-compiler==1.2.0\nmojo-libs==1.2.0\nmblack==26.7.0\n"
    rest = "click==8.1\nnumpy==2.4.6\n"
    found = constraints_without(pins + rest, ["mojo==1.1.0"], lambda name: asks.get(name, ()))
    assert found == rest


@pytest.mark.long
def test_an_environment_has_its_own_packages_before_those_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "msgspec-99.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("msgspec.py", "own = True\n")
        info = "msgspec-99.0.dist-info"
        packed.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: msgspec\nVersion: 99.0\n")
        packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
                        "Tag: py3-none-any\n")  # fmt: skip
        packed.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    wanted = (f"msgspec @ {wheel.as_uri()}",)
    python = prepare(wanted, tmp_path / "kept").python
    said = subprocess.run(
        [python, "-c", "import msgspec, numpy, importlib.metadata as m\n"
         "print(msgspec.own, m.version('msgspec'), numpy.__name__)"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert said.stdout.split() == ["True", "99.0", "numpy"]
    wheel.unlink()
    assert prepare(wanted, tmp_path / "kept").python == python  # it is there, and not made again
    with pytest.raises(BuildError, match="pip could not install"):
        prepare(("no-such-package-of-anybody",), tmp_path / "kept")


def test_an_environment_of_pixi_is_asked_of_pixi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="pixi:mkl needs pixi, which is not there"):
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
    with pytest.raises(BuildError, match="could not give the environment other: unknown"):
        prepare(("pixi:other",))
    with pytest.raises(UsageError, match="that and no more"):
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
    assert f"which is {depot.MOST_HELD // raw} such runs" in text
    for count, unit in ((10, 1e6), (1000, 1e9), (100_000, 1e9)):
        cells = re.search(rf"\| {count:,} \| (\d+\.?\d*) .B \| (\d+\.?\d*) .B \|", text)
        assert cells
        for cell, size in zip(cells.groups(), (raw, packed), strict=True):
            assert float(cell) == pytest.approx(count * size / unit, rel=0.05)


def test_without_dask_there_is_one_line(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, said = bench("run", "--cluster", "local:2")
    assert code == 2
    assert said.strip() == (
        "bench: --cluster needs distributed: pip install 'python-vs-mojo[cluster]'"
    )


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
    assert "--resources bench=1" in script
    for text in ("queue = 1", "jobs = 0", "not toml"):
        file.write_text(text)
        with pytest.raises(UsageError):
            read_options(file)
