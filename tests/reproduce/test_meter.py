"""The time left is about right from the first step on, whatever was there before."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.reproduce.meter import Meter, Status
from testbed.runner import Progress


class Watched:
    def __init__(self, weights: list[float], there: list[float] | None = None) -> None:
        self.now = 0.0
        self.said: list[Status] = []
        titles = [str(number) for number in range(len(weights))]
        self.meter = Meter(weights, titles, there or [0.0] * len(weights), self.said.append, lambda: self.now)

    @property
    def left(self) -> float | None:
        return self.said[-1].seconds_left


def progress(done: int, earlier: int = 0) -> Progress:
    return Progress(Path("campaign"), total=10, done=done, earlier=earlier)


@pytest.mark.parametrize("pace", [0.5, 1.0, 3.0])
def test_the_time_left_is_never_farther_off_than_the_pace(pace: float) -> None:
    weights = [7.0, 2.0, 300.0, 700.0]
    watched = Watched(weights)
    for index, weight in enumerate(weights):
        watched.meter.begin(index)
        for done in range(1, 11):
            watched.now += pace * weight / 10
            watched.meter.runs(progress(done))
            truth = pace * sum(weights) - watched.now
            assert watched.left is not None
            assert min(1 / pace, 1.0) * truth - 1e-6 <= watched.left <= max(1 / pace, 1.0) * truth + 1e-6
        watched.meter.end()
    assert watched.left == pytest.approx(0.0)


def test_a_measurement_counts_as_work() -> None:
    watched = Watched([10.0, 990.0])
    watched.meter.begin(0)
    assert watched.left is None
    watched.now = 10.0
    watched.meter.worked()
    watched.meter.end()
    watched.meter.begin(1)
    assert watched.left == pytest.approx(990.0)


def test_what_is_there_already_takes_no_time() -> None:
    watched = Watched([10.0, 600.0, 90.0], there=[0.0, 1.0, 0.0])
    watched.meter.begin(0)
    watched.now = 10.0
    watched.meter.worked()
    watched.meter.end()
    watched.meter.begin(2)
    assert watched.left == pytest.approx(90.0)


def test_what_was_there_before_says_nothing_of_the_pace() -> None:
    watched = Watched([500.0, 500.0])
    watched.meter.begin(0)
    watched.meter.runs(progress(10, earlier=10))
    assert watched.left is None
    watched.meter.end()
    watched.meter.begin(1)
    assert watched.said[-1].share == 0.5
    assert watched.left is None
