"""What a server run by hand does with its connections: echo, sink, source, http.

Decides the bytes of each service, and when a connection is finished: a service says what it wants to read
and what it has to send; one application moves the bytes for all of them, never holding more than the
service asked for. Knows nothing of handshakes. Read first: http.py for http.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from testbed.mptcp.config import ServerConfig
from testbed.mptcp.events import Accepted, Closed, Event, PeerFinished
from testbed.workloads.http import MOST_HEAD, ServerSide
from testbed.workloads.outcome import Row
from testbed.workloads.payload import PATTERN, Headed, Payload
from testbed.workloads.transfer import Transfer

if TYPE_CHECKING:
    from testbed.mptcp.endpoint import Endpoint

ENDLESS = 1 << 60
MOST_HELD = 1 << 18  # bytes that an echo keeps while the peer does not read
CHUNK = 1 << 16


def pattern(length: int = ENDLESS) -> Payload:
    """The bytes that every end of a connection by hand sends, from the first on."""
    return Payload(PATTERN, 0, length)


class Service(Protocol):
    """One connection's. `room`: bytes it would read now. `finished`: it will send no more."""

    @property
    def room(self) -> int: ...

    def feed(self, data: bytes) -> None: ...

    def finish(self) -> None: ...

    def waiting(self) -> bytes: ...

    def sent(self, count: int) -> None: ...

    @property
    def finished(self) -> bool: ...


class Echo:
    """Returns what comes, until the peer finishes."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._ended = False

    @property
    def room(self) -> int:
        return MOST_HELD - len(self._held)

    def feed(self, data: bytes) -> None:
        self._held += data

    def finish(self) -> None:
        self._ended = True

    def waiting(self) -> bytes:
        return bytes(self._held[:CHUNK])

    def sent(self, count: int) -> None:
        del self._held[:count]

    @property
    def finished(self) -> bool:
        return self._ended and not self._held


class Sink:
    """Reads and forgets."""

    room = ENDLESS

    def __init__(self) -> None:
        self.finished = False

    def feed(self, data: bytes) -> None:
        pass

    def finish(self) -> None:
        self.finished = True

    def waiting(self) -> bytes:
        return b""

    def sent(self, count: int) -> None:
        pass


class Source:
    """Sends the pattern from the start of the connection until the peer finishes."""

    room = ENDLESS

    def __init__(self) -> None:
        self.finished = False
        self._pattern = pattern()
        self._at = 0

    def feed(self, data: bytes) -> None:
        pass

    def finish(self) -> None:
        self.finished = True

    def waiting(self) -> bytes:
        return b"" if self.finished else self._pattern.slice(self._at, CHUNK)

    def sent(self, count: int) -> None:
        self._at += count


class Http:
    """GET and HEAD of http.py's resources, one request at a time: the next is read when all has been sent."""

    def __init__(self) -> None:
        self._side = ServerSide()
        self._answer: Headed | None = None
        self._at = 0
        self._ended = False

    @property
    def room(self) -> int:
        if self._side.over:
            return ENDLESS  # to forget it
        return MOST_HEAD if self._answer is None else 0

    def feed(self, data: bytes) -> None:
        self._side.feed(data)
        self._next()

    def _next(self) -> None:
        if self._answer is None and (answer := self._side.next_answer()) is not None:
            self._answer, self._at = answer.stream, 0

    def finish(self) -> None:
        self._ended = True  # a request that was not all said is none

    def waiting(self) -> bytes:
        return self._answer.slice(self._at, CHUNK) if self._answer is not None else b""

    def sent(self, count: int) -> None:
        self._at += count
        if self._answer is not None and self._at == self._answer.length:
            self._answer = None
            self._next()

    @property
    def finished(self) -> bool:
        return (self._side.over or self._ended) and self._answer is None


SERVICES: dict[str, Callable[[], Service]] = {"echo": Echo, "sink": Sink, "source": Source, "http": Http}


class Serving:
    """Serves `port` on `addresses` (all if empty); with `once`, done after the first connection's end.

    `patience`: done after this many nanoseconds without a new connection and without progress on any;
    connections that are still open then are reset. None: it waits for ever.
    """

    def __init__(
        self,
        name: str,
        port: int,
        addresses: tuple[bytes, ...],
        config: ServerConfig,
        *,
        once: bool = False,
        patience: int | None = None,
    ) -> None:
        self._new = SERVICES[name]
        self._port = port
        self._addresses = addresses
        self._config = config
        self._once = once
        self._patience = patience
        self._progress = 0  # when something last happened
        self.timed_out = False
        self.cut_off = 0  # connections that the timeout ended
        self._accepted = 0
        self._open: dict[int, tuple[Transfer, Service]] = {}
        self.ended: list[Row] = []  # whoever prints them may take them out

    def start(self, now: int, endpoint: Endpoint) -> None:
        self._progress = now
        endpoint.listen(self._port, self._config, self._addresses)

    @property
    def done(self) -> bool:
        return not self._open and (self.timed_out or (self._once and self._accepted > 0))

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def poll_timeout(self) -> int | None:
        if self._patience is None or self.timed_out or self.done:
            return None
        return self._progress + self._patience

    def handle_timeout(self, now: int, endpoint: Endpoint) -> None:
        deadline = self.poll_timeout()
        if deadline is None or deadline > now:
            return
        self.timed_out, self.cut_off = True, len(self._open)
        for transfer, _ in list(self._open.values()):
            transfer.give_up(now, endpoint)

    def stop(self, now: int, endpoint: Endpoint) -> None:
        """The user has had enough."""
        for number in list(self._open):
            endpoint.abort(now, number)

    def handle_event(self, now: int, endpoint: Endpoint, event: Event) -> None:
        number = event.connection
        if number in self._open or isinstance(event, Accepted):
            self._progress = now
        if isinstance(event, Accepted):
            if self.timed_out or self.done or (self._once and self._open):
                endpoint.abort(now, number)
                return
            transfer = Transfer(number, self._accepted, now, 0)
            transfer.connected = now
            self._accepted += 1
            self._open[number] = transfer, self._new()
        if number not in self._open:
            if isinstance(event, Closed):
                endpoint.forget(number)
            return
        transfer, service = self._open[number]
        if isinstance(event, Closed):
            del self._open[number]
            transfer.expected = transfer.received
            transfer.done = now
            self.ended.append(transfer.row("server", endpoint, event, now))
            endpoint.forget(number)
            return
        if isinstance(event, PeerFinished):
            transfer.peer_finished = True
        self._move(now, endpoint, transfer, service)

    def _move(self, now: int, endpoint: Endpoint, transfer: Transfer, service: Service) -> None:
        """Reads and sends until neither gets any further."""
        number, moved = transfer.number, True
        while moved:
            moved = False
            room = service.room
            if room and (data := endpoint.receive(now, number, room)):
                if transfer.first_byte is None:
                    transfer.first_byte = now
                transfer.received += len(data)
                service.feed(data)
                moved = True
            elif room and transfer.peer_finished:
                service.finish()
            if not transfer.closing and (waiting := service.waiting()):
                accepted = endpoint.send(now, number, waiting)
                service.sent(accepted)
                transfer.sent += accepted
                moved = moved or accepted > 0
        if service.finished:
            transfer.close(now, endpoint)

    def rows(self, endpoint: Endpoint) -> list[Row]:
        return [
            *self.ended,
            *(transfer.row("server", endpoint, None) for transfer, _ in self._open.values()),
        ]
