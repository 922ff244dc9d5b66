"""Slide 7 from small floods in the simulator: fates add up, and numbers are those of the connections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from testbed.figures.sections import Material, Number, Section
from testbed.figures.seed import stateless_server
from testbed.figures.seed.costs import groups
from testbed.figures.seed.served import BOTH, FATES, FELL, LOST, ONE, fates, flood_factor, share
from testbed.results import Results
from tests.figures.seed.simulated import simulated

FLOOD = """
question: What does a flood cost?
topology: {name: flood, clients: 1}
vary:
  server.syn_cookies: ["off", always]
  client.profile: [v0, v1]
  traffic.attacker.syn_flood: [0, 1000]
traffic:
  - {from: attacker, to: server}
server: {backlog: 64}
paths.*.drop.up: 'third_ack:3@all'   # of one connection in each run
workload: {type: request, request: 300B, response: 3KB, arrivals: 40/s, timeout: 3s}
connections: 20
seed: 1
"""
DOWNLOADS = """
question: What does a fallback cost?
topology: {name: two_path, bw: 10, delay: 10ms, max_queue_size: 2000}
vary:
  client.profile: [v0, v1]
server: {syn_cookies: always}
paths.1.drop.up: ['third_ack:1-10@all']
workload: {type: request, request: 300B, response: 300KB, arrivals: 1/s}
connections: 14
seed: 1
"""


def made(directory: Path, text: str) -> Results:
    file = directory / "made.yaml"
    file.write_text(text)
    return simulated(directory / "out", file, capture=False)


@pytest.fixture(scope="module")
def flood(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return made(tmp_path_factory.mktemp("flood"), FLOOD)


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return made(tmp_path_factory.mktemp("downloads"), DOWNLOADS)


@pytest.fixture(scope="module")
def section(flood: Results, downloads: Results) -> Section:
    return stateless_server.section(Material({"flood-sim": flood, "flood_goodput-sim": downloads}))


def test_every_connection_has_one_fate(flood: Results) -> None:
    found = fates(flood)
    assert found["count"].sum() == len(flood.connections)
    assert flood_factor(flood) == "traffic.attacker.syn_flood"
    always = found[(found["cookies"] == "always") & (found["rate"] == 1000)]
    v0, v1 = (always[always["profile"] == profile] for profile in ("v0", "v1"))
    assert share(v0, [FELL]) == share(v0, [FELL, LOST]) == 1 / 20, "the one whose third ACK was dropped"
    assert share(v1, [BOTH, ONE]) == 1
    off = found[(found["cookies"] == "off") & (found["rate"] == 1000)]
    assert share(off, [LOST]) > 0.5


def test_numbers_are_those_of_the_runs(section: Section) -> None:
    told = {one.what: (one.measured, one.agrees) for one in section.numbers}
    assert told["cookies off, simulator: half-open connections, most"] == ("64", True)
    assert told["cookies always, simulator: half-open connections, most"] == ("0", True)
    strongest = told[
        "cookies always, v0, simulator, strongest flood: served, with Multipath TCP, over both paths"
    ]
    beside = told["cookies always, v0, simulator: fell back beside the strongest flood"]
    assert beside == ("5.0 % of 20", True)
    assert strongest[0].startswith("100.0 %, 95.0 %, ")


def test_what_a_fallback_costs(section: Section, downloads: Results) -> None:
    found = groups(downloads.connections)
    sizes = {key: len(values) for key, values in found.items()}
    assert sizes == {("v0", "mptcp"): 4, ("v0", "fallback"): 10, ("v1", "mptcp"): 14}
    fell, kept = found["v0", "fallback"].mean(), found["v0", "mptcp"].mean()
    [ratio] = [one for one in section.numbers if "of that without one" in one.what]
    assert ratio.measured == f"{fell / kept:.2f}"
    assert (
        f"{fell:.1f} Mbit/s after a fallback, {kept:.1f} without (v0, simulator, begun at 1/s)"
        in section.shows[-1]
    )


def test_a_handful_of_fallbacks_decides_nothing(tmp_path: Path) -> None:
    few = made(
        tmp_path, DOWNLOADS.replace("1-10@all", "1-2@all").replace("connections: 14", "connections: 5")
    )
    section = stateless_server.section(Material({"flood_goodput-sim": few}))
    [ratio] = [one for one in section.numbers if "of that without one" in one.what]
    assert (ratio.expected, ratio.agrees) == ("below 1; too few fallbacks to tell", None)
    assert section.shows == ()


def test_intervals_of_goodputs_are_over_runs(downloads: Results) -> None:
    """One run decides nothing, four that agree do; connections of one run are no independent samples."""

    def ratio(results: Results) -> Number:
        section = stateless_server.section(Material({"flood_goodput-sim": results}))
        [found] = [one for one in section.numbers if "of that without one" in one.what]
        return found

    one = ratio(downloads)
    assert (one.expected, one.agrees) == ("below 1; one run has no interval: set repeats", None)
    frame = downloads.connections
    goodput = frame["goodput_mbit"]
    runs = [frame.assign(run=frame["run"] + f"-{n}", goodput_mbit=goodput * (1 + n / 1000)) for n in range(4)]
    four = ratio(replace(downloads, connections=pd.concat(runs, ignore_index=True)))
    assert (four.expected, four.agrees) == ("below 1", True)


def test_pictures(section: Section) -> None:
    bars, setup, held, goodput = section.pictures
    assert bars.svg.count("<svg") == 3, "a legend and a plot for each use of cookies"
    assert all(fate in bars.svg for fate in FATES)
    assert (setup.svg.count("<svg"), held.svg.count("<svg")) == (2, 2)
    assert "v0: fallback (n = 10)" in goodput.svg
    assert all(picture.alt for picture in section.pictures)


def test_one_campaign_alone(flood: Results) -> None:
    missing = {"flood_goodput-sim": "not run yet"}
    section = stateless_server.section(Material({"flood-sim": flood}, missing))
    assert len(section.pictures) == 3
    assert section.left_out == ("flood_goodput-sim: not run yet",)
