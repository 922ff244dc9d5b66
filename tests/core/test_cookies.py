"""SYN cookies: what a returning ACK proves. Read first: RFC 4987 §3.6, testbed/mptcp/tcp/cookies.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.config import SPOKEN, ClientConfig, Profile, ServerConfig, SynCookies, TcpConfig
from testbed.mptcp.reasons import Verdict
from testbed.mptcp.tcp.cookies import (
    COUNTER_PERIOD,
    MSS_TABLE,
    MSS_TABLE_V6,
    FourTuple,
    SynCookieJar,
    stamp_options,
    unstamp_options,
)
from testbed.mptcp.tcp.handshake import SynOptions
from testbed.mptcp.wire import RST, MaximumSegmentSize, Segment
from tests.core.boxes import exchange, is_syn, pair_of
from tests.pair import SECOND, Pair

V4 = FourTuple((bytes(4), 80), (bytes([1]) * 4, 4000))
V6 = FourTuple((bytes(16), 80), (bytes([1]) * 16, 4000))
words = st.integers(0, 0xFFFF_FFFF)


@given(
    tuple_=st.sampled_from([V4, V6]),
    isn=words,
    now=st.integers(0, 10**20),
    later=st.integers(0, 2 * COUNTER_PERIOD - 1),
    mss=st.sampled_from([None, 100, 536, 1459, 1460, 9000]),
)
def test_a_cookie_lives_one_to_two_minutes(
    tuple_: FourTuple, isn: int, now: int, later: int, mss: int | None
) -> None:
    jar = SynCookieJar(b"s" * 32)
    cookie = jar.make(now, tuple_, isn, mss)
    found = jar.check(now + later, tuple_, isn, cookie, version=1)
    steps = (now + later) // COUNTER_PERIOD - now // COUNTER_PERIOD
    assert (found is not None) == (steps < 2)
    if found is not None:
        table = MSS_TABLE if tuple_ is V4 else MSS_TABLE_V6
        assert found.mss == max((one for one in table if mss is not None and one <= mss), default=table[0])
        assert found.key == jar.key(tuple_, cookie, 1)
        assert found.key != jar.key(tuple_, cookie, 2)


@given(isn=words, now=st.integers(10**12, 10**18), step=st.integers(-5_000, 5_000).filter(bool))
def test_a_neighbouring_isn_is_no_proof(isn: int, now: int, step: int) -> None:
    """A segment later than the first must not pass, however short the one that was lost (1 byte and up)."""
    jar = SynCookieJar(b"s" * 32)
    cookie = jar.make(now, V4, isn, 1460)
    assert jar.check(now, V4, isn + step & 0xFFFF_FFFF, cookie) is None


def test_two_generations_of_secrets() -> None:
    """Those of the generation before still count, older ones do not; each with its own key and clock."""
    jar = SynCookieJar(b"1" * 32)
    now, isn = 1_000 * SECOND, 77
    cookie, offset = jar.make(now, V4, isn, 1460), jar.timestamp_offset(V4)
    key = jar.key(V4, cookie, 0)
    jar.rotate(b"2" * 32)
    found = jar.check(now, V4, isn, cookie)
    assert found is not None
    assert (found.key, found.timestamp_offset) == (key, offset)
    assert jar.make(now, V4, isn, 1460) != cookie
    jar.rotate(b"3" * 32)
    assert jar.check(now, V4, isn, cookie) is None


@given(clock=words, shift=st.none() | st.integers(0, 14))
def test_the_window_scale_rides_in_the_timestamp(clock: int, shift: int | None) -> None:
    """At most 64 ms early, never late."""
    stamped = stamp_options(clock, SynOptions(1460, shift, 1))
    assert (clock - stamped) & 0xFFFF_FFFF < 64
    assert unstamp_options(stamped, 1460, 5) == SynOptions(1460, shift, 5)


@pytest.mark.parametrize("profile", SPOKEN)
@pytest.mark.parametrize("rotations", [0, 1, 2])
def test_rotation_in_the_middle_of_a_handshake(profile: Profile, rotations: int) -> None:
    pair = pair_of(profile, SynCookies.ALWAYS)
    pair.connect()
    pair.run(until=pair.now + 15_000_000)
    for n in range(rotations):
        pair.server.endpoint.rotate_cookie_secret(bytes([n]) * 32)
    pair.client.send(b"q" * 300)
    pair.run(until=pair.now + SECOND)
    if rotations == 2:
        assert pair.server.connections == []
        assert pair.client.report().verdict is Verdict.RESET
    else:
        assert pair.server.received() == b"q" * 300
        expected = Verdict.TCP if profile is Profile.TCP else Verdict.MPTCP
        assert pair.server.report().verdict is pair.client.report().verdict is expected


@pytest.mark.parametrize("profile", SPOKEN)
def test_idle_beyond_the_cookies_life(profile: Profile) -> None:
    """The third ACK is lost and the client writes too late: reset at its first write (RFC 4987 §3.6)."""
    pair = pair_of(profile, SynCookies.ALWAYS, up=("third_ack",))
    pair.connect()
    pair.run(until=pair.now + 121 * SECOND)
    pair.client.send(b"q" * 300)
    pair.run(until=pair.now + SECOND)
    assert pair.client.report().verdict is Verdict.RESET
    assert pair.server.connections == []


@pytest.mark.parametrize("size", [1, 2, 3, 300])
@pytest.mark.parametrize("profile", SPOKEN)
def test_only_the_first_segment_proves_the_cookie(profile: Profile, size: int) -> None:
    """Third ACK and a first segment of so few bytes are lost: the second is answered by a reset."""
    first = [True]

    def lose(way: str, n: int, segment: Segment) -> bool:
        if way == "up" and not is_syn(segment) and first[0]:
            first[0] = not segment.payload
            return True
        return False

    pair = pair_of(profile, SynCookies.ALWAYS, lose=lose)
    pair.connect()
    pair.run(until=pair.now + 50_000_000)
    pair.client.send(b"q" * size)
    pair.client.send(b"r" * 300)
    pair.run(until=pair.now + 100_000_000)
    assert pair.server.connections == []
    reset = pair.segments("down")[-1]
    assert reset.flags == RST


def test_without_timestamps_the_window_scale_is_lost_and_the_rest_works() -> None:
    tcp = TcpConfig(timestamps=False)
    pair = Pair(client=ClientConfig(tcp=tcp), server=ServerConfig(syn_cookies=SynCookies.ALWAYS))
    exchange(pair, b"q" * 200_000, b"a" * 200_000)
    assert pair.client.report().verdict is Verdict.MPTCP
    synack = pair.segments("down")[0]
    assert len(synack.options) == 2  # MSS and MP_CAPABLE


def test_no_rtt_from_the_cookies_echo() -> None:
    """Its low bits are no clock: 20 ms of round trip must not become up to 84."""
    pair = pair_of(Profile.V1, SynCookies.ALWAYS)
    pair.establish()
    assert pair.server.report().srtt is None


@pytest.mark.parametrize("mss", [536, 1300, 1460])
def test_the_mss_comes_back_from_the_table(mss: int) -> None:
    def announce(way: str, n: int, segment: Segment) -> Segment:
        options = tuple(
            MaximumSegmentSize(mss) if isinstance(one, MaximumSegmentSize) and is_syn(segment) else one
            for one in segment.options
        )
        return replace(segment, options=options) if options != segment.options else segment

    pair = pair_of(Profile.TCP, SynCookies.ALWAYS, announce)
    exchange(pair, b"q", b"a" * 20_000)
    assert max(len(one.payload) for one in pair.segments("down")) == mss - 12


def test_auto_sends_cookies_when_the_backlog_is_full() -> None:
    """And an ACK counts as a cookie only once one was sent: before, it is answered by a reset."""
    pair = Pair(
        server=ServerConfig(syn_cookies=SynCookies.AUTO, backlog=2),
        lose=lambda way, n, segment: way == "up" and segment.sport < 40_002 and not is_syn(segment),
    )
    pair.connect()
    pair.connect()
    pair.run(until=pair.now + SECOND // 2)
    assert pair.server.endpoint.counters["SyncookiesSent"] == 0
    third = pair.connect()
    pair.run(until=lambda: pair.client.connected(third) and len(pair.server.connections) == 1)
    assert pair.server.endpoint.counters["SyncookiesSent"] == 1
    assert pair.server.endpoint.counters["SyncookiesRecv"] == 1
    assert pair.server.report().verdict is Verdict.MPTCP


def test_an_ack_out_of_nowhere_is_reset() -> None:
    for mode in SynCookies:
        pair = pair_of(Profile.V1, mode)
        pair.establish()
        third = pair.segments("up")[-1]
        before = len(pair.segments("down"))
        pair.deliver(pair.server, replace(third, sport=3))
        (answer,) = pair.segments("down")[before:]
        assert answer.flags == RST
        assert answer.seq == third.ack
