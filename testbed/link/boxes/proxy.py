"""A performance-enhancing proxy: it acknowledges data itself, and is then the one who must deliver it.

Decides which segments it answers (data in order), with what (an ACK without MPTCP's options, from numbers
and timestamps that the receiver has shown), and when it sends a copy again. Read first: RFC 3135 §3.1.2,
§4.1; RFC 6824 §3.3.2 (why a DATA_ACK is more than an ACK); Hesmans et al. (HotMiddlebox 2013).
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field, replace
from typing import ClassVar

from testbed.link.boxes.box import Box, Flows, Key, Sent, Way
from testbed.mptcp.wire import ACK, FIN, RST, SYN, Option, Segment, Timestamps
from testbed.mptcp.wire.sequence import seq_add, seq_lt
from testbed.units import parse_time

MOST_KEPT = 1_000_000  # bytes of a flow; with more it lets the receiver answer
MILLISECOND = 1_000_000


@dataclass(slots=True)
class _Relay:
    next: int | None = None  # of the data that has come in order
    reply: Segment | None = None  # the receiver's last, to make ours from
    copies: deque[Segment] = field(default_factory=deque)
    kept: int = 0
    again_at: int | None = None


class ProactiveAck(Box):
    meaning = "acknowledges data before it arrives, and sends again what is lost behind the box"
    keys: ClassVar[dict[str, Key]] = {"rto": Key(parse_time, 300 * MILLISECOND, "when a copy is sent again")}

    def __init__(self, way: Way, rng: random.Random, rto: int = 300 * MILLISECOND) -> None:
        super().__init__(way, rng)
        self._rto = rto
        self._flows: Flows[_Relay] = Flows(_Relay)

    def pass_on(self, now: int, way: Way, segment: Segment) -> Sent:
        flow = self.flow(way, segment)
        if segment.flags & RST:
            self._flows.begin(flow)
            return [(way, segment)]
        relay = self._flows[flow]
        if way != self.way:
            return self._answered(now, relay, segment)
        if segment.flags & SYN:
            relay = self._flows.begin(flow)
            relay.next = seq_add(segment.seq, segment.seq_length)
            return [(way, segment)]
        in_order = relay.next == segment.seq and segment.payload and not segment.flags & FIN
        if not in_order or relay.reply is None or relay.kept + len(segment.payload) > MOST_KEPT:
            return [(way, segment)]
        relay.next = seq_add(segment.seq, len(segment.payload))
        relay.copies.append(segment)
        relay.kept += len(segment.payload)
        relay.again_at = relay.again_at or now + self._rto
        return [(way, segment), (self.back, _answer(relay.reply, relay.next, segment))]

    def _answered(self, now: int, relay: _Relay, segment: Segment) -> Sent:
        if segment.flags & ACK:
            relay.reply = segment
            while relay.copies and not seq_lt(segment.ack, _end(relay.copies[0])):
                relay.kept -= len(relay.copies.popleft().payload)
                relay.again_at = now + self._rto if relay.copies else None
        return [(self.back, segment)]

    def deadline(self) -> int | None:
        times = [relay.again_at for relay in self._flows.values() if relay.again_at is not None]
        return min(times, default=None)

    def timeout(self, now: int) -> Sent:
        sent: Sent = []
        for relay in self._flows.values():
            if relay.again_at is not None and relay.again_at <= now and relay.copies:
                sent.append((self.way, relay.copies[0]))
                relay.again_at = now + self._rto
        return sent


def _end(segment: Segment) -> int:
    return seq_add(segment.seq, len(segment.payload))


def _answer(reply: Segment, ack: int, to: Segment) -> Segment:
    """As the receiver would, had it the data already."""
    times: list[Option] = []
    shown = next((one for one in reply.options if isinstance(one, Timestamps)), None)
    asked = next((one for one in to.options if isinstance(one, Timestamps)), None)
    if shown is not None and asked is not None:
        times.append(Timestamps(shown.value, asked.value))
    seq = seq_add(reply.seq, reply.seq_length)
    return replace(reply, seq=seq, ack=ack, flags=ACK, options=tuple(times), payload=b"", cut=0)
