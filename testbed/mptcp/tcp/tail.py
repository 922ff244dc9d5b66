"""The tail loss probe: when the last of what was sent is lost, no later ACK can tell; so ask.

Decides when to probe, with which bytes, and what the answer means. Read first: RFC 8985 §7.
"""

from __future__ import annotations

from collections.abc import Callable

from testbed.mptcp.config import MILLISECOND, SECOND
from testbed.mptcp.tcp.recovery import Phase
from testbed.mptcp.tcp.state import State
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire.options import MAX_OPTION_BYTES

NO_SRTT = SECOND  # the probe timeout before there is an RTT sample (RFC 8985 §7.2)
LONGEST_DELAYED_ACK = 200 * MILLISECOND
SLACK = 2 * MILLISECOND  # timers are not exact; Linux's


def arm(tcb: Tcb, now: int) -> None:
    """New data has left, or some was acknowledged: the probe is due two round trips from now, and never
    after the RTO (RFC 8985 §7.2)."""
    tail = tcb.tail
    if tcb.snd_nxt == tcb.snd_una:
        tail.due = False  # everything arrived before the probe had left
    if tail.end is not None or not _may_probe(tcb):
        tail.at = None
        return
    srtt = tcb.rtt.srtt
    if srtt is None:
        patience = NO_SRTT
    elif tcb.snd_nxt - tcb.snd_una <= tcb.mss:
        patience = 2 * srtt + LONGEST_DELAYED_ACK  # one segment: its ACK may be delayed
    else:
        patience = 2 * srtt + SLACK
    at = now + patience
    tail.at = at if tcb.rto_at is None else min(at, tcb.rto_at)


def timed_out(tcb: Tcb, now: int) -> None:
    tcb.tail.at = None
    if tcb.tail.end is None and tcb.snd_wnd and _may_probe(tcb):
        tcb.tail.due = True
        tcb.rto_at = now + tcb.rtt.rto


def _may_probe(tcb: Tcb) -> bool:
    """Not in recovery and not while SACKs tell of a hole: then RACK does the work. Nor behind a SYN/ACK
    that nobody has answered: that is what goes again (RFC 7413 §4.2.2)."""
    board = tcb.board
    return (
        tcb.sack_on
        and tcb.state is not State.SYN_RECEIVED
        and tcb.recovery.phase is Phase.OPEN
        and not (board.sacked or board.lost)
        and tcb.snd_nxt > tcb.snd_una
    )


def is_about_the_first(tcb: Tcb) -> bool:
    return tcb.snd_una <= 1


def stretch(tcb: Tcb, most: Callable[[int], int]) -> tuple[int, int]:
    """Without new data to send: the last segment once more (RFC 8985 §7.3).

    Departs from RFC 8985 §7.3 because a server that answered with a SYN cookie takes nothing but the first
    segment (RFC 4987 §3.6): until anything is acknowledged, it is the first that goes again.
    """
    ranges, data_end = tcb.board.ranges, tcb.snd_end
    if is_about_the_first(tcb):
        start, end = ranges[0].start, ranges[0].end
        return start, min(end, start + max(most(start), 1))
    start, end = ranges[-1].start, ranges[-1].end
    if end - start > tcb.mss:
        size = max(tcb.mss - MAX_OPTION_BYTES, 1)  # of a frame, what surely is one segment
        start = max(start, min(end, data_end) - size)
    return start, min(end, start + max(most(start), 1))


def sent(tcb: Tcb, now: int, start: int, end: int, again: bool) -> None:
    tail = tcb.tail
    tail.due = False
    tail.start, tail.stop, tail.again, tail.end = start, end, again, tcb.snd_nxt
    tcb.rto_at = now + tcb.rtt.rto


def answered(tcb: Tcb, ack: int, dsack: tuple[int, int] | None, news: bool) -> bool:
    """True when the probe has made good a loss that nothing else would have told of: cwnd must hear of it
    (RFC 8985 §7.4.2)."""
    tail = tcb.tail
    if tail.end is None:
        return False
    if not tail.again:
        if ack >= tail.end:
            tail.end = None
        return False
    if dsack is not None and dsack[0] < tail.stop and tail.start < dsack[1]:
        tail.end = None  # both copies have arrived
        return False
    if ack > tail.end:
        tail.end = None
        return True
    if ack == tail.end and not news:
        tail.end = None  # both have arrived, and the peer knows no D-SACK
    return False
