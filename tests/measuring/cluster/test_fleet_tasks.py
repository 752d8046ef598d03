"""A submission at a scheduler that is a dictionary: tasks, copies of runs, hosts that go."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from sample_run import write_run

pytest.importorskip("distributed", reason="Dask is not installed: pip install '.[cluster]'")

from bench.measuring.cluster import perform as host_side
from bench.measuring.cluster import published as published_module
from bench.measuring.cluster.environments import Interpreter
from bench.measuring.cluster.follow import LOST_S, follow
from bench.measuring.cluster.identity import sources_digest
from bench.measuring.cluster.perform import perform, read_files, work
from bench.measuring.cluster.published import HostPlugin, Published, labels, offer
from bench.measuring.cluster.wire import PackedRun, Seen, Submission
from bench.model.errors import BenchError, UsageError
from bench.storage.runs import RUN, load

ONE, TWO = "host-1", "host-2"


@dataclass
class Scheduler:
    """Keeps datasets, and calls who listens; it is its own client and worker."""

    datasets: dict[str, Any] = field(default_factory=dict)
    alive: set[str] = field(default_factory=lambda: {ONE})
    tasks: list[tuple[Any, ...]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    status: str = "pending"
    heard: Callable[[Any], None] = lambda event: None

    def publish_dataset(self, value: Any, *, name: str, override: bool = False) -> None:
        if name in self.datasets and not override:
            raise KeyError(name)
        self.datasets[name] = value

    def get_dataset(self, name: str, default: Any = None) -> Any:
        return self.datasets.get(name, default)

    def list_datasets(self) -> list[str]:
        return sorted(self.datasets)

    def unpublish_dataset(self, name: str) -> None:
        del self.datasets[name]

    def subscribe_topic(self, topic: str, heard: Callable[[Any], None]) -> None:
        self.heard = heard

    def log_event(self, topic: str, message: Any) -> None:
        self.heard((0.0, message))

    def scheduler_info(self, n_workers: int) -> Any:
        assert n_workers == -1
        workers = {one: {"resources": {"bench": 1, f"{one}/{one}": 1}} for one in self.alive}
        return {"workers": workers}

    def wait_for_workers(self, count: int, timeout: float) -> None:
        if not self.alive:
            raise TimeoutError

    def submit(self, task: Any, *arguments: Any, **options: Any) -> Any:
        self.tasks.append(arguments)
        self.asked.append({"task": task, **options})
        return SimpleNamespace(status=self.status, exception=lambda: "died too often")


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    found = Scheduler()
    monkeypatch.setattr(published_module, "get_worker", lambda: found)
    return found


PLAN = Submission("night", "1", ("--preset", "smoke"), (), sources_digest(), 1)


def submitted(there: Scheduler, plan: Submission = PLAN) -> Published:
    tasks = Published(there, plan.name)
    tasks.submit(plan)
    assert tasks.follow() == plan
    return tasks


def end(there: Scheduler, host: str, state: Any = "finished", **files: bytes) -> None:
    """Say what a host says at its end."""
    Published(there, "night").keep(host, PackedRun(state, state, files))


def test_a_task_is_bound_to_its_host_and_runs_alone_there(there: Scheduler) -> None:
    tasks = submitted(there)
    tasks.give(PLAN, ONE, work)
    assert there.tasks == [(PLAN, ONE)]
    assert there.asked[0]["task"] is work
    assert there.asked[0]["resources"] == {"bench": 1, f"bench:{ONE}": 1}
    assert there.asked[0]["retries"] > 0
    assert tasks.given() == Published(there, "night").given() == {ONE: ""}


def test_a_worker_offers_its_host_and_its_task_is_started() -> None:
    offered: dict[str, float] = {}
    asked: list[str] = []
    started: list[dict[str, str]] = []

    async def set_resources(**resources: float) -> None:
        offered.update(resources)

    async def broadcast(*, msg: Any, workers: list[str], on_error: str) -> None:
        assert (msg["op"], on_error) == ("run", "return")
        asked.extend(workers)
        await offer(SimpleNamespace(set_resources=set_resources))

    scheduler = SimpleNamespace(
        workers={"tcp://a": "a", "tcp://b": "b"}, broadcast=broadcast,
        bulk_schedule_unrunnable_after_adding_worker=lambda worker: {worker: "processing"},
        transitions=lambda waiting, _: started.append(waiting),
    )  # fmt: skip

    async def come_and_go() -> None:
        plugin = HostPlugin()
        await plugin.start(scheduler)
        plugin.add_worker(scheduler, "tcp://gone")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(come_and_go())
    assert asked == ["tcp://a", "tcp://b", "tcp://gone"]
    assert started == [{"a": "processing"}, {"b": "processing"}]
    (host,) = labels([offered])
    assert offered["bench"] == offered[f"bench:{host}"] == 1


def test_workers_of_one_kernel_are_one_host_and_no_host_is_a_path() -> None:
    names = ("host-1/boot", "host-2/boot", "host-3/other", "../up/third")
    assert labels({"bench": 1.0, name: 1.0} for name in names) == {"host-1", "host-3"}


def test_a_name_is_submitted_once_and_gone_when_it_is_fetched(there: Scheduler) -> None:
    tasks = submitted(there)
    tasks.give(PLAN, ONE, work)
    end(there, ONE)
    with pytest.raises(UsageError, match="attach night"):
        Published(there, "night").submit(PLAN)
    with pytest.raises(UsageError, match=r"no submission day.*night"):
        Published(there, "day").follow()
    tasks.forget()
    assert not there.datasets
    with pytest.raises(UsageError, match="no submission night"):
        Published(there, "night").follow()


def test_a_cluster_without_a_host_is_an_error(there: Scheduler) -> None:
    assert Published(there, "night").wait() == 1
    there.alive = {"../up"}
    with pytest.raises(BenchError, match="load this project"):
        Published(there, "night").wait()
    there.alive = set()
    with pytest.raises(UsageError, match="dask worker"):
        Published(there, "night").wait()


def test_words_of_a_host_do_nothing_to_a_terminal(there: Scheduler) -> None:
    tasks = submitted(there)
    Published(there, "night").say(ONE, "x\x1b[2J" * 1000)
    assert len(tasks.words(ONE)) == 400
    assert "\x1b" not in tasks.words(ONE)


def test_a_run_comes_back_byte_for_byte(there: Scheduler, tmp_path: Path) -> None:
    run = write_run(tmp_path / ONE)
    with (run / "samples.jsonl").open("ab") as stream:
        stream.write(b'{"cut off in mid-')
    tasks = submitted(there)
    end(there, ONE, **read_files(run))
    tasks.give(PLAN, ONE, work)
    assert follow(PLAN, tasks, tmp_path / "out", lambda _: None) == {ONE: "finished"}
    whole = (run / "samples.jsonl").read_bytes().rpartition(b"\n")[0] + b"\n"
    assert (tmp_path / "out" / ONE / "samples.jsonl").read_bytes() == whole
    assert (tmp_path / "out" / ONE / RUN).read_bytes() == (run / RUN).read_bytes()
    assert len(load(tmp_path / "out" / ONE).samples) == len(load(run).samples)


def test_what_a_host_sends_goes_nowhere_else(there: Scheduler, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "out" / ONE).mkdir(parents=True)
    (tmp_path / "out" / ONE / "samples.jsonl").symlink_to(victim)
    tasks = submitted(there)
    tasks.give(PLAN, ONE, work)
    end(there, ONE, **{"samples.jsonl": b"theirs\n"})
    end(there, "../up", **{"samples.jsonl": b"theirs\n"})
    there.datasets["bench/night/task/.."] = ["no task"]
    assert follow(PLAN, tasks, tmp_path / "out", lambda _: None) == {ONE: "finished"}
    assert victim.read_text() == "mine"
    assert (tmp_path / "out" / ONE / "samples.jsonl").read_text() == "theirs\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "victim"]


@pytest.mark.parametrize("files", [{"report.html": b"x"}, {"../x": b"x"}])
def test_a_run_that_is_none_is_damaged_and_costs_only_itself(
    there: Scheduler, tmp_path: Path, files: dict[str, bytes]
) -> None:
    plan = replace(PLAN, hosts=2)
    there.alive = {ONE, TWO}
    tasks = submitted(there, plan)

    def sleep(_: float) -> None:
        end(there, ONE, **files)
        end(there, TWO)

    states = follow(plan, tasks, tmp_path / "out", lambda _: None, sleep)
    assert states == {ONE: "damaged", TWO: "finished"}
    assert not (tmp_path / "out" / ONE).exists()


def test_a_client_that_comes_back_gives_no_task_twice(there: Scheduler, tmp_path: Path) -> None:
    submitted(there).give(PLAN, ONE, work)
    end(there, ONE)
    there.alive = {ONE, TWO}
    again = Published(there, "night")
    assert follow(again.follow(), again, tmp_path, lambda _: None) == {ONE: "finished"}
    assert there.tasks == [(PLAN, ONE)]


def test_a_host_that_is_lost_is_replaced_and_what_it_had_is_kept(
    there: Scheduler, tmp_path: Path
) -> None:
    tasks = submitted(there)
    shown: list[list[Seen]] = []

    def sleep(_: float) -> None:
        if there.tasks == [(PLAN, ONE)]:
            end(there, ONE, "running", **{"samples.jsonl": b"measured\n"})
            there.alive = {TWO}
        else:
            end(there, TWO)

    states = follow(PLAN, tasks, tmp_path / "out", shown.append, sleep)
    assert there.tasks == [(PLAN, ONE), (PLAN, TWO)]
    assert states == {ONE: "lost", TWO: "finished"}
    assert (tmp_path / "out" / ONE / "samples.jsonl").read_bytes() == b"measured\n"
    assert [one.state for one in shown[-1]] == ["lost", "finished"]


def test_a_lost_host_is_waited_for_but_not_without_end(there: Scheduler, tmp_path: Path) -> None:
    tasks = submitted(there)
    tasks.give(PLAN, ONE, work)
    there.alive = set()
    moments = iter(range(0, 10**6, 100))
    shown: list[list[Seen]] = []
    clock = lambda: float(next(moments))  # noqa: E731
    found = follow(PLAN, tasks, tmp_path, shown.append, lambda _: None, clock)
    assert found == {ONE: "lost"}
    assert 1 < len(shown) <= LOST_S / 100


def test_a_task_that_dask_gives_up_has_failed(there: Scheduler, tmp_path: Path) -> None:
    there.status = "error"
    tasks = submitted(there)
    shown: list[list[Seen]] = []
    assert follow(PLAN, tasks, tmp_path, shown.append, lambda _: None) == {ONE: "failed"}
    assert "died too often" in shown[-1][0].words


CHILD = """
import pathlib, sys
folder = pathlib.Path(sys.argv[3])
told = folder.with_name("told")
told.write_text(told.read_text() + " ".join(sys.argv[4:]) + "\\n" if told.exists() else "first\\n")
if told.read_text() == "first\\n":
    sys.exit(4)
