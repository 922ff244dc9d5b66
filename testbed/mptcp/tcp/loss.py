"""What an acknowledgement says about loss, and what follows from it.

Feeds the scoreboard, asks rack.py what is lost (without SACK three duplicate ACKs tell), moves the phases
of recovery.py and tells the congestion controller. Everything is offsets here.
Read first: RFC 6675 §5, RFC 8985 §6.2, RFC 6582 §3.2, RFC 3522 §3.2.
"""

from __future__ import annotations

from testbed.mptcp.config import MILLISECOND
from testbed.mptcp.tcp import tail
from testbed.mptcp.tcp.rack import NEVER
from testbed.mptcp.tcp.recovery import DUPLICATE_THRESHOLD, Phase
from testbed.mptcp.tcp.scoreboard import Delivered
from testbed.mptcp.tcp.tcb import Tcb

Blocks = list[tuple[int, int]]


def acknowledged(tcb: Tcb, now: int, ack: int, blocks: Blocks, echo_age: int | None, duplicate: bool) -> bool:
    """Takes an ACK of SND.UNA or more. `echo_age`: of the timestamp that the peer echoes, in ms.
    `duplicate`: in the sense of RFC 5681 §2; counts only for peers without SACK. True when the round trip
    could be measured."""
    board, recovery, cc = tcb.board, tcb.recovery, tcb.cc
    una, flight = tcb.snd_una, tcb.flight
    acked, outstanding = ack - una, tcb.snd_nxt - una
    limited = flight + cc.mss > cc.cwnd or (cc.cwnd < cc.ssthresh and 2 * flight >= cc.cwnd)
    tcb.snd_una = ack
    quiet = board.plain and recovery.phase is Phase.OPEN and tcb.tail.end is None
    if quiet and not blocks and not duplicate:
        last = None
        if acked:
            oldest = board.ranges[0].at if board.ranges else now
            last = board.trim(ack)
            if last is not None:
                tcb.rack.latest(last, now)
                tcb.rtt.measure(now, tcb.rack.rtt, now - oldest)
            cc.on_ack(acked, now, tcb.rtt.srtt, limited, tcb.rtt.latest)
        return last is not None
    top, waiting = board.top, outstanding - board.sacked - board.presumed
    news = board.acknowledge(ack) if acked else []
    sacked: list[Delivered] = []
    dsack = _take_blocks(tcb, blocks, sacked)
    unechoed = NEVER if echo_age is None else (now // MILLISECOND - echo_age + 1) * MILLISECOND
    if acked and echo_age is not None and recovery.phase is not Phase.OPEN and recovery.can_undo:
        _eifel(tcb, unechoed)
    measured = _measure(tcb, now, news, sacked)
    if tcb.sack_on:
        rack = tcb.rack
        rack.delivered(news, now, top, unechoed)
        rack.delivered(sacked, now, top)
        news += sacked
        delivered = sum([end - start for start, end, _, _, _ in news])
        if acked:
            recovery.duplicates = 0
        elif news:
            recovery.duplicates += 1
        found = detect(tcb, now)
    else:
        delivered, found = _without_sack(tcb, acked, duplicate)
    before = recovery.phase
    if acked and before is not Phase.OPEN and ack >= recovery.recover:
        found = _leave(tcb, now)
    if tail.answered(tcb, ack, dsack, bool(news)) and recovery.phase is Phase.OPEN:
        cc.on_loss(min(outstanding, cc.cwnd), now)
        cc.on_recovered(now)
    elif recovery.phase is Phase.RECOVERY:
        recovery.reduce(delivered, tcb.flight, acked > 0 and not found, cc)
    elif recovery.phase is Phase.OPEN and found and board.lost:
        _enter(tcb, now, outstanding, waiting)
        recovery.reduce(delivered, tcb.flight, False, cc)
    elif acked and before is not Phase.RECOVERY:  # the ACK that ends it has set cwnd
        cc.on_ack(acked, now, tcb.rtt.srtt, limited, tcb.rtt.latest)
    if measured and tcb.rto_at is not None and board.ranges:
        # In a queue that grows the first segment may take as long as the last that has arrived.
        tcb.rto_at = max(tcb.rto_at, board.ranges[0].at + tcb.rtt.rto)
    return measured


def _measure(tcb: Tcb, now: int, news: list[Delivered], sacked: list[Delivered]) -> bool:
    """RTT samples from what was sent once. Not from what a cumulative ACK reports beside repaired bytes: that
    may have waited for the repair (Karn)."""
    once = [one.at for one in sacked if not one.again]
    if not any(one.again for one in news):
        once += [one.at for one in news]
    if not once:
        return False
    tcb.rtt.measure(now, now - max(once), now - min(once))
    return True


def reordering_timeout(tcb: Tcb, now: int) -> None:
    """The time that RACK left for reordering has passed."""
    if detect(tcb, now) and tcb.recovery.phase is Phase.OPEN:
        outstanding = tcb.snd_nxt - tcb.snd_una
        _enter(tcb, now, outstanding, outstanding - tcb.board.sacked)
    if tcb.recovery.phase is Phase.RECOVERY:
        tcb.recovery.reduce(0, tcb.flight, False, tcb.cc)


def retransmission_timeout(tcb: Tcb, now: int) -> None:
    """All is lost, but for what is SACKed and what left so late that it may still arrive."""
    board, recovery, rack = tcb.board, tcb.recovery, tcb.rack
    outstanding = tcb.snd_nxt - tcb.snd_una
    again = tcb.rtt.backoff > 0 or recovery.phase is Phase.RECOVERY
    recovery.begin(Phase.LOSS, tcb.snd_una, tcb.snd_nxt, outstanding, tcb.cc)
    tcb.cc.on_timeout(min(outstanding, tcb.cc.cwnd), again, now)
    if board.reneged:
        board.forget_sacks()
    patience = rack.rtt + rack.reordering_window(tcb.rtt.srtt, sure=True) if tcb.sack_on else 0
    board.mark_all_lost(now - patience)
    tcb.reo_at = None
    tcb.tail.cancel()


def window_closed(tcb: Tcb) -> None:
    """An ACK says that the peer takes nothing now. It is alive, so nothing is given up; and a lone byte
    outstanding is a window probe, which the persist timer repeats."""
    tcb.data_attempts = 0
    if tcb.snd_nxt - tcb.snd_una == 1 and tcb.snd_nxt <= tcb.snd_end:
        tcb.rto_at = None
        tcb.tail.cancel()


def window_opened(tcb: Tcb, now: int) -> None:
    """The peer takes data again: the back-off was the window's, and what was probed with or timed out is sent
    at once. That is no sign of congestion (RFC 9293 §3.8.6.1)."""
    tcb.rtt.forget_backoff()
    if tcb.snd_nxt == tcb.snd_una:
        return
    if tcb.rto_at is None:  # only probes are outstanding: the closed window has refused them
        tcb.board.mark_all_lost(now)
    else:
        tcb.rto_at = now + tcb.rtt.rto


def detect(tcb: Tcb, now: int) -> bool:
    """RACK's turn. True when it found something lost; sets the timer for what is undecided."""
    board, recovery, rack = tcb.board, tcb.recovery, tcb.rack
    sure = (
        recovery.phase is not Phase.OPEN
        or recovery.duplicates >= DUPLICATE_THRESHOLD
        or board.sacked > (DUPLICATE_THRESHOLD - 1) * tcb.mss
    )
    before = board.lost
    tcb.reo_at = rack.detect(board, now, rack.reordering_window(tcb.rtt.srtt, sure))
    return board.lost > before


def _enter(tcb: Tcb, now: int, outstanding: int, waiting: int) -> None:
    """`waiting`: bytes outstanding and not SACKed before this ACK (RFC 9937's RecoverFS)."""
    cc = tcb.cc
    tcb.tail.cancel()
    tcb.recovery.begin(Phase.RECOVERY, tcb.snd_una, tcb.snd_nxt, waiting, cc)
    cc.on_loss(min(outstanding, cc.cwnd), now)  # limited transmit does not count (RFC 5681 §3.2)


def _leave(tcb: Tcb, now: int) -> bool:
    """True when something is lost that was sent since: the next recovery begins."""
    recovery, board = tcb.recovery, tcb.board
    if recovery.phase is Phase.RECOVERY:
        tcb.cc.on_recovered(now)
    recovery.phase = Phase.OPEN
    tcb.rack.on_recovered()
    board.presumed = 0
    return board.lost > 0


def _take_blocks(tcb: Tcb, blocks: Blocks, news: list[Delivered]) -> tuple[int, int] | None:
    """The first block may be a D-SACK: below the ACK, or within the second (RFC 2883 §4). It is returned."""
    if not blocks:
        return None
    dsack, ack, nxt, board = None, tcb.snd_una, tcb.snd_nxt, tcb.board
    left, right = blocks[0]
    second = blocks[1] if len(blocks) > 1 else (0, 0)
    if right <= ack or (second[0] <= left and right <= second[1]):
        blocks = blocks[1:]
        if 0 < left < right <= nxt:
            dsack = (left, right)
            tcb.rack.on_dsack(ack, nxt)
            if tcb.recovery.needless(left, right):
                _undo(tcb)
    for left, right in blocks:
        if ack < right <= nxt and left < right:
            news += board.sack(max(left, ack), right)
    return dsack


def _eifel(tcb: Tcb, unechoed: int) -> None:
    """The first ACK since something was sent again. If it echoes a segment from before that, the first
    copy has arrived and nothing was lost (RFC 3522 §3.2). What left at `unechoed` or later is not echoed."""
    recovery = tcb.recovery
    assert recovery.resent_at is not None
    if recovery.resent_at >= unechoed:
        if recovery.phase is Phase.RECOVERY:
            tcb.rack.reordering = True
        _undo(tcb)
    else:
        recovery.settle()


def _undo(tcb: Tcb) -> None:
    tcb.recovery.revert(tcb.cc)
    tcb.board.unmark_lost()


def _without_sack(tcb: Tcb, acked: int, duplicate: bool) -> tuple[int, bool]:
    """Bytes that have arrived by this ACK, and whether it tells of a loss: three duplicate ACKs do, then
    each ACK of a part (RFC 6582 §3.2)."""
    board, recovery, mss = tcb.board, tcb.recovery, tcb.mss
    repairing = recovery.phase is Phase.RECOVERY
    delivered, found = 0, False
    if acked:
        recovery.duplicates = 0
        partial = repairing and tcb.snd_una < recovery.recover
        recovery.partials += partial
        # One segment is the one that was missing; what lies behind it was presumed to have arrived.
        known = min(board.presumed, max(acked - mss, 0)) if partial else board.presumed
        board.presumed -= known
        delivered, found = max(acked - known, 0), partial
    elif duplicate:
        recovery.duplicates += 1
        if repairing or (recovery.phase is Phase.OPEN and recovery.duplicates <= DUPLICATE_THRESHOLD):
            delivered = board.presume(mss, tcb.snd_nxt - tcb.snd_una)
        # Not for losses of a window that was resent already (RFC 6582 §3.2 step 1).
        third = recovery.duplicates == DUPLICATE_THRESHOLD and recovery.phase is Phase.OPEN
        found = third and tcb.snd_una > recovery.recover
    if found:
        board.mark_first_lost(mss)
    board.presumed = min(board.presumed, tcb.snd_nxt - tcb.snd_una - board.lost)
    return delivered, found
