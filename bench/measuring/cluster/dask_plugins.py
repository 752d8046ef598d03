"""The depot on a Dask scheduler, the name of its host on every worker, and the task itself.

A task is bound to its host by a resource that only this host's workers have, so that it waits for
it and goes on by itself when it comes back, whether a client is there or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distributed import SchedulerPlugin, WorkerPlugin, get_worker
from distributed.utils import sync

from bench.measuring.cluster.host import sources_digest, this_host
from bench.measuring.cluster.perform import perform
from bench.measuring.cluster.relay import Depot
from bench.measuring.cluster.wire import Task, checked

RESOURCE = "bench"
DEPOT, HOSTS = "bench-depot", "bench-hosts"
OPERATION = "bench_depot"
METHODS = ("submit", "give", "names", "look", "say", "put", "read", "forget", "arrive")


def resource_of(host: str) -> str:
    """Name the resource that binds a task to a host."""
    return f"{RESOURCE}:{host}"


class DepotPlugin(SchedulerPlugin):  # type: ignore[misc, unused-ignore]
    """Lets the scheduler keep a `Depot`, and answer for it."""

    idempotent = True

    async def start(self, scheduler: Any) -> None:
        """Begin, with nothing kept."""
        self.scheduler, self.depot = scheduler, Depot()
        scheduler.handlers[OPERATION] = self.answer

    async def answer(self, method: str, arguments: Any) -> Any:
        """Answer for a method of the depot."""
        if method not in METHODS:
            raise ValueError(f"the depot has no {method[:40]!r}")
        return getattr(self if method == "arrive" else self.depot, method)(*arguments)

    def arrive(self, address: str, label: str, boot: str) -> None:
        """Take down a worker's host, and give it what has waited for it."""
        worker = self.scheduler.workers.get(address)
        if worker is not None:
            self.depot.workers[address] = (checked(label), str(boot))
            waiting = self.scheduler.bulk_schedule_unrunnable_after_adding_worker(worker)
            self.scheduler.transitions(waiting, f"{HOSTS}-{address}")

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:
        """Forget a worker that is gone."""
        self.depot.workers.pop(worker, None)


class HostPlugin(WorkerPlugin):  # type: ignore[misc, unused-ignore]
    """Lets every worker, also one that comes later, tell its host and offer its resource."""

    idempotent = True

    async def setup(self, worker: Any) -> None:
        """Tell the scheduler."""
        label, boot = this_host()
        await worker.set_resources(**{RESOURCE: 1, resource_of(label): 1})
        told = [worker.contact_address, label, boot]
        await getattr(worker.scheduler, OPERATION)(method="arrive", arguments=told)


class WorkerLine:
    """The way from a task to the depot."""

    def __init__(self, submission: str) -> None:
        self._worker, self._submission = get_worker(), submission

    def say(self, run: str, state: str, words: str) -> None:
        """Tell how far a run is."""
        self._ask("say", run, state, words)

    def put(self, run: str, file: str, offset: int, content: bytes) -> int:
        """Send a piece; return how much of the file is there."""
        return int(self._ask("put", run, file, offset, content))

    def read(self, run: str, file: str, offset: int) -> bytes:
        """Ask for what is there."""
        return bytes(self._ask("read", run, file, offset))

    def _ask(self, method: str, *arguments: Any) -> Any:
        call = getattr(self._worker.scheduler, OPERATION)
        told = [self._submission, *arguments]
        return sync(self._worker.loop, call, method=method, arguments=told)


def work(task: Task) -> str:
    """Do a task on a worker; return what went wrong, or nothing.

    It never raises what the harness raises: an error is the host's and is told as words.
    """
    from bench.model.errors import BenchError

    line = WorkerLine(task.submission)
    if sources_digest() != task.sources:
        words = "this host has other sources than the client: install the same version there"
        for run in task.runs:
            line.say(run, "failed", words)
        return words
    try:
        perform(task, line)
    except BenchError as error:
        return str(error)
    return ""


def hosts_there(client: Any) -> dict[str, str]:
    """Ask every worker of a cluster for its host; workers of one kernel are one host."""
    depot = Depot()
    depot.workers = dict(client.run(this_host))
    return depot.hosts()


def give(client: Any, task: Task, failed: Callable[[str], None]) -> None:
    """Submit a task; one of this name that is there already is left alone.

    It is published, so that it is kept when the client goes away.

    Args:
        client: Of the cluster.
        task: What is to be done.
        failed: Gets words if Dask gives it up: its worker died too often, or cannot read it.
    """

    def ended(future: Any) -> None:
        if future.status == "error":
            failed(f"Dask gave it up: {future.exception()}")

    key = f"bench-{task.submission}-{task.host}"
    future = client.submit(
        work,
        task,
        key=key,
        resources={RESOURCE: 1, resource_of(task.host): 1},
        retries=3,
        pure=False,
    )
    future.add_done_callback(ended)
    client.publish_dataset(**{key: [future]}, override=True)
