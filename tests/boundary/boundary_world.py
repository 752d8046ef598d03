"""One twin's side of a program: its networks, what each step does to them, and what came of it.

A step is words alone (`Step`), so both twins get the same; `World.take` turns what happens into an
`Outcome`, which `boundary_compare` holds against the other twin's.
"""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from boundary_things import (
    CONTAINERS,
    ODD,
    RUBBISH,
    SETTINGS,
    Arr,
    Lot,
    Odd,
    make_array,
)


class Step(NamedTuple):
    """One thing to do: which deed, with which of the two networks, with what."""

    deed: str
    slot: int
    arguments: tuple[Any, ...] = ()


class Halt(Exception):  # noqa: N818
    """What a callback raises to end a training."""


@dataclass(frozen=True)
class Outcome:
    """What a step came to."""

    kind: str  # "answered", "refused", or "absent": there was no network
    value: Any = None  # what it returned, as arrays and numbers
    error: type[BaseException] | None = None
    message: str = ""
    own_words: bool = False  # whether the message is one of python_impl

    @property
    def name(self) -> str:
        """The column in which it is counted."""
        return self.kind if self.error is None else self.error.__name__


class World:
    """The networks of one twin and what is held of theirs."""

    def __init__(self, MLP: Any) -> None:
        self.MLP = MLP
        self.networks: list[Any] = [None, None]
        self.rows = [4, 4]
        self.gradients: list[Any] = [None, None]
        self.loose = [False, False]
        self.given: list[tuple[np.ndarray, bytes]] = []
        self.told: list[Any] = []

    def take(self, step: Step) -> Outcome:
        """Do one step and say what came of it."""
        self.given, self.told = [], []
        if step.deed not in ("make", "threads") and self.networks[step.slot] is None:
            return Outcome("absent")
        try:
            value = getattr(self, step.deed)(step.slot, *step.arguments)
        except Exception as error:
            kind = MemoryError if isinstance(error, MemoryError) else type(error)
            place = traceback.extract_tb(error.__traceback__)[-1].filename
            own = "python_impl" in place and not isinstance(error, MemoryError)
            return Outcome("refused", self.told, kind, str(error), own)
        return Outcome("answered", [*self.told, kept(value)])

    def untouched(self) -> bool:
        """Tell whether the arrays given to the last step hold what they held."""
        return all(array.tobytes() == before for array, before in self.given)

    def state(self, slot: int) -> list[Any]:
        """Return all that can be seen of a network; nothing where it is loose or gone."""
        network = self.networks[slot]
        if network is None or self.loose[slot]:
            return []
        return kept([network.weights, network.biases, network.activations])

    # What is handed over.

    def array(self, what: Arr | Odd | None, rows: int, width: int, dtype: Any) -> Any:
        """Make an argument and remember what is in it."""
        if what is None:
            return None
        if isinstance(what, Odd):
            return ODD[what.name](make_array(Arr(), rows, width, dtype))
        made = make_array(what, rows, width, dtype)
        if not made.dtype.hasobject:
            whole = made.view(np.ndarray)
            while isinstance(whole.base, np.ndarray):
                whole = whole.base  # with what lies around and between the elements
            self.given.append((whole, whole.tobytes()))
        return made

    def of(self, slot: int, what: Arr | Odd | None, side: int, rows: int | None = None) -> Any:
        """Make inputs (side 0) or targets (side -1) for a network."""
        network = self.networks[slot]
        fitting = self.rows[slot] if rows is None else rows
        return self.array(what, fitting, network.layer_sizes[side], network.dtype)

    def lot(self, slot: int, what: Lot, biases: bool) -> Any:
        """Make one array per layer."""
        network = self.networks[slot]
        models = network.biases if biases else network.weights
        shapes = [model.shape for model in models]
        items: list[Any]
        if what.source == "parameters":
            items = list(models)
        elif what.source == "gradients" and self.gradients[slot] is not None:
            items = list(self.gradients[slot][biases])
        else:
            items = [
                self.array(Arr(seed=place), *shape, network.dtype)
                for place, shape in enumerate(shapes)
            ]
        place = what.place % len(shapes)
        if what.item is not None and place < len(items):
            items[place] = self.array(what.item, *shapes[place], network.dtype)
        if what.count < 0:
            items.pop()
        elif what.count > 0:
            items.append(items[-1])
        return CONTAINERS[what.container](items)

    # The deeds.

    def make(self, slot: int, sizes: Any, batch: int, epochs: int, seed: int, dtype: str) -> None:
        self.networks[slot] = self.MLP(
            sizes, 0.01, max_epochs=epochs, batch_size=batch, seed=seed, dtype=dtype
        )
        self.rows[slot], self.gradients[slot], self.loose[slot] = max(4, batch), None, False

    def make_again(self, slot: int, sizes: Any, batch: int, seed: Any, dtype: Any) -> None:
        network = self.networks[slot]
        network.__init__(sizes, 0.01, max_epochs=2, batch_size=batch, seed=seed, dtype=dtype)
        self.rows[slot], self.gradients[slot], self.loose[slot] = max(4, batch), None, False

    def construct(self, slot: int, name: str, value: str) -> None:
        arguments = {"layer_sizes": [2, 3], "seed": 0} | {name: RUBBISH[value]()}
        self.MLP(**arguments)

    def forward(self, slot: int, X: Any) -> Any:
        given = self.of(slot, X, 0)
        y_hat = self.networks[slot].forward(given)
        self.rows[slot] = len(y_hat)
        return y_hat

    def predict(self, slot: int, X: Any) -> Any:
        return self.networks[slot].predict(self.of(slot, X, 0))

    def backprop(self, slot: int, y: Any, keep: bool) -> Any:
        gradients = self.networks[slot].backprop(self.of(slot, y, -1))
        if keep:
            self.gradients[slot] = gradients
        return gradients

    def step(self, slot: int, grads_w: Lot, grads_b: Lot) -> None:
        w, b = self.lot(slot, grads_w, False), self.lot(slot, grads_b, True)
        self.networks[slot].step(w, b)

    def loss(self, slot: int, y: Any, y_hat: Any) -> Any:
        return self.networks[slot].loss(self.of(slot, y, -1), self.of(slot, y_hat, -1))

    def reset(self, slot: int) -> None:
        self.networks[slot].reset()

    def read(self, slot: int, name: str) -> Any:
        return getattr(self.networks[slot], name)

    def assign(self, slot: int, name: str, what: Lot) -> None:
        setattr(self.networks[slot], name, self.lot(slot, what, name == "biases"))

    def remove(self, slot: int, name: str) -> None:
        delattr(self.networks[slot], name)

    def settle(self, slot: int, name: str, value: str) -> None:
        setattr(self.networks[slot], name, SETTINGS[name][value]())

    def unsettle(self, slot: int, name: str, value: str) -> None:
        self.loose[slot] = True
        setattr(self.networks[slot], name, RUBBISH[value]())

    def empty(self, slot: int) -> None:
        self.loose[slot] = True
        network = self.MLP.__new__(self.MLP)
        network.__dict__.update(self.networks[slot].__dict__)
        self.networks[slot] = network

    def copied(self, slot: int, how: str) -> Any:
        ways: dict[str, Callable[[Any], Any]] = {
            "pickle": lambda network: pickle.loads(pickle.dumps(network)),
            "deepcopy": copy.deepcopy,
        }
        # Where the original has no meaning, the twins may differ in whether it can be copied.
        self.loose[1 - slot] = self.loose[1 - slot] or self.loose[slot]
        made = ways[how](self.networks[slot])
        self.networks[1 - slot] = made
        self.rows[1 - slot], self.loose[1 - slot] = self.rows[slot], self.loose[slot]
        self.gradients[1 - slot] = None
        made.reset()  # the twins need not agree on whether the last batch is copied with it
        return made.layer_sizes

    def let_go(self, slot: int, what: str) -> None:
        if what == "gradients":
            self.gradients[slot] = None
        else:
            self.networks[slot] = None
        gc.collect(0)

    def fit(self, slot: int, X: Any, y: Any, X_val: Any, y_val: Any, call: str, free: bool) -> Any:
        network = self.networks[slot]
        rows = 2 * self.rows[slot] + 1
        data = [
            self.of(slot, what, side, rows)
            for what, side in ((X, 0), (y, -1), (X_val, 0), (y_val, -1))
        ]
        history = network.fit(*data, self.callback(slot, call), allow_nonfinite=free)
        return [history.training_loss, history.validation_loss]

    def callback(self, slot: int, name: str) -> Any:
        """Make what `fit` calls after each epoch."""
        network = self.networks[slot]
        X, y = self.of(slot, Arr(), 0), self.of(slot, Arr(), -1)

        def use() -> None:
            network.forward(X)
            network.step(*network.backprop(y))
            network.predict(X)
            network.weights = [w * 0.5 for w in network.weights]

        def nest() -> None:
            progress, network.max_epochs = network.max_epochs, 1
            network.fit(X, y, allow_nonfinite=True)
            network.max_epochs = progress

        def halt() -> None:
            raise Halt("enough")

        def vanish() -> None:
            self.networks[slot] = None
            gc.collect()

        def again() -> None:
            network.__init__(network.layer_sizes, batch_size=network.batch_size, seed=1)

        deeds: dict[str, Callable[[], object]] = {
            "none": lambda: None, "use": use, "nest": nest, "halt": halt, "vanish": vanish,
            "again": again, "reset": network.reset,
            "rate": lambda: setattr(network, "learning_rate", 0.1),
            "without batch_size": lambda: delattr(network, "batch_size"),
        }  # fmt: skip
        if name == "no callback":
            return None
        if name not in deeds:
            return RUBBISH[name]()

        def progress(epoch: int, loss: float) -> None:
            self.told.append([epoch, loss])
            deeds[name]()

        return progress

    def threads(self, slot: int, together: bool, long: bool, deeds: tuple[str, ...]) -> None:
        """Use one network or two from two threads; the end is no one's to foretell."""
        sizes, rows = ([64, 400, 64], 150) if long else ([3, 4, 2], 5)
        one = self.MLP(sizes, max_epochs=1, batch_size=rows, seed=0)
        both = [one, one if together else self.MLP(sizes, max_epochs=1, batch_size=rows, seed=1)]
        X, y = np.ones((rows, sizes[0])), np.ones((rows, sizes[-1]))
        surprises: list[BaseException] = []
        ways: dict[str, Callable[[Any], object]] = {
            "forward": lambda n: n.forward(X), "predict": lambda n: n.predict(X),
            "backprop": lambda n: (n.forward(X), n.backprop(y)), "fit": lambda n: n.fit(X, y),
            "again": lambda n: n.__init__(sizes, batch_size=rows, max_epochs=1, seed=2),
            "assign": lambda n: setattr(n, "weights", n.weights),
            "step": lambda n: n.step(list(n.weights), list(n.biases)),
            "reset": lambda n: n.reset(), "copy": copy.deepcopy,
        }  # fmt: skip

        def work(network: Any, names: tuple[str, ...]) -> None:
            for name in names:
                try:
                    ways[name](network)
                except (RuntimeError, ValueError, AttributeError):
                    pass  # it was busy, or another thread used up the batch
                except Exception as surprise:
                    surprises.append(surprise)

        workers = [
            threading.Thread(target=work, args=pair)
            for pair in zip(both, (deeds, deeds[::-1]), strict=True)
        ]
        for worker in workers:
            worker.start()
        del one, both
        for worker in workers:
            worker.join()
        if surprises:
            raise surprises[0]


def kept(value: Any) -> Any:
    """Copy what came out, as it may be filled again."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, list | tuple):
        return [kept(item) for item in value]
    return value
