"""When the closed form speaks for a cell, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.model import predict
from testbed.results import closed_form
from testbed.runner import load_experiment
from testbed.runner.experiment import written

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "fallback.yaml"


@pytest.fixture
def settings() -> dict[str, Any]:
    """v0 at 5 %."""
    return written(load_experiment(EXPERIMENT).cells[3].cell)


def test_it_speaks_for_the_fallback_experiment(settings: dict[str, Any]) -> None:
    assert closed_form(settings) == predict("v0", 0.05, 1, 2)
    assert closed_form(settings, 0.2) == predict("v0", 0.2, 1, 2)


def test_ten_segments_are_ten(settings: dict[str, Any]) -> None:
    settings["workload"]["request"] = 14_000
    assert closed_form(settings, 0.2) == predict("v0", 0.2, 10, 2, lone_segment_after_lost_syn=True)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("server", "syn_cookies", "auto"),
        ("workload", "request", 0),
        ("client", "first_data", "dss"),
        ("client", "profile", "kernel"),
        ("server", "profiles", ["kernel"]),
        ("network", "paths.*.loss.down", 5),
        ("network", "paths.*.reorder.up", 5),
        ("network", "links.client-r1.drop.up", "third_ack"),
        ("topology", "loss", 3),
    ],
)
def test_it_is_silent_where_an_assumption_fails(
    settings: dict[str, Any], part: str, key: str, value: Any
) -> None:
    settings[part][key] = value
    assert closed_form(settings) is None
