"""A client by hand that does not send as fast as it could: so that something can happen meanwhile.

Decides how much an application may have sent by now: a first piece until there are enough subflows, the next
block once the one before has come back, and up to a mark until it is told to go on. It stands between
the application and its endpoint and takes less than is offered. Knows nothing of what is sent.
Read first: one_connection.py, which offers the rest again with every event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.errors import UserError
from testbed.mptcp.config import SECOND
from testbed.mptcp.events import Connected, Event, SpaceFreed, SubflowOpened
from testbed.workloads.outcome import Row

if TYPE_CHECKING:
    from testbed.mptcp.endpoint import Endpoint
    from testbed.workloads.host import Application

FIRST_PIECE = 1000  # bytes, so that both ends have all of the handshake
JOIN_PATIENCE = 10 * SECOND
_WORDS = "`subflows N`, `block BYTES`, `hold BYTES`"


@dataclass(frozen=True, slots=True)
class Pace:
    """`subflows`: how many there are to be, the first included, before more than a first piece goes.
    `block`: bytes that are sent when all before has come back. `hold`: bytes before `go`. 0: no limit."""

    subflows: int = 0
    block: int = 0
    hold: int = 0


def parse_pace(text: str) -> Pace:
    """As in 'subflows 2 hold 500000'."""
    words = text.split()
    found: dict[str, int] = {}
    for name, value in zip(words[::2], [*words[1::2], ""], strict=False):
        if name not in Pace.__dataclass_fields__ or not value.isdecimal():
            raise UserError(f"--pace {text}: {f'{name} {value}'.strip()!r} is none of {_WORDS}")
        found[name] = int(value)
    return Pace(**found)


class Paced:
    """An application with one connection that sends no faster than `pace` lets it."""

    def __init__(self, application: Application, pace: Pace) -> None:
        self._application, self._pace = application, pace
        self._gate: Any = None
        self._number: int | None = None
        self._subflows = 1
        self._joined_by: int | None = None  # when waiting for subflows ends
        self._released = not pace.hold
        self.sent = self.received = self._block_end = 0

    @property
    def room(self) -> int:
        """Bytes that may be sent now."""
        pace = self._pace
        limits = [1 << 62]
        if self._subflows < pace.subflows:
            limits.append(FIRST_PIECE)
        if pace.block:
            if self.received == self.sent:
                self._block_end = self.sent + pace.block
            limits.append(self._block_end)
        if not self._released:
            limits.append(pace.hold)
        return max(min(limits) - self.sent, 0)

    def go(self, now: int, endpoint: Endpoint) -> None:
        """The mark counts no longer."""
        self._released = True
        self._on(now)

    def _on(self, now: int) -> None:
        """There may be room again: the application is to offer what it has."""
        if self._number is not None:
            self._application.handle_event(now, self._gate, SpaceFreed(self._number))

    @property
    def done(self) -> bool:
        return self._application.done

    @property
    def open_connections(self) -> int:
        return self._application.open_connections

    def start(self, now: int, endpoint: Endpoint) -> None:
        self._gate = _Gate(endpoint, self)
        self._application.start(now, self._gate)

    def handle_event(self, now: int, endpoint: Endpoint, event: Event) -> None:
        if isinstance(event, Connected):
            self._number = event.connection
            if self._pace.subflows > 1:
                self._joined_by = now + JOIN_PATIENCE
        elif isinstance(event, SubflowOpened):
            self._subflows += 1
            if self._subflows >= self._pace.subflows:
                self._joined_by = None
        self._application.handle_event(now, self._gate, event)

    def handle_timeout(self, now: int, endpoint: Endpoint) -> None:
        if self._joined_by is not None and now >= self._joined_by:
            self._joined_by = None
            self._subflows = self._pace.subflows
            self._on(now)
        self._application.handle_timeout(now, self._gate)

    def poll_timeout(self) -> int | None:
        times = (self._application.poll_timeout(), self._joined_by)
        return min((at for at in times if at is not None), default=None)

    def rows(self, endpoint: Endpoint) -> list[Row]:
        return self._application.rows(endpoint)


class _Gate:
    """An endpoint that takes no more than there is room for."""

    def __init__(self, endpoint: Endpoint, paced: Paced) -> None:
        self._endpoint, self._paced = endpoint, paced

    def __getattr__(self, name: str) -> Any:
        return getattr(self._endpoint, name)

    def send(self, now: int, connection: int, data: bytes) -> int:
        part = data[: self._paced.room]
        count = self._endpoint.send(now, connection, part) if part else 0
        self._paced.sent += count
        return count

    def receive(self, now: int, connection: int, most: int = 1 << 30) -> bytes:
        data = self._endpoint.receive(now, connection, most)
        self._paced.received += len(data)
        return data
