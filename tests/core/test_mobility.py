"""Addresses that come and go: break-before-make and make-before-break. Read first: RFC 8684 §3.3.3, §3.4."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import MptcpConfig, Profile, SynCookies
from testbed.mptcp.paths import LocalEndpoint, PathsConfig, parse_endpoint
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import RST, AddAddr, MpJoinSyn, MpTcpRst, Segment
from tests.core.multipath import (
    CLIENT,
    MPTCP_PROFILES,
    SERVER,
    closed_subflows,
    forged,
    has,
    multipath,
    open_subflows,
    opened,
    transfer,
    usable,
)
from tests.pair import SECOND, Pair
from tests.properties.memory import deep_size

DATA = bytes(range(250)) * 800


def three(profile: Profile = Profile.V1, **more: object) -> Pair:
    """The client has three addresses, and uses the first two; the server two."""
    paths = PathsConfig((parse_endpoint("10.0.2.1 subflow pair"),))
    pair = multipath(3, profile, client={"paths": paths}, **more)
    pair.server.endpoint._addresses = SERVER[:2]
    open_subflows(pair, 2)
    return pair


def broken(pair: Pair) -> None:
    """Every subflow of the client is reset from the path."""
    for path in (2, 1):
        pair.deliver(pair.client, forged(pair, "down", path, flags=RST))


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("cookies", [SynCookies.OFF, SynCookies.ALWAYS])
@pytest.mark.parametrize("words", ["10.0.3.1 subflow", "10.0.1.1 subflow", "10.0.2.1 subflow"])
def test_break_before_make(profile: Profile, cookies: SynCookies, words: str) -> None:
    """All subflows are gone in mid-transfer; a new address, or an old one again, goes on with the stream."""
    pair = three(profile, server={"syn_cookies": cookies})
    before = len(pair.server.received())
    pair.client.send(DATA)
    pair.run(until=pair.now + SECOND // 25)
    assert len(pair.server.received()) < len(DATA)
    broken(pair)
    pair.lose = lambda way, number, segment: bool(segment.flags & RST)  # the server does not hear of it
    pair.run(until=pair.now + 5 * SECOND)
    assert pair.client.closed() is None
    assert usable(pair.client) <= 1
    pair.lose = None
    pair.client.endpoint.add_endpoint(pair.now, pair.client.first(None), parse_endpoint(words))
    pair.run(until=lambda: len(pair.server.received()) == before + len(DATA), limit=60 * SECOND)
    assert pair.server.received()[before:] == DATA
    pair.server.send(DATA)
    pair.run(until=lambda: pair.client.received()[1:] == DATA, limit=60 * SECOND)
    pair.client.close()
    pair.server.close()
    pair.run()
    for side in (pair.client, pair.server):
        assert side.report().verdict is Verdict.MPTCP
        assert len(side.endpoint) == 0


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_nobody_comes_back(profile: Profile) -> None:
    """The connection waits, refuses nothing that is written, and ends by saying what it had lost."""
    pair = three(profile, server={"mptcp": MptcpConfig(close_timeout=10 * SECOND)})
    broken(pair)  # whose RSTs reach the server
    pair.client.send(b"more")
    pair.run(until=pair.now + 9 * SECOND)
    assert pair.client.closed() is None
    assert pair.server.closed() is None or profile is not Profile.V1
    pair.run(until=pair.now + 120 * SECOND)
    for side in (pair.client, pair.server):
        end = side.closed()
        assert end is not None
        assert not end.clean
        assert end.reason in (Reason.RST_RECEIVED, Reason.DATA_TIMED_OUT)
        assert len(side.endpoint) == 0
        side.endpoint.counters.clear()
        side.endpoint.forget(side.first(None))
        assert deep_size(side.endpoint, without=(pair, side)) < 15_000


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_connection_of_one_subflow_ends_with_it(profile: Profile) -> None:
    """There never was another path to come back on."""
    pair = multipath(1, profile)
    open_subflows(pair, 1)
    pair.run(until=pair.now + SECOND)
    pair.deliver(pair.client, forged(pair, "down", 1, flags=RST))
    assert pair.client.closed() is not None


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_make_before_break(profile: Profile) -> None:
    """The new address first, then the old one goes: the stream does not stand still."""
    pair = three(profile)
    number = pair.client.first(None)
    before = len(pair.server.received())
    pair.client.send(DATA * 3)
    pair.run(until=pair.now + SECOND // 50)
    pair.client.endpoint.add_endpoint(pair.now, number, parse_endpoint("10.0.3.1 subflow id 7"))
    pair.run(until=lambda: usable(pair.server) == 3)
    pair.client.endpoint.remove_address(pair.now, number, 0)
    pair.client.endpoint.remove_address(pair.now, number, 1)
    began = pair.now
    pair.run(until=lambda: len(pair.server.received()) == before + 3 * len(DATA), limit=60 * SECOND)
    assert pair.now - began < 2 * SECOND
    assert pair.server.received()[before:] == DATA * 3
    reasons = {one.reason for one in closed_subflows(pair.server)}
    assert reasons <= {Reason.ADDRESS_REMOVED, Reason.RST_RECEIVED}
    assert opened(pair.client)[-1].local[0] == CLIENT[2]
    sent = [segment for segment in pair.segments("up") if segment.src == CLIENT[2]]
    (join,) = [one for segment in sent for one in segment.options if isinstance(one, MpJoinSyn)]
    assert join.address_id == 7
    transfer(pair, bytes(10_000))


def test_an_address_of_the_server_comes_later() -> None:
    """It is announced, and joined from the client's first address or its pair."""
    pair = multipath(1, server={"paths": PathsConfig(())})
    pair.server.addresses = pair.server.endpoint._addresses = SERVER[:2]
    open_subflows(pair, 1)
    endpoint = LocalEndpoint(SERVER[1], flags=parse_endpoint("10.1.2.1 signal").flags)
    pair.server.endpoint.add_endpoint(pair.now, pair.server.first(None), endpoint)
    pair.run(until=lambda: usable(pair.client) == usable(pair.server) == 2)
    assert sum(has(segment, AddAddr) for segment in pair.segments("down")) == 1
    assert opened(pair.client)[0].remote[0] == SERVER[1]
    # Withdrawn and announced again, it is joined again.
    pair.server.endpoint.remove_address(pair.now, pair.server.first(None), 1)
    pair.run(until=lambda: usable(pair.client) == 1)
    pair.server.endpoint.add_endpoint(pair.now, pair.server.first(None), endpoint)
    pair.run(until=lambda: usable(pair.client) == usable(pair.server) == 2)
    transfer(pair, bytes(10_000))


