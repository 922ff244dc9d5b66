"""The server's application: reads requests, sends responses, closes when the peer has.

Decides when the response starts: once the whole request has been read, or at once where there is no
request (the server speaks first). A connection that it never heard of (no valid third ACK came) has no
row here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.mptcp.events import (
    Accepted,
    Closed,
    DataArrived,
    Event,
    PeerFinished,
    SpaceFreed,
)
from testbed.workloads.outcome import Row
from testbed.workloads.patience import Patience
from testbed.workloads.payload import (
    INDEX_BYTES,
    REQUEST,
    RESPONSE,
    Payload,
    index_of,
)
from testbed.workloads.spec import HostSpec, packed
from testbed.workloads.transfer import Transfer

if TYPE_CHECKING:
    from testbed.mptcp.endpoint import Endpoint


class RequestServer:
    """Answers on all of `spec.addresses`, with more patience per connection than the client has."""

    def __init__(self, spec: HostSpec) -> None:
        assert spec.server is not None, "HostSpec has checked it"
        self._spec = spec
        self._config = spec.server
        self._workload = spec.workload
        self._accepted = 0
        self._open: dict[int, Transfer] = {}
        self._heads: dict[int, bytes] = {}  # what has come of a request, while it is under eight bytes
        self._patience = Patience(spec.workload, server=True)
        self._rows: list[Row] = []

    def start(self, now: int, endpoint: Endpoint) -> None:
        endpoint.listen(self._spec.port, self._config, tuple(map(packed, self._spec.addresses)))

    @property
    def done(self) -> bool:
        """Never: it is stopped from outside."""
        return False

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def poll_timeout(self) -> int | None:
        return self._patience.next(self._open)

    def handle_timeout(self, now: int, endpoint: Endpoint) -> None:
        self._patience.look(now, endpoint, self._open)

    def handle_event(self, now: int, endpoint: Endpoint, event: Event) -> None:
        number = event.connection
        if isinstance(event, Accepted):
            self._accept(now, endpoint, number)
            return
        transfer = self._open.get(number)
        if transfer is None:
            return
        if isinstance(event, DataArrived):
            self._read(now, endpoint, transfer)
        elif isinstance(event, SpaceFreed):
            transfer.push(now, endpoint)
        elif isinstance(event, PeerFinished):
            transfer.peer_finished = True
        elif isinstance(event, Closed):
            self._forget(transfer)
            self._rows.append(transfer.row(self._spec.name, endpoint, event, now))
            endpoint.forget(number)
            return
        if transfer.peer_finished and (transfer.outgoing is None or transfer.all_sent):
            transfer.close(now, endpoint)

    def _accept(self, now: int, endpoint: Endpoint, number: int) -> None:
        transfer = Transfer(number, self._accepted, now, self._workload.request)
        transfer.connected = now
        self._accepted += 1
        self._open[number] = transfer
        self._patience.add(now, number)
        if not self._workload.request:
            transfer.outgoing = Payload(RESPONSE, 0, self._workload.response)
            transfer.push(now, endpoint)

    def _read(self, now: int, endpoint: Endpoint, transfer: Transfer) -> None:
        data = endpoint.receive(now, transfer.number)
        if transfer.incoming is None:
            data = self._heads.pop(transfer.number, b"") + data
            if len(data) < min(INDEX_BYTES, self._workload.request):
                self._heads[transfer.number] = data
                return
            head = data[: min(INDEX_BYTES, self._workload.request)]
            transfer.incoming = Payload(REQUEST, index_of(head), self._workload.request)
        transfer.check(now, data)
        if transfer.outgoing is None and transfer.all_received:
            index = index_of(transfer.incoming.slice(0, INDEX_BYTES)) if self._workload.request else 0
            transfer.outgoing = Payload(RESPONSE, index, self._workload.response)
            transfer.push(now, endpoint)

    def _forget(self, transfer: Transfer) -> None:
        del self._open[transfer.number]
        self._heads.pop(transfer.number, None)

    def rows(self, endpoint: Endpoint) -> list[Row]:
        """In the order of acceptance; those still open as they stand."""
        still_open = [transfer.row(self._spec.name, endpoint, None) for transfer in self._open.values()]
        return sorted(self._rows + still_open, key=lambda row: int(str(row["connection"])))
