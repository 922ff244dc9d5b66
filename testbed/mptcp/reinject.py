"""Data that has to be sent once more, on another subflow or again on the same.

Decides when: a subflow's retransmission timer fired, a subflow died (connection.py), the connection's own
timer fired because a subflow acknowledged what was never DATA_ACKed, the receive window is full and a slow
subflow holds its left edge, or an idle subflow would bring it sooner. How it is mapped again is assign.py's.
Read first: RFC 8684 §3.3.6; Raiciu et al., "How Hard Can It Be?" (NSDI 2012) §4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge

from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.fallback import Observation
from testbed.mptcp.observe import observe
from testbed.mptcp.reasons import Reason
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.tcp.recovery import Phase

MAX_BACKOFF = 6  # doublings of the connection's timer
MOST_COPIES = 5  # of data that a subflow acknowledged, without a DATA_ACK, before the subflow is reset
MOST_AT_ONCE = 65_535  # bytes that one expiry sends again


def subflow_timed_out(conn: Connection, sub: Subflow) -> None:
    """Its retransmission timer fired: others take over what it carries, while it goes on trying."""
    if conn.mode is not Mode.MPTCP or not any(other.may_carry for other in conn.subflows if other is not sub):
        return
    if not sub.stale:
        sub.stale = True
        conn.context.count("SubflowStale")
    _hand_over(conn, sub)
    conn.assign_due = True


def arm_data_timer(conn: Connection, now: int) -> None:
    """Runs while mapped data is not DATA_ACKed (RFC 8684 §3.3.6)."""
    if conn.mode is Mode.MPTCP and conn.sender.una < conn.sender.nxt and conn.data_rto_at is None:
        ready = [sub for sub in conn.subflows if sub.established]
        ready = [sub for sub in ready if not sub.stale] or ready
        longest = max((sub.tcb.rtt.rto for sub in ready), default=None)
        if longest is not None:
            conn.data_rto_at = now + (longest << min(conn.data_rto_attempts, MAX_BACKOFF))


def window_opened(conn: Connection, now: int) -> None:
    """The connection's window has opened again: no back-off, and what a silent subflow probed with goes on
    another one."""
    if any(sub.may_carry and sub.tcb.snd_wnd for sub in conn.subflows):
        for sub in conn.subflows:
            if not sub.tcb.snd_wnd:
                _hand_over(conn, sub)
    conn.data_rto_attempts = 0
    conn.data_rto_at = None
    conn.assign_due = True
    arm_data_timer(conn, now)


def _hand_over(conn: Connection, sub: Subflow) -> None:
    """What this subflow carries goes on others, too."""
    una = conn.sender.una
    for one in sub.carrying:
        if one.end > una:
            conn.sender.again.add(max(one.start, una), one.end)


def data_acknowledged(conn: Connection, now: int) -> None:
    """The DATA_ACK moved forward."""
    una = conn.sender.una
    conn.sender.again.drop_below(una)
    for sub in conn.subflows:
        sub.forget_carried(una)
    conn.data_rto_attempts = 0
    conn.data_rto_at = None
    arm_data_timer(conn, now)


def data_timeout(conn: Connection, now: int) -> None:
    """Subflows have acknowledged the oldest data and no DATA_ACK came: send it again, with a new mapping, on
    another subflow or on the only one.

    As long as a subflow still has it in flight, that subflow's own timer takes care. Where the newest
    acknowledgement came without a DATA_ACK the peer may have taken the data, and may have fallen back: there
    a second copy would be new data to it, so it is asked for an ACK first. Copies that are acknowledged like
    the first prove that no mapping passes.
    """
    conn.data_rto_at = None
    sender = conn.sender
    una = sender.una
    working = [sub for sub in conn.subflows if sub.may_carry]
    in_flight = any(not sub.stale and _in_flight(sub, una) for sub in working)
    if working and not in_flight and una < sender.nxt:
        trusted = conn.joined > 0 or any(sub.data_ack_is_current for sub in working)
        if conn.data_rto_attempts >= MOST_COPIES and trusted and una < sender.edge:
            for sub in working:
                observe(conn, now, sub, Observation.DATA_ACK_OVERDUE)
            return
        if conn.data_rto_attempts >= conn.config.data_attempts:
            conn.reset(now, Reason.DATA_TIMED_OUT)
            return
        if trusted:
            _repeat(conn, una)
        else:
            for sub in working:
                sub.asks = True
        conn.data_rto_attempts += 1
    arm_data_timer(conn, now)


def _repeat(conn: Connection, una: int) -> None:
    end = min(conn.sender.nxt, una + MOST_AT_ONCE)
    conn.sender.again.add(una, end)
    _prefer_others(conn, una)
    for sub in conn.subflows:
        sub.forget_repeated(end)
    conn.context.count("DataRetrans")
    conn.assign_due = True


def _prefer_others(conn: Connection, data: int) -> None:
    """To those that acknowledged it, where it got lost above them: a mapping was taken away, perhaps."""
    acknowledged = [sub for sub in conn.subflows if sub.carrying.holds(data) and not _in_flight(sub, data)]
    if any(sub.may_carry and not sub.stale for sub in conn.subflows if sub not in acknowledged):
        for sub in acknowledged:
            sub.stale = True


def _in_flight(sub: Subflow, data: int) -> bool:
    """Mapped on this subflow and not acknowledged there."""
    return sub.send_mappings.holds_data(data)


def holder_of_left_edge(conn: Connection, than: Subflow) -> Subflow | None:
    """The subflow that keeps the receive window from moving, if it is a slower one than `than`; None too
    when it was helped already. A slow subflow cannot help a fast one: its copy would come too late."""
    una = conn.sender.una
    if una >= conn.sender.nxt or than.carrying.holds(una):
        return None
    for sub in conn.subflows:
        if sub is not than and sub.carrying.holds(una):
            return sub if (sub.tcb.rtt.srtt or 0) > (than.tcb.rtt.srtt or 0) else None
    return None


def late_elsewhere(conn: Connection, than: Subflow, now: int) -> Iterator[tuple[int, int]]:
    """Data that other subflows carry and whose acknowledgement would come sooner if `than` sent it now, in
    order, but for what `than` has sent. What is overdue there has arrived, or waits for a late repair.

    Data that `than` sends meanwhile may come again: ask `than.copied`.
    """
    patience = _latest_rtt(than)
    behind = than.copied.past(conn.sender.una)
    found: list[Iterator[tuple[int, int]]] = []
    for sub in conn.subflows:
        rtt = _latest_rtt(sub)
        if sub is than or rtt <= patience:
            continue
        since = now + patience - rtt  # what left later than this comes later than a copy
        found.append(sub.carrying.later_than(since, behind))
        # All that came behind a lost byte waits for it, as a subflow's bytes go up in their order.
        hole = sub.tcb.board.first_missing(now, since + patience // 2)
        if hole is not None:
            found.append(sub.send_mappings.data_from(hole, behind))
    return merge(*found)


def _latest_rtt(sub: Subflow) -> int:
    """A queue that grows shows in the newest sample before it shows in the mean."""
    rtt = sub.tcb.rtt
    return max(rtt.srtt or 0, rtt.latest or 0)


def penalize(conn: Connection, sub: Subflow, now: int) -> None:
    """Halve the window of the subflow that holds the others up, at most once in its RTT (NSDI 2012 §4.2).
    Not while it recovers from a loss: it has been reduced for that, and repairs what it holds up."""
    if sub.tcb.recovery.phase is not Phase.OPEN:
        return
    rtt = sub.tcb.rtt.srtt or sub.tcb.rtt.rto
    if conn.mptcp.penalize and (sub.penalized_at is None or now - sub.penalized_at >= rtt):
        sub.penalized_at = now
        sub.tcb.cc.penalize()
        conn.context.count("SubflowPenalized")
