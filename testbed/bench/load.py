"""The application of our sending end: the same bytes again and again, as the kernel's sender gives them.

Decides nothing but when all is sent. Makes no payload and checks none: what is measured is the stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.bench.end import CHUNK
from testbed.mptcp.config import ClientConfig
from testbed.mptcp.events import Closed, Connected, Event, SpaceFreed
from testbed.workloads.outcome import Row
from testbed.workloads.transfer import Transfer

if TYPE_CHECKING:
    from testbed.mptcp.endpoint import Endpoint


class Load:
    """One connection from `local` to `remote` that sends `size` bytes and closes."""

    def __init__(
        self, local: tuple[bytes, int], remote: tuple[bytes, int], config: ClientConfig, size: int
    ) -> None:
        self._local, self._remote, self._config = local, remote, config
        self._left = size
        self._transfer: Transfer | None = None
        self._row: Row | None = None
        self.connected = False

    @property
    def done(self) -> bool:
        return self._row is not None

    @property
    def open_connections(self) -> int:
        return int(self.connected and not self.done)

    def start(self, now: int, endpoint: Endpoint) -> None:
        number = endpoint.connect(now, self._local, self._remote, self._config)
        self._transfer = Transfer(number, 0, now, 0)

    def handle_event(self, now: int, endpoint: Endpoint, event: Event) -> None:
        transfer = self._transfer
        if transfer is None or event.connection != transfer.number:
            return
        if isinstance(event, Connected):
            self.connected = True
        elif isinstance(event, Closed):
            self._row = transfer.row("client", endpoint, event, now)
        if self.connected and isinstance(event, Connected | SpaceFreed):
            self._send(now, endpoint, transfer)

    def _send(self, now: int, endpoint: Endpoint, transfer: Transfer) -> None:
        while self._left:
            part = _SAME if self._left >= CHUNK else _SAME[: self._left]
            taken = endpoint.send(now, transfer.number, part)
            transfer.sent += taken
            self._left -= taken
            if taken < len(part):
                return
        transfer.close(now, endpoint)

    def handle_timeout(self, now: int, endpoint: Endpoint) -> None:
        pass

    def poll_timeout(self) -> int | None:
        return None

    def rows(self, endpoint: Endpoint) -> list[Row]:
        return [self._row] if self._row is not None else []


_SAME = bytes(CHUNK)
