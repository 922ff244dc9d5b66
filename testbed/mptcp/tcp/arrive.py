"""SEGMENT ARRIVES, in the RFC's own order: what a segment does to a subflow.

Decides acceptability, resets, acknowledgements, what text is taken, and the state moves. Gives an
`Arrival`: the facts that the connection above goes on with. Knows no MPTCP: an option counts only when
`Arrival.accepted` says that the segment passed these checks (RFC 8684 §3.4 demands that).
Read first: RFC 9293 §3.10.7.3-4, RFC 7323 §5, RFC 5961 §3-5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from testbed.mptcp.config import MILLISECOND, SECOND
from testbed.mptcp.tcp import tail
from testbed.mptcp.tcp.handshake import agree, read_syn_options
from testbed.mptcp.tcp.loss import acknowledged, window_closed, window_opened
from testbed.mptcp.tcp.sack import came_twice, first_copy, forget_blocks, read_blocks, took_out_of_order
from testbed.mptcp.tcp.state import MAY_RECEIVE_DATA, State
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire import ACK, FIN, RST, SYN, Segment, Timestamps
from testbed.mptcp.wire.options import MAX_OPTION_BYTES
from testbed.mptcp.wire.sequence import seq_add, seq_diff, seq_lt

CHALLENGE_INTERVAL = SECOND // 2  # at most one challenge ACK per subflow in this time (RFC 5961 §7)
PROBE = 1  # byte that a window probe carries
TS_RECENT_LIFE = 24 * 24 * 3600 * SECOND  # RFC 7323 §5.5


@dataclass(slots=True)
class Arrival:
    """What one segment did. `dropped` names the rule that it broke, for trace and counter."""

    dropped: str | None = None
    accepted: bool = False
    reset: bool = False
    established: bool = False  # this segment ended the handshake
    resend_synack: bool = False
    answer_reset: bool = False  # an acceptable connection does not exist: answer <SEQ=SEG.ACK><CTL=RST>
    acked: int = 0  # sequence numbers newly acknowledged
    syn_data: int = 0  # bytes of our SYN's data that its SYN/ACK acknowledged (RFC 7413)
    offset: int = 0  # of the segment's first byte
    data_at: int = 0
    data: bytes = b""  # bytes that came in order, from offset data_at
    fin: bool = False  # the peer's FIN was taken in order
    window_opened: bool = False  # it ends the time of a closed send window
    closed: bool = False  # LAST-ACK was acknowledged


def segment_arrives(
    tcb: Tcb,
    now: int,
    segment: Segment,
    counts_as_duplicate: bool = True,
    room: int | None = None,
) -> Arrival:
    """`counts_as_duplicate`: False for ACKs that carry an MPTCP signal (RFC 8684 §3.3.5). `room`: bytes of
    the segment's text that the connection's receive window has room for; None: all (RFC 8684 §3.3.4). In a
    SYN/ACK 0 means that neither text nor FIN count: the peer sends them again."""
    if tcb.state is State.SYN_SENT:
        return _in_syn_sent(tcb, now, segment, takes_text=room != 0)
    if _ends_simultaneous_open(tcb, segment):
        tcb.ack_now = True  # our own SYN/ACK may be lost
        window = segment.window >> tcb.snd_wscale  # it counts as scaled from here on
        segment = replace(segment, seq=seq_add(segment.seq, 1), flags=segment.flags & ~SYN, window=window)
    arrival = Arrival(offset=tcb.peer_offset(segment.seq))
    if segment.flags & SYN:
        arrival.offset += 1  # the first byte follows the SYN
    timestamp = _timestamps(segment) if tcb.ts_on else None
    if not (
        _timestamp_is_fresh(tcb, now, segment, timestamp, arrival)
        and _sequence_is_acceptable(tcb, now, segment, arrival)
        and _reset_and_syn(tcb, now, segment, arrival)
        and _acknowledgement(tcb, now, segment, timestamp, arrival, counts_as_duplicate)
    ):
        return arrival
    arrival.accepted = True
    if tcb.mtu_at is not None:
        tcb.path_mtu_recovers(now)
    _text_and_fin(tcb, now, segment, arrival, room)
    return arrival


def _ends_simultaneous_open(tcb: Tcb, segment: Segment) -> bool:
    """Both have sent a SYN and answered the other's: its SYN/ACK is the ACK of ours (RFC 9293 §3.5, figure
    8). Answered like a SYN that comes again, the two SYN/ACKs would go to and fro for ever."""
    return (
        tcb.state is State.SYN_RECEIVED
        and segment.flags & (SYN | ACK | RST) == SYN | ACK
        and segment.seq == tcb.irs
        and 1 <= tcb.ack_offset(segment.ack) <= 1 + tcb.syn_data_sent
    )


def _take_syn_data_acknowledged(tcb: Tcb, segment: Segment, arrival: Arrival) -> None:
    """Two SYNs have crossed and ours carried data (RFC 7413): the ACK of ours says how much of that the peer
    has taken. Offset 1 is the first byte behind it. The rest is ordinary data."""
    acked = tcb.ack_offset(segment.ack) - 1
    if 0 <= acked <= tcb.syn_data_sent:
        arrival.syn_data = acked
        tcb.iss = seq_add(tcb.iss, acked)
        tcb.syn_data_sent = 0


def _in_syn_sent(tcb: Tcb, now: int, segment: Segment, *, takes_text: bool) -> Arrival:
    """RFC 9293 §3.10.7.3."""
    arrival = Arrival()
    ack_ok = False
    if segment.flags & ACK:
        arrival.syn_data = tcb.ack_offset(segment.ack) - 1
        if not 0 <= arrival.syn_data <= tcb.syn_data_sent:
            arrival.dropped = "the ACK is not for our SYN"
            arrival.answer_reset = not segment.flags & RST
            return arrival
        ack_ok = True
    if segment.flags & RST:
        arrival.reset = ack_ok
        arrival.dropped = None if ack_ok else "RST without an ACK of our SYN"
        return arrival
    if not segment.flags & SYN:
        arrival.dropped = "neither SYN nor RST"
        return arrival
    tcb.irs = segment.seq
    tcb.iss = seq_add(tcb.iss, arrival.syn_data)  # offset 1 is the first byte behind the SYN's data
    arrival.offset = 1
    agree(tcb, read_syn_options(segment), now)
    tcb.snd_wnd = tcb.max_snd_wnd = segment.window  # never scaled in a SYN (RFC 7323 §2.2)
    tcb.snd_wl1, tcb.snd_wl2 = 0, 1
    arrival.accepted = True
    if not ack_ok:
        tcb.move(State.SYN_RECEIVED)  # simultaneous open
        tcb.syn_due = True
        return arrival
    arrival.acked = 1
    tcb.snd_una = tcb.snd_nxt = 1
    if not tcb.lost_syn and tcb.syn_sent_at is not None:
        tcb.rtt.sample(now - tcb.syn_sent_at)
    else:
        timestamp = _timestamps(segment)
        if tcb.ts_on and timestamp is not None:
            _sample_from_echo(tcb, now, timestamp)
    tcb.syn_sent_at = None
    tcb.rto_at = None
    tcb.move(State.ESTABLISHED)
    tcb.start_congestion_control()
    tcb.ack_now = True
    arrival.established = True
    if takes_text:
        _text_and_fin(tcb, now, segment, arrival, None)
    return arrival


def _timestamps(segment: Segment) -> Timestamps | None:
    for option in segment.options:
        if isinstance(option, Timestamps):
            return option
    return None


def _timestamp_is_fresh(
    tcb: Tcb, now: int, segment: Segment, timestamp: Timestamps | None, arrival: Arrival
) -> bool:
    """PAWS (RFC 7323 §5.3).

    Departs from RFC 7323 §3.2, which would drop a segment without the option, because middleboxes
    that blank all options exist and a connection must survive them; Linux does the same.
    """
    if timestamp is None or segment.flags & RST:
        return True
    if seq_lt(timestamp.value, tcb.ts_recent) and now - tcb.paws_at < TS_RECENT_LIFE:
        arrival.dropped = "old timestamp (PAWS)"
        _refuse(tcb, now, segment, arrival)
        return False
    return True


def _sequence_is_acceptable(tcb: Tcb, now: int, segment: Segment, arrival: Arrival) -> bool:
    """The four cases of RFC 9293 §3.10.7.4, first check."""
    # The SYN lies before the data that it carried (RFC 7413): where the handshake began.
    if (
        tcb.state is State.SYN_RECEIVED
        and segment.flags & SYN
        and seq_add(segment.seq, tcb.syn_data) == tcb.irs
    ):
        # Departs from RFC 9293 §3.10.7.4 because a bare ACK would be answered by a reset:
        # the peer's SYN again means that our SYN/ACK was lost.
        arrival.dropped = "SYN again"
        arrival.resend_synack = True
        return False
    window = tcb.rcv_adv - tcb.rcv_nxt
    start = arrival.offset - (1 if segment.flags & SYN else 0)
    length = segment.seq_length
    if window == 0 and abs(start - tcb.rcv_nxt) <= PROBE:
        # Nothing of the text fits, but ACK and RST count (RFC 9293 §3.10.7.4), also of a peer that has sent
        # a window probe and does not know whether we took it.
        ok = True
    elif length == 0:
        ok = tcb.rcv_nxt <= start <= tcb.rcv_nxt + window
    else:
        ok = start < tcb.rcv_nxt + window and start + length > tcb.rcv_nxt
    if ok:
        return True
    if segment.flags & RST:
        arrival.dropped = "RST outside the window"
        return False
    arrival.dropped = "sequence number outside the window"
    _refuse(tcb, now, segment, arrival)
    if tcb.state is State.TIME_WAIT and segment.flags & FIN:
        tcb.time_wait_at = now + tcb.config.time_wait
    return False


def _refuse(tcb: Tcb, now: int, segment: Segment, arrival: Arrival) -> None:
    """An unacceptable segment is answered with an ACK (RFC 9293 §3.10.7.4). One without data not more
    often than a challenge (RFC 5961 §7): two sides that find each other's ACKs unacceptable would never
    stop. With data it is a retransmission, and its sender must hear that it was needless."""
    if segment.flags & SYN or not segment.seq_length:
        if tcb.refused_at is not None and now - tcb.refused_at < CHALLENGE_INTERVAL:
            return
        tcb.refused_at = now
    elif arrival.offset < tcb.rcv_nxt:
        came_twice(tcb, arrival.offset, min(arrival.offset + segment.seq_length, tcb.rcv_nxt))
    tcb.ack_now = True


def _challenge(tcb: Tcb, now: int) -> None:
    """A challenge ACK, rate limited (RFC 5961 §7)."""
    if tcb.challenge_at is None or now - tcb.challenge_at >= CHALLENGE_INTERVAL:
        tcb.challenge_at = now
        tcb.ack_now = True


def _reset_and_syn(tcb: Tcb, now: int, segment: Segment, arrival: Arrival) -> bool:
    """RFC 9293 §3.10.7.4, second and fourth check, as RFC 5961 §3.2 and §4.2 sharpen them."""
    if segment.flags & RST:
        if arrival.offset == tcb.rcv_nxt:
            arrival.reset = True
        else:
            arrival.dropped = "RST in the window, not at its edge"
            _challenge(tcb, now)
        return False
    if segment.flags & SYN:
        arrival.dropped = "SYN in a synchronized state"
        _challenge(tcb, now)
        return False
    return True


def _acknowledgement(
    tcb: Tcb,
    now: int,
    segment: Segment,
    timestamp: Timestamps | None,
    arrival: Arrival,
    counts_as_duplicate: bool,
) -> bool:
    """RFC 9293 §3.10.7.4, fifth check; RFC 5961 §5.2 for the range."""
    if not segment.flags & ACK:
        arrival.dropped = "no ACK"
        return False
    if tcb.syn_data_sent and tcb.state is State.SYN_RECEIVED:
        _take_syn_data_acknowledged(tcb, segment, arrival)
    ack = tcb.ack_offset(segment.ack)
    if tcb.state is State.SYN_RECEIVED:
        if not tcb.snd_una < ack <= tcb.snd_nxt:
            arrival.dropped = "the ACK is not for our SYN/ACK"
            arrival.answer_reset = True
            return False
        _become_established(tcb, arrival)
    elif ack > tcb.snd_nxt or ack < tcb.snd_una - tcb.max_snd_wnd:
        arrival.dropped = "ACK outside what was sent"
        _challenge(tcb, now)
        return False
    if timestamp is not None and arrival.offset <= tcb.last_ack_sent:
        # RFC 7323 §4.3: PAWS has passed, so it is not older.
        tcb.ts_recent, tcb.paws_at = timestamp.value, now
    window = segment.window << tcb.snd_wscale
    if tcb.probe_waits:
        tcb.probe_waits, tcb.data_attempts = False, 0
    if ack > tcb.snd_una:
        _advance(tcb, now, ack, segment, timestamp, arrival)
    elif ack == tcb.snd_una and (tcb.snd_nxt > ack or tcb.recovery.can_undo):
        same = window == tcb.snd_wnd and not segment.payload and not segment.flags & FIN
        _loss(tcb, now, ack, segment, timestamp, same and counts_as_duplicate)
    if ack >= tcb.snd_una and _window_is_newer(tcb, arrival.offset, ack, window):
        was_closed = not tcb.snd_wnd
        tcb.snd_wnd, tcb.snd_wl1, tcb.snd_wl2 = window, max(arrival.offset, tcb.snd_wl1), ack
        tcb.max_snd_wnd = max(tcb.max_snd_wnd, window)
        if window:
            tcb.persist_at, tcb.persist_count = None, 0
            if was_closed:
                arrival.window_opened = True
                window_opened(tcb, now)
        else:
            window_closed(tcb)
    return True


def _window_is_newer(tcb: Tcb, offset: int, ack: int, window: int) -> bool:
    """RFC 9293 §3.10.7.4's SND.WL1 and SND.WL2; and a window probe that comes again may open a closed window,
    though what was sent in between lies behind its byte.

    Departs from RFC 9293 §3.10.7.4 because a retransmission has an old sequence number beside a new
    acknowledgement: it moves the left edge, and with the old window the right edge would move too far. A
    larger acknowledgement was sent later, as Linux has it, too.
    """
    if tcb.snd_wl2 < ack or tcb.snd_wl1 < offset or (tcb.snd_wl1 == offset and tcb.snd_wl2 == ack):
        return True
    return not tcb.snd_wnd and window > 0 and offset + PROBE == tcb.snd_wl1


def _become_established(tcb: Tcb, arrival: Arrival) -> None:
    tcb.move(State.ESTABLISHED)
    tcb.start_congestion_control()
    arrival.established = True


def _advance(
    tcb: Tcb, now: int, ack: int, segment: Segment, timestamp: Timestamps | None, arrival: Arrival
) -> None:
    """New data is acknowledged: RTT, loss recovery, timer, and the moves that an acknowledged FIN makes."""
    arrival.acked = ack - tcb.snd_una
    tcb.data_attempts = 0
    measured = _loss(tcb, now, ack, segment, timestamp, duplicate=False)
    if tcb.syn_sent_at is not None:
        tcb.rtt.sample(now - tcb.syn_sent_at)
        tcb.syn_sent_at = None
    elif not measured and timestamp is not None:
        _sample_from_echo(tcb, now, timestamp)
    if tcb.snd_nxt == ack:
        tcb.rto_at = None  # RFC 6298 (5.2)
    elif tcb.rto_at is None or not tcb.recovery.is_slow:
        tcb.rto_at = now + tcb.rtt.rto  # RFC 6298 (5.3)
    tail.arm(tcb, now)
    if tcb.fin_queued and ack > tcb.snd_end:
        _fin_acknowledged(tcb, now, arrival)


def _loss(
    tcb: Tcb, now: int, ack: int, segment: Segment, timestamp: Timestamps | None, duplicate: bool
) -> bool:
    blocks = read_blocks(tcb, segment) if tcb.sack_on else []
    age = seq_diff(tcb.timestamp(now), timestamp.echo) if timestamp is not None and timestamp.echo else -1
    duplicate = duplicate and not tcb.sack_on and tcb.snd_nxt > ack
    return acknowledged(tcb, now, ack, blocks, age if age >= 0 else None, duplicate)


def _sample_from_echo(tcb: Tcb, now: int, timestamp: Timestamps) -> None:
    """RTT from TSecr (RFC 7323 §4.1), where no segment that was sent once gives one.

    Not from a SYN cookie's echo: options were written over its low bits. Not from an echo that is older
    than our last retransmission: a receiver that had the data already drops the copy without taking its
    timestamp (RFC 7323 §5.3 R2), so the difference would measure our own timeout.
    """
    if tcb.echo_is_cookie:
        tcb.echo_is_cookie = False
        return
    if tcb.resent_timestamp is not None and seq_lt(timestamp.echo, tcb.resent_timestamp):
        return
    elapsed = seq_diff(tcb.timestamp(now), timestamp.echo)
    if timestamp.echo and 0 <= elapsed < 1 << 30:
        tcb.rtt.sample(elapsed * MILLISECOND)


def _fin_acknowledged(tcb: Tcb, now: int, arrival: Arrival) -> None:
    if tcb.state is State.FIN_WAIT_1:
        tcb.move(State.FIN_WAIT_2)
    elif tcb.state is State.CLOSING:
        _time_wait(tcb, now)
    elif tcb.state is State.LAST_ACK:
        tcb.move(State.CLOSED)
        arrival.closed = True


def _time_wait(tcb: Tcb, now: int) -> None:
    tcb.move(State.TIME_WAIT)
    tcb.rto_at = tcb.persist_at = None
    tcb.time_wait_at = now + tcb.config.time_wait


def _text_and_fin(tcb: Tcb, now: int, segment: Segment, arrival: Arrival, room: int | None) -> None:
    """RFC 9293 §3.10.7.4, seventh and eighth; when to acknowledge: RFC 5681 §4.2."""
    payload = segment.payload
    if tcb.state is not State.ESTABLISHED and tcb.state not in MAY_RECEIVE_DATA:
        if payload or segment.flags & FIN:
            tcb.ack_now = True
        return
    arrival.data_at = tcb.rcv_nxt
    end = arrival.offset + len(payload)
    if payload:
        fits = tcb.rcv_adv - arrival.offset
        if (tcb.crowded or tcb.reassembly.full) and arrival.offset > tcb.rcv_nxt:
            fits = 0  # it comes again once the first hole is filled
        if room is not None:
            fits = min(fits, room)
        if len(payload) > fits:
            payload = payload[: max(fits, 0)]
            tcb.ack_now = True
        had_hole = tcb.reassembly.held > 0
        if payload:
            stop = arrival.offset + len(payload)
            twice = first_copy(tcb, arrival.offset, stop)
            arrival.data = tcb.reassembly.insert(arrival.offset, payload)
            if twice is not None:
                came_twice(tcb, *twice)
            if arrival.offset > arrival.data_at:
                took_out_of_order(tcb, arrival.offset, stop)
            elif tcb.sack_blocks:
                forget_blocks(tcb)
        if not arrival.data or had_hole or arrival.offset != arrival.data_at:
            tcb.ack_now = True  # out of order, fills a hole, or seen before
        tcb.bytes_since_ack += len(arrival.data)
        if tcb.bytes_since_ack >= 2 * (tcb.mss - MAX_OPTION_BYTES):  # the MSS does not count options
            tcb.ack_now = True
        elif arrival.data and tcb.delayed_ack_at is None:
            tcb.delayed_ack_at = now + tcb.config.delayed_ack
    if segment.flags & FIN and end <= tcb.rcv_adv:
        tcb.rcv_fin = end
        tcb.ack_now = True
    if tcb.rcv_fin is not None and tcb.reassembly.next == tcb.rcv_fin:
        _take_fin(tcb, now, arrival)


def _take_fin(tcb: Tcb, now: int, arrival: Arrival) -> None:
    tcb.reassembly.next += 1
    tcb.rcv_adv = max(tcb.rcv_adv, tcb.reassembly.next)
    arrival.fin = True
    tcb.ack_now = True
    if tcb.state is State.ESTABLISHED:
        tcb.move(State.CLOSE_WAIT)
    elif tcb.state is State.FIN_WAIT_1:
        tcb.move(State.CLOSING)
    else:
        _time_wait(tcb, now)
