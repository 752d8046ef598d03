"""Feeds rubbish: `python tests/boundary/rubbish.py SEED ROUNDS` must print `survived`.

Any Python exception is fine; what would not be fine is the end of the process.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

import mojo_impl
from mojo_impl import MLP, _library

SHAPES: list[tuple[int, ...]] = [
    (4, 2), (4, 2), (4, 1), (2, 3), (3, 1), (1, 3), (1, 1), (0, 2), (4,), (), (2, 2, 2),
]  # fmt: skip
KINDS = [*["f8"] * 6, "f4", "i4", ">f8", "c16", "O", "S3", "V8", "M8[s]", "?"]
METHODS = ["forward", "backprop", "step", "loss", "predict", "reset", "_epoch", "fit"]
MADE_BY = ["__init__", "__setstate__", "__getstate__", "__reduce_ex__"]
ATTRIBUTES = ["weights", "biases", "activations", "_stream"]
SETTINGS = ["learning_rate", "batch_size", "max_epochs", "layer_sizes", "dtype", "seed"]
FUNCTIONS = [_library.initialise, _library.nothing, _library.probe, mojo_impl.time_phase]


class Odd:
    """Claims to be many things."""

    def __getattr__(self, name: str) -> Any:
        raise random.choice([AttributeError, ValueError, KeyError])(name)

    def __index__(self) -> int:
        return random.choice([0, 1, 2, 3, -5, 2**70])

    def __len__(self) -> int:
        return random.choice([0, 2, 10**9])

    def __getitem__(self, place: Any) -> Any:
        return rubbish()

    def __iter__(self) -> Any:
        return iter([rubbish() for _ in range(random.randint(0, 3))])


def array() -> Any:
    """Make an array that is often the right one."""
    made = np.zeros(random.choice(SHAPES), random.choice(KINDS))
    change = random.randrange(8)
    if change == 0:
        return made.T
    if change == 1:
        return made[::-1] if made.ndim else made
    if change == 2:
        return np.ma.masked_array(made)
    return made


def arrays() -> Any:
    """Make a list or tuple of arrays, sometimes that of a network."""
    if random.random() < 0.5:
        return random.choice([list, tuple])(array() for _ in range(random.randint(0, 3)))
    return getattr(random.choice(NETWORKS[:2]), random.choice(["weights", "biases"]))


def rubbish() -> Any:
    """Make anything."""
    choice = random.randrange(12)
    if choice < 5:
        return array()
    if choice < 8:
        return arrays()
    if choice == 8:
        return Odd()
    rest: list[Any] = [None, 0, 1, -1, 2**70, 1e308, float("nan"), "X", "forward", "float64"]
    rest += [b"x" * 2520, {}, MLP, memoryview(b"abc"), iter([]), slice(3), (1, 2), [2, 3, 1]]
    return random.choice([*rest, NETWORKS[0], NETWORKS[2]])


def mend() -> None:
    """Make the first networks good again."""
    NETWORKS[0].__init__([2, 3, 1], seed=0, batch_size=2, max_epochs=1)
    NETWORKS[1].__init__([2, 1], seed=0, batch_size=1, max_epochs=1, dtype="float32")


def misbehave(network: Any) -> None:
    """Do one thing that may make sense or not."""
    deed = random.random()
    few = [rubbish() for _ in range(random.choice([0, 1, 1, 1, 2, 2, 3, 5, 7]))]
    if deed < 0.6:
        name = random.choice(METHODS)
        names = {random.choice(["X", "y", "y_hat", "grads_w", "grads_b"]): rubbish()}
        getattr(network, name)(*few, **(names if random.random() < 0.2 else {}))
    elif deed < 0.75:
        setattr(network, random.choice(ATTRIBUTES), rubbish())
    elif deed < 0.8:
        setattr(network, random.choice(SETTINGS), random.choice([0, 1, 2, -3, "a", None, 2**70]))
    elif deed < 0.85:
        delattr(network, random.choice(ATTRIBUTES + SETTINGS))
    elif deed < 0.9:
        getattr(network, random.choice(MADE_BY))(*few)
    else:
        random.choice(FUNCTIONS)(*few)


NETWORKS: list[Any] = [MLP([1, 1]), MLP([1, 1]), MLP.__new__(MLP), _library.Network()]


def main(seed: int, rounds: int) -> None:
    """Misbehave so many times."""
    random.seed(seed)
    done = 0
    for turn in range(rounds):
        if turn % 50 == 0:
            mend()
        network = random.choice(NETWORKS)
        if getattr(network, "max_epochs", 1) != 1:
            network.max_epochs = 1  # a rubbish 2**70 would take its time
        try:
            misbehave(network)
            done += 1
        except Exception:  # what it is does not matter here
            pass
    assert done > rounds // 50, "next to nothing went well: this tests too little"
    print(done, "of", rounds, "went well: survived")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
