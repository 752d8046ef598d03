"""The published protocol is what the records say, and what our own workers speak."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from bench.model.errors import StoreError
from bench.model.paths import PROJECT
from bench.model.records import PHASES, Phase, Problem
from bench.workers import messages as protocol
from bench.workers import tensor_files as exchange
from bench.workers.datasets import data_folder
from bench.workers.implementations.drivers import Mojo, NumPy
from bench.workers.parity import ANOTHER_SEED, EXTREME, TIMED
from bench.workers.worker import Worker

PUBLISHED = json.loads(protocol.FILE.read_bytes())
PAGE = (PROJECT / "docs" / "protocol.md").read_text()
SMALL = Problem((2, 3, 1), 2, 7, "float32", 1)


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(
        {"$schema": protocol.DIALECT, "$defs": PUBLISHED["$defs"], **schema}
    )


REQUEST = validator({"oneOf": PUBLISHED["oneOf"]})


def conversation(kind: type[Any], cache: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Ask a worker of ours everything once, and give each request with its answer."""
    worker = Worker(kind())
    data, _ = data_folder(SMALL, cache)
    problem = {
        "layer_sizes": [2, 3, 1], "batch_size": 2, "rows": 7, "dtype": "float32", "threads": 1,
    }  # fmt: skip
    requests: list[dict[str, Any]] = [
        {"op": "describe"},
        {"op": "prepare", "problem": problem, "data": str(data), "seed": 1},
        {"op": "costs"},
        *({"op": "sample", "phase": phase, "loops": 2} for phase in (*PHASES, "call", "timer")),
        {"op": "sample", "phase": "forward", "loops": 1, "rouse_ns": 10},
        {"op": "reset"},
    ]
    for epochs in (0, 2):
        folder = cache / f"tensors{epochs}"
        folder.mkdir()
        requests.append({"op": "tensors", "folder": str(folder), "epochs": epochs})
    (cache / "train").mkdir()
    requests.append({"op": "train", "folder": str(cache / "train"), "epochs": 2})
    for request in requests:
        answer = worker.answer(json.dumps(request))
        yield request, json.loads(json.dumps(answer))


def test_the_schema_is_what_the_records_say() -> None:
    assert protocol.FILE.read_bytes() == protocol.text(), "run `python -m bench.workers.messages`"
    Draft202012Validator.check_schema(PUBLISHED)
    assert PUBLISHED["version"] == protocol.PROTOCOL == max(protocol.HISTORY)
    assert PUBLISHED["$id"].endswith(f":{protocol.PROTOCOL}")
    assert PUBLISHED["answers"].keys() | {"quit"} == protocol.REQUESTS.keys()


def test_the_command_writes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(protocol, "FILE", tmp_path / "protocol.json")
    protocol.main()
    assert capsys.readouterr().out == "wrote protocol.json\n"
    assert (tmp_path / "protocol.json").read_bytes() == protocol.text()
    monkeypatch.setattr(protocol, "FILE", tmp_path / "protocol.json" / "below")
    with pytest.raises(StoreError, match="cannot write"):
        protocol.main()


@pytest.mark.parametrize("kind", [NumPy, Mojo])
def test_our_own_workers_speak_it(kind: type[Any], tmp_path: Path) -> None:
    asked = set()
    for request, answer in conversation(kind, tmp_path):
        asked.add(request["op"])
        REQUEST.validate(request)
        validator(PUBLISHED["answers"][request["op"]]).validate(answer)
    assert asked | {"quit"} == protocol.REQUESTS.keys()
    REQUEST.validate({"op": "quit"})


