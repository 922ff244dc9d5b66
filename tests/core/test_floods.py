"""Much of what is allowed: joins, announcements, removals, keys, priorities. Each is answered as the RFC
says, and what is kept has a bound. Read first: RFC 8684 §3.2, §3.4, §3.9 and its section on security."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest

from testbed.mptcp.config import MptcpConfig, Profile, SynCookies
from testbed.mptcp.half_open_joins import MOST_WAITING
from testbed.mptcp.keys import add_addr_hmac, join_hmac
from testbed.mptcp.paths import Limits, PathsConfig
from testbed.mptcp.reasons import Reason
from testbed.mptcp.wire import (
    ACK,
    RST,
    SYN,
    AddAddr,
    MpCapable,
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
from tests.core.multipath import (
    CLIENT,
    MPTCP_PROFILES,
    SERVER,
    closed_subflows,
    forged,
    has,
    multipath,
    open_subflows,
    transfer,
    usable,
)
from tests.pair import CLIENT_PORT, PORT, SECOND, Pair
from tests.properties.memory import deep_size

COOKIES = (SynCookies.OFF, SynCookies.ALWAYS)
MANY = 10_000
NO_JOINS = PathsConfig(endpoints=())


def opened(profile: Profile = Profile.V1, paths: int = 2, **more: object) -> Pair:
    pair = multipath(paths, profile, **more)
    open_subflows(pair, paths)
    pair.run(until=pair.now + SECOND)
    return pair


def handed(pair: Pair, segment: Segment) -> list[Segment]:
    """What the server says to a segment that no link carries."""
    server, said = pair.server.endpoint, []
    server.handle_segment(pair.now, segment)
    while (answer := server.poll_transmit(pair.now)) is not None:
        said.append(answer)
    return said


def size(pair: Pair) -> int:
    return deep_size(pair.server.endpoint, without=(pair, pair.server))


def join_syn(pair: Pair, number: int, token: int | None = None) -> Segment:
    found = pair.server.report().local_token if token is None else token
    assert found is not None
    option = MpJoinSyn(False, 1, found, 1_234 + number)
    source = bytes((10, 77, number >> 8, number & 255))
    stamps = Timestamps(5, 0)
    return Segment(source, SERVER[0], CLIENT_PORT, PORT, number, 0, SYN, 65_535, (stamps, option))


def third_ack(pair: Pair, synack: Segment, hmac: bytes | None = None) -> Segment:
    """The right answer to a SYN/ACK with MP_JOIN, or one with another HMAC."""
    report = pair.server.report()
    (theirs,) = [one for one in synack.options if isinstance(one, MpJoinSynAck)]
    assert report.remote_key is not None
    assert report.local_key is not None
    ours = 1_234 + (synack.ack - 1)
    mac = join_hmac(report.remote_key, report.local_key, ours, theirs.nonce, report.profile == "v1")
    stamps = tuple(Timestamps(6, one.value) for one in synack.options if isinstance(one, Timestamps))
    return replace(
        synack,
        src=synack.dst,
        dst=synack.src,
        sport=synack.dport,
        dport=synack.sport,
        seq=synack.ack,
        ack=(synack.seq + 1) & 0xFFFF_FFFF,
        flags=ACK,
        options=(*stamps, MpJoinAck((mac if hmac is None else hmac)[:20])),
    )


@pytest.mark.parametrize("cookies", list(SynCookies))
def test_what_is_held_of_a_flood_of_syns(cookies: SynCookies) -> None:
    """The gauge of a server's state: off and auto fill the backlog, always leaves nothing half-open."""
    pair = multipath(1, Profile.V1, server={"syn_cookies": cookies, "backlog": 50})
    server = pair.server.endpoint
    for number in range(200):
        source = bytes((10, 77, number >> 8, number & 255))
        syn = Segment(source, SERVER[0], CLIENT_PORT, PORT, number, 0, SYN, 65_535, (MpCapable(1),))
        answers = handed(pair, syn)
        assert len(answers) == (0 if cookies is SynCookies.OFF and number >= 50 else 1)
    held = 0 if cookies is SynCookies.ALWAYS else 50
    assert (server.peaks.half_open, server.peaks.connections, len(server)) == (held, held, held)
    if cookies is not SynCookies.OFF:
        open_subflows(pair, 1)  # by a cookie: it was never half-open
        assert (server.peaks.half_open, server.peaks.connections) == (held, held + 1)


