"""Receive windows that close and open again: the transfer goes on within about a round trip.

However long an application pauses, whichever of them does, over one path or several, with small and large
buffers and with loss. Read first: RFC 9293 §3.8.6.1, RFC 8684 §3.3.4.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.mptcp.config import SPOKEN, Profile, TcpConfig
from testbed.mptcp.events import DataArrived, Event
from testbed.mptcp.wire import FIN, RST, SYN
from tests.core.boxes import onward, pair_of
from tests.core.multipath import link, links, multipath, open_subflows
from tests.pair import MILLISECOND, SECOND, Pair, Side

RTT = 20 * MILLISECOND
ONE_PATH = [(Profile.TCP, 1), (Profile.V1, 1)]
PATHS = [*ONE_PATH, (Profile.V0, 2), (Profile.DRAFT, 2), (Profile.V1, 2), (Profile.V1, 4)]


def connected(profile: Profile, paths: int, buffer: int, **options: object) -> Pair:
    tcp = TcpConfig(receive_buffer=buffer)
    pair = multipath(paths, profile=profile, client={"tcp": tcp}, server={"tcp": tcp}, **options)
    if paths > 1:
        open_subflows(pair, paths)
    else:
        pair.establish()
    return pair


class Silence:
    """The longest time without new data at one end, from `began` on."""

    def __init__(self, pair: Pair, side: Side) -> None:
        self.pair, self.longest, self.last = pair, 0, pair.now
        side.on_event = self.note

    def note(self, side: Side, event: Event) -> None:
        if isinstance(event, DataArrived):
            self.longest = max(self.longest, self.pair.now - self.last)
            self.last = self.pair.now


def longest_silence(pair: Pair, buffer: int, pause: int, limit: int = 200 * SECOND) -> int:
    """The server's application stops reading for `pause` while three buffers of data come, then reads on."""
    before, size = len(pair.server.received()), 3 * buffer
    pair.server.reading = False
    pair.client.send(bytes(size))
    pair.run(until=pair.now + buffer * 8 * SECOND // 20_000_000 + pause)
    pair.server.reading = True
    silence = Silence(pair, pair.server)
    pair.server.read()
    pair.run(until=lambda: len(pair.server.received()) >= before + size, limit=limit)
    return silence.longest


@pytest.mark.parametrize(("profile", "paths"), PATHS)
@pytest.mark.parametrize("pause", [SECOND // 2, 3 * SECOND, 60 * SECOND, 300 * SECOND])
@pytest.mark.parametrize("buffer", [20_000, 300_000])
def test_the_sender_goes_on_when_the_reader_does(
    profile: Profile, paths: int, pause: int, buffer: int
) -> None:
    many = links(*[link(20, 10, 200)] * paths)
    pair = connected(profile, paths, buffer, links=many, through_bytes=False)
    assert longest_silence(pair, buffer, pause) <= 200 * MILLISECOND


@pytest.mark.parametrize(("profile", "paths"), PATHS)
@pytest.mark.parametrize("shut", [1, 2, 5, 60])
def test_two_ends_with_full_buffers_recover(profile: Profile, paths: int, shut: int) -> None:
    pair = connected(profile, paths, 20_000)
    pair.server.reading = pair.client.reading = False
    pair.client.send(bytes(60_000))
    pair.server.send(bytes(60_000))
    pair.run(until=pair.now + shut * SECOND)
    pair.server.reading = pair.client.reading = True
    began = pair.now
    pair.server.read()
    pair.client.read()
    sides = (pair.server, pair.client)
    pair.run(until=lambda: all(len(side.received()) >= 60_000 for side in sides), limit=10 * SECOND)
    assert pair.now - began <= 10 * RTT


@pytest.mark.parametrize("first", ["client", "server"])
@pytest.mark.parametrize(("profile", "paths"), PATHS)
def test_one_of_two_full_ends_opens_first(profile: Profile, paths: int, first: str) -> None:
    """Its window update lies behind a probe that the other has refused, and must count there all the same."""
    pair = connected(profile, paths, 20_000)
    reader = pair.client if first == "client" else pair.server
    pair.server.reading = pair.client.reading = False
    pair.client.send(bytes(60_000))
    pair.server.send(bytes(60_000))
    pair.run(until=pair.now + 30 * SECOND)
    reader.reading = True
    began = pair.now
    reader.read()
    pair.run(until=lambda: len(reader.received()) >= 60_000, limit=10 * SECOND)
    assert pair.now - began <= 10 * RTT


@pytest.mark.parametrize("profile", SPOKEN)
def test_what_follows_a_window_probe_lies_behind_it(profile: Profile) -> None:
    """The peer may have taken the byte, so no later ACK begins before it."""
    tcp = TcpConfig(receive_buffer=20_000)
    pair = pair_of(profile)
    pair = Pair(client=pair.config, server=replace(pair.server_config, tcp=tcp))
    pair.establish()
    pair.server.reading = False
    pair.client.send(bytes(60_000))
    pair.run(until=pair.now + 5 * SECOND)
    probe = [one for one in pair.segments("up") if len(one.payload) == 1][-1]
    pair.server.send(b"x")
    pair.run(until=lambda: pair.client.received() == b"x")
    pair.run(until=pair.now + SECOND // 10)
    ack = [one for one in pair.segments("up") if not one.payload][-1]
    assert (ack.seq - probe.seq) & 0xFFFF_FFFF == 1


@pytest.mark.parametrize("kind", [RST, SYN, FIN])
@pytest.mark.parametrize("shift", [-1, 1])
def test_beside_a_closed_window_only_acknowledgements_count(shift: int, kind: int) -> None:
    """A blind RST, SYN or FIN one byte off does no more than elsewhere (RFC 5961 §3.2, §4.2)."""
    pair = connected(Profile.TCP, 1, 20_000)
    pair.server.reading = False
    pair.client.send(bytes(20_000))
    pair.run(until=pair.now + SECOND)
    forged = onward(pair, "up")
    forged = replace(forged, flags=forged.flags | kind, seq=(forged.seq + shift) & 0xFFFF_FFFF)
    pair.deliver(pair.server, forged)
    assert pair.server.closed() is None
    assert not pair.server.finished()


def test_refused_bytes_are_not_acknowledged_on_the_subflow() -> None:
    """What the connection has no room for is left to its sender on the subflow: nothing is dropped above it,
    where only the connection's own timer would bring it again (RFC 8684 §3.3.4)."""
    pair = connected(Profile.V1, 2, 20_000)
    pair.server.reading = False
    pair.client.send(bytes(60_000))
    pair.run(until=pair.now + 60 * SECOND)
    report = pair.server.report()
    assert sum(one.bytes_received for one in report.paths) <= 20_000 + 200


@settings(max_examples=60)
@given(
    which=st.sampled_from(PATHS),
    buffer=st.sampled_from([3_000, 20_000, 100_000, 400_000]),
    pause=st.integers(0, 120_000).map(lambda ms: ms * MILLISECOND),
    loss=st.sampled_from([0.0, 0.0, 0.02, 0.1]),
    seed=st.integers(0, 1 << 16),
    both=st.booleans(),
)
def test_a_pause_costs_a_few_round_trips(
    which: tuple[Profile, int], buffer: int, pause: int, loss: float, seed: int, both: bool
) -> None:
    """With loss a few timeouts, as a window update that is lost is not repeated: the next probe asks for it.
    The time until that is bounded by how long the window was closed."""
    profile, paths = which
    many = links(*[link(20, 10, 200, loss=loss)] * paths)
    pair = connected(profile, paths, buffer, links=many, through_bytes=False, seed=seed)
    if both:
        pair.client.reading = False
        pair.server.send(bytes(2 * buffer))
    longest = longest_silence(pair, buffer, pause)
    if both:
        pair.client.reading = True
        pair.client.read()
        pair.run(until=lambda: len(pair.client.received()) >= 2 * buffer, limit=300 * SECOND)
    assert longest <= (200 * MILLISECOND if not loss else 8 * SECOND + 2 * pause)
