"""The transmission control block: the state of one subflow.

Holds numbers, decides nothing: arrive.py changes it for a segment that came in, output.py for one that
goes out, timers.py for a deadline. Read first: RFC 9293 §3.3.1.

Sequence numbers are kept as *offsets*: unbounded integers, relative to the initial sequence number
(SYN = 0, first byte = 1), which is also how MPTCP counts a subflow (RFC 8684 §3.3.1). They meet the
32-bit numbers of the wire only in `wire_seq` and `peer_offset`.
"""

from __future__ import annotations

from testbed.mptcp.cc import CONTROLLERS, Group
from testbed.mptcp.config import MILLISECOND, SECOND, TcpConfig
from testbed.mptcp.ranges import Reassembly
from testbed.mptcp.tcp.rack import Rack
from testbed.mptcp.tcp.recovery import Recovery
from testbed.mptcp.tcp.rtt import RttEstimator
from testbed.mptcp.tcp.scoreboard import Scoreboard
from testbed.mptcp.tcp.state import MAY_SEND_DATA, MOVES, State
from testbed.mptcp.wire.options import MAX_OPTION_BYTES
from testbed.mptcp.wire.sequence import MASK32, seq_diff, seq_lt

DEFAULT_MSS = 536  # RFC 9293 §3.7.1 (SHLD-5); 1220 for IPv6
DEFAULT_MSS_V6 = 1220
LEAST_MTU, LEAST_MTU_V6 = 552, 1280  # that a router is believed; Linux's min_pmtu, and RFC 8201 §4
MTU_LIFE = 600 * SECOND  # RFC 1191 §6.3: the path may have changed since


class TailProbe:
    """`at`: when the probe is due by the clock; `due`: it is to be sent now. `end` is SND.NXT behind a probe
    whose answer is awaited, of the bytes `start`..`stop`; `again`: they were sent before."""

    __slots__ = ("again", "at", "due", "end", "start", "stop")

    def __init__(self) -> None:
        self.at: int | None = None
        self.end: int | None = None
        self.due = self.again = False
        self.start = self.stop = 0

    def cancel(self) -> None:
        self.at = self.end = None
        self.due = False


