"""The report: the facts of the stored run, all of them, the same each time, and nobody's markup."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_run import SEED_NETWORK, SMALL, Truth, write_run

from bench.analysis.run_analysis import analyse_stored
from bench.model.cases import case_id, file_stem
from bench.model.errors import StoreError
from bench.model.numbers import DASH, NARROW_SPACE
from bench.model.records import PHASES, Case, Fault
from bench.report.elements.files import markdown_code, markdown_text
from bench.report.elements.sentences import conclude
from bench.report.run.build import build
from bench.report.sections.provenance import flatten
from bench.storage import runs as store

TEMPLATES = Path(__file__).parents[2] / "bench" / "report" / "templates"
VOID = {"meta", "col", "br", "img", "link", "path", "use"}
MIXED = Truth(
    ratios={
        case_id(Case("forward", SEED_NETWORK)): 3.0,
        case_id(Case("forward", SMALL)): 0.6,
        case_id(Case("backprop", SEED_NETWORK)): 1.003,
    },
    faults=(Fault(case_id(Case("epoch", SMALL)), "mojo", 3, "worker mojo died: signal 9"),),
)
HOSTILE = '<script>alert("x")</script>|[a](javascript:b)`*_&{{7*7}}'


class Page(HTMLParser):
    """Reads a page strictly: tags must nest; keeps elements, text, and rows by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.cells: dict[str, dict[str, str]] = {}
        self._row = self._cell = ""
        self.feed(text)
        assert self.open == [], self.open

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.elements.append((tag, found))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self._row = found.get("id") or ""
        if tag in ("td", "th"):
            self._cell = found.get("data-label") or tag

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag
        if tag == "tr":
            self._row = ""

    def handle_data(self, data):
        if "script" in self.open:
            self.scripts.append(data)
        elif "style" not in self.open:
            self.text.append(data)
        if self._row:
            row = self.cells.setdefault(self._row, {})
            row[self._cell] = (row.get(self._cell, "") + data).strip("\n")

    def all_text(self) -> str:
        return re.sub("[ \n]+", " ", " ".join(self.text))


def assert_runs_nothing_but_our_script(page: Page) -> None:
    """Hold a page to one script, ours to the letter, and to a policy that names it by its hash."""
    assert [found for tag, found in page.elements if tag.lower() == "script"] == [{}]
    assert page.scripts == [(TEMPLATES / "report.js").read_text(encoding="utf-8")]
    digest = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    policies = [a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a]
    assert policies == [
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    ]
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    run_dir = write_run(tmp_path_factory.mktemp("mixed") / "run", MIXED)
    build(run_dir)
    return run_dir


@pytest.fixture(scope="module")
def page(mixed) -> Page:
    return Page((mixed / "report.html").read_text(encoding="utf-8"))


def results_of(run_dir: Path):
    stored = store.load(run_dir)
    return analyse_stored(stored).results


def numbers(text: str) -> list[float]:
    """Read `1.83 (1.80–1.86)` as three numbers."""
    plain = text.replace(NARROW_SPACE, "").replace(DASH, " ")
    return [float(part) for part in re.findall(r"\d+(?:\.\d+)?", plain)]


def test_numbers_on_the_page_are_those_of_the_statistics(mixed, page):
    lengths = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}
    seen = 0
    for result in results_of(mixed):
        if result.case.phase not in PHASES:
            continue
        row = page.cells[file_stem(case_id(result.case))]
        pairs = []
        for name, label in (("NumPy", "numpy"), ("Mojo", "mojo")):
            head = next(head for head in row if head.startswith(f"{name}, "))
            pairs.append((row[head], result.times[label].median_ns, lengths[head.split(", ")[1]]))
        if result.ratio:
            pairs.append((row["ratio"], result.ratio.estimate, 1))
            pairs.append((row["NumPy against itself"], result.again.estimate, 1))
        else:
            assert row["ratio"].strip() == DASH
        for text, estimate, length in pairs:
            truth = [value / length for value in (estimate.point, estimate.low, estimate.high)]
            assert numbers(text) == pytest.approx(truth, abs=(truth[2] - truth[1]) / 12)
            seen += 1
        assert result.verdict.kind in row["verdict"]
        assert result.verdict.reason in row["verdict"]
    assert seen == 6 * 2 + 5 * 2


def test_the_table_of_all_digits_holds_the_same(mixed):
    table = pd.read_csv(mixed / "results.csv").set_index("case")
    for result in results_of(mixed):
        row = table.loc[case_id(result.case)]
        assert row["baseline_ns"] == pytest.approx(result.times["numpy"].median_ns.point)
        assert (row["ratio"] if result.ratio else math.nan) == pytest.approx(
            result.ratio.estimate.point if result.ratio else math.nan, nan_ok=True
        )
        assert row["invocations"] == MIXED.invocations


