"""A fallback takes over what TCP has acknowledged before it: the sender's buffer is freed, the rest follows.

Read first: RFC 8684 §3.7; testbed/mptcp/dss.py, `take_acknowledgement`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import (
    SPOKEN,
    ClientConfig,
    LostThirdAck,
    MptcpConfig,
    Profile,
    ServerConfig,
    SynCookies,
    TcpConfig,
)
from testbed.mptcp.events import Accepted, DataArrived, Event
from testbed.mptcp.wire import SYN, MptcpOption, Segment
from tests.core.boxes import MPTCP
from tests.fast_open import SERVER, with_cookie
from tests.fast_open import pair_of as fast_open_pair
from tests.pair import MILLISECOND, SECOND, Pair, Side

RESPONSE = bytes(range(250)) * 80


def exchange(
    profile: Profile, lost: LostThirdAck, begin: int, end: int, send_buffer: int, request: int = 300
) -> Pair:
    """Both ends send as soon as they can and close; from `begin` to `end` ms nothing arrives. All of it must
    come through. The server's send buffer is smaller than its response."""
    pair = Pair(
        client=ClientConfig(profile=profile, tcp=TcpConfig(mss=536)),
        server=ServerConfig(
            syn_cookies=SynCookies.OFF,
            mptcp=replace(MptcpConfig(), lost_third_ack=lost),
            tcp=TcpConfig(send_buffer=send_buffer, receive_buffer=6_000),
        ),
        delay=50 * MILLISECOND,
        lose=lambda way, number, segment: begin <= (pair.now - pair.start) // MILLISECOND < end,
    )

    def answer(side: Side, event: Event) -> None:
        if isinstance(event, Accepted):
            side.outbox[event.connection] = bytearray(RESPONSE)
            side.push(event.connection)
            side.closing.add(event.connection)

    pair.server.on_event = answer
    pair.connect()
    pair.client.send(bytes(request))
    pair.client.close()
    pair.run(until=lambda: pair.client.received() == RESPONSE, limit=120 * SECOND)
    pair.run(until=lambda: pair.server.received() == bytes(request), limit=120 * SECOND)
    pair.run()
    for side in (pair.client, pair.server):
        ended = side.closed()
        assert ended is not None
        assert ended.clean, ended
    return pair


@pytest.mark.parametrize("profile", MPTCP)
@pytest.mark.parametrize("send_buffer", [1_432, 2_864, 5_728])
def test_fallback_frees_what_was_acknowledged_before_it(profile: Profile, send_buffer: int) -> None:
    """A server answers data in the SYN at once, until its buffer is full. The packet that decides on MPTCP is
    lost; the next one acknowledges all of the data. The first one comes again, without options: a fallback,
    and no acknowledgement that is new follows it."""
    lost: list[int] = []

    def lose(way: str, number: int, segment: Segment) -> bool:
        """The bare third ACK and the first data."""
        if way == "up" and not segment.flags & SYN and len(lost) < 2 and (not lost or segment.seq == lost[0]):
            lost.append(segment.seq)
            return True
        return False

    def strip(way: str, number: int, segment: Segment) -> Segment:
        if segment.flags & SYN:
            return segment
        return replace(
            segment, options=tuple(one for one in segment.options if not isinstance(one, MptcpOption))
        )

    server = replace(SERVER, tcp=TcpConfig(send_buffer=send_buffer))
    pair = with_cookie(fast_open_pair(profile, server=server))
    pair.lose, pair.rewrite = lose, strip

    def answer(side: Side, event: Event) -> None:
        if isinstance(event, Accepted | DataArrived) and event.connection not in side.outbox:
            side.outbox[event.connection] = bytearray(RESPONSE)
            side.push(event.connection)

    pair.server.on_event = answer
    pair.connect(first=bytes(8_000))
    pair.run(until=lambda: pair.client.received() == RESPONSE, limit=20 * SECOND)
    assert pair.server.fell_back() is not None


@pytest.mark.parametrize("lost", LostThirdAck)
@pytest.mark.parametrize("profile", SPOKEN)
@pytest.mark.parametrize("sent", [0, 300, 3_000])
@pytest.mark.parametrize("end", [100, 101, 450, 1_200, 3_088, 5_000])
@pytest.mark.parametrize("send_buffer", [1_000, 3_000])
def test_any_outage_around_the_third_ack_is_survived(
    profile: Profile, lost: LostThirdAck, sent: int, end: int, send_buffer: int
) -> None:
    exchange(profile, lost, 88, end, send_buffer, sent)
