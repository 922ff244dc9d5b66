"""One receive window for all subflows, and the connection's own retransmission timer.

Read first: RFC 8684 §3.3.2, §3.3.4, §3.3.6.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import SPOKEN, ClientConfig, Profile, ServerConfig, TcpConfig
from testbed.mptcp.paths import PathsConfig, parse_endpoint
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.reinject import MOST_COPIES
from testbed.mptcp.wire import RST, Dss, MpTcpRst, Segment
from tests.core.multipath import CLIENT, MPTCP_PROFILES, SERVER, dead_after, forged, multipath, open_subflows
from tests.pair import MILLISECOND, SECOND, Pair
from tests.properties.memory import deep_size

SMALL = TcpConfig(receive_buffer=20_000, window_scale=0)


def blocked(profile: Profile = Profile.V1) -> Pair:
    """The server's application reads nothing; the client has filled the window."""
    pair = multipath(profile=profile, server={"tcp": SMALL})
    open_subflows(pair)
    pair.server.reading = False
    pair.client.send(bytes(range(250)) * 400)
    pair.run(until=pair.now + SECOND // 2)
    return pair


def mapped(pair: Pair) -> int:
    """How far the client's mappings reach, from the first on."""
    ends = []
    for segment in pair.segments("up"):
        for one in segment.options:
            if isinstance(one, Dss) and one.dsn is not None and segment.payload:
                ends.append(one.dsn + one.length)
    return max(ends)


def last_ack(pair: Pair) -> int:
    return max(
        one.data_ack
        for segment in pair.segments("down")
        for one in segment.options
        if isinstance(one, Dss) and one.data_ack is not None
    )


def drain(pair: Pair) -> None:
    pair.server.reading = True
    pair.server.read()
    pair.run(until=lambda: pair.server.received() == b"?" + bytes(range(250)) * 400, limit=60 * SECOND)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("path", [1, 2])
def test_a_window_without_a_data_ack_opens_nothing(profile: Profile, path: int) -> None:
    pair = blocked(profile)
    before = mapped(pair)
    pair.deliver(pair.client, forged(pair, "down", path, window=60_000))
    pair.run(until=pair.now + 100 * MILLISECOND)
    assert mapped(pair) <= before + 1
    drain(pair)


@pytest.mark.parametrize("path", [1, 2])
def test_a_window_with_a_data_ack_opens_on_every_subflow(path: int) -> None:
    """Whichever subflow brings it, as long as the others' own windows allow (RFC 8684 §3.3.4)."""
    pair = blocked()
    before = mapped(pair)
    edge = Dss(data_ack=last_ack(pair), data_ack_8=True)
    pair.deliver(pair.client, forged(pair, "down", path, edge, window=30_000))
    assert before < mapped(pair) <= last_ack(pair) + 30_000


def test_the_right_edge_never_moves_back() -> None:
    """Neither for the sender, when a smaller window comes, nor in what the receiver offers."""
    pair = multipath(server={"tcp": SMALL})
    open_subflows(pair)
    pair.run(until=pair.now + SECOND)
    edge = Dss(data_ack=last_ack(pair), data_ack_8=True)
    pair.deliver(pair.client, forged(pair, "down", 2, edge, window=100))
    pair.client.send(bytes(20_000))
    pair.run(until=lambda: len(pair.server.received()) == 20_001)
    seen = 0
    for segment in [one.segment for one in pair.crossings if one.way == "down" and one.fate != "injected"]:
        for one in segment.options:
            if isinstance(one, Dss) and one.data_ack is not None:
                assert one.data_ack + segment.window >= seen
                seen = max(seen, one.data_ack + segment.window)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_acknowledged_below_and_not_above(profile: Profile) -> None:
    """Both subflows have acknowledged it, no DATA_ACK has come: the connection's timer sends it again, and
    nothing is freed before (RFC 8684 §3.3.6)."""
    frozen: list[int | None] = []

    def stale(way: str, number: int, segment: Segment) -> Segment:
        if way == "up" or not frozen:
            return segment
        options = tuple(
            replace(one, data_ack=frozen[0]) if isinstance(one, Dss) and one.data_ack_8 else one
            for one in segment.options
        )
        return replace(segment, options=options)

    pair = multipath(profile=profile, rewrite=stale)
    open_subflows(pair)
    pair.run(until=pair.now + SECOND)
    frozen.append(last_ack(pair))
    pair.client.send(b"q" * 10_000)
    pair.run(until=pair.now + SECOND // 10)
    assert len(pair.server.received()) == 10_001
    assert pair.client.endpoint.counters["DataRetrans"] == 0
    pair.run(until=pair.now + 5 * SECOND)
    again = pair.client.endpoint.counters["DataRetrans"]
    assert 2 <= again <= 5  # each wait is twice the one before
    assert pair.server.endpoint.counters["DuplicateData"] > 0
    frozen.clear()
    pair.client.send(b"r" * 10_000)
    pair.run(until=lambda: len(pair.server.received()) == 20_001, limit=60 * SECOND)
    pair.client.close()
    pair.server.close()
    pair.run()
    assert pair.client.closed().clean  # type: ignore[union-attr]


def test_a_peer_that_never_sends_a_data_ack_again() -> None:
    """The same bytes go again, less and less often; when that has failed often enough no mapping gets
    through, so the subflows are reset (MP_TCPRST reason 6). Nothing piles up."""
    pair = multipath()
    open_subflows(pair)
    pair.run(until=pair.now + SECOND)
    frozen = last_ack(pair)

    def stale(way: str, number: int, segment: Segment) -> Segment:
        options = tuple(
            replace(one, data_ack=frozen) if way == "down" and isinstance(one, Dss) and one.data_ack else one
            for one in segment.options
        )
        return replace(segment, options=options)

    pair.rewrite = stale
    pair.client.send(bytes(100_000))
    sizes = []
    for _ in range(2):
        pair.run(until=pair.now + 600 * SECOND)
        sizes.append(deep_size(pair.client.endpoint, without=(pair, pair.client)))
    assert pair.client.endpoint.counters["DataRetrans"] == MOST_COPIES
    assert sizes[1] - sizes[0] < 5_000
    resets = [one for one in pair.segments("up") if one.flags & RST]
    assert [one.src for one in resets] == list(CLIENT[:2])
    assert all(MpTcpRst(6) in one.options for one in resets)
    closed = pair.client.closed()
    assert closed is not None
    assert (closed.verdict, closed.reason) == (Verdict.RESET, Reason.DATA_ACK_OVERDUE)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("words", ["10.0.2.1 subflow pair", "10.0.2.1 subflow pair backup"])
@pytest.mark.parametrize("path", [1, 2])
def test_a_path_that_dies_while_the_window_is_closed(profile: Profile, words: str, path: int) -> None:
    """It probes the window, nobody answers, and no retransmission timer runs there. The news that the window
    is open comes on the other path, which takes over what the probe was to carry."""
    paths = PathsConfig((parse_endpoint(words),))
    pair = multipath(profile=profile, client={"paths": paths}, server={"tcp": SMALL})
    open_subflows(pair)
    pair.server.reading = False
    data = bytes(range(250)) * 400
    pair.client.send(data)
    pair.run(until=pair.now + 3 * SECOND)
    dead_after(pair, 0, path)
    pair.run(until=pair.now + 5 * SECOND)
    pair.server.reading = True
    pair.server.read()
    pair.run(until=lambda: pair.server.received() == b"?" + data, limit=20 * SECOND)


@pytest.mark.parametrize("profile", SPOKEN)
def test_a_peer_that_dies_behind_a_closed_window(profile: Profile) -> None:
    """Probes that nobody answers are attempts like all others (RFC 9293 §3.8.6.1, §3.8.3)."""
    tcp = TcpConfig(data_attempts=6)
    pair = Pair(client=ClientConfig(profile=profile, tcp=tcp), server=ServerConfig(tcp=SMALL))
    pair.establish()
    pair.server.reading = False
    pair.client.send(bytes(100_000))
    pair.run(until=pair.now + 600 * SECOND)
    assert pair.client.closed() is None
    pair.lose = lambda way, number, segment: True
    pair.run(until=lambda: pair.client.closed() is not None, limit=600 * SECOND)
    assert pair.client.report().reason is Reason.DATA_TIMED_OUT


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_subflow_repeats_what_another_has_delivered(profile: Profile) -> None:
    """Sent again elsewhere and DATA_ACKed, but never acknowledged here: the subflow's stream has no holes
    (RFC 8684 §3.3.6)."""
    pair = multipath(profile=profile)
    open_subflows(pair)
    pair.run(until=pair.now + SECOND)
    dead = True
    pair.lose = lambda way, number, segment: dead and segment.src in (CLIENT[1], SERVER[1])
    pair.client.send(b"q" * 40_000)
    pair.run(until=lambda: len(pair.server.received()) == 40_001)
    pair.run(until=pair.now + SECOND // 2)
    lost = [one for one in pair.crossings if one.segment.src == CLIENT[1] and one.segment.payload]
    assert lost
    assert all(one.fate for one in lost)
    dead = False
    pair.run(until=pair.now + 20 * SECOND)
    whole = {one.segment.seq for one in lost}
    after = {one.segment.seq for one in pair.crossings if one.segment.src == CLIENT[1] and not one.fate}
    assert whole <= after
    pair.client.send(b"r" * 40_000)
    pair.run(until=lambda: len(pair.server.received()) == 80_001)
    assert pair.client.report().paths[1].bytes_sent > sum(len(one.segment.payload) for one in lost)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_probe_whose_path_dies_is_sent_by_another(profile: Profile) -> None:
    """The last byte is a window probe. Its path dies and the other one's window update is lost: nothing is
    left to be mapped, and the byte that is to go again is all that can ask for the window."""
    pair = multipath(profile=profile, server={"tcp": SMALL})
    open_subflows(pair)
    pair.server.reading = False
    pair.client.send(bytes(20_000))
    pair.run(until=pair.now + 150 * MILLISECOND)  # all but the last byte fill the window
    dead_after(pair, pair.now - pair.start, 1)
    until_dead, before = pair.lose, len(pair.segments("up"))
    pair.run(until=lambda: len(pair.segments("up")) > before)
    probe = pair.segments("up")[-1]
    assert ({probe.src, probe.dst}, len(probe.payload)) == ({CLIENT[0], SERVER[0]}, 1)
    pair.lose = lambda way, number, segment: way == "down" or until_dead(way, number, segment)
    pair.server.reading = True
    pair.server.read()
    pair.run(until=pair.now + MILLISECOND)
    pair.lose = until_dead
    pair.run(until=lambda: len(pair.server.received()) == 20_001, limit=10 * SECOND)
