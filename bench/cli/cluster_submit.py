"""`bench run` on other hosts or in other environments, and `bench attach`: to the reports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.cli.terminal.hosts import HostsScreen
from bench.cli.terminal.multi_run import show_several
from bench.cli.terminal.results import show_run
from bench.cli.terminal.text import console, show_lines
from bench.measuring.cluster.client import follow
from bench.measuring.cluster.clusters import Cluster, connected
from bench.measuring.cluster.environments import Environments, parse, prepare
from bench.measuring.cluster.host import sources_digest
from bench.measuring.cluster.perform import child_variables
from bench.measuring.cluster.wire import Task, checked
from bench.model.errors import BenchError, UsageError
from bench.model.paths import PROJECT
from bench.report.multi_run.build import build_several
from bench.report.run.build import build
from bench.storage.atomic_files import write_whole
from bench.storage.runs import RUN

INTERRUPTED = 130
NOTE = "fleet.json"
WAIT_S = 60


@dataclass(frozen=True, slots=True)
class Submitted:
    """Where a submission goes, and where its results come."""

    cluster: str | None
    slurm_options: Path | None
    environments: list[str]
    out: Path
    name: str | None
    plain: bool


def submit(arguments: Sequence[str], where: Submitted) -> int:
    """Measure elsewhere, or here in other environments; return the exit code.

    Args:
        arguments: Of `bench run`, without where and how it is shown.
        where: Where.

    Raises:
        BenchError: It cannot be done; says why.
    """
    name = checked(where.name or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-fleet", "--name")
    out = where.out / name
    environments = parse(where.environments)
    if out.exists():
        raise UsageError(f"{out} already exists; choose another --name, or `bench attach {name}`")
    if where.cluster is None:
        if where.slurm_options is not None:
            raise UsageError("--cluster slurm and --slurm-options FILE belong together")
        return _here(arguments, environments, out, plain=where.plain)
    with connected(where.cluster, where.slurm_options) as cluster:
        ask = _depot(cluster)
        facts = {
            "arguments": list(arguments),
            "environments": [[one, list(wanted)] for one, wanted in environments],
            "sources": sources_digest(),
            "wanted": cluster.hosts or len(_hosts(cluster)),
        }
        if not ask("submit", name, facts):
            raise UsageError(f"the cluster has a submission {name}: `bench attach {name}`")
        out.mkdir(parents=True)
        write_whole(out / NOTE, json.dumps({"cluster": cluster.address}).encode())
        return _collect(cluster, ask, name, out, plain=where.plain)


def attach(name: str, out: Path, cluster: str | None, *, plain: bool) -> int:
    """Take up a submission whose client went away; return the exit code.

    Raises:
        UsageError: It is not known where it is, or the cluster does not know it.
    """
    folder = out / checked(name)
    if cluster is None:
        try:
            cluster = str(json.loads((folder / NOTE).read_bytes())["cluster"])
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(f"{folder / NOTE} does not tell the cluster: give --cluster") from None
    with connected(cluster) as found:
        ask = _depot(found)
        if name not in (known := list(ask("names"))):
            others = f"; it has {', '.join(known)}" if known else ""
            raise UsageError(f"the cluster at {cluster} has no submission {name}{others}")
        return _collect(found, ask, name, folder, plain=plain)


class _Depot:
    """Asks the depot of a scheduler."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __call__(self, method: str, *arguments: Any) -> Any:
        from bench.measuring.cluster.dask_plugins import OPERATION

        call = getattr(self._client.scheduler, OPERATION)
        return self._client.sync(call, method=method, arguments=list(arguments))


def _depot(cluster: Cluster) -> _Depot:
    """Put the depot on the scheduler and its name on every worker, unless they are there."""
    from bench.measuring.cluster.dask_plugins import DEPOT, HOSTS, DepotPlugin, HostPlugin

    try:
        cluster.client.register_plugin(DepotPlugin(), name=DEPOT)
        cluster.client.register_plugin(HostPlugin(), name=HOSTS)
    except Exception as error:  # whatever pickle and a far Python can raise
        raise BenchError(
            f"the cluster at {cluster.address} cannot take this project in ({error}); install the "
            "same version of it where the scheduler and the workers run: docs/fleet.md"
        ) from error
    return _Depot(cluster.client)


def _hosts(cluster: Cluster) -> list[str]:
    """Name the hosts that are there; wait for the first."""
    from bench.measuring.cluster.dask_plugins import hosts_there

    try:
        cluster.client.wait_for_workers(1, timeout=WAIT_S)
    except TimeoutError:
        raise UsageError(
            f"no worker came to {cluster.address} in {WAIT_S} s; start some with `dask worker`"
        ) from None
    return list(hosts_there(cluster.client))


def _collect(cluster: Cluster, ask: _Depot, name: str, out: Path, *, plain: bool) -> int:
    """Follow a submission to its end and make the reports."""
    from bench.measuring.cluster.dask_plugins import give

    def hand_over(task: Task) -> None:
        def failed(words: str) -> None:
            for run in task.runs:
                ask("say", name, run, "failed", words)

        give(cluster.client, task, failed)

    with HostsScreen(console(sys.stderr, plain=plain)) as screen:
        try:
            states = follow(ask, name, out, hand_over, screen.show)
        except (KeyboardInterrupt, OSError) as error:
            what = "interrupted" if isinstance(error, KeyboardInterrupt) else f"cut off ({error})"
            after = f"the hosts go on; `bench attach {name}` comes back to them"
            if not cluster.stays:
                after = "the cluster ends with it; what had come is kept"
            screen.note(f"{what}: {after}")
            return INTERRUPTED
    if all(state in ("finished", "failed") for state in states.values()):
        ask("forget", name)
    return _reports(states, out, plain=plain)


def _reports(states: dict[str, str], out: Path, *, plain: bool) -> int:
    """Make the page of every run and that of all; return the exit code."""
    runs, lines = [], []
    for run, state in sorted(states.items()):
        if state != "finished":
            lines.append(f"{run}: {state}; what it had measured is in {out / run}")
        if (out / run / RUN).is_file():
            try:
                build(out / run)
                runs.append(out / run)
            except BenchError as error:
                lines.append(f"{run}: {error}")
    wrong = bool(lines)
    if len(runs) > 1:
        wrong |= show_several(*build_several(runs, out), plain=plain)
    elif runs:
        wrong |= show_run(runs[0], plain=plain)
    show_lines(lines, whole=plain)
    return int(wrong or not runs)


def _here(arguments: Sequence[str], environments: Environments, out: Path, *, plain: bool) -> int:
    """Measure here, one environment after the other."""
    made = [(name, prepare(wanted)) for name, wanted in environments]  # before any is timed
    code = 0
    for name, one in made:
        words = ["run", *arguments, "--out", str(out.resolve()), "--name", name]
        command = [str(one.python), "-m", "bench", *words, *(["--plain"] if plain else [])]
        done = subprocess.run(command, cwd=PROJECT, env=child_variables(one), check=False)
        code = max(code, done.returncode)
        if done.returncode not in (0, 1):
            return done.returncode
    if len(made) > 1:
        pair = " ".join(str(out / name) for name, _ in made[:2])
        show_lines(["", f"`bench compare {pair}` tells how each ratio changed"], whole=plain)
    return code
