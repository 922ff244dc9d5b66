"""What happens when a subflow's deadline passes.

Decides retransmission, giving up, delayed ACKs, probes and the end of TIME-WAIT.
Read first: RFC 6298 §5, RFC 8985 §6.3, RFC 9293 §3.8.3, §3.8.6.1.
"""

from __future__ import annotations

from enum import Enum

from testbed.mptcp.tcp import tail
from testbed.mptcp.tcp.loss import reordering_timeout, retransmission_timeout
from testbed.mptcp.tcp.state import State
from testbed.mptcp.tcp.tcb import Tcb


class Expiry(Enum):
    NOTHING = "nothing"
    GAVE_UP_CONNECTING = "gave up connecting"
    GAVE_UP_SENDING = "gave up sending"
    TIME_WAIT_OVER = "TIME-WAIT over"


def handle_timeout(tcb: Tcb, now: int) -> Expiry:
    if tcb.delayed_ack_at is not None and now >= tcb.delayed_ack_at:
        tcb.delayed_ack_at = None
        tcb.ack_now = True
    if tcb.time_wait_at is not None and now >= tcb.time_wait_at:
        tcb.time_wait_at = None
        tcb.move(State.CLOSED)
        return Expiry.TIME_WAIT_OVER
    if tcb.persist_at is not None and now >= tcb.persist_at:
        tcb.persist_at = None
        tcb.persist_count += 1
        if tcb.probe_waits and _attempts_are_over(tcb):
            return Expiry.GAVE_UP_SENDING  # a closed window is no excuse for silence (RFC 9293 §3.8.6.1)
        tcb.probe = True
    if tcb.reo_at is not None and now >= tcb.reo_at:
        reordering_timeout(tcb, now)
    if tcb.tail.at is not None and now >= tcb.tail.at:
        tail.timed_out(tcb, now)  # puts the RTO off
    if tcb.rto_at is not None and now >= tcb.rto_at:
        tcb.rto_at = None
        if tcb.state in (State.SYN_SENT, State.SYN_RECEIVED):
            return _resend_syn(tcb)
        return _resend_data(tcb, now)
    return Expiry.NOTHING


def _resend_syn(tcb: Tcb) -> Expiry:
    if tcb.syn_count >= tcb.config.syn_attempts:
        return Expiry.GAVE_UP_CONNECTING
    tcb.rtt.expired()
    tcb.lost_syn = True
    tcb.syn_due = True
    return Expiry.NOTHING


def _resend_data(tcb: Tcb, now: int) -> Expiry:
    if tcb.snd_nxt == tcb.snd_una:
        return Expiry.NOTHING
    if _attempts_are_over(tcb):
        return Expiry.GAVE_UP_SENDING
    retransmission_timeout(tcb, now)
    tcb.rtt.expired()
    tcb.rto_at = now + tcb.rtt.rto
    if tcb.snd_wnd == 0:
        tcb.probe = True  # a closed window hides the loss: probing resends the first byte
    return Expiry.NOTHING


def _attempts_are_over(tcb: Tcb) -> bool:
    """One more went unanswered."""
    tcb.data_attempts += 1
    return tcb.data_attempts >= tcb.config.data_attempts


def syn_arrived_again(tcb: Tcb, now: int) -> None:
    """The peer repeats its SYN: our SYN/ACK was lost, unless the network has only copied the SYN."""
    if tcb.rto_at is not None and now >= tcb.rto_at:
        tcb.rtt.expired()
        tcb.lost_syn = True
    tcb.syn_due = True


def syn_sent(tcb: Tcb, now: int) -> None:
    """Book that a SYN or SYN/ACK has left."""
    tcb.syn_due = False
    tcb.syn_count += 1
    tcb.snd_nxt = max(tcb.snd_nxt, 1)  # behind a SYN/ACK there may be data already (RFC 7413)
    tcb.syn_sent_at = now if tcb.syn_count == 1 else None  # Karn
    tcb.rto_at = now + tcb.rtt.rto
