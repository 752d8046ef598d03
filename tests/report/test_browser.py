"""The page in a real browser: what a reader does with it, by mouse, keyboard, link and paper.

Chromium is found, never downloaded. Where there is none the tests are skipped, and where CI=true
they fail instead. BENCH_SCREENSHOTS=folder keeps a picture of every page, to be looked at.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from browsing import ROWS, anchors, choice, grave, ground, keep, keys, overflow, values
from page_runs import write_named
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from sample_run import LADDER, SMALL, Truth, make_run, problems, write_run

from bench.model.cases import case_id, file_stem
from bench.model.records import Case, Problem
from bench.report.multi_run.build import build_multi_run
from bench.report.run.build import build

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome")
ON_MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
HOW_TO = (
    "no Chromium is installed: apt-get install chromium (Debian), or .venv/bin/playwright install "
    "chromium (anywhere)"
)
ARGUMENTS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
WIDE = {"width": 1200, "height": 900}
PHONE = {"width": 360, "height": 740}
SECOND = Problem((1, *[150] * 9, 1), 20, 500, "float32", 1)
# Two dtypes, Mojo slower in one case, and a problem that failed: cases without a ratio.
MIXED = Truth(
    problems=(*problems("float64")[:3], SECOND),
    ratios={case_id(Case("forward", SMALL)): 0.6},
    failed=(SECOND,),
    training_epochs=0,
)
RUNS = ("usual", "invalid", "one")
ITSELF = r"file:///[^#]*/(?:run/report|report/fleet|machines/[0-9a-f]{16})\.html(?:#.*)?"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path  # there if somebody has downloaded it
        candidates = (*map(shutil.which, NAMES), str(ON_MACOS), own)
        found = next((path for path in candidates if path and Path(path).exists()), None)
        if found is None:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(HOW_TO)
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        arguments = [*ARGUMENTS, *(["--no-sandbox"] if root else [])]
        opened = playwright.chromium.launch(executable_path=found, args=arguments)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The address of a run's page, which is made when it is first asked for."""

    @cache
    def address(name: str) -> str:
        run_dir = tmp_path_factory.mktemp(name) / "run"
        if name == "usual":
            shutil.copytree(ROOT / "results" / "reference", run_dir)
        elif name == "mixed":
            write_run(run_dir, MIXED)
        elif name == "ladder":
            write_run(run_dir, LADDER)
        else:
            write_named(run_dir, name)
        return build(run_dir).html.as_uri()

    return address


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport=WIDE)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that fails its test if it says anything, or asks for anything but itself."""
    made = context.new_page()
    trouble: list[str] = []
    made.on("console", lambda message: trouble.append(f"{message.type}: {message.text}"))
    made.on("pageerror", lambda error: trouble.append(str(error)))
    made.on("request", lambda request: trouble.append(request.url))
    yield made
    assert [line for line in trouble if not re.fullmatch(ITSELF, line)] == []


@pytest.mark.parametrize("name", RUNS)
def test_everybody_can_read_it(page, report, name):
    page.goto(report(name))
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    assert min(ground(page)) > 230
    assert grave(page) == []
    keep(page, f"{name}-light")
    page.emulate_media(color_scheme="dark")
    assert max(ground(page)) < 50
    assert grave(page, runOnly=["color-contrast"]) == []  # the rest is the same
    keep(page, f"{name}-dark")
    levels = page.eval_on_selector_all("h1, h2, h3", "all => all.map(one => +one.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_everybody_can_read_the_pages_of_many_machines(page, tmp_path):
    pytest.importorskip("pyarrow")
    from bench.report.fleet.build import build_fleet
    from bench.storage.archive.merge import merge
    from tools.simulated_runs import Simulated, write_simulated

    networks = (((1, 4, 1), 5, 20), ((1024, 1024), 64, 64))
    for number in range(20, 42):  # one of them cannot tell, one fails parity
        write_simulated(tmp_path / "runs" / str(number), Simulated(number, networks))
    merge([tmp_path / "runs"], tmp_path / "store", processes=1)
    fleet, paths = build_fleet(tmp_path / "store")
    page.goto(paths.html.as_uri())
    assert grave(page) == []
    keep(page, "fleet-light")
    page.emulate_media(color_scheme="dark")
    assert grave(page, runOnly=["color-contrast"]) == []
    keep(page, "fleet-dark")
    page.set_viewport_size(PHONE)
    assert overflow(page) <= 0
    page.set_viewport_size(WIDE)
    page.get_by_role("link", name=fleet.machines[0].facts["cpu"]).first.click()
    assert fleet.machines[0].name in page.title()
    assert grave(page) == []
    page.get_by_role("link", name="All machines").click()
    assert "machines" in page.title()


@pytest.mark.parametrize("name", [*RUNS, "mixed"])
def test_a_phone_shows_it_without_moving_sideways(page, report, name):
    page.set_viewport_size(PHONE)
    page.goto(report(name))
    assert overflow(page) <= 0
    boxes = page.eval_on_selector_all(ROWS, "rows => rows.map(row => row.clientWidth)")
    assert boxes
    assert max(boxes) <= PHONE["width"]
    keep(page, f"{name}-phone")
    page.set_viewport_size({"width": 820, "height": 1100})
    assert overflow(page) <= 0


def test_columns_sort_by_their_numbers(page, report):
    page.goto(report("mixed"))
    stored = anchors(page)
    head = page.locator("th[data-key=ratio]")
    assert head.get_attribute("aria-sort") is None
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    shown = keys(page, "ratio")
    numbers = [float(key) for key in shown if key]
    assert 0 < len(numbers) < len(shown)  # some cases have no ratio
    assert numbers == sorted(numbers)
    assert shown[len(numbers) :] == [""] * (len(shown) - len(numbers))
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert keys(page, "ratio") == [*shown[: len(numbers)][::-1], *shown[len(numbers) :]]
    page.locator("th[data-key=network] button").click()
    assert page.locator("[aria-sort]").count() == 1
    places = [int(float(key)) for key in keys(page, "network")]
    assert places == sorted(places)
    page.get_by_role("button", name="Show all").click()
    assert anchors(page) == stored
    assert page.locator("[aria-sort]").count() == 0


def test_filters_leave_out_what_is_not_asked_for(page, report):
    page.goto(report("mixed"))
    status = page.get_by_role("status")
    assert status.inner_text() == "12 of 12 cases"
    labels = page.locator(".controls label").all_inner_texts()
    assert [label.split()[0] for label in labels] == ["phase", "network", "dtype", "verdict"]
    choice(page, "dtype").select_option("float64")
    assert values(page, "dtype") == {"float64"}
    assert status.inner_text() == "9 of 12 cases"
    choice(page, "phase").select_option("epoch")
    assert values(page, "phase") == {"epoch"}
    assert status.inner_text() == "3 of 12 cases"
    choice(page, "verdict").select_option("INVALID")
    assert status.inner_text() == "0 of 12 cases"
    page.get_by_role("button", name="Show all").click()
    assert status.inner_text() == "12 of 12 cases"
    assert page.url.endswith("#results")


def test_a_link_opens_the_same_view_again(page, report, context):
    page.goto(report("mixed"))
    choice(page, "phase").select_option("forward")
    page.locator("th[data-key=ratio] button").click()
    page.locator("th[data-key=ratio] button").click()
    assert page.url.endswith("#results?phase=forward&sort=-ratio")
    again = context.new_page()
    again.goto(page.url)
    assert anchors(again) == anchors(page)
    assert choice(again, "phase").input_value() == "forward"
    assert again.locator("th[data-key=ratio]").get_attribute("aria-sort") == "descending"
    assert again.locator("#results").evaluate("it => it.getBoundingClientRect().top") < 200
    page.goto(f"{report('mixed')}#results?phase=nothing&sort=__proto__&%E0%A4%A=1")
    assert page.get_by_role("status").inner_text() == "12 of 12 cases"


def test_every_row_has_a_link_of_its_own(page, report):
    page.goto(report("mixed"))
    anchor = file_stem(case_id(Case("backprop", SMALL)))
    row = page.locator(f"[id='{anchor}']")
    link = row.locator(".permalink")
    assert link.evaluate("it => getComputedStyle(it).opacity") == "0"
    row.hover()
    assert link.evaluate("it => getComputedStyle(it).opacity") == "1"
    link.click()
    assert page.url.endswith(f"#{anchor}")
    assert page.locator("tr:target").get_attribute("id") == anchor
    choice(page, "phase").select_option("forward")
    assert row.is_hidden()
    page.evaluate("anchor => { location.hash = anchor }", anchor)
    row.wait_for(state="visible")  # a link to a row that is left out shows it


def test_a_link_opens_what_is_folded(page, report):
    page.goto(f"{report('usual')}#details")
    assert page.locator("#details").get_attribute("open") is not None
    page.goto(f"{report('one')}#%E0%A4%A")  # no name at all does no harm
    assert page.locator("#details").get_attribute("open") is None


def test_a_ladder_filters_by_implementation_and_a_phone_shows_it(page, report):
    page.goto(report("ladder"))
    assert grave(page) == []
    count = len(anchors(page))
    choice(page, "implementation").select_option("mojo-port")
    assert values(page, "implementation") == {"mojo-port"}
    assert len(anchors(page)) == 6 < count
    choice(page, "phase").select_option("epoch")
    assert page.url.endswith("#results?phase=epoch&implementation=mojo-port")
    page.goto(report("ladder") + "#results?implementation=sklearn")
    assert values(page, "implementation") == {"sklearn"}
    assert values(page, "phase") == {"epoch"}
    keep(page, "ladder-light")
    page.emulate_media(color_scheme="dark")
    assert grave(page, runOnly=["color-contrast"]) == []
    keep(page, "ladder-dark")
    page.set_viewport_size(PHONE)
    assert overflow(page) <= 0
    keep(page, "ladder-phone")


def test_many_runs_filter_by_preset(page, tmp_path):
    runs = []
    for preset, day in (("quick", 1), ("full", 2)):
        truth = replace(MIXED, name=preset, changes={"started": f"2026-11-0{day}"}, invocations=3)
        truth = replace(truth, changes=dict(truth.changes) | {
            "plan": make_run(truth).plan.of(preset=preset)})  # fmt: skip
        runs.append(write_run(tmp_path / preset, truth))
    _, paths = build_multi_run(runs, tmp_path / "run")
    address = paths.html.rename(tmp_path / "run" / "report.html").as_uri()
    page.goto(address)
    assert grave(page) == []
    count = len(anchors(page))
    choice(page, "preset").select_option("full")
    assert values(page, "preset") == {"full"}
    assert len(anchors(page)) == count // 2
    choice(page, "dtype").select_option("float32")
    assert values(page, "dtype") == {"float32"}
    page.locator("th[data-key=ratio] button").click()
    page.goto(f"{address}#results?preset=quick")
    assert values(page, "preset") == {"quick"}
    keep(page, "multi_run-light")
    page.set_viewport_size(PHONE)
    assert overflow(page) <= 0


def test_without_scripts_all_is_there_and_nothing_is_dead(browser, report):
    context = browser.new_context(viewport=WIDE, java_script_enabled=False)
    page = context.new_page()
    page.goto(report("usual"))
    rows = page.locator("#cases tbody tr")
    assert rows.count() == 15
    assert all(row.is_visible() for row in rows.all())
    drawings = page.locator("main > section > .figures svg[role=img]")
    assert drawings.count() >= 4
    assert all(drawing.is_visible() for drawing in drawings.all())
    assert page.locator("button, select, input, [role=status]").count() == 0
    context.close()


def test_one_case_has_nothing_to_sort(page, report):
    page.goto(report("one"))
    assert page.locator("#cases tbody tr").count() == 1
    assert page.locator("button, select, [role=status]").count() == 0


@pytest.mark.parametrize("name", ["usual", "mixed"])
def test_paper_holds_all_of_it(page, report, name):
    page.goto(report(name))
    sheet = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", sheet)) > 1
    assert re.search(rb"/MediaBox\s*\[0 0 59[45][\d.]* 84[12]", sheet)  # A4
    if folder := os.environ.get("BENCH_SCREENSHOTS"):
        (Path(folder) / f"{name}.pdf").write_bytes(sheet)
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 695, "height": 1015})  # of A4, within its margins
    assert overflow(page) <= 0
    assert page.locator("nav").is_hidden()
    assert page.locator(".permalink").first.is_hidden()
    assert ground(page) == [255, 255, 255]
    folded = page.locator("details.tables:not([open])")
    count = folded.count()
    assert count
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert folded.count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert folded.count() == count


def test_the_keyboard_reaches_everything(page, report):
    page.goto(report("mixed"))
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    assert skip.inner_text() == "Skip to the content"
    assert skip.evaluate("it => it.getBoundingClientRect().top") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(({tagName, textContent}) => tagName === 'BUTTON' ? textContent.trim() : tagName)"
                "(document.activeElement)"
            )
        )
        if reached[-1] == "verdict":
            break
    assert reached.count("SELECT") == 4
    assert reached[-1] == "verdict"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    assert page.locator("th[data-key=verdict]").get_attribute("aria-sort") == "ascending"
    assert page.evaluate("document.activeElement.textContent") == "verdict"
