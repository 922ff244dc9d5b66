"""One host: an endpoint and the application on it. The only thing that the simulator and a lab's driver run.

Decides the order of calls that the endpoint's contract asks for: input, then events until there are none,
then segments, then the timer. Knows no clock and no network.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from testbed.mptcp.endpoint import Endpoint
from testbed.mptcp.events import Event
from testbed.mptcp.wire import Segment, TooBig
from testbed.workloads.client import RequestClient
from testbed.workloads.flood import SynFlood, SynSource
from testbed.workloads.outcome import Row
from testbed.workloads.server import RequestServer
from testbed.workloads.spec import FIRST_EPHEMERAL, LAST_EPHEMERAL, HostSpec, packed
from testbed.workloads.traffic import Sink
from testbed.workloads.web import HttpClient, HttpServer

if TYPE_CHECKING:
    from testbed.mptcp.context import TraceRecord


class Application(Protocol):
    """What a host runs on its endpoint. `done`: everything that it will ever do has ended."""

    @property
    def done(self) -> bool: ...

    @property
    def open_connections(self) -> int: ...

    def start(self, now: int, endpoint: Endpoint) -> None: ...

    def handle_event(self, now: int, endpoint: Endpoint, event: Event) -> None: ...

    def handle_timeout(self, now: int, endpoint: Endpoint) -> None: ...

    def poll_timeout(self) -> int | None: ...

    def rows(self, endpoint: Endpoint) -> list[Row]: ...


CLIENTS: dict[str, Callable[[HostSpec, random.Random], Application]] = {
    "request": RequestClient,
    "http": HttpClient,
    "bulk": RequestClient,
}
SERVERS: dict[str, Callable[[HostSpec], Application]] = {
    "request": RequestServer,
    "http": HttpServer,
    "bulk": RequestServer,
}


class Hosted:
    """An endpoint and an application. The contract with a driver:

    after `start` and each `handle_...`: `poll_transmit` until None, then `poll_timeout`.
    """

    def __init__(self, endpoint: Endpoint, application: Application) -> None:
        self.endpoint = endpoint
        self.application = application
        self.poll_transmit = endpoint.poll_transmit

    def start(self, now: int) -> None:
        self.application.start(now, self.endpoint)
        self._drain(now)

    def handle_segment(self, now: int, segment: Segment) -> None:
        self.endpoint.handle_segment(now, segment)
        self._drain(now)

    def handle_too_big(self, now: int, too_big: TooBig) -> None:
        self.endpoint.packet_too_big(now, too_big)
        self._drain(now)

    def handle_timeout(self, now: int) -> None:
        """Whatever is due at `now`; harmless when nothing is."""
        due = self.endpoint.poll_timeout()
        if due is not None and due <= now:
            self.endpoint.handle_timeout(now)
            self._drain(now)
        due = self.application.poll_timeout()
        if due is not None and due <= now:
            self.application.handle_timeout(now, self.endpoint)
            self._drain(now)

    def act(self, now: int, action: Callable[[int, Endpoint], None]) -> None:
        """Something from outside, such as the user's wish to stop."""
        action(now, self.endpoint)
        self._drain(now)

    def _drain(self, now: int) -> None:
        poll_event = self.endpoint.poll_event
        while (event := poll_event()) is not None:
            self.application.handle_event(now, self.endpoint, event)

    def poll_timeout(self) -> int | None:
        mine, other = self.application.poll_timeout(), self.endpoint.poll_timeout()
        if mine is None or (other is not None and other < mine):
            return other
        return mine

    @property
    def done(self) -> bool:
        """A client whose connections have all ended. A server never is."""
        return self.application.done

    @property
    def open_connections(self) -> int:
        """Connections that have begun and not ended: a run should not be cut off while a server has some."""
        return self.application.open_connections

    @property
    def holds_state(self) -> bool:
        """Whether any connection is left, be it in TIME-WAIT."""
        return len(self.endpoint) > 0

    def rows(self) -> list[Row]:
        return self.application.rows(self.endpoint)

    def count_undecodable(self) -> None:
        """A packet came that is no segment, or whose checksum is wrong; under Linux's name."""
        self.endpoint.counters["TcpInErrs"] += 1

    def counters(self) -> dict[str, int]:
        return dict(self.endpoint.counters)

    def held(self) -> dict[str, float]:
        """The most state at once, under the names of a run's record."""
        peaks = self.endpoint.peaks
        return {"half_open_peak": peaks.half_open, "connections_peak": peaks.connections}


class Host(Hosted):
    """The host that a specification describes.

    `entropy` makes keys and sequence numbers, `rng` the application's own choices (arrival times).
    """

    def __init__(
        self,
        spec: HostSpec,
        entropy: Callable[[int], bytes],
        rng: random.Random,
        trace: Callable[[TraceRecord], None] | None = None,
    ) -> None:
        self.spec = spec
        self.name = spec.name
        if spec.flood is not None:
            source = SynSource(spec, rng)  # as much of an endpoint as is asked of one here
            super().__init__(cast(Endpoint, source), SynFlood(spec, source))
            return
        kind = spec.workload.type
        serve = Sink if spec.background else SERVERS[kind]
        application = CLIENTS[kind](spec, rng) if spec.role == "client" else serve(spec)
        endpoint = Endpoint(
            entropy=entropy,
            trace=trace,
            addresses=tuple(map(packed, spec.addresses)),
            ports=(FIRST_EPHEMERAL, LAST_EPHEMERAL),
        )
        super().__init__(endpoint, application)
