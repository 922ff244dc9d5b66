"""What a client run by hand does: one connection, so many bytes out, so many bytes back, checked.

Decides when it has what it wants and closes. Both directions carry the same pattern, so that what comes
back from an echo and what comes from a source are checked in the same way. Without a number of bytes to
receive it closes its side once all is sent, and takes what comes until the peer has finished. With a time
it sends, and takes, as much as goes until then. Knows nothing of handshakes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.mptcp.config import SECOND, ClientConfig
from testbed.mptcp.events import Closed, Connected, DataArrived, Event, PeerFinished
from testbed.mptcp.reasons import Reason, Verdict
from testbed.workloads.outcome import Row
from testbed.workloads.serving import ENDLESS, pattern
from testbed.workloads.transfer import Transfer

if TYPE_CHECKING:
    from testbed.mptcp.endpoint import Endpoint

PATIENCE = 60 * SECOND


class OneConnection:
    """With Fast Open it first fetches a cookie, by a handshake that it breaks off.

    `send` None: as much as goes. `receive` None: whatever comes. `lasts`: nanoseconds, from the handshake
    on, after which it sends no more. Gives up after `patience` nanoseconds without any progress. `check`
    False: bytes that arrive may have any value."""

    def __init__(
        self,
        local: tuple[bytes, int],
        remote: tuple[bytes, int],
        config: ClientConfig,
        *,
        send: int | None,
        receive: int | None,
        lasts: int | None = None,
        patience: int = PATIENCE,
        check: bool = True,
    ) -> None:
        assert send is not None or lasts is not None, "it would never end"
        self._local = local
        self._remote = remote
        self._config = config
        self._send = ENDLESS if send is None else send
        self._receive = receive
        self._lasts = lasts
        self._ends: int | None = None  # when the time is up
        self._patience = patience
        self._check = check
        self._fetching: int | None = None  # the connection that is to bring a Fast Open cookie
        self._stopped = False
        self._transfer: Transfer | None = None
        self._progress = 0
        self.row: Row | None = None

    def start(self, now: int, endpoint: Endpoint) -> None:
        self._progress = now
        if self._config.fast_open:
            # A first time brings no more than a cookie: from the next port, so that ours is free.
            local = self._local[0], self._local[1] + 1
            self._fetching = endpoint.connect(now, local, self._remote, self._config, only_cookie=True)
        else:
            self._connect(now, endpoint)

    def _connect(self, now: int, endpoint: Endpoint) -> None:
        number = endpoint.connect(now, self._local, self._remote, self._config)
        transfer = Transfer(number, 0, now, ENDLESS if self._receive is None else self._receive)
        transfer.outgoing = pattern(self._send)
        transfer.incoming = pattern()
        self._transfer = transfer
        self._progress = now
        if self._config.fast_open:
            transfer.push(now, endpoint)

    @property
    def done(self) -> bool:
        return self.row is not None

    @property
    def fault(self) -> str:
        """A word of outcome.py's FAULTS."""
        transfer = self._transfer
        if self.row is not None and self.row["intact"]:
            return "none"
        if self._stopped or transfer is None:
            return "interrupted"
        if transfer.damaged:
            return "damaged"
        if self._receive is not None:
            return "missing"
        if self.row is None or self.row["verdict"] in (Verdict.RESET, Verdict.HANG):
            return "cut_off"
        return "unasked" if transfer.sent == self._send else "cut_off"

    @property
    def open_connections(self) -> int:
        busy = self._transfer is not None or self._fetching is not None
        return int(busy and self.row is None)

    def poll_timeout(self) -> int | None:
        if self._fetching is None and (self._transfer is None or self._transfer.gave_up):
            return None
        if self.row is not None:
            return None
        deadline = self._progress + self._patience
        return deadline if self._ends is None else min(deadline, self._ends)

    def handle_timeout(self, now: int, endpoint: Endpoint) -> None:
        deadline = self.poll_timeout()
        if deadline is None or deadline > now:
            return
        if self._ends is not None and self._transfer is not None and self._ends <= now:
            self._time_is_up(now, endpoint, self._transfer)
        elif self._fetching is not None:
            endpoint.abort(now, self._fetching, Reason.NO_PROGRESS)
        elif self._transfer is not None:
            self._transfer.give_up(now, endpoint)

    def _time_is_up(self, now: int, endpoint: Endpoint, transfer: Transfer) -> None:
        """What is with the stack still goes, and what comes back is still read."""
        self._ends = self._lasts = None
        self._send = transfer.sent
        transfer.outgoing = pattern(transfer.sent)
        transfer.close(now, endpoint)

    def stop(self, now: int, endpoint: Endpoint) -> None:
        """The user has had enough."""
        self._stopped = True
        if self._fetching is not None:
            endpoint.abort(now, self._fetching, Reason.ABORTED)
        elif self._transfer is not None and self.row is None:
            endpoint.abort(now, self._transfer.number, Reason.ABORTED)

    def handle_event(self, now: int, endpoint: Endpoint, event: Event) -> None:
        if event.connection == self._fetching and isinstance(event, Closed):
            endpoint.forget(self._fetching)
            self._fetching = None
            self._connect(now, endpoint)
            if self._stopped:
                self.stop(now, endpoint)
            return
        transfer = self._transfer
        if transfer is None or event.connection != transfer.number or self.row is not None:
            return
        self._progress = now
        if isinstance(event, DataArrived):
            while data := endpoint.receive(now, transfer.number):
                # A source goes on until it hears that we have enough: the rest is read and not wanted.
                wanted = data[: transfer.expected - transfer.received]
                if self._check:
                    transfer.check(now, wanted)
                else:
                    transfer.take(now, len(wanted))
        elif isinstance(event, Connected):
            transfer.connected = now
            if self._lasts is not None:
                self._ends = now + self._lasts
        elif isinstance(event, PeerFinished):
            transfer.peer_finished = True
        elif isinstance(event, Closed):
            if self._receive is None:
                # An echo returns all, a sink nothing; from a source anything is right, and unchecked as well.
                everything = transfer.sent == self._send
                whole = transfer.received in (0, self._send) or not self._send or not self._check
                transfer.expected = transfer.received if everything and whole else -1
            if transfer.done is None:
                transfer.done = now
            self.row = transfer.row("client", endpoint, event, now)
            endpoint.forget(transfer.number)
            return
        transfer.push(now, endpoint)
        enough = transfer.all_received or (self._receive is None and self._lasts is None)
        if (transfer.all_sent and enough) or transfer.peer_finished:
            transfer.close(now, endpoint)

    def rows(self, endpoint: Endpoint) -> list[Row]:
        if self.row is not None:
            return [self.row]
        return [self._transfer.row("client", endpoint, None)] if self._transfer is not None else []
