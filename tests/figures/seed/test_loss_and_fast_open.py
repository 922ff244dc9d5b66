"""Slides 2 and 9 from a few connections in virtual time: what is drawn, counted and said."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from testbed.figures.sections import Material, Section
from testbed.figures.seed import fast_open, third_ack_loss, waiting
from testbed.results import Results
from tests.figures.seed.simulated import simulated

LOSSES = "vary.paths.*.loss.up=[0, 20]"


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    home = tmp_path_factory.mktemp("slides")
    results = {
        "cookie_loss-sim": simulated(home / "loss", "cookie_loss.yaml", [LOSSES, "connections=60"]),
        "fast_open-sim": simulated(home / "fast", "fast_open.yaml", [LOSSES, "connections=60"]),
        "fast_open_time-sim": simulated(home / "time", "fast_open_time.yaml", ["connections=25"]),
    }
    results["fast_open_linux-mininet"] = as_if_of_linux(results["fast_open_time-sim"])
    ladders = {"TCP, server first": "<svg></svg>", "v1, Fast Open": "<svg></svg>"}
    return Material(results, {"fast_open-mininet": "no labs here"}, ladders=ladders)


def as_if_of_linux(results: Results) -> Results:
    """The same connections under names of cases; those of `v1` with Fast Open never had an answer."""
    tables = [
        table.rename(columns={"client.profile": "case"}) for table in (results.connections, results.summary)
    ]
    connections = tables[0]
    silent = (connections["case"] == "v1") & connections["client.fast_open"]
    connections.loc[silent, "first_byte_ns"] = np.nan
    return replace(results, connections=connections, summary=tables[1], environment={"net": "mininet"})


@pytest.fixture(scope="module")
def loss(material: Material) -> Section:
    return third_ack_loss.section(material)


@pytest.fixture(scope="module")
def fast(material: Material) -> Section:
    return fast_open.section(material)


def numbers(section: Section) -> dict[str, tuple[str, bool | None]]:
    return {one.what: (one.measured, one.agrees) for one in section.numbers}


def test_who_speaks_first_decides(loss: Section) -> None:
    told = numbers(loss)
    assert all(agrees for _, agrees in told.values())
    first, last = (
        told["hang, server first, simulator"][0],
        told["hang, client first, 1 segment, simulator"][0],
    )
    assert float(first.split()[0]) > 5
    assert float(last.split()[0]) == 0
    assert [one.title for one in loss.pictures] == ["TCP, server first", "Hangs and resets against loss"]
    assert f"{float(first.split()[0]):.3g} % (server first)" in loss.shows[2]


def test_a_key_said_once_is_lost_and_repeated_it_is_not(fast: Section) -> None:
    told = numbers(fast)
    assert all(agrees in (True, None) for _, agrees in told.values())
    for profile in ("draft", "v1"):
        once, repeated = (
            float(told[f"fallback, keys {how}, {profile}, simulator"][0].split()[0])
            for how in ("said once", "repeated")
        )
        assert once > 5 > repeated
    assert float(told["fallback, keys said once, v0, simulator"][0].split()[0]) < 5


def test_a_round_trip_is_saved_in_every_profile(fast: Section) -> None:
    told = numbers(fast)
    for profile in ("tcp", "v0", "draft", "v1"):
        measured, agrees = told[f"median time to the first byte, {profile}, simulator"]
        assert agrees, measured
    assert [one.title for one in fast.pictures][-2:] == [
        "What a lost key costs",
        "How much sooner the response begins, 2 % lost both ways",
    ]
    assert fast.left_out == ("fast_open-mininet: no labs here",)


def test_who_never_heard_anything_counts(material: Material, fast: Section) -> None:
    results = material.results["fast_open_linux-mininet"]
    silent = waiting.waits(results, {"case": "v1", "client.fast_open": True}, "with")
    assert silent is not None
    assert (len(silent.times), silent.total, silent.median, silent.spoken) == (0, 25, math.inf, "never")
    heard = waiting.waits(results, {"case": "tcp", "client.fast_open": False}, "without")
    assert heard is not None
    assert heard.median == heard.times[12]
    (table,) = fast.tables
    assert table.head[-1] == "first byte, median"
    rows = {row[:2]: row for row in table.rows}
    assert rows["v1", "with Fast Open"][-1] == "never"
    assert rows["v1", "without"][2] == "25 mptcp"
    assert "Linux gains nothing while it stays Multipath TCP" in fast.shows[-1]


def test_without_results_there_are_words_alone() -> None:
    for module in (third_ack_loss, fast_open):
        section = module.section(Material({}))
        assert section.shows
        assert (section.pictures, section.numbers, section.tables) == ((), (), ())
