"""The same plan on three hosts of a real Dask cluster, of which one dies, and then the client."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from bench.analysis.run_analysis import analyse_stored
from bench.measuring.cluster.identity import PRETENDED
from bench.storage.runs import LINES, Stored, load

pytest.importorskip("distributed", reason="Dask is not installed: pip install '.[cluster]'")
pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[3]
INVOCATIONS = 4
PLAN = (
    *(
        "--preset",
        "smoke",
        "--layers",
        "1,4,1",
        "--phase",
        "forward",
        "--invocations",
        str(INVOCATIONS),
    ),
    *("--seconds", "0", "--no-training", "--no-costs"),
)
MEASURED = 18
"""Readings of one host when it dies: a quarter of what it has at the end."""
TIMEOUT_S = 120
LOOK_S = 0.1


class Cluster:
    """A scheduler and workers as processes of their own, on loopback."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        file = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
            "--port", "0", "--no-dashboard", "--scheduler-file", str(file),
        )  # fmt: skip
        self.until(lambda: file.is_file() and file.read_bytes().strip().endswith(b"}"))
        self.address = json.loads(file.read_text())["address"]

    def worker(self, host: str) -> None:
        """Start a worker that pretends to be a host with folders and a lock of its own."""
        mine = self.folder / host
        (mine / "tmp").mkdir(parents=True, exist_ok=True)
        self._start(
            host, "-m", "distributed.cli.dask_worker", self.address, "--no-nanny",
            "--nthreads", "1", "--no-dashboard", "--local-directory", str(mine),
            **{PRETENDED: host, "TMPDIR": str(mine / "tmp"), "XDG_CACHE_HOME": str(mine)},
        )  # fmt: skip

    def bench(self, *words: str) -> subprocess.Popen[bytes]:
        """Start the command line."""
        return self._start(words[0], "-m", "bench", *words)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, while the scheduler lives."""
        for _ in range(int(TIMEOUT_S / LOOK_S)):
            if holds():
                return
            with suppress(subprocess.TimeoutExpired):
                self.processes["scheduler"].wait(LOOK_S)
        raise AssertionError("it never came to hold")

    def kill(self, name: str) -> None:
        """End a process as a power cut would."""
        self.processes[name].kill()
        self.processes[name].wait(TIMEOUT_S)

    def said(self, name: str) -> str:
        """Return what a process wrote."""
        return (self.folder / f"{name}.log").read_text()

    def _start(self, name: str, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self.folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, env={**os.environ, **variables},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        self._stack.callback(process.wait, TIMEOUT_S)
        self._stack.callback(process.kill)
        self.processes[name] = process
        return process


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        cluster = Cluster(tmp_path, stack)
        for host in ("1", "2", "3"):
            cluster.worker(host)
        yield cluster


def readings(run: Path) -> bytes:
    file = run / "samples.jsonl"
    return file.read_bytes() if file.is_file() else b""


def whole_invocations(stored: Stored) -> dict[str, int]:
    """Count the whole invocations of each case that the machine's noise let be measured."""
    found = analyse_stored(stored).readings
    return {name: len(one.invocations) for name, one in found.items() if one.invocations}


def ended(folder: Path) -> None:
    """Wait for the process that measured for a worker: it holds the lock while it lives."""
    (lock,) = folder.glob("python-vs-mojo/fleet/night/*/*.lock")
    with lock.open("r+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)


def test_clients_come_and_go_a_worker_dies_and_nothing_is_lost(
    cluster: Cluster, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    where = ("--cluster", cluster.address, *PLAN, "--name", "night")
    client = cluster.bench("run", *where, "--out", str(out), "--plain")
    cluster.until(lambda: "pretended-3" in cluster.said("run"))
    client.send_signal(signal.SIGINT)
    assert client.wait(TIMEOUT_S) == 130
    assert "bench attach night" in cluster.said("run")
    hurt = out / "night" / "pretended-2"
    there = tmp_path / "2" / "python-vs-mojo" / "fleet" / "night"
    cluster.until(  # with no client to see it
        lambda: any(readings(run).count(b"\n") > MEASURED for run in there.glob("*/pretended-2"))
    )
    cluster.kill("2")
    again = cluster.bench("run", *where, "--out", str(tmp_path / "other"))
    assert again.wait(TIMEOUT_S) == 2
    assert "has a submission night" in cluster.said("run")
    cluster.bench("attach", "night", "--out", str(out), "--plain")
    cluster.until(lambda: "pretended-2 lost" in cluster.said("attach"))
    cluster.kill("attach")
    before = readings(hurt)
    assert load(hurt).run.status != "finished"
    assert load(hurt).samples

    ended(tmp_path / "2")
    shutil.rmtree(tmp_path / "2" / "python-vs-mojo")  # the host comes back with an empty disk
    cluster.worker("2")
    comes = cluster.bench("attach", "night", "--out", str(out), "--plain")
    assert comes.wait(TIMEOUT_S) in (0, 1), cluster.said("attach")  # 1: noise can forbid a case
    runs = [load(out / "night" / f"pretended-{number}") for number in (1, 2, 3)]
    assert [one.run.status for one in runs] == ["finished"] * 3, cluster.said("attach")
    assert readings(hurt).startswith(before)
    assert [len(one.run.resumed) for one in runs] == [0, 1, 0]
    for run in runs:
        assert set(whole_invocations(run).values()) == {INVOCATIONS}
        # What came is what the host has, byte for byte.
        (there,) = tmp_path.glob(f"[123]/python-vs-mojo/fleet/night/*/{run.path.name}")
        for file in ("run.json", *LINES.values()):
            assert (there / file).read_bytes() == (run.path / file).read_bytes()
        assert (run.path / "report.html").is_file()
    assert (out / "night" / "multi_run.html").is_file()
    gone = cluster.bench("attach", "night", "--out", str(out))
    assert gone.wait(TIMEOUT_S) == 2
    assert "has no submission night" in cluster.said("attach")
