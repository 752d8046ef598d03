"""`bench run` on other hosts or in other environments, and `bench attach`: up to the reports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.cli.terminal.hosts import HostsScreen
from bench.cli.terminal.multi_run import show_multi_run
from bench.cli.terminal.results import show_run
from bench.cli.terminal.text import console, show_lines
from bench.measuring.cluster.clusters import Cluster, connected
from bench.measuring.cluster.environments import child_variables, parse, prepare
from bench.measuring.cluster.identity import sources_digest
from bench.measuring.cluster.wire import Environments, Submission, checked
from bench.model.errors import BenchError, UsageError
from bench.model.paths import PROJECT
from bench.report.multi_run.build import build_multi_run
from bench.report.run.build import build
from bench.storage.atomic_files import write_whole
from bench.storage.runs import RUN

INTERRUPTED = 130
NOTE = "fleet.json"


@dataclass(frozen=True, slots=True)
class Submitted:
    """Where a submission goes, and where its results are written."""

    cluster: str | None
    slurm_options: Path | None
    environments: list[str]
    out: Path
    name: str | None
    plain: bool


def submit(arguments: Sequence[str], where: Submitted) -> int:
    """Measure elsewhere, or here in other environments; return the exit code.

    Args:
        arguments: Of `bench run`, without the output folder and the way of printing.
        where: Where.

    Raises:
        BenchError: It cannot be done; says why.
    """
    begun = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    name = checked(where.name or f"{begun}-fleet", "--name")
    out = where.out / name
    environments = parse(where.environments)
    if out.exists():
        raise UsageError(f"{out} already exists; choose another --name, or `bench attach {name}`")
    if where.cluster is None:
        if where.slurm_options is not None:
            raise UsageError("--cluster slurm and --slurm-options FILE belong together")
        return _here(arguments, environments, out, plain=where.plain)
    with connected(where.cluster, where.slurm_options) as cluster:
        from bench.measuring.cluster.published import Published

        tasks = Published(cluster.client, name)
        hosts = cluster.hosts or tasks.wait()
        plan = (name, begun, tuple(arguments), environments, sources_digest(), hosts)
        tasks.submit(Submission(*plan))
        out.mkdir(parents=True)
        write_whole(out / NOTE, json.dumps({"cluster": cluster.address}).encode())
        return _collect(cluster, name, out, plain=where.plain)


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
            raise UsageError(f"{folder / NOTE} does not name the cluster: give --cluster") from None
    with connected(cluster) as found:
        return _collect(found, name, folder, plain=plain)


def _collect(cluster: Cluster, name: str, out: Path, *, plain: bool) -> int:
    """Follow a submission to its end and make the reports."""
    from bench.measuring.cluster.follow import follow
    from bench.measuring.cluster.published import Published

    tasks = Published(cluster.client, name)
    plan = tasks.follow()
    with HostsScreen(console(sys.stderr, plain=plain)) as screen:
        try:
            states = follow(plan, tasks, out, screen.show)
        except (KeyboardInterrupt, OSError) as error:
            what = "interrupted" if isinstance(error, KeyboardInterrupt) else f"cut off ({error})"
            after = f"the hosts go on; `bench attach {name}` returns to them"
            if not cluster.stays:
                after = "the cluster ends with it; what was fetched is kept"
            screen.note(f"{what}: {after}")
            return INTERRUPTED
    if set(states.values()) <= {"finished", "failed"}:
        tasks.forget()
    return _reports(states, out, plain=plain)


def _reports(states: dict[str, str], out: Path, *, plain: bool) -> int:
    """Make the page of every run and the page of all; return the exit code."""
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
        wrong |= show_multi_run(*build_multi_run(runs, out), plain=plain)
    elif runs:
        wrong |= show_run(runs[0], plain=plain)
    show_lines(lines, whole=plain)
    return int(wrong or not runs)


def _here(arguments: Sequence[str], environments: Environments, out: Path, *, plain: bool) -> int:
    """Measure here, one environment after the other; return the exit code."""
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
        show_lines(["", f"`bench compare {pair}` shows how each ratio changed"], whole=plain)
    return code
