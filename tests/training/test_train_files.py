"""The .npy files that the stand-alone program reads and writes: NumPy's, and those of anyone.

Every run here has a limit of memory, so that an allocation which a header asks for would be seen.
"""

from __future__ import annotations

import io
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy
from program_run import Done, train

pytestmark = pytest.mark.long  # the program has to be compiled first

MEMORY = 4 << 30
"""Bytes of address space; Mojo's run-time library takes between 2 and 3 GiB of it to begin with."""
OPTIONS = ("--layers", "3,2", "--epochs", 1, "--batch", 2, "--data", "X.npy", "--targets", "y.npy")
X = np.arange(12, dtype=np.float64).reshape(4, 3) / 100
Y = np.arange(8, dtype=np.float64).reshape(4, 2) / 100


def read(folder: Path, content: bytes, y: Any = Y) -> Done:
    """Train on a file with this content as inputs."""
    (folder / "X.npy").write_bytes(content)
    np.save(folder / "y.npy", y)
    done = train(folder / "out", *OPTIONS, memory=MEMORY)
    # Above all no signal; some numbers that are read let the training run away.
    assert done.code in (0, 2) or "is not finite, so" in done.stderr, done
    if done.code == 2:
        assert done.stderr.startswith("train: ")
        assert done.stderr.count("\n") == 1
        assert done.stderr[:-1].isprintable()
    return done


def saved(array: Any, version: tuple[int, int] | None = None, **options: Any) -> bytes:
    """Return what NumPy writes."""
    file = io.BytesIO()
    npy.write_array(file, np.asanyarray(array), version=version, **options)
    return file.getvalue()


def with_header(text: str, data: bytes = X.tobytes(), version: int = 1) -> bytes:
    """Return a file with a header of our own."""
    length = struct.pack("<H" if version == 1 else "<I", len(text.encode("latin-1")))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode("latin-1") + data


GOOD = "{'descr': '<f8', 'fortran_order': False, 'shape': (4, 3), }\n"


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("dtype", ["<f8", "<f4"])
@pytest.mark.filterwarnings("ignore:Stored array in format")
def test_all_versions_are_read_as_numpy_writes_them(
    tmp_path: Path, version: tuple[int, int], dtype: str, twins: tuple[Any, Any]
) -> None:
    done = read(tmp_path, saved(X.astype(dtype), version), Y.astype(dtype))
    assert (done.code, done.stderr) == (0, "")
    network = twins[1]((3, 2), max_epochs=1, batch_size=2, seed=1, dtype=np.dtype(dtype).name)
    history = network.fit(X.astype(dtype), Y.astype(dtype))
    assert done.losses("training_loss").tobytes() == history.training_loss.tobytes()


@pytest.mark.parametrize("text", [
    GOOD,
    "{'descr': '<f8', 'fortran_order': False, 'shape': (4, 3)}",
    '{"shape":(4,3,),"fortran_order":False,"descr":"<f8"}   \n\n',
    "  { 'fortran_order' : False , 'shape' : ( 4 , 3 ) , 'descr' : '<f8' , } ",
])  # fmt: skip
@pytest.mark.parametrize("version", [1, 2, 3])
def test_headers_that_python_would_read_are_read(tmp_path: Path, text: str, version: int) -> None:
    content = with_header(text, version=version)
    assert np.array_equal(np.load(io.BytesIO(content)), X)
    assert read(tmp_path, content).code == 0


