"""Thousands of small mappings beside a full window: what an ACK costs does not grow with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from types import FrameType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.carrying import Carried, Carrying
from testbed.mptcp.config import MptcpConfig, TcpConfig
from testbed.mptcp.ranges import RangeSet
from tests.core.multipath import link, links, multipath, usable
from tests.pair import SECOND

SIZE = 100  # bytes of each write, and so of each mapping


class Calls:
    """Counts Python calls, generators that are resumed included, while it is entered."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Calls:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, _frame: FrameType, event: str, _argument: object) -> None:
        self.count += event == "call"


def calls_for_an_ack(pieces: int) -> float:
    """What an ACK costs on average. Most come on the fast path while the slow one holds the left edge of a
    window that is full of small mappings, half of them on each path."""
    tcp = TcpConfig(receive_buffer=SIZE * pieces, send_buffer=4 * SIZE * pieces, initial_window=20_000)
    many = links(link(10_000, 50, 100_000), link(10_000, 3_000, 100_000))
    client = {"tcp": tcp, "mptcp": MptcpConfig(scheduler="round_robin")}
    pair = multipath(client=client, server={"tcp": tcp}, through_bytes=False, links=many)
    pair.establish()
    pair.client.send(b"?")
    pair.run(until=lambda: pair.server.received() == b"?")
    pair.server.send(b"!")
    pair.run(until=lambda: usable(pair.client) == usable(pair.server) == 2, limit=100 * SECOND)
    connection, endpoint = pair.client.connections[0], pair.client.endpoint
    costs = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(endpoint, name)

        def handle_segment(self, now: int, segment: Any) -> None:
            with Calls() as calls:
                endpoint.handle_segment(now, segment)
                sent = endpoint.poll_transmit(now)
            costs.append(calls.count)
            if sent is not None:
                pair._transmit(sent)

    pair.client.endpoint = Counting()  # type: ignore[assignment]
    for _ in range(2 * pieces):
        endpoint.send(pair.now, connection, bytes(SIZE))
        pair.settle(pair.client)
        pair.run(until=pair.now + 1_000)
    pair.run(until=pair.now + SECOND // 5)
    assert len(costs) > pieces // 40
    return sum(costs) / len(costs)


def test_an_ack_costs_the_same_beside_ten_times_as_many() -> None:
    few, many = calls_for_an_ack(400), calls_for_an_ack(4_000)
    assert many < 1.3 * few


steps = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(1, 60), st.integers(1, 9)),
        st.tuples(st.just("forget"), st.integers(1, 70), st.just(0)),
        st.tuples(st.just("keep"), st.integers(1, 70), st.just(0)),
    ),
    max_size=40,
)


@given(steps, st.integers(0, 45), st.integers(0, 70))
def test_the_books_agree_with_a_plain_list(done: list[tuple[str, int, int]], since: int, data: int) -> None:
    carrying, plain, una = Carrying(), list[Carried](), 0
    for now, (what, where, length) in enumerate(done):
        if what == "commit" and where >= una:
            carrying.commit(where, where + length, now)
            plain.append(Carried(where, where + length, now))
        elif what == "forget":
            una = max(una, where)
            carrying.forget(una)
            while plain and plain[0].end <= una:
                plain.pop(0)
        elif what == "keep":
            carrying.keep(lambda one, where=where: one.end > where)  # type: ignore[misc]
            plain = [one for one in plain if one.end > where]
    held = {offset for one in plain for offset in range(max(one.start, una), one.end)}
    assert [(one.start, one.end) for one in carrying] == [(one.start, one.end) for one in plain]
    assert all(carrying.holds(offset) == (offset in held) for offset in range(una, 75))
    late = {offset for one in plain if one.at > since for offset in range(max(one.start, data), one.end)}
    told = list(carrying.later_than(since, data))
    assert {offset for start, end in told for offset in range(start, end)} == late
    assert [start for start, _ in told] == sorted(start for start, _ in told)


def offsets(found: Iterator[tuple[int, int]] | list[tuple[int, int]]) -> set[int]:
    return {offset for start, end in found for offset in range(start, end)}


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 12)), max_size=30),
    st.integers(0, 50),
)
def test_ranges_agree_with_a_set(done: list[tuple[bool, int, int]], offset: int) -> None:
    ranges, plain = RangeSet(), set[int]()
    for adds, start, length in done:
        if adds:
            ranges.add(start, start + length)
            plain |= set(range(start, start + length))
        else:
            ranges.remove(start, start + length)
            plain -= set(range(start, start + length))
        pairs = ranges.ranges
        assert all(one[0] < one[1] for one in pairs)
        assert all(one[1] < other[0] for one, other in pairwise(pairs))
    assert offsets(ranges.ranges) == plain
    assert offsets(ranges.from_offset(offset)) == {one for one in plain if one >= offset}
