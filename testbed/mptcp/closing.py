"""The ends of a connection: DATA_FIN, the subflows' FINs behind it, fast close, deadlines.

Decides when a DATA_FIN and a FIN are due, how often they and a MP_FASTCLOSE are repeated, and when a
connection counts as closed. Read first: RFC 8684 §3.3.3, §3.5 and Appendix D (its state machine; here the
states follow from what each side has sent, heard and acknowledged, and are not stored).
"""

from __future__ import annotations

from testbed.mptcp import addresses, fast_open, join
from testbed.mptcp.config import Profile
from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.fallback import Observation
from testbed.mptcp.observe import observe
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.reinject import data_timeout, subflow_timed_out
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.tcp.state import State
from testbed.mptcp.tcp.timers import Expiry, handle_timeout
from testbed.mptcp.wire import MpFastclose

MAX_BACKOFF = 6  # doublings of the DATA_FIN's timer
IGNORED = 3  # DATA_FINs without an answer, before a FIN goes with them where nothing was ever answered
FASTCLOSES = 3  # MP_FASTCLOSEs on an ACK before the subflow is reset (RFC 6824 §3.5)


# -- DATA_FIN and FIN -----------------------------------------------------------------------------------


def data_fin_is_owed(conn: Connection) -> bool:
    """The DATA_FIN has not been sent yet, or its timer has run out. In between it rides on nothing:
    every copy would be answered, and the answers look like duplicate ACKs."""
    return conn.mode is Mode.MPTCP and conn.sender.fin_due and conn.data_fin_at is None


def carries_data_fin(conn: Connection, sub: Subflow) -> bool:
    """The subflow for the DATA_FIN: the fastest that works, another one each time it is repeated."""
    ready = [one for one in conn.subflows if one.may_carry and not one.stale]
    ready = ready or [one for one in conn.subflows if one.may_carry]
    if not ready:
        return sub is conn.first
    ready.sort(key=lambda one: (one.backup, one.tcb.rtt.srtt or 0, one.index))
    return ready[conn.data_fin_attempts % len(ready)] is sub


def data_fin_sent(conn: Connection, sub: Subflow, now: int) -> None:
    """No subflow repeats a DATA_FIN by itself: keep a timer (RFC 8684 §3.3.3)."""
    conn.sender.fin_sent = True
    arm_data_fin(conn, sub, now)


def arm_data_fin(conn: Connection, sub: Subflow, now: int) -> None:
    if conn.data_fin_at is None:
        conn.data_fin_at = now + (sub.tcb.rtt.rto << min(conn.data_fin_attempts, MAX_BACKOFF))


def _data_fin_timeout(conn: Connection, now: int) -> None:
    """The DATA_FIN was not acknowledged in time: it is owed again (outgoing.py)."""
    conn.data_fin_at = None
    conn.data_fin_attempts += 1
    for sub in conn.subflows:
        if sub.alive:
            observe(conn, now, sub, Observation.DATA_FIN_UNANSWERED)
    if conn.role == "client" and not (conn.confirmed or conn.has_sent) and conn.first.established:
        conn.first.answers_synack = conn.first.tcb.ack_now = True  # the third ACK may be lost: the keys again
    queue_fin(conn)
    if conn.data_fin_attempts >= conn.config.data_attempts:
        conn.reset(now, Reason.DATA_TIMED_OUT)


def advance(conn: Connection, now: int) -> None:
    """Queue the subflows' FINs when their time has come; notice when everything is over."""
    sender = conn.sender
    if conn.finished or conn.both_done:
        _end_fin_wait(conn, now)
    if conn.finished:
        return
    if sender.fin_acked or (conn.confirmed and not sender.fin_sent):
        conn.data_fin_at = None
    queue_fin(conn)
    for sub in conn.subflows:
        if sub.retiring:
            retire(conn, sub)
        if sub.alive:
            continue
        if sub.tcb.fin_queued and (conn.both_done if conn.mode is Mode.MPTCP else said_all(conn)):
            conn.finish_clean(now)
            return
        if sub.closed_because is Reason.NONE:
            conn.lose(now, sub, Reason.SUBFLOW_FINISHED)


def _end_fin_wait(conn: Connection, now: int) -> None:
    """All was said above: a subflow waits for the peer's FIN as long as in TIME-WAIT, not for ever. Before
    that a FIN is only half of a close (RFC 9293 §3.6)."""
    for sub in conn.subflows:
        if sub.tcb.state is State.FIN_WAIT_2 and sub.tcb.time_wait_at is None:
            sub.tcb.time_wait_at = now + conn.config.time_wait


def said_all(conn: Connection) -> bool:
    """The application has closed, and all that it wrote is with a subflow."""
    return conn.sender.fin_queued and not conn.sender.unmapped