def test_the_page_has_every_part(page):
    ids = [attributes.get("id") for _, attributes in page.elements]
    sections = [
        "how-to-read",
        "speedup",
        "results",
        "parity",
        "faults",
        "environment",
        "words",
        "reproduce",
    ]
    assert [name for name in ids if name in sections] == sections
    for tag, attributes in page.elements:
        if tag == "a" and attributes["href"].startswith("#"):
            assert attributes["href"][1:] in ids
    text = page.all_text()
    for part in (
        "Example CPU 9000 · Linux 6.1 · Python 3.11.9 · NumPy 2.4.6 · Mojo 1.2.0",
        "1 fault: see Faults and disturbances.",
        "call: the overhead",
        "timer: the overhead",
        "GFLOP/s",
        "minimum",
        "worker mojo died: signal 9",
        "epoch · 64,128x2,10 batch 32 · float64 · 1 thread",
        "22 tensors of 2 problems were compared by name: all agree, the worst at 0.020",
        "blas core type",
        "bench run --preset quick",
        "bench report results/sample",
    ):
        assert part in text


def test_the_page_needs_nothing_from_outside(mixed, page):
    html = (mixed / "report.html").read_text(encoding="utf-8")
    outside = set(re.findall(r"https?://[^\"' <]*", html))
    assert outside == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"link", "img", "iframe", "object", "embed", "base", "form"}
    assert_runs_nothing_but_our_script(page)
    assert "@import" not in html
    assert all("src" not in attributes for _, attributes in page.elements)
    links = {attributes["href"] for tag, attributes in page.elements if tag == "a"}
    assert all(link.startswith("#") or (mixed / link).is_file() for link in links)


