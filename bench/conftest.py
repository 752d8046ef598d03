"""Sets up `pytest bench`: one thread, fixed before NumPy is loaded, and which cases to time."""

from __future__ import annotations

import os

import pytest

from bench.model.threads import thread_environment

os.environ.update(thread_environment(1))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--bench-preset`."""
    parser.addoption(
        "--bench-preset",
        default="quick",
        help="cases to time, by the presets of `bench list`: smoke, quick, default or full",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-benchmark warn, where our own tests turn every warning into an error."""
    config.addinivalue_line("filterwarnings", "default:::pytest_benchmark")
