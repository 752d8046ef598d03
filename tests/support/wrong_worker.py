"""A worker of NumPy with one fault, which its argument names: for tests of the conformance kit."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.model.records import Problem
from bench.workers.implementations.drivers import NumPy
from bench.workers.worker import Worker
from python_impl import MLP

Request = dict[str, Any]
Answer = dict[str, Any]


class Forgetful(MLP):
    """Goes back to its first weights only once."""

    def reset(self) -> None:
        if not hasattr(self, "_count"):
            self._count = 0
        self._count += 1
        if self._count < 4:
            super().reset()


class SwallowsNaN(MLP):
    """Computes a ReLU for which NaN is 0."""

    def forward(self, X: np.ndarray) -> np.ndarray:
        y_hat = super().forward(X)
        return np.nan_to_num(y_hat, posinf=np.inf, neginf=-np.inf)


class WithNetwork(NumPy):
    """NumPy with another class of network."""

    def __init__(self, network: type[MLP]) -> None:
        self._network = network

    def create(self, problem: Problem, *, max_epochs: int = 1, seed: int = 1) -> Any:
        return self._network(
            problem.layer_sizes, max_epochs=max_epochs, batch_size=problem.batch_size,
            seed=seed, dtype=problem.dtype,
        )  # fmt: skip


def changed(op: str, **members: Any) -> Callable[[Request, Answer], Answer]:
    """Return what replaces members of the answers to a request."""
    return lambda request, answer: answer | (members if request.get("op") == op else {})


def longer_clock(request: Request, answer: Answer) -> Answer:
    return answer | {name: 10**6 * answer[name] for name in ("elapsed_ns",) if name in answer}


def archives(request: Request, answer: Answer) -> Answer:
    if request.get("op") == "tensors" and request["folder"] != "/nowhere/at/all":
        for file in Path(request["folder"]).iterdir():
            file.rename(file.with_suffix(".npz"))
    return answer


def doubles(request: Request, answer: Answer) -> Answer:
    if request.get("op") == "tensors" and request["folder"] != "/nowhere/at/all":
        for file in Path(request["folder"]).iterdir():
            np.save(file, np.load(file).astype(np.float64))
    return answer


def agreeable(request: Request, answer: Answer) -> Answer:
    return answer | {"ok": True}


def dies(request: Request, answer: Answer) -> Answer:
    if request.get("op") == "sample" and answer["ok"]:
        sys.exit("out of paper")
    return answer


ANSWERS: dict[str, Callable[[Request, Answer], Answer]] = {
    "another protocol": changed("describe", protocol=2),
    "threads": changed("describe", threads=4),
    "flushes": changed("describe", denormals="flushed"),
    "no language": changed("describe", language=3),
    "other data": changed("tensors", inputs="0badc0de"),
    "no time": changed("sample", elapsed_ns=0),
    "same time": changed("sample", elapsed_ns=50_000, cpu_ns=50_000),
    "long time": longer_clock,
    "archives": archives,
    "doubles": doubles,
    "agreeable": agreeable,
    "dies": dies,
}
NETWORKS = {"forgetful": Forgetful, "swallows NaN": SwallowsNaN}


def main(fault: str) -> None:
    """Answer as a worker does, but for the fault."""
    mine = Worker(WithNetwork(NETWORKS.get(fault, MLP)))
    with os.fdopen(int(os.environ["BENCH_REPLY_FD"]), "w", buffering=1) as replies:
        for line in sys.stdin:
            try:
                request = json.loads(line)
            except ValueError:
                if fault == "dies of nonsense":
                    raise
                request = {}
            if not isinstance(request, dict):
                request = {}
            if fault == "never rouses" and "rouse_ns" in request:
                line = json.dumps(request | {"rouse_ns": 0})
            answer = mine.answer(line)
            if answer is None:
                break
            if fault in ANSWERS and (answer["ok"] or fault == "agreeable"):
                answer = ANSWERS[fault](request, answer)
            replies.write(json.dumps(answer) + "\n")
        if fault == "last words":
            replies.write("goodbye\n")
        if fault == "stays":
            time.sleep(60)  # until it is killed
    sys.exit(3 if fault == "fails at the end" else 0)


if __name__ == "__main__":
    main(sys.argv[1])
