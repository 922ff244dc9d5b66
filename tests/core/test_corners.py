"""Corners where two rules meet: a dead path beside a closed window, a reset beside a handshake, an abort
beside Fast Open, and what is said after a fallback.

Read first: RFC 8684 §3.1, §3.3.4-§3.3.6, §3.5, §3.7; RFC 9293 §3.8.6.1; RFC 5961 §3.2; RFC 7413 §5.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from testbed.mptcp.config import (
    ClientConfig,
    MptcpConfig,
    Profile,
    ServerConfig,
    SynCookies,
    TcpConfig,
)
from testbed.mptcp.events import DataArrived, Event, FellBack
from testbed.mptcp.paths import Flag, LocalEndpoint, PathsConfig
from testbed.mptcp.paths.endpoints import numbered
from testbed.mptcp.wire import ACK, FIN, RST, SYN, Dss, MpCapable, MpFail, MpJoinSyn, Segment
from testbed.mptcp.wire.mptcp_options import MptcpOption
from tests.core.boxes import BOTH_COOKIES, find
from tests.core.multipath import (
    CLIENT,
    MPTCP_PROFILES,
    SERVER,
    dead_after,
    forged,
    has,
    link,
    links,
    multipath,
    open_subflows,
    usable,
)
from tests.pair import MILLISECOND, PORT, SECOND, Pair, Side

SMALL = TcpConfig(receive_buffer=64 * 1024)
BLOCK = b"x" * 200_000


def without_mptcp(segment: Segment) -> Segment:
    kept = tuple(one for one in segment.options if not isinstance(one, MptcpOption))
    return replace(segment, options=kept)


# -- probes ---------------------------------------------------------------------------------------------


def blocked_and_opened_unheard(pair: Pair) -> float:
    """The reader stops, and when it goes on its window updates are lost: seconds until it has it all."""
    before = pair.lose
    had = len(pair.server.received())
    pair.server.reading = False
    pair.client.send(BLOCK)
    pair.run(until=pair.now + 20 * SECOND)
    opened = pair.now
    pair.lose = lambda way, n, segment: (
        (way == "down" and pair.now == opened) or (before is not None and before(way, n, segment))
    )
    pair.server.reading = True
    pair.server.read()
    pair.run(until=lambda: len(pair.server.received()) == had + len(BLOCK), limit=900 * SECOND)
    return (pair.now - opened) / SECOND


def test_a_dead_path_keeps_nobody_from_probing_the_window() -> None:
    times = []
    for dead in (False, True):
        pair = multipath(2, server={"tcp": SMALL})
        open_subflows(pair)
        if dead:
            dead_after(pair, pair.now - pair.start, 2)
        times.append(blocked_and_opened_unheard(pair))
    assert times[1] < 2 * times[0]


def test_nor_does_a_join_that_is_never_answered() -> None:
    def lose(way: str, n: int, segment: Segment) -> bool:
        return segment.src == CLIENT[1]

    pair = multipath(2, server={"tcp": SMALL}, lose=lose)
    pair.establish()
    pair.client.send(b"?")
    pair.run(until=pair.now + 200 * MILLISECOND)
    assert blocked_and_opened_unheard(pair) < 15


def test_the_connections_timer_does_not_wait_for_a_dead_path() -> None:
    """Subflow and data level acknowledge apart: what path 1 swallows behind its ACK comes again soon, though
    path 2's own timeout has grown to minutes (RFC 8684 §3.3.6)."""
    pair = multipath(2)
    open_subflows(pair)
    dead_after(pair, pair.now - pair.start, 2)
    pair.client.send(BLOCK)
    pair.run(until=pair.now + 60 * SECOND)
    conn = pair.client.endpoint._table.by_number[1]
    assert conn.subflows[1].stale
    pair.client.send(b"more")
    pair.run(until=pair.now + 1)
    assert conn.data_rto_at is not None
    assert conn.data_rto_at - pair.now < 5 * SECOND < conn.subflows[1].tcb.rtt.rto


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_data_whose_mapping_was_lost_goes_another_way(profile: Profile) -> None:
    """Its subflow acknowledged it and waits for the mapping: nothing gets past it there (RFC 8684 §3.3.1)."""
    stripped: list[Segment] = []

    def strip(way: str, n: int, segment: Segment) -> Segment:
        if not ready or stripped or way == "down" or segment.src != CLIENT[0] or not segment.payload:
            return segment
        stripped.append(segment)
        return without_mptcp(segment)

    ready = False
    pair = multipath(2, profile, rewrite=strip, links=links(link(10, 10), link(10, 40)))
    open_subflows(pair)
    ready = True
    had = len(pair.server.received())
    pair.client.send(b"x" * 3_000)
    pair.run(until=lambda: len(pair.server.received()) == had + 3_000, limit=10 * SECOND)
    assert stripped


