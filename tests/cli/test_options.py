"""The options of a run: each is said once, and reaches the request, the command line, the disk."""

from __future__ import annotations

import json
import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from pretence import SMALL, World
from pretence import request_of as request_for

from bench.cli.app import request_of
from bench.cli.options import DTypeName, IsaName, PhaseName, PresetName, RunOptions, with_options
from bench.model.paths import PROJECT
from bench.model.presets import PRESETS
from bench.model.records import Request

FROM_SEVERAL = {"preset", "cases", "workers", "training_epochs", "cost_rounds"}
"""Fields of a request that are made from several options, or from one of another kind."""
NO_OPTION = {"seed"}
OPTIONS = st.builds(
    RunOptions,
    preset=st.sampled_from(list(PresetName)),
    layers=st.none() | st.just(["1,4,1", "2,3x2,1"]),
    batch=st.none() | st.integers(1, 99),
    dtype=st.none() | st.lists(st.sampled_from(list(DTypeName)), min_size=1, max_size=2),
    threads=st.none() | st.just([1, 2]),
    phase=st.none() | st.lists(st.sampled_from(list(PhaseName)), min_size=1, max_size=3),
    isa=st.none() | st.sampled_from(list(IsaName)),
    ladder=st.booleans(),
    implementation=st.none() | st.just(["mojo", "exec:worker --its 'option'"]),
    invocations=st.none() | st.integers(1, 99),
    seconds=st.none() | st.floats(0, 1e6),
    target=st.none() | st.floats(0, 0.99),
    budget_s=st.none() | st.floats(1e-3, 1e6),
    no_training=st.booleans(),
    no_costs=st.booleans(),
)


def typed(words: list[str]) -> RunOptions:
    """Read words of a command line as a command with all options does."""
    program, seen = typer.Typer(), []
    program.command()(with_options()(lambda options: seen.append(options)))
    program(words, standalone_mode=False)
    (options,) = seen
    return options


@given(OPTIONS)
def test_a_command_line_gives_the_options_that_wrote_it(options: RunOptions) -> None:
    assert typed(["--preset", options.preset, *options.words()]) == options
    name, command, *words = shlex.split(options.command("run"))
    assert (name, command) == ("bench", "run")
    assert typed(words) == options


def test_every_field_of_a_request_has_an_option_of_its_name() -> None:
    options = {field.name for field in fields(RunOptions)}
    asked = {field.name for field in fields(Request)}
    assert asked - options == (FROM_SEVERAL | NO_OPTION) - {"preset"}


@pytest.mark.parametrize(
    ("name", "value"),
    {"isa": "avx2", "invocations": 7, "seconds": 0.0, "target": 0.05, "budget_s": 90.0}.items(),
)
def test_an_option_reaches_the_request_and_makes_another_preset(name: str, value: Any) -> None:
    options = replace(RunOptions(preset=PresetName.quick), **{name: value})
    request = request_of(options)
    assert getattr(request, name) == value
    assert request.preset == "custom"
    others = request_of(RunOptions(preset=PresetName.quick))
    assert others.preset == "quick"
    assert replace(request, **{name: getattr(others, name)}, preset="quick") == others


def test_what_is_left_out_is_the_presets() -> None:
    quick = PRESETS["quick"]
    request = request_of(RunOptions(preset=PresetName.quick))
    assert (request.invocations, request.seconds) == (quick.invocations, quick.seconds)
    assert request.training_epochs == quick.training_epochs
    assert request.cost_rounds > 0
    less = request_of(RunOptions(preset=PresetName.quick, no_training=True, no_costs=True))
    assert (less.training_epochs, less.cost_rounds, less.preset) == (0, 0, "quick")


def test_the_whole_request_is_stored_and_comes_back(tmp_path: Path) -> None:
    asked = replace(request_for(SMALL, seconds=0.5), target=0.25, budget_s=30.0)
    _, stored = World(tmp_path).run(asked)
    assert stored.run.plan.request == asked
    content = json.loads((stored.path / "run.json").read_bytes())
    assert content["plan"]["request"].keys() == {field.name for field in fields(Request)}


def test_an_option_stands_in_three_places() -> None:
    """The example of CONTRIBUTING.md: option, request, and its consumer with what that calls."""
    files = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "bench").rglob("*.py")
        if "budget_s" in path.read_text()
    }
    consumer = {"bench/measuring/pilot.py", "bench/measuring/schedule.py"}
    assert files == {"bench/cli/options.py", "bench/model/records.py", *consumer}