@pytest.mark.parametrize("cookies", COOKIES)
def test_ten_thousand_syns_with_the_token(cookies: SynCookies) -> None:
    pair = opened(server={"syn_cookies": cookies})
    sizes = []
    for number in range(MANY):
        (answer,) = handed(pair, join_syn(pair, number))
        assert answer.flags == SYN | ACK
        if number in (MOST_WAITING + MANY // 4, MANY - 1):
            sizes.append(size(pair))
    assert sizes[1] - sizes[0] < 10_000
    assert len(pair.server.endpoint) <= 1 + Limits().subflows
    assert len(pair.server.endpoint._joins) <= MOST_WAITING
    counters = pair.server.endpoint.counters
    assert counters["MPJoinSynRx"] == MANY + 1
    assert counters["MPJoinRejected"] == 0
    transfer(pair, bytes(10_000))


@pytest.mark.parametrize("cookies", COOKIES)
def test_ten_thousand_syns_with_an_unknown_token(cookies: SynCookies) -> None:
    pair = opened(server={"syn_cookies": cookies})
    before = size(pair)
    for number in range(MANY):
        (answer,) = handed(pair, join_syn(pair, number, token=number))
        assert answer.flags == RST | ACK
        assert answer.options == (MpTcpRst(1),)
    assert pair.server.endpoint.counters["MPJoinNoTokenFound"] == MANY
    assert size(pair) - before < 5_000
    assert usable(pair.server) == 2


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("cookies", COOKIES)
def test_a_thousand_wrong_third_acks(profile: Profile, cookies: SynCookies) -> None:
    pair = opened(profile, server={"syn_cookies": cookies})
    for number in range(1_000):
        (synack,) = handed(pair, join_syn(pair, number))
        (reset,) = handed(pair, third_ack(pair, synack, bytes(20)))
        assert reset.flags & RST
        said = tuple(one for one in reset.options if not isinstance(one, Timestamps))  # RFC 7323 §3.2
        assert said == ((MpTcpRst(1),) if profile is Profile.V1 else ())
    assert pair.server.endpoint.counters["MPJoinAckHMacFailure"] == 1_000
    assert len(pair.server.endpoint) == 2
    assert usable(pair.server) == 2


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("cookies", COOKIES)
def test_a_thousand_joins_that_open_and_go(profile: Profile, cookies: SynCookies) -> None:
    """The peer itself, again and again: only the last closed subflows are remembered, all are counted."""
    pair = opened(profile, server={"syn_cookies": cookies})
    sizes = []
    for number in range(1_000):
        (synack,) = handed(pair, join_syn(pair, number))
        ack = third_ack(pair, synack)
        (fourth,) = handed(pair, ack)
        assert fourth.flags == ACK
        assert handed(pair, replace(ack, flags=RST, options=ack.options[:-1])) == []
        pair.server.take_events()
        pair.server.events.clear()
        if number in (200, 999):
            sizes.append(size(pair))
    assert pair.server.report().subflows == 1_002
    assert len(pair.server.report().paths) <= 70
    assert sizes[1] - sizes[0] < 5_000
    assert len(pair.server.endpoint) == 2


def add_addr(pair: Pair, number: int, address: bytes, good: bool = True) -> AddAddr:
    """As the server would announce it."""
    report = pair.client.report()
    if report.profile != "v1":
        return AddAddr(0, number, address)
    assert report.remote_key is not None
    assert report.local_key is not None
    mac = add_addr_hmac(report.remote_key, report.local_key, number, address, 0)
    return AddAddr(1, number, address, hmac=mac if good else bytes(8))


def tell(pair: Pair, *options: Option) -> None:
    """The client hears it on the first subflow; the links are not asked."""
    pair.client.endpoint.handle_segment(pair.now, forged(pair, "down", 1, *options))


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_ten_thousand_announcements(profile: Profile) -> None:
    pair = opened(profile)
    pair.lose = lambda way, number, segment: segment.dst not in (*CLIENT, *SERVER)
    template = forged(pair, "down", 1)
    for number in range(MANY):
        option = add_addr(pair, 1 + number % 255, bytes((10, 9, number >> 8, number & 255)))
        segment = replace(template, options=(*template.options, option))
        pair.client.endpoint.handle_segment(pair.now, segment)
    pair.settle(pair.client)
    counters = pair.client.endpoint.counters
    assert counters["AddAddr"] == MANY + 1
    assert counters["AddAddrDrop"] >= MANY - 255  # an ID means one address
    assert counters["MPJoinSynTx"] <= Limits().subflows
    assert len(pair.client.endpoint) <= 1 + Limits().subflows
    echoes = [one for one in pair.segments("up") if has(one, AddAddr)]
    assert len(echoes) <= 10
    if profile is Profile.V1:
        assert counters["EchoAddTxDrop"] > 0
    assert deep_size(pair.client.endpoint, without=(pair, pair.client)) < 200_000
    transfer(pair, bytes(10_000))


def test_ten_thousand_announcements_with_a_wrong_hmac() -> None:
    pair = opened()
    before = len(pair.segments("up"))
    for number in range(MANY):
        tell(pair, add_addr(pair, 1 + number % 255, bytes((10, 9, number >> 8, number & 255)), good=False))
    pair.settle(pair.client)
    assert pair.client.endpoint.counters["AddAddrDrop"] == MANY
    assert not any(has(one, AddAddr) for one in pair.segments("up")[before:])
    assert len(pair.client.endpoint) == 2


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("address", ["224.0.0.9", "0.0.0.0", "255.255.255.255", "127.0.0.1", "10.0.1.1"])
def test_an_address_that_no_peer_can_have(profile: Profile, address: str) -> None:
    """Multicast, unspecified, broadcast, loopback, and our own: neither joined nor echoed."""
    pair = opened(profile)
    before = len(pair.segments("up"))
    tell(pair, add_addr(pair, 9, ipaddress.ip_address(address).packed))
    pair.run(until=pair.now + SECOND)
    assert pair.client.endpoint.counters["AddAddrDrop"] == 1
    assert pair.segments("up")[before:] == []


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_announced_and_removed_without_end(profile: Profile) -> None:
    """Each round may cost one SYN, and nothing stays."""
    pair = opened(profile)
    pair.lose = lambda way, number, segment: segment.dst not in (*CLIENT, *SERVER)
    sizes = []
    for number in range(1_000):
        tell(pair, add_addr(pair, 9, bytes((10, 9, number >> 8, number & 255))))
        tell(pair, RemoveAddr((9,)))
        pair.settle(pair.client)
        if number in (100, 999):
            sizes.append(deep_size(pair.client.endpoint, without=(pair, pair.client)))
    counters = pair.client.endpoint.counters
    assert counters["MPJoinSynTx"] <= 1_001
    assert counters["RmAddr"] == 1_000
    assert sizes[1] - sizes[0] < 10_000
    assert usable(pair.client) == 2
    transfer(pair, bytes(10_000))


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_every_id_removed(profile: Profile) -> None:
    """Unknown IDs are ignored; those of the subflows end them, the first one's is 0. Then there is a time
    for a new subflow, and an end that says why (RFC 8684 §3.4.2)."""
    pair = opened(profile, client={"mptcp": MptcpConfig(close_timeout=5 * SECOND)})
    ids = list(range(256))
    for start in range(2, 256, 20):
        tell(pair, RemoveAddr(tuple(ids[start : start + 20])))
    pair.settle(pair.client)
    assert usable(pair.client) == 2
    assert pair.client.endpoint.counters["RmSubflow"] == 0
    tell(pair, RemoveAddr((0, 1)))
    pair.settle(pair.client)
    assert pair.client.endpoint.counters["RmSubflow"] == 2
    assert [one.reason for one in closed_subflows(pair.client)] == [Reason.ADDRESS_REMOVED]
    assert pair.client.closed() is None
    pair.run(until=pair.now + 10 * SECOND)
    end = pair.client.closed()
    assert end is not None
    assert end.reason is Reason.ADDRESS_REMOVED
    assert len(pair.client.endpoint) == 0


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_priorities_and_keys_without_end(profile: Profile) -> None:
    """Each is heard, none is kept; keys that come again are answered by one ACK (the draft §3.1.1)."""
    pair = opened(profile)
    report = pair.server.report()
    keys = MpCapable(0, 1, report.remote_key, report.local_key)
    version = {Profile.V0: 0, Profile.DRAFT: 2, Profile.V1: 1}[profile]
    soup: tuple[Option, ...] = (MpPrio(True), MpPrio(False, 1), replace(keys, version=version))
    before, template = size(pair), forged(pair, "up", 1)
    for number in range(3_000):
        one = soup[number % 3]
        answers = handed(pair, replace(template, options=(*template.options, one)))
        assert len(answers) <= 1
    assert pair.server.endpoint.counters["MPPrioRx"] == 2_000
    assert size(pair) - before < 5_000
    assert usable(pair.server) == 2
    transfer(pair, bytes(10_000))


def test_flag_c_closes_the_first_address() -> None:
    """The peer was asked not to join it: a SYN that does so is refused; the announced one is open
    (RFC 8684 §3.1)."""
    server = {"mptcp": MptcpConfig(deny_join_initial=True)}
    pair = opened(server=server, client={"paths": NO_JOINS}, paths=1)
    (refused,) = handed(pair, join_syn(pair, 1))
    assert refused.flags & RST
    assert refused.options == (MpTcpRst(3),)
    (other,) = handed(pair, replace(join_syn(pair, 2), dst=SERVER[1]))
    assert other.flags == SYN | ACK
