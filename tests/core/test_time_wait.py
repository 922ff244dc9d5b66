"""The same ports again while one side is in TIME-WAIT: initial sequence numbers, timestamps, resets.

Read first: RFC 9293 §3.4.1 and §3.10.7.4, RFC 6528 §3, RFC 6191 §2.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import ClientConfig, Profile, ServerConfig, SynCookies, TcpConfig
from testbed.mptcp.tcp.cookies import FourTuple, SynCookieJar
from testbed.mptcp.wire import ACK, RST, SYN, MpCapable, MpJoinSyn, Segment, Timestamps
from tests.core.boxes import onward
from tests.pair import CLIENT_PORT, MILLISECOND, PORT, SECOND, Pair

TUPLE = FourTuple((bytes((10, 0, 2, 1)), 80), (bytes((10, 0, 1, 1)), 40_000))


def plain_pair(timestamps: bool = True, seed: int = 1) -> Pair:
    return Pair(client=ClientConfig(profile=Profile.TCP, tcp=TcpConfig(timestamps=timestamps)), seed=seed)


def waiting(server_data: int = 10, timestamps: bool = True, seed: int = 1) -> Pair:
    """One connection is over: the server, which closed first, is in TIME-WAIT, and the client forgot it."""
    pair = plain_pair(timestamps, seed)
    pair.establish()
    pair.server.send(b"x" * server_data)
    pair.run(until=lambda: len(pair.client.received()) == server_data, limit=60 * SECOND)
    pair.server.close()
    pair.run(until=lambda: pair.client.finished())
    pair.client.close()
    pair.run(until=pair.now + SECOND)
    assert (len(pair.client.endpoint), len(pair.server.endpoint)) == (0, 1)
    return pair


def again(pair: Pair, limit: int) -> None:
    pair.ports = CLIENT_PORT
    number = pair.connect()
    pair.run(until=lambda: pair.client.connected(number), limit=limit)


def syn(pair: Pair, seq: int, timestamp: int) -> list[Segment]:
    """What the server says to a SYN whose numbers are so far from the end of the connection before."""
    first, last = pair.segments("up")[0], pair.segments("up")[-1]
    latest = next(one.value for one in last.options if isinstance(one, Timestamps))
    options = tuple(
        replace(one, value=latest + timestamp & 0xFFFF_FFFF) if isinstance(one, Timestamps) else one
        for one in first.options
    )
    end = last.seq + last.seq_length + seq & 0xFFFF_FFFF
    before = len(pair.segments("down"))
    pair.deliver(pair.server, replace(first, seq=end, options=options))
    return pair.segments("down")[before:]


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("seed", range(1, 9))
def test_the_same_ports_connect_at_once(seed: int, timestamps: bool) -> None:
    pair = waiting(timestamps=timestamps, seed=seed)
    again(pair, limit=100 * MILLISECOND)


@pytest.mark.parametrize(
    ("seq", "timestamp", "taken"),
    [(1, 1, True), (-70_000, 1, True), (0, 0, True), (-70_000, 0, False), (70_000, -1, False)],
)
def test_a_timestamp_tells_more_than_a_sequence_number(seq: int, timestamp: int, taken: bool) -> None:
    (answer,) = syn(waiting(), seq, timestamp)
    assert bool(answer.flags & SYN) is taken


def test_a_reset_ends_time_wait() -> None:
    """At the left edge of the window only (RFC 5961 §3.2)."""
    pair = waiting()
    reset = onward(pair, "up", flags=RST)
    pair.deliver(pair.server, replace(reset, seq=reset.seq + 1))
    assert len(pair.server.endpoint) == 1
    pair.deliver(pair.server, reset)
    assert len(pair.server.endpoint) == 0
    end = pair.server.closed()
    assert end is not None
    assert end.clean


def test_a_syn_that_does_not_look_new_connects_after_the_reset_that_it_provokes() -> None:
    """Without timestamps, and the sequence numbers ran faster than the clock."""
    pair = plain_pair(timestamps=False)
    pair.establish()
    pair.client.send(b"x" * 3_000_000)
    pair.run(until=lambda: len(pair.server.received()) == 3_000_000, limit=60 * SECOND)
    pair.server.close()
    pair.run(until=lambda: pair.client.finished())
    pair.client.close()
    pair.run(until=pair.now + SECOND)
    again(pair, limit=5 * SECOND)


def test_the_server_begins_behind_what_it_sent() -> None:
    pair = waiting(server_data=3_000_000)
    last = max(one.time for one in pair.crossings if one.way == "down")
    fin = next(one.segment for one in pair.crossings if one.way == "down" and one.time == last)
    (answer,) = syn(pair, 1, 1)
    assert 0 <= answer.seq - fin.seq & 0xFFFF_FFFF < 1 << 31


def test_an_isn_is_a_clock_of_4_us_with_an_origin_per_four_tuple() -> None:
    jar = SynCookieJar(bytes(32))
    first = jar.isn(SECOND, TUPLE)
    assert jar.isn(2 * SECOND, TUPLE) - first & 0xFFFF_FFFF == 250_000
    other = replace(TUPLE, remote=(TUPLE.remote[0], 40_001))
    assert jar.isn(SECOND, other) != first
    assert SynCookieJar(b"\1" * 32).isn(SECOND, TUPLE) != first
    jar.rotate(b"\2" * 32)
    assert jar.isn(SECOND, TUPLE) == first


def test_a_new_syn_leaves_time_wait_where_no_server_listens() -> None:
    """The client is in TIME-WAIT and listens nowhere: a SYN with a newer timestamp changes nothing."""
    pair = plain_pair()
    pair.establish()
    pair.client.close()
    pair.run(until=lambda: pair.server.finished())
    pair.server.close()
    pair.run(until=pair.now + SECOND)
    assert (len(pair.client.endpoint), len(pair.server.endpoint)) == (1, 0)
    last = pair.segments("down")[-1]
    newer = tuple(
        replace(one, value=one.value + 10_000) for one in last.options if isinstance(one, Timestamps)
    )
    pair.deliver(pair.client, replace(last, flags=SYN, seq=last.seq + 100_000, options=newer))
    assert len(pair.client.endpoint) == 1
    answer = pair.segments("up")[-1]
    assert answer.flags == ACK  # a challenge (RFC 5961 §4.2)


@pytest.mark.parametrize(
    "server",
    [
        ServerConfig(syn_cookies=SynCookies.OFF, backlog=0),  # no place for a SYN
        ServerConfig(profiles=(Profile.TCP, Profile.V0)),  # flag B of RFC 6824 is never answered
    ],
)
@pytest.mark.parametrize("option", ["none", "flag B", "join"])
def test_time_wait_ends_only_for_a_syn_that_is_answered(server: ServerConfig, option: str) -> None:
    pair = waiting()
    pair.server.endpoint.listen(PORT, server)
    first, last = pair.segments("up")[0], pair.segments("up")[-1]
    stamps = tuple(
        replace(one, value=one.value + 10_000) for one in last.options if isinstance(one, Timestamps)
    )
    extra = {"none": (), "flag B": (MpCapable(0, 0x41, 1),), "join": (MpJoinSyn(False, 1, 1, 1),)}[option]
    before = len(pair.segments("down"))
    pair.deliver(pair.server, replace(first, seq=last.seq + 100_000, options=(*stamps, *extra)))
    answers = pair.segments("down")[before:]
    taken = any(one.flags & SYN for one in answers)
    assert taken == (option == "none" and server.backlog > 0)
    assert not any(one.flags & RST for one in answers)
    assert len(pair.server.endpoint) == 1