NOT_NPY = "is not a .npy file; numpy.save(path, array) writes one"
WRONG_KIND = (
    "; only little-endian float64 and float32 are read: numpy.save(path, array.astype('<f8'))"
)
REFUSED: list[tuple[str, Callable[[], bytes], str]] = [
    ("empty", lambda: b"", NOT_NPY),
    ("text", lambda: b"1,2,3\n", NOT_NPY),
    ("npz", lambda: b"PK\3\4" + bytes(100), NOT_NPY),
    ("version 4", lambda: b"\x93NUMPY\4\0" + saved(X)[8:],
     "is .npy of version 4.0; 1.0, 2.0 and 3.0 are read"),
    ("version 1.7", lambda: b"\x93NUMPY\1\7" + saved(X)[8:],
     "is .npy of version 1.7; 1.0, 2.0 and 3.0 are read"),
    ("fortran", lambda: saved(np.asfortranarray(X)),
     "is in Fortran order; write it in C order: numpy.save(path, numpy.ascontiguousarray(array))"),
    ("big-endian", lambda: saved(X.astype(">f8")),
     f"holds big-endian numbers (dtype '>f8'){WRONG_KIND}"),
    ("int", lambda: saved(X.astype("<i8")), f"holds whole numbers (dtype '<i8'){WRONG_KIND}"),
    ("uint", lambda: saved(X.astype("|u1")), f"holds whole numbers (dtype '|u1'){WRONG_KIND}"),
    ("bool", lambda: saved(X > 0), f"holds truth values (dtype '|b1'){WRONG_KIND}"),
    ("half", lambda: saved(X.astype("<f2")),
     f"holds floating-point numbers of another size (dtype '<f2'){WRONG_KIND}"),
    ("long double", lambda: saved(X.astype("<f16")),
     f"holds floating-point numbers of another size (dtype '<f16'){WRONG_KIND}"),
    ("complex", lambda: saved(X.astype("<c16")),
     f"holds complex numbers (dtype '<c16'){WRONG_KIND}"),
    ("text array", lambda: saved(np.array([["a", "bc"]])), f"holds text (dtype '<U2'){WRONG_KIND}"),
    ("dates", lambda: saved(np.array([["2020-01-01"]], "<M8[D]")),
     f"holds dates or times (dtype '<M8[D]'){WRONG_KIND}"),
    ("objects", lambda: saved(np.array([[None]], object)),
     f"holds Python objects (dtype '|O'){WRONG_KIND}"),
    ("records", lambda: saved(np.zeros((4, 3), [("a", "<f8"), ("b", [("c", "<i2")], 2)])),
     f"holds records (a dtype with fields){WRONG_KIND}"),
    ("void", lambda: saved(np.zeros((4, 3), "|V8")),
     f"holds something else (dtype '|V8'){WRONG_KIND}"),
    ("nothing", lambda: with_header(GOOD.replace("<f8", "")),
     f"holds records (a dtype with fields){WRONG_KIND}"),
    ("0-d", lambda: saved(1.0),
     "has the shape (); two dimensions are needed, (rows, 3): array.reshape(-1, 3)"),
    ("1-d", lambda: saved(X.ravel()),
     "has the shape (12,); two dimensions are needed, (rows, 3): array.reshape(-1, 3)"),
    ("3-d", lambda: saved(X[np.newaxis]),
     "has the shape (1, 4, 3); two dimensions are needed, (rows, 3): array.reshape(-1, 3)"),
    ("no rows", lambda: saved(X[:0]), "is empty: its shape is (0, 3)"),
    ("no columns", lambda: saved(X[:, :0]), "is empty: its shape is (4, 0)"),
    ("wide", lambda: saved(Y), "has the shape (4, 2); (rows, 3) is needed"),
    ("NaN", lambda: saved(np.where(X == 0.04, np.nan, X)),
     "holds nan at row 1, column 1; clean the data"),
    ("infinity", lambda: saved(np.where(X == 0.11, -np.inf, X)),
     "holds -inf at row 3, column 2; clean the data"),
    ("cut", lambda: saved(X)[:-1],
     "has 95 bytes of data, fewer than its shape (4, 3) says; write it again"),
    ("longer", lambda: saved(X) + b"\0",
     "has 97 bytes of data, more than its shape (4, 3) says; write it again"),
    ("a row more", lambda: saved(X) + bytes(24),
     "has 120 bytes of data, more than its shape (4, 3) says; write it again"),
    ("huge", lambda: with_header(GOOD.replace("4", f"{10**17}")),
     f"has 96 bytes of data, fewer than its shape ({10**17}, 3) says; write it again"),
    ("10**18", lambda: with_header(GOOD.replace("4", f"{10**18}")),
     "its header is damaged at byte 69 of 78; write it again with numpy.save(path, array)"),
    ("overflow", lambda: with_header(GOOD.replace("(4, 3)", f"({2**62 + 4}, 3)")),
     "its header is damaged at byte 69 of 78; write it again with numpy.save(path, array)"),
    ("negative", lambda: with_header(GOOD.replace("4", "-4")),
     "its header is damaged at byte 51 of 61; write it again with numpy.save(path, array)"),
    ("much header", lambda: b"\x93NUMPY\2\0\xff\xff\xff\xff" + saved(X)[10:],
     "its header would have 4294967295 bytes, more than the 10000 that are read"),
    ("long header", lambda: with_header(GOOD + " " * 20000, version=2),
     "its header would have 20060 bytes, more than the 10000 that are read"),
    ("header beyond", lambda: b"\x93NUMPY\1\0\xff\x20" + GOOD.encode(),
     "is cut short: it ends within its header; write it again"),
    ("other name", lambda: with_header(GOOD.replace("shape", "Shape")),
     "its header is damaged at byte 49 of 60; write it again with numpy.save(path, array)"),
    ("twice", lambda: with_header(GOOD.replace("}", "'shape': (4, 3)}")),
     "its header is damaged at byte 73 of 75; write it again with numpy.save(path, array)"),
    ("code", lambda: with_header(GOOD.replace("4", "exit()")),
     "its header is damaged at byte 51 of 65; write it again with numpy.save(path, array)"),
    ("escape", lambda: with_header(GOOD.replace("<f8", "\\x3cf8")),
     "its header is damaged at byte 12 of 63; write it again with numpy.save(path, array)"),
    ("colours", lambda: with_header(GOOD.replace("<f8", "<f8\x1b[31m\x9b\xff")),
     f"holds floating-point numbers of another size (dtype '<f8?[31m??ÿ'){WRONG_KIND}"),
    ("many dimensions", lambda: with_header(GOOD.replace("4", ",".join("1" * 99))),
     "its header is damaged at byte 180 of 256; write it again with numpy.save(path, array)"),
    ("behind", lambda: with_header(GOOD + "x"),
     "its header is damaged at byte 60 of 61; write it again with numpy.save(path, array)"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), [case[1:] for case in REFUSED],
                         ids=[case[0] for case in REFUSED])  # fmt: skip
