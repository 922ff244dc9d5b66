"""Several subflows at work: shares, death, reinjection, one window. RFC 8684 §3.3.4-§3.3.8."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import MptcpConfig, Profile, SynCookies, TcpConfig
from testbed.mptcp.events import Connected
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import RST, Dss, MpFail, MpTcpRst, Segment
from tests.core.multipath import (
    CLIENT,
    MPTCP_PROFILES,
    SERVER,
    closed_subflows,
    dead_after,
    has,
    link,
    links,
    multipath,
    open_subflows,
    opened,
    transfer,
    usable,
)
from tests.pair import SECOND, Pair

MEGABYTE = 1_000_000
PATTERN = bytes(range(256)) * 40_000


def shares(pair: Pair) -> list[int]:
    return [path.bytes_sent for path in pair.client.report().paths]


def finish(pair: Pair) -> None:
    pair.client.close()
    pair.server.close()
    pair.run()
    for side in (pair.client, pair.server):
        closed = side.closed()
        assert closed is not None
        assert closed.clean
        assert closed.verdict is Verdict.MPTCP
        assert len(side.endpoint) == 0


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_two_paths_carry_more_than_one(profile: Profile, checksum: bool) -> None:
    wires = links(link(10, 10), link(10, 10))
    pair = multipath(profile=profile, links=wires, client={"mptcp": MptcpConfig(checksum=checksum)})
    open_subflows(pair)
    took = transfer(pair, PATTERN[: 2 * MEGABYTE])
    one = 2 * MEGABYTE * 8 / 10e6 * SECOND
    assert took < 0.75 * one
    low, high = sorted(shares(pair))
    assert low > high / 3
    finish(pair)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("path", [1, 2])
def test_a_path_that_dies_in_mid_transfer(profile: Profile, path: int) -> None:
    pair = multipath(profile=profile, links=links(link(10, 10), link(10, 10)))
    open_subflows(pair)
    dead_after(pair, pair.now - pair.start + SECOND // 2, path)
    transfer(pair, PATTERN[: 2 * MEGABYTE], limit=20 * SECOND)
    assert pair.client.endpoint.counters["SubflowStale"] >= 1
    assert pair.client.endpoint.counters["DataReinjected"] > 0
    pair.client.close()
    pair.server.close()
    pair.run(until=lambda: pair.client.closed() is not None and pair.server.closed() is not None)
    assert pair.client.report().verdict is Verdict.MPTCP


def test_a_dead_path_costs_less_than_two_timeouts() -> None:
    pair = multipath(links=links(link(10, 10), link(10, 10)))
    open_subflows(pair)
    transfer(pair, PATTERN[:MEGABYTE])
    began = pair.now
    dead_after(pair, pair.now - pair.start + 200_000_000, 2)
    transfer(pair, PATTERN[: 2 * MEGABYTE], limit=20 * SECOND)
    before_death = 200_000_000
    alone = (2 * MEGABYTE - 2 * 10e6 / 8 * before_death / SECOND) * 8 / (10e6 * 1400 / 1514) * SECOND
    rto = 2 * (200_000_000 + 80_000_000)  # twice the shortest, with the queue's delay
    assert pair.now - began < before_death + alone + rto


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_dead_path_comes_back(profile: Profile) -> None:
    pair = multipath(profile=profile, links=links(link(10, 10), link(10, 10)))
    open_subflows(pair)
    start = pair.now
    pair.lose = lambda way, number, segment: (
        SECOND // 2 < pair.now - start < 2 * SECOND and segment.src in (CLIENT[1], SERVER[1])
    )
    transfer(pair, PATTERN[: 2 * MEGABYTE])
    before = shares(pair)[1]
    pair.run(until=pair.now + 5 * SECOND)
    transfer(pair, PATTERN[: 2 * MEGABYTE])
    assert shares(pair)[1] > before + MEGABYTE // 4
    finish(pair)


@pytest.mark.parametrize("buffer", [20_000, 60_000])
def test_one_window_for_all_subflows(buffer: int) -> None:
    """What is mapped and not DATA_ACKed never exceeds the receive buffer, whatever the paths."""
    tcp = TcpConfig(receive_buffer=buffer, window_scale=0)
    pair = multipath(links=links(link(10, 5), link(2, 60)), server={"tcp": tcp})
    open_subflows(pair)
    una, worst = 0, 0

    def watch(way: str, number: int, segment: Segment) -> bool:
        nonlocal una, worst
        for option in segment.options:
            if isinstance(option, Dss) and way == "down" and option.data_ack is not None:
                una = max(una, option.data_ack)
            elif isinstance(option, Dss) and option.dsn is not None and una:
                worst = max(worst, option.dsn + option.length - una)
        return False

    pair.lose = watch
    transfer(pair, PATTERN[:300_000])
    assert 0 < worst <= buffer + 1
    finish(pair)


def test_a_slow_path_is_helped_and_penalized() -> None:
    """NSDI 2012: with a small buffer the slow path would hold back the fast one."""
    times = {}
    for help_ in (False, True):
        mptcp = MptcpConfig(opportunistic=help_, penalize=help_)
        pair = multipath(
            links=links(link(10, 5), link(1, 150, queue=1000)),
            client={"mptcp": mptcp},
            server={"tcp": TcpConfig(receive_buffer=20_000)},
        )
        open_subflows(pair)
        times[help_] = transfer(pair, PATTERN[:MEGABYTE])
        assert (pair.client.endpoint.counters["OpportunisticRetrans"] > 0) is help_
    assert times[True] < times[False]


def test_a_join_opens_the_window_no_further() -> None:
    """Its SYN has no DATA_ACK that a window could count from (RFC 8684 §3.3.4); nor does the edge creep
    when the window closes between two units of its scale."""
    tcp = TcpConfig(receive_buffer=50_000)
    pair = multipath(client={"tcp": tcp}, server={"tcp": tcp}, links=links(link(100, 10), link(100, 60)))
    pair.server.reading = False
    number = pair.connect()
    pair.client.outbox[number] = bytearray(PATTERN[:200_000])
    pair.client.on_event = lambda side, event: side.push(number)
    pair.run(until=pair.now + 5 * SECOND)
    assert usable(pair.server) == 2
    report = pair.server.endpoint.describe(pair.server.connections[0])
    assert 50_000 - tcp.mss < report.bytes_received < 50_000 + 2 * 128


def test_redundant_sends_everything_on_both() -> None:
    pair = multipath(
        client={"mptcp": MptcpConfig(scheduler="redundant")}, links=links(link(10, 10), link(10, 12))
    )
    open_subflows(pair)
    transfer(pair, PATTERN[:300_000])
    assert pair.server.endpoint.counters["DuplicateData"] > 0
    assert min(shares(pair)) > 100_000
    finish(pair)


def test_redundant_sends_nothing_twice_on_one_subflow() -> None:
    """What the first subflow has sent when the second joins is a copy less to make; nor is anything late."""
    pair = multipath(
        client={"mptcp": MptcpConfig(scheduler="redundant"), "tcp": TcpConfig(send_buffer=100_000)},
        links=links(link(10, 10, queue=1000), link(2, 50, queue=1000)),
    )
    pair.establish()
    transfer(pair, PATTERN[:500_000])
    assert pair.client.report().retransmits == 0
    assert shares(pair)[0] == 500_000
    assert shares(pair)[1] > 30_000
    assert "OpportunisticRetrans" not in pair.client.endpoint.counters


def test_a_closed_subflow_leaves_its_data_to_the_others() -> None:
    pair = multipath(links=links(link(10, 10), link(10, 10)))
    open_subflows(pair)
    number = opened(pair.client)[0].subflow
    pair.client.send(PATTERN[:MEGABYTE])
    pair.run(until=pair.now + SECOND // 4)
    pair.client.endpoint.close_subflow(pair.now, pair.client.first(None), number)
    pair.run(until=lambda: len(pair.server.received()) == MEGABYTE + 1, limit=20 * SECOND)
    assert pair.server.received()[1:] == PATTERN[:MEGABYTE]
    pair.run(until=lambda: bool(closed_subflows(pair.client)) and bool(closed_subflows(pair.server)))
    assert closed_subflows(pair.client)[0].reason is Reason.SUBFLOW_FINISHED
    finish(pair)


@pytest.mark.parametrize("third_ack", ["arrives", "is lost"])
def test_the_only_subflow_is_not_closed_before_the_peer_is_known_to_speak_mptcp(third_ack: str) -> None:
    """A server that has fallen back takes a FIN for the end of the stream: it would end well, without most of
    it. Where the server speaks MPTCP, the FIN goes as soon as a DATA_ACK tells."""
    drops = ("third_ack",) if third_ack == "is lost" else ()
    server = {"syn_cookies": SynCookies.ALWAYS}
    pair = multipath(1, Profile.V0, server=server, up=drops)
    pair.connect()
    pair.run(until=lambda: any(isinstance(event, Connected) for _, event in pair.client.events))
    pair.client.send(PATTERN[:100_000])
    pair.client.endpoint.close_subflow(pair.now, pair.client.first(None), 0)
    pair.client.close()
    pair.run()
    if drops:
        assert pair.server.received() == PATTERN[:100_000]
        pair.server.close()
        pair.run()
    ended = pair.server.closed()
    assert ended is not None
    assert ended.clean == bool(drops)
    assert ended.reason is (Reason.COOKIE_WITHOUT_KEY if drops else Reason.SUBFLOWS_GONE)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("trouble", ["options stripped upwards", "a checksum fails"])
def test_the_only_subflow_is_not_closed_while_a_fallback_may_come(profile: Profile, trouble: str) -> None:
    checked = trouble == "a checksum fails"
    broken: list[Segment] = []

    def rewrite(way: str, number: int, segment: Segment) -> Segment:
        if way != "up" or not armed:
            return segment
        if not checked:
            left = tuple(option for option in segment.options if not isinstance(option, Dss))
            return replace(segment, options=left)
        if len(segment.payload) > 500 and not broken:
            broken.append(segment)
            return replace(segment, payload=b"#" * len(segment.payload))
        return segment

    armed: list[bool] = [True] if not checked else []
    wires = links(link(10, 10))
    mptcp = {"mptcp": MptcpConfig(checksum=checked)}
    pair = multipath(1, profile, client=mptcp, rewrite=rewrite, links=wires)
    pair.establish()
    pair.server.send(b"!")
    pair.run(until=lambda: pair.client.received() == b"!")
    armed.append(True)
    pair.client.send(PATTERN[:100_000])
    pair.client.endpoint.close_subflow(pair.now, pair.client.first(None), 0)
    pair.client.close()
    pair.run(until=pair.now + 100 * SECOND)
    pair.server.close()
    pair.run(until=pair.now + 100 * SECOND)
    ended = pair.server.closed()
    assert ended is not None
    assert ended.verdict is Verdict.FALLBACK
    assert ended.clean
    received = pair.server.received()
    assert len(received) == 100_000
    assert checked or received == PATTERN[:100_000]


def test_break_before_make() -> None:
    """All subflows are gone, and a new one saves the connection (RFC 8684 §3.3.3)."""
    pair = multipath(3)
    open_subflows(pair, 3)
    client, number = pair.client.endpoint, pair.client.first(None)
    pair.lose = lambda way, n, segment: segment.src in CLIENT[:2] or segment.src in SERVER[:2]
    for event in opened(pair.client)[:1]:
        client.close_subflow(pair.now, number, event.subflow)
    transfer(pair, PATTERN[:100_000])
    assert shares(pair)[2] > 90_000


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_failed_checksum_ends_its_subflow_only(profile: Profile) -> None:
    """With several subflows: RST with MP_FAIL, and the bytes come again on another (RFC 8684 §3.7)."""
    broken: list[Segment] = []

    def rewrite(way: str, number: int, segment: Segment) -> Segment:
        if segment.src == CLIENT[1] and len(segment.payload) > 500 and not broken:
            broken.append(segment)
            return replace(segment, payload=b"#" * len(segment.payload))
        return segment

    pair = multipath(profile=profile, client={"mptcp": MptcpConfig(checksum=True)}, rewrite=rewrite)
    open_subflows(pair)
    transfer(pair, PATTERN[:300_000])
    assert broken
    (reset, *_) = [s for s in pair.segments("down") if s.flags & RST]
    assert has(reset, MpFail)
    assert has(reset, MpTcpRst) is (profile is Profile.V1)
    assert usable(pair.client) == 1
    assert pair.client.endpoint.counters["MPFailRx"] == 1
    finish(pair)


def test_a_mapping_outside_the_window_is_dropped() -> None:
    pair = multipath()
    open_subflows(pair)
    last = [s for s in pair.segments("up") if has(s, Dss)][-1]
    (dss,) = [option for option in last.options if isinstance(option, Dss)]
    key = pair.client.report().local_key
    assert key is not None
    dsn = (token_and_idsn(key, sha256=True)[1] + (1 << 24)) & 0xFFFF_FFFF_FFFF_FFFF
    far = Dss(dss.data_ack, True, dsn, True, 2, 4)
    pair.deliver(pair.server, replace(last, payload=b"far!", options=(*last.options[:1], far)))
    assert pair.server.endpoint.counters["NoDSSInWindow"] == 1
    transfer(pair, PATTERN[:100_000])
