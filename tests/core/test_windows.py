"""Closed and narrow windows: probes, their data, and the way out (RFC 9293 §3.8.6)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from testbed.mptcp.config import SPOKEN, ClientConfig, Profile, ServerConfig, SynCookies, TcpConfig
from testbed.mptcp.reasons import Verdict
from testbed.mptcp.wire import ACK, Segment
from tests.core.boxes import is_synack, onward, pair_of
from tests.core.multipath import multipath, open_subflows, transfer
from tests.pair import MILLISECOND, SECOND, Pair


def test_synack_with_window_zero() -> None:
    """The first byte leaves as a probe, and carries the keys all the same."""

    def zero(way: str, n: int, s: Segment) -> Segment:
        return replace(s, window=0) if is_synack(s) else s

    pair = pair_of(Profile.V1, SynCookies.ALWAYS, zero, up=("third_ack",))
    pair.connect()
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    assert pair.server.report().verdict is Verdict.MPTCP


@pytest.mark.parametrize("lost_update", [False, True])
@pytest.mark.parametrize("profile", SPOKEN)
def test_zero_window_is_probed(profile: Profile, lost_update: bool) -> None:
    """The first probe after one RTO, then further and further apart; nothing is lost, and the connection
    goes on when the window opens, even if the news of it is lost (RFC 9293 §3.8.6.1)."""
    small = TcpConfig(receive_buffer=10_000)
    losing = False

    def lose(way: str, n: int, segment: Segment) -> bool:
        nonlocal losing
        if losing and way == "down":
            losing = False
            return True
        return False

    pair = Pair(client=ClientConfig(profile=profile), server=ServerConfig(tcp=small), lose=lose)
    pair.server.reading = False
    pair.establish()
    data = bytes(range(250)) * 200
    pair.client.send(data)
    pair.run(until=pair.now + 2 * SECOND)
    before = len(pair.segments("up"))
    start = pair.now
    pair.run(until=start + 60 * SECOND)
    times = [one.time for one in pair.crossings if one.way == "up"][before:]
    assert 3 <= len(times) < 40
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(later >= earlier - MILLISECOND for earlier, later in pairwise(gaps))
    assert all(len(segment.payload) <= 1 for segment in pair.segments("up")[before:])
    losing = lost_update
    pair.server.reading = True
    pair.server.read()
    pair.run(until=lambda: pair.server.received() == data, limit=200 * SECOND)
    assert pair.client.closed() is None
    expected = Verdict.TCP if profile is Profile.TCP else Verdict.MPTCP
    assert pair.client.report().verdict is expected


def test_a_closed_window_never_ends_a_connection() -> None:
    """As long as probes are answered (RFC 9293 §3.8.6.1)."""
    pair = Pair(server=ServerConfig(tcp=TcpConfig(receive_buffer=10_000)))
    pair.server.reading = False
    pair.establish()
    pair.client.send(b"q" * 50_000)
    pair.run(until=pair.now + 3_600 * SECOND)
    assert pair.client.closed() is None
    pair.server.reading = True
    pair.server.read()
    pair.run(until=lambda: len(pair.server.received()) == 50_000)


def test_a_probe_is_sent_once() -> None:
    """A window open by less than a segment: the probe's byte leaves twice at the same instant."""

    def small(way: str, n: int, s: Segment) -> Segment:
        return replace(s, window=300) if way == "down" and n > 2 else s

    pair = Pair(client=ClientConfig(profile=Profile.TCP, tcp=TcpConfig(window_scale=None)), rewrite=small)
    pair.establish()
    pair.client.send(b"q" * 100_000)
    pair.run(until=pair.now + 5 * SECOND)
    sent = [(c.time, c.segment.seq) for c in pair.crossings if c.way == "up" and c.segment.payload]
    assert len(sent) == len(set(sent))


@pytest.mark.parametrize("profile", SPOKEN)
def test_the_window_moves_by_segments(profile: Profile) -> None:
    """The application reads 100 bytes at a time: the right edge goes on by a whole segment or half the
    buffer, never by crumbs (RFC 9293 §3.8.6.2.2)."""
    small = TcpConfig(receive_buffer=20_000, window_scale=0)
    pair = Pair(client=ClientConfig(profile=profile), server=ServerConfig(tcp=small))
    pair.server.reading = False
    pair.establish()
    pair.client.send(bytes(60_000))
    pair.run(until=pair.now + SECOND)
    before = len(pair.segments("down"))
    for _ in range(150):
        pair.server.read(most=100)
        pair.run(until=pair.now + 5 * MILLISECOND)
    edges = sorted({(one.ack + one.window) & 0xFFFF_FFFF for one in pair.segments("down")[before:]})
    assert len(edges) > 3
    assert all(later - earlier >= 1_300 for earlier, later in pairwise(edges))


@pytest.mark.parametrize("chatter", [False, True])
def test_a_pause_ends_in_no_burst(chatter: bool) -> None:
    """Each subflow begins again with its initial window (RFC 5681 §4.1), whatever the peer says meanwhile;
    a short pause costs only a part."""
    pair = multipath(2)
    open_subflows(pair)
    transfer(pair, bytes(2_000_000))
    pair.run(until=pair.now + SECOND)

    def windows() -> list[int]:
        return [sub.cwnd for sub in pair.client.report().paths]

    before = max(windows())
    assert before > 100 * 1460
    pair.client.send(b"?")
    assert before / 40 < max(windows()) < before  # a second later
    pair.run(until=pair.now + 500 * MILLISECOND)
    for _ in range(40):
        if chatter:
            pair.server.send(b"!")
        pair.run(until=pair.now + 70 * MILLISECOND)
    began = pair.now
    pair.client.send(bytes(800_000))
    burst = [one.segment for one in pair.crossings if one.way == "up" and one.time == began]
    assert len(burst) <= 20
    assert max(windows()) == 14_600


def test_a_retransmission_with_a_new_acknowledgement_brings_its_window() -> None:
    """Its sequence number is old, so by SND.WL1 alone the left edge would move and the window would not: the
    sender would go beyond what the receiver has ever offered."""
    pair = Pair(server=ServerConfig(syn_cookies=SynCookies.OFF), client=ClientConfig(profile=Profile.TCP))
    pair.establish()
    pair.client.send(b"x" * 1_000)
    pair.run(until=lambda: pair.server.received() == b"x" * 1_000)
    pair.server.send(bytes(1_000))
    pair.run(until=lambda: len(pair.client.received()) == 1_000)
    pair.run(until=pair.now + SECOND)
    tcb_edge = onward(pair, "up", window=100, flags=ACK)
    pair.deliver(pair.server, replace(tcb_edge, seq=(tcb_edge.seq + 100) & 0xFFFF_FFFF))
    pair.server.send(bytes(100_000))
    pair.run(until=pair.now + 5 * MILLISECOND)
    sent = [one for one in pair.segments("down") if one.payload][1:]
    assert 0 < sum(len(one.payload) for one in sent) <= 100 << 7
    last = sent[-1]
    acked = (last.seq + len(last.payload)) & 0xFFFF_FFFF
    pair.deliver(pair.server, replace(tcb_edge, ack=acked, window=0))
    pair.run(until=pair.now + 5 * MILLISECOND)
    assert [one for one in pair.segments("down") if one.payload][1:] == sent
