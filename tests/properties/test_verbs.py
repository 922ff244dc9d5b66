"""Any order of verbs, packets and pauses: nothing raises, and nothing comes behind `Closed`."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.link import LinkParams
from testbed.mptcp.config import ClientConfig, Profile, ServerConfig, SynCookies
from testbed.mptcp.events import Closed
from testbed.mptcp.paths import Flag, LocalEndpoint
from testbed.mptcp.wire import ACK, FIN, RST, SYN, MpFastclose, Segment
from tests.core.multipath import CLIENT, SERVER
from tests.pair import MILLISECOND, SECOND, Pair, Side

PAUSES = (0, MILLISECOND, 10 * MILLISECOND, 300 * MILLISECOND, 3 * SECOND, 61 * SECOND)
WORDS = (
    "connect", "send", "read", "close", "abort", "backup", "close_subflow", "remove", "add", "forget",
    "forge", "replay", "pause", "pause",
)  # fmt: skip
steps = st.lists(
    st.tuples(
        st.sampled_from(WORDS),
        st.sampled_from(["client", "server"]),
        st.integers(-1, 4),  # a connection: some do not exist
        st.integers(0, 1 << 30),  # which of the choices that a step has
    ),
    min_size=3,
    max_size=40,
)


def act(pair: Pair, side: Side, word: str, number: int, choice: int) -> None:
    now, endpoint = pair.now, side.endpoint
    if word == "connect" and side is pair.client:
        pair.connect(first=bytes(choice % 2_000))
    elif word == "send":
        endpoint.send(now, number, bytes(choice % 100_000))
    elif word == "read":
        endpoint.receive(now, number, choice % 50_000)
    elif word == "close":
        endpoint.close(now, number)
    elif word == "abort":
        endpoint.abort(now, number)
    elif word == "backup":
        endpoint.set_backup(now, number, choice % 3, bool(choice & 8))
    elif word == "close_subflow":
        endpoint.close_subflow(now, number, choice % 3)
    elif word == "remove":
        endpoint.remove_address(now, number, choice % 4 - 1)
    elif word == "add":
        flags = (Flag.SUBFLOW, Flag.SIGNAL, Flag.SUBFLOW | Flag.BACKUP)[choice % 3]
        endpoint.add_endpoint(now, number, LocalEndpoint(side.addresses[choice % 2], flags=flags))
    elif word == "forget":
        endpoint.forget(number)
    elif word in ("forge", "replay"):
        seen = pair.segments("up" if side is pair.server else "down")
        if seen:
            old = seen[choice % len(seen)]
            pair.deliver(side, old if word == "replay" else forged(old, choice, side))
    else:
        pair.run(until=now + PAUSES[choice % len(PAUSES)])
    pair.settle(side)


def forged(old: Segment, choice: int, side: Side) -> Segment:
    """One of the peer's segments, with something in it changed."""
    kind = choice >> 8 & 7
    if kind < 3:
        flags = (RST, RST | ACK, FIN | ACK)[kind]
        return replace(old, flags=flags, seq=(old.seq + len(old.payload)) % 2**32, payload=b"")
    if kind == 3:
        return replace(old, seq=(old.seq + (choice >> 12) % 3_000) % 2**32)
    if kind == 4:
        return replace(old, ack=(old.ack + (choice >> 12) % 3_000) % 2**32)
    if kind == 5:
        return replace(old, options=old.options[choice >> 12 & 1 :: 2])
    if kind == 6:
        return replace(old, flags=(choice >> 12) & (SYN | ACK | FIN | RST))
    report = side.endpoint.describe(side.connections[0]) if known(side) else None
    key = report.local_key if report is not None else None
    return replace(old, options=(*old.options[:1], MpFastclose(key or 0)), payload=b"")


def known(side: Side) -> bool:
    return bool(side.connections) and side.connections[0] in side.endpoint.connections


@settings(max_examples=150)
@given(
    script=steps,
    profile=st.sampled_from([Profile.TCP, Profile.V0, Profile.DRAFT, Profile.V1]),
    cookies=st.sampled_from(list(SynCookies)),
    fast_open=st.booleans(),
    loss=st.sampled_from([0.0, 0.1]),
    reading=st.booleans(),
)
def test_nothing_raises_and_closed_is_the_last_event(
    script: list[tuple[str, str, int, int]],
    profile: Profile,
    cookies: SynCookies,
    fast_open: bool,
    loss: float,
    reading: bool,
) -> None:
    pair = Pair(
        client=ClientConfig(profile=profile, fast_open=fast_open),
        server=ServerConfig(syn_cookies=cookies, fast_open=fast_open),
        client_addresses=CLIENT[:2],
        server_addresses=SERVER[:2],
        up=LinkParams(delay=5 * MILLISECOND, loss=loss),
        down=LinkParams(delay=5 * MILLISECOND, loss=loss),
        lose=lambda way, number, segment: segment.dst not in CLIENT[:2] + SERVER[:2],
    )
    pair.client.reading = pair.server.reading = reading
    pair.connect()
    for word, name, number, choice in script:
        act(pair, pair.client if name == "client" else pair.server, word, number, choice)
    for _ in range(2):  # what was on its way may open one more: a copy of a third ACK brings back its cookie
        for side in (pair.client, pair.server):
            for connection in list(side.endpoint.connections):
                side.endpoint.abort(pair.now, connection)
            pair.settle(side)
        pair.run(until=pair.now + 900 * SECOND)
    for side in (pair.client, pair.server):
        for connection in side.connections:
            kinds = [type(event) for _, event in side.events if event.connection == connection]
            assert kinds.count(Closed) == 1
            assert kinds[-1] is Closed
        assert len(side.endpoint) == 0, "state is left"
