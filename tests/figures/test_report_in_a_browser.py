"""The report of a run as a reader sees it, in headless Chromium: wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from testbed.runner import conclude, load_experiment, run_campaign
from tests.figures.test_report import EXPERIMENTS, KINDS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (which("chromium") and which("chromedriver")),
        reason="no Chromium here: apt-get install chromium chromium-driver, as make test does as root",
    ),
]
TEXTS = """
const visible = (e) => e.getClientRects().length && e.textContent.trim();
const rgb = (text) => (text.match(/[0-9.]+/g) || [0, 0, 0]).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const paper = (e) => {
  for (; e; e = e.parentElement) {
    const found = rgb(getComputedStyle(e).backgroundColor);
    if (found.length < 4 || found[3] > 0) return found;
  }
  return [255, 255, 255];
};
return [...document.querySelectorAll('h1,h2,p,li,th,td,dt,dd,summary,figcaption,pre,code')].filter(visible)
  .map((e) => {
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(paper(e))];
    return [e.textContent.trim().slice(0, 40), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  });
"""


@pytest.fixture(scope="module", params=["losses", "cases", "rivals", "invalid"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file, sets = KINDS[request.param]
    out = tmp_path_factory.mktemp("page") / "out"
    campaign = load_experiment(EXPERIMENTS / file, sets)
    run_campaign(campaign, net="sim", way="simulator, virtual time", out=out, jobs=1)
    report = conclude(out, campaign.experiment.figures).report
    assert report is not None
    return report


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    options = ChromeOptions()
    for word in ("headless", "no-sandbox", "disable-gpu", "disable-background-networking"):
        options.add_argument(f"--{word}")
    options.binary_location = str(which("chromium"))
    driver = Chrome(options=options, service=ChromeService(str(which("chromedriver"))))
    try:
        yield driver
    finally:
        driver.quit()


def look(browser: Chrome, page: Path, width: int, scheme: str) -> None:
    size: dict[str, Any] = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page.as_uri())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_and_can_be_read(browser: Chrome, page: Path, width: int, scheme: str) -> None:
    look(browser, page, width, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    table = "const t = document.querySelector('table.results'); return t.parentElement.scrollWidth - "
    assert browser.execute_script(table + "t.parentElement.clientWidth") <= 0, "the table is cut"
    texts: list[tuple[str, float]] = browser.execute_script(TEXTS)
    assert len(texts) > 30
    assert not [text for text, contrast in texts if contrast < 4.5]
    inks = "return [...document.querySelectorAll('.plot text')].map(e => getComputedStyle(e).fill)"
    papers = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert papers not in browser.execute_script(inks)


def test_every_column_has_its_title_on_a_telephone(browser: Chrome, page: Path) -> None:
    look(browser, page, 390, "light")
    titles = browser.execute_script(
        "return [...document.querySelectorAll('.cards td')].filter(e => e.textContent)"
        ".map(e => getComputedStyle(e, '::before').content)"
    )
    assert titles
    assert all(title not in ("none", '""', "normal") for title in titles)
