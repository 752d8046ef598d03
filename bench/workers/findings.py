"""What the conformance kit may say: a check, what is wrong in it, and what to do about it. Pure.

Also the requests that no worker can serve, and what to make of tensors that differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from bench.model.records import FairnessCheck, ParityResult
from bench.workers import fairness as contract
from bench.workers import parity
from bench.workers import tensor_files as exchange
from bench.workers.messages import Told, read_answer

LONGEST = 100
"""Characters of an answer that are shown."""
LIKE_THIS = "docs/protocol.md has each answer"
SILENT = (
    "answers go to the file descriptor that BENCH_REPLY_FD names, a line each, flushed at once; "
    "standard output is for people"
)
BY_HAND = (
    "start it by hand as BENCH_REPLY_FD=1 PROGRAM, type a request of docs/protocol.md, and see "
    "what it says"
)
ALIVE = "answer what cannot be served with an error, and read the next line"
ADVICE = {
    "initial ": "draw weights layer by layer by RandomState(seed).randn, times sqrt(4 / (in + "
    "out)), in float64 and rounded last; biases are 0",
    "activations": "z = a W + b, with ReLU on all layers but the last",
    "y_hat": "z = a W + b; the last layer has no ReLU",
    "loss": "the mean of the squared errors over all elements, summed in float64",
    "grads_": "gradients are sums over the batch, the last delta is y_hat - y, and a gate is open "
    "where z > 0",
    "stepped ": "a parameter loses 0.01 / batch_size times its gradient",
    "training_loss": "the loss of each batch before its step, the rows in the order of a "
    "shuffle of 0 to rows - 1 by the stream that drew the weights",
    "validation_loss": "after each step the loss on the validation rows with the numbers of the "
    "batch's place",
    exchange.EXTREME_Y_HAT: "ReLU lets NaN through, as numpy.maximum does; no -ffast-math",
    exchange.EXTREME_ACTIVATIONS: "keep numbers below the smallest normal one: no -ffast-math",
    parity.TIMED: "these are what the timed repetitions left: the clock must stand around the work",
}
"""What to do about a tensor that differs, by how its name begins."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; all but the name are empty where all is well."""

    name: str
    ok: bool
    expected: str = ""
    came: str = ""
    advice: str = ""


class Wrong(Exception):  # noqa: N818  # what a worker did, not what went wrong here
    """What was expected, what came, and what to do next."""

    def __init__(self, expected: str, came: str, advice: str = LIKE_THIS) -> None:
        super().__init__(came)
        self.expected, self.came, self.advice = expected, came, advice


@dataclass(frozen=True, slots=True)
class Report:
    """All that was looked at, and why nothing more was; empty if everything was."""

    checks: tuple[Check, ...]
    stopped: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.stopped and all(check.ok for check in self.checks)


def fits(kind: type[Told], op: str, said: Mapping[str, Any]) -> Told:
    """Read an answer by the schema.

    Raises:
        Wrong: It does not fit.
    """
    try:
        return read_answer(kind, said)
    except msgspec.ValidationError as error:
        text = json.dumps(said)
        short = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
        raise Wrong(f"an answer to {op} that fits the schema", f"{error}: {short}") from None


def agree(result: ParityResult) -> None:
    """Take a comparison for granted or not; the first tensor that differs says where to look.

    Raises:
        Wrong: A tensor differs.
    """
    if result.ok:
        return
    wrong = [one for one in result.tensors if not one.ok]
    worst = max(wrong, key=lambda one: one.error / max(one.tolerance, 1e-300))
    name = wrong[0].name.removeprefix(parity.ANOTHER_SEED)
    advice = next((text for start, text in ADVICE.items() if name.startswith(start)), LIKE_THIS)
    came = result.reason + (f"; the worst is {worst.name}" if worst != wrong[0] else "")
    raise Wrong("every tensor as NumPy computes it, by the tolerances of parity", came, advice)


def request(**fields: Any) -> bytes:
    """Write a request as it goes to a worker, without the end of its line."""
    return json.dumps(fields).encode()


REFUSED = {
    "an operation that there is not": request(op="dance"),
    "a line that is no JSON": b'{"op": "describe"',
    "JSON that is no object": b"[1, 2]",
    "a sample of no loops": request(op="sample", phase="forward", loops=0),
    "a sample of half a loop": request(op="sample", phase="forward", loops=1.5),
    "a phase that there is not": request(op="sample", phase="nap", loops=1),
    "a folder that is not there": request(op="tensors", folder="/nowhere/at/all", epochs=0),
}
"""What no worker can serve."""


def fairness_checks_of(
    phase: str, pairs: Sequence[tuple[contract.Trial, contract.Trial]]
) -> list[FairnessCheck]:
    """Judge times: the growth by processor time, where it is told, for other processes disturb it.

    Without it only the growth can be told.
    """
    told = all(trial.cpu_ns for pair in pairs for trial in pair)
    if not told:
        found = contract.of_trials(phase, "it", pairs, threads=1)
        return [one for one in found if one.name == "repetitions"]
    alone = [
        (
            replace(short, elapsed_ns=min(short.elapsed_ns, short.cpu_ns)),
            replace(long, elapsed_ns=min(long.elapsed_ns, long.cpu_ns)),
        )
        for short, long in pairs
    ]
    by_clock = contract.of_trials(phase, "it", pairs, threads=1)
    by_processor = contract.of_trials(phase, "it", alone, threads=1)
    return [
        *(one for one in by_clock if one.name != "repetitions"),
        *(one for one in by_processor if one.name == "repetitions"),
    ]
