"""experiments/flood.yaml and flood_goodput.yaml, cut down, in the simulator: what a flood takes from whom,
and what a fallback costs. A flood in a lab is in test_traffic.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.results import Results, exact_interval, load
from testbed.runner import choose_way, load_experiment, run_campaign

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
BACKLOG = 256


def go(name: str, out: Path, *sets: str) -> Results:
    campaign = load_experiment(EXPERIMENTS / f"{name}.yaml", sets)
    way = choose_way(campaign, "sim")
    finished = run_campaign(campaign, net=way.net, way=way.words, out=out)
    finished.check()
    return load(finished.directory)


@pytest.mark.slow
def test_what_a_server_keeps_under_a_flood(tmp_path: Path) -> None:
    """Without cookies nobody is served once the backlog is full; with them everybody is, and v0 loses MPTCP
    with the third ACK where v1 does not: the closed form, as without a flood."""
    results = go(
        "flood",
        tmp_path / "out",
        "vary.traffic.attacker.syn_flood=[400]",
        "vary.client.profile=[v0, v1]",
        "workload.timeout=10s",
        "connections=40",
    )
    found: dict[tuple[str, str], dict[str, Any]] = {
        (row["server.syn_cookies"], row["client.profile"]): row for row in results.summary.to_dict("records")
    }
    assert len(found) == 6
    for (cookies, profile), row in found.items():
        assert row["syns_per_second"] == pytest.approx(400, rel=0.01)
        assert row["server_half_open_peak"] == (0 if cookies == "always" else BACKLOG)
        assert (row["served"], row["damaged"]) == (0 if cookies == "off" else 80, 0), row
        if cookies != "off":
            low, high = exact_interval(row["fallback"], row["connections"])
            assert low <= found["always", profile]["fallback_expected"] <= high, row
            assert row["second_path"] > 30, row


@pytest.mark.slow
def test_what_a_fallback_costs(tmp_path: Path) -> None:
    """One path in place of two, which v1 is spared."""
    results = go("flood_goodput", tmp_path / "out", "vary.paths.*.loss.up=[20]", "connections=30")
    old, new = results.summary.to_dict("records")
    assert old["fallback"] >= 3
    assert new["fallback"] <= 1
    for row in (old, new):
        low, high = exact_interval(row["fallback"], row["connections"])
        assert low <= row["fallback_expected"] <= high
        assert row["served"] == 30
    one_path = results.connections[results.connections["verdict"] == "fallback"]
    assert (one_path["subflows"] == 1).all()
    assert old["fallback_goodput_mbit"] < 0.9 * old["mptcp_goodput_mbit"]
