"""Compares what two implementations computed for one problem, tensor by tensor and by name.

Pure: arrays in, a `ParityResult` out. The tensors come from `bench.implementations.tensors`, with
`training_loss` and `validation_loss` of a `fit` beside them.

The error of a tensor is the length of the difference over the length of the longer of the two
(Frobenius norm), so it is the same for small and large numbers and lies between 0 and 2. The
error of a loss trajectory is the root mean square of the relative differences batch by batch. A
tensor that cannot be compared (missing, or of another shape or dtype, or with NaN or infinity in
other places) has the error 2, the largest there is.

What a gradient may differ by depends on three things, all read from the tensors:

- how far NumPy's own float32 lies from its float64 on the same case;
- how many digits the output delta y_hat - y loses: rms(y_hat) / rms(y_hat - y) of them, and the
  loss is the square of the second;
- gates: a pre-activation of almost 0 may fall on the other side of the ReLU. The activation stays
  the same to rounding but the gradients below lose or gain the whole path through it. Such gates
  are counted; each adds its share of the gradient's length and no more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.model.cases import problem_id
from bench.model.records import ParityResult, Problem, TensorCheck
from bench.model.registry import flushes

Array = NDArray[Any]
Tensors = Mapping[str, Array]

TIMED, EXTREME, ANOTHER_SEED = "timed: ", "extreme: ", "another seed: "
"""What the names begin with of tensors that the timed code left, of those that come of numbers out
of the ordinary, and of all tensors again with other weights: an answer known beforehand fails."""
TRAJECTORIES = ("training_loss", "validation_loss")
FIRST_LOSS = "training_loss[0]"
INCOMPARABLE = 2.0


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A number of the table, what it is a multiple of, and where it comes from."""

    value: float
    of: str
    origin: str


TOLERANCES: dict[str, Tolerance] = {
    "same": Tolerance(
        0, "the tensor, bit for bit",
        "X comes from the same file and the initial parameters from the same random stream",
    ),
    "float64": Tolerance(
        1e-12, "the tensor",
        "adding in another order moved a tensor by at most 2e-15 of its length, in networks up to "
        "1024 wide and 10 layers deep; the rest is room for sums that cancel",
    ),
    "float32": Tolerance(
        32, "NumPy's float32-to-float64 distance, or the dtype's epsilon if that is more",
        "adding in another order lay within 3 of these in 99 % of 4,000 random networks and "
        "within 27 in all; the far ones were sums of a few terms that cancelled",
    ),
    "step": Tolerance(
        4, "the dtype's epsilon",
        "both sides subtract from the same parameters: a rounding or two, fused or not; what the "
        "gradient may differ by comes on top, by its share in the result",
    ),
    "gate": Tolerance(
        4, "the root of the share of gates that differ",
        "one of n equal paths is 1/sqrt(n) of a gradient's length; paths differ, hence 4",
    ),
    "trained float64": Tolerance(
        1e-10, "the tensor, after two timed epochs",
        "as of the losses; one step more or less moves it by a thousandth",
    ),
    "trained float32": Tolerance(
        1e-3, "the tensor, after two timed epochs; or as for `float32` if that is more",
        "a gate on the other side moves single weights; what works in float64 and not in float32 "
        "is told by the gradients",
    ),
    "subnormal": Tolerance(
        1e-2, "the tensor",
        "inputs of eleven bits; where they are flushed to zero the error is 1",
    ),
    "most": Tolerance(
        0.3, "the tensor",
        "whatever the case, more is taken for a fault: a missing term or factor gives 0.5 and "
        "more; one gate gives as much only in networks of a few gates, once in a million cases",
    ),
    "float64 losses": Tolerance(
        1e-10, "each loss, over the first epochs",
        "demanded of the project; adding in another order gave 2e-14",
    ),
    "float32 losses": Tolerance(
        0.5, "each loss",
        "training multiplies what one gate moves: two correct runs of the 150-wide network came "
        "to lie 0.2 apart within two epochs. This one tells a network that does not learn; the "
        "first loss, before any step, is held to rounding",
    ),
}  # fmt: skip


def demanded(name: str, implementation: str) -> bool:
    """Tell whether a tensor is demanded of an implementation.

    Of numbers that are subnormal, of every one that does not say, by `bench.model.registry`, that
    it cannot keep them; the others of all.
    """
    return not (name.startswith(EXTREME) and "subnormal" in name and flushes(implementation))


