"""One process, one implementation: prepare, repeat, time, answer. Holds no policy.

Speaks the lines of docs/protocol.md: a JSON request a line in, a JSON answer a line out, in order.
A request that cannot be served is answered with its error; only `quit`, the end of the input and
signals end a worker.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from bench.model.errors import UsageError
from bench.model.records import OVERHEADS, PHASES, Phase, Problem
from bench.workers import messages
from bench.workers.comparing import DATA
from bench.workers.implementations.drivers import Array, Implementation, Network, implementation
from bench.workers.messages import PROTOCOL, Answer, Request, read_request
from bench.workers.meters import loading, peak_memory
from bench.workers.tensor_files import GRID, write
from bench.workers.tensors import extreme_tensors, phases_of, tensors, timed_tensors

DONE = messages.Done(ok=True)
METERS = ("preempted", "page_faults", "cpu_ns", "wall_ns")
"""What happened during a sample beside it: how often another process took a core, pages that came
for the first time, processor time of all threads, and time by the worker's own clock."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What `prepare` leaves behind: a problem, its data, and a network with fresh weights."""

    problem: Problem
    seed: int
    data: dict[str, Array]
    network: Network


class Worker:
    """Answers requests with one implementation."""

    def __init__(
        self,
        implementation: Implementation,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._implementation = implementation
        self._clock_ns = clock_ns
        self._prepared: Prepared | None = None
        self._loading: dict[str, int] | None = None
        self._operations: dict[type[Request], Callable[[Any], Answer | dict[str, Any]]] = {
            messages.Describe: self._describe,
            messages.Prepare: self._prepare,
            messages.Tensors: self._tensors,
            messages.Sample: self._sample,
            messages.Reset: self._reset,
            messages.Train: self._train,
            messages.Costs: self._costs,
        }

    def answer(self, line: str) -> dict[str, Any] | None:
        """Serve one request and return the answer; None for `quit`."""
        try:
            request = read_request(line)
            if isinstance(request, messages.Quit):
                return None
            answer = self._operations[type(request)](request)
            return answer.line() if isinstance(answer, Answer) else {"ok": True, **answer}
        except Exception as error:
            # All of them: the runner decides what an error means, a worker only reports it.
            return {"ok": False, "error": type(error).__name__, "message": str(error)}

    def _describe(self, _: messages.Describe) -> dict[str, Any]:
        """Say what this is; an implementation may say more than the protocol names."""
        mine = self._implementation
        self._load()
        return {
            "protocol": PROTOCOL,
            "implementation": mine.name,
            "language": mine.language,
            "phases": list(dict.fromkeys((*getattr(mine, "phases", PHASES), *OVERHEADS))),
            **mine.describe(),
            "rounding": _rounding(),  # afterwards: to load a library may change it
        }

    def _prepare(self, request: messages.Prepare) -> Answer:
        self._prepared = None  # a failure must not leave the last problem in place
        problem, seed, folder = request.problem, request.seed, Path(request.data)
        loaded = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in DATA}
        network = self._implementation.create(problem, seed=seed)
        self._prepared = Prepared(problem, seed, loaded, network)
        # Set all that lives aside, so that the collector has next to nothing to look through.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        return DONE

    def _tensors(self, request: messages.Tensors) -> Answer:
        """Save every tensor; with no epochs only those of one batch and one step.

        Answers with a checksum of the data and with how data and parameters lie in memory.
        """
        ready = self._ready()
        network, data, batch_size = ready.network, ready.data, ready.problem.batch_size
        network.reset()
        phases = phases_of(self._implementation)
        found = tensors(network, data, batch_size, phases)
        if request.epochs:
            _, losses = self._fit(ready, request.epochs) if "epoch" in phases else (None, {})
            network.reset()
            timed = timed_tensors(self._implementation, network, data, batch_size)
            network.reset()
            found |= losses | timed
            found |= extreme_tensors(network, data) if "forward" in phases else {}
        network.reset()
        write(Path(request.folder), found)
        layout = _layout({**data, **_parameters(network)})
        return messages.TensorsWritten(ok=True, inputs=_checksum(data), layout=layout)

    def _sample(self, request: messages.Sample) -> Answer:
        ready, phase, rouse_ns = self._ready(), request.phase, request.rouse_ns
        network = ready.network
        X, y, batch_size = ready.data["X"], ready.data["y"], ready.problem.batch_size
        # `forward` leaves the weights as they are, and keeps the same threads at work.
        rouser: Phase = "forward" if phase in PHASES else phase
        if phase == "memory":
            rouse_ns = 0  # all threads fill its arrays first, for far longer, in every repetition
        with _no_garbage_collection():
            roused_ns = self._clock_ns() + rouse_ns
            while self._clock_ns() < roused_ns:
                self._implementation.time(rouser, 1, network, X, y, batch_size)
            before = self._meters()
            elapsed = self._implementation.time(phase, request.loops, network, X, y, batch_size)
            after = self._meters()
        passed = [later - earlier for earlier, later in zip(before, after, strict=True)]
        meters = dict(zip(METERS, passed, strict=True))
        return messages.Sampled(ok=True, elapsed_ns=int(elapsed), **meters)

    def _meters(self) -> tuple[int, ...]:
        """Read what the system says of this process, the worker's own clock last."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        page_faults = usage.ru_minflt + usage.ru_majflt
        return usage.ru_nivcsw, page_faults, time.process_time_ns(), self._clock_ns()

    def _reset(self, _: messages.Reset) -> Answer:
        self._ready().network.reset()
        return DONE

    def _train(self, request: messages.Train) -> Answer:
        ready = self._ready()
        network, found = self._fit(ready, request.epochs)
        if ready.problem.layer_sizes[0] == 1:
            grid = np.linspace(*GRID, dtype=ready.problem.dtype)[:, np.newaxis]
            found |= {"grid": grid, "curve": network.predict(grid)}
        write(Path(request.folder), found)
        return DONE

    def _costs(self, _request: messages.Costs) -> dict[str, Any]:
        """Tell what loading took, and the first two calls that this process makes of a network."""
        ready = self._ready()
        found = self._load()
        network = self._implementation.create(ready.problem, seed=ready.seed)
        X = ready.data["X"][: ready.problem.batch_size]
        times = []
        for _ in range(2):
            start_ns = self._clock_ns()
            network.forward(X)
            times.append(self._clock_ns() - start_ns)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            **found,
            "first call": times[0],
            "second call": times[1],
            "peak memory": peak_memory(),
            "page faults": usage.ru_minflt + usage.ru_majflt,
        }

    def _load(self) -> dict[str, int]:
        """Import what computes, if nothing has yet; tell what that took where it can be told."""
        if self._loading is None:
            load = getattr(self._implementation, "load", None)
            self._loading = loading(load, self._clock_ns) if load else {}
        return self._loading

    def _ready(self) -> Prepared:
        if self._prepared is None:
            raise UsageError("nothing is prepared; send prepare first")
        return self._prepared

    def _fit(self, ready: Prepared, epochs: int) -> tuple[Network, dict[str, Array]]:
        """Train a network of its own, from fresh weights."""
        network = self._implementation.create(ready.problem, max_epochs=epochs, seed=ready.seed)
        history = network.fit(*(ready.data[name] for name in DATA))
        losses = {
            "training_loss": history.training_loss,
            "validation_loss": history.validation_loss,
        }
        return network, losses


def _parameters(network: Network) -> dict[str, Array]:
    return {
        f"{name}[{place}]": array
        for name in ("weights", "biases")
        for place, array in enumerate(getattr(network, name))
    }


def _rounding() -> str:
    """Say how this thread's processor rounds: an implementation may have changed that."""
    half, one = np.finfo(np.float64).epsneg, np.ones(1)
    results = (one + half / 2 == 1, one + 3 * half > 1 + 2 * half, -one - half / 2 == -1)
    return "to nearest" if all(result.all() for result in results) else "not to nearest"


