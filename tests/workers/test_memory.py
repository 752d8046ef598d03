"""Holds the memory of an epoch in Mojo to what it needs, and a second one to nothing more.

Measured in a process of its own, by what the system says of it: what is resident, the most that
ever was, and what malloc has given out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIZES = [1024, 1024, 1024, 1024]
BATCH, ROWS = 256, 2048
NUMBER = 8  # bytes of a float64

PROGRAM = """
import ctypes, json, sys
import numpy as np
from mojo_impl import MLP

threads, sizes, batch, rows = json.loads(sys.argv[1])

def resident(line="VmRSS"):
    with open("/proc/self/status") as status:
        return next(int(row.split()[1]) for row in status if row.startswith(line)) * 1024

class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Mallinfo2

def given_out():
    facts = mallinfo2()
    return facts.uordblks + facts.hblkhd

def fresh_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")

def train(sizes, batch, X, y):
    network = MLP(sizes, batch_size=batch, seed=1)
    losses = np.zeros(len(X) // batch)
    none = np.zeros(0)
    def epoch():
        network._epoch(X, y, None, losses, none)
        assert np.isfinite(losses).all()
    return epoch

train([3, 3], 2, np.zeros((4, 3)), np.zeros((4, 3)))()  # what the first use of anything takes
given_out()
fresh_peak()
start = resident()
X, y = np.empty((rows, sizes[0])), np.empty((rows, sizes[-1]))
X[:], y[:] = 0.25, 0.5
epoch = train(sizes, batch, X, y)
epoch()
first_peak, after_first = resident("VmHWM"), resident()
first_given = given_out()
epoch()
second_given = given_out()
second_peak, after_second = resident("VmHWM"), resident()
print(json.dumps({
    "epoch": first_peak - start,
    "second peak": second_peak - first_peak,
    "second resident": after_second - after_first,
    "second malloc": second_given - first_given,
}))
"""


def measure(threads: int) -> dict[str, int]:
    order = json.dumps([threads, SIZES, BATCH, ROWS])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, order],
        cwd=ROOT,
        env=os.environ | {"MOJO_IMPL_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    print(found)  # noqa: T201  # pytest shows it with a failure, and always with -s
    return found


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells")
@pytest.mark.parametrize("threads", [1, 2])
def test_an_epoch_takes_what_it_needs_and_a_second_one_nothing(threads: int) -> None:
    pairs = list(pairwise(SIZES))
    parameters = sum((width_in + 1) * width_out for width_in, width_out in pairs)
    activations = BATCH * sum(SIZES[1:])
    data = ROWS * (SIZES[0] + SIZES[-1])
    needed = (parameters + activations + data) * NUMBER
    found = measure(threads)
    assert needed * 0.95 < found["epoch"] < 1.3 * needed, f"{found['epoch'] / needed:.2f} of it"
    assert found["second malloc"] == 0
    assert found["second resident"] <= 64 * 1024
    assert found["second peak"] <= 64 * 1024
