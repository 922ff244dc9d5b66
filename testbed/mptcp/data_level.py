"""The connection's own byte stream, above subflows: DATA_ACK, one window, DATA_FIN.

Decides what may be freed, what may be mapped next and what the application gets. Offsets: 0 is the
IDSN, 1 the first byte; the DATA_FIN takes one (RFC 8684 §3.3.3). A connection that fell back uses the
same stream, with plain TCP's acknowledgements in the place of DATA_ACKs.
Read first: RFC 8684 §3.3.1-§3.3.5.
"""

from __future__ import annotations

from collections import deque

from testbed.mptcp.ranges import GATHERED, RangeSet, Reassembly, SendBuffer

TINY = 256  # bytes


class DataSender:
    """`una`..`nxt` is mapped and not DATA_ACKed; `nxt`..`end` waits to be mapped. `again` is what lies
    below `nxt` and is to be mapped once more, on another subflow (RFC 8684 §3.3.6)."""

    __slots__ = ("again", "buffer", "edge", "fin_queued", "fin_sent", "first", "nxt", "una")

    def __init__(self) -> None:
        self.buffer = SendBuffer(1)
        self.again = RangeSet()
        self.una = self.nxt = 1
        self.first = 1  # the first byte that is mapped
        self.edge = 1  # right edge: the largest DATA_ACK + window seen (RFC 8684 §3.3.4)
        self.fin_queued = False
        self.fin_sent = False

    def skip(self, count: int) -> None:
        """The first bytes were acknowledged in the SYN: the data sequence space begins behind them."""
        self.first = self.una = self.nxt = 1 + count
        self.edge = max(self.edge, self.first)
        self.buffer.free(self.first)

    @property
    def end(self) -> int:
        """Where the stream ends as far as queued; the DATA_FIN's own offset once that is queued."""
        return self.buffer.end

    @property
    def unmapped(self) -> int:
        return self.buffer.end - self.nxt

    @property
    def fin_due(self) -> bool:
        """The DATA_FIN may be (re)sent: all data is mapped, the DATA_FIN not acknowledged."""
        return self.fin_queued and not self.unmapped and not self.fin_acked

    @property
    def fin_acked(self) -> bool:
        return self.fin_queued and self.una > self.end

    def acknowledge(self, offset: int) -> bool:
        """Take a DATA_ACK. False when it acknowledges what was never sent: ignored (RFC 8684 §3.3.2)."""
        if offset > self.nxt + self.fin_sent:
            return False
        self.una = max(self.una, offset)
        return True

    def open_window(self, offset: int, window: int) -> None:
        self.edge = max(self.edge, offset + window)


class DataReceiver:
    """`adv` is the right edge ever advertised: one for all subflows (RFC 8684 §3.3.4)."""

    __slots__ = ("_queue", "adv", "fin", "fin_taken", "first", "queued", "reassembly", "total")

    def __init__(self, window: int) -> None:
        self.reassembly = Reassembly(1, window)
        self.first = 1  # the first byte that is mapped
        self.adv = 1
        self._queue: deque[bytes | bytearray] = deque()
        self.queued = 0  # in order, not read yet
        self.total = 0  # ever put in order
        self.fin: int | None = None  # offset of the peer's DATA_FIN
        self.fin_taken = False

    def skip(self, data: bytes) -> None:
        """The first bytes came in the SYN: the data sequence space begins behind them."""
        self.take(1, data)
        self.first = self.next

    @property
    def next(self) -> int:
        """The DATA_ACK to send: next offset expected, past the DATA_FIN once it was taken."""
        return self.reassembly.next

    def take(self, offset: int, data: bytes) -> int:
        """Bytes from `offset`; how many are newly in order."""
        ready = self.reassembly.insert(offset, data)
        if ready:
            self._keep(ready)
            self.queued += len(ready)
            self.total += len(ready)
        return len(ready)

    def _keep(self, ready: bytes) -> None:
        """For the application. Tiny pieces are gathered: each would cost more than its bytes."""
        queue = self._queue
        if len(ready) >= TINY:
            queue.append(ready)
        elif queue and isinstance(last := queue[-1], bytearray) and len(last) < GATHERED:
            last += ready
        else:
            queue.append(bytearray(ready))

    def ends_at(self, offset: int, window: int) -> bool:
        """The peer's DATA_FIN. False when it contradicts what came before: another DATA_FIN, or data where
        it says that there is none; or lies beyond the window. The first word counts (RFC 8684 §3.3.1)."""
        if self.fin is not None:
            return offset == self.fin
        if not self.reassembly.end <= offset <= self.next + window:
            return False
        self.fin = offset
        return True

    def take_fin(self) -> bool:
        """True once, when everything before the DATA_FIN has arrived."""
        if self.fin is None or self.fin_taken or self.reassembly.next != self.fin:
            return False
        self.fin_taken = True
        self.reassembly.next += 1
        return True

    def read(self, most: int) -> bytes:
        taken: list[bytes | bytearray] = []
        while self._queue and most > 0:
            piece = self._queue[0]
            if len(piece) <= most:
                self._queue.popleft()
            else:
                self._queue[0] = piece[most:]
                piece = piece[:most]
            taken.append(piece)
            most -= len(piece)
            self.queued -= len(piece)
        first = taken[0] if len(taken) == 1 else b""
        return first if isinstance(first, bytes) and first else b"".join(taken)
