"""Half-open joins (RFC 8684 §3.2): they use no place, and their segments open no connection."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.config import ClientConfig, Profile, ServerConfig, SynCookies
from testbed.mptcp.half_open_joins import MOST_WAITING
from testbed.mptcp.paths import Limits
from testbed.mptcp.reasons import Reason
from testbed.mptcp.tcp.cookies import FourTuple, SynCookieJar
from testbed.mptcp.wire import (
    ACK,
    RST,
    SYN,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    Segment,
)
from tests.core.multipath import (
    CLIENT,
    MPTCP_PROFILES,
    SERVER,
    closed_subflows,
    has,
    multipath,
    open_subflows,
    transfer,
    usable,
)
from tests.pair import MILLISECOND, PORT, SECOND, Pair

COOKIES = (SynCookies.OFF, SynCookies.ALWAYS)
SPOOFED = bytes((9, 9, 9, 9))


def spoofed(token: int, number: int, source: bytes = SPOOFED, port: int | None = None) -> Segment:
    """A SYN of somebody who has seen the token and nothing else."""
    sport = 1_024 + number % 60_000 if port is None else port
    option = MpJoinSyn(False, 9, token, number)
    return Segment(source, SERVER[0], sport, PORT, number * 7_919 % 2**32, 0, SYN, 1_000, (option,))


def held_back(profile: Profile = Profile.V1, cookies: SynCookies = SynCookies.OFF) -> tuple[Pair, int]:
    """A connection whose client wants a second subflow; its SYNs are lost until `gate` is cleared."""
    gate = {"shut": True}

    def lose(way: str, number: int, segment: Segment) -> bool:
        return segment.dst not in CLIENT + SERVER or (gate["shut"] and segment.src == CLIENT[1])

    pair = multipath(2, profile, server={"syn_cookies": cookies}, lose=lose)
    pair.establish()
    pair.client.send(b"GET")
    pair.run(until=pair.now + 300 * MILLISECOND)
    token = pair.server.report().local_token
    assert token is not None
    gate["shut"] = False
    return pair, token


@pytest.mark.parametrize("cookies", COOKIES)
@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("count", [8, 64])
def test_spoofed_joins_do_not_keep_the_owner_out(profile: Profile, count: int, cookies: SynCookies) -> None:
    pair, token = held_back(profile, cookies)
    for number in range(count):
        pair.deliver(pair.server, spoofed(token, number))
    pair.run(until=pair.now + 2 * SECOND)
    assert pair.client.report().subflows == pair.server.report().subflows == 2
    to_spoofed = [one for one in pair.segments("down") if one.dst == SPOOFED]
    assert len(to_spoofed) == count  # each is answered once: no SYN/ACK is repeated
    transfer(pair, bytes(100_000))


@pytest.mark.parametrize("ours", [False, True])
def test_a_stream_of_spoofed_joins_does_not_keep_the_owner_out(ours: bool) -> None:
    """5,000 per second, all the time. `ours`: from the owner's own address and port."""
    pair, token = held_back()
    end, number = pair.now + 2 * SECOND, 0
    while pair.now < end:
        pair.run(until=pair.now + SECOND // 500)
        for _ in range(10):
            number += 1
            source, port = (CLIENT[1], pair.client.report().local[1]) if ours else (SPOOFED, None)
            pair.server.endpoint.handle_segment(pair.now, spoofed(token, number, source, port))
            while (answer := pair.server.endpoint.poll_transmit(pair.now)) is not None:
                if answer.dst in CLIENT and not ours:
                    pair._transmit(answer)
    assert number >= 9_000
    assert usable(pair.client) == usable(pair.server) == 2


def test_one_connection_cannot_crowd_out_another() -> None:
    """The connection with the most half-open joins loses its oldest one."""
    pair, token = held_back()
    second = pair.connect()
    pair.run(until=lambda: len(pair.server.connections) == 2, limit=SECOND)
    pair.client.send(b"x", second)
    pair.run(until=pair.now + 100 * MILLISECOND)
    other = pair.server.report(pair.server.connections[1]).local_token
    assert other is not None
    joins = pair.server.endpoint._joins
    early = spoofed(other, 1, port=5)
    pair.server.endpoint.handle_segment(pair.now, early)
    for number in range(MOST_WAITING + 500):
        pair.server.endpoint.handle_segment(pair.now, spoofed(token, number))
    assert len(joins) == MOST_WAITING
    assert joins.find((SERVER[0], PORT, SPOOFED, 5, early.seq)) is not None


@pytest.mark.parametrize("cookies", COOKIES)
def test_a_join_that_comes_twice_gets_one_answer(cookies: SynCookies) -> None:
    """The network copies the SYN: both SYN/ACKs carry the same ISN and nonce, and the join succeeds."""
    pair = multipath(server={"syn_cookies": cookies})
    pair.establish()
    pair.client.send(b"?")
    pair.run(until=lambda: any(has(one, MpJoinSyn) for one in pair.segments("up")), limit=SECOND)
    (syn,) = [one for one in pair.segments("up") if has(one, MpJoinSyn)]
    pair.run(until=pair.now + 11 * MILLISECOND)
    pair.deliver(pair.server, syn)
    pair.run(until=pair.now + SECOND)
    synacks = [one for one in pair.segments("down") if has(one, MpJoinSynAck)]
    assert len(synacks) == 2
    assert synacks[0].seq == synacks[1].seq
    assert [one for one in synacks[0].options if isinstance(one, MpJoinSynAck)] == [
        one for one in synacks[1].options if isinstance(one, MpJoinSynAck)
    ]
    assert usable(pair.client) == usable(pair.server) == 2


def test_the_owners_places_are_still_limited() -> None:
    """The limit holds for joins that prove themselves, also when all SYNs come before the first third ACK."""
    pair = multipath(4, server={"paths": replace(ServerConfig().paths, limits=Limits(subflows=1))})
    pair.establish()
    pair.client.send(b"?")
    pair.run(until=pair.now + 3 * SECOND)
    assert pair.server.report().subflows == 2
    transfer(pair, bytes(50_000))


def test_a_half_open_join_does_not_keep_a_connection_alive() -> None:
    """The only subflow is reset: a join that the peer has begun may still save it, for a few seconds. Spoofed
    ones afterwards do not prolong that."""
    pair, token = held_back()
    pair.lose = lambda way, number, segment: True
    pair.deliver(pair.server, spoofed(token, 1))
    last = [one for one in pair.segments("up", delivered=True) if one.src == CLIENT[0]][-1]
    start = pair.now
    pair.deliver(
        pair.server, replace(last, flags=RST, seq=last.seq + len(last.payload), payload=b"", options=())
    )
    assert pair.server.closed() is None
    for number in range(2, 12):
        pair.run(until=pair.now + SECOND // 2)
        if pair.server.closed() is None:
            pair.deliver(pair.server, spoofed(token, number))
    closed = pair.server.closed()
    assert closed is not None
    assert closed.reason is Reason.RST_RECEIVED
    assert next(at for at, event in pair.server.events if event is closed) - start <= 3 * SECOND
    assert len(pair.server.endpoint._joins) == 0


def test_a_join_under_way_saves_a_connection_whose_only_subflow_dies() -> None:
    pair, _ = held_back()
    pair.run(until=lambda: any(has(one, MpJoinSynAck) for one in pair.segments("down")), limit=2 * SECOND)
    last = [one for one in pair.segments("up", delivered=True) if one.src == CLIENT[0]][-1]
    first = replace(last, flags=RST, seq=last.seq + len(last.payload), payload=b"", options=())
    pair.deliver(pair.server, first)
    pair.run(until=pair.now + SECOND)
    assert pair.server.closed() is None
    assert usable(pair.server) == 2
    transfer(pair, bytes(1_000))


# -- cookies of joins and of connections --------------------------------------------------------------------


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_late_segment_of_a_joined_subflow_opens_no_connection(profile: Profile) -> None:
    pair = multipath(profile=profile, server={"syn_cookies": SynCookies.ALWAYS})
    open_subflows(pair)
    pair.client.endpoint.set_backup(pair.now, pair.client.first(None), 0, True)
    pair.run(until=pair.now + SECOND)
    pair.client.send(bytes(range(256)) * 4)
    pair.run(until=pair.now + 50 * MILLISECOND)
    joined = [one for one in pair.segments("up") if one.src == CLIENT[1]]
    assert any(one.payload for one in joined)
    pair.server.abort()
    pair.run(until=pair.now + 5 * SECOND)
    for late in joined:
        pair.deliver(pair.server, late)
    pair.run(until=pair.now + SECOND)
    assert len(pair.server.connections) == 1


@pytest.mark.parametrize("cookies", COOKIES)
def test_a_third_ack_that_lost_mp_join_is_answered_by_a_reset(cookies: SynCookies) -> None:
    def strip(way: str, number: int, segment: Segment) -> Segment:
        kept = tuple(option for option in segment.options if not isinstance(option, MpJoinAck))
        return replace(segment, options=kept)

    pair = multipath(server={"syn_cookies": cookies}, rewrite=strip)
    pair.establish()
    transfer(pair, bytes(5_000))
    pair.run(until=pair.now + 20 * SECOND)
    assert len(pair.server.connections) == 1
    assert any(one.flags & RST and one.src == SERVER[1] for one in pair.segments("down"))
    assert usable(pair.client) == 1
    assert not closed_subflows(pair.server)


@given(
    secret=st.binary(min_size=32, max_size=32),
    now=st.integers(0, 1 << 62),
    ports=st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)),
    isn=st.integers(0, 2**32 - 1),
    mss=st.integers(0, 65_535) | st.none(),
    join=st.booleans(),
    v6=st.booleans(),
)
def test_a_cookie_counts_for_its_own_kind_only(
    secret: bytes,
    now: int,
    ports: tuple[int, int],
    isn: int,
    mss: int | None,
    join: bool,
    v6: bool,
) -> None:
    jar = SynCookieJar(secret)
    size = 16 if v6 else 4
    ends = FourTuple((bytes([1] * size), ports[0]), (bytes([2] * size), ports[1]))
    cookie = jar.make(now, ends, isn, mss, join=join)
    assert jar.check(now, ends, isn, cookie, join=join) is not None
    assert jar.check(now, ends, isn, cookie, join=not join) is None


