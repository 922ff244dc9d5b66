"""Bursts, blackouts, damage and disorder: exact where they can be, else within exact 99.9 % intervals."""

from __future__ import annotations

import itertools
import random

import pytest
from scipy.stats import binomtest

from testbed.link import flip_bit
from testbed.link.losses import BurstChain, parse_burst
from testbed.mptcp.wire import ACK, Segment, Undecodable, decode, encode
from tests.link.packets import CLIENT, SERVER, Frame, direction

MS = 1_000_000
COUNT = 100_000


def holds(seen: int, tried: int, expected: float) -> bool:
    """Whether the expected share lies in the exact (Clopper-Pearson) 99.9 % interval of what was seen."""
    interval = binomtest(seen, tried).proportion_ci(0.999, "exact")
    return bool(interval.low <= expected <= interval.high)


@pytest.mark.parametrize("loss", [0.001, 0.01, 0.2])
def test_independent_loss(loss: float) -> None:
    link = direction(loss=loss)
    lost = sum(not link.offer(n, Frame()) for n in range(COUNT))
    assert holds(lost, COUNT, loss)


def test_a_bursts_words_and_its_loss_in_the_long_run() -> None:
    burst = parse_burst("p=1% r=25%")
    assert (burst.good, burst.bad) == (0, 1)
    assert burst.loss == pytest.approx(0.01 / 0.26)
    assert parse_burst("p=50%, r=50%, good=1%, bad=21%").loss == pytest.approx(0.11)


def test_bursts_begin_and_end_as_often_as_asked() -> None:
    """With good=0 % and bad=100 % the losses are the states: each step is a trial of p or of r."""
    link = direction(burst="p=2% r=25%")
    states = [not link.offer(n, Frame()) for n in range(COUNT)]
    steps = list(itertools.pairwise(states))
    assert holds(steps.count((False, True)), states[:-1].count(False), 0.02)
    assert holds(steps.count((True, False)), states[:-1].count(True), 0.25)
    assert link.dropped["burst"] == states.count(True)
    assert link.cause == "burst"


def test_loss_in_the_long_run() -> None:
    """p + r = 100 %: the states are independent from packet to packet, so the interval is exact."""
    link = direction(burst="p=30% r=70% good=1% bad=40%")
    lost = sum(not link.offer(n, Frame()) for n in range(COUNT))
    assert holds(lost, COUNT, parse_burst("p=30% r=70% good=1% bad=40%").loss)


def test_the_first_packet_is_lost_as_often_as_any() -> None:
    burst = parse_burst("p=10% r=30%")
    lost = sum(BurstChain(burst, random.Random(seed)).takes() for seed in range(20_000))
    assert holds(lost, 20_000, 0.25)


def test_blackout() -> None:
    link = direction(blackouts=("2ms-3ms", "5ms-5500us"))
    fates = {n: bool(link.offer(n * MS // 2, Frame())) for n in range(14)}
    assert [n for n, passed in fates.items() if not passed] == [4, 5, 10]
    assert link.report()["dropped"]["blackout"] == 3


def test_blackouts_count_from_the_beginning_of_the_run() -> None:
    link = direction(blackouts=("2ms-3ms",))
    link.start(100 * MS)
    assert link.offer(2 * MS, Frame())
    assert link.offer(102 * MS, Frame()) == []


def test_corruption_flips_one_bit_of_so_many_packets() -> None:
    link = direction(corrupt=0.05)
    out = [link.offer(n, Frame())[0][1] for n in range(COUNT)]
    flipped = [packet for packet in out if isinstance(packet, Frame) and packet.flipped]
    assert holds(len(flipped), COUNT, 0.05)
    assert link.report()["corrupted"] == len(flipped)
    assert link.delivered == COUNT
    assert all(len(packet.flipped) == 1 and 0 <= packet.flipped[0] < 1 for packet in flipped)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("where", [0.0, 0.3, 0.7, 0.999999])
def test_a_flipped_bit_is_in_the_payload_of_ip_and_is_found_by_the_checksum(
    version: int, where: float
) -> None:
    ends = (CLIENT, SERVER) if version == 4 else (CLIENT * 4, SERVER * 4)
    packet = encode(Segment(*ends, 1, 2, 3, 4, ACK, payload=b"x" * 100))
    padded = packet + b"\0" * 6  # Ethernet's padding is no part of it
    damaged = flip_bit(padded, where)
    different = [n for n, pair in enumerate(zip(padded, damaged, strict=True)) if pair[0] != pair[1]]
    assert len(different) == 1
    assert (20 if version == 4 else 40) <= different[0] < len(packet)
    assert (padded[different[0]] ^ damaged[different[0]]).bit_count() == 1
    assert isinstance(decode(damaged), Undecodable)


def test_jitter_that_may_reorder() -> None:
    link = direction(delay=10 * MS, jitter=5 * MS, jitter_order="any")
    took = [link.offer(n * MS, Frame())[0][0] - n * MS for n in range(5_000)]
    assert min(took) >= 5 * MS
    assert max(took) <= 15 * MS
    arrivals = [n * MS + each for n, each in enumerate(took)]
    assert arrivals != sorted(arrivals)
    kept = direction(delay=10 * MS, jitter=5 * MS)
    late = [kept.offer(n * MS, Frame())[0][0] for n in range(5_000)]
    assert late == sorted(late)
    assert all(at >= own for at, own in zip(late, arrivals, strict=True))  # the same draws


def test_duplicates_and_packets_held_back_are_counted() -> None:
    link = direction(duplicate=0.1, reorder=0.1)
    out = sum(len(link.offer(n, Frame())) for n in range(COUNT))
    report = link.report()
    assert out == report["delivered"] == COUNT + report["duplicated"]
    assert holds(report["duplicated"], COUNT, 0.1)
    assert holds(report["held_back"], COUNT, 0.1)


def test_new_words_leave_the_old_draws_alone() -> None:
    settings = {"loss": 0.1, "delay": 5 * MS, "jitter": MS, "reorder": 0.2, "duplicate": 0.2}
    plain, damaging = direction(**settings), direction(**settings, corrupt=0.3)
    for n in range(3_000):
        times = [at for at, _ in plain.offer(n * MS, Frame())]
        assert times == [at for at, _ in damaging.offer(n * MS, Frame())]
    alone, bursts = (
        direction(loss=0.1),
        direction(loss=0.1, burst="p=1% r=50%", rate=10**9, red="auto", queue=10**4),
    )
    lost = [[], []]
    for n in range(3_000):
        for link, found in zip((alone, bursts), lost, strict=True):
            link.offer(n, Frame())
            found.append(link.dropped["random"])
    assert lost[0] == lost[1]