def test_what_is_not_read_is_refused_by_name(
    tmp_path: Path, content: Callable[[], bytes], message: str
) -> None:
    done = read(tmp_path, content())
    assert (done.code, done.stderr) == (2, f"train: X.npy: {message}\n")
    assert not done.out.exists()


def test_files_must_go_together(tmp_path: Path) -> None:
    assert read(tmp_path, saved(X), Y[:3]).stderr == (
        "train: y.npy: has the shape (3, 2); (4, 2) is needed\n"
    )
    assert read(tmp_path, saved(X), Y.astype(np.float32)).stderr == (
        "train: y.npy: holds float32, and the network is of float64; give --dtype float32, or "
        "convert it: array.astype('float64')\n"
    )
    done = train(tmp_path / "out", *OPTIONS, "--dtype", "float32")
    assert done.stderr == (
        "train: X.npy: holds float64, and the network is of float32; give --dtype float64, or "
        "convert it: array.astype('float32')\n"
    )


def test_what_is_no_plain_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret").touch()
    (tmp_path / "loop").symlink_to("loop")
    np.save(tmp_path / "y.npy", Y)
    words = {
        "nowhere": "cannot be read: No such file or directory",
        ".": "cannot be read: Is a directory",
        "pipe": "is not a plain file; copy it into one",
        "/dev/null": NOT_NPY,
        "/dev/zero": "is not a plain file; copy it into one",
        "secret": NOT_NPY,
        "loop": "cannot be read: Too many levels of symbolic links",
    }
    for path, expected in words.items():
        line = ("--layers", "3,2", "--data", path, "--targets", "y.npy")
        done = train(tmp_path / "out", *line, memory=MEMORY)
        assert (done.code, done.stderr) == (2, f"train: {path}: {expected}\n")


