"""A path with a smaller MTU, from the endpoint's side: what it believes, and what it sends then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.reasons import Verdict
from testbed.mptcp.wire import MpCapable, Segment, TooBig
from tests.core.boxes import find
from tests.pair import SECOND, Pair

MTU = 1200
DATA = bytes(range(250)) * 400


class Narrow(Pair):
    """Packets over MTU bytes do not pass; what a router would say of the client's is noted."""

    def __init__(self) -> None:
        self.too_big: list[TooBig] = []
        super().__init__(lose=self._narrow)

    def _narrow(self, way: str, n: int, segment: Segment) -> bool:
        if segment.length <= MTU:
            return False
        if way == "up":
            local, remote = (segment.src, segment.sport), (segment.dst, segment.dport)
            self.too_big.append(TooBig(local, remote, segment.seq, MTU))
        return True


def test_smaller_segments_at_once() -> None:
    pair = Narrow()
    pair.establish()
    pair.client.send(DATA)
    before = pair.now
    assert pair.too_big
    for too_big in pair.too_big[:3]:
        pair.client.endpoint.packet_too_big(pair.now, too_big)
    pair.run(until=lambda: pair.server.received() == DATA)
    assert pair.now - before < SECOND  # no timeout was waited for
    assert max(segment.length for segment in pair.segments("up")[-20:]) == MTU
    assert pair.server.report().verdict is Verdict.MPTCP
    # Both parts of the first mapping say how far all of it reaches (draft §3.1.6).
    long = [one for one in find(pair, "up", MpCapable) if one.data_length is not None]
    assert len(long) > 2
    assert {one.data_length for one in long} == {long[0].data_length}
    assert long[0].data_length > MTU


@pytest.mark.parametrize("off", [-(1 << 20), -1, 1 << 20, 1 << 31])
def test_what_is_not_in_flight_is_not_believed(off: int) -> None:
    """Anybody can send such a message; only someone on the path knows what is in flight."""
    pair = Narrow()
    pair.establish()
    pair.client.send(DATA)
    first = pair.too_big[0]
    forged = TooBig(first.local, first.remote, (first.seq + off) % 2**32, MTU)
    pair.client.endpoint.packet_too_big(pair.now, forged)
    pair.client.endpoint.packet_too_big(pair.now, TooBig(first.local, (bytes(4), 9), first.seq, MTU))
    assert pair.client.endpoint.counters["OutOfWindowIcmps"] == 1
    sent = len(pair.segments("up"))
    pair.run(until=pair.now + SECOND // 25)  # before the tail is probed
    assert len(pair.segments("up")) == sent  # nothing happened


def test_a_larger_mtu_changes_nothing() -> None:
    pair = Pair()
    pair.establish()
    pair.client.send(DATA)
    largest = max(segment.length for segment in pair.segments("up"))
    first = next(segment for segment in pair.segments("up") if segment.payload)
    too_big = TooBig((first.src, first.sport), (first.dst, first.dport), first.seq, 9000)
    pair.client.endpoint.packet_too_big(pair.now, too_big)
    pair.run(until=lambda: pair.server.received() == DATA)
    assert max(segment.length for segment in pair.segments("up")) == largest
    assert pair.client.endpoint.counters["RetransSegs"] == 0


def told(pair: Pair, mtu: int) -> None:
    """A router names an MTU for what the client has sent last."""
    last = [one for one in pair.segments("up") if one.payload][-1]
    message = TooBig((last.src, last.sport), (last.dst, last.dport), last.seq, mtu)
    pair.client.endpoint.packet_too_big(pair.now, message)
    pair.settle(pair.client)


def largest_since(pair: Pair, count: int) -> int:
    return max(segment.length for segment in pair.segments("up")[count:] if segment.payload)


@pytest.mark.parametrize("mtu", [68, 100, 296, 551, 552, 576, 1_000])
def test_a_tiny_mtu_is_bounded_and_forgotten(mtu: int) -> None:
    """Not below 552 (Linux's min_pmtu); ten minutes later the full size is tried again (RFC 1191 §6.3)."""
    pair = Pair()
    pair.establish()
    pair.client.send(DATA)
    told(pair, mtu)
    count = len(pair.segments("up"))
    pair.run(until=lambda: pair.server.received() == DATA)
    assert largest_since(pair, count) == max(mtu, 552)
    pair.run(until=pair.now + 601 * SECOND)
    count = len(pair.segments("up"))
    pair.client.send(DATA)
    pair.run(until=lambda: len(pair.server.received()) == 2 * len(DATA))
    assert largest_since(pair, count) == 1_500


def test_a_path_that_stays_narrow_is_asked_again() -> None:
    pair = Narrow()
    pair.establish()
    sent = 0
    for minute in range(0, 36, 4):
        pair.client.send(DATA)
        sent += len(DATA)
        for too_big in pair.too_big:
            pair.client.endpoint.packet_too_big(pair.now, too_big)
        pair.too_big.clear()
        deadline = pair.now + 60 * SECOND
        while len(pair.server.received()) < sent and pair.now < deadline:
            pair.run(until=pair.now + SECOND // 100)
            for too_big in pair.too_big:
                pair.client.endpoint.packet_too_big(pair.now, too_big)
            pair.too_big.clear()
            pair.settle(pair.client)
        assert len(pair.server.received()) == sent, minute
        pair.run(until=pair.now + 240 * SECOND)
    assert pair.server.received() == DATA * 9


@pytest.mark.parametrize("mtu", [68, 1_279])
def test_ipv6_has_its_own_floor(mtu: int) -> None:
    """RFC 8201 §4: never less than 1280, from any sender of the message."""
    ends = tuple(bytes.fromhex(f"fd00{side:04x}{1:024x}") for side in (1, 2))
    pair = Pair(client_addresses=ends[:1], server_addresses=ends[1:])
    pair.establish()
    pair.client.send(DATA)
    told(pair, mtu)
    count = len(pair.segments("up"))
    pair.run(until=lambda: pair.server.received() == DATA)
    assert largest_since(pair, count) == 1_280


@given(mtus=st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 700)), max_size=6))
def test_any_mtus_leave_a_usable_segment_size(mtus: list[tuple[int, int]]) -> None:
    """What routers say, with so many seconds between: the size stays in bounds and comes back."""
    pair = Pair()
    pair.establish()
    for mtu, pause in mtus:
        pair.client.send(bytes(20_000))
        told(pair, mtu)
        pair.run(until=pair.now + pause * SECOND)
        mss = pair.client.endpoint._table.by_number[1].first.tcb.mss
        assert 512 <= mss <= 1_460
    pair.run(until=pair.now + 600 * SECOND)
    for _ in range(2):
        count = len(pair.segments("up"))
        pair.client.send(bytes(20_000))
        pair.run(until=pair.now + SECOND)
    assert largest_since(pair, count) == 1_500
