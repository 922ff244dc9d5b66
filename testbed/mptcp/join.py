"""MP_JOIN: the handshake of an additional subflow, from both ends.

Decides which join is accepted, and when a joined subflow may carry data. Finding the connection by its
token is endpoint.py's, joins whose third ACK has not come are in half_open_joins.py.
Read first: RFC 8684 §3.2.
"""

from __future__ import annotations

import hmac as constant_time
from typing import NamedTuple

from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.context import Context
from testbed.mptcp.fallback import RST_MPTCP_ERROR, RST_PROHIBITED, RST_RESOURCES
from testbed.mptcp.keys import join_hmac
from testbed.mptcp.paths import Join
from testbed.mptcp.reasons import Reason
from testbed.mptcp.subflow import JoinState, Subflow
from testbed.mptcp.tcp.state import State
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire import MpJoinAck, MpJoinSyn, MpJoinSynAck, MpTcpRst, Option

SYNACK_HMAC_BYTES = 8
ACK_HMAC_BYTES = 20
MOST_ACKS = 8  # third ACKs sent before a join is given up


class Place(NamedTuple):
    """What the peer is told of an address of ours that it joins."""

    id: int
    backup: bool


def begin(conn: Connection, tcb: Tcb, join: Join) -> Subflow:
    """A subflow of ours, with its SYN due."""
    sub = conn.new_subflow(tcb, initiated=True, join=JoinState(conn.context.random(4)))
    conn.adopt(sub)
    sub.local_id, sub.remote_id, sub.backup_here = join.local_id, join.remote_id, join.backup
    tcb.move(State.SYN_SENT)
    tcb.syn_due = True
    return sub


def refusal(conn: Connection | None, to: tuple[bytes, int] | None = None) -> int | None:
    """Why a SYN with MP_JOIN gets a RST: a code of MP_TCPRST; None: it is welcome.

    No DSS on the first subflow yet: the peer cannot know that the keys have arrived (RFC 8684 §3.2). `to`:
    the address and port that are joined; those of the first subflow may be closed (§3.1, flag C).
    """
    if conn is None or conn.finished or conn.mode is not Mode.MPTCP or not conn.peer_dss_seen or conn.failed:
        return RST_MPTCP_ERROR
    denied = conn.mptcp.deny_join_initial and conn.speech.sha256 and to == conn.local
    if conn.mptcp.deny_join or denied:
        return RST_PROHIBITED
    if extra_subflows(conn) >= conn.paths.limits.subflows:
        return RST_RESOURCES
    return None


def count_syn(
    context: Context, conn: Connection | None, option: MpJoinSyn, port: int, *, refused: bool
) -> None:
    """Every SYN with MP_JOIN, whatever comes of it; those to a port of their own once more."""
    context.count("MPJoinSynRx")
    if option.backup:
        context.count("MPJoinSynBackupRx")
    if conn is None:
        context.count("MPJoinNoTokenFound")
        return
    if refused:
        context.count("MPJoinRejected")
    if port != conn.local[1]:
        context.count("MPJoinPortSynRx")


def extra_subflows(conn: Connection) -> int:
    """Subflows beyond the first, with our own joins that are under way. The peer's joins that are under way
    are in half_open_joins.py and use no place."""
    return sum(1 for sub in conn.subflows if sub.index and sub.alive)


def take_place(sub: Subflow, option: MpJoinSyn, here: Place) -> None:
    """Address IDs and backup flags of a subflow that the peer opens."""
    sub.local_id, sub.backup_here = here
    sub.remote_id, sub.backup_there = option.address_id, option.backup


def syn_option(conn: Connection, sub: Subflow) -> MpJoinSyn:
    assert sub.join is not None
    assert conn.remote_token is not None
    return MpJoinSyn(sub.backup_here, sub.local_id, conn.remote_token, sub.join.local_nonce)


def synack_option(conn: Connection, sub: Subflow) -> MpJoinSynAck:
    assert sub.join is not None
    mac = own_hmac(conn, sub.join)
    return MpJoinSynAck(sub.backup_here, sub.local_id, mac[:SYNACK_HMAC_BYTES], sub.join.local_nonce)


