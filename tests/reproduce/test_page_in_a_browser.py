"""The page of a reproduction as a reader sees it, in headless Chromium: offline, wide and narrow, light and
dark. Everything is looked up in the page that the browser made, not in the text that we wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.support.ui import WebDriverWait

from tests.reproduce.small import small_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (which("chromium") and which("chromedriver")),
        reason="no Chromium here: apt-get install chromium chromium-driver, as make test does as root",
    ),
]

GOAL = "a => a.getAttribute('href') || a.getAttribute('xlink:href')"
WIDE, TELEPHONE = (1200, 900), (390, 844)  # px


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_page(tmp_path_factory.mktemp("page"))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    options = ChromeOptions()
    for word in ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-sync"):
        options.add_argument(f"--{word}")
    options.add_argument(f"--user-data-dir={tmp_path}")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")  # offline
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(which("chromedriver")))
    yield driver
    driver.quit()


def show(browser: Chrome, page: Path, size: tuple[int, int], scheme: str = "light") -> None:
    """In a viewport of `size`, narrower than any window may be."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page.as_uri())


def until(browser: Chrome, reached: Callable[[], bool]) -> bool:
    """The browser follows a link in its own time."""
    return WebDriverWait(browser, 30).until(lambda _: reached())


def ask(browser: Chrome, script: str) -> Any:
    return browser.execute_script(f"return {script}")


def test_every_figure_is_there_and_nothing_is_fetched(browser: Chrome, page: Path) -> None:
    show(browser, page, WIDE)
    drawn = ask(browser, "[...document.querySelectorAll('figure')].filter(f => !f.closest('.sample')).length")
    boxes = ask(
        browser,
        "[...document.querySelectorAll('.chapter figure > svg')]"
        ".map(s => s.getBoundingClientRect()).map(b => [b.width, b.height])",
    )
    assert len(boxes) == drawn >= 3
    assert all(width > 300 and height > 100 for width, height in boxes), boxes
    assert browser.get_log("browser") == []
    told = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [one["params"] for one in told if one["method"] == "Network.requestWillBeSent"]
    ours = [one for one in asked if one["documentURL"] == page.as_uri()]  # not those of the tab it began with
    assert [one["request"]["url"] for one in ours] == [page.as_uri()]


def test_each_slide_is_told_in_short_and_its_numbers_unfold(browser: Chrome, page: Path) -> None:
    show(browser, page, WIDE)
    rows = ask(browser, "[...document.querySelectorAll('nav tbody')].map(b => b.innerText)")
    assert len(rows) == 2
    assert all("fallback, 1 segment" in row for row in rows)
    for row in rows:
        told = re.search(r"[✓✗] (\d+) of (\d+) agree", row)
        assert told is not None
        agree, judged = map(int, told.groups())
        assert ("✓" in row) == (agree == judged > 0)
    seen = "document.querySelector('.numbers table').checkVisibility()"
    assert not ask(browser, seen)
    browser.find_element("css selector", ".numbers summary").click()
    assert ask(browser, seen)


def test_links_are_alive_and_a_point_shows_its_ladders(browser: Chrome, page: Path) -> None:
    show(browser, page, WIDE)
    goals = ask(browser, f"[...document.querySelectorAll('a')].map({GOAL})")
    assert len(goals) > 5
    dead = [goal for goal in goals if not ask(browser, f"!!document.getElementById({goal.lstrip('#')!r})")]
    assert dead == []
    behind = "document.querySelector('.plot a')"
    goal = ask(browser, f"({GOAL})({behind})")
    shown = f"document.getElementById({goal.lstrip('#')!r}).getBoundingClientRect().height"
    assert ask(browser, shown) == 0
    browser.find_element("css selector", ".plot a").click()
    assert until(browser, lambda: ask(browser, shown) > 300)
    assert ask(browser, "document.querySelector(':target svg').getBoundingClientRect().height") > 100
    browser.find_element("css selector", ":target .close").click()
    assert until(browser, lambda: ask(browser, shown) == 0)


@pytest.mark.parametrize("size", [WIDE, TELEPHONE])
def test_the_page_is_no_wider_than_the_screen(browser: Chrome, page: Path, size: tuple[int, int]) -> None:
    show(browser, page, size)
    assert ask(browser, "window.innerWidth") == size[0]
    assert ask(browser, "document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_paper(browser: Chrome, page: Path, scheme: str) -> None:
    """WCAG 2.1 section 1.4.3: a contrast of 4.5 to 1, in the page and in its pictures."""
    show(browser, page, WIDE, scheme)
    paper = ask(browser, "getComputedStyle(document.body).backgroundColor")
    inks = ask(
        browser,
        "[...new Set([...document.querySelectorAll("
        "'.chapter p, .chapter td, .chapter h2, .chapter svg text')]"
        ".map(e => e.closest('svg') ? getComputedStyle(e).fill : getComputedStyle(e).color))]",
    )
    assert len(inks) >= 2
    for ink in inks:
        assert contrast(channels(ink), channels(paper)) >= 4.5, (ink, paper)


def channels(colour: str) -> list[float]:
    """'rgb(1, 2, 3)' -> its three numbers."""
    return [float(part) for part in colour[colour.index("(") + 1 : colour.index(")")].split(",")[:3]]


def contrast(one: list[float], other: list[float]) -> float:
    first, second = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (first + 0.05) / (second + 0.05)


def _luminance(colour: list[float]) -> float:
    parts = [value / 255 for value in colour]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
