"""When the closed form speaks for a cell, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.model import predict, predict_fast_open, predict_linux_fast_open
from testbed.results import closed_form
from testbed.runner import load_experiment
from testbed.runner.experiment import written

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
EXPERIMENT = EXPERIMENTS / "fallback.yaml"
SEED = EXPERIMENTS / "seed"
DECIDED_BY_CHANCE = (
    "cookie_loss",
    "fallback",
    "fast_open",
    "fast_open_linux_loss",
    "isn_recovery",
    "linux",
    "overtaking",
    "piggyback",
)


@pytest.fixture
def settings() -> dict[str, Any]:
    """v0 at 5 %."""
    return written(load_experiment(EXPERIMENT).cells[3].cell)


def test_it_speaks_for_the_fallback_experiment(settings: dict[str, Any]) -> None:
    assert closed_form(settings) == predict("v0", 0.05, 1, 2, lone_after=1, syns=7)
    assert closed_form(settings, 0.2) == predict("v0", 0.2, 1, 2, lone_after=1, syns=7)


def test_ten_segments_are_ten(settings: dict[str, Any]) -> None:
    settings["workload"]["request"] = 14_000
    assert closed_form(settings, 0.2) == predict("v0", 0.2, 10, 2, lone_after=1, syns=7)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("server", "syn_cookies", "auto"),
        ("workload", "type", "bulk"),
        ("client", "first_data", "dss"),
        ("client", "fast_open", True),
        ("server", "profiles", ["kernel"]),
        ("network", "paths.*.loss.down", 5),
        ("network", "paths.*.reorder.down", 5),
        ("network", "paths.*.middlebox.up", "nat"),
        ("network", "paths.1.burst.up", "p=1% r=25%"),
        ("network", "paths.*.at", {"3s": {"loss": 0}}),
        ("network", "links.client-r1.drop.up", "third_ack"),
        ("topology", "loss", 3),
    ],
)
def test_it_is_silent_where_an_assumption_fails(
    settings: dict[str, Any], part: str, key: str, value: Any
) -> None:
    settings[part][key] = value
    assert closed_form(settings) is None


def test_http_and_floods_change_nothing_and_rivals_do() -> None:
    flood = load_experiment(EXPERIMENTS / "flood.yaml", ["vary.server.syn_cookies=[always, off]"])
    for plan in flood.cells:
        said = closed_form(written(plan.cell))
        profile = plan.factors["client.profile"]
        known = predict(profile, 0.1, 1, 2, lone_after=1, syns=5)
        assert said == (known if plan.factors["server.syn_cookies"] == "always" else None)
    (rivals,) = load_experiment(
        EXPERIMENTS / "dumbbell.yaml",
        [
            "vary={}",
            "links.r1-r2.red=null",
            "server.syn_cookies=always",
            "workload.type=request",
            "workload.response=300",
        ],
    ).cells
    settings = written(rivals.cell)
    assert closed_form(settings) is None
    assert closed_form({**settings, "traffic": []}) is not None


def test_it_knows_who_speaks_first(settings: dict[str, Any]) -> None:
    settings["workload"].update(request=0, timeout="40s")  # SYNs at 0, 1, 3, 7, 15 and 31 s
    said = closed_form(settings)
    assert said == predict("v0", 0.05, 0, 2, lone_after=1, syns=6)
    assert said.hang == pytest.approx(0.05, rel=1e-3)


def test_what_is_held_back_is_known_for_one_segment(settings: dict[str, Any]) -> None:
    settings["network"] = {"paths.*.reorder.up": 40, "paths.*.hold": "5ms"}
    said = closed_form(settings)
    assert said is not None
    assert said.fallback == pytest.approx(0.4 * 0.6)
    assert closed_form(settings, held=0.1) == predict("v0", 0, held=0.1, lone_after=1, syns=7)
    for part, key, value in (
        ("network", "paths.*.hold", "1s"),  # later than the data goes again
        ("network", "paths.*.hold", "1us"),  # sooner than the data is behind it
        ("workload", "request", 14_000),
    ):
        assert closed_form({**settings, part: {**settings[part], key: value}}) is None


def test_linux_is_known_in_v1(settings: dict[str, Any]) -> None:
    settings["workload"]["request"] = 14_240
    as_client = {**settings, "client": {**settings["client"], "profile": "kernel"}}
    assert closed_form(as_client, 0.2) == predict("v1", 0.2, 10, 2, lone_after=2, syns=7)
    as_server = {**settings, "server": {**settings["server"], "profiles": ["kernel"]}}
    assert closed_form(as_server) is None  # its client speaks v0
    as_server["client"] = {**settings["client"], "profile": "v1"}
    assert closed_form(as_server, 0.2) == predict("v1", 0.2, 10, 2, lone_after=1, syns=7)
    as_client["workload"] = {**settings["workload"], "timeout": "10s"}
    assert closed_form(as_client) is None


@pytest.mark.parametrize("name", DECIDED_BY_CHANCE)
def test_the_seed_experiments_have_their_odds(name: str) -> None:
    """Whatever varies a loss or an order has an expected value in every cell."""
    for plan in load_experiment(SEED / f"{name}.yaml").cells:
        assert closed_form(written(plan.cell)) is not None, plan.factors


def test_fast_open_is_known_where_the_server_answers_at_once() -> None:
    cells = {str(plan.factors): written(plan.cell) for plan in load_experiment(SEED / "fast_open.yaml").cells}
    for settings in cells.values():
        said = closed_form(settings)
        client, network = settings["client"], settings["network"]
        words = {"repeat_keys": client["mptcp"]["repeat_keys"], "syns": 7}
        assert said == predict_fast_open(client["profile"], network["paths.*.loss.up"] / 100, **words)
        for part, key, value in (
            ("server", "fast_open_answer", "auto"),
            ("server", "syn_cookies", "auto"),
            ("client", "fast_open_pauses", True),
            ("workload", "request", 2_000),  # more than a SYN carries
            ("workload", "response", 20_000),  # more than a first window
        ):
            assert closed_form({**settings, part: {**settings[part], key: value}}) is None


def test_fast_open_of_linux_is_known_where_the_server_waits_for_the_key() -> None:
    for plan in load_experiment(SEED / "fast_open_linux_loss.yaml").cells:
        settings = written(plan.cell)
        loss = settings["network"]["paths.*.loss.up"] / 100
        assert closed_form(settings) == predict_linux_fast_open(loss, 2, syns=3)
        for part, key, value in (
            ("server", "fast_open_answer", "at_once"),
            ("server", "profiles", ["kernel"]),
            ("server", "profiles", ["draft"]),
            ("workload", "timeout", "5s"),  # Linux tries for seven
        ):
            assert closed_form({**settings, part: {**settings[part], key: value}}) is None
