"""Draws programs for the boundary: short lists of steps, most of them right in most ways.

Right ones go deep, into the computation; the others are turned away at some depth of the checks.
"""

from __future__ import annotations

from boundary_things import (
    CONTAINERS,
    DTYPES,
    LAYOUTS,
    METADATA,
    ODD,
    RUBBISH,
    SETTINGS,
    SHAPES,
    VALUES,
    Arr,
    Lot,
    Odd,
)
from boundary_world import Step
from hypothesis import strategies as st

Program = tuple[Step, ...]


def mostly(right: object, others: list[object], share: int = 4) -> st.SearchStrategy:
    """Draw `right` so many times as often as all the others together."""
    return st.integers(0, share).flatmap(
        lambda turn: st.just(right) if turn < share else st.sampled_from(others)
    )


sizes = st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple)
dtypes = st.sampled_from(["float64", "float32"])
slots = mostly(0, [1], 3)
arrays = st.builds(
    Arr,
    rows=mostly(None, [1, 2, 3, 7, 33], 5),
    dtype=mostly("right", ["other", METADATA, *DTYPES], 9),
    shape=mostly("right", [*SHAPES], 9),
    layout=mostly("plain", [*LAYOUTS], 2),
    values=mostly("normal", [*VALUES], 4),
    seed=st.integers(0, 3),
)
odd = st.builds(Odd, st.sampled_from(sorted(ODD)))
things = st.integers(0, 7).flatmap(lambda turn: odd if turn == 0 else arrays)
fine = st.builds(
    lambda seed, layout: Arr(seed=seed, layout=layout),
    st.integers(0, 9),
    mostly("plain", [*LAYOUTS][:7], 3),
)
data = st.integers(0, 2).flatmap(lambda turn: things if turn == 0 else fine)
lots = st.builds(
    Lot,
    source=st.sampled_from(["made", "parameters", "gradients"]),
    container=mostly("list", [*CONTAINERS], 3),
    count=mostly(0, [-1, 1], 9),
    place=st.integers(0, 3),
    item=st.integers(0, 2).flatmap(lambda turn: things if turn == 0 else st.none()),
)
CALLBACKS = ["none", "use", "nest", "halt", "vanish", "again", "reset", "rate",
             "without batch_size", "text", "array", "hostile"]  # fmt: skip
SETTLED = [(name, value) for name, values in SETTINGS.items() for value in values]
UNSETTLED = [
    (name, value)
    for name in ("learning_rate", "batch_size", "max_epochs", "layer_sizes", "dtype", "seed")
    for value in RUBBISH
]
ARGUMENTS = ["layer_sizes", "learning_rate", "max_epochs", "batch_size", "seed", "dtype"]
SHARED = ["forward", "predict", "backprop", "fit", "again", "assign", "step", "reset", "copy"]

fits = st.tuples(
    data,
    data,
    st.integers(0, 2).flatmap(lambda turn: data if turn == 0 else st.none()),
    st.integers(0, 2).flatmap(lambda turn: data if turn == 0 else st.none()),
    mostly("no callback", [*CALLBACKS], 1),
    st.booleans(),
)
validated = st.tuples(data, data, fine, fine, mostly("none", [*CALLBACKS], 1), st.booleans())

DEEDS: dict[str, tuple[int, st.SearchStrategy]] = {
    "forward": (12, st.tuples(things)),
    "backprop": (12, st.tuples(things, st.booleans())),
    "step": (8, st.tuples(lots, lots)),
    "loss": (8, st.tuples(things, things)),
    "predict": (8, st.tuples(things)),
    "fit": (12, fits | validated),
    "reset": (3, st.just(())),
    "read": (4, st.tuples(st.sampled_from(["weights", "biases", "activations", "seed"]))),
    "assign": (8, st.tuples(st.sampled_from(["weights", "biases", "activations"]), lots)),
    "remove": (1, st.tuples(st.sampled_from(["weights", "biases", "activations", "nothing"]))),
    "settle": (4, st.sampled_from(SETTLED)),
    "unsettle": (2, st.sampled_from(UNSETTLED)),
    "empty": (1, st.just(())),
    "copied": (3, st.tuples(st.sampled_from(["pickle", "deepcopy"]))),
    "let_go": (3, st.tuples(st.sampled_from(["gradients", "gradients", "network"]))),
    "make": (4, st.tuples(sizes, st.integers(1, 5), st.integers(0, 3), st.integers(0, 9), dtypes)),
    "make_again": (3, st.tuples(sizes, st.integers(1, 5), st.integers(-1, 9), dtypes)),
    "construct": (3, st.tuples(st.sampled_from(ARGUMENTS), st.sampled_from([*RUBBISH]))),
    "threads": (
        1,
        st.tuples(
            st.booleans(),
            mostly(False, [True], 4),
            st.lists(st.sampled_from(SHARED), min_size=1, max_size=5).map(tuple),
        ),
    ),
    "instrument": (
        4,
        st.tuples(
            st.sampled_from(["time_phase", "time_probe", "nothing", "set_threads"]),
            st.integers(0, 10**6),
        ),
    ),
}


def of_deed(deed: str) -> st.SearchStrategy:
    """Draw a step of one kind."""
    return st.builds(Step, st.just(deed), slots, DEEDS[deed][1])


steps = st.sampled_from([name for name, (share, _) in DEEDS.items() for _ in range(share)]).flatmap(
    of_deed
)


def batch_of_training(slot: int, lots: tuple[Lot, Lot], y: Arr | Odd) -> Program:
    """Write the steps that belong together, as each needs the one before."""
    return (
        Step("forward", slot, (Arr(),)),
        Step("backprop", slot, (y, True)),
        Step("step", slot, lots),
    )


fragments = st.one_of(
    steps.map(lambda step: (step,)),
    steps.map(lambda step: (step,)),
    st.builds(batch_of_training, slots, st.tuples(lots, lots), data),
)
first = st.builds(Step, st.just("make"), st.just(0), DEEDS["make"][1])
second = st.builds(Step, st.just("make"), st.just(1), DEEDS["make"][1])
programs = st.builds(
    lambda start, rest: (*start, *(step for fragment in rest for step in fragment)),
    st.tuples(first, second),
    st.lists(fragments, min_size=2, max_size=8),
)
