"""What a Dask scheduler keeps of a submission: its plan, a task for each host, copies of runs.

Every worker offers the resource `bench` and one named after its host; a task asks for both. So the
scheduler runs one task at a time on a worker, and a task whose host died waits until that host is
back, whether or not a client is there. The rest are published datasets, which the scheduler keeps
until a client removes them, and events that report progress.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from distributed import SchedulerPlugin, get_worker
from distributed.protocol.pickle import dumps

from bench.measuring.cluster.identity import this_host
from bench.measuring.cluster.wire import LABEL, LONGEST_WORDS, PackedRun, Submission, unpack
from bench.model.errors import BenchError, UsageError
from bench.storage.limits import plain

BENCH = "bench"
INSTALL = "install the same version where the scheduler and the workers run: docs/fleet.md"
WAIT_S = 60


class HostPlugin(SchedulerPlugin):  # type: ignore[misc, unused-ignore]
    """Has every worker offer its host, and starts the task that waits for it."""

    name, idempotent = "bench-hosts", True

    async def start(self, scheduler: Any) -> None:
        """Ask the workers that are there."""
        self._asking: list[asyncio.Future[None]] = []
        await asyncio.gather(*(self.ask(scheduler, worker) for worker in list(scheduler.workers)))

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """Ask a worker that comes: it answers when it has been added."""
        self._asking = [one for one in self._asking if not one.done()]
        self._asking.append(asyncio.ensure_future(self.ask(scheduler, worker)))

    async def ask(self, scheduler: Any, worker: str) -> None:
        """Ask a worker. Dask itself looks for waiting tasks only when a worker is added."""
        message = {"op": "run", "function": dumps(offer)}
        await scheduler.broadcast(msg=message, workers=[worker], on_error="return")
        if state := scheduler.workers.get(worker):
            waiting = scheduler.bulk_schedule_unrunnable_after_adding_worker(state)
            scheduler.transitions(waiting, f"{self.name}-{worker}")


async def offer(dask_worker: Any) -> None:
    """Offer the host of a worker."""
    label, boot = this_host()
    await dask_worker.set_resources(**{BENCH: 1, f"{BENCH}:{label}": 1, f"{label}/{boot}": 1})


def labels(resources: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the hosts of workers by their resources; workers of one kernel are one host."""
    pairs = [name.partition("/")[::2] for one in resources for name in one if "/" in name]
    first = {boot: label for label, boot in sorted(pairs, reverse=True)}
    return {label for label in first.values() if LABEL.fullmatch(label)}


class Published:
    """A submission at the scheduler. `keep` and `say` are for hosts, the rest for clients."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name
        self._words: dict[str, str] = {}
        self._changed: set[str] = set()
        self._tasks: dict[str, Any] = {}

    def wait(self) -> int:
        """Wait for a worker; return how many hosts there are, or raise BenchError if none."""
        try:
            self._client.wait_for_workers(1, timeout=WAIT_S)
        except TimeoutError:
            words = f"no worker came in {WAIT_S} s; start some with `dask worker`"
            raise UsageError(words) from None
        if found := len(self.hosts()):
            return found
        raise BenchError(f"no worker can load this project; {INSTALL}")

    def hosts(self) -> set[str]:
        """Return the hosts that are there."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return labels(worker["resources"] for worker in workers)

    def submit(self, plan: Submission) -> None:
        """Publish a plan; raise UsageError if there is one of this name."""
        try:
            self._client.publish_dataset(msgspec.msgpack.encode(plan), name=self._key())
        except KeyError:
            words = f"the cluster has a submission {plan.name}: `bench attach {plan.name}`"
            raise UsageError(words) from None

    def follow(self) -> Submission:
        """Return the plan and listen to its hosts; raise UsageError if there is none."""
        content = self._client.get_dataset(self._key(), default=None)
        if content is None:
            keys = [key.split("/") for key in self._client.list_datasets()]
            others = ", ".join(key[1] for key in keys if len(key) == 2)
            words = f"the cluster has no submission {self._name}"
            raise UsageError(f"{words}; it has {others}" if others else words)
        self._client.subscribe_topic(self._key(), self._heard)
        self._changed = set(self._list("run"))
        return msgspec.msgpack.decode(content, type=Submission)

    def give(self, plan: Submission, host: str, work: Callable[[Submission, str], None]) -> None:
        """Give a host its task. A second client gives the same one; it outlives both."""
        key = self._key("task", host)
        task = self._tasks[host] = self._client.submit(
            work, plan, host, key=key, retries=3, pure=False,
            resources={BENCH: 1, f"{BENCH}:{host}": 1},
        )  # fmt: skip
        self._client.publish_dataset([task], name=key, override=True)

    def given(self) -> dict[str, str]:
        """Return the hosts that have a task, and why Dask gave it up, if it did."""
        for host in set(self._list("task")) - self._tasks.keys():
            (self._tasks[host],) = self._client.get_dataset(self._key("task", host))
        return {
            host: f"Dask gave it up: {task.exception()}" if task.status == "error" else ""
            for host, task in sorted(self._tasks.items())
        }

    def changed(self) -> set[str]:
        """Return the runs with a newer copy than at the last call."""
        found, self._changed = self._changed, set()
        return found

    def words(self, run: str) -> str:
        """Return what a host last reported of a run."""
        return self._words.get(run, "")

    def kept(self, run: str) -> PackedRun | None:
        """Return the copy of a run; raise ValueError if it is none of a run."""
        content = self._client.get_dataset(self._key("run", run), default=None)
        return None if content is None else unpack(content)

    def keep(self, run: str, packed: PackedRun) -> None:
        """Replace the copy of a run."""
        content = msgspec.msgpack.encode(packed)
        self._client.publish_dataset(content, name=self._key("run", run), override=True)
        get_worker().log_event(self._key(), [run, packed.words, True])

    def say(self, run: str, words: str) -> None:
        """Report progress, unless it is the same as before."""
        if self._words.get(run) != words:
            self._words[run] = words
            get_worker().log_event(self._key(), [run, words, False])

    def forget(self) -> None:
        """Remove the submission."""
        keys = [self._key(kind, one) for kind in ("task", "run") for one in self._list(kind)]
        for key in (*keys, self._key()):
            self._client.unpublish_dataset(key)

    def _heard(self, event: tuple[float, Any]) -> None:
        run, words, copied = event[1]
        self._words[str(run)] = plain(str(words))[:LONGEST_WORDS]
        if copied:
            self._changed.add(str(run))

    def _list(self, kind: str) -> list[str]:
        start = self._key(kind, "")
        keys = [key for key in self._client.list_datasets() if key.startswith(start)]
        return [name for key in keys if LABEL.fullmatch(name := key.removeprefix(start))]

    def _key(self, *parts: str) -> str:
        return "/".join((BENCH, self._name, *parts))
