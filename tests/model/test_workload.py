"""Tests of the seam: only what stands on its far side knows of layers and batches."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from bench.model.records import Problem
from bench.model.workload import AXES, along, batches_of, check_problem, columns_of, rest_text

ROOT = Path(__file__).parents[2]
# The network itself, its data, its tensors and its worker; and the matrix, with names and FLOPs.
OF_THE_NETWORK = {
    *("workload", "cases", "records", "datasets", "exchange", "tensors", "parity"),
    *("implementations", "timed", "worker", "conformance", "findings", "protocol", "test_speed"),
    *("seeded_faults", "slowdowns", "rivals", "train", "train_chart", "cli_train", "real_data"),
    *("weights", "costs", "validate"),
}
FIELDS = {"layer_sizes", "batch_size"}
NETWORK = Problem((1, 50, 50, 1), 20, 510, "float64", 1)


@pytest.mark.parametrize(
    "path",
    [path for path in sorted((ROOT / "bench").glob("*.py")) if path.stem not in OF_THE_NETWORK],
    ids=lambda path: path.stem,
)
def test_the_harness_asks_no_problem_for_its_layers(path: Path) -> None:
    tree = ast.parse(path.read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (node.attr in FIELDS or (node.attr == "rows" and "problem" in ast.unparse(node.value)))
    }
    assert not used


def test_an_epoch_has_its_full_batches() -> None:
    assert batches_of(NETWORK) == 25
    assert columns_of(NETWORK) == {
        "layer_sizes": "1,50,50,1",
        "batch_size_rows": 20,
        "data_rows": 510,
    }


@pytest.mark.parametrize(
    ("axis", "value", "text"),
    [
        ("width", 50, "2 hidden layers, 1 in and 1 out, batch 20, 510 rows"),
        ("depth", 2, "hidden layers of 50, 1 in and 1 out, batch 20, 510 rows"),
        ("batch", 20, "1,50x2,1, 510 rows"),
        ("rows", 510, "1,50x2,1, batch 20"),
    ],
)
def test_a_problem_lies_on_every_axis(axis: str, value: int, text: str) -> None:
    name = next(one for one in AXES if one == axis)
    place, rest = along(name, NETWORK)
    assert place == value
    assert rest_text(name, rest) == text


def test_what_lies_beside_an_axis_is_the_same_all_along_it() -> None:
    wider = replace(NETWORK, layer_sizes=(1, 70, 70, 1))
    deeper = replace(NETWORK, layer_sizes=(1, 50, 50, 50, 1))
    assert along("width", wider)[1] == along("width", NETWORK)[1]
    assert along("depth", deeper)[1] == along("depth", NETWORK)[1]
    assert along("depth", wider)[1] != along("depth", NETWORK)[1]
    uneven = replace(NETWORK, layer_sizes=(1, 50, 60, 1))
    assert along("width", uneven)[0] == along("depth", uneven)[0] == 0


def test_the_numbers_of_a_problem_are_checked_one_by_one() -> None:
    seen: list[tuple[str, int, int]] = []
    check_problem(NETWORK, lambda *one: seen.append(one))
    assert ("layer_sizes", 50, 1) in seen
    assert ("rows", 510, 20) in seen
    assert {name for name, _, _ in seen} == {
        *("layers", "layer_sizes", "batch_size", "rows", "threads"),
    }
