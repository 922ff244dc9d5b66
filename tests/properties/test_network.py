"""Whatever the network does, each byte stream is intact or its connection ends with a clean error.

Random loss, reordering, duplication, jitter, tiny queues and exact drops, both ways, in every profile,
with and without SYN cookies. Read first: tests/pair.py.
"""

from __future__ import annotations

import random

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from testbed.link import LinkParams
from testbed.mptcp.config import (
    SPOKEN,
    ClientConfig,
    LostThirdAck,
    MptcpConfig,
    Profile,
    ServerConfig,
    SynCookies,
    TcpConfig,
    ThirdAck,
)
from testbed.mptcp.events import Closed, Event, PeerFinished
from testbed.mptcp.reasons import Reason, Verdict
from tests.pair import Pair, Side
from tests.properties.memory import deep_size

MS = 1_000_000
SECOND = 1_000_000_000
BLOCK = random.Random(1).randbytes(1 << 17)

rules = st.sampled_from(
    [
        "third_ack",
        "syn",
        "syn:2",
        "syn x3",
        "synack",
        "data:1",
        "data:2",
        "data:1-3",
        "packet:4",
        "packet:2-9",
    ]
)
ways = st.builds(
    LinkParams,
    rate=st.sampled_from([None, 1_000_000, 50_000_000]),
    queue=st.sampled_from([3, 100]),
    delay=st.just(10 * MS),
    jitter=st.sampled_from([0, 2 * MS, 10 * MS]),
    loss=st.sampled_from([0.0, 0.02, 0.1, 0.3]),
    reorder=st.sampled_from([0.0, 0.1, 0.4]),
    duplicate=st.sampled_from([0.0, 0.1, 1.0]),
    drops=st.lists(rules, max_size=3).map(tuple),
    hold=st.sampled_from([MS, 30 * MS, 400 * MS]),
)
tcps = st.builds(
    TcpConfig,
    mss=st.sampled_from([536, 1460]),
    timestamps=st.booleans(),
    window_scale=st.sampled_from([None, 0, 7]),
    receive_buffer=st.sampled_from([4_000, 65_535, 1 << 20]),
    send_buffer=st.sampled_from([4_000, 1 << 20]),
    initial_window=st.sampled_from([1, 10]),
)
mptcps = st.builds(
    MptcpConfig,
    checksum=st.booleans(),
    dsn_bytes=st.sampled_from([4, 8]),
    isn_recovery=st.booleans(),
    lost_third_ack=st.sampled_from(LostThirdAck),
)
clients = st.builds(
    ClientConfig,
    profile=st.sampled_from(SPOKEN),
    third_ack=st.sampled_from(ThirdAck),
    syn_retries=st.integers(0, 3),
    tcp=tcps,
    mptcp=mptcps,
)
servers = st.builds(
    ServerConfig,
    profiles=st.sampled_from(
        [(Profile.V1, Profile.DRAFT, Profile.V0, Profile.TCP), (Profile.TCP,), (Profile.V0, Profile.TCP)]
    ),
    syn_cookies=st.sampled_from(SynCookies),
    tcp=tcps,
    mptcp=mptcps,
)
sizes = st.sampled_from([0, 1, 300, 1_460, 14_600, 100_000])


def respond(side: Side, event: Event) -> None:
    """Both applications: close when the peer has finished."""
    if isinstance(event, PeerFinished):
        side.close(event.connection)


def talk(pair: Pair, request: bytes, response: bytes, early: bool = False) -> None:
    """A request, a response sent without waiting for it, both close; then silence, or patience ends.

    `early`: the request is there before the SYN leaves.
    """
    pair.server.on_event = lambda side, event: _answer(side, event, response)
    pair.client.on_event = respond
    number = pair.connect(first=request if early else b"")
    pair.client.send(b"" if early else request)
    pair.client.close()
    pair.run(limit=300 * SECOND)
    for side in (pair.client, pair.server):
        for open_still in set(side.connections):
            if side.closed(open_still) is None:
                side.abort(open_still, Reason.NO_PROGRESS)
    pair.run(limit=2_000 * SECOND)
    assert pair.client.closed(number) is not None, "an aborted connection must end"


