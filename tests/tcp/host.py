"""One subflow without MPTCP: a Tcb, bytes to send, and segments in and out.

`Host` is what a connection is to its subflow: it commits bytes, sends the spans that TCP lets go, answers
with ACKs and SACK blocks. `Sender` is a Host whose peer is played by hand, in segments of 1000 bytes:
`sender.write(10)` gives what leaves, `sender.ack(1, (2, 4))` acknowledges segment 0 and SACKs 2 and 3, and
gives what leaves then. A segment is named by its number, a longer stretch (first, behind the last).
"""

from __future__ import annotations

from testbed.mptcp.config import MILLISECOND, TcpConfig
from testbed.mptcp.tcp.arrive import Arrival, segment_arrives
from testbed.mptcp.tcp.handshake import agree, read_syn_options, syn_options, synack_options
from testbed.mptcp.tcp.output import (
    Span,
    acknowledged,
    arm_persist,
    next_span,
    offer_window,
    room_for_new,
    span_sent,
)
from testbed.mptcp.tcp.recovery import Phase
from testbed.mptcp.tcp.sack import sack_due, sack_option
from testbed.mptcp.tcp.state import SYNCHRONIZED, State
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.tcp.timers import Expiry, handle_timeout, syn_sent
from testbed.mptcp.wire import (
    ACK,
    FIN,
    SYN,
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Segment,
    Timestamps,
)

A, B = (bytes((10, 0, 0, 1)), 1000), (bytes((10, 0, 0, 2)), 2000)
SIZE = 1000  # bytes of a segment in a script
START = 1_000 * 1_000_000_000

Stretch = int | tuple[int, int]


class Host:
    """`frame`: bytes that one span may carry; by default the MSS less the options."""

    def __init__(
        self, config: TcpConfig, local: tuple[bytes, int] = A, remote: tuple[bytes, int] = B, frame: int = 0
    ) -> None:
        self.tcb = Tcb(config, local, remote, 77, 0)
        self.frame = frame
        self.queued = 0
        self.received = 0

    def most(self, offset: int) -> int:
        return self.frame or self.tcb.mss - (12 if self.tcb.ts_on else 0)

    def connect(self, now: int) -> Segment:
        self.tcb.move(State.SYN_SENT)
        return self._syn(now)

    def _syn(self, now: int) -> Segment:
        tcb = self.tcb
        window = tcb.config.syn_window
        tcb.rcv_adv = max(tcb.rcv_adv, 1 + window)
        syn_sent(tcb, now)
        if tcb.state is State.SYN_RECEIVED:
            options, bits, ack = synack_options(tcb, now), SYN | ACK, tcb.wire_ack()
        else:
            options, bits, ack = syn_options(tcb, now), SYN, 0
        return Segment(*self._ends(), tcb.iss, ack, bits, window, options)

    def _ends(self) -> tuple[bytes, bytes, int, int]:
        (src, sport), (dst, dport) = self.tcb.local, self.tcb.remote
        return src, dst, sport, dport

    def take(self, now: int, segment: Segment) -> Arrival:
        tcb = self.tcb
        if tcb.state is State.CLOSED and segment.flags == SYN:
            tcb.irs = segment.seq
            agree(tcb, read_syn_options(segment), now)
            tcb.snd_wnd = tcb.max_snd_wnd = segment.window
            tcb.move(State.SYN_RECEIVED)
            tcb.syn_due = True
            return Arrival()
        arrival = segment_arrives(tcb, now, segment)
        tcb.syn_due = tcb.syn_due or arrival.resend_synack
        self.received += len(arrival.data)
        return arrival

    def next(self, now: int) -> Segment | None:
        """In the order of a connection: ACKs that have blocks, data, other ACKs."""
        tcb = self.tcb
        if tcb.syn_due:
            return self._syn(now)
        if tcb.state not in SYNCHRONIZED:
            return None
        while self.queued and (count := room_for_new(tcb, self.queued, self.most(tcb.snd_end))):
            tcb.snd_end += count
            self.queued -= count
        if sack_due(tcb):
            return self._segment(now, tcb.snd_nxt, ACK, 0)
        span = next_span(tcb, self.most, now)
        if span is not None:
            self.before_sending(span)
            span_sent(tcb, now, span)
            return self._segment(now, span.offset, ACK | (FIN if span.fin else 0), span.length)
        if tcb.ack_now:
            return self._segment(now, tcb.snd_nxt, ACK, 0)
        arm_persist(tcb, now, self.queued > 0 or tcb.snd_end > tcb.snd_nxt)
        return None

    def before_sending(self, span: Span) -> None:
        """For tests that watch."""

    def _segment(self, now: int, offset: int, bits: int, length: int) -> Segment:
        tcb = self.tcb
        options: list[Option] = []
        if tcb.ts_on:
            options.append(Timestamps(tcb.timestamp(now), tcb.ts_recent))
        if not length:
            sack = sack_option(tcb, 40 - 10 * len(options))
            options += [sack] if sack is not None else []
        space = tcb.config.receive_buffer - tcb.reassembly.held
        window, _ = offer_window(tcb, tcb.rcv_nxt, tcb.rcv_adv, space)
        acknowledged(tcb)
        return Segment(
            *self._ends(),
            tcb.wire_seq(offset),
            tcb.wire_ack(),
            bits,
            window,
            tuple(options),
            bytes(length),
        )