def test_what_our_worker_refuses_is_no_request_and_its_answer_a_refusal() -> None:
    worker = Worker(NumPy())
    wrong: list[dict[str, Any]] = [
        {"op": "dance"}, {}, {"op": "sample", "phase": "forward", "loops": 0},
        {"op": "sample", "phase": "nap", "loops": 1}, {"op": "sample", "phase": "forward"},
        {"op": "prepare", "problem": {"rows": 5}, "data": "x", "seed": 1},
    ]  # fmt: skip
    for request in wrong:
        assert not REQUEST.is_valid(request), request
        answer = worker.answer(json.dumps(request))
        validator({"$ref": "#/$defs/Refused"}).validate(answer)
        assert not validator(PUBLISHED["answers"]["reset"]).is_valid(answer)


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": 2}, {"threads": 0}, {"denormals": "perhaps"}, {"phases": ["nap"]},
        {"versions": {"numpy": 2}}, {"language": ""},
    ],
)  # fmt: skip
def test_a_description_that_is_wrong_does_not_fit(change: dict[str, Any]) -> None:
    answer = json.loads(json.dumps(Worker(NumPy()).answer('{"op": "describe"}')))
    check = validator(PUBLISHED["answers"]["describe"])
    assert check.is_valid(answer)
    assert check.is_valid(answer | {"mood": "good"})  # more may stand there
    assert not check.is_valid(answer | change)


def test_every_request_and_answer_is_in_the_document() -> None:
    for op in protocol.REQUESTS:
        assert f'| `{{"op": "{op}"' in PAGE
    for kind in protocol.ANSWERS.values():
        for field in kind.__struct_encode_fields__:
            assert f"`{field}`" in PAGE or field == "ok", field


# What is handed over in files


def example(epochs: int) -> exchange.Shapes:
    return exchange.tensor_shapes(Problem((1, 4, 4, 2), 5, 23, "float64", 1), epochs)


def test_names_of_files_are_safe_and_all_different() -> None:
    shapes = example(2) | exchange.training_shapes(SMALL, 2) | {"grid": (), "curve": ()}
    files = [exchange.file_name(name) for name in shapes]
    assert len(set(files)) == len(files)
    assert all(set(file) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_") for file in files)
    assert exchange.file_name(f"{TIMED}grads_w[0]") == "timed-grads_w-0"


def test_every_file_is_in_the_document() -> None:
    def general(name: str) -> str:
        file = exchange.file_name(name)
        if file.startswith(("extreme", "activations")):
            return file
        return f"{file[:-1]}k" if file[-2:-1] == "-" else file

    for name in (*example(2), *exchange.training_shapes(Problem((1, 1), 1, 1, "float64", 1), 1)):
        if not name.startswith("activations"):
            assert f"`{general(name)}`" in PAGE or f"`{general(name)}.npy`" in PAGE, name


def test_what_is_written_is_read_and_what_is_missing_is_left_out(tmp_path: Path) -> None:
    shapes = example(2)
    arrays = {name: np.full(shape, place, np.float64) for place, (name, shape) in
              enumerate(shapes.items())}  # fmt: skip
    left_out = f"{EXTREME}y_hat of NaN and infinity"
    exchange.write(tmp_path, {name: a for name, a in arrays.items() if name != left_out})
    found = exchange.read(tmp_path, shapes)
    assert [*found] == [name for name in shapes if name != left_out]
    assert all(np.array_equal(found[name], arrays[name]) for name in found)
    assert found["loss"].shape == ()


def test_odd_layouts_are_written_as_the_document_says(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    exchange.write(tmp_path, {"a": np.asfortranarray(array), "b": array.astype(">f8"),
                              "c": array[:, ::-1]})  # fmt: skip
    for name, expected in (("a", array), ("b", array), ("c", array[:, ::-1])):
        content = (tmp_path / f"{name}.npy").read_bytes()
        assert b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }" in content
        assert content[128:] == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("phase", PHASES)
def test_of_one_phase_only_its_tensors_are_needed(phase: Phase) -> None:
    names = {name: np.empty(0) for name in example(2)}
    names |= {f"{ANOTHER_SEED}{name}": np.empty(0) for name in example(0)}
    found = exchange.needed(names, [phase])
    others = exchange.needed(names, [one for one in PHASES if one != phase])
    assert found.keys() | others.keys() == names.keys()
    common = {name.removeprefix(ANOTHER_SEED).partition("[")[0] for name in found.keys() & others}
    assert common == {"initial weights", "initial biases"}
    telling = {"forward": "y_hat", "backprop": "stepped biases[0]", "epoch": f"{TIMED}biases[0]"}
    assert telling[phase] in found
    assert telling[phase] not in others
