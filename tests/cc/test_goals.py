"""The goals of RFC 6356 §2, controllers alone: improve throughput, do no harm, balance congestion.

Against NewReno on links that lose what is too much (links.py), and uncoupled NewReno as the control: where
the coupled ones pass and it does not, the coupling is what did it.
"""

from __future__ import annotations

from statistics import mean

import pytest

from tests.cc.links import Flow, Link, rates

RATE = 4_000_000  # bytes per second
COUPLED = pytest.mark.parametrize("name", ["lia", "olia"])


def shared_bottleneck(name: str) -> float:
    """Two subflows through one link with four TCPs: the share of the two, a TCP's share being 1."""
    link = Link(RATE)
    multipath = Flow(name, [(link, 100), (link, 100)])
    single = [Flow("newreno", [(link, 100)]) for _ in range(4)]
    first, *others = rates([multipath, *single])
    return sum(first) / mean(sum(one) for one in others)


def two_links(name: str, rtts: tuple[int, int], rivals: tuple[int, int]) -> tuple[list[float], list[float]]:
    """A subflow on each of two links, each with TCPs of its own: its rates, and a TCP's on each link."""
    links = Link(RATE), Link(RATE)
    multipath = Flow(name, list(zip(links, rtts, strict=True)))
    singles = [
        [Flow("newreno", [(link, rtt)]) for _ in range(count)]
        for link, rtt, count in zip(links, rtts, rivals, strict=True)
    ]
    first, *others = rates([multipath, *singles[0], *singles[1]])
    per_link = others[: rivals[0]], others[rivals[0] :]
    return first, [mean(sum(one) for one in flows) for flows in per_link]


@COUPLED
def test_at_a_shared_bottleneck_coupled_subflows_take_one_share(name: str) -> None:
    assert shared_bottleneck(name) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("name", ["newreno", "cubic"])
def test_at_a_shared_bottleneck_uncoupled_subflows_take_two(name: str) -> None:
    assert shared_bottleneck(name) > 1.75


@COUPLED
def test_two_paths_give_no_less_than_the_best_one(name: str) -> None:
    """As much as a TCP beside it gets, within what LIA and OLIA promise only approximately."""
    taken, tcp = two_links(name, (100, 100), (4, 4))
    assert sum(taken) >= 0.9 * max(tcp)


def test_lia_compensates_for_rtts() -> None:
    """A fast path with the lower rate per loss is no reason to be content with little (RFC 6356 §3)."""
    taken, tcp = two_links("lia", (20, 200), (4, 4))
    assert sum(taken) >= 0.9 * max(tcp)


@COUPLED
def test_traffic_moves_off_the_congested_link(name: str) -> None:
    """Two TCPs on one link, twelve on the other: the second gets less than half of a TCP's share."""
    taken, tcp = two_links(name, (100, 100), (2, 12))
    assert taken[1] < tcp[1] / 2
    assert taken[0] > 0.8 * tcp[0]
    assert taken[1] / taken[0] < 0.1


def test_uncoupled_traffic_does_not_move() -> None:
    taken, tcp = two_links("newreno", (100, 100), (2, 12))
    assert taken[1] > 0.8 * tcp[1]


def test_olia_uses_a_congested_link_less_than_lia() -> None:
    lia, _ = two_links("lia", (100, 100), (2, 12))
    olia, _ = two_links("olia", (100, 100), (2, 12))
    assert olia[1] < lia[1]
