"""Rates against loss from synthetic results: what is counted, compared, linked and said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.figures.sections import Material, Section
from testbed.figures.seed import reliable_capable, v0_fallback
from testbed.figures.seed.rates import Series, agreements, number, series, spoken
from testbed.figures.style import PROFILE_STYLE
from testbed.results import Results, load
from tests.figures.seed.simulated import EXPERIMENTS
from tests.figures.synthetic import write

SETS = ["connections=400", "vary.workload.request=[300B]"]


def dice(directory: Path, seed: int) -> Results:
    """Verdicts with the closed form's own odds."""
    return load(write(directory, EXPERIMENTS / "fallback.yaml", SETS, seed))


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    home = tmp_path_factory.mktemp("rates")
    results = {"fallback-sim": dice(home / "sim", 1), "fallback-mininet": dice(home / "lab", 2)}
    links = {"fallback": {5: "#ladders-of-cell-5"}}  # v0 at 20 %
    return Material(results, {"linux-mininet": "no MPTCP in this kernel"}, links=links)


@pytest.fixture(scope="module")
def slide(material: Material) -> Section:
    return v0_fallback.section(material)


def of(material: Material, profile: str) -> list[Series]:
    where = {"client.profile": profile, "workload.request": 300}
    style = PROFILE_STYLE[profile]
    return series(material, "fallback", "fallback", where=where, label=profile, style=style)


def test_a_series_for_each_way_of_running(material: Material) -> None:
    simulator, lab = of(material, "v0")
    assert (simulator.label, simulator.hollow) == ("v0, simulator", False)
    assert (lab.label, lab.hollow) == ("v0, lab", True)
    assert list(simulator.points["x"]) == [0, 1, 2, 5, 10, 20]
    assert set(simulator.points["total"]) == {400}
    assert simulator.points["expected"].iloc[-1] == pytest.approx(0.2064 - 0.2**7, rel=1e-5)
    rate = simulator.points["count"].iloc[-1] / 400
    assert spoken([lab, simulator]) == f"{100 * rate:.3g} % (v0)"


def test_agreement_is_judged_and_can_fail(material: Material) -> None:
    simulator, lab = of(material, "v0")
    assert number(simulator, "fallback").agrees
    (same,) = agreements([simulator, lab], "fallback")
    assert same.agrees
    simulator.points.loc[5, "count"] += 60  # 35 %: neither 20.6 % nor what the lab has
    try:
        wrong = number(simulator, "fallback")
        assert wrong.agrees is False
        assert "5 of 6 points inside" in wrong.expected
        (other,) = agreements([simulator, lab], "fallback")
        assert other.agrees is False
    finally:
        simulator.points.loc[5, "count"] -= 60


def test_points_lead_to_their_ladders(slide: Section) -> None:
    plot = slide.pictures[-1].svg
    assert plot.startswith("<svg")
    assert re.findall(r'<a xlink:href="(#ladders[^"]+)"', plot), plot[:200]


def test_what_is_missing_is_said(material: Material, slide: Section) -> None:
    assert slide.left_out == ("linux-mininet: no MPTCP in this kernel",)
    other = reliable_capable.section(material)
    pictures = {picture.title: picture for picture in other.pictures}
    assert pictures["Three profiles, one loss"].note == ""
    assert (
        pictures["Linux as client and as server"].note == "Left out: linux-mininet: no MPTCP in this kernel."
    )
    assert all(one.agrees is not False for one in [*slide.numbers, *other.numbers])


def test_without_results_there_are_words_alone() -> None:
    for module in (v0_fallback, reliable_capable):
        section = module.section(Material({}))
        assert section.shows
        assert not section.pictures
        assert not section.numbers


def test_ids_of_two_pictures_never_meet(material: Material) -> None:
    pictures = reliable_capable.section(material).pictures
    ids = [found for one in pictures for found in re.findall(r'\bid="([^"]+)"', one.svg)]
    assert len(ids) == len(set(ids)) > 10
