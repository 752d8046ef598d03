"""The clusters that `--cluster` names: a scheduler's address, `local:N`, `slurm`."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measuring.cluster.host import PRETENDED
from bench.model.errors import UsageError

INSTALL = "pip install 'python-vs-mojo[cluster]'"
MOST_LOCAL = 64
CONNECT_S = 20
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.scheduler.allowed-failures": 100,  # preempted so often, it is still worth going on
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
    """Connect to a cluster, or make one for as long as this lasts.

    Args:
        where: What `--cluster` says.
        slurm_options: TOML: `jobs`, and the arguments of dask-jobqueue's SLURMCluster.

    Raises:
        UsageError: There is none such, Dask is missing, or the scheduler does not answer.
    """
    local = re.fullmatch(r"local:(\d+)", where)
    if (where == "slurm") != (slurm_options is not None):
        raise UsageError("--cluster slurm and --slurm-options FILE belong together")
    need_dask("dask_jobqueue" if where == "slurm" else "distributed")
    import dask
    from distributed import Client

    with dask.config.set(QUIET):
        if local:
            with _local(int(local[1])) as cluster, Client(cluster, set_as_default=False) as client:
                yield Cluster(client, cluster.scheduler_address, int(local[1]), stays=False)
            return
        if slurm_options is not None:
            options = read_options(slurm_options)
            jobs = options.pop("jobs")
            with slurm(options) as cluster, Client(cluster, set_as_default=False) as client:
                if shutil.which("sbatch") is None:
                    raise UsageError(
                        "there is no sbatch here, so no job can be submitted; the script of a job "
                        f"would be\n\n{cluster.job_script()}"
                    )
                cluster.scale(jobs=jobs)
                yield Cluster(client, cluster.scheduler_address, jobs, stays=False)
            return
        try:
            client = Client(where, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {where[:200]!r} ({type(error).__name__}); start one "
                "with `dask scheduler`, and give the address that it prints, or local:3"
            ) from None
        try:
            yield Cluster(client, where, None, stays=True)
        finally:
            client.close()


def need_dask(module: str = "distributed") -> None:
    """Make sure that Dask is there.

    Raises:
        UsageError: It is not; says what installs it.
    """
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise UsageError(f"--cluster needs {module.replace('_', '-')}: {INSTALL}")


@contextmanager
def _local(count: int) -> Iterator[Any]:
    """Start workers that pretend to be hosts, on loopback."""
    if not 1 <= count <= MOST_LOCAL:
        raise UsageError(f"local:N takes 1 to {MOST_LOCAL} pretended hosts")
    from distributed import Nanny, Scheduler, SpecCluster

    plain: Mapping[str, Any] = {"host": "127.0.0.1"}
    workers = {
        number: {
            "cls": Nanny,
            "options": {**plain, "nthreads": 1, "memory_limit": 0, "dashboard": False,
                        "env": {PRETENDED: str(number), "DASK_LOGGING__DISTRIBUTED": "error"}},
        }
        for number in range(1, count + 1)
    }  # fmt: skip
    scheduler = {"cls": Scheduler, "options": {**plain, "port": 0, "dashboard": False}}
    with SpecCluster(workers, scheduler, name="bench", silence_logs=50) as cluster:
        yield cluster


def read_options(file: Path) -> dict[str, Any]:
    """Read the options of SLURM; `jobs` is how many hosts.

    Raises:
        UsageError: It cannot be read, or says nothing of `jobs`.
    """
    try:
        options = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"--slurm-options {file}: {error}") from None
    jobs = options.get("jobs")
    if not isinstance(jobs, int) or jobs < 1:
        raise UsageError(f"--slurm-options {file}: jobs = N must say how many hosts")
    return options


def slurm(options: Mapping[str, Any]) -> Any:
    """Make a cluster of SLURM jobs: each one worker, alone on a node of its own.

    Args:
        options: The arguments of dask-jobqueue's SLURMCluster.
    """
    from dask_jobqueue import SLURMCluster

    more = dict(options)
    directives = [*more.pop("job_extra_directives", [])]
    if not any("--exclusive" in one for one in directives):
        directives.append("--exclusive")  # a neighbour on the node would be measured too
    arguments = [*more.pop("worker_extra_args", []), "--resources", "bench=1"]
    quiet = [
        f"export DASK_{name.replace('.', '__').replace('-', '_').upper()}={value}"
        for name, value in QUIET.items()
    ]
    prologue = [*quiet, *more.pop("job_script_prologue", [])]
    settings = {"cores": 1, "memory": "4GB", **more, "processes": 1}
    return SLURMCluster(
        **settings, job_extra_directives=directives, worker_extra_args=arguments,
        job_script_prologue=prologue,
        scheduler_options={"dashboard": False, **more.get("scheduler_options", {})},
    )  # fmt: skip
