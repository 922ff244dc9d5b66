"""All connections of an endpoint: by their numbers, and their subflows by four-tuple.

Decides what a connection's number is, and when a subflow and a connection are forgotten: a closed subflow
once its last segment has left, a connection with its last subflow once the application was told. Must not
know what a segment means.
Read first: RFC 9293 §3.3.2 (CLOSED is where there is no TCB), agenda.py.
"""

from __future__ import annotations

from testbed.mptcp.agenda import Agenda
from testbed.mptcp.connection import Connection
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.tcp.state import State

Key = tuple[bytes, int, bytes, int]  # local address and port, remote address and port


class Table:
    """`by_number` also holds connections that ended and whose report was not dropped yet."""

    __slots__ = ("_by_tuple", "_last_number", "agenda", "by_number")

    def __init__(self) -> None:
        self._by_tuple: dict[Key, tuple[Connection, Subflow]] = {}
        self.by_number: dict[int, Connection] = {}
        self._last_number = 0
        self.agenda = Agenda()

    def __len__(self) -> int:
        """Subflows that hold state, half-open and TIME-WAIT ones included."""
        return len(self._by_tuple)

    def find(self, key: Key) -> tuple[Connection, Subflow] | None:
        return self._by_tuple.get(key)

    def next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def add(self, key: Key, conn: Connection, sub: Subflow) -> None:
        self._by_tuple[key] = (conn, sub)
        self.by_number[conn.number] = conn

    def touch(self, conn: Connection) -> None:
        """It may have something to send, or another deadline."""
        conn.assign_due = True
        self.agenda.touch(conn)

    def bury(self, conn: Connection) -> None:
        """Closed subflows go once their last segment has left."""
        for sub in [one for one in conn.subflows if one.tcb.state is State.CLOSED]:
            if sub.reset_options is None:
                self.remove(conn, sub)

    def remove(self, conn: Connection, sub: Subflow) -> None:
        key = (*sub.tcb.local, *sub.tcb.remote)
        if self._by_tuple.get(key) == (conn, sub):
            del self._by_tuple[key]
        conn.bury(sub)
        if conn.subflows or not conn.finished:
            return
        self.agenda.forget(conn)
        if not conn.told:
            self.by_number.pop(conn.number, None)

    def forget(self, number: int) -> None:
        """Drop the report of a connection that is closed; others stay."""
        conn = self.by_number.get(number)
        if conn is not None and conn.finished:
            del self.by_number[number]
