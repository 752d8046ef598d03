"""What may be believed of a run's files, whoever wrote them. Pure: no files, no paths.

Types are held by `bench.storage.runs`. Here are sense and size: what no run of ours ever holds, and
what would cost memory or time without end, overflow in the statistics, or speak to a terminal. What
does not hold is a `ValueError` that says what and where. The limits are far above anything
measured.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Mapping
from typing import Any

from bench.model.arithmetic import flops
from bench.model.cases import case_id
from bench.model.records import Cost, Fault, ParityResult, Run, Sample
from bench.model.workload import check_problem

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
"""Characters that move a cursor, change colours, turn the direction of writing, or may not stand
in XML. Line ends and tabs may stand."""
SHOWN = "\N{REPLACEMENT CHARACTER}"
DEEPEST = 24
LARGEST_INTEGER = 2**63 - 1
LONGEST_NAME = 200

MOST: dict[str, int] = {
    "layers": 1_000,
    "layer_sizes": 2**31,
    "batch_size": 2**31,
    "rows": 2**40,
    "threads": 2**16,
    "invocations": 10**6,
    "loops": 10**15,
    "cost_rounds": 10**4,
}
SHORTEST_NS, LONGEST_NS = 1e-3, 10**18
"""Of one repetition and of one reading: between them even the interval of a ratio of two
invocations stays a number, Student's t of 12.7 and logarithms and all."""


def plain(text: str) -> str:
    """Write a text without characters that a terminal obeys: a mark stands for each."""
    return UNSEEN.sub(SHOWN, text)


def cleaned(value: Any, place: str = "$", depth: int = 0) -> Any:
    """Copy what was read from JSON, all texts and names in it `plain`.

    Raises:
        ValueError: It is nested without end, or holds an integer of more than 64 bits.
    """
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise ValueError(f"an integer of more than 64 bits - at `{place}`")
    if isinstance(value, dict | list) and depth == DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} deep - at `{place}`")
    if isinstance(value, dict):
        return {
            plain(key): cleaned(item, f"{place}.{key}"[:LONGEST_NAME], depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [cleaned(item, f"{place}[...]"[:LONGEST_NAME], depth + 1) for item in value]
    return value


def check_run(run: Run) -> None:
    """Check a plan: slots, names, and numbers from which something is made.

    Raises:
        ValueError: No run can have been planned so.
    """
    plan = run.plan
    roles = [worker.role for worker in plan.workers]
    if roles.count("baseline") != 1 or roles.count("again") > 1 or "candidate" not in roles:
        raise ValueError("a plan needs one baseline, at most one `again`, and a candidate")
    names = [run.name]
    names += [name for worker in plan.workers for name in (worker.label, worker.implementation)]
    for name in names:
        if not 1 <= len(name) <= LONGEST_NAME:
            raise ValueError(f"the name {name[:20]!r} has {len(name)} characters")
    _check_once("worker", [worker.label for worker in plan.workers])
    _check_number("schema", run.schema, 1)
    for tried in plan.pilot.values():
        for number in tried.fewer.values():
            _check_number("loops", number, 1)
    for problem in dict.fromkeys(case.problem for case in plan.cases):
        check_problem(problem, _check_number)
    for case in plan.cases:
        if flops(case) > LARGEST_INTEGER:
            raise ValueError(f"the arithmetic of {case_id(case)} is beyond any machine")
    _check_once("case", [case_id(case) for case in plan.cases])


def _check_number(what: str, number: int, least: int) -> None:
    most = MOST.get(what, LARGEST_INTEGER)
    if not least <= number <= most:
        raise ValueError(f"{what}: {number} is not from {least} to {most}")


def _check_once(what: str, names: list[str]) -> None:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"the {what} {twice!r} is there twice")


def is_reading(elapsed_ns: float, loops: int) -> bool:
    """Tell whether a time for so many repetitions can have been measured."""
    countable = 1 <= loops <= MOST["loops"] and 1 <= elapsed_ns <= LONGEST_NS
    return countable and elapsed_ns >= SHORTEST_NS * loops


def sample_check(run: Run) -> Callable[[Sample], None]:
    """Return what checks a reading of this run; it raises a `ValueError`."""
    labels: Container[str] = {worker.label for worker in run.plan.workers}
    rounds: Mapping[str, int] = {
        name: max(1, run.plan.rounds.get(name, 0)) if run.source == "bench" else LARGEST_INTEGER
        for name in map(case_id, run.plan.cases)
    }

    def check(sample: Sample) -> None:
        most = rounds.get(sample.case)
        if most is None or sample.worker not in labels:
            strange = f"case {sample.case!r} by worker {sample.worker!r}"
            raise ValueError(f"{strange} is not in the plan")
        if not is_reading(sample.elapsed_ns, sample.loops):
            raise ValueError(f"{sample.elapsed_ns} ns for {sample.loops} loops is no reading")
        told = (sample.at_ns, sample.cpu_ns, sample.preempted, sample.page_faults, sample.position)
        if max(abs(number or 0) for number in told) > LARGEST_INTEGER:
            raise ValueError("an integer of more than 64 bits")
        if not 0 <= sample.invocation <= MOST["invocations"] or not (0 <= sample.round <= most):
            where = f"invocation {sample.invocation}, round {sample.round}"
            raise ValueError(f"{where} is not in the plan")
        if not sample.round and not sample.warmup and run.source == "bench":
            raise ValueError("round 0 is the warm-up, and this reading is not labelled as one")

    return check


def check_record(record: Any) -> None:
    """Check a record that is no reading for numbers from which text is made.

    Raises:
        ValueError: A number is not what it can be.
    """
    if isinstance(record, Fault):
        _check_number("invocation", record.invocation, -1)
    if isinstance(record, Cost):
        _check_number("cost_rounds", record.round, 0)
        if record.value is not None and not 0 <= record.value <= LONGEST_NS:
            raise ValueError(f"{record.value} is no cost")
    if isinstance(record, ParityResult):
        for tensor in record.tensors:
            if tensor.error < 0 or tensor.tolerance < 0 or min(tensor.shape, default=0) < 0:
                raise ValueError(f"{tensor.name}: a shape, error or tolerance below 0")


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that a spreadsheet takes for a formula; the last four are their wide forms."""
