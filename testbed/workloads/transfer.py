"""One end of one connection: what it still has to send and to check, and the row that it leaves.

Decides when an end has sent and verified all, and what its record says. Whether to close then is the
client's or the server's business. Read first: payload.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.mptcp.events import Closed
from testbed.mptcp.reasons import Reason, Verdict
from testbed.workloads.outcome import Row
from testbed.workloads.path_rows import address_text, path_rows
from testbed.workloads.payload import Headed, Payload

if TYPE_CHECKING:
    from testbed.mptcp.endpoint import Endpoint


class Transfer:
    """`outgoing` and `incoming` may come later (a server learns them from the request)."""

    __slots__ = (
        "closing",
        "connected",
        "damaged",
        "done",
        "expected",
        "first_byte",
        "gave_up",
        "incoming",
        "index",
        "number",
        "opened",
        "outgoing",
        "peer_finished",
        "received",
        "sent",
    )

    def __init__(self, number: int, index: int, opened: int, expected: int) -> None:
        self.number = number
        self.index = index
        self.opened = opened
        self.expected = expected  # bytes
        self.connected: int | None = None
        self.first_byte: int | None = None
        self.done: int | None = None
        self.outgoing: Payload | Headed | None = None
        self.incoming: Payload | Headed | None = None
        self.sent = 0
        self.received = 0
        self.damaged = False
        self.gave_up: Reason | None = None  # NO_PROGRESS, or TIME_LIMIT while data still moved
        self.peer_finished = False
        self.closing = False

    @property
    def all_sent(self) -> bool:
        return self.outgoing is not None and self.sent == self.outgoing.length

    @property
    def all_received(self) -> bool:
        return self.received >= self.expected

    def push(self, now: int, endpoint: Endpoint) -> None:
        """Sends as much as the endpoint accepts."""
        outgoing = self.outgoing
        if outgoing is None:
            return
        while self.sent < outgoing.length:
            part = outgoing.slice(self.sent)
            accepted = endpoint.send(now, self.number, part)
            self.sent += accepted
            if accepted < len(part):
                return

    def check(self, now: int, data: bytes) -> None:
        """Takes the next bytes of the incoming stream and compares them with what is expected."""
        if data and (self.incoming is None or not self.incoming.matches(self.received, data)):
            self.damaged = True
        self.take(now, len(data))

    def take(self, now: int, count: int) -> None:
        """Takes the next bytes of the incoming stream, of any value."""
        if not count:
            return
        if self.first_byte is None:
            self.first_byte = now
        self.received += count
        if self.done is None and self.all_received:
            self.done = now

    def close(self, now: int, endpoint: Endpoint) -> None:
        if not self.closing:
            self.closing = True
            endpoint.close(now, self.number)

    def give_up(self, now: int, endpoint: Endpoint, reason: Reason = Reason.NO_PROGRESS) -> None:
        self.gave_up = reason
        endpoint.abort(now, self.number, reason)

    def row(self, host: str, endpoint: Endpoint, end: Closed | None, now: int | None = None) -> Row:
        """`end` is None while the connection is still open. Bytes sent are those that the peer has
        acknowledged: what an end cut short still had in its buffer never left."""
        report = endpoint.describe(self.number)
        verdict, reason = (end.verdict, end.reason) if end is not None else (report.verdict, report.reason)
        if self.gave_up is not None:
            struck = self.gave_up is Reason.TIME_LIMIT
            verdict, reason = Verdict.UNFINISHED if struck else Verdict.HANG, self.gave_up
        if self.done is None and end is not None and end.clean and not self.expected:
            self.done = now
        return {
            "host": host,
            "connection": self.index,
            "role": str(report.role),
            "profile": str(report.profile),
            "local_address": address_text(report.local[0]),
            "local_port": report.local[1],
            "remote_address": address_text(report.remote[0]),
            "remote_port": report.remote[1],
            "verdict": str(verdict),
            "reason": str(reason),
            "opened_ns": self.opened,
            "connected_ns": self.connected,
            "first_byte_ns": self.first_byte,
            "done_ns": self.done,
            "bytes_sent": report.bytes_acked,
            "bytes_received": self.received,
            "subflows": report.subflows,
            "retransmits": report.retransmits,
            "fast_open": str(report.fast_open),
            "syn_data": report.syn_data,
            "closed_by": str(report.closed_by),
            "intact": not self.damaged and self.received == self.expected,
            "paths": path_rows(report, reason),
        }