def check(
    problem: Problem,
    reference_name: str,
    candidate_name: str,
    reference: Tensors,
    candidate: Tensors,
    reference64: Tensors,
) -> ParityResult:
    """Compare every tensor of the candidate with the reference's.

    Args:
        problem: What was computed.
        reference_name: Name of the reference implementation.
        candidate_name: Name of the candidate.
        reference: Its tensors by name, in the problem's dtype.
        candidate: The candidate's.
        reference64: The reference's for the same problem in float64; may be `reference` itself
            where the problem is in float64.

    Returns:
        One check per tensor that is demanded of the candidate, in the order of the computation;
        the reason names the first that differs, as the others may only follow from it.
    """
    reference, candidate = _with_first_loss(reference), _with_first_loss(candidate)
    limits: dict[str, float] = {}
    for seed in ("", ANOTHER_SEED):  # each with the gates and distances of its own tensors
        mine, theirs, exact = (
            _part(all_of, seed) for all_of in (reference, candidate, reference64)
        )
        found = _limits(problem, mine, theirs, exact)
        limits |= {f"{seed}{name}": limit for name, limit in found.items()}
    checks: list[TensorCheck] = []
    failures: list[str] = []
    for name in [*reference, *(name for name in candidate if name not in reference)]:
        if not demanded(name, candidate_name):
            continue
        limit = limits.get(name, 0.0)
        finding = _mismatch(
            name, problem.dtype, (reference_name, reference), (candidate_name, candidate)
        )
        if finding:
            error = INCOMPARABLE
        else:
            error = _distance(name, reference[name], candidate[name])
            if _must_be_same(name) and reference[name].tobytes() != candidate[name].tobytes():
                finding = (
                    f"{name} of {candidate_name} is not bit for bit that of {reference_name}: "
                    f"error {error:.2g}, tolerance 0"
                )
            elif error > limit:
                finding = (
                    f"{name} of {candidate_name} differs from {reference_name}: "
                    f"error {error:.2g}, tolerance {limit:.2g}"
                )
        shape = reference.get(name, candidate.get(name, np.empty(0))).shape
        checks.append(TensorCheck(name, shape, error, limit, not finding))
        if finding:
            failures.append(finding)
    reason = failures[0] if failures else ""
    if len(failures) > 1:
        reason += f" (and {len(failures) - 1} more)"
    return ParityResult(problem_id(problem), reference_name, candidate_name, tuple(checks), reason)


def _with_first_loss(tensors: Tensors) -> Tensors:
    """Let the first loss of `fit`, which no step has moved yet, stand as a tensor of its own."""
    found: dict[str, Array] = {}
    for name, tensor in tensors.items():
        if name == "training_loss":
            found[FIRST_LOSS] = tensor[:1]
        found[name] = tensor
    return found


def _part(tensors: Tensors, prefix: str) -> Tensors:
    """Choose the tensors of another seed, without that in their names, or all others."""
    if prefix:
        return {name.removeprefix(prefix): a for name, a in tensors.items() if prefix in name}
    return {name: a for name, a in tensors.items() if ANOTHER_SEED not in name}


def _must_be_same(name: str) -> bool:
    return name.removeprefix(ANOTHER_SEED).startswith(("initial ", "activations[0]"))


def _mismatch(
    name: str, dtype: str, reference: tuple[str, Tensors], candidate: tuple[str, Tensors]
) -> str:
    """Say why a tensor of two named sides cannot be compared; empty if it can."""
    expected = "float64" if "loss" in name else dtype
    for side, tensors in (reference, candidate):
        if name not in tensors:
            return f"{name} is missing from {side}"
        if tensors[name].dtype != expected:
            return f"{name} of {side} is {tensors[name].dtype}, not {expected}"
    a, b = reference[1][name], candidate[1][name]
    if a.shape != b.shape:
        return f"{name} has shape {b.shape} in {candidate[0]} and {a.shape} in {reference[0]}"
    for what, find in (("NaN", np.isnan), ("+inf", np.isposinf), ("-inf", np.isneginf)):
        differ = int(np.count_nonzero(find(a) != find(b)))
        if differ:
            return (
                f"{name} of {candidate[0]} has {what} in other places than {reference[0]}: "
                f"{differ} of {a.size} differ"
            )
    return ""


