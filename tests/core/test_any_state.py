"""Segments that come where nobody expects them: SYNs that cross, signals before an HMAC, a FIN that never
comes. Read first: RFC 9293 §3.5, §3.6, RFC 8684 §3.2."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import SPOKEN, Profile, SynCookies
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import (
    ACK,
    FIN,
    RST,
    SYN,
    AddAddr,
    Dss,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpPrio,
    MpTcpRst,
    Option,
    RemoveAddr,
    Segment,
    Timestamps,
)
from tests.core.boxes import MPTCP, option, pair_of
from tests.core.multipath import (
    CLIENT,
    MPTCP_PROFILES,
    SERVER,
    has,
    is_join,
    multipath,
    transfer,
    usable,
)
from tests.pair import SECOND, Pair

SOUP: tuple[Option, ...] = (
    MpCapable(1, 1),
    MpCapable(1, 1, 7),
    MpCapable(1, 1, 7, 8),
    MpCapable(1, 1, 7, 8, 300),
    MpJoinSyn(True, 3, 1, 2),
    MpJoinSynAck(False, 3, bytes(8), 2),
    MpJoinAck(bytes(20)),
    Dss(1, True, 1, True, 1, 0),
    Dss(1, True, 1, True, 1, 9, 5, True),
    AddAddr(0, 3, bytes((10, 9, 9, 9))),
    AddAddr(1, 3, bytes((10, 9, 9, 9)), hmac=bytes(8)),
    AddAddr(1, 3, bytes((10, 9, 9, 9)), echo=True),
    RemoveAddr((0, 1, 2, 3)),
    MpPrio(True, 1),
    MpFail(1),
    MpFastclose(1),
    MpTcpRst(1),
)


def both_open(profile: Profile) -> Pair:
    """Two hosts whose SYNs cross."""
    pair = pair_of(profile)
    pair.connect()
    syn = pair.segments("up")[0]
    here, there = (syn.dst, syn.dport), (syn.src, syn.sport)
    pair.server.connections.append(pair.server.endpoint.connect(pair.now, here, there, pair.config))
    pair.settle(pair.server)
    return pair


@pytest.mark.parametrize("profile", SPOKEN)
def test_two_syns_cross(profile: Profile) -> None:
    """One plain TCP connection, and no exchange of SYN/ACKs without end (RFC 9293 §3.5)."""
    pair = both_open(profile)
    pair.client.send(b"q" * 3_000)
    pair.server.send(b"a" * 3_000)
    pair.run(until=lambda: len(pair.client.received()) == len(pair.server.received()) == 3_000)
    assert sum(bool(one.flags & SYN) for one in (*pair.segments("up"), *pair.segments("down"))) == 4
    for side in (pair.client, pair.server):
        report = side.report()
        assert report.verdict is (Verdict.TCP if profile is Profile.TCP else Verdict.FALLBACK)
        assert report.reason is (Reason.NONE if profile is Profile.TCP else Reason.SIMULTANEOUS_OPEN)
        fallbacks = side.endpoint.counters["SimultConnectFallback"]
        assert fallbacks == (profile is not Profile.TCP)
        side.close()
    pair.run()
    assert pair.client.closed().clean  # type: ignore[union-attr]
    assert pair.server.closed().clean  # type: ignore[union-attr]


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_syn_in_answer_to_a_join_is_refused(profile: Profile) -> None:
    pair = multipath(profile=profile)
    pair.establish()
    pair.client.send(b"?")
    pair.run(until=lambda: any(is_join(one) for one in pair.segments("up")))
    join = next(one for one in pair.segments("up") if is_join(one))
    pair.lose = lambda way, number, segment: segment.src == SERVER[1]
    option = MpJoinSyn(False, 1, 3, 4)
    syn = Segment(join.dst, join.src, join.dport, join.sport, 77, 0, SYN, 1_000, (option, RemoveAddr((0,))))
    pair.deliver(pair.client, syn)
    assert [one for one in pair.segments("up") if one.src == CLIENT[1]][-1].flags & RST
    assert pair.client.endpoint.counters["RmAddr"] == 0
    pair.client.send(bytes(10_000))
    pair.run(until=lambda: len(pair.server.received()) == 10_001)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("kind", [MpJoinSynAck, MpJoinAck])
def test_nothing_that_comes_with_a_wrong_hmac_counts(profile: Profile, kind: type) -> None:
    """Whoever cannot prove that he is the peer removes no addresses."""

    def rewrite(way: str, number: int, segment: Segment) -> Segment:
        if not has(segment, kind):
            return segment
        kept = tuple(one for one in segment.options if isinstance(one, Timestamps))
        wrong = MpJoinSynAck(False, 1, bytes(8), 5) if kind is MpJoinSynAck else MpJoinAck(bytes(20))
        return replace(segment, options=(*kept[: kind is MpJoinSynAck], wrong, RemoveAddr((0,))))

    pair = multipath(profile=profile, rewrite=rewrite)
    pair.establish()
    transfer(pair, b"x")
    pair.run(until=pair.now + 2 * SECOND)
    for side in (pair.client, pair.server):
        assert side.endpoint.counters["RmAddr"] == 0
        assert usable(side) == 1
    transfer(pair, bytes(10_000))


@pytest.mark.parametrize("profile", SPOKEN)
@pytest.mark.parametrize("cookies", [SynCookies.OFF, SynCookies.ALWAYS])
@pytest.mark.parametrize("flags", [0, ACK, SYN, SYN | ACK, FIN, FIN | ACK, SYN | FIN, SYN | RST, RST])
def test_options_for_nobody(profile: Profile, cookies: SynCookies, flags: int) -> None:
    """To a port that listens and to one that does not: at most one answer, and no state but a SYN's."""
    pair = pair_of(profile, cookies)
    for dport in (20080, 9):
        for number, one in enumerate(SOUP):
            segment = Segment(CLIENT[0], SERVER[0], 1_000 + number, dport, 5, 6, flags, 100, (one,), b"data")
            before = len(pair.crossings)
            pair.server.endpoint.handle_segment(pair.now, segment)
            answers = 0
            while pair.server.endpoint.poll_transmit(pair.now) is not None:
                answers += 1
            assert answers <= 1
            assert len(pair.crossings) == before
    half_open = 0 if flags != SYN or cookies is SynCookies.ALWAYS else len(SOUP) - 1
    assert len(pair.server.endpoint) == half_open  # the join has no connection
    assert pair.server.connections == []


