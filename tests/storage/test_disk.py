"""A disk that is full or cannot be written: a clear error, nothing torn, what was there stays."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from pretence import SMALL, World, request_of
from sample_run import SMALL as PROBLEM
from sample_run import Truth, make_run, make_samples, write_run

from bench.cli.main import main
from bench.model.errors import StoreError
from bench.model.records import Sample
from bench.report.run.build import build
from bench.storage.atomic_files import LineFile, write_whole
from bench.storage.runs import RunWriter, load
from tools import readme

TRUTH = Truth(problems=(PROBLEM,), invocations=2, rounds=2)
write = os.write


@contextmanager
def disk(room: int, at_once: int = 1 << 30) -> Iterator[None]:
    """Give a disk with room for so many bytes, which takes no more than `at_once` in a call."""
    left = room

    def takes(handle: int, content: bytes) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = write(handle, bytes(content[: min(left, at_once)]))
        left -= taken
        return taken

    with patch("bench.storage.atomic_files.os.write", takes):
        yield


def content_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def add_all(writer: RunWriter, samples: Sequence[Sample]) -> None:
    for sample in samples:
        writer.add(sample)


def test_a_file_is_replaced_whole_though_the_system_takes_it_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with disk(1000, at_once=3):
        write_whole(path, b"0123456789")
    assert content_of(tmp_path) == {path: b"0123456789"}


@pytest.mark.parametrize("room", range(0, 10, 3))
def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, room: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with disk(room, at_once=2), pytest.raises(OSError, match="No space left"):
        write_whole(path, b"0123456789")
    assert content_of(tmp_path) == {path: b"old"}


def test_links_in_the_way_are_replaced_and_never_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.write_bytes(b"somebody's")
    folder.mkdir()
    for name in ("file", f".file.{os.getpid()}.new"):
        (folder / name).symlink_to(outside)
    write_whole(folder / "file", b"new")
    assert content_of(folder) == {folder / "file": b"new"}
    assert not (folder / "file").is_symlink()
    assert outside.read_bytes() == b"somebody's"


def test_a_line_that_does_not_fit_is_taken_back_and_the_next_one_stands_alone(
    tmp_path: Path,
) -> None:
    lines = LineFile(tmp_path / "lines")
    with disk(1000, at_once=2):
        lines.add(b"first")
    with disk(3), pytest.raises(OSError, match="No space left"):
        lines.add(b"second")
    assert (tmp_path / "lines").read_bytes() == b"first\n"
    lines.add(b"third")
    assert (tmp_path / "lines").read_bytes() == b"first\nthird\n"


def test_what_could_not_be_taken_back_is_before_the_next_line(tmp_path: Path) -> None:
    lines = LineFile(tmp_path / "lines")
    lines.add(b"first")
    fails = patch(
        "bench.storage.atomic_files.os.ftruncate",
        side_effect=OSError(errno.EIO, "Input/output error"),
    )
    with disk(3), fails, pytest.raises(OSError, match="Input/output"):
        lines.add(b"second")
    assert (tmp_path / "lines").read_bytes() == b"first\nsec"
    lines.add(b"third")
    lines.close()
    lines.close()
    assert (tmp_path / "lines").read_bytes() == b"first\nthird\n"


@pytest.mark.parametrize("room", range(0, 400, 57))
def test_a_run_on_a_disk_that_fills_keeps_every_whole_reading(tmp_path: Path, room: int) -> None:
    run, samples = make_run(TRUTH), make_samples(TRUTH)
    path = tmp_path / "run"
    with RunWriter(path, run) as writer:
        with (
            disk(room, at_once=100),
            pytest.raises(StoreError, match=r"cannot write to .*No space"),
        ):
            add_all(writer, samples)
        kept = load(path)
        assert kept.samples == tuple(samples[: len(kept.samples)])
        assert kept.notes == ()
        with disk(20):
            for change in (
                lambda: writer.update(replace(run, status="interrupted")),
                lambda: writer.add_training({"X": np.zeros((3, 1))}),
            ):
                with pytest.raises(StoreError, match=r"cannot write to .*No space .*free some"):
                    change()
        assert (load(path).run, load(path).training) == (run, {})
        writer.add(samples[-1])  # there is room again
    assert load(path).samples == (*kept.samples, samples[-1])


def test_a_run_that_cannot_even_begin_leaves_no_folder(tmp_path: Path) -> None:
    with disk(50), pytest.raises(StoreError, match="cannot write to"):
        RunWriter(tmp_path / "results" / "run", make_run(TRUTH))
    assert not (tmp_path / "results" / "run").exists()


def test_a_report_on_a_full_disk_leaves_no_file_torn(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", TRUTH)
    build(run_dir)
    before = content_of(run_dir)
    for room in (0, 1000, 40_000, 90_000):
        with disk(room, at_once=7000), pytest.raises(StoreError, match="cannot write the report"):
            build(run_dir)
        assert content_of(run_dir) == before


def test_the_readme_on_a_full_disk_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"{readme.BEGIN} -->\n\nold\n\n{readme.END}\n")
    monkeypatch.setattr(readme, "PROJECT", tmp_path)
    monkeypatch.setattr(readme, "block", lambda _: "new")
    monkeypatch.setattr(readme, "PERFORMANCE", ())
    with disk(10), pytest.raises(StoreError, match=r"cannot write .*README.md: No space"):
        readme.main()
    assert "old" in page.read_text()
    readme.main()
    assert "new" in page.read_text()


def test_the_system_itself_ends_a_write_and_the_command_says_so(tmp_path: Path) -> None:
    """No pretence: the kernel refuses a file to grow beyond a limit, in the middle of a write."""
    run_dir = write_run(tmp_path / "run", TRUTH)
    before = content_of(run_dir)
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
        f"from bench.cli.main import main; main(['report', {str(run_dir)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("bench: cannot write the report into")
    assert "File too large" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    after = content_of(run_dir)
    assert {path: after[path] for path in before} == before
    assert not [path for path in after if path.name.endswith(".new")]


@pytest.mark.parametrize(
    "command",
    [
        lambda at: ["report", str(write_run(at / "run", TRUTH)), "--out", str(at)],
        lambda at: ["run", "--preset", "smoke", "--name", "run", "--out", str(at / "file")],
    ],
    ids=["report", "run"],
)
def test_a_place_that_cannot_be_written_ends_the_command_with_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Callable[[Path], list[str]]
) -> None:
    arguments = command(tmp_path)
    (tmp_path / "file").write_text("in the way")
    if arguments[0] == "report":
        (tmp_path / "run" / "charts").write_text("in the way")
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("bench: cannot write")


@pytest.mark.parametrize("room", [0, 2_000, 9_000])
def test_a_run_whose_disk_fills_ends_its_workers_and_can_be_read(tmp_path: Path, room: int) -> None:
    world = World(tmp_path)
    with pytest.raises(StoreError, match=r"cannot write to .*No space"), disk(3_000 + room):
        world.run(request_of(SMALL, invocations=50))
    assert world.slots
    assert all(slot.ended for slot in world.slots)
    stored = load(tmp_path / "run")
    assert stored.run.status == "running"
    assert len(stored.samples) < 50 * 9
