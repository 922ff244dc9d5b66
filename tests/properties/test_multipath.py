"""Whatever the paths do, the stream is intact or the end is clean; what is said on the wire agrees.

Up to four paths of their own loss, reordering, duplication, jitter and queues; outages and revivals; subflows
closed, addresses removed, backups switched in mid-transfer; small windows; every scheduler and controller.
Read first: tests/pair.py, tests/core/multipath.py, test_network.py here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.link import LinkParams
from testbed.mptcp.cc import CONTROLLERS
from testbed.mptcp.config import ClientConfig, MptcpConfig, Profile, ServerConfig, SynCookies, TcpConfig
from testbed.mptcp.events import Event
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.reasons import Reason
from testbed.mptcp.sched import SCHEDULERS
from testbed.mptcp.wire import SYN, Dss, Segment
from testbed.mptcp.wire.sequence import dsn_diff, promote
from tests.core.multipath import CLIENT, MPTCP_PROFILES, SERVER, links, opened
from tests.pair import MILLISECOND, SECOND, Pair, Side
from tests.properties.memory import deep_size
from tests.properties.test_network import check, respond, ways

BLOCK = random.Random(2).randbytes(1 << 20)

tcps = st.builds(
    TcpConfig,
    mss=st.sampled_from([536, 1460]),
    timestamps=st.booleans(),
    sack=st.booleans(),
    receive_buffer=st.sampled_from([6_000, 65_535, 1 << 20]),
    send_buffer=st.sampled_from([6_000, 1 << 20]),
    gso_max_size=st.sampled_from([0, 0, 65_535]),
    congestion=st.sampled_from(sorted(CONTROLLERS)),
)
mptcps = st.builds(
    MptcpConfig,
    checksum=st.booleans(),
    dsn_bytes=st.sampled_from([4, 8]),
    scheduler=st.sampled_from(sorted(SCHEDULERS)),
    opportunistic=st.booleans(),
    penalize=st.booleans(),
    close_timeout=st.sampled_from([SECOND, 60 * SECOND]),
)
outages = st.lists(
    st.tuples(
        st.integers(0, 3),  # path
        st.integers(0, 4_000),  # from, ms
        st.sampled_from([50, 500, 5_000, 10_000_000]),  # for how long, ms
        st.sampled_from(["up", "down", "both"]),
    ),
    max_size=4,
)
ACTIONS = ("close_subflow", "remove_address", "backup", "regular")
actions = st.lists(
    st.tuples(
        st.integers(0, 3_000),
        st.sampled_from(ACTIONS),
        st.sampled_from(["client", "server"]),
        st.integers(0, 3),
    ),
    max_size=4,
)


@dataclass
class Watch:
    """Reads every segment that leaves: DATA_ACKs never go back, mapped bytes are the stream's."""

    pair: Pair
    streams: dict[str, bytes]
    acked: dict[str, int] = field(default_factory=dict)
    first: dict[tuple[bytes, int, bytes, int], int] = field(default_factory=dict)

    def see(self, way: str, segment: Segment) -> None:
        flow = (segment.src, segment.sport, segment.dst, segment.dport)
        if segment.flags & SYN:
            self.first[flow] = segment.seq
        side, other = (
            (self.pair.client, self.pair.server) if way == "up" else (self.pair.server, self.pair.client)
        )
        if side.closed() is not None:
            return  # a late copy of the third ACK proves its cookie once more: that is another connection
        for option in segment.options:
            if isinstance(option, Dss):
                self._data_ack(way, option, other)
                self._mapping(way, segment, option, side, self.first.get(flow))

    def _idsn(self, side: Side) -> int | None:
        for number in side.connections:
            report = side.report(number)
            if report.local_key is not None:
                return token_and_idsn(report.local_key, report.profile == "v1")[1]
        return None

    def _data_ack(self, way: str, option: Dss, other: Side) -> None:
        idsn = self._idsn(other)
        if option.data_ack is None or idsn is None:
            return
        near = (idsn + self.acked.get(way, 0)) % (1 << 64)
        number = option.data_ack if option.data_ack_8 else promote(option.data_ack, near)
        offset = self.acked.get(way, 0) + dsn_diff(number, near)
        assert offset >= self.acked.get(way, 0), "a DATA_ACK went back"
        self.acked[way] = offset

    def _mapping(self, way: str, segment: Segment, option: Dss, side: Side, isn: int | None) -> None:
        idsn = self._idsn(side)
        if option.dsn is None or option.length == 0 or idsn is None or isn is None or not segment.payload:
            return
        dsn = option.dsn if option.dsn_8 else promote(option.dsn, idsn)
        start = dsn_diff(dsn, idsn) - 1 + (segment.seq - isn - option.ssn) % (1 << 32)
        expected = self.streams[way][start : start + len(segment.payload)]
        assert segment.payload == expected, "a mapping says that these bytes are others"


