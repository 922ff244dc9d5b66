"""What a subflow may send now: which byte range, in which window.

Decides when data goes out and how much, and keeps the books of what was sent. Never sees a byte of
data: spans are offsets. Read first: RFC 9293 §3.8.6, RFC 5681 §3, RFC 6298 §5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.mptcp.tcp import tail
from testbed.mptcp.tcp.recovery import Phase
from testbed.mptcp.tcp.state import State
from testbed.mptcp.tcp.tcb import Tcb

MAX_PERSIST_BACKOFF = 8

# States in which no data and no FIN of ours can be outstanding, Fast Open aside.
_SILENT = (State.CLOSED, State.SYN_SENT, State.SYN_RECEIVED, State.TIME_WAIT, State.FIN_WAIT_2)


@dataclass(frozen=True, slots=True)
class Span:
    """One segment's share of the sequence space: `length` bytes from `offset`, then perhaps the FIN."""

    offset: int
    length: int
    fin: bool = False
    probe: bool = False


def room_for_new(tcb: Tcb, queued: int, most: int) -> int:
    """How many of `queued` new bytes to commit to one segment now; 0 means wait.

    `most` is what one segment or frame may carry. What is lost comes first and takes its room, and what
    was committed and not sent takes some too. Avoids silly windows at the sender (RFC 9293 §3.8.6.2.1)
    and applies Nagle's rule where it is switched on (§3.7.4).
    """
    if tcb.fin_queued or (tcb.state is not State.ESTABLISHED and not tcb.may_send_data):
        return 0
    board, outstanding = tcb.board, tcb.snd_end - tcb.snd_una
    room = tcb.cc.cwnd - outstanding + board.sacked + board.presumed
    if tcb.tail.due:
        if tail.is_about_the_first(tcb):
            return 0
        room += tcb.mss
    count = min(room, tcb.snd_wnd - outstanding, queued, most)
    if count <= 0:
        return 0
    if count == most or count >= tcb.mss or (count == queued and not (tcb.config.nagle and outstanding)):
        return count
    return count if count * 2 >= tcb.max_snd_wnd else 0


