"""Arrays that are not what they say, or not for long: refused, and the interpreter stays up.

In a process of their own, as each of these once ended it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import sys
import numpy as np
from {package} import MLP
from boundary_things import ODD, lying, lying_of_dtype, unaligned
network = MLP([1, 1], seed=0, batch_size=1)
good = np.ones((1, 1))
def refused(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        print(type(error).__name__, error)
    else:
        print("answered")
"""


def printed(package: str, code: str) -> list[str]:
    """Run code in a fresh interpreter, which must end well, and return the lines it printed."""
    root = Path(__file__).parents[2]
    places = [str(root / "tests" / "boundary"), str(root)]
    path = f"import sys; sys.path[:0] = {places!r}\n"
    line = [sys.executable, "-X", "faulthandler", "-c", path + BEGIN.format(package=package) + code]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("package", ["python_impl", "mojo_impl"])
def test_an_array_that_lies_about_itself_is_taken_for_what_it_is(package: str) -> None:
    code = """
liar = lying(good, np.array(1.0))
for call in network.forward, network.predict, network.backprop:
    refused(call, liar)
network.forward(good)
refused(network.backprop, liar)
refused(network.loss, good, liar)
refused(network.loss, liar, good)
refused(network.fit, liar, good)
refused(network.predict, lying(good, np.ones((3, 1)))) # more rows than it says, which is fine
refused(network.predict, lying_of_dtype(good))
refused(network.predict, ODD["pretending, a scalar"](good))
refused(network.step, [liar], [good])
"""
    flat = "ValueError {} must have shape ({}, 1); got ()"
    assert printed(package, code) == [
        flat.format("X", "n"),
        flat.format("X", "n"),
        "RuntimeError backprop needs a forward first: call forward(X), then backprop(y)",
        flat.format("y", 1),
        flat.format("y_hat", 1),
        flat.format("y", "n"),
        flat.format("X", "n"),
        "answered",
        "TypeError X must be float64, the network's dtype; got int64: use X.astype('float64')",
        "TypeError X must be a NumPy array; got Pretending",
        flat.format("grads_w[0]", 1),
    ]


def test_an_array_that_changes_while_it_is_checked_is_refused() -> None:
    code = """
given = unaligned(good)
def meddle(frame, event, result):
    if event == "return" and frame.f_code.co_name == "check_array":
        given.shape = ()
for call in network.forward, network.predict, lambda X: network.loss(X, good):
    given.shape = (1, 1)
    sys.setprofile(meddle)
    refused(call, given)
    sys.setprofile(None)
"""
    changed = "RuntimeError an array changed its shape or dtype while it was in use"
    assert printed("mojo_impl", code) == [changed] * 3
