"""What was seen on a subflow goes to fallback.py, and what that decides is carried out.

Decides nothing itself but whether a subflow counts as the only one. Must not look at packets.
Read first: RFC 8684 §3.7.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from testbed.mptcp import events
from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.fallback import Action, Decision, Observation, Situation, decide
from testbed.mptcp.mapping import Mapping
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.wire import MpFail, MpTcpRst, Option


def observe(
    conn: Connection,
    now: int,
    sub: Subflow,
    observation: Observation,
    data: int | None = None,
    *,
    in_step: bool = True,
) -> Decision:
    """Report what was seen on a subflow to fallback.py and carry out what it decides. `data`: the offset of
    the mapping that it is about; None: the next that is expected. `in_step`: an infinite mapping continues
    the mappings before it."""
    situation = Situation(
        conn.profile,
        confirmed=sub.confirmed,
        acknowledged=sub.acknowledged,
        peer_maps=sub.peer_maps,
        only_subflow=_is_only(conn, sub),
        never_joined=not sub.index and not conn.joined,
        contiguous=_is_contiguous(conn, sub),
        unmapped=_is_unmapped(sub),
        failed=conn.failed,
        unconfirmed_acks=sub.acks_without_data_ack,
        lost_third_ack=conn.lost_third_ack,
    )
    decision = decide(observation, situation)
    if decision.action is Action.FALL_BACK and not (in_step and _is_in_step(conn, sub)):
        decision = decide(observation, replace(situation, in_step=False))
    conn.context.trace(
        now, conn.number, observation.value, f"{decision.action.value}: {decision.reason.value}"
    )
    if decision.action is Action.FALL_BACK:
        _fall_back(conn, now, sub, decision)
    elif decision.action is Action.RESET:
        options: list[Option] = []
        if decision.send_fail:
            options.append(_fail_option(conn, data))
            conn.context.count("MPFailTx")
        if decision.rst_code is not None:
            options.append(MpTcpRst(decision.rst_code))
            conn.context.count("MPRstTx")
        conn.reset_subflow(now, sub, decision.reason, tuple(options))
    elif decision.send_fail:
        _fail(conn, now, sub, decision, data)
    return decision


def _fail(conn: Connection, now: int, sub: Subflow, decision: Decision, data: int | None) -> None:
    """Tell the peer that MPTCP is over; what it does then is the next thing to observe."""
    conn.failed = True
    _send_fail(conn, sub, data)
    _only(conn, now, sub, decision)


def _send_fail(conn: Connection, sub: Subflow, data: int | None = None) -> None:
    if not any(isinstance(one, MpFail) for one in sub.signals):
        sub.signals.append(_fail_option(conn, data))
    sub.tcb.ack_now = True


def _fail_option(conn: Connection, data: int | None) -> MpFail:
    """Names the start of the mapping that failed (RFC 8684 §3.7)."""
    return MpFail(conn.peer_dsn(conn.receiver.next if data is None else data))


def _only(conn: Connection, now: int, sub: Subflow, decision: Decision) -> None:
    """No other subflow may come up any more."""
    for other in list(conn.subflows):
        if other is not sub and other.alive:
            conn.reset_subflow(now, other, decision.reason)


def _is_only(conn: Connection, sub: Subflow) -> bool:
    """No other subflow is established."""
    return not any(other.established for other in conn.subflows if other is not sub)


def _is_contiguous(conn: Connection, sub: Subflow) -> bool:
    """The subflow's next bytes are the connection's next, or came before, and in both directions nothing is
    missing in front of others: TCP alone can go on from here."""
    if conn.sender.again or conn.receiver.reassembly.held:
        return False
    return next_data(conn, sub) <= conn.receiver.next


def _is_unmapped(sub: Subflow) -> bool:
    """Bytes came without a mapping: they wait for one, or were dropped for want of it."""
    pending = sub.pending
    waiting = pending.end > pending.start and sub.receive_mappings.at(pending.start) is None
    return waiting or sub.unmapped > 0


def _is_in_step(conn: Connection, sub: Subflow) -> bool:
    """From the next byte on every known mapping of the peer says what plain TCP would do. Looks at all of
    them: ask only where it decides."""
    return sub.receive_mappings.in_step(sub.pending.start, next_data(conn, sub))


def next_data(conn: Connection, sub: Subflow) -> int:
    """Where the subflow's next byte belongs: what its mapping says, without one the connection's next."""
    mapping = sub.receive_mappings.at(sub.pending.start)
    return conn.receiver.next if mapping is None else mapping.data_at(sub.pending.start)


def _fall_back(conn: Connection, now: int, sub: Subflow, decision: Decision) -> None:
    if conn.mode is Mode.TCP:
        return
    if conn.mode is Mode.MPTCP:
        conn.context.count("DssFallback")
    conn.book.announced.clear()
    sub.signals = deque(one for one in sub.signals if isinstance(one, MpFail))  # plain TCP says no more
    if decision.send_fail:
        _send_fail(conn, sub)
    if decision.send_infinite:
        sub.announce_infinite = Mapping(sub.tcb.snd_end, conn.sender.nxt, None)
    sub.receive_mappings.declare_infinite(sub.pending.start, next_data(conn, sub))
    sub.send_mappings.declare_infinite(sub.tcb.snd_end, conn.sender.nxt)
    if not conn.receiver.fin_taken:
        conn.receiver.fin = None  # TCP's FIN ends the stream now
    conn.mode = Mode.TCP
    conn.fallback_reason = decision.reason
    conn.data_fin_at = conn.data_rto_at = None
    _only(conn, now, sub, decision)
    conn.tell(events.FellBack(conn.number, decision.reason))
