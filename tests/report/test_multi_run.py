"""Several runs in one page: by machine, over time, never a ratio between two; the latest report."""

from __future__ import annotations

import re
import webbrowser
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import hostile
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_run import SEED_NETWORK, SMALL, Truth, write_run
from test_fuzzed_runs import FORBIDDEN, loaded
from test_report import Page, assert_runs_nothing_but_our_script

from bench.cli.terminal.multi_run import show_multi_run
from bench.model.errors import StoreError, UsageError
from bench.model.records import Case
from bench.report.elements.section import Grid, Section
from bench.report.multi_run.build import build_multi_run
from bench.report.multi_run.cells import column_of
from bench.report.multi_run.charts import run_label
from bench.report.multi_run.page import multi_run_page
from bench.report.multi_run.runs import Group, groups_of, judged
from bench.report.run.build import build
from bench.storage.dates import date_text, when
from bench.storage.latest import report_page
from bench.storage.limits import UNSEEN
from bench.storage.runs import load

Bench = Callable[..., tuple[int, str, str]]
OTHER = {"cpu": "Other CPU", "cores": 64}
EPOCH = column_of(Case("epoch", SEED_NETWORK))


def made(
    folder: Path,
    name: str,
    started: str,
    ratio: float = 2.0,
    machine: object = None,
    **more: object,
) -> Path:
    """Make a run of known ratio."""
    changes = {"started": started} | dict(more)
    fields = {"machine": machine} if machine else {}
    truth = Truth(name=name, ratio=ratio, changes=changes, invocations=10, rounds=2,
                  training_epochs=0, **fields)  # type: ignore[arg-type]  # fmt: skip
    return write_run(folder / name, truth)


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two of one machine, given in the wrong order, and one of another between them in time."""
    return [
        made(tmp_path, "later", "2026-11-03T10:00:00Z", 3.0),
        made(tmp_path, "server", "2026-11-02T10:00:00Z", 0.5, OTHER),
        made(tmp_path, "before", "2026-11-01T10:00:00+05:00", 2.0),
    ]


def groups(paths: list[Path]) -> list[Group]:
    return groups_of([judged(load(path)) for path in paths])


def grid_of(section: Section) -> Grid:
    assert section.grid is not None
    return section.grid


def names(found: list[Group]) -> list[list[str]]:
    return [[one.run.name for one in group.runs] for group in found]


def test_runs_of_one_machine_stand_together_in_the_order_of_time(runs: list[Path]) -> None:
    found = groups(runs)
    assert names(found) == [["before", "later"], ["server"]]
    assert [group.name for group in found] == ["Example CPU 9000", "Other CPU"]
    assert names(groups(runs[::-1])) == names(found)


def test_settings_and_machines_that_changed_keep_runs_apart(tmp_path: Path) -> None:
    first = made(tmp_path, "a", "2026-11-01T10:00:00Z")
    memory = made(tmp_path, "b", "2026-11-02T10:00:00Z", machine={"cpu": "Example CPU 9000",
                  "cores": 2, "system": "Linux 6.1", "governor": "powersave"})  # fmt: skip
    found = groups([first, memory])
    assert names(found) == [["a"], ["b"]]
    assert [group.name for group in found] == [
        "Example CPU 9000 (a)",
        "Example CPU 9000 (b; governor: not recorded in a, powersave in b)",
    ]


def test_what_changed_between_runs_is_told(tmp_path: Path) -> None:
    first = made(tmp_path, "a", "2026-11-01T10:00:00Z")
    second = made(tmp_path, "b", "2026-11-02T10:00:00Z", machine={"cpu": "Example CPU 9000",
                  "cores": 2, "system": "Linux 6.2"})  # fmt: skip
    (group,) = groups([first, second])
    ((name, (changed,)),) = group.changed
    assert (name, changed.name, changed.a, changed.b) == ("b", "system", "Linux 6.1", "Linux 6.2")
    (told,) = multi_run_page([group]).sections[0].points
    assert all(word in told for word in (name, changed.name, changed.a, changed.b))


def test_every_cell_is_a_ratio_of_one_run(runs: list[Path]) -> None:
    found = groups(runs)
    page = multi_run_page(found)
    assert [section.anchor for section in page.sections] == ["machines", "history-1"]
    machines, history = page.sections
    table = grid_of(machines)
    assert table.phases == [("forward", 2), ("backprop", 2), ("epoch", 2)]
    assert table.columns[-2:] == [("epoch", "1,50x9,1 b20"), ("epoch", "64,128x2,10 b32")]
    assert [(row.name, row.note) for row in table.rows] == [
        ("Example CPU 9000", "run later, 2026-11-03"),
        ("Other CPU", "run server, 2026-11-02"),
    ]
    for row, one in zip(table.rows, (found[0].runs[1], found[1].runs[0]), strict=True):
        assert str(row.cells[-2]) == str(one.cells[EPOCH])
        assert row.cells[-2].look.startswith("f" if one.run.name == "later" else "s")
    assert found[0].runs[1].cells[EPOCH].ratio == pytest.approx(3.0, rel=0.05)
    assert found[1].runs[0].cells[EPOCH].ratio == pytest.approx(0.5, rel=0.05)
    assert [(row.note, row.name) for row in grid_of(history).rows] == [
        ("2026-11-01", "before"), ("2026-11-03", "later"),
    ]  # fmt: skip
    assert len(history.charts) == 3
    alt = history.charts[2].alt
    assert re.search(r"b20: before (?:2\.0|1\.9).*, later (?:3\.0|2\.9)", alt)


def test_one_machine_has_a_history_only_and_several_of_one_run_none(runs: list[Path]) -> None:
    page = multi_run_page(groups([runs[0], runs[2]]))
    assert [section.anchor for section in page.sections] == ["history-1"]
    page = multi_run_page(groups(runs[:2]))
    assert [section.anchor for section in page.sections] == ["machines"]


def test_cases_that_only_some_runs_have_leave_a_gap(tmp_path: Path) -> None:
    both = made(tmp_path, "both", "2026-11-01T10:00:00Z")
    truth = Truth(name="one", problems=(SMALL,), changes={"started": "2026-11-02"}, failed=(SMALL,))
    one = write_run(tmp_path / "one", truth)
    (group,) = groups([both, one])
    history = multi_run_page([group]).sections[0]
    assert [str(cell) for cell in grid_of(history).rows[1].cells[-2:]] == ["–", "✕ INVALID"]
    assert history.charts == []  # no case has two ratios
    assert group.runs[1].invalid
    assert EPOCH not in group.runs[1].cells


def test_a_run_without_intervals_is_shown_as_that(tmp_path: Path) -> None:
    paths = [
        write_run(
            tmp_path / str(day),
            Truth(name=str(day), invocations=1, changes={"started": f"2026-11-0{day}"}),
        )
        for day in (1, 2)
    ]
    history = multi_run_page(groups(paths)).sections[0]
    assert "(no interval)" in str(grid_of(history).rows[0].cells[0])
    assert history.charts == []


@pytest.mark.parametrize(
    ("started", "date"),
    [
        ("2026-11-03T10:00:00Z", "2026-11-03"), ("2026-11-03", "2026-11-03"),
        ("2026-11-03T23:00:00-05:00", "2026-11-04"), ("yesterday", "no date"), ("", "no date"),
        ("0001-01-01T00:00:00+14:00", "no date"), ("9999-12-31T23:59:59-14:00", "no date"),
    ],
)  # fmt: skip
def test_any_time_can_be_put_in_order(tmp_path: Path, started: str, date: str) -> None:
    run = load(made(tmp_path, "a", started)).run
    assert date_text(run) == date
    assert when(run).tzinfo is not None


def test_both_pages_are_written_and_nothing_else(
    bench: Bench, tmp_path: Path, runs: list[Path]
) -> None:
    out = tmp_path / "out"
    code, text, err = bench("report", *runs, "--out", out)
    assert (code, err) == (0, "")
    assert text.splitlines()[-1] == f"Report: {out / 'multi_run.html'}"
    assert "2026-11-03  ▲" in text
    drawn = [f"history-1-{phase}.svg" for phase in ("backprop", "epoch", "forward")]
    assert sorted(path.name for path in out.iterdir()) == [
        "charts",
        "multi_run.html",
        "multi_run.md",
    ]
    assert sorted(path.name for path in (out / "charts").iterdir()) == drawn
    assert not [path for run in runs for path in run.glob("report.*")]
    before = {path.name: path.read_bytes() for path in out.rglob("*.*")}
    (out / "charts" / "history-9-epoch.svg").write_text("of another day")
    (out / "charts" / "own.svg").write_text("not ours")
    bench("report", *runs[::-1], "--out", out)
    (out / "charts" / "own.svg").unlink()
    assert {path.name: path.read_bytes() for path in out.rglob("*.*")} == before
    page = Page((out / "multi_run.html").read_text())
    assert_runs_nothing_but_our_script(page)
    markdown = (out / "multi_run.md").read_text()
    pictures = re.findall(r"^!\[(.+)\]\(charts/(\S+)\)$", markdown, re.MULTILINE)
    assert sorted(name for _, name in pictures) == drawn
    assert all(len(alt) > 60 for alt, _ in pictures)
    links = [found["href"] for tag, found in page.elements if tag == "a"]
    assert links
    assert all(link.startswith("#") for link in links)
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)


def test_plain_lines_of_several_runs(bench: Bench, tmp_path: Path, runs: list[Path]) -> None:
    _, text, _ = bench("report", *runs, "--plain", "--out", tmp_path / "out")
    assert text.isascii()
    kinds = [line.split()[0] for line in text.splitlines()]
    assert kinds == ["machine", "run", *["case"] * 6, "run", *["case"] * 6, "machine", "run",
                     *["case"] * 6, "report"]  # fmt: skip
    assert "case machine=2 run=server case=forward/" in text


def test_one_run_is_reported_as_ever(bench: Bench, runs: list[Path]) -> None:
    code, text, _ = bench("report", runs[0])
    assert code == 0
    assert text.splitlines()[-1] == f"Report: {runs[0] / 'report.html'}"
    assert (runs[0] / "report.html").exists()


def test_an_invalid_case_of_any_run_ends_with_1(bench: Bench, tmp_path: Path) -> None:
    good = made(tmp_path, "good", "2026-11-01")
    bad = write_run(tmp_path / "bad", Truth(name="bad", failed=(SMALL,)))
    code, text, _ = bench("report", good, bad, "--out", tmp_path / "out")
    assert code == 1
    assert "INVALID" in text
    assert "have no ratio: bad." in (tmp_path / "out" / "multi_run.md").read_text()


def test_what_cannot_be_done_is_refused(tmp_path: Path, runs: list[Path]) -> None:
    with pytest.raises(UsageError, match="is given twice"):
        build_multi_run([runs[0], runs[0].parent / "." / runs[0].name], tmp_path / "out")
    with pytest.raises(StoreError, match="is not a run"):
        build_multi_run([runs[0], tmp_path / "nowhere"], tmp_path / "out")
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(StoreError, match="choose another --out"):
        build_multi_run(runs, tmp_path / "out")


def test_a_long_name_is_cut_on_an_axis() -> None:
    assert run_label("a\n b") == "a b"
    assert run_label("x" * 200) == "x" * 15 + "…"


@settings(suppress_health_check=list(HealthCheck), max_examples=15)
@given(data=st.data())
def test_changed_runs_are_refused_or_shown_without_harm(
    data: st.DataObject, capsys: pytest.CaptureFixture[str]
) -> None:
    with TemporaryDirectory(prefix="hostile-") as name:
        folder = Path(name)
        for place in ("a", "b"):
            (folder / place).mkdir()
        spoiled = [hostile.spoil(folder / place, data.draw) for place in ("a", "b")]
        good = write_run(folder / "good", hostile.TRUTH)
        paths = [path for path in spoiled if loaded(path) is not None] + [good]
        if len(paths) < 2:
            return
        found, pages = build_multi_run(paths, folder / "out")
        show_multi_run(found, pages)
        show_multi_run(found, pages, plain=True)
        assert not UNSEEN.search(capsys.readouterr().out)
        html = pages.html.read_text(encoding="utf-8")
        page = Page(html)
        assert FORBIDDEN & {tag.lower() for tag, _ in page.elements} == {"script"}
        assert_runs_nothing_but_our_script(page)
        assert not [key for _, keys in page.elements for key in keys if key.startswith("on")]
        assert "<" not in pages.markdown.read_text(encoding="utf-8")
        assert not UNSEEN.search(html)


# The latest report


def test_open_takes_the_run_begun_last(
    bench: Bench, tmp_path: Path, runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    build(runs[0])
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    made(tmp_path, "undated", "zzz")
    code, out, _ = bench("open", "--out", tmp_path)
    assert (code, out) == (0, f"{runs[0] / 'report.html'}\n")
    assert opened == [(runs[0] / "report.html").as_uri()]
    code, out, _ = bench("open", "--print", runs[0])
    assert (code, out) == (0, f"{runs[0] / 'report.html'}\n")
    assert len(opened) == 1


def test_open_says_what_to_do_where_there_is_nothing(tmp_path: Path, runs: list[Path]) -> None:
    with pytest.raises(UsageError, match=r"has no report yet; `bench report .*later` makes it"):
        report_page(None, tmp_path)
    with pytest.raises(UsageError, match=r"there is no run in .*; `bench run` makes one"):
        report_page(None, tmp_path / "nowhere")
    with pytest.raises(StoreError, match="is not a run"):
        report_page(tmp_path / "nowhere", tmp_path)


def test_without_a_browser_the_page_is_named(
    bench: Bench, runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    build(runs[0])
    code, out, err = bench("open", runs[0])
    assert code == 2
    assert "open" in err
    assert out.strip() == str(runs[0] / "report.html")
