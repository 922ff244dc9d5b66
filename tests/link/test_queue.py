"""Queues: bytes and packets, RED's curve and its chance, and what holds for any of them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from testbed.link.queue import parse_red
from tests.link.packets import Frame, direction

MS = 1_000_000
MBIT = 1_000_000


def test_queue_in_bytes() -> None:
    """The packet that is being sent takes no room; a small one still fits where a large one does not."""
    link = direction(rate=10 * MBIT, queue=3_000, queue_in_bytes=True)
    sizes = [1250, 1250, 1250, 1250, 500, 1]
    assert [len(link.offer(0, Frame(size))) for size in sizes] == [1, 1, 1, 0, 1, 0]
    assert link.report()["deepest_queue_bytes"] == 3_000
    assert link.offer(MS, Frame(1250))  # one has begun to be sent
    assert not link.offer(MS, Frame(1))


def test_red_is_scaled_from_the_rate_and_gentle() -> None:
    red = parse_red("auto", 10 * MBIT)
    assert (red.min, red.max, red.limit, red.p, red.weight) == (25, 50, 100, 0.1, 1)
    assert parse_red("auto", MBIT).limit == 10
    points = {0: 0, 25: 0, 37.5: 0.05, 50: 0.1, 75: 0.55, 100: 1, 200: 1}
    assert {length: pytest.approx(red.probability(length)) for length in points} == points


def test_red_in_its_own_words() -> None:
    red = parse_red("min=30kB max=60kB p=2% weight=0.002", 10 * MBIT)
    assert (red.min, red.max, red.limit, red.p) == (30_000, 60_000, 120_000, 0.02)
    assert red.in_bytes


def test_red_drops_with_its_probability() -> None:
    """At a constant length, each packet independently: the queue is refilled for each."""
    link = direction(rate=10 * MBIT, queue=100, red="min=10 max=20 p=10%")
    dropped = 0
    tried = 20_000
    took = 1250 * 8 * 1000 // 10
    now = 0
    for _ in range(16):
        link.offer(0, Frame(1250))
    for _ in range(tried):  # 15 wait, and one is being sent; each that passes takes the place of one sent
        if link.offer(now, Frame(1250)):
            now += took
        else:
            dropped += 1
    assert link.deepest == 16
    interval = binomtest(dropped, tried).proportion_ci(0.999, "exact")
    assert interval.low <= 0.05 <= interval.high
    assert link.report()["dropped"] == {"exact": 0, "random": 0, "queue": 0, "red": dropped}


def test_red_on_an_average_takes_its_time_and_forgets_while_idle() -> None:
    link = direction(rate=10 * MBIT, queue=100, red="min=5 max=10 limit=20 p=100% weight=0.01")
    assert sum(bool(link.offer(0, Frame(1250))) for _ in range(30)) == 30  # a burst passes
    for _ in range(200):
        link.offer(0, Frame(1250))
    assert link.dropped["red"] > 0
    assert link._queue.average > 5
    link.offer(10_000 * MS, Frame(1250))
    assert link._queue.average < 0.1


@given(
    gaps=st.lists(st.integers(0, 3 * MS), min_size=1, max_size=100),
    lengths=st.lists(st.integers(60, 1514), min_size=1, max_size=100),
    queue=st.one_of(
        st.fixed_dictionaries({"queue": st.integers(1, 10)}),
        st.fixed_dictionaries({"queue": st.integers(1_000, 9_000), "queue_in_bytes": st.just(True)}),
        st.just({"queue": 20, "red": "min=2 max=5 limit=12 p=30% weight=0.5"}),
    ),
    others=st.fixed_dictionaries(
        {
            "loss": st.sampled_from((0.0, 0.3)),
            "burst": st.sampled_from((None, "p=10% r=40%")),
            "delay": st.sampled_from((0, 7 * MS)),
            "blackouts": st.sampled_from(((), ("20ms-50ms",))),
        }
    ),
)
def test_first_in_first_out_nothing_lost_unseen_and_never_faster_than_the_rate(
    gaps: list[int], lengths: list[int], queue: dict[str, object], others: dict[str, object]
) -> None:
    link = direction(rate=10 * MBIT, **queue, **others)
    now, out, offered = 0, [], 0
    for gap, length in zip(gaps, itertools.cycle(lengths), strict=False):
        now += gap
        offered += 1
        out += [(at, length) for at, _ in link.offer(now, Frame(length))]
    assert offered == link.packets == link.delivered + sum(link.dropped.values())
    assert len(out) == link.delivered
    for (before, _), (at, length) in itertools.pairwise(out):
        assert at - before >= length * 8 * 1000 // 10
