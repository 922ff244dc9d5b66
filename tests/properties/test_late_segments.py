"""What comes late, twice or forged must not bring a connection to life or to an end."""

from __future__ import annotations

import pytest

from testbed.mptcp.config import SPOKEN, ClientConfig, Profile, ServerConfig, SynCookies
from tests.pair import SECOND, Pair


@pytest.mark.parametrize("profile", SPOKEN)
def test_late_ack_is_no_cookie(profile: Profile) -> None:
    """Both sides have sent equally much: the last ACK and its sequence number lie as far apart as the third
    ACK's. A cookie that merely adds the client's ISN would open a connection for it later on.
    """
    pair = Pair(client=ClientConfig(profile=profile), server=ServerConfig(syn_cookies=SynCookies.ALWAYS))
    pair.establish()
    pair.client.send(b"ping")
    pair.server.send(b"pong")
    pair.client.close()
    pair.run(until=pair.server.finished)
    pair.server.close()
    pair.run(until=lambda: pair.server.closed() is not None)
    last = pair.segments("up")[-1]
    assert not last.payload
    pair.deliver(pair.server, last)
    pair.run(until=pair.now + SECOND)
    assert len(pair.server.connections) == 1


@pytest.mark.parametrize("profile", SPOKEN)
@pytest.mark.parametrize("cookies", [SynCookies.OFF, SynCookies.ALWAYS])
def test_everything_again(profile: Profile, cookies: SynCookies) -> None:
    """Every segment of a finished connection again, in order: nobody is accepted, nothing raises."""
    pair = Pair(client=ClientConfig(profile=profile), server=ServerConfig(syn_cookies=cookies))
    pair.establish()
    pair.client.send(b"x" * 5_000)
    pair.server.send(b"y" * 5_000)
    pair.client.close()
    pair.server.close()
    pair.run()
    accepted = len(pair.server.connections)
    for crossing in list(pair.crossings):
        if not crossing.segment.payload and crossing.segment.flags & 0x02:
            continue  # a SYN again is a new attempt
        pair.deliver(pair.server if crossing.way == "up" else pair.client, crossing.segment)
    pair.run()
    if cookies is SynCookies.OFF:
        assert len(pair.server.connections) == accepted
    else:
        # A third ACK brings back a cookie that may still be good: a stateless server cannot know that it
        # was used (RFC 4987 §3.6).
        assert len(pair.server.connections) <= accepted + 1
