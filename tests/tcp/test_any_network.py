"""Two subflows over a network that loses, delays and doubles as hypothesis likes.

Whatever it does: all bytes arrive, what is in flight is never less than nothing, no byte that the peer
has SACKed is sent again before a timeout, and the books stay small. Frames longer than a segment are cut
on their way, and each part has a fate of its own.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.mptcp.config import MILLISECOND, SECOND, TcpConfig
from testbed.mptcp.tcp.output import Span
from testbed.mptcp.tcp.recovery import Phase
from testbed.mptcp.tcp.sack import MOST_BLOCKS
from testbed.mptcp.tcp.timers import Expiry, handle_timeout
from testbed.mptcp.wire import Segment
from tests.tcp.host import START, A, B, Host

DELAY = 10 * MILLISECOND
FATES = {  # later deliveries, none when lost
    "goes": [0],
    "lost": [],
    "late": [3 * MILLISECOND],
    "very late": [300 * MILLISECOND],
    "twice": [0, 0],
    "and late": [0, 25 * MILLISECOND],
}


class Watched(Host):
    """Checks the books at every step."""

    def check(self) -> None:
        tcb, board = self.tcb, self.tcb.board
        assert tcb.flight >= 0
        assert board.presumed >= 0
        edges = [(one.start, one.end) for one in board.ranges]
        assert all(start < end for start, end in edges)
        assert [end for _, end in edges[:-1]] == [start for start, _ in edges[1:]]
        if edges:
            assert (edges[0][0], edges[-1][1]) == (max(tcb.snd_una, 1), tcb.snd_nxt)
        assert board.sacked == sum(one.end - one.start for one in board.ranges if one.sacked)
        assert board.lost == sum(one.end - one.start for one in board.ranges if one.lost)
        assert len(board.ranges) <= 2 * (tcb.snd_nxt - tcb.snd_una) // 100 + 2
        assert len(tcb.sack_blocks) <= MOST_BLOCKS

    def before_sending(self, span: Span) -> None:
        if span.offset >= self.tcb.snd_nxt or span.probe:
            return
        end = span.offset + span.length
        for one in self.tcb.board.ranges:
            if one.sacked and one.start < end and span.offset < one.end:
                raise AssertionError(f"{span} is SACKed in {one.start}..{one.end}")


class Wire:
    def __init__(self, client: Watched, server: Watched, up: list[str], down: list[str]) -> None:
        self.now = START
        self.hosts = (client, server)
        self.fates = {client: iter(up), server: iter(down)}
        self.flying: list[tuple[int, int, Watched, Segment]] = []
        self.sent = 0

    def run(self, until: int) -> None:
        """Until nothing is left to happen."""
        self.put(self.hosts[0], self.hosts[0].connect(self.now))
        while True:
            moments = [at for host in self.hosts if (at := host.tcb.deadline()) is not None]
            if self.flying:
                moments.append(self.flying[0][0])
            if not moments:
                return
            self.now = max(self.now, min(moments))
            assert self.now < until, "no end in sight"
            self.step()

    def step(self) -> None:
        if self.flying and self.flying[0][0] <= self.now:
            _, _, host, segment = heapq.heappop(self.flying)
            host.take(self.now, segment)
            self.flush(host)
            return
        for host in self.hosts:
            at = host.tcb.deadline()
            if at is not None and at <= self.now:
                assert handle_timeout(host.tcb, self.now) is Expiry.NOTHING
                self.flush(host)

    def flush(self, host: Watched) -> None:
        host.check()
        while (segment := host.next(self.now)) is not None:
            host.check()
            self.put(host, segment)

    def put(self, host: Watched, segment: Segment) -> None:
        peer = self.hosts[1 - self.hosts.index(host)]
        size = host.most(0) if not host.frame else host.tcb.mss
        for start in range(0, max(len(segment.payload), 1), size):
            part = replace(
                segment, seq=(segment.seq + start) % 2**32, payload=segment.payload[start : start + size]
            )
            for extra in FATES[next(self.fates[host], "goes")]:
                self.sent += 1
                assert self.sent < 5_000, "an endless exchange"
                heapq.heappush(self.flying, (self.now + DELAY + extra, self.sent, peer, part))


WEATHER = {  # how often each fate
    "fair": {"goes": 97, "lost": 1, "late": 1, "twice": 1},
    "lossy": {"goes": 80, "lost": 20},
    "stormy": {"goes": 50, "lost": 50},
    "disorder": {"goes": 70, "late": 20, "and late": 10},
    "jerky": {"goes": 90, "very late": 5, "lost": 5},
    "all": {"goes": 60, "lost": 10, "late": 10, "very late": 5, "twice": 10, "and late": 5},
}


def drawn(weather: str, seed: int) -> list[str]:
    """For the first 300 packets; then all is quiet."""
    weights = WEATHER[weather]
    return random.Random(seed).choices(list(weights), list(weights.values()), k=300)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    up=st.sampled_from(list(WEATHER)),
    down=st.sampled_from(list(WEATHER)),
    seed=st.integers(0, 1 << 32),
    sack=st.booleans(),
    timestamps=st.booleans(),
    frame=st.sampled_from([0, 8_000, 64_000]),
    window=st.sampled_from([1, 10, 40]),
    buffer=st.sampled_from([4_000, 60_000]),
)
def test_everything_arrives(
    up: str, down: str, seed: int, sack: bool, timestamps: bool, frame: int, window: int, buffer: int
) -> None:
    size = 60_000
    config = TcpConfig(
        mss=1_000,
        sack=sack,
        timestamps=timestamps,
        window_scale=None,
        receive_buffer=buffer,
        initial_window=window,
        data_attempts=100,
        syn_attempts=100,
    )
    client, server = Watched(config, A, B, frame), Watched(config, B, A, frame)
    client.queued = size
    wire = Wire(client, server, drawn(up, seed), drawn(down, seed + 1))
    wire.run(START + 100_000 * SECOND)
    assert server.received == size
    assert client.tcb.snd_una == size + 1
    assert client.tcb.recovery.phase is Phase.OPEN or client.tcb.snd_una == client.tcb.snd_nxt
    assert client.tcb.board.ranges == []
    assert not client.tcb.board.resent
    assert client.tcb.flight == 0
