"""The stand-alone program: it trains as the classes do, knows what it is asked, holds no Python."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from program_run import Done, program, train

from bench.model.records import DType, Problem
from bench.workers.datasets import data_for, sinc
from bench.workers.parity import TOLERANCES

pytestmark = pytest.mark.long  # the program has to be compiled first

ROOT = Path(__file__).parents[2]
SINC = (1, 50, 50, 1)
NO_EPOCH = ("--epochs", 0)


def same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Compare bit for bit."""
    return (
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )


def rms(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Measure how far two courses of losses are apart, as the parity table does."""
    size = np.maximum(np.abs(one), np.abs(other))
    return float(np.sqrt(np.mean(np.square((one - other) / size))))


def by_class(MLP: Any, problem: Problem, seed: int, epochs: int, rate: float = 0.01) -> Any:
    """Train a class on the data of a problem; return it and its history."""
    data = data_for(problem)
    network = MLP(
        problem.layer_sizes, rate, epochs, problem.batch_size, seed=seed, dtype=problem.dtype
    )
    return network, network.fit(data.X, data.y, data.X_val, data.y_val)


def by_program(folder: Path, problem: Problem, seed: int, epochs: int, rate: float = 0.01) -> Done:
    """Train the program on files with the data of a problem."""
    data = data_for(problem)
    for name in ("X", "y", "X_val", "y_val"):
        np.save(folder / f"{name}.npy", getattr(data, name))
    done = train(
        folder / "out", "--layers", ",".join(map(str, problem.layer_sizes)), "--rate", rate,
        "--epochs", epochs, "--batch", problem.batch_size, "--seed", seed,
        "--threads", problem.threads, "--data", "X.npy", "--targets", "y.npy",
        "--validation-data", "X_val.npy", "--validation-targets", "y_val.npy",
    )  # fmt: skip
    assert (done.code, done.stderr) == (0, "")
    return done


PROBLEMS = [
    (Problem((1, *[50] * 9, 1), 20, 500, "float64", 1), 1, 6),
    (Problem((1, *[50] * 9, 1), 20, 500, "float32", 1), 2, 6),
    (Problem((7, 17, 3), 19, 60, "float64", 1), 0, 5),
    (Problem((7, 17, 3), 19, 60, "float32", 2), 4294967295, 5),
    (Problem((1, 1), 1, 7, "float64", 3), 7, 3),
    (Problem((311, 300, 7), 5, 19, "float64", 2), 3, 2),
    (Problem((311, 300, 7), 5, 19, "float32", 2), 3, 2),
    (Problem((64, 128, 128, 10), 32, 100, "float64", 2), 12345, 3),
]


@pytest.mark.parametrize(("problem", "seed", "epochs"), PROBLEMS)
def test_history_and_weights_are_those_of_both_classes(
    twins: tuple[Any, Any], tmp_path: Path, problem: Problem, seed: int, epochs: int
) -> None:
    done = by_program(tmp_path, problem, seed, epochs)
    numpy_history = by_class(twins[0], problem, seed, epochs)[1]
    network, history = by_class(twins[1], problem, seed, epochs)
    for name in ("training_loss", "validation_loss"):
        mine = done.losses(name)
        assert same(mine, getattr(history, name)), name
        assert same(np.array([row[name] for row in done.table()]), mine), name
        limit = TOLERANCES[f"{problem.dtype} losses"].value
        assert rms(mine, getattr(numpy_history, name)) <= limit, name
    assert [row["epoch"] for row in done.table()] == sorted(row["epoch"] for row in done.table())
    for name in ("weights", "biases"):
        arrays = done.weights(name)
        assert len(arrays) == len(problem.layer_sizes) - 1
        assert all(same(a, b) for a, b in zip(arrays, getattr(network, name), strict=True))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("rows", "data_seed"), [(500, 0), (1, 0), (37, 5), (4001, 2**32 - 1)])
def test_its_sinc_is_that_of_the_benchmark(
    twins: tuple[Any, Any], tmp_path: Path, dtype: DType, rows: int, data_seed: int
) -> None:
    """Bit for bit: a rate of 1 and one batch of all rows show every number in loss and weights."""
    done = train(
        tmp_path / "out", "--layers", "1,50x2,1", "--epochs", 2, "--batch", rows, "--dtype", dtype,
        "--rows", rows, "--data-seed", data_seed, "--rate", "1e-3",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    data = [a.astype(dtype) for a in sinc(rows, data_seed).arrays().values()][:4]
    network = twins[1](SINC, 1e-3, 2, rows, seed=1, dtype=dtype)
    history = network.fit(*data)
    assert same(done.losses("training_loss"), history.training_loss)
    assert same(done.losses("validation_loss"), history.validation_loss)
    assert all(same(a, b) for a, b in zip(done.weights(), network.weights, strict=True))


def test_sinc_point_by_point(twins: tuple[Any, Any], tmp_path: Path) -> None:
    """A batch of one row at a rate of 0: each loss is of one point, in the order of the shuffle."""
    done = train(tmp_path / "out", "--layers", "1,1", "--epochs", 1, "--batch", 1, "--rate", 0)
    assert done.code == 0, done.stderr
    data = sinc()
    history = twins[1]((1, 1), 0.0, 1, 1, seed=1).fit(data.X, data.y, data.X_val, data.y_val)
    assert same(done.losses("training_loss"), history.training_loss)
    assert same(done.losses("validation_loss"), history.validation_loss)


def test_threads_change_nothing(tmp_path: Path) -> None:
    options = ("--layers", "1,200x3,1", "--epochs", 2, "--batch", 100)
    runs = [train(tmp_path / f"t{n}", *options, "--threads", n) for n in (1, 2, 5)]
    for run in runs:
        assert run.code == 0, run.stderr
        assert (run.out / "history.csv").read_bytes() == (runs[0].out / "history.csv").read_bytes()
        assert all(same(a, b) for a, b in zip(run.weights(), runs[0].weights(), strict=True))


def test_options_are_told_in_the_history(tmp_path: Path) -> None:
    done = train(
        tmp_path / "out", "--layers=1,3x2,1", "--rate=1e-2", "--epochs=3", "--batch=4",
        "--seed=9", "--dtype=float32", "--threads=2", "--rows=10", "--data-seed=4",
        "--no-validation",
    )  # fmt: skip
    history = done.history()
    assert len(history.pop("training_loss")) == 6
    assert history.pop("elapsed_ns") > 0
    assert history == {
        "layer_sizes": [1, 3, 3, 1], "learning_rate": 0.01, "epochs": 3, "trained_epochs": 3,
        "batch_size": 4, "batches": 2, "seed": 9, "dtype": "float32", "threads": 2, "rows": 10,
        "data": "sinc", "data_seed": 4, "validation_loss": [],
    }  # fmt: skip
    assert list(done.table()[0]) == ["epoch", "batch", "training_loss"]
    assert {array.dtype for array in done.weights()} == {np.dtype("float32")}
    assert re.fullmatch(
        r"3 epochs of 2 batches in \d+\.\d s\nmean training loss of the last epoch: \d\S+\n"
        r"results are in out\n", done.stdout
    )  # fmt: skip
    assert done.stderr == ""
    assert not list(done.out.glob("*.new"))


@pytest.mark.parametrize(
    "rate", ["0.1", "1e-2", "3", ".5", "2.", "1E-300", "0", "0.30000000000000004"]
)
def test_the_rate_is_read_as_python_reads_it(tmp_path: Path, rate: str) -> None:
    done = train(tmp_path / "out", "--rate", rate, *NO_EPOCH)
    assert done.history()["learning_rate"] == float(rate)


def test_no_epochs_leave_the_initial_weights(twins: tuple[Any, Any], tmp_path: Path) -> None:
    done = train(tmp_path / "out", *NO_EPOCH, "--seed", 5)
    assert (done.code, done.table()) == (0, [])
    initial = twins[0]([1, *[50] * 9, 1], seed=5).weights
    assert all(same(a, b) for a, b in zip(done.weights(), initial, strict=True))


def test_a_validation_set_that_is_shorter_has_no_loss_beyond_its_end(
    twins: tuple[Any, Any], tmp_path: Path
) -> None:
    data = sinc(50)
    for name, array in data.arrays().items():
        np.save(tmp_path / f"{name}.npy", array[:25] if "val" in name else array)
    done = train(
        tmp_path / "out", "--layers", "1,4,1", "--epochs", 2, "--batch", 10, "--data", "X.npy",
        "--targets", "y.npy", "--validation-data", "X_val.npy", "--validation-targets", "y_val.npy",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    network = twins[1]((1, 4, 1), max_epochs=2, batch_size=10, seed=1)
    history = network.fit(data.X, data.y, data.X_val[:25], data.y_val[:25])
    assert np.isnan(history.validation_loss).sum() == 4
    assert np.array_equal(done.losses("validation_loss"), history.validation_loss, equal_nan=True)
    assert [row["validation_loss"] for row in done.table()][3:5] == pytest.approx(
        [np.nan] * 2, nan_ok=True
    )


def test_a_training_that_runs_away_ends_with_what_it_did(tmp_path: Path) -> None:
    done = train(tmp_path / "out", "--rate", "1e9", "--epochs", 50)
    assert done.code == 1
    assert re.fullmatch(
        r"train: the loss of epoch 1, batch \d+ is not finite, so the training ended there; "
        r"give a smaller --rate\n", done.stderr
    )  # fmt: skip
    history = done.history()
    assert (history["epochs"], history["trained_epochs"]) == (50, 1)
    assert not np.isfinite(done.losses("training_loss")).all()
    assert len(done.table()) == 25


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("--layers", "1"),
     "--layers needs two or more widths, of the input and the output; such as 1,50x9,1"),
    (("--layers", "1,0,1"), "--layers: '0' is no width from 1; write such as 1,50x9,1"),
    (("--layers", "1,,1"), "--layers: '' is no width from 1; write such as 1,50x9,1"),
    (("--layers", "1,5x,1"), "--layers: '5x' is no width from 1; write such as 1,50x9,1"),
    (("--layers", "1,5x20000,1"), "--layers has more than 10000 widths"),
    (("--layers", "2,3,1"),
     "sinc has one input and one output: --layers must begin and end with 1; other data comes "
     "by --data and --targets"),
    (("--rate", "fast"), "--rate must be a number; got 'fast'"),
    (("--rate", ""), "--rate must be a number; got ''"),
    (("--rate", "0x1p3"), "--rate must be a number; got '0x1p3'"),
    (("--rate", "1e"), "--rate must be a number; got '1e'"),
    (("--rate", "nan"), "--rate must be a number; got 'nan'"),
    (("--rate", "-1"), "--rate must be finite and not negative; got '-1'"),
    (("--rate", "1e999"), "--rate must be finite and not negative; got '1e999'"),
    (("--epochs", "-1"), "--epochs must be a whole number; got '-1'"),
    (("--epochs", "1.5"), "--epochs must be a whole number; got '1.5'"),
    (("--epochs", "1" * 30), f"--epochs must be a whole number; got '{'1' * 30}'"),
    (("--batch", "0"), "--batch must be at least 1; got 0"),
    (("--batch", "501"),
     "--batch is 501 but there are only 500 rows; give a smaller --batch or more data"),
    (("--seed", "4294967296"), "--seed must be at most 4294967295; got 4294967296"),
    (("--dtype", "int32"), "--dtype must be float64 or float32; got 'int32'"),
    (("--threads", "0"), "--threads must be at least 1; got 0"),
    (("--threads", "1025"), "--threads must be at most 1024; got 1025"),
    (("--rows", "0"), "--rows must be at least 1; got 0"),
    (("--data-seed", "x"), "--data-seed must be a whole number; got 'x'"),
    (("--progress", "often"), "--progress must be auto, always or never; got 'often'"),
    (("--data", "X.npy"), "--data needs --targets beside it"),
    (("--targets", "y.npy"), "--targets needs --data beside it"),
    (("--validation-targets", "y.npy"), "--validation-targets needs --validation-data beside it"),
    (("--validation-data", "X.npy", "--validation-targets", "y.npy"),
     "--validation-data is for data from files: give --data and --targets too"),
    (("--data", "X.npy", "--targets", "y.npy"),
     "--layers is missing: data from files does not tell the hidden layers; such as --layers "
     "3,50,50,1"),
    (("--data", "X.npy", "--targets", "y.npy", "--layers", "3,2", "--rows", "5"),
     "--rows is for sinc, and --data names other data; leave one out"),
    (("--data", "X.npy", "--targets", "y.npy", "--layers", "3,2", "--no-validation"),
     "--no-validation is for sinc, and --data names other data; leave one out"),
    (("--data", "", "--targets", "y.npy"), "--data is empty; name a file or a folder"),
    (("--no-validation=yes",), "--no-validation takes no value"),
    (("--seed", "1", "--seed=2"), "--seed is given twice; give it once"),
    (("--speed", "1"), "there is no option --speed; train --help names them"),
    (("--Ähm\x1b[31m", "1"), "there is no option --Ähm?[31m; train --help names them"),
    (("fast",), "what is meant by 'fast'? Values stand behind an option: train --help"),
    (("--epochs", "1" * 17), "out of memory: "),
    (("--layers", f"1,{10**9},{10**9},1"), "out of memory: "),
    (("--rows", "1" * 17), "out of memory: "),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=[" ".join(w)[:40] for w, _ in REFUSED])
def test_refusals_say_what_is_wrong(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    done = train(tmp_path / "out", *words)
    assert done.code == 2, done
    assert done.stdout == ""
    if message.endswith(": "):
        assert done.stderr.startswith(f"train: {message}")
        assert done.stderr.count("\n") == 1
    else:
        assert done.stderr == f"train: {message}\n"
    assert not done.out.exists()


def test_an_option_at_the_end_lacks_its_value() -> None:
    done = subprocess.run([program(), "--seed"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "train: --seed needs a value; train --help tells which\n"


def test_words_that_are_no_text_end_in_a_sentence() -> None:
    for word in (b"--\xff\xfe", b"\xc3", b"--seed=\xf0\x9f", b"\xed\xa0\x80", b"--data=\xe2\x80"):
        done = subprocess.run([program(), word], capture_output=True, check=False)
        assert done.returncode == 2
        done.stderr.decode()
        assert done.stderr.startswith(b"train: ")


def test_a_folder_that_cannot_be_written_is_told_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = train(tmp_path / "file", "--epochs", 10**6)
    assert done.code == 2
    assert done.stderr == "train: file/history.json: cannot be written: Not a directory\n"
    assert (tmp_path / "file").read_text() == "in the way"
    done = train(tmp_path / "file", "--epochs", 10**6, out="file/at/all")
    assert done.code == 2
    assert done.stderr == "train: file/at/all: cannot be made: Not a directory\n"


def test_a_full_disk_ends_in_words_and_keeps_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert train(out, "--epochs", 2).code == 0
    before = (out / "history.csv").read_bytes()
    line = ["sh", "-c", 'ulimit -f 8; trap "" XFSZ; exec "$@"', "sh", program(), "--epochs", "40",
            "--out", str(out)]  # fmt: skip
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "history.csv: cannot be written: File too large\n" in done.stderr
    assert (out / "history.csv").read_bytes() == before
    assert not list(out.glob("*.new"))


def test_links_in_the_way_are_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "history.csv").symlink_to(tmp_path / "mine")
    (tmp_path / "out" / "history.csv.new").symlink_to(tmp_path / "mine")
    assert train(tmp_path / "out", "--epochs", 1).code == 0
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "out" / "history.csv").is_symlink()


def test_progress_is_for_terminals_or_on_demand(tmp_path: Path) -> None:
    frame = r"epoch 3 of 3, loss \d\S+, 0\.0 s left"
    assert train(tmp_path / "a", "--epochs", 3).stderr == ""
    asked = train(tmp_path / "b", "--epochs", 3, "--progress", "always")
    assert re.fullmatch(frame + "\n", asked.stderr)
    for wanted, expected in (("auto", rf"(?:\r\x1b\[K[^\r]+)*\r\x1b\[K{frame}\r\n"), ("never", "")):
        ours, theirs = pty.openpty()
        line = [program(), "--epochs", "3", "--progress", wanted]
        done = subprocess.run(line, stderr=theirs, stdout=subprocess.DEVNULL, check=False)
        os.close(theirs)
        try:
            shown = os.read(ours, 10000).decode()
        except OSError:  # nothing was written
            shown = ""
        os.close(ours)
        assert done.returncode == 0
        assert re.fullmatch(expected, shown), shown


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and ldd are Linux's")
def test_there_is_no_python_in_the_process() -> None:
    """Of the libraries it is linked to, and of those it has while it trains."""
    names = subprocess.run(["ldd", program()], capture_output=True, text=True, check=True).stdout
    assert "libc.so" in names
    assert "libpython" not in names
    ours, theirs = pty.openpty()
    line = [program(), "--epochs", "1000000", "--progress", "always"]
    running = subprocess.Popen(line, env={}, stdout=subprocess.DEVNULL, stderr=theirs)
    try:
        assert b"epoch " in os.read(ours, 1000)  # so it trains
        maps = Path(f"/proc/{running.pid}/maps").read_text()
        assert running.poll() is None
    finally:
        running.kill()
        running.wait()
        os.close(ours)
        os.close(theirs)
    assert str(program()) in maps
    assert not re.search(r"libpython|numpy|\.cpython-", maps)


def test_help_is_what_the_document_shows() -> None:
    done = subprocess.run([program(), "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 100
    document = (ROOT / "docs" / "train.md").read_text()
    assert f"```text\n{done.stdout}```" in document
    for words in (["-h"], ["--seed", "1", "--help"], ["--help", "--nonsense"]):
        other = subprocess.run([program(), *words], capture_output=True, text=True, check=False)
        assert other.stdout == done.stdout