@pytest.mark.slow
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    profile=st.sampled_from(MPTCP_PROFILES),
    cookies=st.sampled_from([SynCookies.OFF, SynCookies.ALWAYS]),
    tcp=st.tuples(tcps, tcps),
    mptcp=st.tuples(mptcps, mptcps),
    paths=st.lists(ways, min_size=2, max_size=4),
    outages=outages,
    actions=actions,
    sizes=st.tuples(st.sampled_from([0, 300, 200_000]), st.sampled_from([0, 1, 300_000])),
    cut=st.booleans(),
    seed=st.integers(0, 1_000_000),
)
def test_streams_survive_what_paths_do(
    profile: Profile,
    cookies: SynCookies,
    tcp: tuple[TcpConfig, TcpConfig],
    mptcp: tuple[MptcpConfig, MptcpConfig],
    paths: list[LinkParams],
    outages: list[tuple[int, int, int, str]],
    actions: list[tuple[int, str, str, int]],
    sizes: tuple[int, int],
    cut: bool,
    seed: int,
) -> None:
    pair = connected_by(paths, profile, cookies, tcp, mptcp, seed, cut)
    request, response = BLOCK[: sizes[0]], BLOCK[1 : sizes[1] + 1]
    watch = Watch(pair, {"up": request, "down": response})

    pair.lose = weather(pair, outages, watch)
    converse(pair, request, response, sorted(actions))
    check(pair, request, response)


def connected_by(
    paths: list[LinkParams],
    profile: Profile,
    cookies: SynCookies,
    tcp: tuple[TcpConfig, TcpConfig],
    mptcp: tuple[MptcpConfig, MptcpConfig],
    seed: int,
    cut: bool = True,
) -> Pair:
    """`cut`: large frames are cut on the way, and partly lost."""
    count = len(paths)
    return Pair(
        client=ClientConfig(profile=profile, tcp=tcp[0], mptcp=mptcp[0]),
        server=ServerConfig(syn_cookies=cookies, tcp=tcp[1], mptcp=mptcp[1]),
        client_addresses=CLIENT[:count],
        server_addresses=SERVER[:count],
        links=links(*paths),
        seed=seed,
        cut=cut,
    )


def weather(
    pair: Pair, outages: list[tuple[int, int, int, str]], watch: Watch | None
) -> Callable[[str, int, Segment], bool]:
    """Outages as (path, from ms, for ms, way); all that leaves is shown to `watch`."""

    def lose(way: str, number: int, segment: Segment) -> bool:
        if watch is not None:
            watch.see(way, segment)
        elapsed = (pair.now - pair.start) // MILLISECOND
        for path, began, length, which in outages:
            ends = (CLIENT[path], SERVER[path])
            if began <= elapsed < began + length and (segment.src in ends or segment.dst in ends):
                return which in (way, "both")
        return False

    return lose


def converse(pair: Pair, request: bytes, response: bytes, actions: list[tuple[int, str, str, int]]) -> None:
    """As talk() of test_network.py, with things done to the subflows at their times."""
    sent: set[int] = set()

    def answer(side: Side, event: Event) -> None:
        if event.connection not in sent and side.closed(event.connection) is None:
            sent.add(event.connection)
            side.outbox[event.connection] = bytearray(response)
            side.push(event.connection)
        respond(side, event)

    pair.server.on_event = answer
    pair.client.on_event = respond
    pair.connect()
    pair.client.send(request)
    pair.client.close()
    for at, what, who, which in actions:
        pair.run(until=max(pair.start + at * MILLISECOND, pair.now))
        act(pair, pair.client if who == "client" else pair.server, what, which)
    pair.run(limit=600 * SECOND)
    for side in (pair.client, pair.server):
        for number in set(side.connections):
            if side.closed(number) is None:
                side.abort(number, Reason.NO_PROGRESS)
    pair.run(limit=2_000 * SECOND)


def act(pair: Pair, side: Side, what: str, which: int) -> None:
    if not side.connections or side.closed() is not None:
        return
    number, endpoint = side.connections[0], side.endpoint
    subflows = [0, *(event.subflow for event in opened(side))]
    subflow = subflows[which % len(subflows)]
    if what == "close_subflow":
        endpoint.close_subflow(pair.now, number, subflow)
    elif what == "remove_address":
        endpoint.remove_address(pair.now, number, which)
    else:
        endpoint.set_backup(pair.now, number, subflow, what == "backup")


