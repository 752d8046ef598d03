"""Holds the data sets to their definition, and the cache to noticing what is damaged or stale."""

from __future__ import annotations

import math
import random
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.model.errors import UsageError
from bench.model.records import DType, Problem
from bench.workers import datasets
from bench.workers.datasets import (
    NAMES,
    DataSet,
    data_folder,
    data_for,
    regression,
    sinc,
    true_sinc,
)


def problem(*sizes: int, rows: int = 30, dtype: DType = "float64") -> Problem:
    return Problem(sizes, 5, rows, dtype, 1)


class TwisterUniform:
    """The legacy stream's doubles by Python's own MT19937, seeded as NumPy's legacy seeding does.

    Shows that the documented order of draws is enough for another language.
    """

    def __init__(self, seed: int) -> None:
        key = [seed & 0xFFFFFFFF]
        for place in range(1, 624):
            key.append((1812433253 * (key[-1] ^ (key[-1] >> 30)) + place) & 0xFFFFFFFF)
        self._twister = random.Random()
        self._twister.setstate((3, (*key, 624), None))
        self._second: float | None = None

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self._twister.random()

    def normal(self) -> float:
        """The polar method; the second value of a pair is kept for the next call."""
        if self._second is not None:
            value, self._second = self._second, None
            return value
        while True:
            a, b = self.uniform(-1, 1), self.uniform(-1, 1)
            square = a * a + b * b
            if 0 < square < 1:
                break
        factor = math.sqrt(-2 * math.log(square) / square)
        self._second = factor * a
        return factor * b


def test_sinc_is_what_its_docstring_says_bit_for_bit() -> None:
    data, stream = sinc(rows=41, seed=7), TwisterUniform(7)
    for part in ("", "_val", "_test"):
        x = [stream.uniform(-6, 6) for _ in range(41)]
        y = [math.sin(math.pi * v) / (math.pi * v) + 2 + 0.001 * stream.normal() for v in x]
        assert getattr(data, f"X{part}")[:, 0].tolist() == x
        assert getattr(data, f"y{part}")[:, 0].tolist() == y


def test_sinc_default_size_range_and_noise() -> None:
    data = sinc()
    for X, y in ((data.X, data.y), (data.X_val, data.y_val), (data.X_test, data.y_test)):
        assert X.shape == y.shape == (500, 1)
        assert X.dtype == y.dtype == np.float64
        assert -6 <= X.min() < -5.9
        assert 5.9 < X.max() <= 6
        residual = y - true_sinc(X)
        assert 0.0009 < residual.std() < 0.0011
        assert abs(residual.mean()) < 0.0002


def test_true_sinc() -> None:
    assert true_sinc(0.0) == 3
    assert true_sinc(-0.0) == 3
    np.testing.assert_allclose(true_sinc([1, -2, 0.5]), [2, 2, 2 + 2 / math.pi], rtol=1e-15)
    assert true_sinc(np.zeros((2, 3))).shape == (2, 3)
    x = np.linspace(-6, 6, 997)
    np.testing.assert_allclose(true_sinc(x), np.sinc(x) + 2, rtol=1e-14)


@given(
    width_in=st.integers(1, 200), width_out=st.integers(1, 20), rows=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_regression_of_any_width(width_in: int, width_out: int, rows: int, seed: int) -> None:
    data = regression(width_in, width_out, rows, seed)
    for name, array in data.arrays().items():
        assert array.shape == (rows, width_in if name.startswith("X") else width_out)
        assert array.dtype == np.float64
        assert np.isfinite(array).all()
        assert np.abs(array).max() < 100


@pytest.mark.parametrize(("width", "row_norm"), [(4, 2.0), (64, 8.0), (784, 8.0)])
def test_regression_has_a_sensible_scale(width: int, row_norm: float) -> None:
    data = regression(width, 10, 400)
    assert np.linalg.norm(data.X, axis=1).mean() == pytest.approx(row_norm, rel=0.1)
    assert 0.3 < data.y.std() < 1.2
    assert not np.array_equal(data.X, data.X_val)
    assert not np.array_equal(data.X_val, data.X_test)


def test_seeds_matter_and_repeat() -> None:
    for make in (lambda seed: sinc(20, seed), lambda seed: regression(3, 2, 20, seed)):
        first, again, other = make(1), make(1), make(2)
        for name, array in first.arrays().items():
            np.testing.assert_array_equal(array, again.arrays()[name])
            assert not np.array_equal(array, other.arrays()[name])


def test_a_data_set_cannot_be_changed() -> None:
    data = sinc(5)
    with pytest.raises(ValueError, match="read-only"):
        data.X[0, 0] = 1
    with pytest.raises(AttributeError):
        data.X = data.y  # type: ignore[misc]


@pytest.mark.parametrize("rows", [0, -1])
def test_no_rows_are_refused(rows: int) -> None:
    with pytest.raises(UsageError, match="at least 1 row"):
        sinc(rows)
    with pytest.raises(UsageError, match="at least 1 row"):
        regression(2, 2, rows)


def test_data_for_chooses_by_widths_and_casts_last() -> None:
    assert data_for(problem(1, 9, 1)).name == "sinc-n30"
    assert data_for(problem(1, 9, 2)).name == "regression-1-2-n30"
    assert data_for(problem(2, 9, 1)).name == "regression-2-1-n30"
    for sizes in ((1, 1), (3, 2)):
        double = data_for(problem(*sizes)).arrays()
        for name, array in data_for(problem(*sizes, dtype="float32")).arrays().items():
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array, double[name].astype(np.float32))


