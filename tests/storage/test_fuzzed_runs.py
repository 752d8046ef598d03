"""Runs changed at random are refused in words, or shown in full without harm."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import hostile
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_report import Page, assert_runs_nothing_but_our_script

from bench.analysis.run_analysis import analyse_stored
from bench.cli.terminal.results import show_run
from bench.model.errors import StoreError
from bench.report.run.build import build
from bench.storage.limits import UNSEEN
from bench.storage.runs import Stored, load

FORBIDDEN = {"script", "img", "iframe", "object", "embed", "base", "form", "link", "foreignobject"}
EXAMPLES = settings.get_profile(settings.get_current_profile_name()).max_examples


def loaded(run_dir: Path) -> Stored | None:
    """Read a run, or None if it is refused, and then in words."""
    try:
        return load(run_dir)
    except StoreError as refused:
        text = str(refused)
        assert str(run_dir) in text
        assert not UNSEEN.search(text)
        assert len(text) < 1000
        return None


def assert_harmless(run_dir: Path) -> None:
    """Check the files of a report: nobody's markup, charts that are XML, text in Markdown."""
    html = (run_dir / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert FORBIDDEN & {tag.lower() for tag, _ in page.elements} == {"script"}
    assert_runs_nothing_but_our_script(page)
    assert not re.search(r'(?:href|src)\s*=\s*"?\s*javascript', html, re.IGNORECASE)
    markdown = (run_dir / "report.md").read_text(encoding="utf-8")
    outside_code = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", markdown)
    assert "<" not in outside_code
    for text in (html, markdown):
        assert not UNSEEN.search(text)
    for chart in (run_dir / "charts").iterdir():
        assert chart.suffix == ".svg"
        tree = ElementTree.fromstring(chart.read_text(encoding="utf-8"))
        tags = {element.tag.rpartition("}")[2].lower() for element in tree.iter()}
        assert not FORBIDDEN & tags


@contextmanager
def spoiled(data: st.DataObject, truth: str = "usual") -> Iterator[Path]:
    with TemporaryDirectory(prefix="hostile-") as name:
        yield hostile.spoil(Path(name), data.draw, truth)


@settings(suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_changed_run_is_refused_or_shown_on_the_terminal(
    data: st.DataObject, capsys: pytest.CaptureFixture[str]
) -> None:
    with spoiled(data) as run_dir:
        stored = loaded(run_dir)
        if stored is None:
            return
        assert analyse_stored(stored).results is not None
        before = sorted(run_dir.parent.rglob("*"))
        capsys.readouterr()
        show_run(run_dir)
        assert not UNSEEN.search(capsys.readouterr().out)
        assert sorted(run_dir.parent.rglob("*")) == before


@settings(suppress_health_check=list(HealthCheck), max_examples=max(15, EXAMPLES // 4))
@given(data=st.data())
def test_a_changed_run_is_refused_or_reported_without_harm(data: st.DataObject) -> None:
    with spoiled(data) as run_dir:
        if loaded(run_dir) is None:
            return
        build(run_dir)
        assert_harmless(run_dir)
        assert list(run_dir.parent.iterdir()) == [run_dir]


@settings(suppress_health_check=list(HealthCheck), max_examples=max(15, EXAMPLES // 4))
@given(data=st.data())
def test_a_changed_run_of_several_candidates_is_reported_without_harm(
    data: st.DataObject, capsys: pytest.CaptureFixture[str]
) -> None:
    with spoiled(data, "several") as run_dir:
        if loaded(run_dir) is None:
            return
        build(run_dir)
        assert_harmless(run_dir)
        capsys.readouterr()
        show_run(run_dir)
        show_run(run_dir, plain=True)
        assert not UNSEEN.search(capsys.readouterr().out)
