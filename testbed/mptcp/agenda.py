"""Which connection of an endpoint is looked at next: those with something to send, and those with a deadline.

Decides that order and nothing else. Knows of a connection its number and its deadline.
"""

from __future__ import annotations

import heapq
from collections import deque

from testbed.mptcp.connection import Connection

MOST_STALE = 64  # entries


class Agenda:
    """A connection's `scheduled` is its entry among the timers; other entries of it are stale."""

    __slots__ = ("_owner", "_ready", "_ready_set", "_timers")

    def __init__(self) -> None:
        self._ready: deque[Connection] = deque()
        self._ready_set: set[int] = set()
        self._timers: list[tuple[int, int]] = []  # (deadline, connection), stale entries included
        self._owner: dict[int, Connection] = {}

    def touch(self, conn: Connection) -> None:
        """It may have something to send, or another deadline."""
        if conn.number not in self._ready_set:
            self._ready_set.add(conn.number)
            self._ready.append(conn)

    def ready(self) -> Connection | None:
        """The connection whose turn it is to send."""
        return self._ready[0] if self._ready else None

    def settle(self, conn: Connection) -> None:
        """The one that `ready` gave has nothing more to send: note its deadline."""
        self._ready.popleft()
        self._ready_set.discard(conn.number)
        deadline = conn.deadline() if conn.subflows or not conn.finished else None
        if deadline is None:
            conn.scheduled = None
            self.forget(conn)
        elif conn.scheduled is None or deadline < conn.scheduled:
            # A later deadline keeps the earlier entry, which re-arms itself when it comes up.
            conn.scheduled = deadline
            self._owner[conn.number] = conn
            heapq.heappush(self._timers, (deadline, conn.number))
            if len(self._timers) > 2 * len(self._owner) + MOST_STALE:
                self._drop_stale()

    def _drop_stale(self) -> None:
        """Deadlines that come and go faster than time would pile up."""
        owners = self._owner.values()
        self._timers = [(one.scheduled, one.number) for one in owners if one.scheduled is not None]
        heapq.heapify(self._timers)

    def due(self, now: int) -> Connection | None:
        """A connection whose deadline has passed, each once; None when there is no other."""
        timers = self._timers
        while timers and timers[0][0] <= now:
            at, number = heapq.heappop(timers)
            conn = self._owner.get(number)
            if conn is not None and conn.scheduled == at:
                conn.scheduled = None
                return conn
        return None

    def next_deadline(self) -> int | None:
        timers = self._timers
        while timers:
            at, number = timers[0]
            conn = self._owner.get(number)
            if conn is not None and conn.scheduled == at:
                return at
            heapq.heappop(timers)
        return None

    def forget(self, conn: Connection) -> None:
        self._owner.pop(conn.number, None)
