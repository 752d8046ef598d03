"""Makes runs that a stranger might send: a valid run, hostile values at random places."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from warnings import catch_warnings
from zipfile import BadZipFile

import numpy as np
from hypothesis import strategies as st
from sample_run import Truth, write_run

from bench.model.records import COSTS, Cost, Fault, Problem

TINY = Problem((1, 4, 1), 5, 20, "float64", 1)
TRUTH = Truth(
    problems=(TINY,),
    invocations=3,
    rounds=2,
    training_epochs=4,
    parts=True,
    probes=True,
    faults=(Fault("epoch/1-4-1/b5/n20/f64/t1", "mojo", 1, "died"),),
    costs=tuple(
        Cost(label, name, 1e7 * (1 + turn), unit, turn)
        for label in ("numpy", "mojo")
        for name, unit in COSTS.items()
        for turn in range(2)
    ),
)
SEVERAL = replace(
    TRUTH,
    probes=False,
    parts=False,
    variants={"python": 0.01, "mojo-simd": 1.0, "mojo": 2.0, "sklearn": 0.5},
    gaps={("sklearn", "forward/1-4-1/b5/n20/f64/t1"), ("sklearn", "backprop/1-4-1/b5/n20/f64/t1")},
)
TRUTHS = {"usual": TRUTH, "several": SEVERAL}
LINES = ("samples.jsonl", "parity.jsonl", "faults.jsonl", "costs.jsonl", "contract.jsonl")
FILES = ("run.json", *LINES, "training.npz")

TEXTS = (
    "", " ", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style><script>",
    "]]></svg><script>alert(1)</script>", "--><script>", "{{7*7}}{% raw %}", "[a](javascript:b)",
    "a | b ` c * d", "![x](http://example.org/x.png)", "# heading", "../../etc/passwd",
    "/etc/passwd", "..", "C:\\x", "[red]rich[/red]", "[link=http://example.org]x[/link]",
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://example.org\x07x\x1b]8;;\x07", "\x00", "\x7f\x9b31m", "a\rb", "a\nb",
    "\u202eabc", "\ufffe\uffff", "=1+1", "@SUM(A1)", "+1", "-1", "$x_1$", "_x", "\u0301" * 40,
    "\u4e2d\u6587", "\u07e8",
    "\U0001f600", "x" * 5000, "1e400", "null", "url(#a", 'id="a', "#010203", "%s%n", "nan",
)  # fmt: skip
NUMBERS = (
    0, -1, 1, 2, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**18, 10**400,
    0.5, -0.0, 1e-320, 1e-300, 1e300, 1e308, -1e308,
)  # fmt: skip
TOKENS = ("1e400", "-1e400", "NaN", "Infinity", "-Infinity", '"\\ud800"', "1" + "0" * 5000, "01")
"""Written as they are, whether JSON allows them or not."""
RAW = "raw token: "
WAYS = (
    *("run", "run", "lines", "rename", "rename", "bytes"),
    *("thin out", "readings", "readings", "arrays"),
)
TIMES = (1, 2, 1000, 10**6, 10**9, 10**15, 10**18)
LOOPS = (1, 7, 1000, 10**6, 10**9, 10**12, 10**15)

values = (
    st.sampled_from(TEXTS)
    | st.sampled_from(NUMBERS)
    | st.sampled_from(TOKENS).map(RAW.__add__)
    | st.sampled_from([None, True, False])
    | st.builds(lambda depth: _nested(depth), st.sampled_from([1, 5, 23, 24, 25, 200]))
    | st.builds(lambda text: {text: [text, {text: 1}]}, st.sampled_from(TEXTS))
    | st.text(max_size=20)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
)


def _nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


@cache
def _template(truth: str) -> Path:
    return write_run(Path(mkdtemp(prefix="hostile-")) / "run", TRUTHS[truth])


def places_of(value: Any) -> list[tuple[Any, Any]]:
    """List every place in a tree of JSON: its container and its key."""
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    found = [(value, key) for key in keys]
    for key in keys:
        found += places_of(value[key])
    return found


def change(tree: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """Replace, remove, insert or rename something at a random place of a tree."""
    places = places_of(tree)
    if not places:
        return
    container, key = draw(st.sampled_from(places))
    how = draw(st.sampled_from(["replace", "replace", "same kind", "remove", "insert", "twice"]))
    if how == "remove":
        del container[key]
    elif how == "replace":
        container[key] = draw(values)
    elif how == "same kind" and isinstance(container[key], str):
        container[key] = draw(st.sampled_from(TEXTS))
    elif how == "same kind":
        container[key] = draw(st.sampled_from(NUMBERS))
    elif isinstance(container, list):
        container.insert(key, draw(values) if how == "insert" else container[key])
    elif how == "insert":
        container[draw(st.sampled_from(TEXTS))] = draw(values)
    else:
        container[draw(st.sampled_from(TEXTS))] = container[key]


def write_json(tree: Any) -> bytes:
    """Write a tree, raw tokens among it as they are."""
    text = json.dumps(tree)
    for token in TOKENS:
        text = text.replace(json.dumps(RAW + token), token)
    return text.encode()


def spoil(
    folder: Path, draw: Callable[[st.SearchStrategy[Any]], Any], truth: str = "usual"
) -> Path:
    """Write a run with a few things wrong in it into a new folder, and return it."""
    run_dir = folder / "run"
    shutil.copytree(_template(truth), run_dir)
    for _ in range(draw(st.integers(1, 3))):
        how = draw(st.sampled_from(WAYS))
        if how == "run":
            _edit(run_dir / "run.json", 0, draw)
        elif how == "lines":
            name = draw(st.sampled_from(LINES[:4]))
            _edit(run_dir / name, draw(st.integers(0, 30)), draw)
        elif how == "rename":
            _rename(run_dir, draw)
        elif how == "thin out":
            _thin_out(run_dir / draw(st.sampled_from(LINES[:4])), draw)
        elif how == "readings":
            _retime(run_dir / LINES[0], draw)
        elif how == "arrays":
            _swap_array(run_dir / "training.npz", draw)
        else:
            file = run_dir / draw(st.sampled_from(FILES))
            content = file.read_bytes()
            at = draw(st.integers(0, len(content)))
            new, gone = draw(st.binary(max_size=4)), draw(st.sampled_from([0, 1, 4, 10**9]))
            file.write_bytes(content[:at] + new + content[at + gone :])
    return run_dir


def _edit(file: Path, number: int, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """Change one line of a file, or the whole file where it is one tree."""
    content = file.read_bytes()
    lines = content.splitlines() if file.suffix == ".jsonl" else [content]
    if not lines:
        return
    number %= len(lines)
    try:
        tree = json.loads(lines[number])
    except ValueError:
        return  # something else spoiled it
    change(tree, draw)
    lines[number] = write_json(tree)
    file.write_bytes(b"\n".join(lines) + (b"\n" if file.suffix == ".jsonl" else b""))


def _rename(run_dir: Path, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """Give something another name in all files, so that the run stays one."""
    old = draw(
        st.sampled_from(["numpy", "numpy-again", "mojo", "quick", "sample", "y_hat", "died"])
    )
    new = draw(st.sampled_from(TEXTS) | st.text(max_size=20))
    for name in ("run.json", *LINES):
        file = run_dir / name
        old_text, new_text = json.dumps(old).encode(), json.dumps(new).encode()
        file.write_bytes(file.read_bytes().replace(old_text, new_text))


def _thin_out(file: Path, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """Leave out, repeat and shuffle whole lines."""
    lines = file.read_bytes().splitlines(keepends=True)
    picks = draw(st.lists(st.integers(0, max(0, len(lines) - 1)), max_size=len(lines)))
    start = draw(st.integers(0, len(lines)))
    file.write_bytes(b"".join([*(lines[pick] for pick in picks if lines), *lines[start:]]))


def _retime(file: Path, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """Give the readings of one worker, or of one invocation, times at the ends of what can be."""
    by, value = draw(st.sampled_from([("worker", "mojo"), ("invocation", 1), ("round", 1)]))
    new = {"elapsed_ns": draw(st.sampled_from(TIMES)), "loops": draw(st.sampled_from(LOOPS))}
    lines = []
    for line in file.read_bytes().splitlines():
        try:
            sample = json.loads(line)
            if sample[by] == value:
                sample |= new
            lines.append(json.dumps(sample).encode())
        except (ValueError, KeyError, TypeError):
            lines.append(line)  # something else spoiled it
    file.write_bytes(b"".join(line + b"\n" for line in lines))


def _swap_array(file: Path, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """Put another array in place of one, or leave one out."""
    try:
        with file.open("rb") as stream, np.load(stream) as opened:
            arrays = dict(opened)
    except (ValueError, OSError, EOFError, zlib.error, BadZipFile, NotImplementedError):
        return  # something else spoiled it
    name = draw(st.sampled_from(sorted(arrays)))
    size = draw(st.sampled_from([0, 1, 4, 100, 241, 500]))
    shape = draw(st.sampled_from([(size,), (size, 1), (1, size), (size, 2), (size, 1, 1)]))
    value = draw(st.sampled_from([0, 1, -1, 5e-324, 1.7e308, np.nan, np.inf, -np.inf]))
    dtype = draw(st.sampled_from(["f8", ">f8", "f4", "f2", "i8", "c16", "U3"]))
    del arrays[name]
    if draw(st.booleans()):
        with np.errstate(all="ignore"), catch_warnings(action="ignore"):
            array = np.full(shape, value).astype(dtype)
        arrays[draw(st.sampled_from([name, name, "../../x"]))] = array
    np.savez(file, **arrays)