class Tcb:
    __slots__ = (
        "ack_now",
        "board",
        "bytes_since_ack",
        "cc",
        "challenge_at",
        "config",
        "crowded",
        "data_attempts",
        "delayed_ack_at",
        "dsack",
        "early",
        "echo_is_cookie",
        "fast_open",
        "fin_queued",
        "group",
        "ipv6",
        "irs",
        "iss",
        "last_ack_sent",
        "local",
        "lost_syn",
        "max_snd_wnd",
        "mss",
        "mss_agreed",
        "mtu_at",
        "paws_at",
        "persist_at",
        "persist_count",
        "probe",
        "probe_waits",
        "rack",
        "rcv_adv",
        "rcv_fin",
        "rcv_wscale",
        "reassembly",
        "recovery",
        "refused_at",
        "remote",
        "reo_at",
        "resent_timestamp",
        "retransmits",
        "rto_at",
        "rtt",
        "sack_blocks",
        "sack_on",
        "sent_at",
        "snd_end",
        "snd_nxt",
        "snd_una",
        "snd_wl1",
        "snd_wl2",
        "snd_wnd",
        "snd_wscale",
        "state",
        "syn_count",
        "syn_data",
        "syn_data_sent",
        "syn_due",
        "syn_sent_at",
        "tail",
        "time_wait_at",
        "ts_offset",
        "ts_on",
        "ts_recent",
        "wscale_on",
    )

    def __init__(
        self,
        config: TcpConfig,
        local: tuple[bytes, int],
        remote: tuple[bytes, int],
        iss: int,
        ts_offset: int,
    ) -> None:
        self.config = config
        self.local, self.remote = local, remote
        self.ipv6 = len(local[0]) == 16
        self.state = State.CLOSED
        self.iss, self.irs = iss, 0
        # Sending: offsets. snd_end is the end of what was queued; a queued FIN sits there.
        self.snd_una = self.snd_nxt = 0
        self.snd_end = 1
        self.fin_queued = False
        self.snd_wnd = self.max_snd_wnd = 0
        self.snd_wl1 = self.snd_wl2 = 0
        self.snd_wscale = self.rcv_wscale = 0
        self.wscale_on = False
        self.mss = self.mss_agreed = DEFAULT_MSS_V6 if self.ipv6 else DEFAULT_MSS
        self.mtu_at: int | None = None  # when a router last confirmed an MTU below that of the handshake
        # Receiving: offsets of the peer's numbers.
        self.reassembly = Reassembly(1, config.receive_buffer)
        self.crowded = False  # there is room for what is next, and for nothing else
        self.rcv_fin: int | None = None  # offset of the peer's FIN, once seen
        self.rcv_adv = 0  # right edge ever advertised
        self.last_ack_sent = 0
        # Timestamps (RFC 7323).
        self.ts_on = False
        self.ts_offset = ts_offset
        self.ts_recent = 0
        self.resent_timestamp: int | None = None  # our TSval on the last retransmission
        self.echo_is_cookie = False  # the next echo brings back a SYN cookie's timestamp: no RTT sample
        self.paws_at = 0  # when ts_recent was set
        # Selective acknowledgement (RFC 2018).
        self.sack_on = False
        self.sack_blocks: list[tuple[int, int]] = []  # out of order here, the most recently changed first
        self.dsack: tuple[int, int] | None = None  # came twice, to be reported
        # Acknowledging.
        self.ack_now = False
        self.bytes_since_ack = 0
        self.delayed_ack_at: int | None = None
        self.challenge_at: int | None = None  # when the last challenge ACK was sent
        self.refused_at: int | None = None  # when an unacceptable segment was last answered
        # Loss and time.
        self.rtt = RttEstimator(config)
        self.board = Scoreboard()
        self.rack = Rack()
        self.recovery = Recovery()
        self.tail = TailProbe()
        self.reo_at: int | None = None  # when RACK looks again at what may be lost
        self.group: Group | None = None  # the connection's controllers, for coupled congestion control
        self.cc = CONTROLLERS[config.congestion](self.mss, config.initial_window)
        self.rto_at: int | None = None
        self.sent_at = 0  # the last time that data left; idle time that was reacted to does not count
        self.syn_sent_at: int | None = None  # of a SYN or SYN/ACK that was sent once and not yet answered
        self.persist_at: int | None = None
        self.persist_count = 0
        self.probe = False
        self.probe_waits = False  # one was sent, and nothing has come since
        self.time_wait_at: int | None = None
        self.syn_count = 0
        self.syn_due = False  # a SYN or SYN/ACK is to be sent
        self.syn_data = 0  # bytes of data that we took from the peer's SYN (RFC 7413)
        self.syn_data_sent = 0  # bytes of data that our SYN carried, as long as its ACK is awaited
        self.fast_open = False  # the peer's SYN brought a good cookie
        self.early = False  # so data may be sent before the handshake is over
        self.lost_syn = False
        self.data_attempts = 0
        self.retransmits = 0

    def move(self, state: State) -> None:
        if state is not State.CLOSED and state not in MOVES[self.state]:
            raise AssertionError(f"no move {self.state.value} -> {state.value} (RFC 9293 §3.3.2)")
        if state is State.CLOSED:
            self.syn_due = False
        self.state = state

    @property
    def may_send_data(self) -> bool:
        """As far as the state goes. With Fast Open also behind our SYN/ACK (RFC 7413 §4.2.2)."""
        if self.state in MAY_SEND_DATA:
            return True
        return self.early and self.state is State.SYN_RECEIVED and not self.syn_due

    @property
    def rcv_nxt(self) -> int:
        """Next offset expected, the FIN included once it was taken in order."""
        return self.reassembly.next

    @property
    def flight(self) -> int:
        """Bytes on their way: sent, and neither acknowledged, SACKed nor lost (RFC 6675 §4's pipe)."""
        board = self.board
        return self.snd_nxt - self.snd_una - board.sacked - board.presumed - board.lost

    def wire_seq(self, offset: int) -> int:
        return (self.iss + offset) & MASK32

    def begin_behind(self, earlier: Tcb) -> None:
        """On the ports of one in TIME-WAIT the ISN lies beyond all that was sent (RFC 9293 §3.6.1): a fast
        connection is ahead of the clock. No cookie's, which must come back as it is."""
        least = earlier.wire_seq(earlier.snd_nxt)
        if seq_lt(self.iss, least):
            self.iss = least

    def wire_ack(self) -> int:
        return (self.irs + self.reassembly.next) & MASK32

    def peer_offset(self, seq: int) -> int:
        """A sequence number of the peer as an offset, the one closest to rcv_nxt."""
        near = self.reassembly.next
        return near + seq_diff(seq, (self.irs + near) & MASK32)

    def ack_offset(self, ack: int) -> int:
        """An acknowledgement number of the peer as an offset of ours, the one closest to snd_una."""
        return self.snd_una + seq_diff(ack, (self.iss + self.snd_una) & MASK32)

    def timestamp(self, now: int) -> int:
        """Our timestamp clock: 1 ms, from an origin of its own per pair of addresses (RFC 7323 §5.4)."""
        return (now // MILLISECOND + self.ts_offset) & MASK32

    def set_mss(self, announced: int | None) -> None:
        """`announced`: the peer's MSS option, None if it sent none."""
        default = DEFAULT_MSS_V6 if self.ipv6 else DEFAULT_MSS
        own = self.config.mss_from(self.local[0])
        self.mss = self.mss_agreed = max(min(announced if announced is not None else default, own), 64)

    def path_mtu_lowered(self, mtu: int, now: int) -> None:
        """Smaller segments from now on. What was too big is sent again at once, which is no sign of
        congestion (RFC 1191 §6.4, RFC 8201 §5.4).

        Departs from RFC 1191 §3 because MTUs below 552 are forged rather than real: they count as 552.
        """
        mss = max(mtu, LEAST_MTU_V6 if self.ipv6 else LEAST_MTU) - (60 if self.ipv6 else 40)
        if mss <= self.mss < self.mss_agreed or mss < self.mss:
            self.mtu_at = now
        if mss < self.mss:
            self.mss = self.cc.mss = mss
            self.board.mark_longer_lost(mss - MAX_OPTION_BYTES)

    def path_mtu_recovers(self, now: int) -> None:
        """Segments as large as agreed again, some time after a router has last asked for smaller ones. If
        the path is still that narrow, it says so (RFC 1191 §6.3, RFC 8201 §4)."""
        if self.mtu_at is not None and now - self.mtu_at >= MTU_LIFE:
            self.mtu_at = None
            self.mss = self.cc.mss = self.mss_agreed

    def start_congestion_control(self) -> None:
        """At the end of the handshake, when the MSS is known and whether a SYN was lost."""
        controller = CONTROLLERS[self.config.congestion]
        if self.group is not None:
            self.group.leave(self.cc)  # Fast Open starts it before the handshake is over, too
        self.cc = controller(self.mss, self.config.initial_window, self.lost_syn, self.group)
        self.rack.min_rtt = self.rtt.min_rtt
        if self.lost_syn:
            self.rtt.after_lost_syn()

    def deadline(self) -> int | None:
        """The earliest of the subflow's timers."""
        earliest = self.rto_at
        for at in (self.tail.at, self.reo_at, self.delayed_ack_at, self.persist_at, self.time_wait_at):
            if at is not None and (earliest is None or at < earliest):
                earliest = at
        return earliest