def load(folder: Path) -> dict[str, np.ndarray]:
    return {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in NAMES}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_data_folder_holds_the_data_without_pickle(tmp_path: Path, dtype: DType) -> None:
    case = problem(3, 4, 2, dtype=dtype)
    path, digest = data_folder(case, tmp_path / "deep" / "cache")
    assert path.with_name(f"{path.name}.sha256").read_text() == f"{digest}\n"
    assert re.fullmatch("[0-9a-f]{64}", digest)
    stored, expected = load(path), data_for(case).arrays()
    assert contents(path).keys() == {f"{name}.npy" for name in expected}
    assert list(expected) == ["X", "y", "X_val", "y_val", "X_test", "y_test"]
    # What any program can read: version 1, little-endian, C order, the header as long as it says.
    heads = [content[:128] for content in contents(path).values()]
    opening = f"{{'descr': '<f{np.dtype(dtype).itemsize}', 'fortran_order': False, 'shape': ("
    assert all(head[:10] == b"\x93NUMPY\x01\x00v\x00" for head in heads)
    assert all(head[10:].startswith(opening.encode()) and head[-1:] == b"\n" for head in heads)
    for name, array in expected.items():
        assert stored[name].dtype == np.dtype(dtype)
        np.testing.assert_array_equal(stored[name], array)


def test_data_folder_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    one, first = data_folder(problem(2, 2), tmp_path / "one")
    two, second = data_folder(problem(2, 2), tmp_path / "two")
    assert first == second
    assert contents(one) == contents(two)


def test_data_folder_is_shared_by_networks_with_the_same_ends(tmp_path: Path) -> None:
    paths = {
        data_folder(case, tmp_path)[0]
        for case in (
            problem(1, 50, 1), problem(1, 1), Problem((1, 1), 20, 30, "float64", 2),
        )
    }  # fmt: skip
    assert len(paths) == 1
    others = (problem(1, 1, rows=31), problem(1, 1, dtype="float32"), problem(1, 2))
    assert len({data_folder(case, tmp_path)[0] for case in others} | paths) == 4


class Counter:
    """Counts how often the data was really made."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, case: Problem) -> DataSet:
        self.count += 1
        return data_for(case)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter()
    monkeypatch.setattr(datasets, "data_for", counter)
    return counter


def test_data_folder_is_made_once(tmp_path: Path, made: Counter) -> None:
    assert data_folder(problem(1, 1), tmp_path) == data_folder(problem(1, 1), tmp_path)
    assert made.count == 1
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".sha256"]


@pytest.mark.parametrize("damage", ["cut", "bit", "gone", "none", "no checksum", "odd checksum"])
def test_what_is_damaged_is_made_again(tmp_path: Path, made: Counter, damage: str) -> None:
    folder, digest = data_folder(problem(1, 1), tmp_path)
    whole, checksum = contents(folder), tmp_path / f"{folder.name}.sha256"
    path = folder / "y_val.npy"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "bit":
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    elif damage == "gone":
        path.unlink()
    elif damage == "none":
        shutil.rmtree(folder)
    elif damage == "no checksum":
        checksum.unlink()
    else:
        checksum.write_bytes(b"\xff\xfe")
    assert data_folder(problem(1, 1), tmp_path) == (folder, digest)
    assert made.count == 2
    assert contents(folder) == whole


def test_data_made_by_older_rules_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = data_folder(problem(1, 1), tmp_path)
    changed = tmp_path / "datasets.py"
    changed.write_bytes(Path(datasets.__file__).read_bytes() + b"# changed\n")
    monkeypatch.setattr(datasets, "__file__", str(changed))
    assert data_folder(problem(1, 1), tmp_path)[0] != old


def test_several_may_ask_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda _: data_folder(problem(4, 3), tmp_path), range(16)))
    assert len(answers) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"cannot write the data of sinc-n30 to .*file"):
        data_folder(problem(1, 1), tmp_path / "file")
