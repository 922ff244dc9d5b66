"""The goals of RFC 6356 §2 with packets: drop-tail queues, real losses, the whole stack at both ends.

Within 10 %: one run of 200 s varies by about 6 %. Uncoupled subflows as the
control, where they miss a goal. The controllers alone, and against each other: test_goals.py.
"""

from __future__ import annotations

from statistics import mean

import pytest

from tests.cc.contest import Bottleneck, compete

pytestmark = pytest.mark.slow
COUPLED = pytest.mark.parametrize("name", ["lia", "olia"])
EQUAL = {"a": Bottleneck(rivals=2, rate=4), "b": Bottleneck(rivals=2, rate=4)}
UNLIKE = {"a": Bottleneck(rivals=2, rate=4, delay=10), "b": Bottleneck(rivals=2, rate=4, delay=100)}
CROWDED = {"a": Bottleneck(rivals=1, rate=4), "b": Bottleneck(rivals=8, rate=4)}


def of_a_tcp(name: str, seed: int, seconds: int = 200) -> float:
    """What two subflows through one bottleneck get together, of a single TCP's share there."""
    shares = compete(name, {"a": Bottleneck(rivals=4)}, "aa", seed=seed, seconds=seconds)
    return shares.client[0] / shares.tcp[0]


def alone(bottlenecks: dict[str, Bottleneck], name: str) -> float:
    """Mbit/s of a single TCP in the multipath connection's place."""
    return sum(compete("newreno", bottlenecks, name).client)


@COUPLED
def test_two_subflows_through_one_bottleneck_take_one_share(name: str) -> None:
    assert mean(of_a_tcp(name, seed) for seed in (1, 2, 3)) == pytest.approx(1, abs=0.1)


def test_two_uncoupled_subflows_take_two() -> None:
    assert of_a_tcp("newreno", 1, seconds=80) > 1.75


@COUPLED
def test_two_paths_give_no_less_than_a_tcp_on_the_better_one(name: str) -> None:
    assert sum(compete(name, EQUAL, "ab").client) >= 0.9 * alone(EQUAL, "a")


def test_lia_gives_no_less_either_where_rtts_differ() -> None:
    """A short path alone would take as much as the long one, or more (RFC 6356 §3's alpha compensates)."""
    assert sum(compete("lia", UNLIKE, "ab").client) >= 0.9 * max(alone(UNLIKE, "a"), alone(UNLIKE, "b"))


@COUPLED
def test_traffic_moves_off_the_crowded_bottleneck(name: str) -> None:
    shares = compete(name, CROWDED, "ab")
    assert shares.client[1] < shares.tcp[1] / 2
    assert shares.client[0] > 0.75 * shares.tcp[0]


def test_uncoupled_traffic_stays() -> None:
    shares = compete("newreno", CROWDED, "ab", seconds=100)
    assert shares.client[1] > 0.8 * shares.tcp[1]
