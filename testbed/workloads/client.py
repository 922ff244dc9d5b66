"""The client's application: opens connections, sends requests, checks responses, closes.

Decides when connections open (Poisson arrivals, or all at once for bulk), and that data is sent only once
connected, so that a bare third ACK goes first where the configuration wants one; with Fast Open at once, so
that the SYN can carry it. It closes when it has the whole response, and not before: a FIN behind the request
would be one more segment that can be lost.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from testbed.mptcp.config import SECOND
from testbed.mptcp.events import (
    Closed,
    Connected,
    DataArrived,
    Event,
    PeerFinished,
    SpaceFreed,
)
from testbed.workloads.outcome import Row
from testbed.workloads.patience import Patience
from testbed.workloads.payload import REQUEST, RESPONSE, Payload, index_seen
from testbed.workloads.spec import FIRST_EPHEMERAL, HostSpec, packed
from testbed.workloads.transfer import Transfer

if TYPE_CHECKING:
    from testbed.mptcp.endpoint import Endpoint


class RequestClient:
    """`request` and `bulk` differ in their arrivals only, `http` in what is said. Connection i has local port
    FIRST_EPHEMERAL + i."""

    def __init__(self, spec: HostSpec, rng: random.Random) -> None:
        assert spec.client is not None, "HostSpec has checked it"
        self._spec = spec
        self._config = spec.client
        self._workload = spec.workload
        self._rng = rng
        self._local = packed(spec.addresses[0])
        self._remote = (packed(spec.remote[0]), spec.port)
        self._opened = 0
        self._next_arrival: int | None = None
        self._open: dict[int, Transfer] = {}
        self._patience = Patience(spec.workload)
        self._rows: list[Row] = []

    def start(self, now: int, endpoint: Endpoint) -> None:
        self._next_arrival = now + self._workload.start + self._gap()
        self.handle_timeout(now, endpoint)

    def _gap(self) -> int:
        if self._workload.type == "bulk":
            return 0
        return int(self._rng.expovariate(self._workload.arrivals) * SECOND)

    @property
    def done(self) -> bool:
        """Every connection has been opened and has ended."""
        return self._opened == self._spec.connections and not self._open

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def poll_timeout(self) -> int | None:
        deadline = self._patience.next(self._open)
        if self._next_arrival is None:
            return deadline
        return self._next_arrival if deadline is None else min(deadline, self._next_arrival)

    def handle_timeout(self, now: int, endpoint: Endpoint) -> None:
        while self._next_arrival is not None and self._next_arrival <= now:
            self._connect(now, endpoint)
            self._next_arrival += self._gap()
            if self._opened == self._spec.connections:
                self._next_arrival = None
        self._patience.look(now, endpoint, self._open)

    def _connect(self, now: int, endpoint: Endpoint) -> None:
        index = self._opened
        self._opened += 1
        local = (self._local, FIRST_EPHEMERAL + index)
        number = endpoint.connect(now, local, self._remote, self._config)
        transfer = Transfer(number, index, now, self._workload.response)
        self._prepare(transfer)
        if self._config.fast_open:
            transfer.push(now, endpoint)  # the SYN is to carry it
        self._open[number] = transfer
        self._patience.add(now, number)

    def _prepare(self, transfer: Transfer) -> None:
        """What is to go and to come."""
        workload, index = self._workload, transfer.index
        transfer.outgoing = Payload(REQUEST, index, workload.request)
        transfer.incoming = Payload(RESPONSE, index_seen(index, workload.request), workload.response)

    def _take(self, now: int, endpoint: Endpoint, transfer: Transfer, data: bytes) -> None:
        transfer.check(now, data)

    def handle_event(self, now: int, endpoint: Endpoint, event: Event) -> None:
        transfer = self._open.get(event.connection)
        if transfer is None:
            return
        if isinstance(event, DataArrived):
            self._take(now, endpoint, transfer, endpoint.receive(now, event.connection))
        elif isinstance(event, Connected):
            transfer.connected = now
            transfer.push(now, endpoint)
        elif isinstance(event, SpaceFreed):
            transfer.push(now, endpoint)
        elif isinstance(event, PeerFinished):
            # Whatever is missing now will never come.
            transfer.close(now, endpoint)
            return
        elif isinstance(event, Closed):
            self._forget(transfer)
            self._rows.append(transfer.row(self._spec.name, endpoint, event, now))
            endpoint.forget(event.connection)
            return
        if transfer.all_sent and transfer.all_received:
            transfer.close(now, endpoint)

    def _forget(self, transfer: Transfer) -> None:
        del self._open[transfer.number]

    def rows(self, endpoint: Endpoint) -> list[Row]:
        """In the order of opening; those still open as they stand."""
        still_open = [transfer.row(self._spec.name, endpoint, None) for transfer in self._open.values()]
        return sorted(self._rows + still_open, key=lambda row: int(str(row["connection"])))
