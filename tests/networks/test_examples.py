"""The proof by strangers: a worker in C and a package pass the kit, and a Mojo program trains."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.model.paths import PROJECT
from bench.model.threads import thread_environment
from bench.storage.runs import load
from mojo_impl.building.toolchain import find_compiler, run_command
from python_impl import MLP

EXAMPLES = PROJECT / "examples"
FLAGS = ("-std=c11", "-O3", "-march=native")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of somebody's own, with both built as their pages say."""
    folder = tmp_path_factory.mktemp("strangers")
    source = EXAMPLES / "c-worker" / "mlp.c"
    page = (EXAMPLES / "c-worker" / "README.md").read_text()
    assert f"gcc {' '.join(FLAGS)} -o" in page
    line = ["gcc", *FLAGS, "-o", str(folder / "mlp"), str(source), "-lm"]
    subprocess.run(line, check=True)
    # pip builds where the sources lie: in a copy, as other tests read them meanwhile.
    left = shutil.ignore_patterns("build", "*.egg-info")
    shutil.copytree(EXAMPLES / "python-package", folder / "package", ignore=left)
    package = [str(folder / "package"), "--target", str(folder / "site")]
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *quiet, *package],
        check=True, env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"},
    )  # fmt: skip
    return folder


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = [str(place / "site"), str(PROJECT)]
    variables = {**os.environ, **thread_environment(1), "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=place, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("worker", ["./mlp", "einsum"])
def test_it_passes_the_kit(place: Path, worker: str) -> None:
    done = run(place, "check-worker", "--json", worker)
    found = json.loads(done.stdout)
    assert [check for check in found["checks"] if not check["ok"]] == []
    assert found["ok"]
    assert done.returncode == 0


@pytest.mark.long
def test_it_computes_the_same_at_odd_sizes(place: Path) -> None:
    sizes = [("1,1", 1, 3), ("5,301,3", 3, 7), ("2,3,5,7,3", 2, 9), ("63,65,127,2", 33, 70)]
    for layers, batch, rows in sizes:
        done = run(
            place, "parity", "--layers", layers, "--batch", str(batch), "--rows", str(rows),
            "--dtype", "float64", "--dtype", "float32",
            "--implementation", "exec:./mlp", "--implementation", "einsum",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert done.stdout.count(" ok ") == 4


@pytest.mark.alone
@pytest.mark.long
def test_both_are_timed_in_turns_with_numpy(place: Path) -> None:
    done = run(
        place, "run", "--preset", "smoke", "--name", "strangers",
        "--implementation", "exec:./mlp", "--implementation", "einsum",
    )  # fmt: skip
    stored = load(place / "results" / "strangers")
    # Where other processes hold the cores, times may break the contract; nothing else breaks.
    assert [one for one in stored.faults if "the repetitions take" not in one.reason] == []
    assert done.returncode == int(bool(stored.faults)), done.stdout + done.stderr
    assert {result.candidate: result.ok for result in stored.parity} == {
        "exec:mlp": True, "einsum": True,
    }  # fmt: skip
    assert {sample.worker for sample in stored.samples} == {
        "numpy", "numpy-again", "mlp", "einsum",
    }  # fmt: skip
    assert stored.run.environment.workers["mlp"]["language"] == "C"
    told = {cost.name for cost in stored.costs if cost.worker == "mlp" and cost.value}
    assert told >= {"start", "first call", "second call", "peak memory"}
    everything = [path.read_text() for path in stored.path.rglob("*.*") if path.suffix != ".npz"]
    assert not [text for text in everything if str(place) in text]


def test_the_program_in_mojo_trains_as_its_page_says(tmp_path: Path) -> None:
    source = EXAMPLES / "mojo-program" / "main.mojo"
    pages = [PROJECT / "mojo_impl" / "README.md", source.with_name("README.md")]
    (line, *_), (other, *_) = (
        re.findall(r"```sh\n(.*?)\n```", page.read_text(), re.DOTALL) for page in pages
    )
    assert line == other
    assert f"```mojo\n{source.read_text()}```" in pages[0].read_text()
    build, _, start = line.partition(" && ")
    assert build.endswith(f" {source.relative_to(PROJECT)} -o {start}")
    words = build.removesuffix(start).split()
    program = tmp_path / "program"
    done = run_command([find_compiler(), *words[1:], str(program), "--Werror"])
    assert done.returncode == 0, done.stdout + done.stderr
    said = float(subprocess.run([program], capture_output=True, text=True, check=True).stdout)
    X = np.arange(64.0)[:, np.newaxis] / 32 - 1
    twin = MLP([1, 16, 1], learning_rate=0.1, max_epochs=200, batch_size=8, seed=1)
    assert said == pytest.approx(twin.fit(X, X * X).training_loss[-1], rel=1e-9)
    printed = re.search(r"It prints `([0-9.]+)`", pages[1].read_text())
    assert printed
    assert said == pytest.approx(float(printed[1]), rel=1e-9)


def test_their_pages_are_of_one_screen() -> None:
    for page in EXAMPLES.glob("*/README.md"):
        assert len(page.read_text().splitlines()) <= 40


def test_the_worker_in_c_has_no_dependencies() -> None:
    source = (EXAMPLES / "c-worker" / "mlp.c").read_text()
    included = set(re.findall(r"#include [<\"]([\w./]+)", source))
    posix = {"dirent.h", "sys/resource.h", "time.h"}
    c11 = {"fenv.h", "float.h", "math.h", "stdarg.h", "stdint.h", "stdio.h", "stdlib.h", "string.h"}
    assert included <= posix | c11 | {"mlp.c"}
    assert [path.name for path in (EXAMPLES / "c-worker").iterdir() if path.suffix == ".c"] == [
        "mlp.c"
    ]