def test_a_reset_says_why() -> None:
    """MP_TCPRST of every reason: the subflow dies, whatever it says, and the connection does not."""
    for reason in (0, 1, 2, 3, 4, 5, 6, 77):
        pair = three()
        last = forged(pair, "down", 2, MpTcpRst(reason, transient=bool(reason % 2)), flags=RST)
        pair.deliver(pair.client, replace(last, payload=b""))
        assert pair.client.endpoint.counters["MPRstRx"] == 1
        assert usable(pair.client) == 1
        transfer(pair, bytes(10_000))


def test_the_peer_joins_while_we_have_no_subflow() -> None:
    """The other way round: the server lost all of them, the client did not, and comes with a new address."""
    pair = three()
    silent: list[Segment] = []

    def lose(way: str, number: int, segment: Segment) -> bool:
        if segment.src in (*SERVER[:2],) and segment.flags & RST:
            silent.append(segment)
            return True
        return False

    pair.lose = lose
    for path in (2, 1):
        pair.deliver(pair.server, forged(pair, "up", path, flags=RST))
    assert usable(pair.server) == 1  # of the first nobody is told, it goes without a word
    assert pair.server.closed() is None
    pair.client.endpoint.add_endpoint(pair.now, pair.client.first(None), parse_endpoint("10.0.3.1 subflow"))
    pair.run(until=lambda: opened(pair.server)[-1].remote[0] == CLIENT[2])
    pair.server.send(DATA)
    pair.run(until=lambda: pair.client.received()[1:] == DATA, limit=120 * SECOND)
