"""With SYN cookies a server keeps nothing of a connection before it exists: shown from the outside, twice.

Read first: RFC 4987 §3.6, testbed/mptcp/tcp/cookies.py.
"""

from __future__ import annotations

import pytest

from testbed.link import stream
from testbed.mptcp.config import SPOKEN, ClientConfig, Profile, ServerConfig, SynCookies
from testbed.mptcp.endpoint import Endpoint
from testbed.mptcp.wire import (
    SYN,
    MaximumSegmentSize,
    MpCapable,
    Segment,
    Timestamps,
    WindowScale,
)
from tests.pair import PORT, Pair, Side
from tests.properties.memory import deep_size

SERVER = bytes((10, 0, 2, 1))
OPTIONS = (MaximumSegmentSize(1460), WindowScale(7), Timestamps(1, 0), MpCapable(1))


def listening(mode: SynCookies, secret: bytes, seed: int) -> Endpoint:
    endpoint = Endpoint(entropy=stream(seed, "server").randbytes, cookie_secret=secret)
    endpoint.listen(PORT, ServerConfig(syn_cookies=mode, backlog=256))
    return endpoint


@pytest.mark.slow
@pytest.mark.parametrize("mode", [SynCookies.ALWAYS, SynCookies.AUTO])
def test_memory_is_flat_over_100_000_syns(mode: SynCookies) -> None:
    """`auto` fills its backlog of 256 first and keeps nothing from then on."""
    server = listening(mode, b"s" * 32, 1)
    sizes = []
    for number in range(100_000):
        source = (0x0A000000 + number).to_bytes(4, "big")
        server.handle_segment(0, Segment(source, SERVER, 4_000, PORT, number, 0, SYN, 65535, OPTIONS))
        answers = 0
        while server.poll_transmit(0) is not None:
            answers += 1
        assert answers == 1
        if number in (1_000, 99_999):
            sizes.append(deep_size(server))
    assert sizes[1] - sizes[0] < 1_000, sizes


@pytest.mark.parametrize("profile", SPOKEN)
@pytest.mark.parametrize("drops", [(), ("third_ack",)])
def test_another_endpoint_with_the_secret_completes_the_handshake(
    profile: Profile, drops: tuple[str, ...]
) -> None:
    """One answers the SYN and is gone; another, which knows only the secret, takes what comes back."""
    secret = b"shared by two servers, 32 bytes!"
    pair = Pair(client=ClientConfig(profile=profile), up=drops)
    pair.server.endpoint = listening(SynCookies.ALWAYS, secret, 1)
    pair.connect()
    pair.run(until=lambda: len(pair.segments("down")) == 1)
    replaced: Side = pair.server
    replaced.endpoint = listening(SynCookies.ALWAYS, secret, 2)
    pair.run(until=pair.client.connected)
    pair.client.send(b"x" * 1_000)
    pair.run(until=lambda: pair.server.received() == b"x" * 1_000)
    report = pair.server.report()
    fallen = profile is Profile.TCP or (profile is Profile.V0 and drops)
    assert (str(report.verdict) == "mptcp") == (not fallen), report
    assert report.local_key == (None if fallen else pair.client.report().remote_key)


def test_another_secret_is_answered_by_a_reset() -> None:
    pair = Pair()
    pair.server.endpoint = listening(SynCookies.ALWAYS, b"one secret".ljust(32), 1)
    pair.connect()
    pair.run(until=lambda: len(pair.segments("down")) == 1)
    pair.server.endpoint = listening(SynCookies.ALWAYS, b"another".ljust(32), 2)
    pair.run(until=lambda: pair.client.closed() is not None)
    end = pair.client.closed()
    assert end is not None
    assert str(end.reason) == "rst_received"
    assert pair.server.connections == []
