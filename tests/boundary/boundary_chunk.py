"""Drives both twins with drawn programs in this process, which `boundary.py` starts and watches.

Prints how often each deed was answered and refused, as JSON, and ends with 0 when the twins agreed
on all of it. Before an example runs, its seed, number and text are written to --diary, so that
whoever started this process can name the one that ended it. The same seed and number of examples
draw the same programs again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections import Counter
from importlib import import_module
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).parents[2]))

from boundary_compare import difference, unlike
from boundary_programs import Program, programs
from boundary_world import World


class Tally:
    """How often what happened."""

    def __init__(self) -> None:
        self.examples = 0
        self.counts: Counter[tuple[str, str]] = Counter()

    def as_json(self) -> str:
        """Return the counts as text: examples, and a list of deed, outcome, times."""
        counts = [[*what, times] for what, times in sorted(self.counts.items())]
        return json.dumps({"examples": self.examples, "counts": counts})


def put_in_place(path: Path) -> None:
    """Let `mojo_impl` have this library, such as one with a sanitizer, in place of its own."""
    name = "mojo_impl._library"
    loader = ExtensionFileLoader(name, str(path))
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    sys.modules[name] = library = module_from_spec(spec)
    loader.exec_module(library)


def run(program: Program, tally: Tally, twins: tuple[Any, Any]) -> None:
    """Run a program on both twins, step by step.

    Raises:
        AssertionError: They differ; says at which step and in what.
    """
    from boundary_instruments import use_instrument  # loads the library

    numpy, mojo = (World(MLP) for MLP in twins)
    for place, step in enumerate(program):
        where = f"step {place}, {step}: "
        if step.deed == "instrument":
            tally.counts["instrument", use_instrument(*step.arguments)] += 1
            continue
        network = numpy.networks[step.slot]  # before the step, which may let go of it
        compared = network is not None and not numpy.loose[step.slot]  # else dtype may be anything
        narrow = compared and network.dtype == np.float32
        outcomes = [world.take(step) for world in (numpy, mojo)]
        assert numpy.untouched(), where + "NumPy changed an argument"
        assert mojo.untouched(), where + "Mojo changed an argument"
        loose = [world.loose[step.slot] or step.deed == "threads" for world in (numpy, mojo)]
        assert loose[0] == loose[1], where + "only one of them still means something"
        tally.counts[step.deed, "not compared" if loose[1] else outcomes[1].name] += 1
        if loose[1]:
            continue
        found = difference(*outcomes, narrow)
        assert found is None, where + str(found)
        for slot in (0, 1):
            states = [world.state(slot) for world in (numpy, mojo)]
            found = unlike(*states, False, f"then network {slot}")
            assert found is None, where + str(found)


def main() -> int:
    """Run so many examples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--diary", type=Path, default=Path(os.devnull))
    parser.add_argument("--library", type=Path, help="a compiled library in place of mojo_impl's")
    asked = parser.parse_args()
    if asked.library:
        put_in_place(asked.library)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    tally = Tally()
    twins = (import_module("python_impl").MLP, import_module("mojo_impl").MLP)

    @seed(asked.seed)
    @settings(
        max_examples=asked.examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(programs)
    def check(program: Program) -> None:
        tally.examples += 1
        asked.diary.write_text(f"seed {asked.seed}, example {tally.examples}: {program}")
        run(program, tally, twins)

    try:
        check()
    except AssertionError as error:
        print(error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)  # noqa: T201
        return 1
    print(tally.as_json())  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
