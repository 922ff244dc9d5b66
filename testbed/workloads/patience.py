"""How long the applications of an experiment wait, and what it means that they give up.

Decides between a finding and a limit of the harness. A connection that moved no data for long is a `hang`
(reason no_progress). One that still moved data when its time was up is `unfinished` (reason time_limit):
that says something about the limit, not about the connection. Every connection is looked at twice in each
`workload.timeout`; data counts as moving if bytes arrived here or were acknowledged by the peer since the
last look. A server waits for `workload.timeout` longer than its client: the client's verdict counts, and a
reset by the server's application would hide it. Read first: Workload in spec.py.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from testbed.mptcp.reasons import Reason
from testbed.workloads.spec import Workload
from testbed.workloads.transfer import Transfer

if TYPE_CHECKING:
    from testbed.mptcp.endpoint import Endpoint


class _Watched:
    """`ends`: when the limit strikes. `silent`: looks in a row that found no new data."""

    __slots__ = ("ends", "moved", "silent")

    def __init__(self, ends: int) -> None:
        self.ends = ends
        self.moved = (0, 0)
        self.silent = 0


class Patience:
    """The connections of one application: `add` each, ask `next` for the timer, `look` when it is due."""

    def __init__(self, workload: Workload, *, server: bool = False) -> None:
        self._every = max(workload.timeout // 2, 1)
        self._limit = workload.limit + (workload.timeout if server else 0)
        self._most_silent = 4 if server else 2  # looks in a row
        self._may_fall_silent = workload.type != "bulk"
        self._looks: list[tuple[int, int]] = []  # a heap of (when, connection)
        self._watched: dict[int, _Watched] = {}

    def add(self, now: int, number: int) -> None:
        self._watched[number] = _Watched(now + self._limit)
        heapq.heappush(self._looks, (now + min(self._every, self._limit), number))

    def next(self, open_now: dict[int, Transfer]) -> int | None:
        """When the next connection that is still open must be looked at; None where there is none."""
        looks = self._looks
        while looks:
            transfer = open_now.get(looks[0][1])
            if transfer is not None and transfer.gave_up is None:
                return looks[0][0]
            self._watched.pop(heapq.heappop(looks)[1], None)
        return None

    def look(self, now: int, endpoint: Endpoint, open_now: dict[int, Transfer]) -> None:
        """Looks at the connections whose turn it is, and gives up those that have waited too long."""
        while (moment := self.next(open_now)) is not None and moment <= now:
            number = heapq.heappop(self._looks)[1]
            reason = self._verdict(now, endpoint, open_now[number])
            if reason is not None:
                del self._watched[number]
                open_now[number].give_up(now, endpoint, reason)

    def _verdict(self, now: int, endpoint: Endpoint, transfer: Transfer) -> Reason | None:
        """Why to give up now; None to go on waiting."""
        watched = self._watched[transfer.number]
        moved = transfer.received, endpoint.describe(transfer.number).bytes_acked
        watched.silent = 0 if moved != watched.moved else watched.silent + 1
        watched.moved = moved
        if now >= watched.ends:
            return Reason.TIME_LIMIT if watched.silent == 0 else Reason.NO_PROGRESS
        if watched.silent >= self._most_silent and not self._may_fall_silent:
            return Reason.NO_PROGRESS
        heapq.heappush(self._looks, (min(now + self._every, watched.ends), transfer.number))
        return None