def after_idle(tcb: Tcb, now: int) -> None:
    """Before new data is committed: what the window lost while there was none (RFC 5681 §4.1)."""
    if tcb.snd_una >= tcb.snd_end and (timeouts := (now - tcb.sent_at - 1) // tcb.rtt.rto) > 0:
        tcb.sent_at += timeouts * tcb.rtt.rto
        tcb.cc.on_idle(timeouts)


def next_span(tcb: Tcb, most: Callable[[int], int], now: int) -> Span | None:
    """The next segment to send, or None. `most(offset)` is how much one segment may carry from there.

    First what is lost, then a window probe, new data, and the tail once more if that is due.
    """
    if tcb.state is not State.ESTABLISHED and tcb.state in _SILENT and not tcb.may_send_data:
        return None
    if tcb.board.lost and tcb.snd_wnd:
        return _lost(tcb, most)
    if tcb.probe:
        tcb.probe = False
        if tcb.snd_end > tcb.snd_una and tcb.snd_wnd == 0:
            return Span(tcb.snd_una, 1, probe=True)
    nxt, end = tcb.snd_nxt, tcb.snd_end
    if tcb.tail.due and tail.is_about_the_first(tcb):
        return _again(tcb, *tail.stretch(tcb, most))
    if nxt < end:
        span = _new(tcb, nxt, end, most)
        if span is not None:
            return span
    elif nxt == end and tcb.fin_queued:
        return Span(end, 0, fin=True)
    if tcb.tail.due:
        return _again(tcb, *tail.stretch(tcb, most))
    return None


def _new(tcb: Tcb, nxt: int, end: int, most: Callable[[int], int]) -> Span | None:
    """Bytes that were committed and never sent, as far as the windows let them."""
    flight = tcb.flight
    usable = min(tcb.cc.cwnd - flight, tcb.snd_una + tcb.snd_wnd - nxt)
    if tcb.tail.due:
        usable = min(usable + tcb.mss, tcb.snd_una + tcb.snd_wnd - nxt)
    wanted = min(end - nxt, most(nxt))
    length = min(wanted, usable)
    if length <= 0 or (length < wanted and length < tcb.mss and flight > 0):
        return None  # the window cuts it: wait for an ACK
    return Span(nxt, length, fin=tcb.fin_queued and nxt + length == end)


def _lost(tcb: Tcb, most: Callable[[int], int]) -> Span | None:
    """The first bytes that are lost, as many as one segment and the windows take. The first copy of a
    recovery leaves whatever the window says (RFC 6675 §5 step 4.3)."""
    stretch = tcb.board.next_lost(most)
    if stretch is None:
        return None
    start, end = stretch
    data_end = min(end, tcb.snd_end)
    usable = tcb.cc.cwnd - tcb.flight
    if not tcb.recovery.out:
        usable = max(usable, tcb.mss)
    usable = min(usable, tcb.snd_una + tcb.snd_wnd - start)
    length = min(data_end - start, usable)
    if length <= 0 and start < tcb.snd_end:
        return None
    if length < data_end - start and length < tcb.mss and tcb.flight > 0:
        return None
    return _again(tcb, start, end if length == data_end - start else start + length)


def _again(tcb: Tcb, start: int, end: int) -> Span:
    """What was sent before; a FIN lies behind all data."""
    data_end = min(end, tcb.snd_end)
    return Span(start, data_end - start, fin=end > data_end)


def span_sent(tcb: Tcb, now: int, span: Span) -> None:
    """Book a span as sent: scoreboard, RTO (RFC 6298 (5.1)), state after a FIN."""
    end = span.offset + span.length + (1 if span.fin else 0)
    if span.probe:
        tcb.probe_waits = True
        if end > tcb.snd_nxt:  # it counts as sent: the peer may have taken it (RFC 9293 §3.8.6.1)
            tcb.board.sent(span.offset, end, now)
            tcb.snd_nxt = end
        return
    again = span.offset < tcb.snd_nxt
    if again:
        tcb.board.sent_again(span.offset, end, now)
        tcb.retransmits += 1
        tcb.resent_timestamp = tcb.timestamp(now)
        if span.offset == tcb.snd_una and tcb.sack_on:
            tcb.rto_at = None  # restarts with the first segment outstanding (RFC 6675 §6)
    else:
        tcb.board.sent(span.offset, end, now)
        tcb.snd_nxt = end
    tcb.sent_at = now
    if tcb.recovery.phase is not Phase.OPEN:
        tcb.recovery.sent(end - span.offset, again, now)
    if tcb.rto_at is None:
        tcb.rto_at = now + tcb.rtt.rto
    if tcb.tail.due:
        tail.sent(tcb, now, span.offset, end, again)
    elif not again:
        tail.arm(tcb, now)
    tcb.persist_at = None
    if span.fin:
        if tcb.state is State.ESTABLISHED:
            tcb.move(State.FIN_WAIT_1)
        elif tcb.state is State.CLOSE_WAIT:
            tcb.move(State.LAST_ACK)


def acknowledged(tcb: Tcb) -> None:
    """Book that an ACK has left, alone or with data."""
    tcb.ack_now = False
    tcb.bytes_since_ack = 0
    tcb.delayed_ack_at = None
    tcb.last_ack_sent = tcb.rcv_nxt


def arm_persist(tcb: Tcb, now: int, waiting: bool) -> None:
    """Data waits, nothing is in flight and the window is in the way: probe it (RFC 9293 §3.8.6.1)."""
    if waiting and tcb.persist_at is None and tcb.rto_at is None and not tcb.probe:
        backoff = min(tcb.persist_count, MAX_PERSIST_BACKOFF)
        tcb.persist_at = now + min(tcb.rtt.rto << backoff, tcb.config.rto_max)


def offer_window(tcb: Tcb, nxt: int, adv: int, space: int) -> tuple[int, int]:
    """The window field to send, and the right edge that it advertises; what was offered stays acceptable.

    `nxt`, `adv` and `space` are the connection's (RFC 8684 §3.3.4: one window for all subflows): next data
    offset expected, right edge ever advertised, free bytes from `nxt` on. Moves the right edge only by a
    full segment or half the buffer (RFC 9293 §3.8.6.2.2). A window that is no multiple of the scale's unit
    rounds up, or a hole of fewer bytes could never be filled; but not by more than a unit over the buffer,
    or the edge would creep with every small segment.
    """
    shift = tcb.rcv_wscale
    edge = nxt + max(space, 0)
    if edge - adv < min(tcb.mss, tcb.config.receive_buffer // 2):
        edge = max(adv, nxt)
    field = min((edge - nxt) >> shift, 0xFFFF)
    if nxt + (field << shift) < adv:
        unit = 1 << shift
        up = (adv - nxt + unit - 1) >> shift
        if up << shift <= space + unit:
            field = min(up, 0xFFFF)
    tcb.rcv_adv = max(tcb.rcv_adv, tcb.rcv_nxt + (field << shift))
    return field, max(adv, nxt + (field << shift))


def window_update_due(tcb: Tcb, opened: int) -> bool:
    """The application has read so much that the peer should hear of it: `opened` bytes more than offered."""
    return opened >= min(2 * tcb.mss, tcb.config.receive_buffer // 2)