class Sender(Host):
    """Established after a round trip of `rtt` ms; the window holds `window` segments."""

    def __init__(
        self,
        *,
        sack: bool = True,
        timestamps: bool = False,
        window: int = 10,
        frame: int = 0,
        rtt: float = 20,
        delayed_ack: bool = False,
        peer_window: int = 60_000,
        congestion: str = "newreno",
    ) -> None:
        config = TcpConfig(
            mss=SIZE + 12 * timestamps,
            timestamps=timestamps,
            window_scale=None,
            congestion=congestion,
        )
        super().__init__(config, frame=frame * SIZE)
        self.now = START
        self.peer_window = peer_window
        self.connect(self.now)
        self.now += round(rtt * MILLISECOND)
        offers: list[Option] = [MaximumSegmentSize(config.mss)]
        if sack:
            offers.append(SackPermitted())
        if timestamps:
            offers.append(Timestamps(500, self.tcb.timestamp(START)))
        src, dst, sport, dport = self._ends()
        synack = Segment(
            dst, src, dport, sport, 9_000, 78, SYN | ACK, min(peer_window, 65_535), tuple(offers)
        )
        assert self.take(self.now, synack).established
        self.flush()
        self.tcb.cc.cwnd = window * SIZE

    # -- our side -------------------------------------------------------------------------------------

    def write(self, segments: float, finish: bool = False) -> list[Stretch]:
        self.queued += int(segments * SIZE)
        sent = self.flush()
        if finish:
            self.tcb.fin_queued = True
            sent += self.flush()
        return sent

    def flush(self) -> list[Stretch]:
        """All that may leave now. Empty segments are not named."""
        sent: list[Stretch] = []
        while (segment := self.next(self.now)) is not None:
            start = (segment.seq - self.tcb.iss - 1) & 0xFFFF_FFFF
            end = start + len(segment.payload)
            if segment.flags & FIN:
                sent.append((start, end + 1))
            elif start % SIZE or end % SIZE:
                sent.append((start, end))
            elif end - start == SIZE:
                sent.append(start // SIZE)
            elif end > start:
                sent.append((start // SIZE, end // SIZE))
        return sent

    # -- the peer -------------------------------------------------------------------------------------

    def ack(
        self,
        upto: float,
        *blocks: tuple[float, float],
        after: float = 0,
        echo: int | None = None,
        window: int | None = None,
    ) -> list[Stretch]:
        """`upto` and `blocks` in segments; `after`: ms later than now. `echo`: the moment whose timestamp
        it echoes; the present by default."""
        self.now += round(after * MILLISECOND)
        options: list[Option] = []
        if self.tcb.ts_on:
            echoed = self.tcb.timestamp(self.now if echo is None else echo)
            options.append(Timestamps(500 + (self.now - START) // MILLISECOND, echoed))
        if blocks:
            options.append(Sack(tuple((self._wire(left), self._wire(right)) for left, right in blocks)))
        self.arrive(options, self._wire(upto), self.peer_window if window is None else window)
        return self.flush()

    def _wire(self, segments: float) -> int:
        return self.tcb.wire_seq(1 + round(segments * SIZE))

    def arrive(self, options: list[Option], ack: int, window: int, seq: int = 9_001) -> Arrival:
        src, dst, sport, dport = self._ends()
        return self.take(self.now, Segment(dst, src, dport, sport, seq, ack, ACK, window, tuple(options)))

    def wait(self, ms: float) -> list[Stretch]:
        """Time passes, timers run out; what leaves meanwhile."""
        until, sent = self.now + round(ms * MILLISECOND), []
        while (at := self.tcb.deadline()) is not None and at <= until:
            self.now = max(self.now, at)
            assert handle_timeout(self.tcb, self.now) is Expiry.NOTHING
            sent += self.flush()
        self.now = until
        return sent

    # -- what is known --------------------------------------------------------------------------------

    @property
    def cwnd(self) -> float:
        """In segments."""
        return self.tcb.cc.cwnd / SIZE

    @property
    def flight(self) -> float:
        return self.tcb.flight / SIZE

    @property
    def phase(self) -> Phase:
        return self.tcb.recovery.phase