def _checksum(arrays: dict[str, Array]) -> str:
    """Return a CRC-32 of the numbers of arrays, one after the other: which any language has."""
    whole = 0
    for array in arrays.values():
        whole = zlib.crc32(array.astype(array.dtype.newbyteorder("<")).tobytes(), whole)
    return f"{whole:08x}"


def _layout(arrays: dict[str, Array]) -> str:
    """Say how arrays lie in memory: what they have in common, or which is different."""
    plain = [a.flags.c_contiguous and a.flags.aligned and a.dtype.isnative for a in arrays.values()]
    odd = [name for name, good in zip(arrays, plain, strict=True) if not good]
    return f"not dense in C order: {', '.join(odd)}" if odd else "dense, C order"


def serve(worker: Worker, requests: Iterable[str], replies: TextIO) -> None:
    """Answer requests, a line each, until `quit` or the end of the input."""
    for line in requests:
        answer = worker.answer(line)
        if answer is None:
            return
        replies.write(json.dumps(answer) + "\n")
        replies.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a process: requests on standard input, answers to `BENCH_REPLY_FD`."""
    parser = argparse.ArgumentParser(prog="python -m bench.workers.worker", description=__doc__)
    parser.add_argument("--implementation", required=True, help="what computes, such as numpy")
    name = parser.parse_args(arguments).implementation
    try:
        descriptor = int(os.environ["BENCH_REPLY_FD"])
        worker = Worker(implementation(name))
    except (KeyError, ValueError, UsageError) as error:
        parser.error(
            f"{error} (BENCH_REPLY_FD must name an open file; workers are not run by hand)"
        )
    with os.fdopen(descriptor, "w") as replies:
        serve(worker, sys.stdin, replies)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