def _distance(name: str, a: Array, b: Array) -> float:
    """Measure the error between two tensors of one shape, their finite places only."""
    finite = np.isfinite(a)
    a = np.where(finite, a, 0).astype(np.float64)
    b = np.where(finite, b, 0).astype(np.float64)
    if name in TRAJECTORIES:
        size = np.maximum(np.abs(a), np.abs(b))
        apart = np.divide(a - b, size, out=np.zeros_like(a), where=size > 0)
        return float(np.sqrt(np.mean(np.square(apart)))) if a.size else 0.0
    largest = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    if not largest:
        return 0.0
    a, b = a / largest, b / largest  # so that no square overflows or vanishes
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(a), np.linalg.norm(b)))


def _limits(
    problem: Problem, reference: Tensors, candidate: Tensors, reference64: Tensors
) -> dict[str, float]:
    """Work out what each tensor of the reference may differ by."""
    value = {name: tolerance.value for name, tolerance in TOLERANCES.items()}
    epsilon = float(np.finfo(problem.dtype).eps)
    gates = _gates(problem, reference, candidate)
    if problem.dtype == "float64":
        forward, behind = value["float64"], 0.0
    else:
        forward, behind = (
            value["float32"] * max(epsilon, distance)
            for distance in _own_distances(problem, reference, reference64)
        )

    def limit(name: str) -> float:
        if _must_be_same(name):
            return value["same"]
        if name.startswith(EXTREME):
            return value["subnormal"] if "subnormal" in name else forward
        if name.startswith((f"{TIMED}weights", f"{TIMED}biases")):
            trained = value[f"trained {problem.dtype}"]
            if problem.dtype == "float64" or name not in reference64:
                return trained
            apart = _distance(name, reference[name], reference64[name])
            return max(trained, value["float32"] * apart)
        name = name.removeprefix(TIMED)
        if name in TRAJECTORIES:
            return value[f"{problem.dtype} losses"]
        if name in ("loss", FIRST_LOSS):
            return forward * _lost(reference, name)
        if not name.startswith(("grads_", "stepped ")):
            return forward
        gradient = max(forward * _lost(reference, "loss"), behind) + gates[_layer(name)]
        if not name.startswith("stepped "):
            return gradient
        step = _distance(name, reference[name], reference[name.replace("stepped", "initial")])
        return value["step"] * epsilon + step * gradient

    return {
        name: limit(name) if name in TRAJECTORIES else min(limit(name), value["most"])
        for name in reference
    }


def _own_distances(
    problem: Problem, reference: Tensors, reference64: Tensors
) -> tuple[float, float]:
    """Measure how far the reference lies from its float64, forward and in the gradients.

    Gradients below a gate that differs between the two are left out: that is not rounding.
    """
    gates = _gates(problem, reference, reference64)
    forward, behind = 0.0, 0.0
    for name, tensor in reference.items():
        if name not in reference64 or tensor.shape != reference64[name].shape:
            continue
        if name == "y_hat" or name.startswith("activations["):
            forward = max(forward, _distance(name, tensor, reference64[name]))
        elif name.startswith("grads_") and not gates[_layer(name)]:
            behind = max(behind, _distance(name, tensor, reference64[name]))
    return forward, behind


def _layer(name: str) -> int:
    return int(name[name.index("[") + 1 : -1])


def _lost(reference: Tensors, loss: str) -> float:
    """Estimate by how much y_hat - y magnifies a relative error of y_hat: at least 1."""
    if "y_hat" not in reference or loss not in reference:
        return 1.0
    with np.errstate(all="ignore"):  # where either overflows there is nothing to estimate
        size = np.sqrt(np.mean(np.square(reference["y_hat"], dtype=np.float64)))
        lost = float(size / np.sqrt(reference[loss].sum()))
    return max(1.0, lost) if math.isfinite(lost) else 1.0


def _gates(problem: Problem, a: Tensors, b: Tensors) -> list[float]:
    """Work out, layer by layer, what gates on different sides may add to a gradient's error."""
    names = [f"activations[{place}]" for place in range(1, len(problem.layer_sizes) - 1)]
    allowances = [0.0]  # the last layer has no gate after it
    share = 0.0
    for name in reversed(names):
        if name in a and name in b and a[name].shape == b[name].shape:
            open_a, open_b = a[name] > 0, b[name] > 0
            differ, either = int((open_a != open_b).sum()), int((open_a | open_b).sum())
            share += differ / max(1, either)
        allowances.append(TOLERANCES["gate"].value * math.sqrt(share))
    return allowances[::-1]
