"""RFC 8684 §3.2, RFC 6824 §3.2: a second subflow comes up, or is refused, or survives a lost packet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import ClientConfig, MptcpConfig, Profile, ServerConfig, SynCookies
from testbed.mptcp.half_open_joins import MOST_WAITING
from testbed.mptcp.paths import Flag, Limits, LocalEndpoint, PathsConfig, parse_endpoint
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import (
    ACK,
    RST,
    SYN,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpTcpRst,
    Segment,
    Timestamps,
)
from tests.core.multipath import (
    CLIENT,
    MPTCP_PROFILES,
    SERVER,
    closed_subflows,
    has,
    multipath,
    open_subflows,
    opened,
    transfer,
    usable,
)
from tests.pair import CLIENT_PORT, PORT, SECOND, Pair

COOKIES = (SynCookies.OFF, SynCookies.ALWAYS)


@pytest.mark.parametrize("cookies", COOKIES)
@pytest.mark.parametrize("paths", [2, 4])
@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_every_path_gets_its_subflow(profile: Profile, paths: int, cookies: SynCookies) -> None:
    pair = multipath(paths, profile, server={"syn_cookies": cookies})
    open_subflows(pair, paths)
    for number, event in enumerate(opened(pair.client), start=1):
        assert (event.local[0], event.remote[0]) == (CLIENT[number], SERVER[number])
    for side in (pair.client, pair.server):
        counters = side.endpoint.counters
        names = ("MPJoinSynRx", "MPJoinAckRx") if side is pair.server else ("MPJoinSynTx", "MPJoinSynAckRx")
        assert [counters[name] for name in names] == [paths - 1] * 2
    if cookies is SynCookies.ALWAYS:
        counters = pair.server.endpoint.counters
        assert counters["SyncookiesSent"] == counters["SyncookiesRecv"] == paths
    transfer(pair, bytes(200_000))
    pair.client.close()
    pair.server.close()
    pair.run()
    for side in (pair.client, pair.server):
        assert side.report().subflows == paths
        assert side.closed() is not None
        assert side.report().verdict is Verdict.MPTCP
        assert len(side.endpoint) == 0
    assert all(path.bytes_sent > 0 for path in pair.client.report().paths)


def test_no_data_before_the_third_ack_is_answered() -> None:
    pair = multipath()
    pair.establish()
    pair.client.send(bytes(300_000))
    pair.run(until=lambda: usable(pair.client) == 2)
    answered = next(t for t, event in pair.client.events if event in opened(pair.client))
    on_second = [c for c in pair.crossings if c.segment.src == CLIENT[1] and c.segment.payload]
    assert all(crossing.time >= answered for crossing in on_second)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("cookies", COOKIES)
def test_a_lost_third_ack_is_sent_again(profile: Profile, cookies: SynCookies) -> None:
    lost: list[Segment] = []

    def lose(way: str, number: int, segment: Segment) -> bool:
        if has(segment, MpJoinAck) and len(lost) < 2:
            lost.append(segment)
            return True
        return False

    pair = multipath(profile=profile, lose=lose, server={"syn_cookies": cookies})
    open_subflows(pair)
    assert len(lost) == 2
    assert pair.server.endpoint.counters["MPJoinAckRx"] == 1


def test_a_lost_answer_to_the_third_ack_is_asked_for_again() -> None:
    lost: list[Segment] = []

    def lose(way: str, number: int, segment: Segment) -> bool:
        if segment.src == SERVER[1] and not segment.flags & SYN and not lost:
            lost.append(segment)
            return True
        return False

    pair = multipath(lose=lose)
    open_subflows(pair)
    assert len(lost) == 1
    acks = [segment for segment in pair.segments("up") if has(segment, MpJoinAck)]
    assert len(acks) == 2


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("kind", [MpJoinSynAck, MpJoinAck])
def test_a_wrong_hmac_is_answered_by_a_reset(profile: Profile, kind: type) -> None:
    def rewrite(way: str, number: int, segment: Segment) -> Segment:
        options = tuple(
            replace(option, hmac=bytes(len(option.hmac))) if isinstance(option, kind) else option  # type: ignore[type-var,attr-defined]
            for option in segment.options
        )
        return replace(segment, options=options)

    pair = multipath(profile=profile, rewrite=rewrite)
    pair.establish()
    transfer(pair, b"hello")
    pair.run(until=pair.now + 2 * SECOND)
    side = pair.client if kind is MpJoinSynAck else pair.server
    assert side.endpoint.counters[f"{kind.__name__.replace('Mp', 'MP', 1)}HMacFailure"] == 1
    resets = [c.segment for c in pair.crossings if c.segment.flags & RST]
    assert resets
    codes = [o.reason for o in resets[0].options if isinstance(o, MpTcpRst)]
    assert codes == ([1] if profile is Profile.V1 else [])
    transfer(pair, bytes(50_000))  # the first subflow goes on
    assert pair.client.report().subflows == 1


def join_syn(pair: Pair, token: int, number: int = 0) -> Segment:
    option = MpJoinSyn(False, 1, token, 1234 + number)
    port = CLIENT_PORT + 1000 + number
    return Segment(CLIENT[1], SERVER[0], port, PORT, number, 0, SYN, 65_535, (Timestamps(5, 0), option))


def answers(pair: Pair, port: int) -> list[Segment]:
    return [segment for segment in pair.segments("down") if segment.dport == port]


def test_an_unknown_token_is_answered_by_a_reset_that_says_why() -> None:
    pair = multipath()
    open_subflows(pair)
    syn = join_syn(pair, 0x12345678)
    pair.deliver(pair.server, syn)
    (reset,) = answers(pair, syn.sport)
    assert reset.flags == RST | ACK
    assert reset.options == (MpTcpRst(1),)
    assert pair.server.endpoint.counters["MPJoinNoTokenFound"] == 1


def test_no_join_before_the_first_dss() -> None:
    """The server has the keys by the third ACK, but no DSS: the client might not be confirmed."""
    pair = multipath()
    pair.establish()
    token = pair.server.report().local_token
    assert token is not None
    syn = join_syn(pair, token)
    pair.deliver(pair.server, syn)
    (reset,) = answers(pair, syn.sport)
    assert reset.flags & RST
    transfer(pair, b"x")
    pair.deliver(pair.server, join_syn(pair, token, 1))
    assert answers(pair, syn.sport + 1)[0].flags == SYN | ACK


@pytest.mark.parametrize(
    ("server", "code"),
    [
        (ServerConfig(mptcp=MptcpConfig(deny_join=True)), 3),
        (ServerConfig(paths=PathsConfig(limits=Limits(subflows=0))), 2),
    ],
)
def test_refused_by_policy(server: ServerConfig, code: int) -> None:
    pair = multipath(server={"mptcp": server.mptcp, "paths": server.paths})
    pair.establish()
    transfer(pair, b"x")
    pair.run(until=pair.now + 2 * SECOND)
    resets = [segment for segment in pair.segments("down") if segment.flags & RST]
    assert resets
    assert all(segment.options == (MpTcpRst(code),) for segment in resets)
    assert pair.server.endpoint.counters["MPJoinSynRx"] == len(resets)
    assert usable(pair.client) == 1
    transfer(pair, bytes(10_000))


def test_ten_thousand_joins_are_bounded() -> None:
    for cookies in COOKIES:
        pair = multipath(server={"syn_cookies": cookies})
        open_subflows(pair)
        token = pair.server.report().local_token
        assert token is not None
        for number in range(10_000 if cookies is SynCookies.ALWAYS else 300):
            segment = join_syn(pair, token, number % 20_000)
            pair.server.endpoint.handle_segment(pair.now, segment)
            while pair.server.endpoint.poll_transmit(pair.now) is not None:
                pass
        assert len(pair.server.endpoint) <= 1 + Limits().subflows
        assert len(pair.server.endpoint._joins) <= MOST_WAITING
        transfer(pair, bytes(10_000))


def test_the_peer_asks_for_no_joins_to_its_first_address() -> None:
    """Flag C (RFC 8684 §3.1): only the announced address is joined."""
    endpoints = (parse_endpoint("10.0.2.1 subflow"),)
    for deny in (False, True):
        pair = multipath(
            client={"paths": PathsConfig(endpoints=endpoints)},
            server={"mptcp": MptcpConfig(deny_join_initial=deny), "paths": PathsConfig(endpoints=())},
        )
        pair.establish()
        transfer(pair, bytes(1000))
        pair.run(until=pair.now + 2 * SECOND)
        assert usable(pair.client) == (1 if deny else 2)


@pytest.mark.parametrize("cookies", COOKIES)
def test_the_server_may_ask_for_a_backup(cookies: SynCookies) -> None:
    """Flag B of the SYN/ACK."""
    endpoints = (parse_endpoint("10.1.2.1 signal backup"),)
    pair = multipath(server={"paths": PathsConfig(endpoints=endpoints), "syn_cookies": cookies})
    open_subflows(pair)
    assert pair.client.endpoint.counters["MPJoinSynAckBackupRx"] == 1
    transfer(pair, bytes(200_000))
    for side in (pair.client, pair.server):
        assert side.report().paths[1].backup
        assert side.report().paths[1].bytes_sent == 0


@pytest.mark.parametrize("cookies", COOKIES)
def test_an_address_of_the_other_family_is_joined(cookies: SynCookies) -> None:
    near, far = (bytes.fromhex(f"fd00{side:04x}{1:024x}") for side in (1, 2))
    pair = Pair(
        client=ClientConfig(paths=PathsConfig(endpoints=(LocalEndpoint(near),))),
        server=ServerConfig(
            syn_cookies=cookies, paths=PathsConfig(endpoints=(LocalEndpoint(far, flags=Flag.SIGNAL),))
        ),
        client_addresses=(CLIENT[0], near),
        server_addresses=(SERVER[0], far),
    )
    open_subflows(pair)
    assert [(one.local[0], one.remote[0]) for one in opened(pair.client)] == [(near, far)]
    transfer(pair, bytes(200_000))
    assert all(path.bytes_sent > 0 for path in pair.client.report().paths)


def test_a_data_segment_instead_of_the_third_ack_resets_the_subflow() -> None:
    """As Linux does: data cannot come before the fourth packet (RFC 8684 §3.2)."""

    def rewrite(way: str, number: int, segment: Segment) -> Segment:
        if not has(segment, MpJoinAck):
            return segment
        return replace(segment, payload=b"data", options=segment.options[:1])

    pair = multipath(rewrite=rewrite)
    pair.establish()
    transfer(pair, b"x")
    pair.run(until=pair.now + 2 * SECOND)
    assert any(segment.flags & RST and segment.src == SERVER[1] for segment in pair.segments("down"))
    assert usable(pair.server) == 1
    transfer(pair, bytes(10_000))


def test_a_reset_ends_one_subflow_and_not_the_connection() -> None:
    pair = multipath()
    open_subflows(pair)
    second = opened(pair.client)[0]
    last = [s for s in pair.segments("down") if s.src == SERVER[1] and s.flags & ACK][-1]
    forged = replace(last, flags=RST, options=(MpTcpRst(6),), seq=last.seq + len(last.payload), payload=b"")
    pair.deliver(pair.client, forged)
    assert [(one.subflow, one.reason) for one in closed_subflows(pair.client)] == [
        (second.subflow, Reason.RST_RECEIVED)
    ]
    transfer(pair, bytes(100_000))
    assert pair.client.endpoint.counters["MPRstRx"] == 1