@given(data=st.data())
def test_no_segment_of_a_joined_subflow_opens_a_connection(data: st.DataObject) -> None:
    """Any of its segments may come late, in any order, with or without options."""
    profile = data.draw(st.sampled_from(MPTCP_PROFILES))
    cookies = data.draw(st.sampled_from([SynCookies.ALWAYS, SynCookies.AUTO]))
    pair = Pair(
        client=ClientConfig(profile=profile),
        server=ServerConfig(syn_cookies=cookies, backlog=0 if cookies is SynCookies.AUTO else 256),
        client_addresses=CLIENT[:2],
        server_addresses=SERVER[:2],
    )
    open_subflows(pair)
    transfer(pair, bytes(data.draw(st.sampled_from([1, 3_000, 60_000]))))
    joined = [one for one in pair.segments("up") if one.src == CLIENT[1]]
    pair.server.abort()
    pair.run(until=pair.now + data.draw(st.sampled_from([1, 30])) * SECOND)
    order = data.draw(st.lists(st.sampled_from(range(len(joined))), min_size=1, max_size=12))
    for index in order:
        late = joined[index]
        if late.flags & (SYN | ACK) == SYN and data.draw(st.booleans()):
            continue
        if data.draw(st.booleans()) and not late.flags & SYN:
            late = replace(late, options=tuple(o for o in late.options if data.draw(st.booleans())))
        pair.deliver(pair.server, late)
    pair.run(until=pair.now + SECOND)
    assert len(pair.server.connections) == 1