def test_a_file_of_holes_that_is_as_long_as_it_says_takes_no_memory_that_is_not_there(
    tmp_path: Path,
) -> None:
    header = GOOD.replace("4", f"{10**11}")
    (tmp_path / "X.npy").write_bytes(with_header(header, b""))
    with (tmp_path / "X.npy").open("r+b") as file:
        file.truncate(10 + len(header) + 24 * 10**11)
    np.save(tmp_path / "y.npy", Y)
    done = train(tmp_path / "out", *OPTIONS, memory=MEMORY)
    assert done.code == 2
    assert done.stderr.startswith("train: out of memory: ")


@pytest.mark.parametrize("version", [1, 3])
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path, version: int) -> None:
    whole = with_header(GOOD, version=version)
    assert read(tmp_path, whole).code == 0
    for end in [*range(len(whole) - X.nbytes + 10), *range(len(whole) - 10, len(whole))]:
        assert read(tmp_path, whole[:end]).code == 2, end


@settings(max_examples=80)
@given(
    place=st.integers(0, len(with_header(GOOD)) - 1), value=st.binary(min_size=1, max_size=9),
    version=st.sampled_from([1, 2, 3]), keep=st.booleans(),
)  # fmt: skip
def test_a_file_with_other_bytes_is_read_as_numpy_reads_it_or_refused(
    place: int, value: bytes, version: int, keep: bool
) -> None:
    whole = with_header(GOOD, version=version)
    end = place + len(value) if keep else place
    content = whole[:place] + value + whole[end:]
    with tempfile.TemporaryDirectory() as name:
        done = read(Path(name), content)
        if done.code != 2:
            array = np.load(io.BytesIO(content), allow_pickle=False)
            assert (array.shape, array.dtype) == ((4, 3), np.dtype("<f8"))


@settings(max_examples=60)
@given(
    st.text(st.characters(max_codepoint=255), max_size=80)
    | st.lists(
        st.sampled_from([
            "{", "}", "(", ")", "[", "]", ",", ":", "'", '"', "'descr'", "'fortran_order'",
            "'shape'", "'<f8'", "'|O'", "True", "False", "4", "3", "-1", " ", "\n", "\\", "9" * 19,
        ]), max_size=30,
    ).map("".join)
)  # fmt: skip
def test_headers_of_anything_are_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        assert read(Path(name), with_header(text)).code == 2


@settings(max_examples=30)
@given(st.binary(max_size=300))
def test_bytes_of_anything_are_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        assert read(Path(name), content).code == 2
        assert read(Path(name), b"\x93NUMPY" + content).code == 2


def test_what_it_writes_is_what_numpy_writes(tmp_path: Path) -> None:
    done = read(tmp_path, saved(X))
    for name in ("weights_0.npy", "biases_0.npy"):
        content = (done.out / name).read_bytes()
        array = np.load(io.BytesIO(content), allow_pickle=False)
        assert content == saved(array)


def test_losses_of_all_sizes_are_written_in_full(tmp_path: Path) -> None:
    """With inputs of 0 the output is 0 and a loss is the square of the target."""
    random = np.random.RandomState(3)
    targets = random.uniform(-1, 1, 3000) * 10.0 ** random.uniform(-161, 153, 3000)
    np.save(tmp_path / "y.npy", targets[:, np.newaxis])
    np.save(tmp_path / "X.npy", np.zeros((3000, 1)))
    done = train(
        tmp_path / "out", "--layers", "1,1", "--epochs", 1, "--batch", 1, "--rate", 0,
        "--data", "X.npy", "--targets", "y.npy",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    losses = done.losses("training_loss")
    assert np.array_equal(np.sort(losses), np.sort(targets**2))
    assert losses.min() < 1e-308 < 1e300 < losses.max()
    assert [row["training_loss"] for row in done.table()] == losses.tolist()
