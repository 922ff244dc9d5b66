"""A client with a Fast Open cookie, and one whole connection that begins with data in its SYN."""

from __future__ import annotations

from typing import Any

from testbed.mptcp.config import ClientConfig, FastOpenAnswer, Profile, ServerConfig
from testbed.mptcp.events import Event
from tests.pair import SECOND, Pair, Side

REQUEST, RESPONSE = b"q" * 300, b"a" * 3_000
AT_ONCE = FastOpenAnswer.AT_ONCE
# With 12 bytes of MP_CAPABLE in the SYN and timestamps, v0 has room for a cookie of 6 bytes.
SERVER = ServerConfig(fast_open=True, fast_open_cookie=6, fast_open_answer=AT_ONCE)


def pair_of(profile: Profile, *, server: ServerConfig = SERVER, client: Any = None, **more: Any) -> Pair:
    return Pair(client=ClientConfig(profile=profile, fast_open=True, **(client or {})), server=server, **more)


def with_cookie(pair: Pair) -> Pair:
    """The client has asked for a cookie and got one; what crossed until then is forgotten."""
    number = pair.connect(only_cookie=True)
    pair.run(until=lambda: pair.client.closed(number) is not None)
    pair.run(pair.now + SECOND)
    assert not pair.server.connections, "the application never hears of it"
    pair.client.connections.clear()
    pair.crossings.clear()
    return pair


def whole(pair: Pair, request: bytes = REQUEST, response: bytes = RESPONSE) -> None:
    """The server answers as soon as it has the request, both close, and every byte was right."""

    def answer(side: Side, _event: Event) -> None:
        number = side.connections[-1] if side.connections else 0
        if number and side.received(number) == request and number not in side.outbox:
            side.outbox[number] = bytearray(response)
            side.push(number)
            side.closing.add(number)
            side.push(number)

    pair.server.on_event = answer
    number = pair.connect(first=request)
    pair.run(until=lambda: pair.client.received(number) == response, limit=120 * SECOND)
    pair.client.close(number)
    pair.run()
    assert pair.server.received() == request
    for side in (pair.client, pair.server):
        end = side.closed()
        assert end is not None
        assert end.clean, end