def queue_fin(conn: Connection) -> None:
    """The subflows' FINs. Plain TCP: behind the data. MPTCP: when both DATA_FINs have been acknowledged.

    A peer that never sent a DATA_ACK may have fallen back, and was sent nothing that plain TCP acknowledges:
    a FIN tells, by the way in which it is acknowledged (RFC 8684 §3.7). Without any data that is likely: the
    keys were in the third ACK alone.
    """
    ignored = not conn.confirmed and conn.data_fin_attempts >= (IGNORED if conn.has_sent else 1)
    if not said_all(conn) or not (conn.mode is Mode.TCP or conn.both_done or ignored):
        return
    for sub in conn.subflows:
        if sub.usable and sub.alive and sub.tcb.state is not State.SYN_RECEIVED:
            sub.tcb.fin_queued = True


def retire(conn: Connection, sub: Subflow) -> None:
    """Close this subflow alone: no new data on it, a FIN behind what it carries. In plain TCP that would cut
    the stream: so not while a fallback may still come."""
    if conn.mode is not Mode.MPTCP or not sub.alive or sub.leaving:
        return
    sub.retiring = not _may_leave(conn, sub)
    if not sub.retiring:
        sub.leaving = sub.tcb.fin_queued = True
        conn.assign_due = True


def _may_leave(conn: Connection, sub: Subflow) -> bool:
    """No fallback makes its FIN the end of the stream: another subflow can carry the rest, or options are
    known to pass both ways and no checksum can fail (RFC 8684 §3.7)."""
    others = any(other.may_carry for other in conn.subflows if other is not sub)
    return others or (sub.acknowledged and not conn.checksum)


# -- fast close -----------------------------------------------------------------------------------------


def abort(conn: Connection, now: int, reason: Reason) -> None:
    """Reset at once. MPTCP says so for the whole connection: RFC 8684 §3.5 with MP_FASTCLOSE on a RST
    (option R); RFC 6824 §3.5 only with an ACK that the peer answers by a RST (option A)."""
    if conn.mode is not Mode.MPTCP or conn.remote_key is None or conn.finished:
        conn.reset(now, reason)
        return
    option = MpFastclose(conn.remote_key)
    speaker = next((sub for sub in conn.subflows if sub.established and sub.alive), None)
    if conn.profile is Profile.V1 or speaker is None:
        conn.context.count("MPFastcloseTx")
        for sub in conn.subflows:
            conn.context.remember_last_word((*sub.tcb.local, *sub.tcb.remote), option)
        conn.reset(now, reason, (option,))
        return
    conn.closed_by = "fastclose"
    conn.finish(now, clean=False, verdict=Verdict.RESET, reason=reason)
    for sub in list(conn.subflows):
        if sub is not speaker and sub.alive:
            conn.reset_subflow(now, sub, reason)
    _send_fastclose(conn, speaker, now)


def _send_fastclose(conn: Connection, sub: Subflow, now: int) -> None:
    assert conn.remote_key is not None
    sub.leaving = True
    sub.signals.append(MpFastclose(conn.remote_key))
    conn.context.count("MPFastcloseTx")
    conn.fastclose_at = now + (sub.tcb.rtt.rto << conn.fastclose_attempts)
    conn.fastclose_attempts += 1


def _fastclose_timeout(conn: Connection, now: int) -> None:
    """FASTCLOSE_WAIT: no RST has come."""
    conn.fastclose_at = None
    for sub in conn.subflows:
        if sub.alive and conn.fastclose_attempts < FASTCLOSES:
            _send_fastclose(conn, sub, now)
        elif sub.alive:
            conn.reset_subflow(now, sub, Reason.ABORTED)


# -- deadlines ------------------------------------------------------------------------------------------


def timed_out(conn: Connection, now: int) -> None:
    """Carry out every deadline of the connection that has passed."""
    for sub in list(conn.subflows):
        _subflow_timed_out(conn, sub, now)
    if conn.data_fin_at is not None and now >= conn.data_fin_at:
        _data_fin_timeout(conn, now)
    if conn.data_rto_at is not None and now >= conn.data_rto_at:
        data_timeout(conn, now)
    if conn.fastclose_at is not None and now >= conn.fastclose_at:
        _fastclose_timeout(conn, now)
    if conn.linger_at is not None and now >= conn.linger_at:
        conn.linger_at = None
        conn.reset(now, conn.linger_reason)
    conn.book.timed_out(now)
    addresses.announce(conn, now)
    advance(conn, now)


def _subflow_timed_out(conn: Connection, sub: Subflow, now: int) -> None:
    attempts = sub.tcb.data_attempts
    expiry = handle_timeout(sub.tcb, now)
    if expiry is Expiry.GAVE_UP_CONNECTING:
        _give_up(conn, sub, now, Reason.CONNECT_TIMED_OUT)
    elif expiry is Expiry.GAVE_UP_SENDING:
        _give_up(conn, sub, now, Reason.DATA_TIMED_OUT)
    elif sub.tcb.data_attempts > attempts:
        subflow_timed_out(conn, sub)
        fast_open.timed_out(conn, sub, now)
    join.timed_out(conn, sub, now)


def _give_up(conn: Connection, sub: Subflow, now: int, reason: Reason) -> None:
    if conn.finished or conn.both_done:
        conn.lose(now, sub, reason)  # only the subflow's own FINs were still on their way
    else:
        conn.reset_subflow(now, sub, reason)
