"""The clusters that `--cluster` names: a scheduler's address, `local:N`, `slurm`."""

from __future__ import annotations

import importlib.util
import re
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measuring.cluster.identity import PRETENDED
from bench.model.errors import BenchError, UsageError

MOST_LOCAL = 64
CONNECT_S = 20
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.scheduler.allowed-failures": 100,  # as preempted hosts are resumed
    "distributed.worker.memory.terminate": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
}
"""A worker's own work takes time from what is measured, so it does as little as it can."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A client's way to a scheduler."""

    client: Any
    address: str
    hosts: int | None  # how many are coming; None: those that are there
    stays: bool  # whether it goes on without this process


@contextmanager
def connected(where: str, slurm_options: Path | None = None) -> Iterator[Cluster]:
    """Connect to the cluster that `--cluster` names, or make one for as long as this lasts.

    Raises:
        UsageError: There is none such, Dask is missing, or the scheduler does not answer.
        BenchError: The scheduler cannot load this project.
    """
    if (where == "slurm") != (slurm_options is not None):
        raise UsageError("--cluster slurm and --slurm-options FILE belong together")
    need = "dask_jobqueue" if slurm_options else "distributed"
    if importlib.util.find_spec(need) is None:
        need = need.replace("_", "-")
        raise UsageError(f"--cluster needs {need}: pip install 'python-vs-mojo[cluster]'")
    import dask
    from distributed import Client

    from bench.measuring.cluster.published import INSTALL, HostPlugin

    local = re.fullmatch(r"local:(\d+)", where)
    with dask.config.set(QUIET), ExitStack() as stack:
        made: Any = where
        hosts = None
        if local or slurm_options:
            made, hosts = _slurm(slurm_options) if slurm_options else _local(int(where[6:]))
            stack.enter_context(made)
        try:
            client = stack.enter_context(Client(made, timeout=CONNECT_S, set_as_default=False))
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {where[:200]!r} ({type(error).__name__}); start one "
                "with `dask scheduler`, and give the address that it prints, or local:3"
            ) from None
        try:
            client.register_plugin(HostPlugin())
        except Exception as error:  # whatever pickle and a far Python can raise
            words = f"the scheduler cannot load this project ({error}); {INSTALL}"
            raise BenchError(words) from error
        address = made.scheduler_address if hosts else where
        yield Cluster(client, address, hosts, stays=hosts is None)


def _local(count: int) -> tuple[Any, int]:
    """Start workers that pretend to be hosts, on loopback."""
    if not 1 <= count <= MOST_LOCAL:
        raise UsageError(f"local:N takes 1 to {MOST_LOCAL} pretended hosts")
    from distributed import Nanny, Scheduler, SpecCluster

    common = {"host": "127.0.0.1", "dashboard": False}
    options = {**common, "nthreads": 1, "memory_limit": 0}
    quiet = {"DASK_LOGGING__DISTRIBUTED": "error"}
    workers = {
        number: {"cls": Nanny, "options": {**options, "env": {PRETENDED: str(number), **quiet}}}
        for number in range(1, count + 1)
    }
    scheduler = {"cls": Scheduler, "options": {**common, "port": 0}}
    return SpecCluster(workers, scheduler, name="bench", silence_logs=50), count


def _slurm(file: Path) -> tuple[Any, int]:
    """Submit SLURM jobs: each is one worker, alone on its node."""
    from dask_jobqueue import SLURMCluster

    try:
        options = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"--slurm-options {file}: {error}") from None
    jobs = options.pop("jobs", None)
    if not isinstance(jobs, int) or jobs < 1:
        raise UsageError(f"--slurm-options {file}: jobs = N must say how many hosts")
    directives = options.pop("job_extra_directives", [])
    if not any("--exclusive" in one for one in directives):
        directives.append("--exclusive")  # a neighbour on the node would disturb the times
    names = {name: name.replace(".", "__").replace("-", "_").upper() for name in QUIET}
    quiet = [f"export DASK_{names[name]}={value}" for name, value in QUIET.items()]
    prologue = [*quiet, *options.pop("job_script_prologue", [])]
    scheduler = {"dashboard": False, **options.pop("scheduler_options", {})}
    cluster = SLURMCluster(
        **{"cores": 1, "memory": "4GB", **options, "processes": 1}, scheduler_options=scheduler,
        job_extra_directives=directives, job_script_prologue=prologue,
    )  # fmt: skip
    if shutil.which("sbatch"):
        cluster.scale(jobs=jobs)
        return cluster, jobs
    script = cluster.job_script()
    cluster.close()
    words = "there is no sbatch here, so no job can be submitted; the script of a job would be"
    raise UsageError(f"{words}\n\n{script}")