# -- handshakes -----------------------------------------------------------------------------------------


def test_a_reset_right_behind_a_repeated_synack_leaves_the_other_subflow_its_data() -> None:
    """Both arrive before anything can be sent: the third ACK that would come first will never come."""
    pair = multipath(2)
    open_subflows(pair)
    synack = next(one for one in pair.segments("down") if one.flags & SYN and one.src == SERVER[0])
    reset = forged(pair, "down", 1, flags=RST | ACK)
    pair.run(until=pair.now + SECOND)
    had = len(pair.server.received())
    pair.client.endpoint.handle_segment(pair.now, synack)
    pair.client.endpoint.handle_segment(pair.now, reset)
    pair.client.clock.settle(pair.client)
    pair.client.send(b"x" * 5_000)
    pair.run(until=lambda: len(pair.server.received()) == had + 5_000, limit=10 * SECOND)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_client_that_only_listens_lets_the_server_see_a_dss_before_it_joins(profile: Profile) -> None:
    endpoints = numbered([LocalEndpoint(CLIENT[1], flags=Flag.SUBFLOW)])
    pair = multipath(2, profile, client={"paths": PathsConfig(endpoints=endpoints)})
    pair.establish()
    pair.server.send(b"220 hello\r\n")
    pair.run(until=pair.now + 5 * SECOND)
    assert pair.server.endpoint.counters["MPJoinRejected"] == 0
    assert usable(pair.client) == usable(pair.server) == 3


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
def test_the_clients_c_flag_keeps_the_server_from_joining_its_first_address(cookies: SynCookies) -> None:
    """In cookie mode the SYN is forgotten: the third ACK says it again."""
    pair = multipath(
        2,
        client={"mptcp": MptcpConfig(deny_join_initial=True), "paths": PathsConfig(endpoints=())},
        server={
            "syn_cookies": cookies,
            "paths": PathsConfig(endpoints=(LocalEndpoint(SERVER[1], flags=Flag.SUBFLOW),)),
        },
    )
    pair.establish()
    pair.client.send(b"?")
    pair.run(until=pair.now + SECOND)
    pair.server.send(b"!")
    pair.run(until=pair.now + 5 * SECOND)
    assert not find(pair, "down", MpJoinSyn)
    assert all(one.flags & 0x20 for one in find(pair, "up", MpCapable))


def test_aborting_from_syn_received_frees_the_places_of_listener_and_fast_open() -> None:
    server = ServerConfig(fast_open=True, backlog=4, fast_open_pending=4)
    pair = Pair(client=ClientConfig(fast_open=True), server=server)
    pair.connect(only_cookie=True)
    pair.run(until=pair.now + 2 * SECOND)

    def abort(side: Side, event: Event) -> None:
        if isinstance(event, DataArrived):
            side.endpoint.abort(side.clock.now, event.connection)

    pair.server.on_event = abort
    for _ in range(4):
        pair.connect(first=b"GET / bad")
        pair.run(until=pair.now + 2 * SECOND)
    listener = pair.server.endpoint._listeners[PORT]
    assert listener.door is not None
    assert listener.half_open == 0
    assert listener.door.pending(pair.now) == 4, "a reset frees no place at once"
    pair.run(until=pair.now + 61 * SECOND)
    assert listener.door.pending(pair.now) == 0


# -- failures and fallback ------------------------------------------------------------------------------


def test_mp_fail_names_the_mapping_that_failed() -> None:
    """Not the next byte that is expected: on another path data is still missing before it."""
    bad: list[int | None] = []
    ready = False

    def spoil(way: str, n: int, segment: Segment) -> Segment:
        if not ready or bad or way == "down" or segment.src != CLIENT[1] or not segment.payload:
            return segment
        bad.append(next(one.dsn for one in segment.options if isinstance(one, Dss)))
        return replace(segment, payload=bytes([segment.payload[0] ^ 1]) + segment.payload[1:])

    mptcp = MptcpConfig(checksum=True, scheduler="round_robin")
    paths = links(link(5, 60), link(5, 10))
    pair = multipath(2, client={"mptcp": mptcp}, server={"mptcp": mptcp}, rewrite=spoil, links=paths)
    open_subflows(pair)
    ready = True
    pair.client.send(BLOCK)
    pair.run(until=pair.now + 20 * SECOND)
    assert [one.dsn for one in find(pair, "down", MpFail)] == bad


