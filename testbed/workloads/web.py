"""The `http` workload: the applications of client.py and server.py, with a request and response in HTTP/1.1.

Decides that a response counts by its body: `received` of the client's transfer are bytes of the body, each
checked, while the server checks the whole of the request. Whatever is no such request or response is damage.
What HTTP is stands in http.py. Read first: client.py, server.py.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from testbed.workloads.client import RequestClient
from testbed.workloads.http import ClientSide, ServerSide, request
from testbed.workloads.path_rows import address_text
from testbed.workloads.payload import RESPONSE, Headed, Payload
from testbed.workloads.server import RequestServer
from testbed.workloads.spec import HostSpec
from testbed.workloads.transfer import Transfer

if TYPE_CHECKING:
    from testbed.mptcp.endpoint import Endpoint


def host_of(address: bytes, port: int) -> str:
    """The field `Host` (RFC 9110 §7.2)."""
    text = address_text(address)
    return f"[{text}]:{port}" if len(address) == 16 else f"{text}:{port}"


class HttpClient(RequestClient):
    def __init__(self, spec: HostSpec, rng: random.Random) -> None:
        super().__init__(spec, rng)
        self._sides: dict[int, ClientSide] = {}

    def _prepare(self, transfer: Transfer) -> None:
        workload, index = self._workload, transfer.index
        side = ClientSide(host_of(*self._remote), workload.request, index, workload.response)
        self._sides[transfer.number] = side
        transfer.outgoing = side.request
        transfer.incoming = Payload(RESPONSE, index, workload.response)

    def _take(self, now: int, endpoint: Endpoint, transfer: Transfer, data: bytes) -> None:
        side = self._sides[transfer.number]
        transfer.check(now, side.body(data))
        if side.failed:
            transfer.damaged = True
            transfer.close(now, endpoint)

    def _forget(self, transfer: Transfer) -> None:
        super()._forget(transfer)
        del self._sides[transfer.number]


class HttpServer(RequestServer):
    def __init__(self, spec: HostSpec) -> None:
        super().__init__(spec)
        self._sides: dict[int, ServerSide] = {}

    def _read(self, now: int, endpoint: Endpoint, transfer: Transfer) -> None:
        number = transfer.number
        data = endpoint.receive(now, number)
        if transfer.incoming is not None:
            transfer.check(now, data)  # nothing was to come behind the request
            return
        side = self._sides.setdefault(number, ServerSide())
        side.feed(data)
        answer = side.next_answer()
        data = self._heads.pop(number, b"") + data
        if answer is None:
            self._heads[number] = data  # no more than h11 keeps of a head
            return
        workload, expected = self._workload, b""
        if answer.connection is not None:
            host = host_of(*endpoint.describe(number).local)
            expected = request(host, workload.request, answer.connection, workload.response)
        transfer.incoming = Headed(expected)
        transfer.check(now, data)
        transfer.outgoing = answer.stream
        transfer.push(now, endpoint)

    def _forget(self, transfer: Transfer) -> None:
        super()._forget(transfer)
        self._sides.pop(transfer.number, None)