folder.mkdir(exist_ok=True)
(folder / "run.json").write_text("{}")
with (folder / "samples.jsonl").open("a") as stream:
    stream.write("one\\n")
print("/home/ann/x: the last words")
sys.exit(CODE)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets a program pretend to measure: busy at first, then it ends with this exit code."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def set_code(code: int) -> None:
        program = tmp_path / "python"
        program.write_text(f"#!{sys.executable}" + CHILD.replace("CODE", str(code)))
        program.chmod(0o755)
        monkeypatch.setattr(host_side, "prepare", lambda wanted: Interpreter(program, {}))

    return set_code


def test_a_host_waits_while_it_is_busy_then_keeps_its_run(
    there: Scheduler, child: Callable[[int], None], tmp_path: Path
) -> None:
    child(0)
    board, slept = Published(there, "night"), []
    perform(PLAN, ONE, board, slept.append)
    files = {"samples.jsonl": b"one\n", RUN: b"{}"}
    assert board.kept(ONE) == PackedRun("finished", "finished", files)
    assert host_side.BUSY_S in slept
    told = tmp_path / "python-vs-mojo/fleet/night/1/told"
    assert told.read_text() == "first\n--preset smoke\n"


def test_a_run_that_fails_is_kept_and_tells_no_folder(
    there: Scheduler, child: Callable[[int], None]
) -> None:
    child(3)
    board = Published(there, "night")
    perform(PLAN, ONE, board, lambda _: None)
    kept = board.kept(ONE)
    assert kept
    assert (kept.state, sorted(kept.files)) == ("failed", [RUN, "samples.jsonl"])
    assert kept.words == "…/x: the last words"