def test_every_picture_has_words(mixed, page):
    drawings = [attributes for tag, attributes in page.elements if tag == "svg"]
    files = sorted(path.name for path in (mixed / "charts").iterdir())
    assert {"map.svg", "speedup.svg", "times.svg", "loss.svg", "curve.svg"} < set(files)
    assert len(drawings) == len(files)
    assert all(drawing["role"] == "img" for drawing in drawings)
    assert all(len(drawing["aria-label"] or "") > 60 for drawing in drawings)
    pictures = re.findall(
        r"^!\[(.+)\]\((charts/\w+\.svg)\)$", (mixed / "report.md").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(path.removeprefix("charts/") for _, path in pictures) == files
    assert all((mixed / path).is_file() and len(alt) > 60 for alt, path in pictures)


def test_markdown_says_what_the_page_says(mixed, page):
    text = (mixed / "report.md").read_text(encoding="utf-8")
    plain = re.sub(r"\\(.)", r"\1", text)
    rows = [cells for cells in page.cells.values() if "ratio" in cells]
    assert len(rows) == 6
    assert all({"phase", "network"} <= cells.keys() for cells in rows)
    for cells in rows:
        for name, cell in cells.items():
            if name not in ("verdict", "td"):
                assert cell in plain
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert len(headings) == sum(tag == "h2" for tag, _ in page.elements)
    widths: list[int] = []
    for line in text.splitlines():  # every row of a table is as wide as its head
        width = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (width and widths and widths[-1]) or width == widths[-1], line
        widths.append(width)


def test_same_input_same_bytes_and_all_can_be_made_again(mixed, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(mixed, copy)
    first = {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*.*")}
    for name in ("report.html", "report.md", "results.csv"):
        (copy / name).unlink()
    shutil.rmtree(copy / "charts")
    build(copy)
    assert {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*.*")} == first


def test_charts_of_another_day_do_not_stay(tmp_path):
    run_dir = write_run(tmp_path / "run", Truth(problems=(SEED_NETWORK,)))
    build(run_dir)
    (run_dir / "training.npz").unlink()
    build(run_dir)
    found = {path.name for path in (run_dir / "charts").iterdir()}
    assert found > {"map.svg", "speedup.svg", "times.svg"}
    assert not found & {"loss.svg", "curve.svg"}
    assert "training.npz" not in (run_dir / "report.html").read_text(encoding="utf-8")


def test_a_failed_parity_is_told_in_full_and_has_no_ratio(tmp_path):
    run_dir = write_run(tmp_path / "run", Truth(failed=(SMALL,)))
    build(run_dir)
    page = Page((run_dir / "report.html").read_text(encoding="utf-8"))
    text = page.all_text()
    assert "1 problem of 2 failed parity" in text
    assert "grads_w[0] differs by 3.0e-07, tolerance 1.0e-12" in text
    shown = f"grads_w[0] 20 × 50 3e-07 1e-12 300{NARROW_SPACE}000\N{NO-BREAK SPACE}✕"
    assert shown in text
    row = page.cells[file_stem(case_id(Case("forward", SMALL)))]
    assert row["ratio"].strip() == DASH
    assert "✕ INVALID" in row["verdict"]


def test_an_unfinished_run_says_so(tmp_path):
    run_dir = write_run(tmp_path / "run", Truth(changes={"status": "interrupted"}, invocations=3))
    build(run_dir)
    text = Page((run_dir / "report.html").read_text(encoding="utf-8")).all_text()
    assert "did not finish (interrupted): it holds readings of 3 of 3 planned invocations" in text
    assert "only 3 invocations" in text


def test_an_empty_run_still_makes_a_page(tmp_path):
    truth = Truth(problems=(), training_epochs=0, machine={})
    paths = build(write_run(tmp_path / "run", truth))
    text = Page(paths.html.read_text(encoding="utf-8")).all_text()
    assert "nothing was measured" in text
    assert "Nothing was compared in this run" in text


def test_strangers_markup_is_only_text(tmp_path):
    fault = Fault(case_id(Case("epoch", SMALL)), HOSTILE, 1, HOSTILE)
    truth = Truth(
        problems=(SMALL,),
        faults=(fault,),
        name=HOSTILE,
        command=f"bench {HOSTILE}\n# not a heading",
        machine={"cpu": HOSTILE, HOSTILE: {"deep": [HOSTILE]}},
    )
    run_dir = write_run(tmp_path / "run", truth)
    content = json.loads((run_dir / "run.json").read_bytes())
    for worker in content["plan"]["request"]["workers"]:
        worker["implementation"] = f"{HOSTILE}{worker['implementation']}"
    (run_dir / "run.json").write_text(json.dumps(content))
    paths = build(run_dir)

    html = paths.html.read_text(encoding="utf-8")
    page = Page(html)
    assert_runs_nothing_but_our_script(page)
    assert not re.search(r'href="\s*javascript', html)
    assert HOSTILE in page.all_text()

    markdown = paths.markdown.read_text(encoding="utf-8")
    outside_code = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", markdown)
    assert "<script" not in outside_code
    assert not re.search(r"(?<!\\)\[a(?<!\\)\]\(javascript", outside_code)
    assert "\n# not a heading" not in markdown


@given(st.text())
def test_markdown_text_is_one_line_without_live_markup(text):
    escaped = str(markdown_text(text))
    assert "\n" not in escaped
    assert not re.search(r"[<>]", escaped)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*\[\]|~$]", escaped)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("# x", "\\# x"), ("## x", "\\## x"), ("- x", "\\- x"), ("1. x", "1\\. x"),
        ("12) x", "12\\) x"), ("===", "==="), ("+ x", "\\+ x"), ("-0.5", "-0.5"), ("1.5", "1.5"),
        ("#1", "#1"), (".", "."), ("= x", "= x"),
        ("a - b", "a - b"),
    ],
)  # fmt: skip
def test_no_text_begins_a_heading_or_a_list(text, written):
    assert str(markdown_text(text)) == written


@given(st.text(alphabet="a`\\ <|\n"))
def test_markdown_code_cannot_be_left(text):
    code = str(markdown_code(text))
    fence = re.match("`+", code)[0]
    inside = code[len(fence) : -len(fence)]
    assert fence not in re.findall("`+", inside)
    assert "\n" not in code


def test_a_report_that_cannot_be_written_says_what_to_do(tmp_path):
    run_dir = write_run(tmp_path / "run", Truth(problems=(SMALL,), training_epochs=0))
    (run_dir / "charts").write_text("in the way")
    with pytest.raises(StoreError, match="cannot write the report into"):
        build(run_dir)


def test_no_run_no_report(tmp_path):
    with pytest.raises(StoreError):
        build(tmp_path / "nothing")


def test_curve_is_drawn_over_the_sinc_only(tmp_path):
    run_dir = write_run(tmp_path / "run", Truth(problems=(SMALL,)))
    with np.load(run_dir / "training.npz") as arrays:
        wide = {name: arrays[name] for name in arrays.files} | {"y": np.ones((500, 3))}
    np.savez(run_dir / "training.npz", **wide)
    build(run_dir)
    assert not (run_dir / "charts" / "curve.svg").exists()


def test_conclusion_is_the_sentence_of_the_page(mixed, page):
    analysis = analyse_stored(store.load(mixed))
    sentence = str(conclude(analysis.run, analysis.results))
    whole, _, phases = sentence.partition(": ")
    assert whole in page.all_text()
    for phase in phases.removesuffix(".").split("; "):
        assert phase in page.all_text()


def test_nested_facts_become_lines():
    assert flatten({"load": {"1m": 0.5, "5m": None}, "cores": [0, 1], "cpu": "x"}) == {
        "load 1m": "0.5",
        "load 5m": "None",
        "cores": "0, 1",
        "cpu": "x",
    }


def test_the_walk_explains_every_section_of_the_reference():
    root = Path(__file__).parents[2]
    shown = set(re.findall(r"^## (.*)$", (root / "results/reference/report.md").read_text(), re.M))
    told = set(re.findall(r"^## (.*)$", (root / "docs/report.md").read_text(), re.M))
    assert len(shown) > 8
    assert shown - told == {"How to read this", "Words", "Reproduce it"}
