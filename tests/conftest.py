"""What every test file may ask for: networks by name, the command line, how hypothesis searches.

One thread on both sides, fixed before NumPy is loaded: two threads of a BLAS wait for each other
where a neighbour holds one of the cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from bench.cli import main as cli
from bench.measuring import lock
from bench.model.threads import thread_environment

os.environ.update(thread_environment(1))

# `project` draws the same examples each time, so that a red check means a change; `explore`
# looks for new ones: HYPOTHESIS_PROFILE=explore make test
settings.register_profile("project", max_examples=60, deadline=None, derandomize=True)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "project"))

NETWORKS = {"numpy": "python_impl", "mojo": "mojo_impl"}


@pytest.fixture(params=list(NETWORKS), scope="session")
def MLP(request: pytest.FixtureRequest) -> Any:  # noqa: N802
    """The class of one implementation; the test runs once for each."""
    return import_module(NETWORKS[request.param]).MLP


@pytest.fixture(scope="session")
def twins() -> tuple[Any, Any]:
    """The NumPy class and the Mojo class."""
    return tuple(import_module(package).MLP for package in NETWORKS.values())  # type: ignore[return-value]


@pytest.fixture
def bench(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command; gives its exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(lock, "LOCK", tmp_path / "lock")  # a real run beside may hold the other

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        code = ended.value.code
        assert isinstance(code, int)
        return code, *capfd.readouterr()

    return run
