"""A Pair with several addresses on each side: the i-th of both ends is a path."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from testbed.link import LinkParams
from testbed.mptcp.config import ClientConfig, Profile, ServerConfig
from testbed.mptcp.events import SubflowClosed, SubflowOpened
from testbed.mptcp.paths import Limits, PathsConfig
from testbed.mptcp.wire import (
    ACK,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    Option,
    Segment,
    Timestamps,
)
from tests.pair import SECOND, Pair, Side

CLIENT = tuple(bytes((10, 0, path, 1)) for path in (1, 2, 3, 4))
SERVER = tuple(bytes((10, 1, path, 1)) for path in (1, 2, 3, 4))
MPTCP_PROFILES = (Profile.V0, Profile.DRAFT, Profile.V1)
SINGLE = PathsConfig(endpoints=(), limits=Limits(subflows=0))


def multipath(paths: int = 2, profile: Profile = Profile.V1, **options: Any) -> Pair:
    """`client` and `server` replace fields of the configurations; the rest goes to Pair."""
    client = replace(ClientConfig(profile=profile), **options.pop("client", {}))
    server = replace(ServerConfig(), **options.pop("server", {}))
    return Pair(
        client=client,
        server=server,
        client_addresses=CLIENT[:paths],
        server_addresses=SERVER[:paths],
        **options,
    )


def open_subflows(pair: Pair, paths: int = 2) -> None:
    """Connects, exchanges a byte each way, and waits until every path has its subflow on both ends."""
    pair.establish()
    pair.client.send(b"?")
    pair.run(until=lambda: pair.server.received() == b"?")
    pair.server.send(b"!")
    pair.run(until=lambda: usable(pair.client) == usable(pair.server) == paths, limit=10 * SECOND)


def usable(side: Side) -> int:
    """Subflows that are open now; the first included."""
    count = 1
    for _, event in side.events:
        count += isinstance(event, SubflowOpened)
        count -= isinstance(event, SubflowClosed)
    return count


def opened(side: Side) -> list[SubflowOpened]:
    return [event for _, event in side.events if isinstance(event, SubflowOpened)]


def closed_subflows(side: Side) -> list[SubflowClosed]:
    return [event for _, event in side.events if isinstance(event, SubflowClosed)]


def has(segment: Segment, kind: type) -> bool:
    return any(isinstance(option, kind) for option in segment.options)


def is_join(segment: Segment) -> bool:
    return any(isinstance(option, MpJoinSyn | MpJoinSynAck | MpJoinAck) for option in segment.options)


def dead_after(pair: Pair, at: int, path: int) -> None:
    """From `at` on (since the pair's start) the path, counted from 1, loses everything both ways."""
    ends = {CLIENT[path - 1], SERVER[path - 1]}
    before = pair.lose

    def lose(way: str, number: int, segment: Segment) -> bool:
        if pair.now - pair.start >= at and {segment.src, segment.dst} <= ends:
            return True
        return before is not None and before(way, number, segment)

    pair.lose = lose


def link(mbit: float, delay_ms: float, queue: int = 100, loss: float = 0.0) -> LinkParams:
    return LinkParams(rate=int(mbit * 1_000_000), delay=int(delay_ms * 1_000_000), queue=queue, loss=loss)


def links(*paths: LinkParams) -> dict[tuple[bytes, bytes], LinkParams]:
    """The same in both directions of each path."""
    made = {}
    for number, params in enumerate(paths):
        made[CLIENT[number], SERVER[number]] = params
        made[SERVER[number], CLIENT[number]] = params
    return made


def transfer(pair: Pair, data: bytes, limit: int = 900 * SECOND) -> int:
    """The client sends, the server reads it all; how long that took in ns."""
    before = len(pair.server.received())
    began = pair.now
    pair.client.send(data)
    done = before + len(data)
    connection = pair.server.connections[0]
    pair.run(until=lambda: len(pair.server.inbox.get(connection, b"")) >= done, limit=limit)
    assert pair.server.received()[before:] == data
    return pair.now - began


def forged(pair: Pair, way: str, path: int, *options: Option, **fields: Any) -> Segment:
    """An ACK that the peer must accept on the subflow of this path, counted from 1: behind all that the
    pretended sender has sent there. `fields` replace what the segment has."""
    ends = (CLIENT[path - 1], SERVER[path - 1])
    sent = [one for one in pair.segments(way) if {one.src, one.dst} == set(ends)]
    if fields.get("payload") is None:
        fields["payload"] = b""
    last = max(sent, key=lambda one: (one.seq + one.seq_length - sent[0].seq) & 0xFFFF_FFFF)
    latest = [one for segment in sent[-1:] for one in segment.options if isinstance(one, Timestamps)]
    fields = {"seq": (last.seq + last.seq_length) & 0xFFFF_FFFF, "flags": ACK, **fields}
    return replace(sent[-1], options=(*latest, *options), cut=0, **fields)
