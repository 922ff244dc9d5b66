"""A path with a smaller MTU, from the endpoint's side: what it believes, and what it sends then."""

from __future__ import annotations

import pytest

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
