"""One run at a time on a machine, and words for the one that has to wait."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.measuring.lock import alone
from bench.model.errors import BusyError
from bench.model.paths import PROJECT


def test_the_second_is_told_who_holds_the_lock_and_for_how_long(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        alone("bench run --preset full", path, lambda: 1000.0),
        pytest.raises(BusyError) as refused,
        alone("bench run", path, lambda: 1090.0),
    ):
        pass
    assert "`bench run --preset full` (process " in str(refused.value)
    assert "for 1 min 30 s now" in str(refused.value)
    assert "Ctrl-C" in str(refused.value)


def test_it_is_free_again_afterwards_also_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(ZeroDivisionError), alone("first", path):
        raise ZeroDivisionError
    assert path.read_bytes() == b""
    with alone("second", path):
        assert b"second" in path.read_bytes()


def test_it_is_gone_with_a_process_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    script = (
        "import sys\nfrom pathlib import Path\nfrom bench.measuring.lock import alone\n"
        "with alone('theirs', Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match="`theirs`"), alone("ours", path):
            pass
        other.kill()
    with alone("ours", path):
        pass


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"\xff\x00", b"[]", b"7", b'{"pid": "x"}', b"[" * 5000, b'{"pid": 1e999, "since": 0}'],
)
def test_rubbish_in_the_file_is_no_harm(tmp_path: Path, rubbish: bytes) -> None:
    path = tmp_path / "lock"
    with alone("first", path):
        path.write_bytes(rubbish)
        with pytest.raises(BusyError, match="another run, which does not say"), alone("", path):
            pass


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(BusyError, match="cannot be opened"), alone("ours", tmp_path / "lock"):
        pass
    assert target.read_text() == "kept"
