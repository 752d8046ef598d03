"""Weights in files: what is written is read again, and what anyone else wrote is held to be so."""

from __future__ import annotations

import io
import os
import pickle
import tempfile
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.model.errors import UsageError
from bench.training.weights import SCALING, Scaling, Weights, load_table, load_weights, save_weights

Arrays = dict[str, Any]


def network(dtype: str = "float64") -> Weights:
    random = np.random.RandomState(0)
    sizes = (3, 4, 2)
    pairs = list(pairwise(sizes))
    return Weights(
        tuple(random.randn(*pair).astype(dtype) for pair in pairs),
        tuple(random.randn(1, width).astype(dtype) for _, width in pairs),
    )


def scaling() -> Scaling:
    return Scaling(np.zeros(3), np.full(3, 2.0), np.ones(2), np.array([5.0, -1.0]))


def arrays() -> Arrays:
    found = network()
    return {f"weights_{place}": array for place, array in enumerate(found.weights)} | {
        f"biases_{place}": array for place, array in enumerate(found.biases)
    }


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_is_written_is_read_again(tmp_path: Path, dtype: str) -> None:
    save_weights(tmp_path / "w.npz", network(dtype))
    found = load_weights(tmp_path / "w.npz")
    assert (found.layer_sizes, found.dtype, found.scaling) == ((3, 4, 2), dtype, None)
    for name in ("weights", "biases"):
        for mine, other in zip(getattr(found, name), getattr(network(dtype), name), strict=True):
            assert mine.dtype == other.dtype
            assert mine.tobytes() == other.tobytes()


def test_the_scaling_of_the_data_comes_along(tmp_path: Path) -> None:
    one = network()
    save_weights(tmp_path / "w.npz", Weights(one.weights, one.biases, scaling()))
    found = load_weights(tmp_path / "w.npz").scaling
    assert found is not None
    assert all(np.array_equal(getattr(found, n), getattr(scaling(), n)) for n in SCALING)


def test_a_folder_of_files_is_read_and_what_else_lies_there_is_not(tmp_path: Path) -> None:
    for name, array in arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "X.npy", np.array([object()]), allow_pickle=True)
    (tmp_path / "history.csv").write_text("epoch\n")
    found = load_weights(tmp_path)
    assert found.layer_sizes == (3, 4, 2)
    assert np.array_equal(found.weights[1], network().weights[1])


WRONG: list[tuple[str, Callable[[], Arrays], str]] = [
    ("nothing", dict, "not weights_0, biases_0 and so on, one pair a layer; they are none"),
    ("another", lambda: arrays() | {"x": np.ones(1)}, "not weights_0, biases_0"),
    ("a gap", lambda: {k: v for k, v in arrays().items() if k != "weights_0"}, "not weights_0"),
    ("no bias", lambda: {k: v for k, v in arrays().items() if k != "biases_1"}, "not weights_0"),
    ("path", lambda: arrays() | {"../weights_2": np.ones((2, 2))}, "not weights_0"),
    ("two dtypes", lambda: arrays() | {"biases_1": np.ones((1, 2), np.float32)},
     "biases_1 is float32, and weights_0 float64"),
    ("NaN", lambda: arrays() | {"biases_1": np.array([[1, np.nan]])},
     "biases_1 is empty, or holds"),
    ("infinity", lambda: arrays() | {"weights_1": np.full((4, 2), np.inf)},
     "weights_1 is empty, or"),
    ("empty", lambda: arrays() | {"weights_1": np.ones((4, 0))}, "weights_1 is empty, or holds"),
    ("1-d", lambda: arrays() | {"biases_1": np.ones(2)}, r"biases_1 has the shape \(2,\)"),
    ("bias", lambda: arrays() | {"biases_1": np.ones((1, 3))},
     r"weights_1 has the shape \(4, 2\) and biases_1 \(1, 3\)"),
    ("chain", lambda: arrays() | {"weights_1": np.ones((5, 2))},
     r"weights_0 has the shape \(3, 4\) and weights_1 \(5, 2\): what comes out of the one"),
    ("some scaling", lambda: arrays() | {"x_shift": np.ones(3)}, "not weights_0"),
    ("short scaling", lambda: arrays() | dict.fromkeys(SCALING, np.ones(3)), "y_shift has not one"),
    ("zero scale", lambda: arrays() | {name: np.zeros(3 - (name[0] == "y")) for name in SCALING},
     "x_scale has not one number other than 0 for each of 3"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_what_is_no_network_is_refused(
    tmp_path: Path, make: Callable[[], Arrays], words: str
) -> None:
    np.savez(tmp_path / "w.npz", **make())
    with pytest.raises(UsageError, match=f"w.npz holds no network: .*{words}"):
        load_weights(tmp_path / "w.npz")


class Trap:
    """Would write a file if it were unpickled."""

    def __reduce__(self) -> Any:
        return (os.mkdir, ("sprung",))


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("objects.npz", weights_0=np.array([Trap()]))
    Path("pickle.npz").write_bytes(pickle.dumps(Trap()))
    Path("folder").mkdir()
    np.save("folder/weights_0.npy", np.array([Trap()]), allow_pickle=True)
    for name in ("objects.npz", "pickle.npz", "folder"):
        with pytest.raises(UsageError, match="holds no weights that can be read"):
            load_weights(Path(name))
    assert not Path("sprung").exists()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    words = {
        "missing": "No such file",
        "pipe": "no plain file",
        "empty": "has no files weights_0.npy",
    }
    for name, reason in words.items():
        with pytest.raises(UsageError, match=reason):
            load_weights(tmp_path / name)
    (tmp_path / "empty" / "weights_0.npy").symlink_to(tmp_path / "pipe")
    with pytest.raises(UsageError, match="no plain file"):
        load_weights(tmp_path / "empty")


def test_a_header_that_lies_takes_no_memory(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 3), }\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(24)
    (tmp_path / "weights_0.npy").write_bytes(content)
    with pytest.raises(UsageError, match="too short for its shape"):
        load_weights(tmp_path)
    with pytest.raises(UsageError, match="too short for its shape"):
        load_table(tmp_path / "weights_0.npy")


@given(st.binary(max_size=200), st.integers(0, 1000))
def test_damaged_files_are_refused_or_read(content: bytes, place: int) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays())
    whole = buffer.getvalue()
    place = place * len(whole) // 1000
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "w.npz"
        for damaged in (content, whole[:place] + content + whole[place + len(content) :]):
            path.write_bytes(damaged)
            with suppress(UsageError):
                assert load_weights(path).layer_sizes == (3, 4, 2)


def test_tables_have_rows_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "X.npy"
    np.save(path, np.ones((2, 3), np.float32))
    assert load_table(path).shape == (2, 3)
    for array, words in (
        (np.ones(3), "rows and columns are needed"), (np.ones((0, 3)), "rows and columns"),
        (np.ones((1, 1, 1)), "has the shape"), (np.ones((2, 2), int), "not float64 or float32"),
    ):  # fmt: skip
        np.save(path, array)
        with pytest.raises(UsageError, match=words):
            load_table(path)
    with pytest.raises(UsageError, match="No such file"):
        load_table(tmp_path / "missing")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        save_weights(tmp_path / "nowhere" / "w.npz", network())