good = st.builds(
    LinkParams,
    rate=st.sampled_from([None, 2_000_000, 50_000_000]),
    queue=st.sampled_from([20, 100]),
    delay=st.sampled_from([MILLISECOND, 10 * MILLISECOND, 50 * MILLISECOND]),
    jitter=st.sampled_from([0, MILLISECOND]),
    loss=st.sampled_from([0.0, 0.01, 0.05]),
    reorder=st.sampled_from([0.0, 0.1]),
    duplicate=st.sampled_from([0.0, 0.1]),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    profile=st.sampled_from(MPTCP_PROFILES),
    tcp=st.tuples(tcps, tcps),
    mptcp=st.tuples(mptcps, mptcps),
    best=good,
    paths=st.lists(ways, min_size=1, max_size=3),
    outages=outages,
    backups=st.lists(st.tuples(st.integers(0, 3_000), st.sampled_from(["client", "server"])), max_size=3),
    sizes=st.tuples(st.sampled_from([300, 200_000]), st.sampled_from([1, 300_000])),
    seed=st.integers(0, 1_000_000),
)
def test_one_good_path_is_enough(
    profile: Profile,
    tcp: tuple[TcpConfig, TcpConfig],
    mptcp: tuple[MptcpConfig, MptcpConfig],
    best: LinkParams,
    paths: list[LinkParams],
    outages: list[tuple[int, int, int, str]],
    backups: list[tuple[int, str]],
    sizes: tuple[int, int],
    seed: int,
) -> None:
    """Whatever happens on the other paths: everything arrives, and the end is clean."""
    pair = connected_by([best, *paths], profile, SynCookies.OFF, tcp, mptcp, seed)
    request, response = BLOCK[: sizes[0]], BLOCK[1 : sizes[1] + 1]
    pair.lose = weather(pair, [(1 + path % 3, *rest) for path, *rest in outages], None)
    converse(pair, request, response, sorted((at, "backup", who, 0) for at, who in backups))
    check(pair, request, response)
    for side in (pair.client, pair.server):
        closed = side.closed()
        assert closed is not None
        assert closed.clean, closed


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    profile=st.sampled_from(MPTCP_PROFILES),
    tcp=st.tuples(tcps, tcps),
    mptcp=st.tuples(mptcps, mptcps),
    best=good,
    paths=st.lists(ways, min_size=2, max_size=2),
    outages=outages,
    backups=st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=3),
    reads=st.lists(
        st.tuples(st.sampled_from([0, 10, 300, 3_000]), st.sampled_from([1, 500, 5_000, 70_000])), max_size=12
    ),
    seed=st.integers(0, 1_000_000),
)
def test_one_good_path_is_enough_for_a_slow_reader(
    profile: Profile,
    tcp: tuple[TcpConfig, TcpConfig],
    mptcp: tuple[MptcpConfig, MptcpConfig],
    best: LinkParams,
    paths: list[LinkParams],
    outages: list[tuple[int, int, int, str]],
    backups: list[tuple[int, bool]],
    reads: list[tuple[int, int]],
    seed: int,
) -> None:
    """The window closes and opens while the other paths come and go; `reads`: after how many ms, how much."""
    pair = connected_by([best, *paths], profile, SynCookies.OFF, tcp, mptcp, seed)
    pair.lose = weather(pair, [(1 + path % 2, *rest) for path, *rest in outages], None)
    pair.server.reading = False
    pair.connect()
    pair.client.send(BLOCK[:150_000])
    for wait, count in reads:
        pair.run(until=pair.now + wait * MILLISECOND)
        if pair.server.connections and pair.server.closed() is None:
            pair.server.read(most=count)
            for path, backup in backups[:1]:
                act(pair, pair.client, "backup" if backup else "regular", path)
            backups = backups[1:]
    pair.run(until=pair.now + 3 * SECOND)
    pair.server.reading = True
    if pair.server.connections:
        pair.server.read()
    pair.run(until=lambda: pair.server.received() == BLOCK[:150_000], limit=900 * SECOND)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    profile=st.sampled_from(MPTCP_PROFILES),
    paths=st.lists(ways, min_size=2, max_size=4),
    seed=st.integers(0, 99),
)
def test_memory_is_bounded_while_nobody_reads(profile: Profile, paths: list[LinkParams], seed: int) -> None:
    """One window for all subflows: more paths hold no more data."""
    tcp = TcpConfig(receive_buffer=50_000, send_buffer=50_000)
    pair = connected_by(paths, profile, SynCookies.OFF, (tcp, tcp), (MptcpConfig(), MptcpConfig()), seed)
    pair.server.reading = False
    number = pair.connect()
    pair.client.outbox[number] = bytearray(BLOCK)
    pair.client.on_event = lambda side, event: side.push(number)
    pair.run(until=pair.now + 60 * SECOND)
    for side in (pair.client, pair.server):
        assert deep_size(side.endpoint, without=(pair, side)) < 50_000 * 5 + 150_000


def test_nothing_is_kept_of_connections_that_have_ended() -> None:
    for profile in MPTCP_PROFILES:
        pair = Pair(
            client=ClientConfig(profile=profile), client_addresses=CLIENT, server_addresses=SERVER, seed=7
        )
        for side in (pair.client, pair.server):
            side.endpoint.counters.clear()
        converse(pair, BLOCK[:100_000], BLOCK[:100_000], [(30, "close_subflow", "client", 1)])
        for side in (pair.client, pair.server):
            assert side.armed is None
            for number in set(side.connections):
                side.endpoint.forget(number)
            assert deep_size(side.endpoint, without=(pair, side)) < 60_000
