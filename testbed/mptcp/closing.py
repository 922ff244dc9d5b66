"""The ends of a connection: DATA_FIN, the subflow's FIN behind it, death of the last subflow.

Decides when a DATA_FIN and a FIN are due, how often a DATA_FIN is repeated, and when a connection counts
as closed. Read first: RFC 8684 §3.3.3 and Appendix D (its state machine; here the states follow from what
each side has sent, heard and acknowledged, and are not stored).
"""

from __future__ import annotations

from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.tcp.state import State
from testbed.mptcp.tcp.timers import Expiry, handle_timeout

MAX_BACKOFF = 6  # doublings of the DATA_FIN's timer


def data_fin_is_owed(conn: Connection) -> bool:
    """The DATA_FIN has not been sent yet, or its timer has run out. In between it rides on nothing:
    every copy would be answered, and the answers look like duplicate ACKs."""
    return conn.mode is Mode.MPTCP and conn.sender.fin_due and conn.data_fin_at is None


def data_fin_sent(conn: Connection, now: int) -> None:
    """No subflow repeats a DATA_FIN by itself: keep a timer (RFC 8684 §3.3.3)."""
    conn.sender.fin_sent = True
    arm_data_fin(conn, now)


def arm_data_fin(conn: Connection, now: int) -> None:
    if conn.data_fin_at is None:
        conn.data_fin_at = now + (conn.tcb.rtt.rto << min(conn.data_fin_attempts, MAX_BACKOFF))


def data_fin_timeout(conn: Connection, now: int) -> None:
    """The DATA_FIN was not acknowledged in time: it is owed again (outgoing.py)."""
    conn.data_fin_at = None
    conn.data_fin_attempts += 1
    if conn.data_fin_attempts >= conn.tcb.config.data_attempts:
        conn.reset(now, Reason.DATA_TIMED_OUT)


def advance(conn: Connection, now: int) -> None:
    """Queue the subflow's FIN when its time has come; notice when everything is over."""
    sender, tcb = conn.sender, conn.tcb
    if conn.finished:
        return
    if sender.fin_acked or (conn.confirmed and not sender.fin_sent):
        conn.data_fin_at = None
    queue_fin(conn)
    if tcb.state is State.TIME_WAIT or (tcb.state is State.CLOSED and tcb.fin_queued):
        conn.finish_clean(now)


def queue_fin(conn: Connection) -> None:
    """The subflow's FIN. Plain TCP: behind the data. MPTCP: when both DATA_FINs have been acknowledged."""
    sender, tcb = conn.sender, conn.tcb
    if not tcb.fin_queued and sender.fin_queued and not sender.unmapped:
        tcb.fin_queued = conn.mode is Mode.TCP or _both_done(conn)


def _both_done(conn: Connection) -> bool:
    """Both DATA_FINs are exchanged and acknowledged."""
    return conn.mode is Mode.MPTCP and conn.sender.fin_acked and conn.receiver.fin_taken


def died(conn: Connection, now: int, reason: Reason) -> None:
    """The last subflow is gone: a reset came, or it was given up."""
    if _both_done(conn):
        conn.finish_clean(now)  # only the subflow's own FINs were still on their way
    else:
        conn.closed_by = "fastclose" if reason is Reason.FASTCLOSE_RECEIVED else "rst"
        conn.finish(now, clean=False, verdict=Verdict.RESET, reason=reason)
    conn.tcb.move(State.CLOSED)


def timed_out(conn: Connection, now: int) -> None:
    """Carry out every deadline of the connection that has passed."""
    expiry = handle_timeout(conn.tcb, now)
    if expiry is Expiry.GAVE_UP_CONNECTING:
        conn.reset(now, Reason.CONNECT_TIMED_OUT)
    elif expiry is Expiry.GAVE_UP_SENDING:
        if _both_done(conn):
            died(conn, now, Reason.DATA_TIMED_OUT)
        else:
            conn.reset(now, Reason.DATA_TIMED_OUT)
    if conn.data_fin_at is not None and now >= conn.data_fin_at:
        data_fin_timeout(conn, now)
    if conn.linger_at is not None and now >= conn.linger_at:
        conn.linger_at = None
        conn.reset(now, Reason.SUBFLOWS_GONE)