def _answer(side: Side, event: Event, response: bytes) -> None:
    if event.connection not in side.outbox and not isinstance(event, Closed):
        side.outbox[event.connection] = bytearray(response)
        side.push(event.connection)
    respond(side, event)


def check(pair: Pair, request: bytes, response: bytes, ghosts: bool = False) -> None:
    """`ghosts`: a SYN alone may bring about a connection, so that an old one does it again."""
    number = pair.client.connections[0]
    end = pair.client.closed(number)
    assert end is not None
    got = pair.client.received(number)
    assert response.startswith(got), "the client read bytes that nobody sent there"
    # A third ACK that comes once its connection is gone brings back a good cookie: a server without state
    # cannot know that it was used (RFC 4987 §3.6). The ghost must obey all that follows as well.
    if pair.server_config.syn_cookies is SynCookies.OFF and not ghosts:
        assert len(pair.server.connections) <= 1, "one connection, accepted more than once"
    for accepted in pair.server.connections:
        taken = pair.server.received(accepted)
        assert request.startswith(taken), "the server read bytes that nobody sent there"
        far = pair.server.closed(accepted)
        assert far is not None
        if far.clean:
            assert taken == request, "a clean end with bytes missing"
    if end.clean:
        assert pair.server.connections
        assert got == response, "a clean end with bytes missing"
        assert end.verdict in (Verdict.MPTCP, Verdict.FALLBACK, Verdict.TCP)
    else:
        assert end.reason is not Reason.NONE, "an end that is not clean says why"


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    client=clients,
    server=servers,
    up=ways,
    down=ways,
    request=sizes,
    response=sizes,
    seed=st.integers(0, 1_000_000),
)
@example(
    client=ClientConfig(profile=Profile.V0),
    server=ServerConfig(syn_cookies=SynCookies.ALWAYS),
    up=LinkParams(delay=10 * MS, drops=("third_ack", "data:1")),
    down=LinkParams(delay=10 * MS),
    request=14_600,
    response=300,
    seed=1,
)
def test_stream_is_intact_or_the_end_is_clean(
    client: ClientConfig,
    server: ServerConfig,
    up: LinkParams,
    down: LinkParams,
    request: int,
    response: int,
    seed: int,
) -> None:
    pair = Pair(client=client, server=server, up=up, down=down, seed=seed)
    there, back = BLOCK[:request], BLOCK[1 : response + 1]
    talk(pair, there, back)
    check(pair, there, back)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    profile=st.sampled_from(SPOKEN),
    cookies=st.sampled_from(SynCookies),
    up=ways,
    down=ways,
    seed=st.integers(0, 1_000_000),
)
def test_nothing_is_kept_of_connections_that_have_ended(
    profile: Profile, cookies: SynCookies, up: LinkParams, down: LinkParams, seed: int
) -> None:
    """After TIME-WAIT and `forget`, an endpoint is as small as before it had any connection."""
    pair = Pair(
        client=ClientConfig(profile=profile),
        server=ServerConfig(syn_cookies=cookies),
        up=up,
        down=down,
        seed=seed,
    )
    sides = (pair.client, pair.server)
    for side in sides:
        side.endpoint.counters.clear()
    talk(pair, BLOCK[:30_000], BLOCK[:30_000])
    for side in sides:
        assert side.armed is None, f"{side.name} still waits for something"
        for number in set(side.connections):
            side.endpoint.forget(number)
        assert deep_size(side.endpoint, without=(pair, side)) < 60_000


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(profile=st.sampled_from(SPOKEN), up=ways, seed=st.integers(0, 1_000_000))
def test_memory_is_bounded_while_nobody_reads(profile: Profile, up: LinkParams, seed: int) -> None:
    """The peer sends for ever, the application never reads: what is held stays within the buffers."""
    tcp = TcpConfig(receive_buffer=50_000, send_buffer=50_000)
    pair = Pair(client=ClientConfig(profile=profile, tcp=tcp), server=ServerConfig(tcp=tcp), up=up, seed=seed)
    pair.server.reading = False
    number = pair.connect()
    pair.client.outbox[number] = bytearray(BLOCK)
    pair.client.on_event = lambda side, event: side.push(number)
    pair.run(until=pair.now + 60 * SECOND)
    for side in (pair.client, pair.server):
        assert deep_size(side.endpoint, without=(pair, side)) < 50_000 * 4 + 100_000