@pytest.mark.parametrize("profile", MPTCP)
@pytest.mark.parametrize("flags", [0, ACK, SYN, SYN | ACK, FIN | ACK, SYN | FIN])
def test_options_in_every_state_of_the_handshake(profile: Profile, flags: int) -> None:
    """With numbers that fit, at a client that waits for a SYN/ACK and a server that waits for an ACK."""
    for one in SOUP:
        pair = pair_of(profile, lose=lambda way, number, segment: number > 1)
        pair.connect()
        syn = pair.segments("up")[0]
        answer = Segment(syn.dst, syn.src, syn.dport, syn.sport, 9, syn.seq + 1, flags, 100, (one,))
        pair.deliver(pair.client, answer)
        pair.run(until=lambda pair=pair: len(pair.segments("down")) > 0)  # type: ignore[misc]
        synack = pair.segments("down")[0]
        stamps = tuple(replace(o, echo=o.value) for o in synack.options if isinstance(o, Timestamps))
        numbers = {"seq": syn.seq + 1 & 0xFFFF_FFFF, "ack": synack.seq + 1 & 0xFFFF_FFFF}
        third = replace(syn, flags=flags, options=(*stamps, one), **numbers)
        pair.deliver(pair.server, third)
        pair.run(limit=400 * SECOND)
        for side in (pair.client, pair.server):
            for number in side.connections:
                if side.closed(number) is None:
                    side.abort(number)
        pair.run(limit=400 * SECOND)
        assert len(pair.client.endpoint) == len(pair.server.endpoint) == 0


@pytest.mark.parametrize("profile", MPTCP)
def test_a_peer_that_never_sends_its_fin(profile: Profile) -> None:
    """Both DATA_FINs are exchanged: FIN-WAIT-2 ends by itself (RFC 9293 §3.6 lets a FIN be half a close)."""
    pair = pair_of(profile)

    def no_fin(way: str, number: int, segment: Segment) -> Segment:
        return replace(segment, flags=segment.flags & ~FIN) if way == "down" else segment

    pair.rewrite = no_fin
    pair.establish()
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    pair.client.close()
    pair.server.close()
    pair.run(until=pair.now + 600 * SECOND)
    end = pair.client.closed()
    assert end is not None
    assert end.clean
    assert len(pair.client.endpoint) == 0


def test_half_a_close_lasts_as_long_as_the_application_wants() -> None:
    """Plain TCP, and a DATA_FIN that the peer has not answered by its own."""
    for profile in SPOKEN:
        pair = pair_of(profile)
        pair.establish()
        pair.client.send(b"q" * 300)
        pair.client.close()
        pair.run(until=pair.now + 3_600 * SECOND)
        pair.server.send(b"a" * 300)
        pair.run(until=lambda pair=pair: pair.client.received() == b"a" * 300)  # type: ignore[misc]
        pair.server.close()
        pair.run()
        assert pair.client.closed().clean  # type: ignore[union-attr]


def test_a_data_ack_on_a_syn_ack_opens_no_window() -> None:
    """The window of a SYN is not scaled: a DSS there is not read."""

    def add(way: str, number: int, segment: Segment) -> Segment:
        if way == "down" and segment.flags & SYN:
            capable = option(segment, MpCapable)
            assert capable is not None
            assert capable.sender_key is not None
            kept = tuple(one for one in segment.options if not isinstance(one, Timestamps))
            return replace(segment, window=5, options=(*kept, Dss(data_ack=0)))
        return segment

    pair = pair_of(Profile.V1, rewrite=add)
    pair.connect()
    pair.client.send(bytes(3_000))
    pair.run(until=lambda: len(pair.segments("up")) > 2)
    assert max(len(one.payload) for one in pair.segments("up")) == 5
    pair.run(until=lambda: len(pair.server.received()) == 3_000)