def ack_option(conn: Connection, sub: Subflow, now: int) -> MpJoinAck:
    """For the third ACK, which is sent again until something comes back (RFC 8684 §3.2)."""
    join = sub.join
    assert join is not None
    join.ack_due = False
    join.acks += 1
    join.ack_at = now + (sub.tcb.rtt.rto << (join.acks - 1))
    return MpJoinAck(own_hmac(conn, join)[:ACK_HMAC_BYTES])


def own_hmac(conn: Connection, join: JoinState) -> bytes:
    assert conn.local_key is not None
    assert conn.remote_key is not None
    assert join.remote_nonce is not None
    return join_hmac(conn.local_key, conn.remote_key, join.local_nonce, join.remote_nonce, conn.speech.sha256)


def _peer_hmac(conn: Connection, join: JoinState) -> bytes:
    assert conn.local_key is not None
    assert conn.remote_key is not None
    assert join.remote_nonce is not None
    return join_hmac(conn.remote_key, conn.local_key, join.remote_nonce, join.local_nonce, conn.speech.sha256)


def synack_arrived(conn: Connection, sub: Subflow, now: int, option: MpJoinSynAck | None) -> None:
    """The joining side: check the peer's HMAC, then prove our own with the third ACK."""
    join = sub.join
    assert join is not None
    if option is None:
        give_up(conn, sub, now, Reason.JOIN_REFUSED)
        return
    join.remote_nonce = option.nonce
    conn.context.count("MPJoinSynAckRx")
    if option.backup:
        conn.context.count("MPJoinSynAckBackupRx")
    if sub.tcb.remote[1] != conn.remote[1]:
        conn.context.count("MPJoinPortSynAckRx")
    if not constant_time.compare_digest(option.hmac, _peer_hmac(conn, join)[:SYNACK_HMAC_BYTES]):
        conn.context.count("MPJoinSynAckHMacFailure")
        give_up(conn, sub, now, Reason.JOIN_HMAC_WRONG)
        return
    sub.backup_there, sub.remote_id = option.backup, option.address_id
    join.ack_due = sub.tcb.ack_now = True


def third_ack_arrived(conn: Connection, sub: Subflow, now: int, option: MpJoinAck | None) -> None:
    """The joined side. The ACK that answers it tells the peer that data may flow."""
    join = sub.join
    assert join is not None
    if option is None:
        give_up(conn, sub, now, Reason.JOIN_REFUSED)
        return
    if not constant_time.compare_digest(option.hmac, _peer_hmac(conn, join)[:ACK_HMAC_BYTES]):
        conn.context.count("MPJoinAckHMacFailure")
        give_up(conn, sub, now, Reason.JOIN_HMAC_WRONG)
        return
    conn.context.count("MPJoinAckRx")
    if sub.tcb.local[1] != conn.local[1]:
        conn.context.count("MPJoinPortAckRx")
    conn.announce_subflow(now, sub)
    sub.tcb.ack_now = True


def answer_arrived(conn: Connection, sub: Subflow, now: int) -> None:
    """The joining side hears from the peer after its third ACK: the subflow is open."""
    assert sub.join is not None
    if sub.join.remote_nonce is not None and not sub.usable:
        sub.join.ack_at = None
        conn.announce_subflow(now, sub)


def timed_out(conn: Connection, sub: Subflow, now: int) -> None:
    """The third ACK may be lost."""
    join = sub.join
    if join is None or join.ack_at is None or now < join.ack_at:
        return
    join.ack_at = None
    if join.acks >= MOST_ACKS:
        give_up(conn, sub, now, Reason.DATA_TIMED_OUT)
    else:
        join.ack_due = sub.tcb.ack_now = True


def give_up(conn: Connection, sub: Subflow, now: int, reason: Reason) -> None:
    conn.reset_subflow(now, sub, reason, reset_options(conn, RST_MPTCP_ERROR))


def reset_options(conn: Connection | None, code: int) -> tuple[Option, ...]:
    """MP_TCPRST came with RFC 8684 §3.6; before it, a reset says nothing."""
    if conn is not None and not conn.speech.sha256:
        return ()
    if conn is not None:
        conn.context.count("MPRstTx")
    return (MpTcpRst(code),)
