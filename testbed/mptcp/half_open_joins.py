"""Joins whose third ACK has not come: a bounded table, in place of subflows in SYN-RECEIVED.

Decides which joins are remembered, what their SYN is answered with, and which subflow a third ACK opens.
A token is seen by everyone on the path and proves nothing; only the third ACK has an HMAC. So a SYN with
MP_JOIN makes no subflow, uses none of the connection's places and keeps no connection alive. It has an
entry here, as in a SYN cache (RFC 4987 §3.5), also where the listener sends SYN cookies: a cookie has no
room for token and nonces. When the table is full, the connection with the most entries loses its oldest one.
The SYN/ACK is not repeated on a timer: the joining side repeats its SYN and its third ACK (RFC 8684 §3.2).
Read first: RFC 8684 §3.2; RFC 4987 §3.5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from testbed.mptcp import join
from testbed.mptcp.connection import Connection
from testbed.mptcp.join import Place
from testbed.mptcp.listener import four_tuple, take_syn
from testbed.mptcp.outgoing import syn_segment
from testbed.mptcp.subflow import JoinState, Subflow
from testbed.mptcp.tcp.cookies import SynCookieJar
from testbed.mptcp.tcp.handshake import read_syn_options
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.tcp.timers import syn_arrived_again
from testbed.mptcp.wire import MpJoinSyn, Segment
from testbed.mptcp.wire.sequence import MASK32, seq_add

MOST_WAITING = 4096  # joins; about 1 KB each. At 100 ms of RTT that is 40,000 SYNs per second
_Key = tuple[bytes, int, bytes, int, int]  # local and remote address and port, the joining side's ISN


@dataclass(frozen=True, slots=True)
class Waiting:
    """One SYN with MP_JOIN and how it was answered: our place, nonce, ISN (`cookie`: it is one) and timestamp
    origin. `at` and `again_at`: when the first and the newest SYN/ACK was sent, in ns."""

    connection: int
    syn: Segment
    option: MpJoinSyn
    here: Place
    nonce: int
    iss: int
    cookie: bool
    ts_offset: int
    at: int
    again_at: int | None = None


class HalfOpenJoins:
    """The entries, by connection and in the order of their arrival."""

    __slots__ = ("_connection_of", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[int, dict[_Key, Waiting]] = {}
        self._connection_of: dict[_Key, int] = {}

    def __len__(self) -> int:
        return len(self._connection_of)

    def find(self, key: _Key) -> Waiting | None:
        connection = self._connection_of.get(key)
        return None if connection is None else self._waiting[connection][key]

    def put(self, key: _Key, waiting: Waiting) -> None:
        """Remember a join, or replace its own entry."""
        if key not in self._connection_of and len(self) >= MOST_WAITING:
            crowd = max(self._waiting.values(), key=len)
            self.remove(next(iter(crowd)))
        self._connection_of[key] = waiting.connection
        self._waiting.setdefault(waiting.connection, {})[key] = waiting

    def remove(self, key: _Key) -> None:
        """Forget one join, if it is known."""
        connection = self._connection_of.pop(key, None)
        if connection is None:
            return
        del self._waiting[connection][key]
        if not self._waiting[connection]:
            del self._waiting[connection]

    def forget(self, connection: int) -> None:
        """Forget all joins of a connection that has ended."""
        for key in self._waiting.pop(connection, {}):
            del self._connection_of[key]


def key_of(segment: Segment) -> _Key:
    """Of the join that a segment right behind the SYN belongs to."""
    return segment.dst, segment.dport, segment.src, segment.sport, (segment.seq - 1) & MASK32


def answer(
    table: HalfOpenJoins,
    conn: Connection,
    jar: SynCookieJar,
    now: int,
    syn: Segment,
    option: MpJoinSyn,
    here: Place,
    before: Tcb | None,
    cookie: bool,
) -> Segment:
    """The SYN/ACK with HMAC-B. The same SYN again gets the same answer, or the third ACK that is on its way
    would have the HMAC of another nonce. `before`: a subflow in TIME-WAIT that had these ports. `cookie`:
    the listener sends SYN cookies now."""
    key = (syn.dst, syn.dport, syn.src, syn.sport, syn.seq)
    waiting = table.find(key)
    if waiting is None:
        tuple_ = four_tuple(syn)
        isn = jar.isn(now, tuple_)
        if cookie:
            isn = jar.make(now, tuple_, syn.seq, read_syn_options(syn).mss, join=True)
        fresh = Tcb(conn.config, *_ends(syn), isn, jar.timestamp_offset(tuple_))
        if before is not None and not cookie:
            fresh.begin_behind(before)
        nonce = conn.context.random(4)
        bare = replace(syn, payload=b"")
        waiting = Waiting(conn.number, bare, option, here, nonce, fresh.iss, cookie, fresh.ts_offset, now)
    else:
        waiting = replace(waiting, again_at=now)
    table.put(key, waiting)
    conn.join_asked(now)
    if waiting.cookie:
        conn.context.count("SyncookiesSent")
    return _rebuild(conn, waiting)[1]


def opened_by(table: HalfOpenJoins, jar: SynCookieJar, now: int, segment: Segment) -> Waiting | None:
    """The join that a segment for no subflow ends: it lies right behind the SYN and acknowledges our
    SYN/ACK. It leaves the table."""
    key = key_of(segment)
    waiting = table.find(key)
    if waiting is None or segment.ack != seq_add(waiting.iss, 1):
        return None
    table.remove(key)
    if waiting.cookie and not jar.check(now, four_tuple(segment), key[4], waiting.iss, join=True):
        return None  # too old
    return waiting


def subflow_of(conn: Connection, waiting: Waiting) -> Subflow:
    """The subflow in SYN-RECEIVED, ready to take the third ACK."""
    sub = _rebuild(conn, waiting)[0]
    conn.adopt(sub)
    return sub


def _ends(syn: Segment) -> tuple[tuple[bytes, int], tuple[bytes, int]]:
    return (syn.dst, syn.dport), (syn.src, syn.sport)


def _rebuild(conn: Connection, waiting: Waiting) -> tuple[Subflow, Segment]:
    """The subflow as if it had been kept since its SYN came, and its newest SYN/ACK."""
    tcb = Tcb(conn.config, *_ends(waiting.syn), waiting.iss, waiting.ts_offset)
    take_syn(tcb, waiting.at, waiting.syn)
    sub = conn.new_subflow(tcb, initiated=False, join=JoinState(waiting.nonce, waiting.option.nonce))
    join.take_place(sub, waiting.option, waiting.here)
    synack = syn_segment(conn, sub, waiting.at)
    if waiting.again_at is not None:
        syn_arrived_again(tcb, waiting.again_at)
        synack = syn_segment(conn, sub, waiting.again_at)
    return sub, synack