def test_a_host_whose_folder_is_gone_goes_on_from_its_copy(
    there: Scheduler, child: Callable[[int], None]
) -> None:
    child(0)
    board = Published(there, "night")
    board.keep(ONE, PackedRun("running", "", {"samples.jsonl": b"sent\n", RUN: b"{}"}))
    perform(PLAN, ONE, board, lambda _: None)
    kept = board.kept(ONE)
    assert kept
    assert kept.files["samples.jsonl"] == b"sent\none\n"


def test_a_later_submission_of_the_same_name_is_measured_anew(
    there: Scheduler, child: Callable[[int], None], tmp_path: Path
) -> None:
    child(0)
    for begun in ("1", "2"):
        perform(replace(PLAN, begun=begun), ONE, Published(there, "night"), lambda _: None)
        assert (tmp_path / "python-vs-mojo/fleet/night" / begun / ONE / RUN).is_file()


def test_a_host_with_other_sources_measures_nothing(there: Scheduler) -> None:
    board = Published(there, "night")
    plan = replace(PLAN, sources="other", environments=(("a", ()), ("b", ())))
    perform(plan, ONE, board)
    for run in plan.runs(ONE):
        kept = board.kept(run)
        assert kept
        assert (kept.state, kept.files) == ("failed", {})
        assert "other sources" in kept.words


def test_a_copy_that_is_none_of_a_run_is_refused(there: Scheduler) -> None:
    there.datasets["bench/night/run/host-1"] = msgspec.msgpack.encode(["no", "run"])
    with pytest.raises(ValueError, match="no packed run"):
        Published(there, "night").kept(ONE)
