"""Joins to a server that answers with SYN cookies: what a cookie cannot carry waits in a bounded table.

Decides which joins are remembered (the oldest is forgotten when it is full) and what an ACK must bring
back. Only SYNs with a token of a living connection get this far, which is why RFC 8684 §3.2 asks for no
stateless joins at all.
Read first: RFC 8684 §3.2; draft-paasch-mptcp-syncookies-02 §2.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.mptcp import join
from testbed.mptcp.connection import Connection
from testbed.mptcp.context import Context
from testbed.mptcp.cookie_ack import tcb_from_cookie
from testbed.mptcp.join import Place
from testbed.mptcp.keys import join_hmac
from testbed.mptcp.listener import Listener, cookie_synack, four_tuple
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.tcp.cookies import FourTuple
from testbed.mptcp.wire import MpJoinSyn, MpJoinSynAck, Segment
from testbed.mptcp.wire.sequence import MASK32

MOST_WAITING = 1024
_Key = tuple[FourTuple, int]  # and the client's ISN


@dataclass(frozen=True, slots=True)
class Waiting:
    """A join whose third ACK has not come. `nonce` is ours."""

    connection: int
    option: MpJoinSyn
    nonce: int
    here: Place


class JoinTable:
    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[_Key, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, key: _Key, waiting: Waiting) -> None:
        self._waiting.pop(key, None)
        if len(self._waiting) >= MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[key] = waiting

    def take(self, key: _Key) -> Waiting | None:
        """An entry serves once."""
        return self._waiting.pop(key, None)


def answer(
    table: JoinTable,
    listener: Listener,
    context: Context,
    conn: Connection,
    option: MpJoinSyn,
    here: Place,
    now: int,
    segment: Segment,
) -> Segment:
    """The SYN/ACK with HMAC-B; what the third ACK is checked against goes into the table."""
    assert conn.local_key is not None
    assert conn.remote_key is not None
    nonce = context.random(4)
    table.put((four_tuple(segment), segment.seq), Waiting(conn.number, option, nonce, here))
    mac = join_hmac(conn.local_key, conn.remote_key, nonce, option.nonce, conn.speech.sha256)
    synack = MpJoinSynAck(here.backup, here.id, mac[: join.SYNACK_HMAC_BYTES], nonce)
    return cookie_synack(listener, context, now, segment, (synack,))


def take_back(
    table: JoinTable, listener: Listener, now: int, segment: Segment, connections: dict[int, Connection]
) -> tuple[Connection, Subflow] | None:
    """The subflow in SYN-RECEIVED, ready to take `segment`; None when the ACK brings nothing back."""
    client_isn, cookie = (segment.seq - 1) & MASK32, (segment.ack - 1) & MASK32
    tuple_ = four_tuple(segment)
    remembered = listener.jar.check(now, tuple_, client_isn, cookie)
    if remembered is None:
        return None
    waiting = table.take((tuple_, client_isn))
    conn = connections.get(waiting.connection) if waiting is not None else None
    if waiting is None or conn is None or join.refusal(conn) is not None:
        return None
    tcb = tcb_from_cookie(conn.config, tuple_, segment, client_isn, cookie, remembered, now)
    return conn, join.accept(conn, tcb, waiting.option, waiting.here, waiting.nonce)
