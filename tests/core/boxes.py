"""Middleboxes of one rule each, and what tests of the core ask of a Pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from testbed.mptcp.config import ClientConfig, Profile, ServerConfig, SynCookies
from testbed.mptcp.wire import ACK, SYN, MpCapable, Segment, Timestamps
from tests.pair import SECOND, Pair

T = TypeVar("T")
Rewrite = Callable[[str, int, Segment], Segment]

MPTCP = [Profile.V0, Profile.DRAFT, Profile.V1]
KEYS_LATER = [Profile.DRAFT, Profile.V1]  # the client's key travels after the SYN
BOTH_COOKIES = [SynCookies.OFF, SynCookies.ALWAYS]


def option(segment: Segment, kind: type[T]) -> T | None:
    return next((one for one in segment.options if isinstance(one, kind)), None)


def find(pair: Pair, way: str, kind: type[T]) -> list[T]:
    """Every option of that kind that the "up" or "down" side sent, in order."""
    found = [option(segment, kind) for segment in pair.segments(way)]
    return [one for one in found if one is not None]


def changing(kind: type[Any], when: Callable[[str, Segment, Any], bool], **fields: Any) -> Rewrite:
    """Fields of an option are overwritten where `when(way, segment, option)`."""

    def rewrite(way: str, n: int, segment: Segment) -> Segment:
        options = tuple(
            replace(one, **fields) if isinstance(one, kind) and when(way, segment, one) else one
            for one in segment.options
        )
        return replace(segment, options=options) if options != segment.options else segment

    return rewrite


def is_syn(segment: Segment) -> bool:
    return segment.flags & (SYN | ACK) == SYN


def is_synack(segment: Segment) -> bool:
    return segment.flags & (SYN | ACK) == SYN | ACK


def is_third_ack(way: str, segment: Segment, capable: MpCapable) -> bool:
    return way == "up" and capable.receiver_key is not None and capable.data_length is None


def onward(pair: Pair, way: str, *options: object, **fields: Any) -> Segment:
    """An empty ACK that the peer must accept: behind the last segment of that side, with a new timestamp."""
    last = pair.segments(way)[-1]
    seq = (last.seq + last.seq_length) & 0xFFFF_FFFF
    kept: list[Any] = [one for one in last.options if isinstance(one, Timestamps)]
    return replace(last, **{"seq": seq, "payload": b"", "options": (*kept, *options), "flags": ACK, **fields})


def pair_of(
    profile: Profile, cookies: SynCookies = SynCookies.OFF, rewrite: Rewrite | None = None, **more: Any
) -> Pair:
    return Pair(
        client=ClientConfig(profile=profile),
        server=ServerConfig(syn_cookies=cookies),
        rewrite=rewrite,
        **more,
    )


def exchange(pair: Pair, request: bytes = b"q" * 3_000, response: bytes = b"a" * 3_000) -> None:
    """Connects, a request, then its response, both close; all bytes must come through."""
    pair.establish()
    pair.client.send(request)
    pair.run(until=lambda: pair.server.received() == request, limit=60 * SECOND)
    pair.server.send(response)
    pair.run(until=lambda: pair.client.received() == response, limit=60 * SECOND)
    pair.client.close()
    pair.server.close()
    pair.run()
    for side in (pair.client, pair.server):
        end = side.closed()
        assert end is not None
        assert end.clean, end