def test_nothing_of_multipath_is_said_after_a_fallback() -> None:
    def strip(way: str, n: int, segment: Segment) -> Segment:
        keep = way == "down" or segment.flags & SYN or has(segment, MpCapable)
        return segment if keep else without_mptcp(segment)

    pair = multipath(2, rewrite=strip)
    pair.establish()
    pair.client.send(b"hello")
    pair.run(until=pair.now + SECOND)
    pair.server.send(b"!" * 10)
    pair.run(until=pair.now + SECOND)
    pair.client.send(b"more")
    pair.run(until=pair.now + 20 * SECOND)
    fell = next(at for at, event in pair.server.events if isinstance(event, FellBack))
    pair.server.endpoint.set_backup(pair.now, pair.server.connections[0], 0, True)
    pair.server.clock.settle(pair.server)
    pair.run(until=pair.now + SECOND)
    late = [one.segment for one in pair.crossings if one.way == "down" and one.time > fell]
    signals = [option for one in late for option in one.options if isinstance(option, MptcpOption)]
    assert all(isinstance(one, Dss | MpFail) for one in signals), signals


@pytest.mark.parametrize("paths", [2, 4])
def test_who_ignores_the_data_window_fills_no_more_than_that(paths: int) -> None:
    mptcp = MptcpConfig(scheduler="round_robin")
    pair = multipath(paths, server={"tcp": SMALL}, client={"mptcp": mptcp})
    open_subflows(pair, paths)
    pair.server.reading = False
    pair.client.endpoint._table.by_number[1].sender.edge = 1 << 60
    pair.client.send(b"x" * 900_000)
    pair.run(until=pair.now + 30 * SECOND)
    receiver = pair.server.endpoint._table.by_number[pair.server.connections[0]].receiver
    assert receiver.next <= receiver.adv
    assert receiver.queued <= SMALL.receive_buffer + 256, "a window is advertised in steps of its scale"
    assert pair.server.endpoint.counters["NoDSSInWindow"] > 0


# -- ends -----------------------------------------------------------------------------------------------


def test_a_fast_close_beyond_what_has_arrived_is_heard_all_the_same() -> None:
    """The peer asks back about a RST with another sequence number; the answer says why as well."""
    taken: set[bytes] = set()
    aborted = 1 << 70

    def lose(way: str, n: int, segment: Segment) -> bool:
        first = way == "up" and bool(segment.payload) and pair.now >= aborted and segment.src not in taken
        if first:
            taken.add(segment.src)
        return first

    pair = multipath(2, client={"mptcp": MptcpConfig(scheduler="round_robin")}, lose=lose)
    open_subflows(pair)
    pair.client.send(BLOCK[:100_000])
    pair.run(until=pair.now + SECOND)
    aborted = pair.now
    pair.client.send(BLOCK[:20_000])
    pair.client.abort()
    pair.run(until=lambda: pair.server.closed() is not None, limit=SECOND)
    assert pair.server.report().closed_by == "fastclose"


def test_who_has_said_all_may_acknowledge_a_fin_without_options() -> None:
    """Linux answers so from TIME-WAIT."""
    fins: list[Any] = []

    def bare(way: str, n: int, segment: Segment) -> Segment:
        if way == "up" and segment.flags & FIN:
            fins.append(segment)
        return without_mptcp(segment) if way == "down" and fins and not segment.payload else segment

    pair = multipath(2, rewrite=bare)
    open_subflows(pair)
    pair.server.close()
    pair.run(until=pair.now + SECOND)
    pair.client.close()
    pair.run(until=pair.now + 100 * SECOND)
    assert len(fins) >= 2
    closed = pair.client.closed()
    assert closed is not None
    assert closed.clean
    assert pair.client.endpoint.counters["MPRstTx"] == 0
    assert {path.reason.value for path in pair.client.report().paths} == {"none"}
