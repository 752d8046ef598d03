"""Holds the Mojo random stream to NumPy's, bit for bit, over seeds, lengths and kinds of draws."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mojo_impl
import python_impl
from mojo_impl.building.build import FLAGS, find_compiler

ROOT = Path(__file__).parents[2]
SEEDS = (0, 1, 42, 624, 12345, 2**31, 2**32 - 1)
COUNTS = (1, 2, 3, 7, 500, 1009)


def draws_of_numpy(seed: int, count: int) -> list[int]:
    """Draw what `tests/mojo_impl/mojo/random_stream.mojo` draws; doubles as their bits."""
    stream = np.random.RandomState(seed)

    def bits(values: Any) -> list[int]:
        return np.asarray(values, np.float64).view(np.uint64).tolist()  # type: ignore[no-any-return]

    def shuffled() -> list[int]:
        order = np.arange(count)
        stream.shuffle(order)
        return order.tolist()

    return [
        *bits(stream.randn(count)),
        *shuffled(),
        *bits(stream.randn(1)),
        *bits(stream.uniform(-6, 6, count)),
        *bits(stream.normal(0.5, 0.001, count)),
        *shuffled(),
        int(stream.randint(0, 2**40, dtype=np.int64)),
    ]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that prints draws, compiled with the flags of the library."""
    path = tmp_path_factory.mktemp("mojo") / "random_stream"
    source = ROOT / "tests" / "mojo_impl" / "mojo" / "random_stream.mojo"
    line = [find_compiler(), "build", *FLAGS, "-I", "mojo_impl", "-o", str(path), str(source)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return path


def test_every_kind_of_draw(program: Path) -> None:
    cases = [(seed, count) for seed in SEEDS for count in COUNTS]
    line = [str(program), *(f"{seed}:{count}" for seed, count in cases)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    found = iter(map(int, done.stdout.split()))
    for seed, count in cases:
        expected = draws_of_numpy(seed, count)
        assert [next(found) for _ in expected] == expected, (seed, count)
    assert next(found, None) is None


def test_no_draw_is_special(program: Path) -> None:
    """Many draws of one stream: rejections of all lengths, each twist of the words."""
    line = [str(program), "7:100000"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert list(map(int, done.stdout.split())) == draws_of_numpy(7, 100_000)


def state(network: Any) -> tuple[Any, ...]:
    """Where the stream of a Mojo network is, as NumPy's `get_state` tells it."""
    stored = network._stream
    key = np.frombuffer(stored, np.uint32, 624)
    position, has_gauss = np.frombuffer(stored, np.int64, 2, 624 * 4)
    return (*key.tolist(), position, has_gauss, *np.frombuffer(stored[-8:], np.float64))


def state_of_numpy(network: Any) -> tuple[Any, ...]:
    _, key, position, has_gauss, gauss = network._random.get_state()
    return (*key.tolist(), position, has_gauss, gauss)


@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    rows=st.integers(1, 40),
    epochs=st.integers(0, 3),
)
@settings(max_examples=40)
def test_a_network_draws_as_its_twin(seed: int, sizes: list[int], rows: int, epochs: int) -> None:
    """The weights, then the place in the stream after each epoch; an odd normal may wait."""
    data = np.ones((rows, sizes[0])), np.ones((rows, sizes[-1]))
    options = {"seed": seed, "max_epochs": epochs, "batch_size": 1 + rows // 3}
    twins = [package.MLP(sizes, **options) for package in (python_impl, mojo_impl)]
    for one, other in zip(*(network.weights for network in twins), strict=True):
        np.testing.assert_array_equal(one, other)
    for network in twins:
        network.fit(*data)
    assert state(twins[1]) == state_of_numpy(twins[0])
    for network in twins:
        network.reset()
    assert state(twins[1]) == state_of_numpy(twins[0])
